#include "backends/file/aligned_buffer.h"

#include <algorithm>
#include <new>

namespace holdfast::file {

void AlignedBuffer::grow(std::size_t capacity) {
  const std::size_t wanted = std::max(capacity, capacity_ * 2);
  const std::size_t rounded = (wanted + kAlignment - 1) / kAlignment * kAlignment;
  std::unique_ptr<char, Free> bigger(static_cast<char*>(std::aligned_alloc(kAlignment, rounded)));
  if (!bigger) throw std::bad_alloc();
  if (size_ != 0) std::memcpy(bigger.get(), data_.get(), size_);
  data_ = std::move(bigger);
  capacity_ = rounded;
}

}  // namespace holdfast::file
