#include "backends/file/file_window.h"

#include <algorithm>

namespace holdfast::file {

View FileWindow::at(std::uint64_t offset, std::size_t size) {
  constexpr std::size_t kReadBytes = 1u << 20;
  if (offset >= size_bytes_) return {};
  size = static_cast<std::size_t>(std::min<std::uint64_t>(size, size_bytes_ - offset));
  if (offset < begin_ || offset + size > begin_ + buffer_.size()) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(std::max(size, kReadBytes), size_bytes_ - offset));
    buffer_.clear();
    begin_ = offset;
    char* const into = buffer_.extend(wanted);
    buffer_.shrink(file_.read(offset, into, wanted));
    size = std::min(size, buffer_.size());
  }
  return buffer_.view(static_cast<std::size_t>(offset - begin_), size);
}

}  // namespace holdfast::file
