#include "holdfast/schedules.h"

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/services/service_test.h"

namespace holdfast {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// 14 November 2023, 22:13:20 UTC: when the clock of the tests begins.
constexpr UnixMs kStart = 1'700'000'000'000;
constexpr UnixMs kMinute = 60'000;
/// The first full minute behind it.
constexpr UnixMs kFirstMinute = 1'700'000'040'000;

class SchedulesTest : public ServiceTest {
 protected:
  Schedules schedules() { return Schedules(database()); }
  Queue queue(View name = "q") { return Queue(database(), name, {.clock = clock_pointer()}); }
  static Schedule each_minute(MissedRuns missed = MissedRuns::once) {
    return {.name = "s", .queue = "q", .body = json{{"a", 1}}, .cron = "* * * * *", .missed = missed};
  }
  /// The ticks whose jobs the queue has, in the order of their delivery; completes them.
  std::vector<UnixMs> delivered(View name = "q") {
    std::vector<UnixMs> ticks;
    Queue jobs = queue(name);
    for (;;) {
      const std::vector<Delivery> got = jobs.receive(100);
      if (got.empty()) return ticks;
      for (const Delivery& job : got) ticks.push_back(job.run_at_ms.value_or(0));
      jobs.complete_many(got);
    }
  }
  std::uint64_t entries_of_schedules() { return database().scan(Range::prefix("schedule/")).entries.size(); }
};

HOLDFAST_ON_EVERY_TARGET(SchedulesTest);

TEST_P(SchedulesTest, each_tick_becomes_a_job_when_it_is_due) {
  Schedule schedule = each_minute();
  schedule.options = {.kind = "report", .priority = 2, .ordering_key = "k", .tenant = "t"};
  schedules().set(schedule);
  EXPECT_EQ(schedules().run_due().sent, 0u);
  clock().set_now_ms(kFirstMinute - 1);
  EXPECT_EQ(schedules().run_due().next_due_ms, kFirstMinute);
  EXPECT_TRUE(queue().receive().empty());
  clock().set_now_ms(kFirstMinute);
  const ScheduleRun run = schedules().run_due();
  EXPECT_EQ(run.sent, 1u);
  EXPECT_EQ(run.next_due_ms, kFirstMinute + kMinute);
  const std::vector<Delivery> got = queue().receive(10);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].body.json(), (json{{"a", 1}}));
  EXPECT_EQ(got[0].run_at_ms, kFirstMinute);
  EXPECT_EQ(got[0].kind, "report");
  EXPECT_EQ(got[0].priority, 2);
  EXPECT_EQ(got[0].ordering_key, "k");
  EXPECT_EQ(got[0].tenant, "t");
  queue().complete(got[0]);
  EXPECT_EQ(schedules().run_due().sent, 0u);
  clock().set_now_ms(kFirstMinute + kMinute + 5);
  EXPECT_EQ(schedules().run_due().sent, 1u);
  EXPECT_EQ(delivered(), std::vector<UnixMs>{kFirstMinute + kMinute});
}

TEST_P(SchedulesTest, an_interval_has_its_ticks_from_its_anchor_on) {
  schedules().set({.name = "s", .queue = "q", .every = seconds(7), .anchor_ms = kStart - 1'000});
  EXPECT_EQ(schedules().get("s")->next_at_ms, kStart + 6'000);
  for (int i = 0; i < 21; ++i, advance(seconds(1))) schedules().run_due();
  EXPECT_EQ(delivered(), (std::vector<UnixMs>{kStart + 6'000, kStart + 13'000, kStart + 20'000}));
  EXPECT_EQ(
      Schedules::ticks({.name = "s", .queue = "q", .every = seconds(10), .anchor_ms = 5'000}, -18'000, 3),
      (std::vector<UnixMs>{-15'000, -5'000, 5'000}));
}

TEST_P(SchedulesTest, missed_ticks_are_skipped_run_once_or_all_run_as_the_schedule_says) {
  for (const MissedRuns missed : {MissedRuns::skip, MissedRuns::once, MissedRuns::all}) {
    Schedule schedule = each_minute(missed);
    schedule.name = schedule.queue = std::to_string(static_cast<int>(missed));
    schedule.grace = seconds(20);
    schedules().set(schedule);
  }
  const UnixMs last = kFirstMinute + 4 * kMinute;
  clock().set_now_ms(last + 20'001);
  EXPECT_EQ(schedules().run_due().sent, 6u);
  EXPECT_EQ(delivered("0"), std::vector<UnixMs>{});
  EXPECT_EQ(delivered("1"), std::vector<UnixMs>{last});
  EXPECT_EQ(delivered("2"),
            (std::vector<UnixMs>{kFirstMinute, kFirstMinute + kMinute, kFirstMinute + 2 * kMinute,
                                 kFirstMinute + 3 * kMinute, last}));
  EXPECT_EQ(schedules().get("0")->last_at_ms, last);
  // Not too late for the one that skips.
  clock().set_now_ms(last + 3 * kMinute + 20'000);
  schedules().run_due();
  EXPECT_EQ(delivered("0"), std::vector<UnixMs>{last + 3 * kMinute});
}

TEST_P(SchedulesTest, all_ticks_of_a_long_absence_are_caught_up_step_by_step) {
  schedules().set(each_minute(MissedRuns::all));
  clock().set_now_ms(kFirstMinute + 249 * kMinute);
  EXPECT_EQ(schedules().run_due(120).sent, 120u);
  EXPECT_EQ(schedules().run_due(120).sent, 120u);
  const ScheduleRun rest = schedules().run_due(120);
  EXPECT_EQ(rest.sent, 10u);
  EXPECT_EQ(rest.next_due_ms, kFirstMinute + 250 * kMinute);
  const std::vector<UnixMs> ticks = delivered();
  ASSERT_EQ(ticks.size(), 250u);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    EXPECT_EQ(ticks[i], kFirstMinute + static_cast<UnixMs>(i) * kMinute);
  }
}

TEST_P(SchedulesTest, large_bodies_are_caught_up_in_commits_that_fit) {
  Schedule schedule = each_minute(MissedRuns::all);
  schedule.body = Payload(Bytes(200'000, 'x'));
  schedules().set(schedule);
  clock().set_now_ms(kFirstMinute + 49 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 50u);
  EXPECT_EQ(delivered().size(), 50u);
}

TEST_P(SchedulesTest, a_schedule_that_was_not_run_for_years_goes_on_at_once) {
  schedules().set({.name = "s", .queue = "q", .every = seconds(1)});
  advance(hours(24 * 365 * 5));
  EXPECT_EQ(schedules().run_due().sent, 1u);
  EXPECT_EQ(delivered(), std::vector<UnixMs>{clock().now_ms()});
}

TEST_P(SchedulesTest, a_clock_that_jumps_an_hour_ahead_and_back_neither_repeats_a_tick_nor_leaves_one_out) {
  schedules().set(each_minute(MissedRuns::all));
  std::vector<UnixMs> expected;
  for (UnixMs tick = kFirstMinute; tick <= kFirstMinute + 61 * kMinute; tick += kMinute) {
    expected.push_back(tick);
  }
  clock().set_now_ms(kFirstMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
  clock().set_now_ms(kFirstMinute + 60 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 60u);
  for (UnixMs minute = 1; minute <= 60; ++minute) {
    clock().set_now_ms(kFirstMinute + minute * kMinute);
    EXPECT_EQ(schedules().run_due().sent, 0u) << "these ticks were before the clock went back";
  }
  clock().set_now_ms(kFirstMinute + 61 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
  EXPECT_EQ(delivered(), expected);
}

TEST_P(SchedulesTest, processes_that_run_schedules_at_once_send_each_tick_once) {
  constexpr int kSchedules = 5;
  for (int i = 0; i < kSchedules; ++i) {
    Schedule schedule = each_minute(MissedRuns::all);
    schedule.name = std::to_string(i);
    schedule.options.kind = schedule.name;
    schedules().set(schedule);
  }
  std::vector<std::shared_ptr<Store>> stores;
  for (int i = 0; i < 4; ++i) stores.push_back(GetParam().shared ? open() : store());
  constexpr int kTicks = 6;
  for (int tick = 0; tick < kTicks; tick += 2) {
    clock().set_now_ms(kFirstMinute + (tick + 1) * kMinute);
    in_threads(4, [&](std::size_t thread) {
      Schedules own(stores[thread]->database("app"));
      own.run_due();
    });
  }
  std::set<std::pair<Bytes, UnixMs>> seen;
  for (const Delivery& job : queue().receive(250)) {
    EXPECT_TRUE(seen.emplace(job.kind, job.run_at_ms.value_or(0)).second);
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kSchedules * kTicks));
}

TEST_P(SchedulesTest, a_tick_goes_by_the_clocks_of_its_time_zone) {
  const Schedule schedule{.name = "s", .queue = "q", .cron = "0 9 * * *", .time_zone = "America/New_York"};
  schedules().set(schedule);
  // 09:00 there is 14:00 UTC in winter.
  EXPECT_EQ(schedules().get("s")->next_at_ms, 1'700'056'800'000);
  // The clocks are put forward on 10 March 2024.
  const std::vector<UnixMs> ticks = Schedules::ticks(schedule, 1'709'992'800'000, 3);
  EXPECT_EQ(ticks,
            (std::vector<UnixMs>{1'709'992'800'000 + 23 * 60 * kMinute, 1'709'992'800'000 + 47 * 60 * kMinute,
                                 1'709'992'800'000 + 71 * 60 * kMinute}));
}

TEST_P(SchedulesTest, a_schedule_that_is_set_again_goes_on_where_it_was_unless_its_ticks_change) {
  schedules().set(each_minute());
  clock().set_now_ms(kFirstMinute);
  schedules().run_due();
  clock().set_now_ms(kFirstMinute + kMinute + 1);
  Schedule changed = each_minute();
  changed.body = "other";
  schedules().set(changed);
  EXPECT_EQ(schedules().get("s")->last_at_ms, kFirstMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
  changed.cron = "*/10 * * * *";
  schedules().set(changed);
  EXPECT_FALSE(schedules().get("s")->last_at_ms);
  EXPECT_EQ(schedules().get("s")->next_at_ms, 1'700'000'400'000);
  EXPECT_EQ(entries_of_schedules(), 2u);
}

TEST_P(SchedulesTest, a_paused_schedule_has_no_ticks_and_misses_none) {
  schedules().set(each_minute(MissedRuns::all));
  EXPECT_TRUE(schedules().pause("s"));
  EXPECT_TRUE(schedules().pause("s"));
  EXPECT_FALSE(schedules().pause("other"));
  EXPECT_TRUE(schedules().get("s")->is_paused);
  clock().set_now_ms(kFirstMinute + 3 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 0u);
  schedules().set(each_minute(MissedRuns::all));
  EXPECT_TRUE(schedules().get("s")->is_paused);
  EXPECT_TRUE(schedules().resume("s"));
  EXPECT_EQ(schedules().run_due().sent, 0u);
  EXPECT_EQ(schedules().get("s")->next_at_ms, kFirstMinute + 4 * kMinute);
  clock().set_now_ms(kFirstMinute + 4 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
}

TEST_P(SchedulesTest, a_schedule_that_is_erased_leaves_nothing) {
  schedules().set(each_minute());
  EXPECT_TRUE(schedules().erase("s"));
  EXPECT_FALSE(schedules().erase("s"));
  EXPECT_FALSE(schedules().get("s"));
  EXPECT_EQ(entries_of_schedules(), 0u);
  clock().set_now_ms(kFirstMinute);
  EXPECT_EQ(schedules().run_due().sent, 0u);
}

TEST_P(SchedulesTest, a_unique_key_keeps_ticks_from_piling_up) {
  Schedule schedule = each_minute(MissedRuns::all);
  schedule.options.unique_key = "one at a time";
  schedules().set(schedule);
  clock().set_now_ms(kFirstMinute + 2 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
  clock().set_now_ms(kFirstMinute + 3 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 0u);
  EXPECT_EQ(delivered(), std::vector<UnixMs>{kFirstMinute});
  clock().set_now_ms(kFirstMinute + 4 * kMinute);
  EXPECT_EQ(schedules().run_due().sent, 1u);
}

TEST_P(SchedulesTest, what_is_set_is_read_and_listed) {
  Schedule schedule = each_minute(MissedRuns::skip);
  schedule.body = Payload::bytes(Bytes("\0\xff", 2));
  schedule.grace = seconds(9);
  schedule.options.unique_key = "u";
  schedule.options.unique_for = hours(2);
  schedules().set(schedule);
  schedules().set({.name = "a/b", .queue = "other", .every = minutes(5), .anchor_ms = 7});
  const std::optional<ScheduleState> state = schedules().get("s");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->body, schedule.body);
  EXPECT_EQ(state->cron, "* * * * *");
  EXPECT_EQ(state->missed, MissedRuns::skip);
  EXPECT_EQ(state->grace, seconds(9));
  EXPECT_EQ(state->options.unique_for, hours(2));
  const std::vector<ScheduleState> all = schedules().list().items;
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "a/b");
  EXPECT_EQ(all[0].every, minutes(5));
  EXPECT_EQ(all[0].anchor_ms, 7);
  EXPECT_EQ(all[1].name, "s");
}

TEST_P(SchedulesTest, what_is_no_schedule_is_refused) {
  const auto refuses = [&](auto&& change) {
    Schedule schedule = each_minute();
    change(schedule);
    EXPECT_EQ(code_of([&] { schedules().set(schedule); }), Code::invalid_argument);
  };
  refuses([](Schedule& s) { s.name = ""; });
  refuses([](Schedule& s) { s.name = Bytes(201, 'x'); });
  refuses([](Schedule& s) { s.queue = ""; });
  refuses([](Schedule& s) { s.queue = "\xff"; });
  refuses([](Schedule& s) { s.cron = ""; });
  refuses([](Schedule& s) { s.every = minutes(1); });
  refuses([](Schedule& s) { s.cron = "0 0 30 2 *"; });
  refuses([](Schedule& s) { s.time_zone = "Mars/Olympus"; });
  refuses([](Schedule& s) { s.options.delay = seconds(1); });
  refuses([](Schedule& s) { s.options.priority = 10; });
  refuses([](Schedule& s) { s.grace = milliseconds(-1); });
  refuses([](Schedule& s) { s.body = Payload(Bytes(300'000, 'x')); });
  refuses([](Schedule& s) {
    s.cron = "";
    s.every = milliseconds(999);
  });
  EXPECT_EQ(entries_of_schedules(), 0u);
}

TEST_P(SchedulesTest, one_that_cannot_run_does_not_hold_up_the_others) {
  Schedule broken = each_minute();
  broken.name = "a";
  schedules().set(broken);
  schedules().set(each_minute());
  const Entry entry = database().get("schedule/by/a").value();
  Bytes text = entry.value;
  text.replace(text.find("UTC"), 3, "X/Y");
  database().put(entry.key, text);
  clock().set_now_ms(kFirstMinute);
  EXPECT_EQ(code_of([&] { schedules().run_due(); }), Code::invalid_argument);
  EXPECT_EQ(delivered(), std::vector<UnixMs>{kFirstMinute});
}

TEST_P(SchedulesTest, a_runner_runs_the_schedules_of_all_databases_in_every_round) {
  Schedules(store()->database("one")).set(each_minute());
  Schedules(store()->database("two")).set(each_minute());
  const auto jobs_of = [&](View name) { return Queue(store()->database(name), "q").stats().ready; };
  ScheduleRunner runner(store(), {.interval = seconds(5), .clock = clock_pointer()});
  until([&] { return clock().waiting() >= 1; });
  EXPECT_EQ(jobs_of("one"), 0u);
  advance(minutes(1));
  until([&] { return jobs_of("one") >= 1 && jobs_of("two") >= 1; });
}

}  // namespace
}  // namespace holdfast
