// What the suites of tasks share.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "holdfast/task_engine.h"
#include "holdfast/tasks.h"
#include "services/tasks_moves.h"
#include "services/tasks_record.h"
#include "tests/services/service_test.h"

namespace holdfast {

/// Where tasks wait until the test lets them go on.
class TaskGate {
 public:
  void open() {
    const std::scoped_lock lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
};

class TasksTestBase : public ServiceTest {
 protected:
  using Results = std::vector<AttemptResult>;

  void SetUp() override { store_ = open_patient(); }
  /// A store whose calls have no deadline: here the clock may move on by hours while some are under way.
  std::shared_ptr<Store> open_patient() {
    StoreOptions options;
    options.environment.clock = clock_pointer();
    options.sweeper = false;
    options.timeout = std::chrono::hours(24 * 365);
    return open(options);
  }
  Database database() { return store_->database("app"); }
  std::uint64_t stored_entries() { return database().digest().entries; }
  Tasks tasks() { return tasks(database()); }
  static Tasks tasks(const Database& database) { return Tasks(database); }
  TaskEngineOptions options() {
    TaskEngineOptions options;
    options.clock = clock_pointer();
    options.stop_limit = std::chrono::hours(1);
    options.on_error = [](const std::exception& error) { ADD_FAILURE() << error.what(); };
    return options;
  }
  static TaskType type(View name, std::function<bool(TaskWork&)> run) {
    return {.name = Bytes(name), .run = std::move(run)};
  }
  /// Returns when the engine has committed so many ends, of whatever sort.
  void until_ended(const TaskEngine& engine, std::uint64_t ends) {
    until([&] {
      const TaskEngineMetrics metrics = engine.metrics();
      return metrics.done + metrics.failed + metrics.deferred + metrics.released + metrics.lost >= ends;
    });
  }
  /// Returns when the engine does nothing but wait.
  void until_idle(const TaskEngine& engine) {
    until([&] { return engine.metrics().is_waiting; });
  }
  static Results results(const std::vector<TaskAttempt>& attempts) {
    Results results;
    for (const TaskAttempt& attempt : attempts) results.push_back(attempt.result);
    return results;
  }
  std::vector<TaskAttempt> all_history() {
    std::vector<TaskAttempt> attempts;
    ListOptions page{.limit = 1'000};
    do {
      Listing<TaskAttempt> listing = tasks().history(page);
      attempts.insert(attempts.end(), listing.items.begin(), listing.items.end());
      page.cursor = listing.cursor;
    } while (!page.cursor.empty());
    return attempts;
  }
  /// A session that claims all that is due of a type and then says nothing more, as a process that was
  /// killed.
  Bytes crash_with_tasks_of(View name, std::chrono::milliseconds lease) {
    const TaskMoves moves(TaskKeys("task"), seeded_random(11));
    const Bytes session = new_task_id(clock().now_ms(), *system_random());
    std::vector<TaskId> ids;
    const Listing<Task> waiting = tasks().list(TaskState::waiting, Bytes(name), {.limit = 1'000});
    for (const Task& task : waiting.items) ids.push_back(task.id);
    database().transact([&](Transaction& transaction) { moves.begin_session(transaction, session, lease); });
    const Claimed claimed = database().transact([&](Transaction& transaction) {
      return moves.claim(transaction, {.session = session, .type = Bytes(name), .room = ids.size()}, ids);
    });
    EXPECT_EQ(claimed.tasks.size(), ids.size());
    return session;
  }
  /// Fails unless what docs/services/tasks.md promises of the entries holds.
  void check_layout() {
    const TaskKeys keys("task");
    std::map<TaskId, Task> live;
    std::set<Bytes> unique_keys;
    std::set<Bytes> places;
    std::set<Bytes> attempts;
    const auto each = [&](const Bytes& prefix, const std::function<void(const Entry&)>& look) {
      Range range = Range::prefix(prefix);
      for (bool is_more = true; is_more;) {
        const Page page = database().scan(range, {.limit = 10'000});
        for (const Entry& entry : page.entries) look(entry);
        is_more = page.more;
        if (is_more) range.begin = page.entries.back().key + '\0';
      }
    };
    each("task/task/", [&](const Entry& entry) {
      const Task task = parse_task(task_id_of(entry.key), entry.value);
      ASSERT_NE(task.state, TaskState::dead);
      places.insert(task.state == TaskState::running ? keys.running(task.type, task.id)
                                                     : keys.waiting(task.type, task.due_at_ms, task.id));
      EXPECT_EQ(task.state == TaskState::running, !task.session.empty());
      if (!task.unique_key.empty()) unique_keys.insert(keys.unique(task.type, task.unique_key));
    });
    each(keys.live(), [&](const Entry& entry) { EXPECT_EQ(places.erase(entry.key), 1u) << entry.key; });
    EXPECT_TRUE(places.empty()) << "a task that cannot be found";
    each("task/unique/", [&](const Entry& entry) { EXPECT_EQ(unique_keys.erase(entry.key), 1u); });
    EXPECT_TRUE(unique_keys.empty());
    each(keys.dead(), [&](const Entry& entry) {
      EXPECT_EQ(parse_task(task_id_of(entry.key), entry.value).state, TaskState::dead);
      EXPECT_FALSE(database().get(keys.task(task_id_of(entry.key))));
    });
    each("task/attempt/", [&](const Entry& entry) { attempts.insert(entry.key); });
    each(keys.ended(), [&](const Entry& entry) {
      EXPECT_EQ(attempts.erase(keys.attempt_of_ended(entry.key)), 1u) << entry.key;
    });
    EXPECT_TRUE(attempts.empty()) << "an attempt that is not in the order";
  }

 private:
  std::shared_ptr<Store> store_;
};

}  // namespace holdfast
