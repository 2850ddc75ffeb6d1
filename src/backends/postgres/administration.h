// What is rare: fences, drops, compaction. Several round trips each.
#pragma once

#include "backends/postgres/head_row.h"
#include "backends/postgres/server.h"
#include "holdfast/backend.h"

namespace holdfast::postgres {

class Administration {
 public:
  Administration(Server& server, const std::string& schema);

  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline);
  bool drop(View database, std::uint64_t history, Deadline deadline);
  void compact(View database, Seq before, Deadline deadline);
  /// Frees some of what databases that were dropped, by whatever process, have left behind.
  void free_dropped(Deadline deadline);

 private:
  /// Runs `change(connection, head)` in a transaction that holds the database's lock; it is committed if
  /// `change` answers true. A failure after the commit was sent is as good as done or not done: the caller
  /// may ask again.
  template <class Change>
  bool with_lock(View database, Deadline deadline, const Change& change);

  Server& server_;
  const std::string schema_;
  const Statement begin_, commit_, rollback_, lock_, head_, fence_, create_, commit_row_, floor_, expire_,
      trim_, drop_, bury_, any_dropped_, dropped_, free_entries_, free_commits_, free_sessions_, forget_;
};

}  // namespace holdfast::postgres
