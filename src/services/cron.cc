#include "services/cron.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "holdfast/error.h"

namespace holdfast {
namespace {

/// The longest time without a 29 February has eight years.
constexpr int kYearsAhead = 9;
/// Clocks are put forward or back a few times a year.
constexpr int kTransitionsAhead = 100;
constexpr std::size_t kTextBytes = 500;

constexpr std::array<View, 12> kMonths = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<View, 7> kWeekdays = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct FieldRule {
  const char* name;
  int first;
  int last;
  std::span<const View> words;
  int first_word;
};

constexpr FieldRule kSecond{"second", 0, 59, {}, 0};
constexpr FieldRule kMinute{"minute", 0, 59, {}, 0};
constexpr FieldRule kHour{"hour", 0, 23, {}, 0};
constexpr FieldRule kDay{"day of the month", 1, 31, {}, 0};
const FieldRule kMonth{"month", 1, 12, kMonths, 1};
const FieldRule kWeekday{"weekday", 0, 7, kWeekdays, 0};

[[noreturn]] void refuse(const FieldRule& rule) {
  throw Error(Code::invalid_argument, Bytes("the field of the ") + rule.name +
                                          " of a cron expression: it has *, numbers from " +
                                          std::to_string(rule.first) + " to " + std::to_string(rule.last) +
                                          ", ranges a-b and steps /n, separated by commas");
}

std::vector<View> split(View text, View separators) {
  std::vector<View> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

int number_of(View text, const FieldRule& rule) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || text.size() > 3) refuse(rule);
  if (std::ranges::all_of(text, is_digit)) {
    int number = 0;
    for (const char c : text) number = 10 * number + (c - '0');
    return number;
  }
  Bytes word(text);
  std::ranges::transform(word, word.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  const auto found = std::ranges::find(rule.words, View(word));
  if (found == rule.words.end()) refuse(rule);
  return rule.first_word + static_cast<int>(found - rule.words.begin());
}

std::uint64_t bits_of(View field, const FieldRule& rule) {
  std::uint64_t bits = 0;
  for (const View part : split(field, ",")) {
    const std::size_t slash = part.find('/');
    const View base = part.substr(0, slash);
    const int step = slash == View::npos ? 1 : number_of(part.substr(slash + 1), rule);
    int first = rule.first;
    int last = rule.last;
    if (base != "*" && base != "?") {
      const std::size_t dash = base.find('-');
      first = number_of(base.substr(0, dash), rule);
      if (dash != View::npos) {
        last = number_of(base.substr(dash + 1), rule);
        // Sunday ends the week as well as it begins it.
        if (rule.last == 7 && last == 0 && first > 0) last = 7;
      } else if (slash == View::npos) {
        last = first;
      }
    }
    if (step < 1 || first < rule.first || last > rule.last || first > last) refuse(rule);
    for (int value = first; value <= last; value += step) bits |= std::uint64_t{1} << value;
  }
  return bits;
}

bool is_any(View field) { return field.starts_with('*') || field.starts_with('?'); }

bool has(std::uint64_t bits, int value) { return ((bits >> value) & 1) != 0; }

/// The first value of `bits` from `from` on; 64 if there is none.
int next_of(std::uint64_t bits, int from) {
  while (from < 64 && !has(bits, from)) ++from;
  return from;
}

View without_name(View text) {
  if (text == "@yearly" || text == "@annually") return "0 0 1 1 *";
  if (text == "@monthly") return "0 0 1 * *";
  if (text == "@weekly") return "0 0 * * 0";
  if (text == "@daily" || text == "@midnight") return "0 0 * * *";
  if (text == "@hourly") return "0 * * * *";
  return text;
}

/// When the clocks of a zone are next put forward or back.
std::optional<absl::Time> next_transition(absl::Time from, const absl::TimeZone& zone) {
  absl::TimeZone::CivilTransition transition;
  if (!zone.NextTransition(from, &transition)) return std::nullopt;
  const absl::TimeZone::TimeInfo to = zone.At(transition.to);
  return to.kind == absl::TimeZone::TimeInfo::UNIQUE ? to.pre : to.trans;
}

}  // namespace

CronRule CronRule::parse(View text) {
  std::vector<View> fields;
  for (const View field : split(without_name(text), " \t")) {
    if (!field.empty()) fields.push_back(field);
  }
  if (text.size() > kTextBytes || (fields.size() != 5 && fields.size() != 6)) {
    throw Error(Code::invalid_argument,
                "a cron expression has five fields: minute, hour, day of the month, month, weekday; or a "
                "second in front of them; or it is @yearly, @monthly, @weekly, @daily or @hourly");
  }
  CronRule rule;
  if (fields.size() == 6) {
    rule.seconds_ = bits_of(fields.front(), kSecond);
    fields.erase(fields.begin());
  }
  rule.minutes_ = bits_of(fields[0], kMinute);
  rule.hours_ = bits_of(fields[1], kHour);
  rule.is_any_hour_ = is_any(fields[1]);
  rule.is_last_day_ = fields[2] == "L";
  if (!rule.is_last_day_) rule.days_ = bits_of(fields[2], kDay);
  rule.is_any_day_ = is_any(fields[2]);
  rule.months_ = bits_of(fields[3], kMonth);
  rule.weekdays_ = bits_of(fields[4], kWeekday);
  if (has(rule.weekdays_, 7)) rule.weekdays_ |= 1;
  rule.is_any_weekday_ = is_any(fields[4]);
  return rule;
}

bool CronRule::names(absl::CivilDay day) const {
  const bool is_day = is_last_day_ ? (day + 1).day() == 1 : has(days_, day.day());
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;  // of absl: 0 is Monday
  const bool is_weekday = has(weekdays_, weekday);
  return is_any_day_ || is_any_weekday_ ? is_day && is_weekday : is_day || is_weekday;
}

std::optional<int> CronRule::next_second_of_day(int from) const {
  for (int hour = next_of(hours_, from / 3'600); hour < 24; hour = next_of(hours_, hour + 1)) {
    const int in_hour = std::max(from - hour * 3'600, 0);
    for (int minute = next_of(minutes_, in_hour / 60); minute < 60; minute = next_of(minutes_, minute + 1)) {
      const int second = next_of(seconds_, std::max(in_hour - minute * 60, 0));
      if (second < 60) return hour * 3'600 + minute * 60 + second;
    }
  }
  return std::nullopt;
}

std::optional<absl::CivilSecond> CronRule::next_civil(absl::CivilSecond from) const {
  const absl::civil_year_t last_year = from.year() + kYearsAhead;
  for (absl::CivilDay day(from); day.year() <= last_year;) {
    if (!has(months_, day.month())) {
      day = absl::CivilDay(absl::CivilMonth(day) + 1);
      continue;
    }
    if (names(day)) {
      const absl::CivilSecond midnight(day);
      const auto second = next_second_of_day(static_cast<int>(std::max(from, midnight) - midnight));
      if (second) return midnight + *second;
    }
    ++day;
  }
  return std::nullopt;
}

std::optional<absl::Time> CronRule::next_by_clock(absl::Time from, const absl::TimeZone& zone) const {
  // Between two transitions local time and time run alike.
  for (int i = 0; i < kTransitionsAhead; ++i) {
    const absl::CivilSecond local = zone.At(from).cs;
    const std::optional<absl::CivilSecond> next = next_civil(local);
    const std::optional<absl::Time> transition = next_transition(from, zone);
    if (next) {
      const absl::Time at = from + absl::Seconds(*next - local);
      if (!transition || at < *transition) return at;
    }
    if (!transition) return std::nullopt;
    from = *transition;
  }
  return std::nullopt;
}

std::optional<absl::Time> CronRule::next_by_calendar(absl::Time from, const absl::TimeZone& zone) const {
  using Info = absl::TimeZone::TimeInfo;
  for (std::optional<absl::CivilSecond> next = next_civil(zone.At(from).cs); next;
       next = next_civil(*next + 1)) {
    const Info info = zone.At(*next);
    const absl::Time at = info.kind == Info::SKIPPED ? info.trans : info.pre;
    // The second pass through an hour that is repeated is behind the ticks of that hour.
    if (at >= from) return at;
  }
  return std::nullopt;
}

std::optional<UnixMs> CronRule::next_after(UnixMs after_ms, const absl::TimeZone& zone) const {
  const absl::Time from = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::FromUnixMillis(after_ms)) + 1);
  const std::optional<absl::Time> next =
      is_any_hour_ ? next_by_clock(from, zone) : next_by_calendar(from, zone);
  if (!next) return std::nullopt;
  return absl::ToUnixMillis(*next);
}

absl::TimeZone load_time_zone(View name) {
  // What is neither a name of a zone nor independent of this process is not asked for.
  const bool is_name = !name.empty() && name.size() <= 100 && name.front() != '/' && name != "localtime" &&
                       name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789/_+-") == View::npos;
  absl::TimeZone zone;
  if (is_name && absl::LoadTimeZone(std::string(name), &zone)) return zone;
  throw Error(Code::invalid_argument,
              "a time zone that this machine does not know: it is a name of the tz database such as "
              "Europe/Berlin or UTC; on Debian the package tzdata has them");
}

}  // namespace holdfast
