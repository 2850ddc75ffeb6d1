// Immutable byte strings of any size, beside the entries of a database. An object is uploaded first and then
// referred to by an entry; objects that no entry came to refer to are collected after 24 hours.
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
  /// Durable before it returns. Commit the entry that refers to the id within one hour.
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

/// Erases the complete objects created before `created_before_ms` (24 hours ago at the earliest, since an
/// upload is referred to within one hour of its end) that `is_referenced` says no to; how many. Interrupted
/// uploads are none of its business: the sweeper collects them.
std::size_t collect_unreferenced(Objects& objects, UnixMs created_before_ms,
                                 const std::function<bool(const ObjectId&)>& is_referenced,
                                 Deadline deadline = {});

}  // namespace holdfast
