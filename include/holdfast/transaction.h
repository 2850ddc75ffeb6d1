// The view of a database that Database::transact gives to its body.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/objects.h"
#include "holdfast/types.h"

namespace holdfast {

/// For one thread, and only while the body runs. Optimistic: every read adds a check to the commit, and a
/// later read carries the checks collected so far, so that all the body has read is true together at the
/// position of its latest read (snapshot scans excepted: they may be older). If that breaks, the body is
/// unwound by an exception that it must let pass (it derives from neither std::exception nor Error) and run
/// again; so a body may run several times and should have no other effects.
class Transaction {
 public:
  class Impl;
  explicit Transaction(Impl& impl) : impl_(impl) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// Adds absent or version. Sees the transaction's own writes; these have version 0, since it is the commit
  /// that gives them theirs (Database::transact tells it).
  std::optional<Entry> get(View key);
  /// One read call for all; at most 1,000 keys.
  std::vector<std::optional<Entry>> get(std::span<const Bytes> keys);
  /// Adds unchanged over what the page covered: [begin, last key] if there is more, else the whole range;
  /// nothing for a snapshot scan. Own writes are merged in, with version 0; stamped ones are not, since
  /// their key is not known yet.
  Page scan(const Range& range, const ScanOptions& options = {});
  /// Adds version(entry.key, entry.version): for what was taken out of a snapshot scan.
  void require(const Entry& entry);

  void put(View key, View value, std::optional<UnixMs> expires_at_ms = {});
  /// Stores under `prefix` + the commit's seq as 16 lower-case hexadecimal digits + `suffix`: appends never
  /// conflict.
  void put_stamped(View prefix, View suffix, View value, std::optional<UnixMs> expires_at_ms = {});
  void erase(View key);

  /// The object, uploaded before, lives on from this commit: until `expires_at_ms`, or until it is released.
  /// Throws not_found if there is none (any more): upload it again. Cost: a read, as of get().
  void keep(const ObjectId& id, std::optional<UnixMs> expires_at_ms = {});
  /// The object is gone with this commit; nothing happens if there is none. Cost: a read, as of get(), and
  /// one write of the 2,000 that a commit may have, whatever its size.
  void release(const ObjectId& id);

  /// Fixed for the run of the body.
  UnixMs now() const;
  /// The position of the latest read; reads the head if there was none.
  Position position();

 private:
  Impl& impl_;
};

}  // namespace holdfast
