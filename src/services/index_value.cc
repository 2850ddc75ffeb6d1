#include "services/index_value.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "holdfast/error.h"
#include "services/json_pointer.h"
#include "services/json_text.h"
#include "services/keys.h"

namespace holdfast {
namespace {

constexpr char kString = '6';
constexpr std::int64_t kExponentMax = 30'000;
constexpr std::int64_t kExponentZero = 0x8000;
constexpr View kEnd("\0/", 2);
constexpr View kBehindEnd(
    "\0"
    "0",
    2);
constexpr View kCut("\0~", 2);
constexpr View kBehindCut("\0\x7f", 2);
constexpr std::size_t kHashDigits = 32;

Bytes escaped_string(View text) {
  Bytes out;
  out.reserve(text.size());
  for (const char c : text) {
    out += c;
    if (c == '\0') out += '\xff';
  }
  return out;
}

/// An exponent as JSON has it, as far as it matters.
std::int64_t exponent_of(View digits) {
  if (digits.starts_with('+')) digits.remove_prefix(1);
  std::int64_t exponent = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  if (error != std::errc{}) return digits.starts_with('-') ? -kFar : kFar;
  return std::clamp(exponent, -kFar, kFar);
}

std::optional<Bytes> number_value(View json) {
  const bool is_negative = json.starts_with('-');
  if (is_negative) json.remove_prefix(1);
  std::int64_t exponent = 0;
  if (const std::size_t at = json.find_first_of("eE"); at != View::npos) {
    exponent = exponent_of(json.substr(at + 1));
    json = json.substr(0, at);
  }
  const std::size_t point = std::min(json.find('.'), json.size());
  exponent += static_cast<std::int64_t>(point);
  Bytes digits(json.substr(0, point));
  if (point < json.size()) digits += json.substr(point + 1);
  const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, first);
  if (digits.empty()) return "4";
  digits.erase(digits.find_last_not_of('0') + 1);
  exponent -= static_cast<std::int64_t>(first);
  if (std::abs(exponent) > kExponentMax) return std::nullopt;

  const std::int64_t biased = exponent + kExponentZero;
  Bytes out(1, is_negative ? '3' : '5');
  out += number_segment(static_cast<std::uint64_t>(is_negative ? 0xffff - biased : biased)).substr(12);
  if (!is_negative) return out + digits;
  for (char& digit : digits) digit = static_cast<char>('0' + '9' - digit);
  return out + digits + '~';
}

/// Where a value is cut: not within an escape.
View kept_part(View value) {
  return value.substr(0, value[kIndexedBytes] == '\xff' ? kIndexedBytes - 1 : kIndexedBytes);
}

Bytes join(View value, View end) { return Bytes(value).append(end); }

Bytes suffix_at(const IndexBound& bound, bool is_lower) {
  if (is_cut(bound.value)) return join(kept_part(bound.value), is_lower ? kCut : kBehindCut);
  return bound.after ? join(bound.value, kBehindEnd) : bound.value;
}

Bytes value_at(const IndexBound& bound) { return bound.after ? bound.value + '\0' : bound.value; }

}  // namespace

std::optional<Bytes> index_value(View json) {
  if (json.empty()) return std::nullopt;
  switch (json.front()) {
    case 'n':
      return "0";
    case 'f':
      return "1";
    case 't':
      return "2";
    case '"':
      return index_value_of_prefix(decoded_json_string(json));
    case '{':
    case '[':
      return std::nullopt;
    default:
      return number_value(json);
  }
}

Bytes index_value_of_prefix(View text) { return kString + escaped_string(text); }

bool is_cut(View value) { return value.size() > kIndexedBytes; }

Bytes index_segment(View value) {
  if (!is_cut(value)) return join(value, kEnd);
  const XXH128_hash_t hash = XXH3_128bits(value.data(), value.size());
  return join(kept_part(value), kCut) + number_segment(hash.high64) + number_segment(hash.low64) + '/';
}

std::size_t index_segment_size(View suffix) {
  for (std::size_t at = 0; (at = suffix.find('\0', at)) != View::npos; ++at) {
    const View end = suffix.substr(at);
    if (end.starts_with(kEnd)) return at + kEnd.size();
    const std::size_t size = kCut.size() + kHashDigits + 1;
    if (end.starts_with(kCut) && end.size() >= size && end[size - 1] == '/') return at + size;
  }
  throw Error(Code::corruption, "a key of an index cannot be read; drop the index and declare it again");
}

bool is_cut_segment(View segment) { return !segment.ends_with(kEnd); }

IndexRange::IndexRange(const IndexBound& lower, const IndexBound& upper)
    : values_{value_at(lower), value_at(upper)}, suffixes_{suffix_at(lower, true), suffix_at(upper, false)} {}

IndexRange IndexRange::equal_to(View value) {
  IndexRange range({Bytes(value), false}, {Bytes(value), true});
  range.suffixes_ = Range::prefix(index_segment(value));
  return range;
}

IndexRange IndexRange::of_type(View value) {
  const char tag = value.front();
  if (tag == '0') return {{"0"}, {"1"}};
  if (tag <= '2') return {{"1"}, {"3"}};
  if (tag <= '5') return {{"3"}, {"6"}};
  return {{"6"}, {"7"}};
}

IndexRange IndexRange::within(const IndexRange& other) const {
  IndexRange both;
  both.values_ = {std::max(values_.begin, other.values_.begin), std::min(values_.end, other.values_.end)};
  both.suffixes_ = {std::max(suffixes_.begin, other.suffixes_.begin),
                    std::min(suffixes_.end, other.suffixes_.end)};
  return both;
}

}  // namespace holdfast
