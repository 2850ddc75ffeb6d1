// For tests of the committer and of transactions: a memory backend whose commit calls a test can watch, hold
// back, and answer itself.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/memory/memory_backend.h"
#include "contract/forwarding.h"
#include "engine/engine.h"
#include "holdfast/store.h"

namespace holdfast {

/// What a commit call said of one group.
struct SentGroup {
  Bytes database;
  SessionId session;
  std::uint64_t number = 0;
  std::uint64_t content_hash = 0;
  std::uint64_t history = 0;
  bool retry = false;
  std::size_t batches = 0;
};

/// Thread-safe.
class ScriptedBackend final : public ForwardingBackend {
 public:
  using Step = std::function<void(ScriptedBackend&, std::span<Group>)>;

  explicit ScriptedBackend(const Environment& environment) : ForwardingBackend(memory_backend(environment)) {}
  using ForwardingBackend::inner;

  /// What the next commit calls do, in this order; when there is none they are passed on.
  void script(Step step) {
    const std::scoped_lock lock(mutex_);
    steps_.push_back(std::move(step));
  }
  /// What every read does before it is passed on.
  std::function<void(const ReadRequest&)> before_read;

  /// Holds commit calls back (they count as sent) until release().
  void hold() {
    const std::scoped_lock lock(mutex_);
    is_held_ = true;
  }
  void release() {
    // Notified with the lock held: a released call may be the last one before the backend is destroyed.
    const std::scoped_lock lock(mutex_);
    is_held_ = false;
    changed_.notify_all();
  }
  void wait_for_calls(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_.size() >= count; });
  }
  std::vector<std::vector<SentGroup>> calls() const {
    const std::scoped_lock lock(mutex_);
    return calls_;
  }
  std::size_t reads() const {
    const std::scoped_lock lock(mutex_);
    return reads_;
  }
  /// How many commit calls were inside at the same time, at most.
  std::size_t most_at_once() const {
    const std::scoped_lock lock(mutex_);
    return most_at_once_;
  }

  std::size_t lane(View database) const override { return database.starts_with("lane-b") ? 1 : 0; }
  ReadAnswer read(View database, const ReadRequest& request) override {
    {
      const std::scoped_lock lock(mutex_);
      ++reads_;
    }
    if (before_read) before_read(request);
    return inner().read(database, request);
  }
  void commit(std::span<Group> groups) override {
    Step step;
    {
      std::unique_lock lock(mutex_);
      std::vector<SentGroup> call;
      for (const Group& group : groups) {
        call.push_back({group.database, group.session, group.number, group.content_hash, group.history,
                        group.retry, group.batches.size()});
      }
      calls_.push_back(std::move(call));
      most_at_once_ = std::max(most_at_once_, ++inside_);
      if (!steps_.empty()) {
        step = std::move(steps_.front());
        steps_.pop_front();
      }
      changed_.notify_all();
      changed_.wait(lock, [&] { return !is_held_; });
    }
    if (step) {
      step(*this, groups);
    } else {
      inner().commit(groups);
    }
    const std::scoped_lock lock(mutex_);
    --inside_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> steps_;
  std::vector<std::vector<SentGroup>> calls_;
  std::size_t reads_ = 0;
  std::size_t inside_ = 0;
  std::size_t most_at_once_ = 0;
  bool is_held_ = false;
};

// Steps.

/// The groups are applied, but their answer is lost.
inline void lose_answer(ScriptedBackend& backend, std::span<Group> groups) {
  backend.inner().commit(groups);
  for (Group& group : groups) group.error = Error(Code::unavailable, Retry::unknown_outcome, "lost");
}
/// The groups get lost on their way; nobody can know.
inline void lose_request(ScriptedBackend& /*backend*/, std::span<Group> groups) {
  for (Group& group : groups) group.error = Error(Code::unavailable, Retry::unknown_outcome, "lost");
}
inline ScriptedBackend::Step fail_with(Error error) {
  return [error = std::move(error)](ScriptedBackend&, std::span<Group> groups) {
    for (Group& group : groups) group.error = error;
  };
}

/// An engine on a scripted backend under a manual clock.
class ScriptedWorld {
 public:
  ScriptedWorld() : clock(std::make_shared<ManualClock>()) {
    StoreOptions options;
    options.environment = {clock, seeded_random(7), nullptr};
    options.sweeper = false;
    auto scripted = std::make_unique<ScriptedBackend>(options.environment);
    backend = scripted.get();
    engine = std::make_shared<Engine>(std::move(scripted), options);
  }
  ~ScriptedWorld() {
    if (!engine->is_closed()) backend->release();
  }

  Deadline in(std::chrono::milliseconds delay) { return clock->steady_now() + delay; }
  std::shared_ptr<EngineDatabase> database(View name = "db") { return engine->database(name); }
  Database handle(View name = "db") { return engine->handle(name); }
  /// Until so many callers wait in the lane of `name`.
  void wait_for_queued(std::size_t count, View name = "db") {
    const auto queue = engine->database(name);
    while (queue->committer().queued() != count) std::this_thread::yield();
  }

  std::shared_ptr<ManualClock> clock;
  ScriptedBackend* backend;
  std::shared_ptr<Engine> engine;
};

}  // namespace holdfast
