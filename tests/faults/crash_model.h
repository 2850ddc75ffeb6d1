// What a database must hold after a crash, by the reference backend's own rules: the state that was
// acknowledged, and beside it the state with the one operation whose answer nobody got.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/memory/memory_database.h"
#include "holdfast/backend.h"

namespace holdfast::faults {

/// An invariant is broken; the message says which.
class CrashFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Everything that can be read of a database.
struct Observed {
  Position at;
  UnixMs time_ms = 0;
  Seq floor = 0;
  std::vector<Entry> entries;
  std::vector<Change> changes;
};

Observed observe(Backend& backend, View database, std::uint64_t token);
Observed observe(const MemoryDatabase& database);
/// The first difference, or "".
std::string difference(const Observed& actual, const Observed& expected, bool same_history = true);

std::string describe(const Position& position);

/// The deadline of a call that nothing should hold up; later than any by a manual clock too.
inline Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::hours(24); }

/// Not thread-safe.
class DatabaseModel {
 public:
  DatabaseModel(Bytes name, SessionId session);

  const Bytes& name() const { return name_; }
  /// Whether exactly one state is possible.
  bool is_certain() const { return variants_.size() == 1 && !unknown_; }
  /// The state that was acknowledged.
  const MemoryDatabase& known() const { return variants_.front().database; }
  /// The state before the latest change.
  const MemoryDatabase& previous() const { return previous_; }
  /// The group whose outcome nobody knows; it must be retried before anything else.
  const std::optional<Group>& unknown() const { return unknown_; }
  /// The group that was answered last.
  const std::optional<Group>& answered() const { return answered_; }

  Group next_group(std::vector<Batch> batches, UnixMs now_ms);
  /// The answer to `group`; throws CrashFailure unless it is the one that the reference backend gives.
  void take_answer(const Group& group);
  /// `group` was told that it had no effect and never will have.
  void take_refusal();
  void take_unknown(const Group& group);

  /// compact(), fence() or drop(): done, or broken off so that nobody knows.
  void take_compact(Seq before, bool known);
  void take_fence(const Fence& expected, const Fence& next, bool known);
  void take_drop(bool known);

  /// Somebody read this position during the latest operation: a state without it can no longer be.
  void take_sight(Position seen);
  /// Reads the database; a possible state must be there. With `is_settled` it is from now on the known one;
  /// otherwise an operation that broke off in this process may still turn out to be done when the store is
  /// opened again.
  void verify(Backend& backend, bool is_settled);
  /// After a power loss of a store that was not durable: a state that there was since the last verify_kept()
  /// must be there, under another history if it is not the newest.
  void verify_prefix(Backend& backend);
  /// From now on nothing that there is may be lost.
  void keep() { past_.clear(); }
  bool was_lost() const { return was_lost_; }

 private:
  struct Variant {
    MemoryDatabase database;
    /// A first commit whose history is not known yet.
    std::optional<Group> first;
  };
  struct Applied {
    MemoryDatabase database;
    std::vector<Outcome> outcomes;
    Position at;
  };

  static Applied apply(const MemoryDatabase& database, const Group& group, std::uint64_t new_history);
  static std::optional<MemoryDatabase> resolved(const Variant& variant, std::uint64_t history);
  void become(MemoryDatabase database);
  void verify_session(Backend& backend);
  void new_session();

  Bytes name_;
  SessionId session_;
  std::uint64_t number_ = 0;
  std::vector<Variant> variants_;
  std::vector<MemoryDatabase> past_;
  MemoryDatabase previous_;
  std::optional<Group> unknown_;
  std::optional<Group> answered_;
  bool was_lost_ = false;
};

}  // namespace holdfast::faults
