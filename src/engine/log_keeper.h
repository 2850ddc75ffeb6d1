// Trims change logs (§6.4), and keeps them for those who have pinned them.
//
// A log keeps at least the commits of the last hour and at least its newest 1,000,000 rows, and whatever lies
// above a live pin. Both are approximated from above, so that a log is at times longer, never shorter:
//  - The age of a commit is known from samples (time, seq), taken about every five minutes of each database
//    whose log is longer than half of what is kept, and stored in the store itself, so that processes that
//    live for minutes make progress together. "An hour ago" is the newest sample that is at least that old.
//  - The rows of a commit are estimated from the newest commits: distinct keys per commit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/log_samples.h"
#include "holdfast/backend.h"

namespace holdfast {

class Engine;
class EngineDatabase;

/// How often all logs are looked at.
inline constexpr std::int64_t kLogCycleMs = 5ll * 60 * 1000;
/// How many databases one look takes at most.
inline constexpr std::size_t kLogLookDatabases = 200;

/// Thread-safe.
class LogKeeper {
 public:
  explicit LogKeeper(Engine& engine, std::uint64_t kept_rows = limits::kLogKeptRows)
      : engine_(engine), kept_rows_(kept_rows) {}

  /// See Database::pin, unpin and compact. A pin and a compaction that meet are ordered by the entry
  /// "!compact": the compaction writes it before it trims, and fails if a pin came in between; a pin below it
  /// is refused.
  void pin(EngineDatabase& database, View consumer, Seq seq, UnixMs expires_at_ms, Deadline deadline = {});
  void unpin(EngineDatabase& database, View consumer, Deadline deadline = {});
  Seq compact(EngineDatabase& database, Seq before, Deadline deadline = {});

  /// When the logs should be looked at next. Cost: one read of "!store".
  UnixMs next_look_ms();
  /// Looks at the next databases of the cycle; how many logs it trimmed. A database that cannot be trimmed
  /// now (being moved, say) is left for the next cycle.
  std::size_t look();

 private:
  std::size_t look_at(View name);
  /// Rows per commit, at least 1.
  double rows_per_commit(EngineDatabase& database, Position at, Seq floor);

  Engine& engine_;
  const std::uint64_t kept_rows_;
};

}  // namespace holdfast
