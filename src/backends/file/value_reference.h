// Where a value that is too long for memory lies on disk, as an index holds it in place of the value.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "backends/file/index.h"
#include "holdfast/file_system.h"
#include "holdfast/types.h"

namespace holdfast::file {

struct ValueReference {
  std::uint32_t file = 0;  ///< a number of the lane's FileTable
  std::uint32_t checksum = 0;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;

  View bytes() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
  static ValueReference of(View bytes) {
    ValueReference reference;
    std::memcpy(&reference, bytes.data(), sizeof reference);
    return reference;
  }
  bool operator==(const ValueReference&) const = default;
};

static_assert(sizeof(ValueReference) == 24, "no padding: its bytes are compared and stored");

/// The bytes of the entry's value, wherever it is.
inline std::size_t value_size_bytes(const Stored& stored) {
  return stored.on_disk ? static_cast<std::size_t>(ValueReference::of(stored.value).size_bytes)
                        : stored.value.size();
}

/// Where the bytes that are being applied lie: `bytes` in memory are at `offset` of the file.
struct ValuePlace {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  View bytes;
};

}  // namespace holdfast::file
