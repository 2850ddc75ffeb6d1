#include "services/keys.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "contract/hex.h"
#include "holdfast/error.h"
#include "holdfast/payload.h"
#include "services/blake2b.h"

namespace holdfast {
namespace {

constexpr std::size_t kPrefixBytes = 100;
constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool needs_escape(char c) { return c == '/' || c == '%' || is_control(c); }

[[noreturn]] void fail_as_unreadable_key() {
  throw Error(Code::corruption, "a key of a service cannot be read; restore the database from a backup");
}

}  // namespace

Bytes escaped_segment(View text) {
  if (std::ranges::none_of(text, needs_escape)) return Bytes(text);
  Bytes out;
  for (const char c : text) {
    if (!needs_escape(c)) {
      out += c;
      continue;
    }
    out += '%';
    append_hex(out, c);
  }
  return out;
}

Bytes unescaped_segment(View text) {
  Bytes out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!needs_escape(text[at])) {
      out += text[at];
      continue;
    }
    const bool is_escape = text[at] == '%' && at + 2 < text.size();
    const auto byte = is_escape ? byte_of_hex(text[at + 1], text[at + 2]) : std::nullopt;
    if (!byte || !needs_escape(*byte)) fail_as_unreadable_key();
    out += *byte;
    at += 2;
  }
  return out;
}

Bytes short_segment(View text) {
  Bytes segment = escaped_segment(text);
  // What ends like a hash is hashed as well, so that no text can look like another one that was cut.
  constexpr std::size_t kHashBytes = 33;
  const bool looks_cut = segment.size() == kSegmentBytes && segment[kSegmentBytes - kHashBytes] == '~';
  if (segment.size() <= kSegmentBytes && !looks_cut) return segment;
  segment.resize(kSegmentBytes - kHashBytes);
  return segment + '~' + hash_segment(text);
}

Bytes hash_segment(View text) { return blake2b_hex(text).substr(0, 32); }

Bytes number_segment(std::uint64_t number) { return hex16(number); }

std::uint64_t segment_number(View digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  // Upper-case digits would make several keys of one number.
  if (error != std::errc{} || end != digits.data() + digits.size() || number_segment(number) != digits)
    fail_as_unreadable_key();
  return number;
}

Bytes signed_segment(std::int64_t number) {
  return number_segment(static_cast<std::uint64_t>(number) ^ kSignBit);
}

std::int64_t segment_signed(View digits) {
  return static_cast<std::int64_t>(segment_number(digits) ^ kSignBit);
}

void validate_user_key(View key, View what) {
  if (!key.empty() && key.size() <= limits::kServiceKeyBytes) return;
  throw Error(Code::invalid_argument, Bytes(what) + " of " + std::to_string(key.size()) +
                                          " bytes: it has at least 1 and at most " +
                                          std::to_string(limits::kServiceKeyBytes));
}

void validate_service_prefix(View prefix) {
  const bool is_valid = !prefix.empty() && prefix.size() <= kPrefixBytes && prefix.front() != '!' &&
                        std::ranges::none_of(prefix, is_control);
  if (is_valid) return;
  throw Error(Code::invalid_argument, "the prefix of a service has 1 to " + std::to_string(kPrefixBytes) +
                                          " bytes, no control bytes, and does not begin with '!'");
}

}  // namespace holdfast
