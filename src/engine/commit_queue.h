// The batches of one database that wait for a group. Part of the committer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include "holdfast/error.h"
#include "holdfast/store.h"
#include "holdfast/types.h"

namespace holdfast {

class EngineDatabase;

/// A thread that waits for a call of the committer to end. Guarded by the committer's mutex.
struct CommitWaiter {
  enum class State : std::uint8_t {
    unread,  ///< submitted to a database whose history is not known yet
    queued,
    sent,
  };

  Deadline deadline = Deadline::max();
  State state = State::queued;
  std::atomic<bool> is_done = false;
};

/// A batch and what becomes of it: of a blocked caller, on its stack, or submitted. Guarded by the
/// committer's mutex, except that a caller may read `outcome`, `committed_history` and `error` once `is_done`
/// is true.
struct PendingCommit : CommitWaiter {
  /// `history`: what the batch was computed from, or 0 if it was computed from nothing.
  PendingCommit(EngineDatabase& a_database, Batch a_batch, std::uint64_t a_history, Deadline a_deadline);

  EngineDatabase& database;
  Batch batch;  ///< moved into the group when it is sent
  const std::size_t size_bytes;
  const std::uint64_t history;
  const bool depends_on_history;
  const UnixMs wake_ms;  ///< of the first '!wake/' entry that it puts
  bool is_submitted = false;

  int history_changes = 0;
  PendingCommit* next = nullptr;

  Outcome outcome = {};
  std::uint64_t committed_history = 0;  ///< the history that the outcome's seq belongs to
  std::optional<Error> error = std::nullopt;
};

/// A batch that no thread waits for.
struct SubmittedCommit final : PendingCommit {
  SubmittedCommit(std::shared_ptr<EngineDatabase> a_database, Batch a_batch, std::uint64_t a_history,
                  Deadline a_deadline, CommitDone a_done)
      : PendingCommit(*a_database, std::move(a_batch), a_history, a_deadline),
        kept_database(std::move(a_database)),
        done(std::move(a_done)) {
    is_submitted = true;
  }

  const std::shared_ptr<EngineDatabase> kept_database;
  CommitDone done;
  std::list<SubmittedCommit>::iterator place;
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
