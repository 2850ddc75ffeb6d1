// Lower-case hexadecimal.
#pragma once

#include <cstdint>
#include <optional>

#include "holdfast/types.h"

namespace holdfast {

inline constexpr View kHexDigits = "0123456789abcdef";

inline void append_hex(Bytes& out, char byte) {
  out += kHexDigits[static_cast<unsigned char>(byte) >> 4];
  out += kHexDigits[static_cast<unsigned char>(byte) & 15];
}

/// All 16 digits, so that texts sort as the numbers do.
inline Bytes hex16(std::uint64_t number) {
  Bytes digits(16, '0');
  for (std::size_t i = digits.size(); number != 0; number >>= 4) digits[--i] = kHexDigits[number & 15];
  return digits;
}

/// The byte that two digits stand for; none if one of them is no lower-case hexadecimal digit.
inline std::optional<char> byte_of_hex(char high, char low) {
  const std::size_t upper = kHexDigits.find(high);
  const std::size_t lower = kHexDigits.find(low);
  if (upper == View::npos || lower == View::npos) return std::nullopt;
  return static_cast<char>(upper * 16 + lower);
}

}  // namespace holdfast
