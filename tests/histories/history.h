// What many threads and processes did to one database, and whether it can have happened. Because commits are
// numbered, the whole history is replayed in order, and every read, check and conflict must agree with it and
// with real-time order; no search is needed, so a hundred thousand operations are checked in about a second.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast::histories {

/// A key as somebody saw it; version 0 for "no such key".
struct SeenKey {
  Bytes key;
  Seq version = 0;
  Bytes value;
};

/// Everything that somebody saw in a range.
struct SeenRange {
  Range range;
  std::vector<SeenKey> keys;
};

/// One call, or one run of a transaction's body.
struct Operation {
  enum class Kind : std::uint8_t {
    read,      ///< saw one state; `at` if the call told which
    attempt,   ///< a run of a body that was thrown away: what it saw must still be one state
    commit,    ///< was applied at `seq`; what it saw was true right before
    conflict,  ///< was refused by check `failed_check`
  };
  Kind kind = Kind::read;
  std::int64_t started_ns = 0;
  std::int64_t ended_ns = 0;
  std::optional<Seq> at;
  Seq seq = 0;
  std::size_t failed_check = 0;
  std::vector<SeenKey> keys;
  std::vector<SeenRange> ranges;
  Batch batch;
};

/// What one watch was told, in order.
struct WatchLog {
  struct Told {
    std::vector<Bytes> keys;
    bool everything = false;
    Seq through = 0;
  };
  Range range;
  Seq since = 0;
  std::vector<Told> told;
  Seq until = UINT64_MAX;  ///< the commit up to which it was left running
};

struct History {
  std::vector<Operation> operations;
  std::vector<WatchLog> watches;

  void append(History other);
  /// For the pipe or file between processes of one machine.
  void write(std::ostream& out) const;
  static History read(std::istream& in);
};

/// What cannot have happened, as sentences; empty for a history that can. At most `limit` of them.
std::vector<std::string> anomalies(const History& history, std::size_t limit = 10);

}  // namespace holdfast::histories
