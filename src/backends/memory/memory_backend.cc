#include "backends/memory/memory_backend.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <tuple>

#include "backends/memory/memory_database.h"
#include "contract/commit_each.h"

namespace holdfast {
namespace {

class MemoryBackend final : public Backend {
 public:
  explicit MemoryBackend(const Environment& environment) : environment_(environment.completed()) {
    traits_.name = "memory";
    traits_.durability = Durability::process;
    traits_.keeps_acknowledged = true;
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View database) const override { return std::hash<View>{}(database) % kLanes; }

  ReadAnswer read(View name, const ReadRequest& request) override {
    std::unique_lock lock(mutex_);
    const MemoryDatabase& database = find(name);
    UnixMs time_ms = admit_read(name, database.head(), request);
    if (canary(6, 'b')) time_ms = environment_.clock->now_ms();
    ReadAnswer answer = database.read(request, time_ms);
    if (canary(13)) answer.at = (canary_gap(lock), find(name).head().position());
    return answer;
  }

  void commit(std::span<Group> groups) override {
    commit_each(groups, [this](Group& group) { commit_one(group); });
  }

  Changes changes(View name, const ChangesRequest& request) override {
    const std::lock_guard lock(mutex_);
    const MemoryDatabase& database = find(name);
    admit_changes(name, database.head(), request);
    return database.changes(request);
  }

  void compact(View name, Seq before, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    const auto found = databases_.find(name);
    if (found != databases_.end()) found->second.compact(before);
  }

  bool fence(View name, const Fence& expected, const Fence& next, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    const auto [database, created] = databases_.try_emplace(Bytes(name));
    const bool done = database->second.fence(expected, next);
    if (!done && created) databases_.erase(database);
    changed_.notify_all();
    return done;
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    std::vector<Bytes> names;
    auto at = after < prefix ? databases_.lower_bound(prefix) : databases_.upper_bound(after);
    for (; at != databases_.end() && at->first.starts_with(prefix) && names.size() < limit; ++at) {
      names.push_back(at->first);
    }
    return names;
  }

  bool drop(View name, std::uint64_t history, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    const auto found = databases_.find(name);
    if (found == databases_.end() || found->second.head().history != history) return false;
    databases_.erase(found);
    changed_.notify_all();
    return true;
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    ExpiredAnswer answer;
    for (const auto& [name, database] : databases_) database.list_expired(name, now_ms, limit, answer);
    std::sort(answer.items.begin(), answer.items.end(), [](const Expired& a, const Expired& b) {
      return std::tie(a.expires_at_ms, a.database, a.key) < std::tie(b.expires_at_ms, b.database, b.key);
    });
    if (answer.items.size() > limit) {
      const UnixMs due_ms = answer.items[limit].expires_at_ms;
      answer.next_due_ms = std::min(answer.next_due_ms.value_or(due_ms), due_ms);
      answer.items.resize(limit);
    }
    return answer;
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    std::unique_lock lock(mutex_);
    const std::uint64_t wakes_seen = wakes_;
    ++waiting_;
    std::vector<std::size_t> behind = cursors_behind(cursors);
    while (behind.empty() && wakes_ == wakes_seen && !woken_early_ &&
           environment_.clock->steady_now() < deadline) {
      if (canary(19)) canary_gap(lock);
      environment_.clock->wait_until(changed_, lock, deadline);
      behind = cursors_behind(cursors);
    }
    --waiting_;
    woken_early_ = false;
    return behind;
  }

  void wake() override {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    if (waiting_ == 0) woken_early_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr std::size_t kLanes = 4;

  const MemoryDatabase& find(View name) const {
    const auto found = databases_.find(name);
    return found == databases_.end() ? none_ : found->second;
  }

  void commit_one(Group& group) {
    std::unique_lock lock(mutex_);
    const MemoryDatabase& before = find(group.database);
    const SessionRecord* last = before.session(group.session);
    if (judge_session(last, group) == SessionVerdict::recorded) {
      group.outcomes = last->outcomes;
      group.at = last->at;
      return;
    }
    const UnixMs time_ms = admit_commit(before.head(), group);
    group.outcomes = before.judge(group, time_ms);
    if (canary(2)) canary_gap(lock);
    const std::size_t applied = std::count_if(group.outcomes.begin(), group.outcomes.end(),
                                              [](const Outcome& outcome) { return outcome.committed(); });
    group.at = before.head().position();
    if (!must_record(group, applied)) return;
    const std::uint64_t history = before.head().history;
    MemoryDatabase& database = databases_[group.database];
    database.apply(group, group.outcomes, time_ms, history != 0 ? history : new_history(group.database));
    group.at = database.head().position();
    changed_.notify_all();
  }

  std::uint64_t new_history(View name) {
    if (canary(17)) return std::hash<View>{}(name) | 1;
    std::uint64_t history = 0;
    while (history == 0) history = environment_.random->next();
    return history;
  }

  std::vector<std::size_t> cursors_behind(std::span<const Cursor> cursors) const {
    std::vector<std::size_t> behind;
    for (std::size_t i = 0; i < cursors.size(); ++i) {
      const Position head = find(cursors[i].database).head().position();
      if (head.history != cursors[i].at.history || head.seq > cursors[i].at.seq) behind.push_back(i);
    }
    return behind;
  }

  const Environment environment_;
  const MemoryDatabase none_{};  ///< what a database without a head looks like
  Traits traits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Bytes, MemoryDatabase, std::less<>> databases_;
  std::uint64_t wakes_ = 0;
  std::size_t waiting_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
};

}  // namespace

std::unique_ptr<Backend> memory_backend(const Environment& environment) {
  return std::make_unique<MemoryBackend>(environment);
}

BackendFactory memory_factory() {
  BackendFactory factory;
  factory.scheme = "memory";
  factory.ephemeral = true;
  factory.open = [](const Url&, const Options&, const Environment& environment) {
    return memory_backend(environment);
  };
  return factory;
}

}  // namespace holdfast
