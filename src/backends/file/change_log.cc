#include "backends/file/change_log.h"

#include <algorithm>

#include "contract/assert.h"

namespace holdfast::file {
namespace {

// Small databases get small chunks: a store may hold ten thousand of them.
constexpr std::size_t kSmallestChunkBytes = 256;
constexpr std::size_t kLargestChunkBytes = 64u << 10;

void put_number(Bytes& data, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) data.push_back(static_cast<char>(number | 0x80));
  data.push_back(static_cast<char>(number));
}

}  // namespace

void ChangeLog::append(Seq seq, View key) {
  constexpr std::size_t kNumberBytes = 13;  // the two numbers of a row
  if (chunks_.empty() ||
      chunks_.back()->data.size() + key.size() + kNumberBytes > chunks_.back()->data.capacity()) {
    const std::size_t before = chunks_.empty() ? 0 : chunks_.back()->data.capacity();
    auto chunk = std::make_shared<Chunk>();
    chunk->first = chunk->last = seq;
    chunk->data.reserve(
        std::max(std::clamp(before * 2, kSmallestChunkBytes, kLargestChunkBytes), key.size() + kNumberBytes));
    chunks_.push_back(std::move(chunk));
  }
  Chunk& chunk = *chunks_.back();
  HOLDFAST_ASSERT(seq >= chunk.last);
  put_number(chunk.data, seq - chunk.first);
  put_number(chunk.data, key.size());
  chunk.data.append(key);
  chunk.last = seq;
  ++chunk.rows;
}

bool ChangeLog::trim(Seq floor, std::size_t most_chunks) {
  const std::size_t superfluous = first_chunk_after(floor);
  const std::size_t freed = std::min(superfluous, most_chunks);
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(freed));
  return freed < superfluous;
}

ChangeLog::Snapshot ChangeLog::snapshot() const {
  Snapshot snapshot(chunks_.begin(), chunks_.end());
  if (!snapshot.empty()) snapshot.back() = std::make_shared<Chunk>(*chunks_.back());
  return snapshot;
}

std::size_t ChangeLog::count_after(Seq since, std::size_t enough) const {
  std::size_t rows = 0;
  for (std::size_t i = chunks_.size(); i > 0 && rows <= enough && chunks_[i - 1]->last > since; --i) {
    const Chunk& chunk = *chunks_[i - 1];
    if (chunk.first > since) {
      rows += chunk.rows;
    } else {
      visit_chunk(chunk, since, [&](Seq, View) { return ++rows <= enough; });
    }
  }
  return rows;
}

std::size_t ChangeLog::first_chunk_after(Seq since) const {
  const auto chunk = std::partition_point(chunks_.begin(), chunks_.end(),
                                          [&](const std::shared_ptr<Chunk>& c) { return c->last <= since; });
  return static_cast<std::size_t>(chunk - chunks_.begin());
}

}  // namespace holdfast::file
