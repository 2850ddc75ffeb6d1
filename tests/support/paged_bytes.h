// The content of a simulated file: pages of 4 KiB, shared between copies until one of them writes. Zeros take
// no space, and copying a file copies pointers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

class PagedBytes {
 public:
  std::uint64_t size() const { return size_; }

  void resize(std::uint64_t size) {
    if (size < size_ && size % kPageBytes != 0) {
      const std::uint64_t page = size / kPageBytes;
      if (pages_[page]) {
        const std::size_t kept = size % kPageBytes;
        std::memset(writable(page) + kept, 0, kPageBytes - kept);
      }
    }
    pages_.resize((size + kPageBytes - 1) / kPageBytes);
    size_ = size;
  }

  /// Fewer than `size` only where the content ends.
  std::size_t read(std::uint64_t offset, char* data, std::size_t size) const {
    if (offset >= size_) return 0;
    const auto total = static_cast<std::size_t>(std::min<std::uint64_t>(size, size_ - offset));
    for (std::size_t done = 0; done < total;) {
      const std::size_t inside = (offset + done) % kPageBytes;
      const std::size_t length = std::min(total - done, kPageBytes - inside);
      const Page* page = pages_[(offset + done) / kPageBytes].get();
      if (page == nullptr) {
        std::memset(data + done, 0, length);
      } else {
        std::memcpy(data + done, page->data() + inside, length);
      }
      done += length;
    }
    return total;
  }

  /// Grows the content where needed.
  void write(std::uint64_t offset, View data) {
    if (offset + data.size() > size_) resize(offset + data.size());
    while (!data.empty()) {
      const std::size_t inside = offset % kPageBytes;
      const std::size_t length = std::min(data.size(), kPageBytes - inside);
      std::memcpy(writable(offset / kPageBytes) + inside, data.data(), length);
      offset += length;
      data.remove_prefix(length);
    }
  }

  std::string text() const {
    std::string all(static_cast<std::size_t>(size_), '\0');
    read(0, all.data(), all.size());
    return all;
  }

 private:
  static constexpr std::size_t kPageBytes = 4096;
  using Page = std::array<char, kPageBytes>;

  char* writable(std::uint64_t number) {
    std::shared_ptr<Page>& page = pages_[number];
    if (!page) {
      page = std::make_shared<Page>();
    } else if (page.use_count() > 1) {
      page = std::make_shared<Page>(*page);
    }
    return page->data();
  }

  std::uint64_t size_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;
};

}  // namespace holdfast
