// Lines of a file or of the standard input, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/input.h"

namespace holdfast::cli {

class LineReader {
 public:
  /// "-" is the standard input. Throws UsageError if it cannot be opened.
  explicit LineReader(const std::string& path, std::string how_to_go_on = "");

  /// Without its end; nothing at the end of the text. A last line without an end counts if `is_lenient`.
  /// Throws invalid_argument for a line of more than 16 MiB, Interrupted after Ctrl-C.
  std::optional<std::string> next(bool is_lenient = true);
  /// Where the line after the last one begins.
  std::uint64_t offset() const { return offset_; }

 private:
  Input input_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace holdfast::cli
