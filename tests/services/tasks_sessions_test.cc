// Who owns a task, and for how long.
#include <future>

#include "tests/services/tasks_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class TaskSessionsTest : public TasksTestBase {
 protected:
  void TearDown() override {
    if (!HasFatalFailure()) check_layout();
  }
};

HOLDFAST_ON_EVERY_TARGET(TaskSessionsTest);

TEST_P(TaskSessionsTest, tasks_of_a_dead_session_are_taken_over_when_its_lease_has_ended_and_not_before) {
  for (int i = 0; i < 3; ++i) tasks().add("t");
  const Bytes dead = crash_with_tasks_of("t", seconds(30));
  TaskEngine engine(tasks(), {type("t", [](TaskWork&) { return true; })}, options());
  for (const milliseconds step : {milliseconds(10'000), milliseconds(10'000), milliseconds(9'999)}) {
    until_idle(engine);
    advance(step);
  }
  until_idle(engine);
  EXPECT_EQ(tasks().stats().running, 3u);
  EXPECT_TRUE(all_history().empty());
  advance(milliseconds(1));
  until_ended(engine, 3);
  EXPECT_EQ(engine.metrics().taken_over, 3u);
  EXPECT_EQ(engine.metrics().done, 3u);
  for (const TaskAttempt& attempt : all_history()) {
    const std::vector<TaskAttempt> history = tasks().history(attempt.task);
    ASSERT_EQ(results(history), (Results{AttemptResult::lost, AttemptResult::done}));
    EXPECT_EQ(history[0].session, dead);
    EXPECT_FALSE(history[0].error.empty());
    EXPECT_EQ(history[1].session, engine.session());
  }
  until([&] { return tasks().sessions().size() == 1; });
  EXPECT_EQ(tasks().sessions()[0].id, engine.session());
}

TEST_P(TaskSessionsTest, an_engine_that_is_alive_keeps_its_tasks_however_long_they_take) {
  const TaskId id = tasks().add("t").value();
  TaskGate gate;
  std::atomic<int> runs = 0;
  const TaskType waits = type("t", [&](TaskWork&) {
    ++runs;
    gate.pass();
    return true;
  });
  TaskEngine one(tasks(), {waits}, options());
  until([&] { return runs == 1; });
  TaskEngine two(tasks(), {waits}, options());
  for (int i = 0; i < 20; ++i) {
    until_idle(one);
    until_idle(two);
    advance(seconds(10));
  }
  until_idle(two);
  gate.open();
  until_ended(one, 1);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(two.metrics().taken_over, 0u);
  EXPECT_EQ(results(tasks().history(id)), Results{AttemptResult::done});
}

TEST_P(TaskSessionsTest, what_a_former_owner_says_is_refused_and_it_goes_on_with_a_new_session) {
  const TaskId id = tasks().add("t").value();
  TaskGate gate;
  std::atomic<bool> has_begun = false;
  // It stands still: its heartbeats do not come.
  TaskEngineOptions still = options();
  const auto its_clock = std::make_shared<ManualClock>();
  still.clock = its_clock;
  TaskType slow = type("t", [&](TaskWork& work) {
    has_begun = true;
    gate.pass();
    work.follow("next", {.unique_key = "a"});
    work.in_commit([](Transaction& transaction) { transaction.put("by", "former"); });
    return true;
  });
  // It cannot take the task once more while it has not noticed.
  slow.max_running = 1;
  const TaskType only_here = type("here", [](TaskWork&) { return true; });
  TaskEngine former(tasks(), {slow, only_here}, still);
  until([&] { return has_begun.load(); });
  const Bytes lost_session = former.session();
  TaskEngine owner(tasks(),
                   {type("t",
                         [](TaskWork& work) {
                           work.in_commit([](Transaction& t) { t.put("by", "owner"); });
                           return true;
                         })},
                   options());
  until_idle(owner);
  advance(seconds(29));
  until_idle(owner);
  EXPECT_EQ(owner.metrics().taken_over, 0u);
  advance(seconds(1));
  until_ended(owner, 1);
  its_clock->advance(seconds(30));
  until([&] { return former.session() != lost_session; });
  gate.open();
  until_ended(former, 1);
  EXPECT_EQ(former.metrics().lost, 1u);
  EXPECT_EQ(former.metrics().done, 0u);
  EXPECT_EQ(database().get("by")->value, "owner");
  EXPECT_TRUE(tasks().list(TaskState::waiting, "next").items.empty());
  EXPECT_EQ(results(tasks().history(id)), (Results{AttemptResult::lost, AttemptResult::done}));
  const TaskId here = tasks().add("here").value();
  until_ended(former, 2);
  EXPECT_EQ(former.metrics().sessions, 2u);
  EXPECT_EQ(tasks().history(here).at(0).session, former.session());
}

TEST_P(TaskSessionsTest, the_claim_of_a_session_that_others_have_found_dead_is_refused) {
  const TaskMoves moves(TaskKeys("task"), seeded_random(1));
  const std::vector<TaskId> ids{tasks().add("t").value()};
  const Bytes session = new_task_id(clock().now_ms(), *system_random());
  const auto with = [&](const auto& body) { return database().transact(body); };
  with([&](Transaction& t) { moves.begin_session(t, session, seconds(30)); });
  EXPECT_FALSE(with([&](Transaction& t) { return moves.bury_session(t, session); }));
  advance(seconds(30));
  // Nobody has noticed yet.
  EXPECT_TRUE(with([&](Transaction& t) { return moves.keep_session(t, session, seconds(30)); }));
  EXPECT_FALSE(with([&](Transaction& t) { return moves.bury_session(t, session); }));
  advance(seconds(30));
  EXPECT_TRUE(with([&](Transaction& t) { return moves.bury_session(t, session); }));
  EXPECT_FALSE(with([&](Transaction& t) { return moves.keep_session(t, session, seconds(30)); }));
  const Claimed claimed =
      with([&](Transaction& t) { return moves.claim(t, {.session = session, .type = "t", .room = 1}, ids); });
  EXPECT_TRUE(claimed.is_session_over);
  EXPECT_TRUE(claimed.tasks.empty());
  EXPECT_EQ(tasks().get(ids[0])->state, TaskState::waiting);
}

TEST_P(TaskSessionsTest, a_crash_counts_as_a_failure_so_that_what_always_crashes_dies) {
  const TaskId id = tasks().add("t").value();
  for (std::uint32_t crashes = 1; crashes <= 2; ++crashes) {
    crash_with_tasks_of("t", seconds(20));
    // It need not know the type.
    TaskEngine other(tasks(), {type("other", [](TaskWork&) { return true; })}, options());
    until_idle(other);
    advance(seconds(20));
    until([&] { return other.metrics().taken_over == 1; });
    EXPECT_EQ(tasks().get(id)->retries, crashes);
    EXPECT_EQ(tasks().get(id)->due_at_ms, clock().now_ms());
  }
  TaskType twice = type("t", [](TaskWork&) { return true; });
  twice.max_failures = 1;
  TaskEngine engine(tasks(), {twice}, options());
  until([&] { return tasks().get(id)->state == TaskState::dead; });
  EXPECT_EQ(results(tasks().history(id)), (Results{AttemptResult::lost, AttemptResult::lost}));
  EXPECT_EQ(engine.metrics().claimed, 0u);
}

TEST_P(TaskSessionsTest, many_tasks_are_taken_over_in_steps) {
  for (int i = 0; i < 120; ++i) tasks().add("t");
  crash_with_tasks_of("t", seconds(5));
  crash_with_tasks_of("nothing", seconds(5));
  advance(seconds(5));
  TaskEngine one(tasks(), {type("t", [](TaskWork&) { return true; })}, options());
  TaskEngine two(tasks(), {type("t", [](TaskWork&) { return true; })}, options());
  until([&] { return one.metrics().done + two.metrics().done == 120; });
  EXPECT_EQ(one.metrics().taken_over + two.metrics().taken_over, 120u);
  until([&] { return tasks().sessions().size() == 2; });
}

TEST_P(TaskSessionsTest, a_task_that_ends_because_its_engine_stops_is_given_back) {
  const TaskId id = tasks().add("t").value();
  std::atomic<bool> has_begun = false;
  {
    TaskEngine engine(tasks(),
                      {type("t",
                            [&](TaskWork& work) -> bool {
                              has_begun = true;
                              while (!work.stop().stop_requested()) std::this_thread::yield();
                              throw std::runtime_error("interrupted");
                            })},
                      options());
    until([&] { return has_begun.load(); });
    EXPECT_FALSE(engine.stop(milliseconds(0)));
    EXPECT_TRUE(engine.stop(hours(1)));
    EXPECT_EQ(engine.metrics().released, 1u);
    EXPECT_TRUE(tasks().sessions().empty());
  }
  const Task task = tasks().get(id).value();
  EXPECT_EQ(task.state, TaskState::waiting);
  EXPECT_EQ(task.retries, 0u);
  EXPECT_EQ(task.due_at_ms, clock().now_ms());
  EXPECT_EQ(results(tasks().history(id)), Results{AttemptResult::released});
}

TEST_P(TaskSessionsTest, a_task_that_goes_on_after_the_limit_of_a_stop_stays_the_engines) {
  const TaskId id = tasks().add("t").value();
  TaskGate gate;
  std::atomic<int> runs = 0;
  const TaskType waits = type("t", [&](TaskWork&) {
    ++runs;
    gate.pass();
    return true;
  });
  TaskEngine engine(tasks(), {waits}, options());
  until([&] { return runs == 1; });
  EXPECT_FALSE(engine.stop(milliseconds(0)));
  TaskEngine other(tasks(), {waits}, options());
  for (int i = 0; i < 6; ++i) {
    until_idle(engine);
    until_idle(other);
    advance(seconds(10));
  }
  until_idle(other);
  EXPECT_EQ(tasks().get(id)->session, engine.session());
  tasks().add("t");
  until([&] { return runs == 2; });
  EXPECT_EQ(other.metrics().claimed, 1u);
  gate.open();
  EXPECT_TRUE(engine.stop(hours(1)));
  EXPECT_EQ(engine.metrics().done, 1u);
  EXPECT_EQ(tasks().sessions().size(), 1u);
}

TEST_P(TaskSessionsTest, a_commit_of_another_process_wakes_an_engine) {
  if (!GetParam().shared) GTEST_SKIP() << "one process only";
  TaskEngineOptions with = options();
  with.session_lease = hours(24);
  TaskEngine engine(tasks(), {type("t", [](TaskWork&) { return true; })}, with);
  until_idle(engine);
  const std::shared_ptr<Store> other = open_patient();
  const auto ended = [&] { return engine.metrics().done; };
  for (std::uint64_t i = 1; i <= 3; ++i) {
    tasks(other->database("app")).add("t");
    // Some stores look for the commits of others by the clock: far less than the minute of an engine. Each
    // step has a read, so that the threads that are woken have a turn.
    for (int passed_ms = 0; passed_ms < 15'000 && ended() < i; ++passed_ms) {
      advance(milliseconds(1));
      tasks().sessions();
    }
    until([&] { return ended() >= i; });
  }
}

TEST_P(TaskSessionsTest, an_engine_that_cannot_begin_leaves_no_session) {
  TaskType bad = type("t", [](TaskWork&) { return true; });
  bad.adder = [](const TaskAdder&) { throw std::domain_error("no"); };
  EXPECT_THROW(TaskEngine(tasks(), {bad}, options()), std::domain_error);
  EXPECT_TRUE(tasks().sessions().empty());
}

}  // namespace
}  // namespace holdfast
