// Immutable byte strings of any size, beside the entries of a database. An object is uploaded first and then
// kept by the commit that puts the entry which refers to it (Transaction::keep); one that no commit has kept
// within 24 hours of its upload is gone, and one that is released (Transaction::release) is gone with the
// commit that releases it. The sweeper frees the space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

/// 32 lower-case hexadecimal digits, random, never used twice.
using ObjectId = Bytes;

/// Gives the next piece of a byte string, empty at its end. Pieces may have any size.
using ByteSource = std::function<Bytes()>;

struct ObjectInfo {
  ObjectId id;
  std::uint64_t size_bytes = 0;
  UnixMs created_at_ms = 0;
  /// False for an upload that runs or was interrupted; its bytes cannot be read, its size is not known.
  bool complete = true;
};

/// Thread-safe.
class Objects {
 public:
  virtual ~Objects() = default;
  /// Durable before it returns. Lives for 24 hours unless a commit keeps it.
  virtual ObjectId put(const ByteSource& source, Deadline deadline = {}) = 0;
  /// The bytes in [offset, offset + size_bytes) as far as the object reaches; nothing if there is no such
  /// object.
  virtual std::optional<Bytes> get(const ObjectId& id, std::uint64_t offset, std::size_t size_bytes,
                                   Deadline deadline = {}) = 0;
  virtual std::optional<ObjectInfo> stat(const ObjectId& id, Deadline deadline = {}) = 0;
  /// False if there is no such object.
  virtual bool erase(const ObjectId& id, Deadline deadline = {}) = 0;
  /// Objects created before `created_before_ms`, in order of their ids after `after`; unfinished uploads
  /// included.
  virtual std::vector<ObjectInfo> list(UnixMs created_before_ms, View after, std::size_t limit,
                                       Deadline deadline = {}) = 0;
};

}  // namespace holdfast
