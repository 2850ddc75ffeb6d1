// Several engines, processes that crash, tasks that do whatever comes to mind: each task has one owner at a
// time, is completed once, and none is lost.
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

#include "tests/services/tasks_fixture.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class TasksConcurrencyTest : public TasksTestBase {
 protected:
  static void note_most(std::atomic<int>& most, int now) {
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
  }
};

HOLDFAST_ON_EVERY_TARGET(TasksConcurrencyTest);

TEST_P(TasksConcurrencyTest, whatever_happens_each_task_has_one_owner_and_is_completed_once_or_dies) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  const std::shared_ptr<Random> random = seeded_random(seed);
  const std::size_t rounds = GetParam().cheap ? 60 : 15;

  std::mutex mutex;
  std::map<TaskId, int> owners;
  std::atomic<int> most_owners = 0;
  std::atomic<int> limited = 0;
  std::atomic<int> most_limited = 0;
  const auto run = [&](TaskWork& work) {
    const TaskId id = work.task().id;
    const bool is_limited = work.task().type == "limited";
    {
      const std::scoped_lock lock(mutex);
      note_most(most_owners, ++owners[id]);
    }
    if (is_limited) note_most(most_limited, ++limited);
    const std::size_t dice = std::hash<Bytes>()(id + std::to_string(work.task().attempts)) % 10;
    work.in_commit([id](Transaction& transaction) {
      const std::optional<Entry> before = transaction.get("done/" + id);
      transaction.put("done/" + id, before ? "again" : "once");
    });
    if (dice == 0) work.follow("plain", {.body = "follows"});
    if (is_limited) --limited;
    {
      const std::scoped_lock lock(mutex);
      --owners[id];
    }
    if (dice == 1) return false;
    if (dice == 2) throw std::runtime_error("failed");
    if (dice == 3) throw TaskDeferred("later", seconds(2));
    return true;
  };
  TaskType plain = type("plain", run);
  plain.max_failures = 3;
  TaskType total = type("limited", run);
  total.max_running_total = 2;

  std::vector<std::shared_ptr<Store>> stores;
  std::vector<std::unique_ptr<TaskEngine>> engines;
  for (int i = 0; i < 4; ++i) {
    Database of = database();
    if (GetParam().shared && i > 1) {
      stores.push_back(open_patient());
      of = stores.back()->database("app");
    }
    TaskEngineOptions few = options();
    few.max_running = 3;
    few.random = seeded_random(seed + static_cast<std::uint64_t>(i));
    few.session_lease = hours(24);
    engines.push_back(std::make_unique<TaskEngine>(tasks(of), std::vector<TaskType>{plain, total}, few));
  }
  const auto until_all_idle = [&] {
    for (const auto& engine : engines) {
      until([&] { return engine->metrics().is_waiting && engine->metrics().running == 0; });
    }
  };
  std::vector<TaskId> added;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::uint64_t i = random->next() % 8; i > 0; --i) {
      const milliseconds delay(random->next() % 2 == 0 ? 0 : random->next() % 4'000);
      const std::optional<TaskId> id =
          tasks().add(random->next() % 3 == 0 ? "limited" : "plain", {.delay = delay});
      added.push_back(id.value());
    }
    if (random->next() % 3 == 0) {
      // A process that claims what it can and is gone.
      const TaskMoves moves(TaskKeys("task"), random);
      const Bytes session = new_task_id(clock().now_ms(), *system_random());
      std::vector<TaskId> ids;
      for (const Task& task : tasks().list(TaskState::waiting, "plain").items) ids.push_back(task.id);
      database().transact(
          [&](Transaction& transaction) { moves.begin_session(transaction, session, seconds(5)); });
      database().transact([&](Transaction& transaction) {
        moves.claim(transaction, {.session = session, .type = "plain", .max_failures = 3, .room = 3}, ids);
      });
    }
    until_all_idle();
    advance(milliseconds(random->next() % 3'000));
  }
  for (;;) {
    until_all_idle();
    const TaskStats stats = tasks().stats();
    if (stats.waiting + stats.running == 0) break;
    advance(seconds(3));
  }
  for (const auto& engine : engines) EXPECT_TRUE(engine->stop(hours(1)));
  check_layout();
  EXPECT_EQ(most_owners, 1);
  EXPECT_LE(most_limited, 2);
  std::uint64_t completed = 0;
  for (const TaskId& id : added) {
    const std::vector<TaskAttempt> history = tasks().history(id);
    ASSERT_FALSE(history.empty());
    for (std::size_t i = 0; i < history.size(); ++i) EXPECT_EQ(history[i].number, i + 1);
    const std::optional<Task> dead = tasks().get(id);
    if (dead) {
      EXPECT_EQ(dead->state, TaskState::dead);
      EXPECT_GT(dead->retries, 3u);
      EXPECT_FALSE(database().get("done/" + id));
    } else {
      EXPECT_EQ(history.back().result, AttemptResult::done);
      EXPECT_EQ(database().get("done/" + id)->value, "once");
      ++completed;
    }
  }
  EXPECT_GT(completed, 0u);
}

}  // namespace
}  // namespace holdfast
