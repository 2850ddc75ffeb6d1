#include "migrate/text.h"

#include <charconv>

#include "services/json_text.h"

namespace holdfast::migrate {
namespace {

constexpr View kHex = "0123456789abcdef";

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
  }
}

}  // namespace

void append_json_string(std::string& out, View text) {
  out += '"';
  for (std::size_t at = 0; at < text.size(); ++at) {
    // DEL is escaped too: it would not be seen on a terminal.
    View plain = text.substr(at, plain_json_length(text, at));
    plain = plain.substr(0, plain.find('\x7F'));
    out += plain;
    at += plain.size();
    if (at == text.size()) break;
    append_escaped(out, text[at]);
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
