// The catalog of a per_database layer: which database is at which place, and from when on something in it may
// be due. It is itself a database, "catalog", of a backend of the same kind, so that several processes can
// share it; every change is a commit with checks.
//
//   key                         value
//   name/<database>             <place> <due>        due: Unix ms, or '-' for never
//   due/<due, 16 hex>/<place>   <database>           one for each name/ row that has a due
//   gone/<place>                <Unix ms>            dropped then; the place is still to be removed
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

struct CatalogRow {
  std::string place;
  /// No entry of the database expires before this; nothing: none expires at all.
  std::optional<UnixMs> due_ms;
  Seq version = 0;
};

/// Thread-safe. Throws what the backend throws, and corruption for a row that cannot be read.
class Catalog {
 public:
  Catalog(std::unique_ptr<Backend> backend, const Environment& environment);

  const Traits& traits() const { return backend_->traits(); }

  /// Linearizable. Cost: one read.
  std::optional<CatalogRow> find(View database, Deadline deadline);
  /// Names in byte order that start with `prefix` and come after `after`.
  std::vector<Bytes> names(View prefix, View after, std::size_t limit, Deadline deadline);

  /// False if the database is there already.
  bool add(View database, const std::string& place, Deadline deadline);
  /// Removes the row and notes the place as gone; false if the row is another one by now.
  bool remove(View database, const CatalogRow& row, Deadline deadline);
  /// Nothing if the row is another one by now.
  std::optional<CatalogRow> set_due(View database, const CatalogRow& row, std::optional<UnixMs> due_ms,
                                    Deadline deadline);

  struct Due {
    UnixMs due_ms = 0;
    std::string place;
    Bytes database;
  };
  /// The rows with a due, the earliest first, that come after `after`.
  std::vector<Due> due(const std::optional<Due>& after, std::size_t limit, Deadline deadline);

  /// Places that were dropped before `before_ms` and not forgotten since.
  std::vector<std::string> gone(UnixMs before_ms, Deadline deadline);
  void forget(const std::string& place, Deadline deadline);

 private:
  std::vector<Entry> scan(const Range& range, std::size_t limit, Deadline deadline);
  Outcome commit(Batch batch, Deadline deadline);
  void send_until_answered(Group& group);
  void take_session();

  const std::unique_ptr<Backend> backend_;
  const Environment environment_;

  std::mutex commit_mutex_;  // one group in flight
  SessionId session_;
  std::uint64_t number_ = 0;
  std::uint64_t commits_ = 0;
  std::int64_t used_at_ms_;  ///< by the clock that counts suspension
};

}  // namespace holdfast
