#include "services/base64.h"

#include <cstdint>

namespace holdfast {
namespace {

constexpr View kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint32_t byte_at(View bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u;
}

}  // namespace

Bytes to_base64(View bytes) {
  Bytes text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::uint32_t three =
        byte_at(bytes, at) << 16 | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2);
    for (std::size_t i = 0; i < 4; ++i) {
      text += at + i <= bytes.size() ? kDigits[three >> (18 - 6 * i) & 63] : '=';
    }
  }
  return text;
}

std::optional<Bytes> from_base64(View text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::uint32_t three = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t digit = kDigits.find(text[at + i]);
      three = three << 6 | static_cast<std::uint32_t>(digit == View::npos ? 0 : digit);
    }
    for (int shift = 16; shift >= 0; shift -= 8) bytes += static_cast<char>(three >> shift & 255);
  }
  if (text.ends_with("==")) {
    bytes.resize(bytes.size() - 2);
  } else if (text.ends_with("=")) {
    bytes.pop_back();
  }
  // Whatever was no digit, or no canonical padding, does not come back.
  if (to_base64(bytes) != text) return std::nullopt;
  return bytes;
}

}  // namespace holdfast
