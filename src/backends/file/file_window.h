// Reads a file from front to back through a window that is kept, a mebibyte at a time, however long the
// pieces are that are asked for.
#pragma once

#include <cstdint>

#include "backends/file/aligned_buffer.h"
#include "holdfast/file_system.h"

namespace holdfast::file {

class FileWindow {
 public:
  explicit FileWindow(const File& file) : file_(file), size_bytes_(file.size_bytes()) {}
  std::uint64_t size_bytes() const { return size_bytes_; }
  /// Up to `size` bytes at `offset`; fewer only where the file ends. Valid until the next call.
  View at(std::uint64_t offset, std::size_t size);

 private:
  const File& file_;
  const std::uint64_t size_bytes_;
  AlignedBuffer buffer_;
  std::uint64_t begin_ = 0;
};

}  // namespace holdfast::file
