#include "services/json_text.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>

#include "contract/hex.h"
#include "holdfast/error.h"
#include "holdfast/payload.h"

namespace holdfast {
namespace {

/// Bytes of the UTF-8 character that begins at `at`, as RFC 3629 allows it; 0 if there is none.
std::size_t utf8_length(View text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool is_overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool is_surrogate = first == 0xed && byte(1) > 0x9f;
    return continues(1) && continues(2) && !is_overlong && !is_surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool is_overlong = first == 0xf0 && byte(1) < 0x90;
    const bool is_too_large = first == 0xf4 && byte(1) > 0x8f;
    return continues(1) && continues(2) && continues(3) && !is_overlong && !is_too_large ? 4 : 0;
  }
  return 0;
}

/// A recogniser that copies what it reads. Nesting is on a stack of its own, so that no input can exhaust the
/// thread's.
class Minifier {
 public:
  explicit Minifier(View text) : text_(text) { out_.reserve(text.size()); }

  Bytes run() {
    for (bool is_value_next = true; is_value_next;) is_value_next = value();
    skip_space();
    if (at_ != text_.size()) fail("goes on behind its end");
    return std::move(out_);
  }

 private:
  /// Reads one value, or the beginning of one that holds others, and what may follow it; true if another
  /// value has to come.
  bool value() {
    skip_space();
    switch (peek()) {
      case '{':
        open('{');
        skip_space();
        if (peek() == '}') return close();
        name();
        return true;
      case '[':
        open('[');
        skip_space();
        if (peek() == ']') return close();
        return true;
      case '"':
        string();
        break;
      case 't':
        word("true");
        break;
      case 'f':
        word("false");
        break;
      case 'n':
        word("null");
        break;
      default:
        number();
    }
    return follow();
  }

  /// What comes behind a value.
  bool follow() {
    while (!nesting_.empty()) {
      skip_space();
      if (peek() == ',') {
        take();
        skip_space();
        if (nesting_.back() == '{') name();
        return true;
      }
      if (peek() != (nesting_.back() == '{' ? '}' : ']')) fail("lacks a comma or an end");
      take();
      nesting_.pop_back();
    }
    return false;
  }

  void open(char bracket) {
    if (nesting_.size() == limits::kPayloadDepth) {
      fail("is nested deeper than " + std::to_string(limits::kPayloadDepth) + " levels");
    }
    nesting_ += bracket;
    take();
  }

  /// The end of an empty object or array.
  bool close() {
    take();
    nesting_.pop_back();
    return follow();
  }

  void name() {
    if (peek() != '"') fail("lacks the name of a member");
    string();
    skip_space();
    if (peek() != ':') fail("lacks a colon");
    take();
  }

  void string() {
    take();
    for (;;) {
      plain();
      const char c = peek();
      if (at_ == text_.size()) fail("ends within a string");
      if (static_cast<unsigned char>(c) < 0x20) fail("has a control character in a string");
      if (c == '"') break;
      escape();
    }
    take();
  }

  void plain() {
    const View run = text_.substr(at_, plain_json_length(text_, at_));
    if (!is_utf8(run)) {
      for (std::size_t length = 1; length != 0; at_ += length) length = utf8_length(text_, at_);
      fail("has text that is not UTF-8");
    }
    out_ += run;
    at_ += run.size();
  }

  void escape() {
    take();
    if (peek() == 'u') {
      take();
      for (int i = 0; i < 4; ++i) {
        const char c = peek();
        const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!is_hex) fail("has a bad escape");
        take();
      }
      return;
    }
    if (peek() == '\0' || View("\"\\/bfnrt").find(peek()) == View::npos) fail("has a bad escape");
    take();
  }

  void word(View word) {
    if (text_.substr(at_, word.size()) != word) fail("has an unknown word");
    out_ += word;
    at_ += word.size();
  }

  void number() {
    if (peek() == '-') take();
    if (peek() == '0') {
      take();
    } else {
      digits();
    }
    if (peek() == '.') {
      take();
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      take();
      if (peek() == '+' || peek() == '-') take();
      digits();
    }
  }

  void digits() {
    if (peek() < '0' || peek() > '9') fail("lacks a value");
    while (peek() >= '0' && peek() <= '9') take();
  }

  /// The next byte; 0 at the end, which no token begins with.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void take() { out_ += text_[at_++]; }
  void skip_space() {
    while (at_ < text_.size() && View(" \t\n\r").find(text_[at_]) != View::npos) ++at_;
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::invalid_argument,
                "the JSON text " + what + " at offset " + std::to_string(at_) + "; correct it");
  }

  const View text_;
  std::size_t at_ = 0;
  Bytes nesting_;  ///< the open brackets
  Bytes out_;
};

[[noreturn]] void fail_as_damaged_text() {
  throw Error(Code::corruption, "a document of a service cannot be read; restore the database from a backup");
}

void append_utf8(std::uint32_t code, Bytes& out) {
  const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  }
}

/// The four digits behind "\u" at `at`.
std::uint32_t code_at(View text, std::size_t at) {
  std::uint32_t code = 0;
  if (at + 6 > text.size()) fail_as_damaged_text();
  const auto [end, error] = std::from_chars(text.data() + at + 2, text.data() + at + 6, code, 16);
  if (error != std::errc{} || end != text.data() + at + 6) fail_as_damaged_text();
  return code;
}

bool is_high_half(std::uint32_t code) { return code >= 0xd800 && code < 0xdc00; }
bool is_low_half(std::uint32_t code) { return code >= 0xdc00 && code < 0xe000; }

char unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

std::size_t plain_json_length(View text, std::size_t at) {
  const std::size_t begin = at;
  // Each test sets the highest bit of a byte that it is true of; above such a byte it may be wrong, which the
  // loop below finds out.
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighest = 0x8080808080808080;
  for (std::uint64_t eight = 0; text.size() - at >= sizeof eight; at += sizeof eight) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    const std::uint64_t quotes = eight ^ (kOnes * '"');
    const std::uint64_t backslashes = eight ^ (kOnes * '\\');
    const std::uint64_t special = ((quotes - kOnes) & ~quotes) | ((backslashes - kOnes) & ~backslashes) |
                                  ((eight - kOnes * 0x20) & ~eight);
    if ((special & kHighest) != 0) break;
  }
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) break;
  }
  return at - begin;
}

Bytes minified_json(View text) { return Minifier(text).run(); }

Bytes json_string(View text) {
  if (!is_utf8(text)) throw Error(Code::invalid_argument, "text is not UTF-8; store it as raw bytes");
  Bytes out = "\"";
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t length = plain_json_length(text, at);
    out.append(text, at, length);
    at += length;
    if (at == text.size()) break;
    const char c = text[at];
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      append_hex(out, c);
    } else {
      out += '\\';
      out += c;
    }
  }
  out += '"';
  return out;
}

Bytes decoded_json_string(View quoted, bool* has_half_pair) {
  if (quoted.size() < 2) fail_as_damaged_text();
  const View text = quoted.substr(1, quoted.size() - 2);
  Bytes out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      const View plain = text.substr(at, text.find('\\', at) - at);
      out += plain;
      at += plain.size();
    } else if (at + 1 < text.size() && text[at + 1] != 'u') {
      out += unescaped(text[at + 1]);
      at += 2;
    } else {
      std::uint32_t code = code_at(text, at);
      at += 6;
      if (is_high_half(code) && text.substr(at).starts_with("\\u")) {
        const std::uint32_t low = code_at(text, at);
        if (is_low_half(low)) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
      if (has_half_pair != nullptr && (is_high_half(code) || is_low_half(code))) *has_half_pair = true;
      append_utf8(code, out);
    }
  }
  return out;
}

}  // namespace holdfast
