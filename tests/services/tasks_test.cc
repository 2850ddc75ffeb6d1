#include <nlohmann/json.hpp>

#include "tests/services/tasks_fixture.h"

namespace holdfast {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class TasksTest : public TasksTestBase {
 protected:
  void TearDown() override {
    if (!HasFatalFailure()) check_layout();
  }
};

HOLDFAST_ON_EVERY_TARGET(TasksTest);

TEST_P(TasksTest, gives_back_what_was_added) {
  const TaskId id =
      tasks().add("t", {.body = json{{"a", 1}}, .unique_key = "k", .delay = seconds(5)}).value();
  const Task task = tasks().get(id).value();
  EXPECT_EQ(task.id, id);
  EXPECT_EQ(task.type, "t");
  EXPECT_EQ(task.state, TaskState::waiting);
  EXPECT_EQ(task.body.json(), (json{{"a", 1}}));
  EXPECT_EQ(task.unique_key, "k");
  EXPECT_EQ(task.due_at_ms, clock().now_ms() + 5'000);
  EXPECT_EQ(task.added_at_ms, clock().now_ms());
  EXPECT_EQ(task.retries, 0u);
  EXPECT_EQ(task.attempts, 0u);
  const TaskId raw = tasks().add("t", {.body = Payload::bytes(Bytes("\0\xff", 2))}).value();
  EXPECT_EQ(tasks().get(raw)->body, Payload::bytes(Bytes("\0\xff", 2)));
  EXPECT_FALSE(tasks().get(TaskId(32, '0')));
}

TEST_P(TasksTest, a_task_that_is_added_within_a_transaction_is_there_if_that_commits) {
  std::optional<TaskId> id;
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    id = tasks().add(transaction, "t");
    throw std::domain_error("no");
  }),
               std::domain_error);
  EXPECT_FALSE(tasks().get(*id));
  database().transact([&](Transaction& transaction) {
    id = tasks().add(transaction, "t");
    transaction.put("mine", *id);
  });
  EXPECT_EQ(tasks().get(database().get("mine")->value)->type, "t");
}

TEST_P(TasksTest, an_adder_that_finds_nothing_to_do_writes_nothing) {
  const std::uint64_t before = stored_entries();
  const TaskExtra extra = [](const TaskId& id, Transaction& transaction) {
    const bool has_to = !transaction.get("set/task");
    transaction.put("set/task", id);
    transaction.put("other", "x");
    return has_to;
  };
  const std::optional<TaskId> first = tasks().add("t", {}, extra);
  ASSERT_TRUE(first);
  EXPECT_EQ(database().get("set/task")->value, *first);
  database().erase("other");
  EXPECT_FALSE(tasks().add("t", {.unique_key = "k"}, extra));
  EXPECT_EQ(database().get("set/task")->value, *first);
  EXPECT_FALSE(database().get("other"));
  EXPECT_EQ(stored_entries(), before + 3);
}

TEST_P(TasksTest, what_an_adder_throws_reaches_the_caller_and_nothing_is_written) {
  const std::uint64_t before = stored_entries();
  EXPECT_THROW(tasks().add("t", {},
                           [](const TaskId&, Transaction& transaction) -> bool {
                             transaction.put("x", "y");
                             throw std::domain_error("no");
                           }),
               std::domain_error);
  EXPECT_EQ(stored_entries(), before);
}

TEST_P(TasksTest, a_unique_key_is_taken_while_its_task_lives_and_only_for_its_type) {
  ASSERT_TRUE(tasks().add("t", {.unique_key = "k"}));
  EXPECT_FALSE(tasks().add("t", {.unique_key = "k"}));
  EXPECT_TRUE(tasks().add("u", {.unique_key = "k"}));
  EXPECT_TRUE(tasks().add("t", {.unique_key = "k2"}));
  std::atomic<int> runs = 0;
  TaskGate gate;
  TaskEngine engine(tasks(),
                    {type("t",
                          [&](TaskWork& work) {
                            if (work.task().unique_key == "k") gate.pass();
                            ++runs;
                            return true;
                          })},
                    options());
  until_ended(engine, 1);
  EXPECT_FALSE(tasks().add("t", {.unique_key = "k"}));
  gate.open();
  until_ended(engine, 2);
  EXPECT_TRUE(tasks().add("t", {.unique_key = "k"}));
  until_ended(engine, 3);
  EXPECT_TRUE(engine.stop(hours(1)));
  EXPECT_EQ(runs, 3);
}

TEST_P(TasksTest, of_many_who_add_with_a_unique_key_at_once_one_adds) {
  std::atomic<int> added = 0;
  in_threads(4, [&](std::size_t) {
    for (int i = 0; i < 10; ++i) {
      if (tasks().add("t", {.unique_key = std::to_string(i)})) ++added;
    }
  });
  EXPECT_EQ(added, 10);
  EXPECT_EQ(tasks().stats().waiting, 10u);
}

TEST_P(TasksTest, what_is_no_task_is_refused) {
  EXPECT_EQ(code_of([&] { tasks().add(""); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add(Bytes(101, 'x')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add("\xff"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add("t", {.body = Payload(Bytes(70'000, 'x'))}); }),
            Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add("t", {.unique_key = Bytes(401, 'x')}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add("t", {.delay = milliseconds(-1)}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().add("t", {.previous = "x"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().get("x"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { tasks().cancel(Bytes(32, 'X')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { Tasks(database(), {.prefix = "!x"}); }), Code::invalid_argument);
  const auto engine = [&](const std::function<void(std::vector<TaskType>&, TaskEngineOptions&)>& change) {
    std::vector<TaskType> types{type("t", [](TaskWork&) { return true; })};
    TaskEngineOptions with = options();
    change(types, with);
    return code_of([&] { TaskEngine(tasks(), types, with); });
  };
  EXPECT_EQ(engine([](auto& types, auto&) { types.push_back(types[0]); }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto& types, auto&) { types[0].name = ""; }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto& types, auto&) { types[0].run = {}; }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto& types, auto&) { types[0].period = seconds(1); }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto& types, auto&) { types[0].max_running_total = 9'001; }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto&, auto& with) { with.max_running = 0; }), Code::invalid_argument);
  EXPECT_EQ(engine([](auto&, auto& with) { with.session_lease = milliseconds(999); }),
            Code::invalid_argument);
  EXPECT_TRUE(tasks().sessions().empty());
}

TEST_P(TasksTest, lists_are_complete_in_pages_and_by_type) {
  for (int i = 0; i < 7; ++i) tasks().add(i % 2 == 0 ? "a/b" : "a", {.body = i, .delay = seconds(10 - i)});
  std::vector<int> seen;
  ListOptions page{.limit = 2};
  do {
    const Listing<Task> listing = tasks().list(TaskState::waiting, {}, page);
    for (const Task& task : listing.items) seen.push_back(task.body.json());
    page.cursor = listing.cursor;
  } while (!page.cursor.empty());
  EXPECT_EQ(seen, (std::vector<int>{6, 4, 2, 0, 5, 3, 1}));
  seen.clear();
  for (const Task& task : tasks().list(TaskState::waiting, "a").items) seen.push_back(task.body.json());
  EXPECT_EQ(seen, (std::vector<int>{5, 3, 1}));
  EXPECT_TRUE(tasks().list(TaskState::running).items.empty());
  EXPECT_TRUE(tasks().list(TaskState::dead).items.empty());
  EXPECT_EQ(tasks().stats().waiting, 7u);
}

TEST_P(TasksTest, tasks_are_counted_by_type_whatever_their_state_and_what_stands_in_the_type) {
  EXPECT_TRUE(tasks().stats_by_type().empty());
  tasks().add("dies");
  {
    const auto fails = [](TaskWork&) { return false; };
    const auto at_once = [](std::uint32_t) { return milliseconds(0); };
    TaskEngine engine(tasks(), {{.name = "dies", .run = fails, .max_failures = 1, .retry_wait = at_once}},
                      options());
    until_ended(engine, 2);
  }
  for (int i = 0; i < 2; ++i) tasks().add("a/b%");
  crash_with_tasks_of("a/b%", seconds(30));
  for (int i = 0; i < 3; ++i) tasks().add("a/b%", {.delay = seconds(i)});
  tasks().add("a");
  const std::map<Bytes, TaskStats> types = tasks().stats_by_type();
  ASSERT_EQ(types.size(), 3u);
  EXPECT_EQ(types.at("dies").dead, 1u);
  EXPECT_EQ(types.at("dies").waiting + types.at("dies").running, 0u);
  EXPECT_EQ(types.at("a/b%").waiting, 3u);
  EXPECT_EQ(types.at("a/b%").running, 2u);
  EXPECT_EQ(types.at("a/b%").dead, 0u);
  EXPECT_EQ(types.at("a").waiting, 1u);
}

TEST_P(TasksTest, a_task_runs_when_its_delay_is_over_and_not_before) {
  std::atomic<UnixMs> ran_at_ms = 0;
  TaskEngine engine(tasks(),
                    {type("t",
                          [&](TaskWork&) {
                            ran_at_ms = clock().now_ms();
                            return true;
                          })},
                    options());
  const UnixMs due_ms = clock().now_ms() + 10'000;
  tasks().add("t", {.delay = seconds(10)});
  for (int i = 0; i < 9; ++i) {
    advance(seconds(1));
    EXPECT_EQ(tasks().stats().waiting, 1u);
  }
  advance(seconds(1));
  until_ended(engine, 1);
  EXPECT_GE(ran_at_ms, due_ms);
}

TEST_P(TasksTest, follow_up_tasks_come_with_the_completion_or_not_at_all) {
  const TaskId first = tasks().add("first").value();
  std::atomic<int> attempts = 0;
  std::atomic<bool> is_bad = false;
  TaskEngine engine(tasks(),
                    {{.name = "first",
                      .run =
                          [&](TaskWork& work) {
                            work.follow("second", {.body = "next", .unique_key = "k"});
                            work.follow("second", {.unique_key = "k"});
                            work.in_commit([&](Transaction& transaction) { transaction.put("proof", "1"); });
                            if (++attempts == 1) return false;
                            work.remark("was slow");
                            return true;
                          },
                      .retry_wait = [](std::uint32_t) { return milliseconds(0); }},
                     {.name = "bad",
                      .run =
                          [&](TaskWork& work) {
                            work.follow("second", {.unique_key = "other"});
                            work.in_commit([&](Transaction& transaction) {
                              transaction.put("bad", "1");
                              throw std::domain_error("no place");
                            });
                            is_bad = true;
                            return true;
                          },
                      .retry_wait = [](std::uint32_t) { return hours(1); }}},
                    options());
  until_ended(engine, 2);
  const std::vector<TaskAttempt> history = tasks().history(first);
  EXPECT_EQ(results(history), (Results{AttemptResult::failed, AttemptResult::done}));
  EXPECT_EQ(history.at(1).error, "was slow");
  EXPECT_EQ(history.at(1).number, 2u);
  EXPECT_EQ(history.at(1).session, engine.session());
  EXPECT_FALSE(tasks().get(first));
  EXPECT_EQ(database().get("proof")->value, "1");
  const std::vector<Task> second = tasks().list(TaskState::waiting, "second").items;
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].body.json(), "next");
  EXPECT_EQ(second[0].previous, first);
  EXPECT_EQ(second[0].added_by, engine.session());
  const TaskId bad = tasks().add("bad").value();
  until_ended(engine, 3);
  EXPECT_TRUE(is_bad);
  EXPECT_EQ(tasks().history(bad).at(0).error, "no place");
  EXPECT_EQ(tasks().get(bad)->state, TaskState::waiting);
  EXPECT_FALSE(database().get("bad"));
  EXPECT_EQ(tasks().list(TaskState::waiting, "second").items.size(), 1u);
}

TEST_P(TasksTest, a_dead_task_is_kept_with_its_history_and_can_be_revived_or_erased) {
  const TaskId id = tasks().add("t", {.body = 7, .unique_key = "k"}).value();
  std::atomic<bool> works = false;
  TaskEngine engine(tasks(),
                    {{.name = "t",
                      .run = [&](TaskWork&) -> bool {
                        if (works) return true;
                        throw std::runtime_error("broken");
                      },
                      .max_failures = 1,
                      .retry_wait = [](std::uint32_t) { return milliseconds(0); }}},
                    options());
  until_ended(engine, 2);
  const Task dead = tasks().get(id).value();
  EXPECT_EQ(dead.state, TaskState::dead);
  EXPECT_EQ(dead.error, "broken");
  EXPECT_EQ(dead.attempts, 2u);
  EXPECT_EQ(dead.died_at_ms, clock().now_ms());
  EXPECT_EQ(tasks().list(TaskState::dead).items, std::vector<Task>{dead});
  EXPECT_EQ(tasks().history(id).size(), 2u);
  // Its unique key is free.
  const TaskId other = tasks().add("t", {.unique_key = "k", .delay = hours(1)}).value();
  EXPECT_EQ(code_of([&] { tasks().revive(id); }), Code::already_exists);
  EXPECT_TRUE(tasks().cancel(other));
  works = true;
  EXPECT_TRUE(tasks().revive(id));
  EXPECT_FALSE(tasks().revive(id));
  until_ended(engine, 3);
  EXPECT_FALSE(tasks().get(id));
  EXPECT_EQ(results(tasks().history(id)),
            (Results{AttemptResult::failed, AttemptResult::failed, AttemptResult::done}));
  works = false;
  const TaskId second = tasks().add("t").value();
  until_ended(engine, 5);
  EXPECT_TRUE(tasks().erase_dead(second));
  EXPECT_FALSE(tasks().erase_dead(second));
}

TEST_P(TasksTest, the_wait_before_a_retry_is_what_the_type_says_of_its_failures) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(),
                    {{.name = "t",
                      .run = [](TaskWork&) { return false; },
                      .retry_wait = [](std::uint32_t retries) { return minutes(retries * 10); }}},
                    options());
  for (std::uint32_t i = 1; i <= 3; ++i) {
    until_ended(engine, i);
    const Task task = tasks().get(id).value();
    EXPECT_EQ(task.retries, i);
    EXPECT_EQ(task.due_at_ms, clock().now_ms() + i * 600'000);
    until_idle(engine);
    advance(minutes(i * 10));
  }
}

TEST_P(TasksTest, without_a_retry_wait_it_doubles_up_to_five_minutes) {
  const TaskId id = tasks().add("t").value();
  TaskEngine engine(tasks(), {type("t", [](TaskWork&) { return false; })}, options());
  for (const std::int64_t wait_s : {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    const std::uint64_t attempt = tasks().get(id)->attempts;
    until_ended(engine, std::max<std::uint64_t>(attempt, 1));
    EXPECT_EQ(tasks().get(id)->due_at_ms, clock().now_ms() + wait_s * 1'000);
    const std::uint64_t ended = engine.metrics().failed;
    until_idle(engine);
    advance(seconds(wait_s));
    until_ended(engine, ended + 1);
  }
}

TEST_P(TasksTest, no_more_tasks_run_in_a_process_than_its_limits_allow) {
  for (int i = 0; i < 12; ++i) tasks().add(i % 2 == 0 ? "a" : "b");
  std::atomic<int> a = 0;
  std::atomic<int> b = 0;
  std::atomic<int> most_a = 0;
  std::atomic<int> most = 0;
  const auto note = [](std::atomic<int>& most_seen, int now) {
    int seen = most_seen;
    while (seen < now && !most_seen.compare_exchange_weak(seen, now)) {
    }
  };
  TaskGate gate;
  TaskEngineOptions three = options();
  three.max_running = 3;
  TaskType of_a = type("a", [&](TaskWork&) {
    note(most_a, ++a);
    note(most, a + b);
    gate.pass();
    --a;
    return true;
  });
  of_a.max_running = 1;
  const TaskType of_b = type("b", [&](TaskWork&) {
    note(most, a + ++b);
    gate.pass();
    --b;
    return true;
  });
  TaskEngine engine(tasks(), {of_a, of_b}, three);
  until([&] { return a == 1 && b == 2; });
  EXPECT_EQ(tasks().stats().running, 3u);
  gate.open();
  until_ended(engine, 12);
  EXPECT_EQ(most_a, 1);
  EXPECT_LE(most, 3);
}

TEST_P(TasksTest, no_more_tasks_run_in_all_processes_than_the_limit_of_all_allows) {
  for (int i = 0; i < 10; ++i) tasks().add("t");
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  TaskType limited = type("t", [&](TaskWork&) {
    const int now = ++running;
    int seen = most;
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::yield();
    --running;
    return true;
  });
  limited.max_running_total = 2;
  TaskEngine one(tasks(), {limited}, options());
  TaskEngine two(tasks(), {limited}, options());
  until([&] { return one.metrics().done + two.metrics().done == 10; });
  EXPECT_LE(most, 2);
}

TEST_P(TasksTest, tasks_share_the_resources_of_a_process) {
  for (int i = 0; i < 4; ++i) tasks().add("gpu");
  for (int i = 0; i < 4; ++i) tasks().add("cpu");
  tasks().add("tpu");
  std::atomic<int> gpu = 0;
  std::atomic<int> cpu = 0;
  TaskGate gate;
  TaskEngineOptions with = options();
  with.resources = {{"gpu", 2}, {"cpu", 7}};
  const auto costing = [&](View name, std::atomic<int>& count, TaskResources cost) {
    TaskType costs = type(name, [&](TaskWork&) {
      ++count;
      gate.pass();
      return true;
    });
    costs.cost = std::move(cost);
    return costs;
  };
  std::atomic<int> tpu = 0;
  TaskEngine engine(tasks(),
                    {costing("gpu", gpu, {{"gpu", 1}, {"cpu", 2}}), costing("cpu", cpu, {{"cpu", 1}}),
                     costing("tpu", tpu, {{"tpu", 1}})},
                    with);
  // 2 of 2 gpu, which take 4 of 7 cpu, and 3 more.
  until([&] { return gpu == 2 && cpu == 3; });
  EXPECT_EQ(tasks().stats().running, 5u);
  gate.open();
  until_ended(engine, 8);
  EXPECT_EQ(tpu, 0);
  EXPECT_EQ(tasks().stats().waiting, 1u);
}

TEST_P(TasksTest, can_accept_chooses_which_tasks_are_tried_and_in_which_order) {
  for (int i = 0; i < 6; ++i) tasks().add("t", {.body = i, .delay = milliseconds(i)});
  advance(milliseconds(10));
  std::mutex mutex;
  std::vector<int> order;
  std::atomic<bool> all = false;
  TaskType choosy = type("t", [&](TaskWork& work) {
    const std::scoped_lock lock(mutex);
    order.push_back(work.task().body.json());
    return true;
  });
  choosy.max_running = 1;
  choosy.can_accept = [&](std::span<const Task> offered) {
    std::vector<TaskId> accepted{TaskId(32, 'f')};
    for (const Task& task : offered) {
      const int number = task.body.json();
      if (all || number % 2 == 1) accepted.insert(accepted.begin(), task.id);
    }
    return accepted;
  };
  TaskEngine engine(tasks(), {choosy}, options());
  until_ended(engine, 3);
  until_idle(engine);
  EXPECT_EQ(order, (std::vector<int>{5, 3, 1}));
  // It is asked again by itself.
  all = true;
  advance(seconds(3));
  until_ended(engine, 6);
  EXPECT_EQ(order, (std::vector<int>{5, 3, 1, 4, 2, 0}));
}

TEST_P(TasksTest, no_type_starves_another_one) {
  for (int i = 0; i < 20; ++i) tasks().add("many");
  tasks().add("few");
  std::mutex mutex;
  std::vector<Bytes> order;
  const auto note = [&](TaskWork& work) {
    const std::scoped_lock lock(mutex);
    order.push_back(work.task().type);
    return true;
  };
  TaskEngineOptions one = options();
  one.max_running = 1;
  TaskEngine engine(tasks(), {type("many", note), type("few", note)}, one);
  until_ended(engine, 21);
  const auto place = std::ranges::find(order, "few") - order.begin();
  EXPECT_LE(place, 2);
}

TEST_P(TasksTest, adders_are_called_in_the_order_of_the_types_and_add_at_any_time) {
  std::vector<Bytes> called;
  TaskAdder kept;
  TaskType first = type("first", [](TaskWork&) { return true; });
  first.adder = [&](const TaskAdder& add) {
    called.emplace_back("first");
    kept = add;
  };
  TaskType second = type("second", [](TaskWork&) { return true; });
  second.adder = [&](const TaskAdder& add) {
    called.emplace_back("second");
    EXPECT_TRUE(add({.unique_key = "k", .delay = hours(1)}, {}));
    EXPECT_FALSE(add({.unique_key = "k", .delay = hours(1)}, {}));
  };
  {
    TaskEngine engine(tasks(), {first, second}, options());
    EXPECT_EQ(called, (std::vector<Bytes>{"first", "second"}));
    EXPECT_TRUE(kept({}, [](const TaskId&, Transaction& transaction) {
      transaction.put("x", "1");
      return true;
    }));
    until_ended(engine, 1);
    EXPECT_EQ(tasks().list(TaskState::waiting, "second").items.at(0).added_by, engine.session());
  }
  EXPECT_TRUE(kept({}, {}));
  EXPECT_EQ(tasks().stats().waiting, 2u);
}

TEST_P(TasksTest, a_periodic_function_is_called_after_each_period_and_what_it_throws_harms_nobody) {
  std::atomic<int> calls = 0;
  std::atomic<int> errors = 0;
  TaskType with = type("t", [](TaskWork&) { return true; });
  with.period = seconds(10);
  with.periodic = [&](const TaskAdder& add) {
    add({}, {});
    if (++calls == 1) throw std::domain_error("once");
  };
  TaskEngineOptions hearing = options();
  hearing.on_error = [&](const std::exception&) { ++errors; };
  TaskEngine engine(tasks(), {with}, hearing);
  for (int i = 1; i <= 3; ++i) {
    until_idle(engine);
    advance(milliseconds(9'999));
    EXPECT_EQ(calls, i - 1);
    until_idle(engine);
    advance(milliseconds(1));
    until([&] { return calls == i; });
    until_ended(engine, static_cast<std::uint64_t>(i));
  }
  EXPECT_EQ(errors, 1);
}

TEST_P(TasksTest, a_cancelled_task_is_gone_and_whoever_runs_it_is_asked_to_stop) {
  const TaskId waiting = tasks().add("t", {.unique_key = "k", .delay = hours(1)}).value();
  EXPECT_TRUE(tasks().cancel(waiting));
  EXPECT_FALSE(tasks().cancel(waiting));
  const TaskId id = tasks().add("t", {.unique_key = "k"}).value();
  std::atomic<bool> has_begun = false;
  TaskType waits = type("t", [&](TaskWork& work) {
    has_begun = true;
    while (!work.stop().stop_requested()) std::this_thread::yield();
    work.in_commit([](Transaction& transaction) { transaction.put("late", "1"); });
    return true;
  });
  waits.max_running = 1;
  TaskEngine engine(tasks(), {waits}, options());
  until([&] { return has_begun.load(); });
  EXPECT_TRUE(tasks().cancel(id));
  const TaskId next = tasks().add("t").value();
  until_idle(engine);
  has_begun = false;
  advance(seconds(10));
  until_ended(engine, 1);
  EXPECT_EQ(engine.metrics().lost, 1u);
  EXPECT_FALSE(database().get("late"));
  EXPECT_TRUE(tasks().history(id).empty());
  // Its place is free, though no commit has said so.
  until([&] { return has_begun.load(); });
  EXPECT_TRUE(tasks().cancel(next));
  until_idle(engine);
  advance(seconds(10));
  until_ended(engine, 2);
}

TEST_P(TasksTest, of_attempts_the_newest_are_kept) {
  std::vector<TaskId> ids;
  TaskEngine engine(tasks(), {type("t", [](TaskWork&) { return true; })}, options());
  for (std::uint64_t i = 1; i <= 6; ++i) {
    ids.push_back(tasks().add("t").value());
    until_ended(engine, i);
    advance(seconds(1));
  }
  EXPECT_EQ(tasks().trim({.max_attempts = 0, .max_age = hours(1)}), 0u);
  EXPECT_EQ(tasks().trim({.max_attempts = 6, .max_age = hours(1)}), 0u);
  EXPECT_EQ(tasks().trim({.max_attempts = 4, .max_age = hours(1)}), 2u);
  EXPECT_TRUE(tasks().history(ids[1]).empty());
  EXPECT_EQ(tasks().history(ids[2]).size(), 1u);
  advance(seconds(1));
  // They ended 5, 4, 3 and 2 s ago.
  EXPECT_EQ(tasks().trim({.max_attempts = 0, .max_age = milliseconds(3'500)}), 2u);
  EXPECT_EQ(all_history().size(), 2u);
  EXPECT_EQ(all_history().at(0).task, ids[4]);
  EXPECT_EQ(code_of([&] { tasks().trim({.max_attempts = 0, .max_age = milliseconds(-1)}); }),
            Code::invalid_argument);
}

TEST_P(TasksTest, an_engine_trims_attempts_by_itself) {
  TaskEngineOptions few = options();
  few.retention = {.max_attempts = 5, .max_age = minutes(30)};
  TaskEngine engine(tasks(), {type("t", [](TaskWork&) { return true; })}, few);
  for (int i = 0; i < 120; ++i) tasks().add("t");
  until_ended(engine, 120);
  // It trims after every hundred or so, and up to 64 of those had not ended yet.
  until([&] { return all_history().size() < 100; });
  until_idle(engine);
  advance(hours(1));
  until([&] { return all_history().empty(); });
}

}  // namespace
}  // namespace holdfast
