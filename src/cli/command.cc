#include "cli/command.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "cli/exit.h"

namespace holdfast::cli {
namespace {

template <class Number>
Number parsed(const std::string& text, const std::string& what) {
  Number number{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) {
    throw UsageError(what + " must be a " + (Number(-1) < 0 ? "whole number" : "number, 0 or above"));
  }
  return number;
}

}  // namespace

bool Arguments::flag(const std::string& name) const { return values_.at(name).is_given; }
bool Arguments::given(const std::string& name) const { return values_.at(name).is_given; }

const std::string& Arguments::text(const std::string& name) const { return values_.at(name).texts.at(0); }

std::optional<std::string> Arguments::optional_text(const std::string& name) const {
  const Value& value = values_.at(name);
  if (value.texts.empty()) return std::nullopt;
  return value.texts.front();
}

std::uint64_t Arguments::number(const std::string& name) const {
  return parsed<std::uint64_t>(text(name), name);
}

std::int64_t Arguments::integer(const std::string& name) const {
  return parsed<std::int64_t>(text(name), name);
}

std::optional<std::int64_t> Arguments::optional_duration_ms(const std::string& name) const {
  const std::optional<std::string> value = optional_text(name);
  if (!value) return std::nullopt;
  return parse_duration_ms(*value, name);
}

std::optional<UnixMs> Arguments::optional_instant_ms(const std::string& name) const {
  const std::optional<std::string> value = optional_text(name);
  if (!value) return std::nullopt;
  return parse_instant_ms(*value, name);
}

const std::vector<std::string>& Arguments::list(const std::string& name) const {
  return values_.at(name).texts;
}

void Arguments::set(const std::string& name, std::vector<std::string> values, bool is_given) {
  values_[name] = {std::move(values), is_given};
}

const Command* CommandTree::find(const std::string& path) const {
  const auto found = std::ranges::find(commands, path, &Command::path);
  return found == commands.end() ? nullptr : &*found;
}

const CommandGroup* CommandTree::find_group(const std::string& name) const {
  const auto found = std::ranges::find(groups, name, &CommandGroup::name);
  return found == groups.end() ? nullptr : &*found;
}

const std::string& CommandTree::summary_of(const std::string& path) const {
  const Command* command = find(path);
  return command != nullptr ? command->summary : find_group(path)->summary;
}

std::vector<std::string> CommandTree::words_after(const std::string& group) const {
  std::vector<std::string> words;
  const auto add = [&](const std::string& path) {
    const std::size_t space = path.rfind(' ');
    const bool is_first = space == std::string::npos;
    if ((is_first ? "" : path.substr(0, space)) == group)
      words.push_back(is_first ? path : path.substr(space + 1));
  };
  if (group.empty()) {
    for (const CommandGroup& each : groups) add(each.name);
  }
  for (const Command& command : commands) add(command.path);
  if (!group.empty()) {
    for (const CommandGroup& each : groups) add(each.name);
  }
  return words;
}

std::int64_t parse_duration_ms(const std::string& text, const std::string& what) {
  struct Unit {
    const char* name;
    std::int64_t milliseconds;
  };
  static constexpr Unit kUnits[] = {
      {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  std::int64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string unit(end, text.data() + text.size());
  for (const Unit& each : kUnits) {
    const bool fits =
        problem == std::errc{} && count > 0 && count <= 36'500 * (86'400'000 / each.milliseconds);
    if (unit == each.name && fits) return count * each.milliseconds;
  }
  throw UsageError(what + " must be a time such as 250ms, 10s, 5m, 2h or 3d, up to 100 years");
}

UnixMs parse_instant_ms(const std::string& text, const std::string& what) {
  UnixMs number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem == std::errc{} && end == text.data() + text.size()) return number;

  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
  int used = 0;
  std::sscanf(text.c_str(), "%4d-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day, &hour, &minute, &second, &used);
  std::int64_t milliseconds = 0;
  std::string rest = used == 0 ? "" : text.substr(static_cast<std::size_t>(used));
  if (rest.starts_with('.')) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789", 1), rest.size()) - 1;
    for (std::size_t i = 0; i < 3; ++i) {
      milliseconds = milliseconds * 10 + (i < digits ? rest[i + 1] - '0' : 0);
    }
    rest = digits == 0 ? "" : rest.substr(digits + 1);
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (rest != "Z" || !date.ok() || hour > 23 || minute > 59 || second > 59) {
    throw UsageError(what + " must be an instant such as 2026-01-31T09:30:00Z, or Unix milliseconds");
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + hour) * 60 + minute) * 60'000 + second * 1'000 + milliseconds;
}

}  // namespace holdfast::cli
