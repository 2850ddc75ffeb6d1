// Memory for the pages of one index.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace holdfast::file {

/// Pages come in five sizes. A small index has one small page; a page that has become too small for its
/// entries is replaced by one of the next size, and only the largest are split. The larger sizes are not
/// powers of two, since the pages' first bytes would otherwise fall into the same few sets of the processor's
/// caches.
class PageArena {
 public:
  static constexpr std::array<std::size_t, 5> kSizesBytes = {512, 1'024, 2'048, 4'160, 8'256};

  PageArena() = default;
  PageArena(PageArena&& other) noexcept;
  PageArena& operator=(PageArena&& other) noexcept;

  /// Memory of kSizesBytes[size_class] bytes, aligned to a cache line, until it is released or the arena is
  /// cleared.
  void* allocate(std::size_t size_class);
  void release(void* page, std::size_t size_class);
  void clear();

  /// What was taken from the system, free pages included.
  std::size_t memory_bytes() const { return memory_bytes_; }

 private:
  struct ChunkDeleter {
    std::size_t alignment;
    void operator()(std::byte* chunk) const;
  };
  using Chunk = std::unique_ptr<std::byte[], ChunkDeleter>;

  void add_chunk(std::size_t at_least_bytes);

  std::vector<Chunk> chunks_;
  std::array<std::vector<void*>, kSizesBytes.size()> free_;
  std::byte* next_ = nullptr;  ///< the unused rest of the last chunk
  std::size_t rest_bytes_ = 0;
  std::size_t memory_bytes_ = 0;
};

}  // namespace holdfast::file
