// The batches of one database that wait for a group. Part of the committer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/error.h"
#include "holdfast/types.h"

namespace holdfast {

class EngineDatabase;

/// One blocked caller and its batch, on the caller's stack. Guarded by the committer's mutex, except that
/// `outcome`, `committed_history` and `error` may be read once `is_done` is true.
struct PendingCommit {
  enum class State : std::uint8_t { queued, sent };

  EngineDatabase& database;
  Batch batch;  ///< moved into the group when it is sent
  std::size_t size_bytes;
  std::uint64_t history;  ///< what the batch was computed from; 0: it holds in any history
  bool depends_on_history;
  Deadline deadline;

  State state = State::queued;
  int history_changes = 0;
  PendingCommit* next = nullptr;

  Outcome outcome = {};
  std::uint64_t committed_history = 0;  ///< the history that the outcome's seq belongs to
  std::optional<Error> error = std::nullopt;
  std::atomic<bool> is_done = false;
};

/// First in, first out; links batches that live elsewhere.
class CommitQueue {
 public:
  bool is_empty() const { return first_ == nullptr; }
  PendingCommit* first() const { return first_; }

  void push_back(PendingCommit& pending) {
    pending.next = nullptr;
    if (last_ == nullptr) {
      first_ = &pending;
    } else {
      last_->next = &pending;
    }
    last_ = &pending;
  }
  void push_front(PendingCommit& pending) {
    pending.next = first_;
    first_ = &pending;
    if (last_ == nullptr) last_ = &pending;
  }
  /// Takes out what follows `previous` (null: the first).
  PendingCommit& take_after(PendingCommit* previous) {
    PendingCommit& taken = previous == nullptr ? *first_ : *previous->next;
    (previous == nullptr ? first_ : previous->next) = taken.next;
    if (last_ == &taken) last_ = previous;
    taken.next = nullptr;
    return taken;
  }
  void remove(PendingCommit& pending) {
    PendingCommit* previous = nullptr;
    for (PendingCommit* at = first_; at != &pending; at = at->next) previous = at;
    take_after(previous);
  }

  /// Whether the committer's ring of databases with waiting batches has this one.
  bool is_in_ring = false;
  /// A group was sent and not yet answered: no other may be sent (§3.2). Atomic only because the engine asks
  /// it before it forgets a database.
  std::atomic<bool> has_group_in_flight = false;

 private:
  PendingCommit* first_ = nullptr;
  PendingCommit* last_ = nullptr;
};

}  // namespace holdfast
