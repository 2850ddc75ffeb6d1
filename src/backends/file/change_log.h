// The change log of one database in memory: which keys each commit changed, oldest first. Rows are packed
// into chunks; a full chunk is never changed again, so that a checkpoint may read it while commits go on.
//
// Not thread-safe: the database's lock guards it. A Snapshot may be read without any lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/file/aligned_buffer.h"
#include "holdfast/types.h"

namespace holdfast::file {

class ChangeLog {
 public:
  struct Chunk {
    Seq first = 0;
    Seq last = 0;
    std::size_t rows = 0;
    Bytes data;  ///< per row: seq - first, key
  };
  using Snapshot = std::vector<std::shared_ptr<const Chunk>>;

  /// The seq of the newest row; 0 if there is none.
  Seq last() const { return chunks_.empty() ? 0 : chunks_.back()->last; }
  /// `seq` is not below last().
  void append(Seq seq, View key);
  /// Frees rows with seq <= floor, as far as whole chunks go and `most_chunks` of them (up to 64 KiB each);
  /// rows that stay are hidden by the caller's floor. Whether further chunks are to go.
  bool trim(Seq floor, std::size_t most_chunks);
  void clear() { chunks_.clear(); }
  /// The rows as they are now. Cost: a copy of the newest chunk.
  Snapshot snapshot() const;
  /// How many rows have seq > since, counted up to about `enough`.
  std::size_t count_after(Seq since, std::size_t enough) const;

  /// Calls visit(seq, key) for the rows with seq > since, oldest first, until it returns false.
  template <class Visit>
  void visit_after(Seq since, Visit&& visit) const {
    for (std::size_t i = first_chunk_after(since); i < chunks_.size(); ++i) {
      if (!visit_chunk(*chunks_[i], since, visit)) return;
    }
  }
  template <class Visit>
  static void visit_snapshot(const Snapshot& snapshot, Seq since, Visit&& visit) {
    for (const auto& chunk : snapshot) {
      if (chunk->last > since && !visit_chunk(*chunk, since, visit)) return;
    }
  }

 private:
  template <class Visit>
  static bool visit_chunk(const Chunk& chunk, Seq since, Visit&& visit) {
    Decoder decoder(chunk.data);
    while (!decoder.done()) {
      const Seq seq = chunk.first + decoder.get_number();
      const View key = decoder.get_bytes();
      if (seq > since && !visit(seq, key)) return false;
    }
    return true;
  }
  std::size_t first_chunk_after(Seq since) const;

  std::vector<std::shared_ptr<Chunk>> chunks_;
};

}  // namespace holdfast::file
