#include "migrate/text.h"

#include <charconv>

#include "contract/hex.h"
#include "services/json_text.h"

namespace holdfast::migrate {
namespace {

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
      append_hex(out, c);
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

std::optional<std::uint64_t> from_hex16(View text) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (text.size() != 16 || problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace holdfast::migrate
