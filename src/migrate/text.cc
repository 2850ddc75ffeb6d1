#include "migrate/text.h"

#include <charconv>

namespace holdfast::migrate {
namespace {

constexpr View kHex = "0123456789abcdef";

}  // namespace

void append_json_string(std::string& out, View text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (const auto code = static_cast<unsigned char>(c); code < 0x20 || code == 0x7F) {
          out += "\\u00";
          out += kHex[code >> 4];
          out += kHex[code & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string json_string(View text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string hex16(std::uint64_t number) {
  std::string out(16, '0');
  for (std::size_t i = 0; i < 16; ++i) out[15 - i] = kHex[number >> (4 * i) & 15];
  return out;
}

std::optional<std::uint64_t> from_hex16(View text) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (text.size() != 16 || problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace holdfast::migrate
