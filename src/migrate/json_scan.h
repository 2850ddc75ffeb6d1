// JSON text (RFC 8259) taken apart without making values of it: numbers, escapes and the order of members
// stay as they were written.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "holdfast/types.h"

namespace holdfast {

/// What is wrong with a text, and where. Never leaves the library.
struct JsonFault {
  std::size_t offset = 0;
  std::string reason;
};

/// Walks over a text from left to right; white space between tokens is passed over. Throws JsonFault where
/// the text is no JSON. Needs no stack: nesting may have any depth.
class JsonScanner {
 public:
  explicit JsonScanner(View text, std::size_t at = 0) : text_(text), at_(at) {}

  std::size_t at() const { return at_; }
  bool is_at_end();
  /// Takes `token` if it comes next.
  bool take(char token);
  void expect(char token);
  /// The first character of what comes next, or NUL at the end.
  char peek();
  /// A string as it is written, quotes included.
  View string();
  /// Any value as it is written.
  View value();

 private:
  [[noreturn]] void fail(const char* reason) const;
  void skip_space();
  void scalar();
  void number();
  void word(View expected);

  View text_;
  std::size_t at_;
};

/// The text that a JSON string stands for; nothing if it holds half of a surrogate pair, which has no UTF-8.
std::optional<Bytes> json_string_content(View quoted);
}  // namespace holdfast
