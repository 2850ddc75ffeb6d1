#include "migrate/json_scan.h"

#include <utility>
#include <vector>

#include "services/json_text.h"

namespace holdfast {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

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
        if (!is_hex_digit(text_[at_])) fail("an unknown escape in a string");
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
  bool has_half_pair = false;
  Bytes content = decoded_json_string(quoted, &has_half_pair);
  return has_half_pair ? std::nullopt : std::optional(std::move(content));
}

}  // namespace holdfast
