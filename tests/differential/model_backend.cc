#include "differential/model_backend.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

namespace holdfast::differential {
namespace {

struct Told {
  std::uint64_t number = 0;
  std::uint64_t content_hash = 0;
  std::vector<Outcome> outcomes;
  Position at;
};

struct Kept {
  std::uint64_t history = 0;
  Seq seq = 0;
  UnixMs time_ms = 0;
  Seq floor = 0;
  Fence fence;
  std::map<Bytes, Entry> entries;
  std::vector<std::pair<Seq, Bytes>> log;
  std::map<SessionId, Told> sessions;
};

bool absent_at(const Entry& entry, UnixMs time_ms) {
  return entry.expires_at_ms.has_value() && *entry.expires_at_ms <= time_ms;
}

bool inside(const Bytes& key, const Bytes& begin, const Bytes& end) {
  return key.compare(begin) >= 0 && (end.empty() || key.compare(end) < 0);
}

bool holds(const Kept& kept, const Check& check, UnixMs time_ms) {
  if (check.kind == Check::Kind::unchanged) {
    if (check.version < kept.floor) return false;
    for (const auto& [seq, key] : kept.log) {
      if (seq > check.version && inside(key, check.key, check.end)) return false;
    }
    for (const auto& [key, entry] : kept.entries) {
      if (inside(key, check.key, check.end) && entry.expires_at_ms &&
          check.read_time_ms < *entry.expires_at_ms && *entry.expires_at_ms <= time_ms) {
        return false;
      }
    }
    return true;
  }
  const auto found = kept.entries.find(check.key);
  const bool live = found != kept.entries.end() && !absent_at(found->second, time_ms);
  return check.kind == Check::Kind::absent ? !live : live && found->second.version == check.version;
}

std::optional<std::size_t> first_failing(const Kept& kept, std::span<const Check> checks, UnixMs time_ms) {
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (!holds(kept, checks[i], time_ms)) return i;
  }
  return std::nullopt;
}

void apply(Kept& kept, const Write& write, Seq seq, UnixMs time_ms, bool importing) {
  Bytes key = write.key;
  if (write.kind == Write::Kind::put_stamped) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(seq));
    key += digits + write.suffix;
  }
  const auto found = kept.entries.find(key);
  if (write.kind == Write::Kind::put || write.kind == Write::Kind::put_stamped) {
    kept.entries[key] = Entry{key, write.value, importing ? write.version : seq, write.expires_at_ms};
  } else {
    if (found == kept.entries.end()) return;
    if (write.kind == Write::Kind::reap && !absent_at(found->second, time_ms)) return;
    kept.entries.erase(found);
  }
  if (!importing) kept.log.emplace_back(seq, key);
}

class ModelBackend final : public Backend {
 public:
  explicit ModelBackend(const Environment& environment) : random_(environment.completed().random) {
    traits_.name = "model";
    traits_.keeps_acknowledged = true;
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View) const override { return 0; }

  ReadAnswer read(View database, const ReadRequest& request) override {
    const std::lock_guard lock(mutex_);
    const Kept& kept = look_up(database);
    refuse(database, kept, request.token, false);
    if (request.history != 0 && request.history != kept.history) {
      throw Error::history_changed(database, {kept.history, kept.seq});
    }
    ReadAnswer answer;
    answer.at = {kept.history, kept.seq};
    answer.time_ms = time_of(kept, request.now_ms, request.clock_skew_limit_ms);
    answer.floor = kept.floor;
    std::size_t bytes = 0;
    for (const View key : request.gets) {
      const auto found = kept.entries.find(Bytes(key));
      if (found == kept.entries.end() || absent_at(found->second, answer.time_ms)) {
        answer.gets.emplace_back();
        continue;
      }
      const std::size_t size = key.size() + found->second.value.size();
      if (bytes != 0 && bytes + size > limits::kAnswerBytes) break;
      bytes += size;
      answer.gets.emplace_back(found->second);
    }
    const bool cut = answer.gets.size() < request.gets.size();
    for (const Scan& scan : request.scans) answer.pages.push_back(page(kept, scan, answer, bytes, cut));
    answer.failed_check = first_failing(kept, request.checks, answer.time_ms);
    return answer;
  }

  void commit(std::span<Group> groups) override {
    const std::lock_guard lock(mutex_);
    for (Group& group : groups) {
      try {
        commit_one(group);
      } catch (const Error& error) {
        group.error = error;
      }
    }
  }

  Changes changes(View database, const ChangesRequest& request) override {
    const std::lock_guard lock(mutex_);
    const Kept& kept = look_up(database);
    refuse(database, kept, request.token, false);
    if (request.since.history != kept.history || request.since.seq > kept.seq) {
      throw Error::history_changed(database, {kept.history, kept.seq});
    }
    if (request.since.seq < kept.floor) throw Error(Code::compacted, "compacted");
    std::map<Bytes, Seq> newest;
    for (const auto& [seq, key] : kept.log) {
      if (seq > request.since.seq && request.range.contains(key)) newest[key] = seq;
    }
    std::set<std::pair<Seq, Bytes>> ordered;
    for (const auto& [key, seq] : newest) ordered.emplace(seq, key);
    Changes changes;
    changes.head = kept.seq;
    changes.through = {kept.history, kept.seq};
    for (const auto& [seq, key] : ordered) {
      if (changes.items.size() >= request.limit && changes.items.back().version != seq) {
        changes.through.seq = changes.items.back().version;
        break;
      }
      const auto found = kept.entries.find(key);
      Change change{key, seq, found == kept.entries.end(), std::nullopt};
      if (!change.erased && !request.keys_only) change.entry = found->second;
      changes.items.push_back(std::move(change));
    }
    return changes;
  }

  void compact(View database, Seq before, Deadline) override {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(Bytes(database));
    if (found == all_.end()) return;
    Kept& kept = found->second;
    kept.floor = std::max(kept.floor, std::min(before, kept.seq));
    std::erase_if(kept.log, [&](const auto& row) { return row.first <= kept.floor; });
  }

  bool fence(View database, const Fence& expected, const Fence& next, Deadline) override {
    using State = Fence::State;
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(Bytes(database));
    if (found == all_.end()) {
      if (!(expected == Fence{}) || next.state != State::importing || next.token == 0) return false;
      all_[Bytes(database)].fence = next;
      return true;
    }
    Kept& kept = found->second;
    if (!(kept.fence == expected)) return false;
    if (expected == next) return true;
    const bool allowed =
        (expected.state == State::open && next.state == State::frozen && next.token != 0) ||
        (expected.state == State::frozen && next.state == State::moved && next.token != 0) ||
        (expected.state == State::frozen && next == Fence{}) ||
        (expected.state == State::importing && next.state == State::open && next.at.history != 0);
    if (!allowed) return false;
    if (expected.state == State::importing) {
      kept.history = next.at.history;
      kept.seq = kept.floor = next.at.seq;
      kept.time_ms = next.time_ms;
      kept.fence = Fence{};
    } else {
      kept.fence = next;
    }
    return true;
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline) override {
    const std::lock_guard lock(mutex_);
    std::vector<Bytes> names;
    for (const auto& [name, kept] : all_) {
      if (View(name).substr(0, prefix.size()) == prefix && View(name) > after && names.size() < limit) {
        names.push_back(name);
      }
    }
    return names;
  }

  bool drop(View database, std::uint64_t history, Deadline) override {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(Bytes(database));
    if (found == all_.end() || found->second.history != history) return false;
    all_.erase(found);
    return true;
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline) override {
    const std::lock_guard lock(mutex_);
    std::multimap<UnixMs, Expired> due;
    for (const auto& [name, kept] : all_) {
      for (const auto& [key, entry] : kept.entries) {
        if (entry.expires_at_ms) due.emplace(*entry.expires_at_ms, Expired{name, key, *entry.expires_at_ms});
      }
    }
    ExpiredAnswer answer;
    for (const auto& [at, item] : due) {
      if (at <= now_ms && answer.items.size() < limit) {
        answer.items.push_back(item);
      } else {
        answer.next_due_ms = at;
        break;
      }
    }
    return answer;
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::size_t> moved;
    for (std::size_t i = 0; i < cursors.size(); ++i) {
      const Kept& kept = look_up(cursors[i].database);
      if (kept.history != cursors[i].at.history || kept.seq > cursors[i].at.seq) moved.push_back(i);
    }
    return moved;
  }
  void wake() override {}

 private:
  const Kept& look_up(View database) const {
    static const Kept kNothing;
    const auto found = all_.find(Bytes(database));
    return found == all_.end() ? kNothing : found->second;
  }

  static void refuse(View database, const Kept& kept, std::uint64_t token, bool is_commit) {
    using State = Fence::State;
    const State state = kept.fence.state;
    if (state == State::open || token == kept.fence.token) return;
    if (state == State::moved) throw Error::moved(database, kept.fence.place);
    if (state == State::importing || is_commit) throw Error(Code::unavailable, "fenced");
  }

  static UnixMs time_of(const Kept& kept, UnixMs now_ms, std::int64_t limit_ms) {
    if (limit_ms > 0 && now_ms + limit_ms < kept.time_ms) throw Error(Code::clock_skew, "clock skew");
    return now_ms > kept.time_ms ? now_ms : kept.time_ms;
  }

  static Page page(const Kept& kept, const Scan& scan, const ReadAnswer& answer, std::size_t& bytes,
                   bool cut) {
    std::vector<const Entry*> live;
    for (const auto& [key, entry] : kept.entries) {
      if (inside(key, scan.range.begin, scan.range.end) && !absent_at(entry, answer.time_ms))
        live.push_back(&entry);
    }
    if (scan.options.reverse) std::reverse(live.begin(), live.end());
    Page page;
    page.at = answer.at;
    for (const Entry* entry : live) {
      const std::size_t size = entry->key.size() + (scan.options.keys_only ? 0 : entry->value.size());
      if (cut || page.entries.size() == scan.options.limit ||
          (bytes != 0 && bytes + size > limits::kAnswerBytes)) {
        page.more = true;
        break;
      }
      bytes += size;
      page.entries.push_back(*entry);
      if (scan.options.keys_only) page.entries.back().value.clear();
    }
    return page;
  }

  void commit_one(Group& group) {
    const auto found = all_.find(group.database);
    const Kept nothing;
    const Kept& before = found == all_.end() ? nothing : found->second;
    if (const auto told = before.sessions.find(group.session); told != before.sessions.end()) {
      if (group.number == told->second.number && group.content_hash == told->second.content_hash) {
        group.outcomes = told->second.outcomes;
        group.at = told->second.at;
        return;
      }
      if (group.number <= told->second.number) throw Error(Code::session_conflict, "session");
    }
    if (group.history != 0 && group.history != before.history) {
      throw Error::history_changed(group.database, {before.history, before.seq});
    }
    refuse(group.database, before, group.token, true);
    const bool importing = before.fence.state == Fence::State::importing;
    for (const Batch& batch : group.batches) {
      bool fits = !importing || batch.checks.empty();
      for (const Write& write : batch.writes) {
        const bool erase = write.kind == Write::Kind::erase;
        const bool put = write.kind == Write::Kind::put;
        if (importing ? !(erase || (put && write.version != 0)) : write.version != 0) fits = false;
      }
      if (!fits) throw Error(Code::invalid_argument, "import");
    }

    const UnixMs time_ms = time_of(before, group.now_ms, group.clock_skew_limit_ms);
    Kept after = before;
    bool applied = false;
    for (const Batch& batch : group.batches) {
      const auto failed = first_failing(before, batch.checks, time_ms);
      if (failed) {
        group.outcomes.push_back({0, failed});
        continue;
      }
      applied = true;
      if (!importing) ++after.seq;
      for (const Write& write : batch.writes) apply(after, write, after.seq, time_ms, importing);
      group.outcomes.push_back({importing ? 0 : after.seq, std::nullopt});
    }
    if (!applied && !group.retry) {
      group.at = {before.history, before.seq};
      return;
    }
    if (after.history == 0 && !importing) after.history = random_->next() | 1;
    after.time_ms = time_ms;
    group.at = {after.history, after.seq};
    after.sessions[group.session] = {group.number, group.content_hash, group.outcomes, group.at};
    all_[group.database] = std::move(after);
  }

  Traits traits_;
  std::shared_ptr<Random> random_;
  std::mutex mutex_;
  std::map<Bytes, Kept> all_;
};

}  // namespace

std::unique_ptr<Backend> model_backend(const Environment& environment) {
  return std::make_unique<ModelBackend>(environment);
}

}  // namespace holdfast::differential
