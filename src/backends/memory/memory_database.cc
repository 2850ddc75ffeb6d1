#include "backends/memory/memory_database.h"

#include <algorithm>

namespace holdfast {

bool KeyOrder::signed_before(View a, View b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char left, char right) {
    return static_cast<signed char>(left) < static_cast<signed char>(right);
  });
}

// --- reading

const MemoryDatabase::Stored* MemoryDatabase::find_live(View key, UnixMs time_ms) const {
  const auto found = entries_.find(key);
  if (found == entries_.end() || !is_live(found->second.expires_at_ms, time_ms)) return nullptr;
  return &found->second;
}

ReadAnswer MemoryDatabase::read(const ReadRequest& request, UnixMs time_ms) const {
  ReadAnswer answer;
  AnswerBudget budget;
  answer.gets.reserve(request.gets.size());
  for (const View key : request.gets) {
    const Stored* stored = find_live(key, time_ms);
    if (stored == nullptr) {
      answer.gets.emplace_back();
      continue;
    }
    if (!budget.take(key.size(), stored->value.size())) break;
    answer.gets.emplace_back(Entry{Bytes(key), stored->value, stored->version, stored->expires_at_ms});
  }
  for (const Scan& one : request.scans) answer.pages.push_back(scan(one, time_ms, budget));
  for (std::size_t i = 0; i < request.checks.size() && !answer.failed_check; ++i) {
    if (!holds(request.checks[i], time_ms)) answer.failed_check = i;
  }
  answer.at = head_.position();
  answer.time_ms = time_ms;
  answer.floor = head_.floor;
  return answer;
}

Page MemoryDatabase::scan(const Scan& scan, UnixMs time_ms, AnswerBudget& budget) const {
  const Range& range = scan.range;
  const ScanOptions& options = scan.options;
  Page page;
  page.at = head_.position();
  // Whether the scan goes on behind this entry.
  const auto take = [&](const Bytes& key, const Stored& stored) {
    if (!is_live(stored.expires_at_ms, time_ms)) return true;
    const std::size_t value_bytes = options.keys_only ? 0 : stored.value.size();
    if (page.entries.size() == options.limit || !budget.take(key.size(), value_bytes)) {
      page.more = true;
      return false;
    }
    page.entries.push_back(
        {key, options.keys_only ? Bytes() : stored.value, stored.version, stored.expires_at_ms});
    return true;
  };
  if (options.reverse) {
    auto at = range.end.empty() ? entries_.end() : entries_.lower_bound(range.end);
    while (at != entries_.begin()) {
      --at;
      if (at->first < range.begin || !take(at->first, at->second)) break;
    }
  } else {
    for (auto at = entries_.lower_bound(range.begin); at != entries_.end(); ++at) {
      const bool beyond = canary(14, 'c') ? at->first > range.end : at->first >= range.end;
      if ((!range.end.empty() && beyond) || !take(at->first, at->second)) break;
    }
  }
  return page;
}

// --- checks

std::deque<MemoryDatabase::LogRow>::const_iterator MemoryDatabase::log_after(Seq since) const {
  return std::upper_bound(log_.begin(), log_.end(), since,
                          [](Seq seq, const LogRow& row) { return seq < row.seq; });
}

bool MemoryDatabase::holds(const Check& check, UnixMs time_ms) const {
  if (check.kind == Check::Kind::unchanged) return is_unchanged(check, time_ms);
  const Stored* stored = find_live(check.key, time_ms);
  if (check.kind == Check::Kind::absent) return stored == nullptr;
  return stored != nullptr && stored->version == check.version;
}

bool MemoryDatabase::is_unchanged(const Check& check, UnixMs time_ms) const {
  if (check.version + (canary(4, 'b') ? 1 : 0) < head_.floor) return false;
  const Range range{check.key, check.end};
  std::size_t rows = 0;
  for (auto row = log_after(check.version - (canary(4) ? 1 : 0)); row != log_.end(); ++row) {
    rows += row->keys.size();
    if (rows > limits::kUnchangedLogRows) return false;
    if (std::any_of(row->keys.begin(), row->keys.end(), [&](View key) { return range.contains(key); })) {
      return false;
    }
  }
  for (auto due = expiries_.lower_bound({check.read_time_ms + 1, {}}); due != expiries_.end(); ++due) {
    if (due->first > time_ms || canary(5)) break;
    if (range.contains(due->second)) return false;
  }
  return true;
}

// --- commits

const SessionRecord* MemoryDatabase::session(const SessionId& id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

std::vector<Outcome> MemoryDatabase::judge(const Group& group, UnixMs time_ms) const {
  std::vector<Outcome> outcomes;
  outcomes.reserve(group.batches.size());
  Seq seq = head_.seq;
  for (const Batch& batch : group.batches) {
    Outcome outcome;
    for (std::size_t i = 0; i < batch.checks.size() && !outcome.failed_check; ++i) {
      if (!holds(batch.checks[i], time_ms)) outcome.failed_check = i;
    }
    const bool applies = !outcome.failed_check || (canary(1) && *outcome.failed_check == 1);
    if (applies && head_.fence.state != Fence::State::importing) outcome.seq = ++seq;
    if (!applies && canary(1, 'b')) ++seq;
    outcomes.push_back(outcome);
  }
  return outcomes;
}

void MemoryDatabase::apply(const Group& group, std::vector<Outcome> outcomes, UnixMs time_ms,
                           std::uint64_t history) {
  const bool importing = head_.fence.state == Fence::State::importing;
  if (!importing) head_.history = history;
  head_.time_ms = time_ms;
  [[maybe_unused]] const Seq before = head_.seq;  // for canaries
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    const bool applies = importing || outcomes[i].seq != 0;
    if (!applies) continue;
    const Seq seq = outcomes[i].seq;
    LogRow row{seq, {}};
    for (const Write& write : group.batches[i].writes) {
      Bytes key = written_key(write, canary(11) ? before + 1 + i : seq);
      if (canary(12) && entries_.contains(key) && entries_.at(key).version > before) continue;
      if (apply_write(write, key, seq, time_ms)) row.keys.push_back(std::move(key));
    }
    if (importing) continue;
    std::sort(row.keys.begin(), row.keys.end());
    row.keys.erase(std::unique(row.keys.begin(), row.keys.end()), row.keys.end());
    log_.push_back(std::move(row));
    head_.seq = seq;
  }
  record_session(group, std::move(outcomes));
}

bool MemoryDatabase::apply_write(const Write& write, Bytes key, Seq seq, UnixMs time_ms) {
  switch (write.kind) {
    case Write::Kind::put:
    case Write::Kind::put_stamped:
      return put(std::move(key), write, write.version != 0 ? write.version : seq);
    case Write::Kind::erase:
      return erase(key) && !canary(3);
    case Write::Kind::reap:
      return reap(key, time_ms);
  }
  return false;
}

bool MemoryDatabase::put(Bytes key, const Write& write, Seq version) {
  Stored& stored = entries_[key];
  if (stored.expires_at_ms) expiries_.erase({*stored.expires_at_ms, key});
  stored = {write.value, version, write.expires_at_ms};
  if (write.expires_at_ms) expiries_.insert({*write.expires_at_ms, std::move(key)});
  return true;
}

bool MemoryDatabase::erase(const Bytes& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return false;
  const std::optional<UnixMs> expires_at_ms = found->second.expires_at_ms;
  if (expires_at_ms) expiries_.erase({*expires_at_ms, key});
  entries_.erase(found);
  return true;
}

bool MemoryDatabase::reap(const Bytes& key, UnixMs time_ms) {
  const auto found = entries_.find(key);
  const bool due = found != entries_.end() && !is_live(found->second.expires_at_ms, time_ms);
  return (due || canary(8)) ? erase(key) : canary(8, 'b');
}

void MemoryDatabase::record_session(const Group& group, std::vector<Outcome> outcomes) {
  SessionRecord& record = sessions_[group.session];
  sessions_by_use_.erase({record.used_at_ms, group.session});
  record = {group.number, group.content_hash, std::move(outcomes), head_.position(), head_.time_ms};
  sessions_by_use_.insert({record.used_at_ms, group.session});
  while (true) {
    const SessionId oldest = sessions_by_use_.begin()->second;
    const bool surplus = sessions_.size() > limits::kSessions;
    const SessionRecord& candidate = sessions_[oldest];
    if (!session_may_expire(candidate, head_.time_ms) &&
        !(surplus && session_is_evictable(candidate, head_.time_ms))) {
      return;
    }
    sessions_by_use_.erase(sessions_by_use_.begin());
    sessions_.erase(oldest);
  }
}

// --- changes, compaction, fence, expiry

std::optional<Entry> MemoryDatabase::stored_entry(const Bytes& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  return Entry{key, found->second.value, found->second.version, found->second.expires_at_ms};
}

Changes MemoryDatabase::changes(const ChangesRequest& request) const {
  Changes page;
  page.head = head_.seq;
  page.through = {head_.history, head_.seq};
  std::size_t bytes = 0;
  for (auto row = log_after(request.since.seq); row != log_.end(); ++row) {
    std::vector<Change> items;
    for (const Bytes& key : row->keys) {
      if (!request.range.contains(key)) continue;
      std::optional<Entry> entry = stored_entry(key);
      // A later commit put the key again: it belongs to that one.
      if (entry && entry->version > row->seq) continue;
      if (canary(15, 'b') && page.items.size() + items.size() >= request.limit) break;
      Change item{key, row->seq, !entry, std::nullopt};
      bytes += key.size() + (entry && !request.keys_only ? entry->value.size() : 0);
      if (!request.keys_only) item.entry = std::move(entry);
      items.push_back(std::move(item));
    }
    const bool full = page.items.size() + items.size() > request.limit || bytes > limits::kAnswerBytes;
    if (full && !page.items.empty()) {
      if (!canary(15)) page.through.seq = row->seq - 1;
      break;
    }
    std::move(items.begin(), items.end(), std::back_inserter(page.items));
  }
  return page;
}

void MemoryDatabase::compact(Seq before) {
  const Seq floor = raised_floor(head_, before);
  if (!canary(16)) head_.floor = floor;
  log_.erase(log_.cbegin(), log_after(floor));
}

bool MemoryDatabase::fence(const Fence& expected, const Fence& next) {
  const std::optional<Head> after = apply_fence(head_, expected, next);
  if (after) head_ = *after;
  return after.has_value();
}

void MemoryDatabase::list_expired(View name, UnixMs now_ms, std::size_t limit, ExpiredAnswer& answer) const {
  auto due = expiries_.begin();
  for (; due != expiries_.end() && due->first <= now_ms && limit > 0; ++due, --limit) {
    answer.items.push_back({Bytes(name), due->second, due->first});
  }
  if (due == expiries_.end()) return;
  answer.next_due_ms = std::min(answer.next_due_ms.value_or(due->first), due->first);
}

}  // namespace holdfast
