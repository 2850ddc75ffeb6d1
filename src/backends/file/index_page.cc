#include "backends/file/index_page.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>

#include "contract/assert.h"
#include "holdfast/limits.h"

namespace holdfast::file {

namespace {

constexpr std::size_t kSlotBytes = sizeof(std::uint64_t);
constexpr std::size_t kFixedBytes = sizeof(std::uint32_t) + sizeof(std::uint64_t);
constexpr std::uint64_t kOffsetMask = 0xffff;

// Sizes and flags of an entry in one number: key 12 bits, value 11 bits, on disk, has an expiry.
constexpr unsigned kValueShift = 12;
constexpr std::uint32_t kKeyMask = (1u << kValueShift) - 1;
constexpr std::uint32_t kValueMask = (1u << 11) - 1;
constexpr std::uint32_t kOnDisk = 1u << 23;
constexpr std::uint32_t kHasExpiry = 1u << 24;
static_assert(limits::kKeyBytes <= kKeyMask && kMaxInlineValueBytes <= kValueMask);

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
char* save(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

std::uint32_t shape(View key, const Stored& stored) {
  return static_cast<std::uint32_t>(key.size()) |
         static_cast<std::uint32_t>(stored.value.size()) << kValueShift | (stored.on_disk ? kOnDisk : 0) |
         (stored.expires_at_ms != kNeverExpires ? kHasExpiry : 0);
}

std::size_t key_bytes(std::uint32_t shape) { return shape & kKeyMask; }
std::size_t value_bytes(std::uint32_t shape) { return shape >> kValueShift & kValueMask; }
std::size_t key_offset(std::uint32_t shape) {
  return kFixedBytes + ((shape & kHasExpiry) != 0 ? sizeof(UnixMs) : 0);
}
std::size_t heap_bytes(std::uint32_t shape) {
  return key_offset(shape) + key_bytes(shape) + value_bytes(shape);
}

View key_of(const char* entry) {
  const auto form = load<std::uint32_t>(entry);
  return {entry + key_offset(form), key_bytes(form)};
}

void write_entry(char* to, View key, const Stored& stored) {
  to = save(to, shape(key, stored));
  to = save(to, stored.version);
  if (stored.expires_at_ms != kNeverExpires) to = save(to, stored.expires_at_ms);
  to = std::copy(key.begin(), key.end(), to);
  std::copy(stored.value.begin(), stored.value.end(), to);
}

std::uint64_t big_endian(std::uint64_t number) {
  if constexpr (std::endian::native == std::endian::little) return __builtin_bswap64(number);
  return number;
}

/// The head of a key at its place in a slot, above the offset's bits.
std::uint64_t head_of(View key, std::size_t prefix_bytes) {
  const std::size_t rest = key.size() - prefix_bytes;
  std::uint64_t number = 0;
  if (rest >= sizeof number) {
    number = load<std::uint64_t>(key.data() + prefix_bytes);
  } else if (rest != 0) {
    std::memcpy(&number, key.data() + prefix_bytes, rest);
  }
  return big_endian(number) & ~kOffsetMask;
}

// Without branches: which way a random search goes cannot be predicted.
std::size_t count_below(const std::uint64_t* slots, std::size_t count, std::uint64_t bound) {
  const std::uint64_t* base = slots;
  // Three probes at a time, whose cache lines come in together.
  while (count > 8) {
    const std::size_t quarter = count / 4;
    const std::size_t quarters = static_cast<std::size_t>(base[quarter - 1] < bound) +
                                 static_cast<std::size_t>(base[2 * quarter - 1] < bound) +
                                 static_cast<std::size_t>(base[3 * quarter - 1] < bound);
    base += quarters * quarter;
    count = quarters == 3 ? count - 3 * quarter : quarter;
  }
  while (count > 1) {
    const std::size_t half = count / 2;
    base += static_cast<std::size_t>(base[half - 1] < bound) * half;
    count -= half;
  }
  return static_cast<std::size_t>(base - slots) + static_cast<std::size_t>(count == 1 && *base < bound);
}

}  // namespace

std::size_t common_prefix_bytes(View left, View right) {
  const std::size_t limit = std::min(left.size(), right.size());
  std::size_t same = 0;
  while (same < limit && left[same] == right[same]) ++same;
  return same;
}

static_assert(sizeof(IndexPage) == 64 && alignof(IndexPage) == alignof(std::uint64_t));

IndexPage::IndexPage(std::size_t size_class, std::size_t level)
    : heap_begin_(static_cast<std::uint16_t>(PageArena::kSizesBytes[size_class])),
      level_(static_cast<std::uint8_t>(level)),
      size_class_(static_cast<std::uint8_t>(size_class)) {}

IndexPage* IndexPage::create(PageArena& arena, std::size_t size_class, std::size_t level) {
  return new (arena.allocate(size_class)) IndexPage(size_class, level);
}

void IndexPage::destroy(PageArena& arena, IndexPage* page) {
  const std::size_t size_class = page->size_class_;
  std::destroy_at(page);
  arena.release(page, size_class);
}

std::size_t IndexPage::entry_bytes(View key, const Stored& stored) {
  return heap_bytes(shape(key, stored)) + kSlotBytes;
}

View IndexPage::key(std::size_t index) const { return key_of(entry(index)); }

Stored IndexPage::stored(std::size_t index) const {
  const char* const from = entry(index);
  const auto form = load<std::uint32_t>(from);
  return {.version = load<std::uint64_t>(from + sizeof form),
          .expires_at_ms = (form & kHasExpiry) != 0 ? load<UnixMs>(from + kFixedBytes) : kNeverExpires,
          .value = View(from + key_offset(form) + key_bytes(form), value_bytes(form)),
          .on_disk = (form & kOnDisk) != 0};
}

IndexPage* IndexPage::child(std::size_t index) const {
  return std::bit_cast<IndexPage*>(load<std::uint64_t>(entry(index) + sizeof(std::uint32_t)));
}

IndexPage::Place IndexPage::search(View key) const {
  if (count_ <= first()) return {count_, false};
  const int order = compare_with_prefix(key);
  if (order != 0) return {order < 0 ? first() : count_, false};
  return search_heads(key);
}

int IndexPage::compare_with_prefix(View key) const {
  const std::size_t here = std::min<std::size_t>(prefix_bytes_, prefix_.size());
  int order = key.substr(0, here).compare(View(prefix_.data(), here));
  if (order == 0 && prefix_bytes_ > here) {
    const std::size_t rest = prefix_bytes_ - here;
    order = key.substr(here, rest).compare(this->key(count_ - 1u).substr(here, rest));
  }
  return order;
}

// Whether the key has the prefix need not be known: where no entry equals it the answer is "not found"
// anyway.
IndexPage::Place IndexPage::search_exact(View key) const {
  if (key.size() < prefix_bytes_) return {};
  return search_heads(key);
}

IndexPage::Place IndexPage::search_heads(View key) const {
  const std::uint64_t* const all = slots();
  const std::uint64_t head = head_of(key, prefix_bytes_);
  std::size_t at = first() + count_below(all + first(), count_ - first(), head);
  if (at == count_ || (all[at] & ~kOffsetMask) != head) return {at, false};
  const int order = key.compare(this->key(at));
  if (order <= 0) return {at, order == 0};
  // Several keys share the head: the whole keys decide.
  std::size_t end = at + count_below(all + at, count_ - at, head | kOffsetMask);
  if (end < count_ && all[end] == (head | kOffsetMask)) ++end;
  ++at;
  while (at < end) {
    const std::size_t middle = at + (end - at) / 2;
    const int compared = key.compare(this->key(middle));
    if (compared == 0) return {middle, true};
    if (compared < 0) {
      end = middle;
    } else {
      at = middle + 1;
    }
  }
  return {at, false};
}

std::size_t IndexPage::child_index(View key) const {
  const Place place = search(key);
  return place.found ? place.index : place.index - 1;
}

std::size_t IndexPage::used_bytes() const { return capacity_bytes() - free_bytes() - garbage_bytes_; }

void IndexPage::insert(std::size_t index, View key, const Stored& stored) {
  const std::size_t size = entry_bytes(key, stored);
  reserve(size);
  const bool counts = level_ == 0 || index != 0;
  std::size_t prefix_bytes = prefix_bytes_;
  if (counts) {
    if (count_ <= first()) {
      prefix_bytes = key.size();
    } else if (compare_with_prefix(key) != 0) {
      prefix_bytes = common_prefix_bytes(key, this->key(count_ - 1u));
    }
  }
  heap_begin_ = static_cast<std::uint16_t>(heap_begin_ - (size - kSlotBytes));
  write_entry(bytes() + heap_begin_, key, stored);
  std::uint64_t* const slot = slots() + index;
  std::memmove(slot + 1, slot, (count_ - index) * kSlotBytes);
  *slot = heap_begin_ | (counts && prefix_bytes == prefix_bytes_ ? head_of(key, prefix_bytes_) : 0);
  ++count_;
  // The first key that counts is its own prefix.
  if (prefix_bytes != prefix_bytes_ || count_ == first() + 1u) set_prefix(prefix_bytes);

  run_ = index == last_insert_ + 1u ? static_cast<std::uint8_t>(std::min(run_ + 1, 255)) : 0;
  last_insert_ = static_cast<std::uint16_t>(index);
}

bool IndexPage::replace(std::size_t index, View key, const Stored& stored) {
  const std::size_t size = heap_bytes(shape(key, stored));
  const std::size_t before = heap_bytes(load<std::uint32_t>(entry(index)));
  const std::uint64_t head = slots()[index] & ~kOffsetMask;
  if (size > before) {
    if (!fits(size - before)) return false;
    if (free_bytes() < size) {
      remove(index);
      insert(index, key, stored);
      return true;
    }
    heap_begin_ = static_cast<std::uint16_t>(heap_begin_ - size);
    slots()[index] = head | heap_begin_;
    garbage_bytes_ = static_cast<std::uint16_t>(garbage_bytes_ + before);
  } else {
    garbage_bytes_ = static_cast<std::uint16_t>(garbage_bytes_ + before - size);
  }
  write_entry(bytes() + (slots()[index] & kOffsetMask), key, stored);
  return true;
}

void IndexPage::remove(std::size_t index) {
  garbage_bytes_ = static_cast<std::uint16_t>(garbage_bytes_ + heap_bytes(load<std::uint32_t>(entry(index))));
  std::uint64_t* const slot = slots() + index;
  --count_;
  std::memmove(slot, slot + 1, (count_ - index) * kSlotBytes);
  if (index <= last_insert_ && last_insert_ != 0) --last_insert_;
  if (count_ == 0) compact();
}

void IndexPage::append_from(const IndexPage& source, std::size_t begin, std::size_t end) {
  for (std::size_t index = begin; index < end; ++index) {
    const char* const from = source.entry(index);
    const std::size_t size = heap_bytes(load<std::uint32_t>(from));
    reserve(size + kSlotBytes);
    heap_begin_ = static_cast<std::uint16_t>(heap_begin_ - size);
    std::memcpy(bytes() + heap_begin_, from, size);
    slots()[count_++] = heap_begin_;
  }
  refresh_prefix();
}

void IndexPage::move_tail(std::size_t begin, IndexPage& to) {
  to.append_from(*this, begin, count_);
  for (std::size_t index = begin; index < count_; ++index) {
    garbage_bytes_ =
        static_cast<std::uint16_t>(garbage_bytes_ + heap_bytes(load<std::uint32_t>(entry(index))));
  }
  count_ = static_cast<std::uint16_t>(begin);
  run_ = 0;
  last_insert_ = 0;
  if (garbage_bytes_ != 0) compact();
}

std::size_t IndexPage::balanced_cut() const {
  const std::size_t total = used_bytes();
  std::size_t left = 0;
  std::size_t cut = 0;
  while (cut + 1 < count_) {
    const std::size_t size = heap_bytes(load<std::uint32_t>(entry(cut))) + kSlotBytes;
    // Half of the next entry on the wrong side is better than half of it missing.
    if (cut != 0 && 2 * left + size > total) break;
    left += size;
    ++cut;
  }
  return cut;
}

bool IndexPage::continues_run(std::size_t index) const {
  constexpr std::uint8_t kRun = 4;
  return run_ >= kRun && index == last_insert_ + 1u;
}

void IndexPage::prefetch() const {
  constexpr std::size_t kCacheLineBytes = 64;
  constexpr std::size_t kLines = 8;
  for (std::size_t line = 0; line < kLines; ++line) __builtin_prefetch(bytes() + line * kCacheLineBytes);
}

// Makes room for an entry in one piece.
void IndexPage::reserve(std::size_t bytes) {
  if (free_bytes() >= bytes) return;
  HOLDFAST_ASSERT(fits(bytes));
  compact();
}

void IndexPage::compact() {
  std::array<char, PageArena::kSizesBytes.back()> before;
  const std::size_t page_bytes = PageArena::kSizesBytes[size_class_];
  std::memcpy(before.data() + heap_begin_, bytes() + heap_begin_, page_bytes - heap_begin_);
  std::size_t heap_begin = page_bytes;
  for (std::size_t index = 0; index < count_; ++index) {
    std::uint64_t& slot = slots()[index];
    const char* const from = before.data() + (slot & kOffsetMask);
    const std::size_t size = heap_bytes(load<std::uint32_t>(from));
    heap_begin -= size;
    std::memcpy(bytes() + heap_begin, from, size);
    slot = heap_begin;
  }
  heap_begin_ = static_cast<std::uint16_t>(heap_begin);
  garbage_bytes_ = 0;
  refresh_prefix();
}

// Keys are sorted: what the first and the last share, all share.
void IndexPage::refresh_prefix() {
  set_prefix(count_ <= first() ? 0 : common_prefix_bytes(key(first()), key(count_ - 1u)));
}

void IndexPage::set_prefix(std::size_t prefix_bytes) {
  prefix_bytes_ = static_cast<std::uint16_t>(prefix_bytes);
  if (prefix_bytes != 0) {
    const View prefix = key(count_ - 1u).substr(0, std::min(prefix_bytes, prefix_.size()));
    std::copy(prefix.begin(), prefix.end(), prefix_.begin());
  }
  for (std::size_t index = first(); index < count_; ++index) {
    std::uint64_t& slot = slots()[index];
    slot = (slot & kOffsetMask) | head_of(key(index), prefix_bytes);
  }
}

}  // namespace holdfast::file
