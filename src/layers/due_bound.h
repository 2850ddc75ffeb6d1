// The lower bound, kept in the catalog, of the next expiry in a database: `expired` only visits databases
// whose bound has come. It is lowered before a commit that needs it lower, so that a crash in between leaves
// a visit too many and never one too few; and raised after a visit that found nothing due.
#pragma once

#include <optional>

#include "layers/catalog.h"
#include "layers/places.h"

namespace holdfast {

/// The earliest expiry that the puts of a group may store, if any has one.
std::optional<UnixMs> earliest_expiry(const Group& group);

/// Around a commit that stores an entry that expires at `due_ms`: lowers the bound if that is needed, and
/// keeps it from being raised in this process until it is destroyed.
class DueCommit {
 public:
  DueCommit(Catalog& catalog, Place& place, UnixMs due_ms, Deadline deadline);
  ~DueCommit();
  DueCommit(const DueCommit&) = delete;
  DueCommit& operator=(const DueCommit&) = delete;
  /// After the commit, for stores that other processes share: one of them may have raised the bound
  /// meanwhile.
  void verify(Deadline deadline);

 private:
  Catalog& catalog_;
  Place& place_;
  const UnixMs due_ms_;
};

/// A visit of `expired` to one database: construct it before the store is asked.
class DueVisit {
 public:
  explicit DueVisit(Place& place);
  /// Nothing was due, and `next_due_ms` is the next expiry: raises the bound to it, unless a commit came in
  /// between.
  void nothing_due(Catalog& catalog, UnixMs now_ms, std::optional<UnixMs> next_due_ms, Deadline deadline);

 private:
  Place& place_;
  std::uint64_t commits_seen_ = 0;
};

}  // namespace holdfast
