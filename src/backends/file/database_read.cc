// How a database answers: reads, checks and changes.
#include <algorithm>

#include "backends/file/database.h"

namespace holdfast::file {
namespace {

std::optional<UnixMs> expiry_of(const Stored& stored) {
  if (stored.expires_at_ms == kNeverExpires) return std::nullopt;
  return stored.expires_at_ms;
}

bool is_live(const Stored& stored, UnixMs time_ms) {
  return stored.expires_at_ms == kNeverExpires || holdfast::is_live(stored.expires_at_ms, time_ms);
}

/// Values on disk stay empty until the lock is released.
Entry to_entry(View key, const Stored& stored) {
  return {Bytes(key), stored.on_disk ? Bytes() : Bytes(stored.value), stored.version, expiry_of(stored)};
}

// A page grows in large steps, since moving entries costs more than the few kilobytes that a short one
// wastes.
void make_room(std::vector<Entry>& entries, std::size_t limit) {
  constexpr std::size_t kFirst = 16;
  if (entries.size() < entries.capacity()) return;
  entries.reserve(std::min(limit, std::max(kFirst, 4 * entries.size())));
}

bool contains(View begin, View end, View key) { return key >= begin && (end.empty() || key < end); }

}  // namespace

std::optional<Stored> Database::find_live(View key, UnixMs time_ms) const {
  std::optional<Stored> stored = index_.find(key);
  if (stored && !file::is_live(*stored, time_ms)) stored.reset();
  return stored;
}

ReadAnswer Database::read(const ReadRequest& request, UnixMs time_ms,
                          std::vector<PendingValue>& pending) const {
  ReadAnswer answer;
  AnswerBudget budget;
  answer.gets.reserve(request.gets.size());
  for (const View key : request.gets) {
    const std::optional<Stored> stored = find_live(key, time_ms);
    if (!stored) {
      answer.gets.emplace_back();
      continue;
    }
    if (!budget.take(key.size(), value_size_bytes(*stored))) break;
    Entry& entry = *answer.gets.emplace_back(to_entry(key, *stored));
    if (stored->on_disk) pending.push_back({ValueReference::of(stored->value), &entry.value, nullptr});
  }
  answer.pages.reserve(request.scans.size());
  for (const Scan& one : request.scans) answer.pages.push_back(scan(one, time_ms, budget, pending));
  for (std::size_t i = 0; i < request.checks.size() && !answer.failed_check; ++i) {
    if (!holds(request.checks[i], time_ms)) answer.failed_check = i;
  }
  answer.at = head_.position();
  answer.time_ms = time_ms;
  answer.floor = head_.floor;
  return answer;
}

holdfast::Page Database::scan(const Scan& scan, UnixMs time_ms, AnswerBudget& budget,
                              std::vector<PendingValue>& pending) const {
  const Range& range = scan.range;
  const ScanOptions& options = scan.options;
  holdfast::Page page;
  page.at = head_.position();
  std::vector<std::pair<std::size_t, ValueReference>> on_disk;
  Index::Cursor cursor(index_);
  // Whether the scan goes on behind this entry.
  const auto take = [&] {
    const Stored stored = cursor.stored();
    if (!file::is_live(stored, time_ms)) return true;
    const View key = cursor.key();
    if (page.entries.size() == options.limit ||
        !budget.take(key.size(), options.keys_only ? 0 : value_size_bytes(stored))) {
      page.more = true;
      return false;
    }
    make_room(page.entries, options.limit);
    if (options.keys_only) {
      page.entries.push_back({Bytes(key), Bytes(), stored.version, expiry_of(stored)});
      return true;
    }
    if (stored.on_disk) on_disk.emplace_back(page.entries.size(), ValueReference::of(stored.value));
    page.entries.push_back(to_entry(key, stored));
    return true;
  };
  if (options.reverse) {
    range.end.empty() ? cursor.seek_to_last() : cursor.seek_before(range.end);
    while (cursor.valid() && cursor.key() >= range.begin && take()) cursor.prev();
  } else {
    cursor.seek(range.begin);
    while (cursor.valid() && (range.end.empty() || cursor.key() < range.end) && take()) cursor.next();
  }
  for (const auto& [entry, reference] : on_disk)
    pending.push_back({reference, &page.entries[entry].value, nullptr});
  return page;
}

bool Database::holds(const Check& check, UnixMs time_ms) const {
  if (check.kind == Check::Kind::unchanged) return is_unchanged(check, time_ms);
  const std::optional<Stored> stored = find_live(check.key, time_ms);
  if (check.kind == Check::Kind::absent) return !stored;
  return stored && stored->version == check.version;
}

bool Database::is_unchanged(const Check& check, UnixMs time_ms) const {
  if (check.version < head_.floor) return false;
  if (check.version < head_.seq) {
    if (log_.count_after(check.version, limits::kUnchangedLogRows) > limits::kUnchangedLogRows) return false;
    bool changed = false;
    log_.visit_after(check.version, [&](Seq, View key) {
      changed = contains(check.key, check.end, key);
      return !changed;
    });
    if (changed) return false;
  }
  if (check.read_time_ms >= time_ms) return true;
  for (auto due = expiries_.lower_bound({check.read_time_ms + 1, Bytes()});
       due != expiries_.end() && due->first <= time_ms; ++due) {
    if (contains(check.key, check.end, due->second)) return false;
  }
  return true;
}

Changes Database::changes(const ChangesRequest& request, std::vector<PendingValue>& pending) const {
  Changes page;
  page.head = head_.seq;
  page.through = head_.position();
  std::size_t bytes = 0;
  Seq commit = 0;                // the one being gathered
  std::size_t commit_begin = 0;  // of page.items
  bool full = false;
  // The commit that began at `commit_begin` is complete: it stays, or the page ends before it.
  const auto close_commit = [&] {
    full = commit_begin != 0 && (page.items.size() > request.limit || bytes > limits::kAnswerBytes);
    if (full) {
      page.items.resize(commit_begin);
      page.through.seq = commit - 1;
      return;
    }
    const auto begin = page.items.begin() + static_cast<std::ptrdiff_t>(commit_begin);
    std::sort(begin, page.items.end(), [](const Change& a, const Change& b) { return a.key < b.key; });
    page.items.erase(
        std::unique(begin, page.items.end(), [](const Change& a, const Change& b) { return a.key == b.key; }),
        page.items.end());
    commit_begin = page.items.size();
  };
  log_.visit_after(request.since.seq, [&](Seq seq, View key) {
    if (seq != commit) {
      close_commit();
      if (full) return false;
      commit = seq;
    }
    if (!request.range.contains(key)) return true;
    const std::optional<Stored> stored = index_.find(key);
    // A later commit put the key again: it belongs to that one.
    if (stored && stored->version > seq) return true;
    bytes += key.size() + (stored && !request.keys_only ? value_size_bytes(*stored) : 0);
    Change& item = page.items.emplace_back(Change{Bytes(key), seq, !stored, std::nullopt});
    if (stored && !request.keys_only) item.entry = to_entry(key, *stored);
    return true;
  });
  if (!full) close_commit();
  // What the page keeps of the values on disk is only known, and only stays where it is, from here on.
  for (Change& item : page.items) {
    if (!item.entry) continue;
    const std::optional<Stored> stored = index_.find(item.key);
    if (stored->on_disk) pending.push_back({ValueReference::of(stored->value), &item.entry->value, nullptr});
  }
  return page;
}

}  // namespace holdfast::file
