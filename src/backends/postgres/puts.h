// Groups of mere puts, which most commits are: the arrays of one, and the statements that do them without a
// function.
#pragma once

#include <array>
#include <limits>
#include <optional>

#include "backends/postgres/connection.h"
#include "holdfast/backend.h"

namespace holdfast::postgres {

/// No expiry, in an array.
inline constexpr std::int64_t kNoExpiry = std::numeric_limits<std::int64_t>::min();

/// What puts there are in a group that PutArrays are enough for.
struct PutKinds {
  bool has_expires = false;
  bool has_checks = false;
  bool is_update = true;  ///< every batch demands an entry of some version

  explicit PutKinds(const Group& group);
};

/// The arrays of a group whose batches put one key each, all different, and check nothing else.
struct PutArrays : PutKinds {
  ArrayParameter key = ArrayParameter::byteas(), value = ArrayParameter::byteas();
  ArrayParameter expires = ArrayParameter::int8s(), version = ArrayParameter::int8s();

  static bool are_enough_for(const Group& group);
  explicit PutArrays(const Group& group);
};

/// The ids of a database and of a session in it, the number of a commit that it has or had, and the epoch in
/// which it was open, with a history, on a server that was started then.
struct PlaceIds {
  std::int64_t database = 0;
  std::int64_t session = 0;
  Seq seq = 0;
  std::int64_t epoch = 0;
  std::uint64_t history = 0;
  std::int64_t started_us = 0;
};

/// The statements for groups that PutArrays are enough for: of any number of puts without checks, or of one
/// that demands some version of its entry. Each has to follow a statement that has taken the lock of the
/// database, in the same transaction: it reads what the holders before have committed. It gives one row, the
/// sequence number before the group; or none, without any effect, if anything is not as expected: another
/// epoch (which is what a fence or another past make) or server, a session that was not the last one to
/// commit, a number that is not the next, settings that are not those of the connection, a check that does
/// not hold.
class DirectPuts {
 public:
  explicit DirectPuts(const std::string& schema);

  /// Nothing if there is no statement for such a group.
  std::optional<Call> call_for(const Group& group, const PlaceIds& place) const;

 private:
  const Statement put_one_, update_one_, put_many_;
};

}  // namespace holdfast::postgres
