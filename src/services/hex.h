// Lower-case hexadecimal, two digits a byte.
#pragma once

#include <optional>

#include "holdfast/types.h"

namespace holdfast {

inline constexpr View kHexDigits = "0123456789abcdef";

inline void append_hex(Bytes& out, char byte) {
  out += kHexDigits[static_cast<unsigned char>(byte) >> 4];
  out += kHexDigits[static_cast<unsigned char>(byte) & 15];
}

/// The byte that two digits stand for; none if one of them is no lower-case hexadecimal digit.
inline std::optional<char> byte_of_hex(char high, char low) {
  const std::size_t upper = kHexDigits.find(high);
  const std::size_t lower = kHexDigits.find(low);
  if (upper == View::npos || lower == View::npos) return std::nullopt;
  return static_cast<char>(upper * 16 + lower);
}

}  // namespace holdfast
