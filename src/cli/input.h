// Bytes of a file or of the standard input.
#pragma once

#include <cstddef>
#include <string>

#include "holdfast/types.h"

namespace holdfast::cli {

class Input {
 public:
  /// "-" is the standard input. Throws UsageError if it cannot be opened. `how_to_go_on` is what Interrupted
  /// says.
  explicit Input(const std::string& path, std::string how_to_go_on = "");
  ~Input();
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  /// Up to `size_bytes`, as many as there are, at least one; 0 at the end. Throws Interrupted after Ctrl-C,
  /// also while it waits, and unavailable if the input cannot be read on.
  std::size_t read(char* to, std::size_t size_bytes);

 private:
  const int descriptor_;
  const std::string how_to_go_on_;
};

/// All of a file or of the standard input ("-"); at most `limit_bytes`, else UsageError.
Bytes read_whole(const std::string& path, std::size_t limit_bytes);

}  // namespace holdfast::cli
