// A growing byte buffer whose address suits direct I/O, with the little-endian and variable-length numbers of
// the file format appended to it. Kept and reused by its owner: once grown it does not allocate again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "holdfast/types.h"

namespace holdfast::file {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 4096;

  AlignedBuffer() = default;
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  View view() const { return {data_.get(), size_}; }
  View view(std::size_t offset, std::size_t size) const { return view().substr(offset, size); }

  void clear() { size_ = 0; }
  /// Forgets everything from `size` on.
  void shrink(std::size_t size) { size_ = size; }
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  /// Appends zeros up to the next multiple of `alignment`.
  void pad(std::size_t alignment) {
    const std::size_t padded = (size_ + alignment - 1) / alignment * alignment;
    const std::size_t missing = padded - size_;
    std::memset(extend(missing), 0, missing);
  }
  /// Appends `size` bytes of anything; the caller fills them in.
  char* extend(std::size_t size) {
    reserve(size_ + size);
    char* at = data_.get() + size_;
    size_ += size;
    return at;
  }

  void put8(std::uint8_t number) { *extend(1) = static_cast<char>(number); }
  void put32(std::uint32_t number) { std::memcpy(extend(sizeof number), &number, sizeof number); }
  void put64(std::uint64_t number) { std::memcpy(extend(sizeof number), &number, sizeof number); }
  /// Seven bits a byte, the low ones first; the top bit says that more follow.
  void put_number(std::uint64_t number) {
    reserve(size_ + 10);
    char* at = data_.get() + size_;
    for (; number >= 0x80; number >>= 7) *at++ = static_cast<char>(number | 0x80);
    *at++ = static_cast<char>(number);
    size_ = static_cast<std::size_t>(at - data_.get());
  }
  /// Signed numbers: the sign goes into the lowest bit.
  void put_signed(std::int64_t number) {
    put_number((static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63));
  }
  void put_raw(View bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  void put_bytes(View bytes) {
    put_number(bytes.size());
    put_raw(bytes);
  }
  void set32(std::size_t offset, std::uint32_t number) {
    std::memcpy(data_.get() + offset, &number, sizeof number);
  }
  void set64(std::size_t offset, std::uint64_t number) {
    std::memcpy(data_.get() + offset, &number, sizeof number);
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }  // NOLINT: aligned_alloc's counterpart
  };
  void grow(std::size_t capacity);

  std::unique_ptr<char, Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Reads what AlignedBuffer wrote. Never reads past its bytes: after a malformed or missing field ok() is
/// false for good and every further field is zero or empty.
class Decoder {
 public:
  explicit Decoder(View bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool ok() const { return ok_; }
  bool done() const { return !ok_ || at_ == end_; }
  /// Says that what was read makes no sense: from now on ok() is false.
  void reject() { fail(); }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  const char* position() const { return at_; }

  std::uint8_t get8() { return static_cast<std::uint8_t>(fixed<unsigned char>()); }
  std::uint32_t get32() { return fixed<std::uint32_t>(); }
  std::uint64_t get64() { return fixed<std::uint64_t>(); }
  std::uint64_t get_number() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      number |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
    return fail();
  }
  std::int64_t get_signed() {
    const std::uint64_t number = get_number();
    return static_cast<std::int64_t>((number >> 1) ^ (~(number & 1) + 1));
  }
  View get_raw(std::size_t size) {
    if (size > left()) {
      fail();
      return {};
    }
    const View bytes(at_, size);
    at_ += size;
    return bytes;
  }
  View get_bytes() { return get_raw(static_cast<std::size_t>(get_number())); }

 private:
  template <class Number>
  Number fixed() {
    Number number{};
    if (left() < sizeof number) {
      fail();
      return number;
    }
    std::memcpy(&number, at_, sizeof number);
    at_ += sizeof number;
    return number;
  }
  std::uint64_t fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace holdfast::file
