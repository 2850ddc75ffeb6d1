#include "services/cron.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "holdfast/error.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using Texts = std::vector<std::string>;

UnixMs instant(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S %Ez", text, &time, &error)) << text << ": " << error;
  return absl::ToUnixMillis(time);
}

/// The first ticks behind `after`, as the clocks of the zone show them.
Texts ticks(View rule, const char* zone_name, const std::string& after, std::size_t count) {
  const CronRule cron = CronRule::parse(rule);
  const absl::TimeZone zone = load_time_zone(zone_name);
  Texts texts;
  UnixMs at_ms = instant(after);
  while (texts.size() < count) {
    const std::optional<UnixMs> next = cron.next_after(at_ms, zone);
    if (!next) break;
    EXPECT_GT(*next, at_ms);
    at_ms = *next;
    texts.push_back(absl::FormatTime("%Y-%m-%d %H:%M:%S %Ez", absl::FromUnixMillis(at_ms), zone));
  }
  return texts;
}

TEST(CronTest, a_tick_is_behind_the_instant_that_is_asked_for) {
  EXPECT_EQ(
      ticks("*/20 9 * * *", "UTC", "2024-05-01 09:20:00 +00:00", 3),
      (Texts{"2024-05-01 09:40:00 +00:00", "2024-05-02 09:00:00 +00:00", "2024-05-02 09:20:00 +00:00"}));
  const CronRule every_second = CronRule::parse("* * * * * *");
  EXPECT_EQ(every_second.next_after(1'500, absl::UTCTimeZone()), 2'000);
  EXPECT_EQ(every_second.next_after(2'000, absl::UTCTimeZone()), 3'000);
  EXPECT_EQ(every_second.next_after(-500, absl::UTCTimeZone()), 0);
}

TEST(CronTest, fields_have_lists_ranges_steps_and_names) {
  EXPECT_EQ(
      ticks("5,50-52/2 8 * JAN,jul *", "UTC", "2024-01-31 08:51:00 +00:00", 3),
      (Texts{"2024-01-31 08:52:00 +00:00", "2024-07-01 08:05:00 +00:00", "2024-07-01 08:50:00 +00:00"}));
  EXPECT_EQ(
      ticks("0 12 * * FRI-SUN", "UTC", "2024-05-03 12:00:00 +00:00", 3),
      (Texts{"2024-05-04 12:00:00 +00:00", "2024-05-05 12:00:00 +00:00", "2024-05-10 12:00:00 +00:00"}));
  EXPECT_EQ(ticks("0 12 * * 7", "UTC", "2024-05-03 12:00:00 +00:00", 1), Texts{"2024-05-05 12:00:00 +00:00"});
  EXPECT_EQ(ticks("30 15 10 1 * *", "UTC", "2024-05-03 12:00:00 +00:00", 1),
            Texts{"2024-06-01 10:15:30 +00:00"});
  EXPECT_EQ(ticks("10/25 0 1 1 ?", "UTC", "2024-01-01 00:00:00 +00:00", 2),
            (Texts{"2024-01-01 00:10:00 +00:00", "2024-01-01 00:35:00 +00:00"}));
  EXPECT_EQ(ticks("@monthly", "UTC", "2024-05-03 12:00:00 +00:00", 1), Texts{"2024-06-01 00:00:00 +00:00"});
}

TEST(CronTest, a_day_of_the_month_or_a_weekday_is_enough_unless_one_begins_with_a_star) {
  EXPECT_EQ(
      ticks("0 0 13 * FRI", "UTC", "2024-09-10 00:00:00 +00:00", 3),
      (Texts{"2024-09-13 00:00:00 +00:00", "2024-09-20 00:00:00 +00:00", "2024-09-27 00:00:00 +00:00"}));
  EXPECT_EQ(ticks("0 0 */2 * FRI", "UTC", "2024-09-10 00:00:00 +00:00", 2),
            (Texts{"2024-09-13 00:00:00 +00:00", "2024-09-27 00:00:00 +00:00"}));
}

TEST(CronTest, the_last_day_of_a_month_and_leap_days_are_found) {
  EXPECT_EQ(
      ticks("0 0 L * *", "UTC", "2024-01-31 00:00:00 +00:00", 3),
      (Texts{"2024-02-29 00:00:00 +00:00", "2024-03-31 00:00:00 +00:00", "2024-04-30 00:00:00 +00:00"}));
  EXPECT_EQ(ticks("0 0 29 2 *", "UTC", "2096-03-01 00:00:00 +00:00", 1), Texts{"2104-02-29 00:00:00 +00:00"});
  EXPECT_EQ(ticks("0 * 29 2 *", "Europe/Berlin", "2025-01-01 00:00:00 +00:00", 1),
            Texts{"2028-02-29 00:00:00 +01:00"});
  EXPECT_EQ(ticks("0 0 30 2 *", "UTC", "2024-01-01 00:00:00 +00:00", 1), Texts{});
  EXPECT_EQ(ticks("0 * 30 2 *", "Europe/Berlin", "2024-01-01 00:00:00 +00:00", 1), Texts{});
}

TEST(CronTest, times_that_are_skipped_come_as_one_in_the_moment_of_the_skip) {
  // 02:00 to 03:00 of that day is not there.
  EXPECT_EQ(ticks("15,45 2 * * *", "Europe/Berlin", "2024-03-29 12:00:00 +00:00", 5),
            (Texts{"2024-03-30 02:15:00 +01:00", "2024-03-30 02:45:00 +01:00", "2024-03-31 03:00:00 +02:00",
                   "2024-04-01 02:15:00 +02:00", "2024-04-01 02:45:00 +02:00"}));
  // The clocks of this island are put forward by half an hour.
  EXPECT_EQ(ticks("10 2 * * *", "Australia/Lord_Howe", "2024-10-05 00:00:00 +00:00", 2),
            (Texts{"2024-10-06 02:30:00 +11:00", "2024-10-07 02:10:00 +11:00"}));
  // A whole day was skipped here.
  EXPECT_EQ(ticks("0 12 * * *", "Pacific/Apia", "2011-12-29 12:00:00 -10:00", 2),
            (Texts{"2011-12-31 00:00:00 +14:00", "2011-12-31 12:00:00 +14:00"}));
}

TEST(CronTest, times_that_come_twice_count_the_first_time) {
  EXPECT_EQ(ticks("30 2 * * *", "Europe/Berlin", "2024-10-26 12:00:00 +00:00", 2),
            (Texts{"2024-10-27 02:30:00 +02:00", "2024-10-28 02:30:00 +01:00"}));
  // From within the second pass.
  EXPECT_EQ(ticks("30 2 * * *", "Europe/Berlin", "2024-10-27 02:10:00 +01:00", 1),
            Texts{"2024-10-28 02:30:00 +01:00"});
}

TEST(CronTest, an_expression_of_every_hour_follows_the_clock) {
  EXPECT_EQ(
      ticks("30 * * * *", "Europe/Berlin", "2024-03-31 00:59:00 +01:00", 3),
      (Texts{"2024-03-31 01:30:00 +01:00", "2024-03-31 03:30:00 +02:00", "2024-03-31 04:30:00 +02:00"}));
  EXPECT_EQ(
      ticks("30 * * * *", "Europe/Berlin", "2024-10-27 01:59:00 +02:00", 3),
      (Texts{"2024-10-27 02:30:00 +02:00", "2024-10-27 02:30:00 +01:00", "2024-10-27 03:30:00 +01:00"}));
  EXPECT_EQ(ticks("0 */2 * * *", "Europe/Berlin", "2024-03-31 00:00:00 +01:00", 2),
            (Texts{"2024-03-31 04:00:00 +02:00", "2024-03-31 06:00:00 +02:00"}));
}

TEST(CronTest, years_of_ticks_are_those_that_a_walk_through_every_minute_finds) {
  // By the definition, minute by minute, in zones with all sorts of transitions.
  for (const char* name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"}) {
    const absl::TimeZone zone = load_time_zone(name);
    const CronRule rule = CronRule::parse("7,37 */3 * * MON,SUN");
    std::optional<UnixMs> next = rule.next_after(instant("2023-01-01 00:00:00 +00:00") - 1, zone);
    for (UnixMs at_ms = instant("2023-01-01 00:00:00 +00:00"); at_ms < instant("2025-01-01 00:00:00 +00:00");
         at_ms += 60'000) {
      const absl::CivilSecond local = zone.At(absl::FromUnixMillis(at_ms)).cs;
      const absl::Weekday weekday = absl::GetWeekday(local);
      const bool is_tick = (local.minute() == 7 || local.minute() == 37) && local.hour() % 3 == 0 &&
                           (weekday == absl::Weekday::monday || weekday == absl::Weekday::sunday);
      ASSERT_EQ(next == at_ms, is_tick) << name << ' ' << at_ms;
      if (is_tick) next = rule.next_after(at_ms, zone);
    }
  }
}

TEST(CronTest, what_is_no_expression_is_refused) {
  for (const char* text :
       {"", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "a * * * *", "1, * * * *", "-1 * * * *", "1- * * * *", "* * * MON *",
        "@never", "1/ * * * *", "99999999999 * * * *", "* * L,1 * *"}) {
    EXPECT_EQ(testing_support::code_of([&] { CronRule::parse(text); }), Code::invalid_argument) << text;
  }
}

TEST(CronTest, what_is_no_time_zone_is_refused) {
  for (const char* name :
       {"", "Europe/Nowhere", "localtime", "/etc/localtime", "../zoneinfo/UTC", "file:UTC"}) {
    EXPECT_EQ(testing_support::code_of([&] { load_time_zone(name); }), Code::invalid_argument) << name;
  }
}

}  // namespace
}  // namespace holdfast
