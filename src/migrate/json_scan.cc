#include "migrate/json_scan.h"

#include <cstdint>
#include <vector>

#include "services/json_text.h"

namespace holdfast {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::uint32_t four_digits(View text, std::size_t at) {
  std::uint32_t unit = 0;
  for (std::size_t i = 0; i < 4; ++i) unit = unit * 16 + static_cast<std::uint32_t>(hex_value(text[at + i]));
  return unit;
}

void append_utf8(Bytes& out, std::uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    out += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    out += static_cast<char>(0x80 | ((point >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((point >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

char simple_escape(char letter) {
  switch (letter) {
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
      return letter;
  }
}

}  // namespace

void JsonScanner::fail(const char* reason) const { throw JsonFault{at_, reason}; }

void JsonScanner::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool JsonScanner::is_at_end() {
  skip_space();
  return at_ == text_.size();
}

char JsonScanner::peek() {
  skip_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonScanner::take(char token) {
  if (peek() != token || at_ == text_.size()) return false;
  ++at_;
  return true;
}

void JsonScanner::expect(char token) {
  if (take(token)) return;
  if (at_ == text_.size()) fail("the text ends too early");
  fail("an unexpected character");
}

View JsonScanner::string() {
  expect('"');
  const std::size_t begin = at_ - 1;
  for (;; ++at_) {
    at_ += plain_json_length(text_, at_);
    if (at_ == text_.size()) break;
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return text_.substr(begin, at_ - begin);
    }
    if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
    if (c != '\\') continue;
    if (++at_ == text_.size()) break;
    if (text_[at_] == 'u') {
      for (int i = 0; i < 4; ++i) {
        if (++at_ == text_.size()) fail("the text ends too early");
        if (hex_value(text_[at_]) < 0) fail("an unknown escape in a string");
      }
    } else if (View("\"\\/bfnrt").find(text_[at_]) == View::npos) {
      fail("an unknown escape in a string");
    }
  }
  fail("the text ends too early");
}

void JsonScanner::word(View expected) {
  const View rest = text_.substr(at_, expected.size());
  if (rest.size() < expected.size() && expected.starts_with(rest)) {
    at_ = text_.size();
    fail("the text ends too early");
  }
  if (rest != expected) fail("an unknown word");
  at_ += expected.size();
}

void JsonScanner::number() {
  const auto digits = [&] {
    if (at_ == text_.size() || !is_digit(text_[at_])) fail("a number that is cut short");
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  };
  if (text_[at_] == '-') ++at_;
  if (at_ < text_.size() && text_[at_] == '0') {
    ++at_;
  } else {
    digits();
  }
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    digits();
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    digits();
  }
}

void JsonScanner::scalar() {
  switch (const char c = peek(); c) {
    case '"':
      string();
      return;
    case 't':
      return word("true");
    case 'f':
      return word("false");
    case 'n':
      return word("null");
    default:
      if (at_ == text_.size()) fail("the text ends too early");
      if (c != '-' && !is_digit(c)) fail("an unexpected character");
      return number();
  }
}

View JsonScanner::value() {
  skip_space();
  const std::size_t begin = at_;
  std::vector<bool> is_object;  // of the containers that are open
  const auto name = [&] {
    string();
    expect(':');
  };
  for (;;) {
    // A value begins here.
    if (take('{')) {
      if (!take('}')) {
        is_object.push_back(true);
        name();
        continue;
      }
    } else if (take('[')) {
      if (!take(']')) {
        is_object.push_back(false);
        continue;
      }
    } else {
      scalar();
    }
    // A value ends here.
    for (;;) {
      if (is_object.empty()) return text_.substr(begin, at_ - begin);
      if (take(',')) break;
      expect(is_object.back() ? '}' : ']');
      is_object.pop_back();
    }
    if (is_object.back()) name();
  }
}

std::optional<Bytes> json_string_content(View quoted) {
  const View text = quoted.substr(1, quoted.size() - 2);
  Bytes content;
  content.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      const View plain = text.substr(at, text.find('\\', at) - at);
      content += plain;
      at += plain.size() - 1;
    } else if (text[++at] != 'u') {
      content += simple_escape(text[at]);
    } else {
      std::uint32_t point = four_digits(text, at + 1);
      at += 4;
      if (point >= 0xDC00 && point < 0xE000) return std::nullopt;
      if (point >= 0xD800 && point < 0xDC00) {
        if (text.substr(at + 1, 2) != "\\u") return std::nullopt;
        const std::uint32_t low = four_digits(text, at + 3);
        if (low < 0xDC00 || low >= 0xE000) return std::nullopt;
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
      append_utf8(content, point);
    }
  }
  return content;
}

}  // namespace holdfast
