#include "engine/log_samples.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace holdfast {
namespace {

/// The unsigned numbers of a text, in order. Nothing if one is too large.
std::optional<std::vector<std::uint64_t>> numbers_in(View text) {
  std::vector<std::uint64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at < '0' || *at > '9') {
      ++at;
      continue;
    }
    std::uint64_t number = 0;
    const auto [after, error] = std::from_chars(at, end, number);
    if (error != std::errc{}) return std::nullopt;
    numbers.push_back(number);
    at = after;
  }
  return numbers;
}

}  // namespace

void LogSamples::add(UnixMs now_ms, Position at, std::int64_t kept_ms) {
  if (history_ != at.history) samples_.clear();
  history_ = at.history;
  // A clock that was set back would leave samples of the future behind.
  while (!samples_.empty() && (samples_.back().first >= now_ms || samples_.back().second > at.seq)) {
    samples_.pop_back();
  }
  samples_.emplace_back(now_ms, at.seq);
  // The newest sample that is old enough answers; the ones before it answer no better.
  while (samples_.size() > 1 && samples_[1].first <= now_ms - kept_ms) samples_.erase(samples_.begin());
}

Seq LogSamples::seq_older_than(UnixMs now_ms, std::int64_t age_ms) const {
  Seq seq = 0;
  for (const auto& [time_ms, sampled] : samples_) {
    if (time_ms <= now_ms - age_ms) seq = sampled;
  }
  return seq;
}

Bytes LogSamples::text() const {
  Bytes text = "{\"history\":" + std::to_string(history_) + ",\"samples\":[";
  for (const auto& [time_ms, seq] : samples_) {
    if (text.back() != '[') text += ',';
    text += "[" + std::to_string(time_ms) + "," + std::to_string(seq) + "]";
  }
  return text + "]}";
}

LogSamples LogSamples::parse(View text) {
  const auto skip = [&](View wanted) {
    if (!text.starts_with(wanted)) return false;
    text.remove_prefix(wanted.size());
    return true;
  };
  const auto take = [&](auto& number) {
    const char* const end = text.data() + text.size();
    const auto [after, error] = std::from_chars(text.data(), end, number);
    text.remove_prefix(static_cast<std::size_t>(after - text.data()));
    return error == std::errc{};
  };
  LogSamples samples;
  if (!skip("{\"history\":") || !take(samples.history_) || !skip(",\"samples\":[")) return {};
  while (!skip("]}")) {
    if (!samples.empty() && !skip(",")) return {};
    auto& [time_ms, seq] = samples.samples_.emplace_back();
    if (!skip("[") || !take(time_ms) || !skip(",") || !take(seq) || !skip("]")) return {};
  }
  return text.empty() ? samples : LogSamples();
}

std::optional<Seq> parse_pin(View value) {
  const auto numbers = numbers_in(value);
  if (!numbers || numbers->size() != 1) return std::nullopt;
  const bool is_decimal =
      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!is_decimal && !(value.starts_with('{') && value.find("\"seq\"") != View::npos)) return std::nullopt;
  return numbers->front();
}

}  // namespace holdfast
