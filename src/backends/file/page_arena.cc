#include "backends/file/page_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace holdfast::file {

namespace {

constexpr std::size_t kCacheLineBytes = 64;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

}  // namespace

void PageArena::ChunkDeleter::operator()(std::byte* chunk) const {
  ::operator delete[](chunk, std::align_val_t{alignment});
}

PageArena::PageArena(PageArena&& other) noexcept { *this = std::move(other); }

PageArena& PageArena::operator=(PageArena&& other) noexcept {
  chunks_ = std::exchange(other.chunks_, {});
  free_ = std::exchange(other.free_, {});
  next_ = std::exchange(other.next_, nullptr);
  rest_bytes_ = std::exchange(other.rest_bytes_, 0);
  memory_bytes_ = std::exchange(other.memory_bytes_, 0);
  return *this;
}

void* PageArena::allocate(std::size_t size_class) {
  std::vector<void*>& free = free_[size_class];
  if (!free.empty()) {
    void* const page = free.back();
    free.pop_back();
    return page;
  }
  const std::size_t bytes = kSizesBytes[size_class];
  if (rest_bytes_ < bytes) add_chunk(bytes);
  rest_bytes_ -= bytes;
  return std::exchange(next_, next_ + bytes);
}

void PageArena::release(void* page, std::size_t size_class) { free_[size_class].push_back(page); }

void PageArena::clear() { *this = PageArena(); }

// Chunks grow with the index, so that a small one takes little and a large one gets huge pages: with those, a
// random read of a large index misses the processor's address cache far less often.
void PageArena::add_chunk(std::size_t at_least_bytes) {
  std::size_t bytes = std::min(std::max(at_least_bytes, memory_bytes_ / 4), kHugePageBytes);
  std::size_t alignment = kCacheLineBytes;
  if (bytes > kHugePageBytes / 2) alignment = bytes = kHugePageBytes;
  auto* const memory = static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{alignment}));
  chunks_.push_back(Chunk(memory, ChunkDeleter{alignment}));
  // Advice: a refusal changes nothing but the speed.
  if (bytes == kHugePageBytes) ::madvise(memory, bytes, MADV_HUGEPAGE);
  next_ = memory;
  rest_bytes_ = bytes;
  memory_bytes_ += bytes;
}

}  // namespace holdfast::file
