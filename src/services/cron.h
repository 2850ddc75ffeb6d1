// Cron expressions: which instants they name in a time zone. What happens where clocks are put forward or
// back is said in holdfast/schedules.h.
#pragma once

#include <absl/time/civil_time.h>
#include <absl/time/time.h>

#include <cstdint>
#include <optional>

#include "holdfast/types.h"

namespace holdfast {

class CronRule {
 public:
  /// Throws invalid_argument, naming the field that is wrong.
  static CronRule parse(View text);

  /// The first instant behind `after_ms`; nothing if there is none, as with 30 February.
  std::optional<UnixMs> next_after(UnixMs after_ms, const absl::TimeZone& zone) const;

 private:
  bool names(absl::CivilDay day) const;
  std::optional<int> next_second_of_day(int from) const;
  std::optional<absl::CivilSecond> next_civil(absl::CivilSecond from) const;
  std::optional<absl::Time> next_by_clock(absl::Time from, const absl::TimeZone& zone) const;
  std::optional<absl::Time> next_by_calendar(absl::Time from, const absl::TimeZone& zone) const;

  // A bit for each value.
  std::uint64_t seconds_ = 1;
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;
  bool is_last_day_ = false;
  bool is_any_day_ = false;
  bool is_any_weekday_ = false;
  bool is_any_hour_ = false;
};

/// Throws invalid_argument for what is no name of the system's time zone database.
absl::TimeZone load_time_zone(View name);

}  // namespace holdfast
