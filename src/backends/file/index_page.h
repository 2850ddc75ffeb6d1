// A page of an index: entries in key order, packed.
//
//   | header | slots, in key order -> |    free    | <- entries, in any order |
//
// All keys of a page begin with its prefix. A slot is one number: the six bytes of the key that follow the
// prefix (its head, padded with zeros), then the two bytes of the entry's place in the page. A search
// compares numbers only, in a few cache lines, and looks at entries only where heads are equal, which they
// rarely are, because they begin where the keys of this page begin to differ.
//
//   entry = sizes and flags (4) | version or child (8) | expiry (8, only if there is one) | key | value
//
// Pages of level 0 (leaves) hold the index's entries. Pages above hold, per page of the level below, a key
// that is not above that page's keys and above those of the page before it. The first of these keys is never
// looked at: that page also takes everything below.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "backends/file/index.h"
#include "backends/file/page_arena.h"

namespace holdfast::file {

class IndexPage {
 public:
  struct Place {
    std::size_t index = 0;  ///< of the first entry whose key is not below the one that was sought
    bool found = false;     ///< whether it is the one that was sought
  };

  static IndexPage* create(PageArena& arena, std::size_t size_class, std::size_t level);
  static void destroy(PageArena& arena, IndexPage* page);

  /// The bytes that an entry takes in a page, its slot included.
  static std::size_t entry_bytes(View key, const Stored& stored);
  static Stored stored_child(IndexPage* child) {
    return {.version = std::bit_cast<std::uint64_t>(child), .value = {}};
  }

  std::size_t level() const { return level_; }
  std::size_t size_class() const { return size_class_; }
  std::size_t count() const { return count_; }
  View key(std::size_t index) const;
  Stored stored(std::size_t index) const;
  /// Levels above 0.
  IndexPage* child(std::size_t index) const;
  /// Neighbours of a leaf.
  IndexPage* previous() const { return previous_; }
  IndexPage* next() const { return next_; }
  void set_previous(IndexPage* page) { previous_ = page; }
  void set_next(IndexPage* page) { next_ = page; }

  Place search(View key) const;
  /// The place of an entry with exactly this key; a little faster.
  Place search_exact(View key) const;
  /// Of the child whose keys are around `key`.
  std::size_t child_index(View key) const;

  /// Whether an entry of this size has room.
  bool fits(std::size_t bytes) const { return free_bytes() + garbage_bytes_ >= bytes; }
  std::size_t used_bytes() const;
  std::size_t capacity_bytes() const { return PageArena::kSizesBytes[size_class_] - sizeof(IndexPage); }
  /// Needs room. `key` must not be in this page's memory.
  void insert(std::size_t index, View key, const Stored& stored);
  /// Replaces what is stored under a key; false, and nothing happens, if there is no room.
  bool replace(std::size_t index, View key, const Stored& stored);
  void remove(std::size_t index);

  /// Adds the entries [begin, end) of `source`, which are above all of this page's. Needs room.
  void append_from(const IndexPage& source, std::size_t begin, std::size_t end);
  /// Moves the entries from `begin` on to `to`, which is empty.
  void move_tail(std::size_t begin, IndexPage& to);
  /// Where to cut this page so that both parts are as equal as can be, with at least one entry each.
  std::size_t balanced_cut() const;
  /// Whether an insertion at `index` goes on with a row of them, each right behind the one before.
  bool continues_run(std::size_t index) const;

  void prefetch() const;
  /// Of an entry that may be beyond the last.
  void prefetch_entry(std::size_t index) const {
    if (index >= count_) return;
    const char* const from = entry(index);
    __builtin_prefetch(from);
    __builtin_prefetch(from + 64);
  }

 private:
  IndexPage(std::size_t size_class, std::size_t level);

  std::uint64_t* slots() { return reinterpret_cast<std::uint64_t*>(this + 1); }
  const std::uint64_t* slots() const { return reinterpret_cast<const std::uint64_t*>(this + 1); }
  char* bytes() { return reinterpret_cast<char*>(this); }
  const char* bytes() const { return reinterpret_cast<const char*>(this); }
  const char* entry(std::size_t index) const { return bytes() + (slots()[index] & 0xffff); }

  /// The first entry whose key counts.
  std::size_t first() const { return level_ == 0 ? 0 : 1; }
  std::size_t free_bytes() const { return heap_begin_ - sizeof(IndexPage) - count_ * sizeof(std::uint64_t); }
  Place search_heads(View key) const;
  /// -1, 0, 1: the key is below all keys with this page's prefix, has the prefix, is above them.
  int compare_with_prefix(View key) const;
  void reserve(std::size_t bytes);
  void compact();
  void refresh_prefix();
  void set_prefix(std::size_t prefix_bytes);

  IndexPage* previous_ = nullptr;
  IndexPage* next_ = nullptr;
  std::uint16_t count_ = 0;
  std::uint16_t prefix_bytes_ = 0;
  std::uint16_t heap_begin_;
  std::uint16_t garbage_bytes_ = 0;  ///< of entries that were removed
  std::uint16_t last_insert_ = 0;
  std::uint8_t run_ = 0;  ///< insertions in a row, each right behind the one before
  std::uint8_t level_;
  std::uint8_t size_class_;
  /// The prefix as far as it has room here, so that it is compared without looking at an entry.
  std::array<char, 33> prefix_;
};

/// How many first bytes two keys share.
std::size_t common_prefix_bytes(View left, View right);

}  // namespace holdfast::file
