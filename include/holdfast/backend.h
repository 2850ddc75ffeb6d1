// The storage contract: what a backend implements, and nothing else. Nine functions; docs/contract.md is the
// reference text, sentence by sentence, and `holdfast/conformance.h` proves an implementation against it.
//
// Every function may be called from any thread at any time, blocks until it is done, and returns (or throws
// Error(timeout)) no later than one second after its deadline. Functions throw holdfast::Error; commit()
// instead puts the error into the group that it concerns. The engine has already enforced every limit of
// limits.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "holdfast/types.h"

namespace holdfast {

struct Scan {
  Range range = {};
  ScanOptions options = {};
};

/// §2. The spans and views are borrowed for the call.
struct ReadRequest {
  std::span<const View> gets = {};
  std::span<const Scan> scans = {};
  std::span<const Check> checks = {};
  UnixMs now_ms = 0;
  std::int64_t clock_skew_limit_ms = limits::kClockSkewLimitMs;
  std::uint64_t history = 0;  ///< 0: whatever history the database has
  std::uint64_t token = 0;    ///< of a fence that lets this caller through
  Deadline deadline = {};
};

/// Everything describes the state right after commit at.seq of at.history, judged at T = time_ms.
struct ReadAnswer {
  std::vector<std::optional<Entry>> gets;  ///< shorter than asked if the byte budget cut it off
  std::vector<Page> pages;                 ///< one per scan; each carries `at`
  std::optional<std::size_t> failed_check;
  Position at;
  UnixMs time_ms = 0;
  Seq floor = 0;  ///< the change log reaches back to here
};

/// A random 128-bit name of one engine's use of one database (§3.2).
using SessionId = std::pair<std::uint64_t, std::uint64_t>;

/// §3. Batches of one database by one session, none deciding another's check, judged and applied together.
struct Group {
  Bytes database;
  std::uint64_t history = 0;  ///< 0 only if a read found no head
  SessionId session;
  std::uint64_t number = 0;        ///< 1, 2, 3 ... within the session
  std::uint64_t content_hash = 0;  ///< over the batches, see content_hash()
  bool retry = false;
  UnixMs now_ms = 0;
  std::int64_t clock_skew_limit_ms = limits::kClockSkewLimitMs;
  std::uint64_t token = 0;
  Deadline deadline;
  std::vector<Batch> batches;

  // Results: either an error, or one outcome per batch and the position after the group.
  std::vector<Outcome> outcomes;
  Position at;
  std::optional<Error> error;
};

/// §6. The range is borrowed for the call.
struct ChangesRequest {
  Position since = {};
  Range range = {};
  std::size_t limit = 1000;  ///< items; exceeded rather than a commit split
  bool keys_only = false;
  std::uint64_t token = 0;
  Deadline deadline = {};
};

/// §7. A default-constructed fence is open; `token` is then 0, `place` empty and `at` zero.
struct Fence {
  enum class State : std::uint8_t { open, frozen, moved, importing };
  State state = State::open;
  std::uint64_t token = 0;
  Bytes place;         ///< moved: where to
  Position at;         ///< importing: the position that the database takes over when it is opened
  UnixMs time_ms = 0;  ///< importing: the head.time that it takes over
  bool operator==(const Fence&) const = default;
};

struct Expired {
  Bytes database;
  Bytes key;
  UnixMs expires_at_ms = 0;
  bool operator==(const Expired&) const = default;
};

struct ExpiredAnswer {
  std::vector<Expired> items;         ///< oldest first
  std::optional<UnixMs> next_due_ms;  ///< the earliest expiry not listed, if there is one
};

struct Cursor {
  Bytes database;
  Position at;
};

class Objects;

class Backend {
 public:
  virtual ~Backend() = default;

  /// Fixed once opened.
  virtual const Traits& traits() const = 0;
  /// Those of the store that keeps `database`, where a layer keeps databases in several. traits() is then
  /// what holds for all of them.
  virtual const Traits& traits_of(View /*database*/) const { return traits(); }
  /// Groups of one lane may share one write and go down in one commit call, one call per lane in flight;
  /// other lanes run in parallel. Fixed per database.
  virtual std::size_t lane(View database) const = 0;

  virtual ReadAnswer read(View database, const ReadRequest& request) = 0;
  /// Groups of different databases; each stands or fails alone. Does not throw.
  virtual void commit(std::span<Group> groups) = 0;
  virtual Changes changes(View database, const ChangesRequest& request) = 0;
  /// Raises the floor to min(before, head.seq), durably, then frees log rows at or below it (§6.4).
  virtual void compact(View database, Seq before, Deadline deadline) = 0;
  /// Compare-and-set of the whole fence; false if `expected` is not what is there or the transition is not
  /// allowed.
  virtual bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) = 0;

  virtual std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) = 0;
  /// False if the database's history is not `history` (which is not 0).
  virtual bool drop(View database, std::uint64_t history, Deadline deadline) = 0;
  virtual ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) = 0;

  /// Indices of cursors whose database has another history or a larger seq; empty at the deadline or after
  /// wake().
  virtual std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) = 0;
  /// Makes a running wait() return at once; if none runs, the next one does.
  virtual void wake() = 0;

  /// The backend's own store for immutable byte strings (§10.3 of contract.md's traits), or null: the engine
  /// then keeps them as entries.
  virtual Objects* objects() { return nullptr; }
};

}  // namespace holdfast
