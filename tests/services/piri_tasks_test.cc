// What Piri's own suite fixes about its task engine, test by test, with the differences that
// docs/services/tasks.md gives the reasons for.
#include <future>

#include "tests/services/tasks_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class PiriTasksTest : public TasksTestBase {
 protected:
  void TearDown() override {
    if (!HasFatalFailure()) check_layout();
  }
  TaskType counting(std::atomic<int>& runs) {
    return type("t", [&](TaskWork&) {
      ++runs;
      return true;
    });
  }
  /// A type that is tried again without a wait.
  static TaskType at_once(std::uint32_t max_failures, std::function<bool(TaskWork&)> run) {
    return {
        .name = "t", .run = std::move(run), .max_failures = max_failures, .retry_wait = [](std::uint32_t) {
          return milliseconds(0);
        }};
  }
  bool has_no_task() {
    const TaskStats stats = tasks().stats();
    return stats.waiting + stats.running + stats.dead == 0;
  }
  /// Tasks that go on until they are asked to stop.
  static TaskType endless(std::atomic<int>& running) {
    return type("t", [&running](TaskWork& work) -> bool {
      ++running;
      while (!work.stop().stop_requested()) std::this_thread::yield();
      throw std::runtime_error("asked to stop");
    });
  }
  /// stop() with a limit, while the clock goes on.
  bool stops_within(TaskEngine& engine, milliseconds limit) {
    auto stopping = std::async(std::launch::async, [&] { return engine.stop(limit); });
    while (stopping.wait_for(milliseconds(1)) != std::future_status::ready) advance(milliseconds(100));
    return stopping.get();
  }
  TaskEngineOptions long_lease() {
    TaskEngineOptions with = options();
    with.session_lease = hours(24);
    return with;
  }
};

HOLDFAST_ON_EVERY_TARGET(PiriTasksTest);

TEST_P(PiriTasksTest, Piri57_64_tasks_all_run_and_leave_64_records) {
  std::atomic<int> runs = 0;
  TaskEngine engine(tasks(), {counting(runs)}, options());
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(tasks().add("t"));
  until_ended(engine, 64);
  EXPECT_EQ(runs, 64);
  EXPECT_TRUE(has_no_task());
  EXPECT_EQ(all_history().size(), 64u);
}

TEST_P(PiriTasksTest, Piri58_tasks_of_a_crashed_session_are_run_and_removed) {
  for (int i = 0; i < 3; ++i) tasks().add("t");
  const Bytes crashed = crash_with_tasks_of("t", seconds(30));
  // Not before its lease has ended.
  advance(seconds(30));
  std::atomic<int> runs = 0;
  TaskEngine engine(tasks(), {counting(runs)}, options());
  EXPECT_NE(engine.session(), crashed);
  until_ended(engine, 3);
  EXPECT_EQ(runs, 3);
  EXPECT_TRUE(has_no_task());
  // The attempts that crashed have a record too.
  EXPECT_EQ(all_history().size(), 6u);
}

TEST_P(PiriTasksTest, Piri59_tasks_that_nobody_owns_at_the_start_are_run_and_removed) {
  for (int i = 0; i < 3; ++i) tasks().add("t");
  std::atomic<int> runs = 0;
  TaskEngine engine(tasks(), {counting(runs)}, options());
  until_ended(engine, 3);
  EXPECT_EQ(runs, 3);
  EXPECT_TRUE(has_no_task());
  EXPECT_EQ(all_history().size(), 3u);
}

TEST_P(PiriTasksTest, Piri60_a_task_of_a_live_session_is_left_alone_by_those_who_start) {
  const TaskId crashed = tasks().add("t").value();
  crash_with_tasks_of("t", seconds(1));
  const TaskId owned = tasks().add("mine").value();
  TaskGate gate;
  std::atomic<int> runs = 0;
  const TaskType mine = type("mine", [&](TaskWork&) {
    ++runs;
    gate.pass();
    return true;
  });
  TaskEngine alive(tasks(), {mine}, options());
  until([&] { return runs == 1; });
  const TaskId unowned = tasks().add("t").value();
  until_idle(alive);
  advance(seconds(1));
  std::atomic<int> others = 0;
  TaskEngine engine(tasks(), {counting(others), mine}, options());
  until_ended(engine, 2);
  EXPECT_EQ(others, 2);
  EXPECT_FALSE(tasks().get(crashed));
  EXPECT_FALSE(tasks().get(unowned));
  EXPECT_EQ(tasks().get(owned)->session, alive.session());
  EXPECT_EQ(runs, 1);
  gate.open();
  until_ended(alive, 1);
}

TEST_P(PiriTasksTest, Piri61_a_task_that_fails_once_has_two_attempts) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(),
                    {at_once(3,
                             [](TaskWork& work) {
                               if (work.task().attempts == 1) throw std::runtime_error("first");
                               return true;
                             })},
                    options());
  until_ended(engine, 2);
  const std::vector<TaskAttempt> history = tasks().history(id);
  EXPECT_EQ(results(history), (Results{AttemptResult::failed, AttemptResult::done}));
  EXPECT_EQ(history.at(0).error, "first");
  EXPECT_EQ(history.at(1).error, "");
  EXPECT_TRUE(has_no_task());
}

TEST_P(PiriTasksTest, Piri62_a_task_that_fails_four_times_of_five_is_done) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(), {at_once(5, [](TaskWork& work) { return work.task().attempts == 5; })},
                    options());
  until_ended(engine, 5);
  const auto failed = AttemptResult::failed;
  EXPECT_EQ(results(tasks().history(id)), (Results{failed, failed, failed, failed, AttemptResult::done}));
  EXPECT_TRUE(has_no_task());
}

TEST_P(PiriTasksTest, Piri63_a_task_that_always_fails_has_one_attempt_more_than_failures_allowed) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(), {at_once(3, [](TaskWork&) -> bool { throw std::runtime_error("always"); })},
                    options());
  until_ended(engine, 4);
  until_idle(engine);
  EXPECT_EQ(results(tasks().history(id)), Results(4, AttemptResult::failed));
  // It is kept, among the dead.
  EXPECT_EQ(tasks().get(id)->state, TaskState::dead);
  EXPECT_EQ(engine.metrics().claimed, 4u);
}

TEST_P(PiriTasksTest, Piri64_stop_waits_for_a_task_that_runs) {
  tasks().add("t");
  TaskGate gate;
  std::atomic<bool> has_begun = false;
  std::atomic<bool> has_ended = false;
  TaskEngine engine(tasks(),
                    {type("t",
                          [&](TaskWork&) {
                            has_begun = true;
                            gate.pass();
                            has_ended = true;
                            return true;
                          })},
                    options());
  until([&] { return has_begun.load(); });
  auto stopping = std::async(std::launch::async, [&] { return engine.stop(hours(1)); });
  EXPECT_NE(stopping.wait_for(milliseconds(0)), std::future_status::ready);
  gate.open();
  EXPECT_TRUE(stopping.get());
  EXPECT_TRUE(has_ended);
  // Its completion is committed, unlike there.
  EXPECT_TRUE(has_no_task());
  EXPECT_EQ(all_history().size(), 1u);
}

TEST_P(PiriTasksTest, Piri65_stop_gives_up_at_its_limit) {
  tasks().add("t");
  std::atomic<int> running = 0;
  TaskEngine engine(tasks(), {endless(running)}, long_lease());
  until([&] { return running == 1; });
  EXPECT_FALSE(stops_within(engine, seconds(2)));
}

TEST_P(PiriTasksTest, Piri66_stop_waits_for_all_tasks) {
  for (int i = 0; i < 5; ++i) tasks().add("t");
  TaskGate gate;
  std::atomic<int> begun = 0;
  std::atomic<int> ended = 0;
  TaskEngine engine(tasks(),
                    {type("t",
                          [&](TaskWork&) {
                            ++begun;
                            gate.pass();
                            ++ended;
                            return true;
                          })},
                    options());
  until([&] { return begun == 5; });
  auto stopping = std::async(std::launch::async, [&] { return engine.stop(hours(1)); });
  gate.open();
  EXPECT_TRUE(stopping.get());
  EXPECT_EQ(ended, 5);
  EXPECT_EQ(all_history().size(), 5u);
}

TEST_P(PiriTasksTest, Piri67_stop_gives_up_at_its_limit_with_several_tasks) {
  for (int i = 0; i < 3; ++i) tasks().add("t");
  std::atomic<int> running = 0;
  TaskEngine engine(tasks(), {endless(running)}, long_lease());
  until([&] { return running == 3; });
  EXPECT_FALSE(stops_within(engine, seconds(2)));
}

TEST_P(PiriTasksTest, Piri68_a_new_task_does_not_wait_for_the_retry_wait) {
  TaskType patient = type("t", [](TaskWork&) { return true; });
  patient.retry_wait = [](std::uint32_t) { return minutes(5); };
  TaskEngine engine(tasks(), {patient}, options());
  tasks().add("t");
  // The clock does not move.
  until_ended(engine, 1);
  EXPECT_TRUE(has_no_task());
}

TEST_P(PiriTasksTest, Piri69_deferrals_do_not_count_as_failures) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(),
                    {at_once(2,
                             [](TaskWork& work) {
                               if (work.task().attempts <= 3) throw TaskDeferred("gas too high");
                               return true;
                             })},
                    options());
  until_ended(engine, 4);
  const auto deferred = AttemptResult::deferred;
  const std::vector<TaskAttempt> history = tasks().history(id);
  EXPECT_EQ(results(history), (Results{deferred, deferred, deferred, AttemptResult::done}));
  EXPECT_EQ(history.at(0).error, "gas too high");
  EXPECT_TRUE(has_no_task());
}

TEST_P(PiriTasksTest, Piri70_a_deferred_task_has_no_retries_and_waits_all_the_same) {
  const TaskId id = tasks().add("t").value();
  TaskType patient = type("t", [](TaskWork&) -> bool { throw TaskDeferred("gas too high"); });
  patient.retry_wait = [](std::uint32_t retries) { return minutes(5) * retries; };
  TaskEngine engine(tasks(), {patient}, options());
  until_ended(engine, 1);
  EXPECT_EQ(tasks().get(id)->retries, 0u);
  EXPECT_EQ(tasks().get(id)->due_at_ms, clock().now_ms() + 300'000);
}

TEST_P(PiriTasksTest, Piri71_deferrals_and_failures_mix) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(),
                    {at_once(1,
                             [](TaskWork& work) -> bool {
                               if (work.task().attempts % 2 == 1) throw TaskDeferred("gas");
                               throw std::runtime_error("real");
                             })},
                    options());
  until_ended(engine, 4);
  const auto deferred = AttemptResult::deferred;
  const auto failed = AttemptResult::failed;
  EXPECT_EQ(results(tasks().history(id)), (Results{deferred, failed, deferred, failed}));
  EXPECT_EQ(tasks().get(id)->state, TaskState::dead);
}

}  // namespace
}  // namespace holdfast
