// The entries of one database in memory, in key order: a B+tree of packed pages (index_page.h) in memory of
// its own (page_arena.h).
//
// Not thread-safe: the caller's ReaderWriterLock guards it. const functions and cursors may run in parallel
// with one another; put(), append(), erase() and clear() need the index alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "backends/file/page_arena.h"
#include "holdfast/types.h"

namespace holdfast::file {

class IndexPage;

/// The expiry of an entry that has none.
inline constexpr UnixMs kNeverExpires = INT64_MAX;
/// The longest value that an index holds; longer ones are on disk, and the index holds a reference.
inline constexpr std::size_t kMaxInlineValueBytes = 1'024;

/// What an index holds under a key.
struct Stored {
  Seq version = 0;
  UnixMs expires_at_ms = kNeverExpires;
  View value;            ///< the value, or an encoded reference to it
  bool on_disk = false;  ///< `value` is a reference
};

class Index {
 public:
  class Cursor;

  Index() = default;
  Index(Index&& other) noexcept;
  Index& operator=(Index&& other) noexcept;

  /// The value's view stays valid until the index is changed.
  std::optional<Stored> find(View key) const;
  /// Inserts or replaces. The key has 1..limits::kKeyBytes bytes, the value at most kMaxInlineValueBytes;
  /// neither may point into this index.
  void put(View key, const Stored& stored);
  /// Whether there was such a key. The memory is used again for later entries, and given back when the last
  /// entry has gone.
  bool erase(View key);
  /// put() of a key greater than all that are present; for loading in order, which packs the pages full.
  void append(View key, const Stored& stored);
  /// Removes everything and gives the memory back.
  void clear();

  std::size_t size() const { return size_; }
  /// Memory taken for entries, free room included.
  std::size_t memory_bytes() const { return arena_.memory_bytes(); }

 private:
  /// The way from the root to a leaf: pages, and the place of the next page in each.
  struct Step {
    IndexPage* page;
    std::size_t index;
  };
  struct Path {
    // A page above the leaves holds at least three of the longest keys: no memory is large enough to get
    // here.
    static constexpr std::size_t kMaxHeight = 24;
    std::array<Step, kMaxHeight> steps;  // only as many as `height` are set
    std::size_t height = 0;
    IndexPage& leaf() const { return *steps[height - 1].page; }
  };

  const IndexPage* find_leaf(View key) const;
  Path find_path(View key) const;
  void make_room(Path& path, std::size_t index, View key);
  void split_leaf(Path& path, std::size_t index, View key);
  void add_page(Path& path, Bytes separator, IndexPage& page);
  IndexPage& enlarged_root();
  void rebalance(Path& path);
  void merge(IndexPage& parent, std::size_t index);
  void unlink(IndexPage& leaf);

  PageArena arena_;
  IndexPage* root_ = nullptr;  ///< null: no entries
  IndexPage* last_ = nullptr;  ///< the last leaf
  std::size_t size_ = 0;
};

/// A place in an index. Any change of the index ends its use; seek again afterwards.
class Index::Cursor {
 public:
  /// Not valid until it is sought.
  explicit Cursor(const Index& index) : index_(&index) {}

  /// To the first entry whose key is not below `key`.
  void seek(View key);
  /// To the last entry whose key is below `key`.
  void seek_before(View key);
  void seek_to_first();
  void seek_to_last();

  /// Whether the cursor is at an entry. The functions below need that.
  bool valid() const { return leaf_ != nullptr; }
  void next();
  void prev();
  /// Views into the index: valid until it is changed, whatever becomes of the cursor.
  View key() const;
  Stored stored() const;

 private:
  const Index* index_;
  const IndexPage* leaf_ = nullptr;
  std::size_t at_ = 0;
};

}  // namespace holdfast::file
