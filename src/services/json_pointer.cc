#include "services/json_pointer.h"

#include <algorithm>
#include <charconv>

#include "holdfast/error.h"
#include "services/json_text.h"

namespace holdfast {
namespace {

[[noreturn]] void fail_as_damaged() {
  throw Error(Code::corruption, "a document of a service cannot be read; restore the database from a backup");
}

/// Walks over the values of a text that is JSON; never beyond its end, whatever it is.
class JsonWalker {
 public:
  explicit JsonWalker(View text) : text_(text) {}

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void expect(char c) {
    if (peek() != c) fail_as_damaged();
    ++at_;
  }
  bool skip(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  View value() {
    const std::size_t begin = at_;
    if (peek() == '"') {
      skip_string();
    } else if (peek() == '{' || peek() == '[') {
      skip_brackets();
    } else {
      at_ = std::min(text_.find_first_of(",]}", at_), text_.size());
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  void skip_string() {
    ++at_;
    for (;;) {
      at_ += plain_json_length(text_, std::min(at_, text_.size()));
      if (at_ >= text_.size() || text_[at_] == '"') break;
      at_ += text_[at_] == '\\' ? 2 : 1;
    }
    if (at_ >= text_.size()) fail_as_damaged();
    ++at_;
  }
  void skip_brackets() {
    for (std::size_t depth = 0; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
    fail_as_damaged();
  }

  const View text_;
  std::size_t at_ = 0;
};

bool is_name(View quoted, View name) {
  const View inner = quoted.substr(1, quoted.size() - 2);
  return inner.find('\\') == View::npos ? inner == name : decoded_json_string(quoted) == name;
}

std::optional<View> member(View object, View name) {
  JsonWalker walker(object);
  walker.expect('{');
  std::optional<View> found;
  while (walker.peek() == '"') {
    const View quoted = walker.value();
    walker.expect(':');
    const View value = walker.value();
    if (is_name(quoted, name)) found = value;
    if (!walker.skip(',')) break;
  }
  return found;
}

std::optional<View> element(View array, View digits) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  JsonWalker walker(array);
  walker.expect('[');
  if (walker.peek() == ']') return std::nullopt;
  for (;; --index) {
    const View value = walker.value();
    if (index == 0) return value;
    if (!walker.skip(',')) return std::nullopt;
  }
}

}  // namespace

JsonPointer JsonPointer::parse(View text) {
  JsonPointer pointer;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('/', 1), text.size());
    Bytes step;
    bool is_valid = text.front() == '/';
    for (std::size_t at = 1; at < end; ++at) {
      if (text[at] != '~') {
        step += text[at];
        continue;
      }
      ++at;
      is_valid = is_valid && at < end && (text[at] == '0' || text[at] == '1');
      step += at < end && text[at] == '1' ? '/' : '~';
    }
    if (!is_valid) {
      throw Error(Code::invalid_argument,
                  "a JSON pointer is empty or begins with '/', and '~' stands before 0 or 1 only");
    }
    pointer.steps_.push_back(std::move(step));
    text.remove_prefix(end);
  }
  return pointer;
}

std::optional<View> JsonPointer::find(View document) const {
  View value = document;
  for (const Bytes& step : steps_) {
    std::optional<View> next;
    if (value.starts_with('{')) next = member(value, step);
    if (value.starts_with('[')) next = element(value, step);
    if (!next) return std::nullopt;
    value = *next;
  }
  return value;
}

}  // namespace holdfast
