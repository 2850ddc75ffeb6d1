// One committer per lane: turns many blocked callers into few commit calls.
//
// The first caller that finds the lane free leads: it forms groups of all that waits, sends them in one call,
// tells every owner its outcome and hands over to the caller that came first in the meantime (its successor).
// A lane where batches were submitted, which nobody waits for, has a thread of its own (its driver) that
// takes part like such a caller, and leads call after call while there is nobody to hand over to. At most one
// call is in flight. Databases whose history is not known yet are read for by a few threads beside it. Groups
// whose outcome is unknown stay with the lane, not with the thread that sent them, and whoever leads next
// sends them again; so no caller waits longer than its own deadline.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/commit_queue.h"
#include "engine/interference.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

class Engine;

/// What became of a batch.
struct Settled {
  Outcome outcome;
  std::uint64_t history = 0;  ///< that the outcome's seq belongs to
};

/// Thread-safe. The queue is as long as there are callers, each of which waits with one batch until it is
/// answered or its deadline has passed, and as limits::kSubmitted... let it be.
class Committer {
 public:
  explicit Committer(Engine& engine);
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  /// Blocks until the batch, which is valid, is answered. `history`: what the batch was computed from, or 0
  /// if it was computed from nothing. Throws timeout: with backoff if the batch was never sent, with
  /// unknown_outcome if it was.
  Settled commit(EngineDatabase& database, Batch batch, std::uint64_t history, Deadline deadline);

  /// commit() without waiting. Throws closed, and unavailable where too much is under way.
  void submit(const std::shared_ptr<EngineDatabase>& database, Batch batch, std::uint64_t history,
              Deadline deadline, CommitDone done);
  /// Answers submitted batches whose deadline has passed; the earliest deadline of the others.
  Deadline answer_late();

  /// Batches that were not sent fail with closed, groups that were sent and are not in a call any more with
  /// unknown_outcome. The call in flight is not disturbed.
  void close();
  /// After close(): waits for the threads.
  void join();

  /// Batches that have not been sent yet.
  std::size_t queued() const {
    const std::scoped_lock lock(mutex_);
    return queued_;
  }

 private:
  /// Who waits for a group, and how often it was sent. Beside the Group of the same index.
  struct Flight {
    EngineDatabase* database = nullptr;
    std::vector<PendingCommit*> owners;  ///< per batch; null if the caller has left
    int attempts = 0;
    Deadline retry_at;
  };
  struct Unresolved {
    Group group;
    Flight flight;
  };
  /// Where callers wait for the end of a call: all that wait for it are woken by one system call, and find
  /// their outcome without taking the committer's mutex.
  struct WaitingRoom {
    std::mutex mutex;
    std::condition_variable condition;
    std::uint64_t generation = 0;
    bool is_used = false;  ///< guarded by the committer's mutex
  };
  /// A thread that learns the histories of databases for batches that were submitted to them.
  struct Reader {
    bool is_running = false;
    std::shared_ptr<EngineDatabase> database;  ///< that it reads for, or is to read for
    std::thread thread;
  };
  /// Who has to know of a batch that was put in a queue.
  struct Wakeup {
    bool driver = false;
    bool successor = false;
    std::array<bool, 2> rooms{};
  };
  using Lock = std::unique_lock<std::mutex>;

  void enqueue(PendingCommit& pending);
  void add_to_ring(EngineDatabase& database);
  bool has_due_work() const;
  bool has_work() const { return !ring_.empty() || !unresolved_.empty(); }

  void wait_as_successor(Lock& lock, CommitWaiter& waiter);
  void wait_in_room(Lock& lock, const CommitWaiter& waiter);
  /// Which rooms to wake: that of the call, or both. To be followed by wake(), best without the mutex.
  std::array<bool, 2> rooms_to_wake(bool both);
  void wake(const std::array<bool, 2>& rooms);
  /// Takes a caller out whose deadline has passed; what it is to be told.
  Error leave(PendingCommit& pending);
  /// Called by a caller that goes: makes sure that somebody else minds what is left.
  void pass_on(const CommitWaiter& waiter);

  /// Waits for its turn to lead, leads, or waits for what others do: one step of a waiter that is not done.
  /// On return the lock is held unless the waiter is done.
  void step(Lock& lock, CommitWaiter& waiter);
  /// Makes one call. On return the lock is held unless `waiter` is done.
  void lead(Lock& lock, const CommitWaiter& waiter);
  void gather(Lock& lock);
  void form_groups();
  void form_group(EngineDatabase& database);
  void send(Deadline deadline);
  /// Tells the owners what became of their batches; whether callers in both rooms have to know.
  bool settle();
  /// Gives the lead away; whether there is a successor to be woken.
  bool hand_over();
  /// False: the group must be sent again.
  bool settle_group(Group& group, Flight& flight);
  void settle_refused(Group& group, Flight& flight, const Error& error);
  void deliver(Flight& flight, const Error& error);
  void finish(PendingCommit& pending);
  void give_up(Flight& flight);

  static Error closed_error();
  void require_room(std::size_t size_bytes) const;
  void start_driver();
  void drive();
  /// To be followed by wake(), best without the mutex.
  Wakeup wakeup_for_work();
  void wake(const Wakeup& wakeup);
  /// Has a reader learn the history of a database, if there is one that has nothing to do.
  void start_reader(const std::shared_ptr<EngineDatabase>& database);
  bool has_reader(const std::shared_ptr<EngineDatabase>& database) const;
  void read_histories(Reader& reader);
  void learn_history(Lock& lock, const std::shared_ptr<EngineDatabase>& database);
  /// Waits for the next submitted batch; false if none came for long.
  bool rest(Lock& lock);
  /// To be called without the mutex.
  void answer(std::list<SubmittedCommit> answered) noexcept;

  Deadline next_retry() const;

  Engine& engine_;
  mutable std::mutex mutex_;
  bool is_closed_ = false;
  bool is_led_ = false;
  CommitWaiter* successor_ = nullptr;  ///< waits at lead_condition_
  CommitWaiter* heir_ = nullptr;       ///< was a successor and leads as soon as it has woken up
  std::condition_variable lead_condition_;
  std::array<WaitingRoom, 2> rooms_;
  std::size_t open_room_ = 0;  ///< of those that wait for a later call; the other room's call is in flight
  std::deque<EngineDatabase*> ring_;
  std::size_t queued_ = 0;
  std::vector<Unresolved> unresolved_;

  // The call in flight. Its size is call_groups_; the vectors keep what they have allocated.
  std::vector<Group> groups_;
  std::vector<Flight> flights_;
  std::size_t call_groups_ = 0;
  std::size_t call_batches_ = 0;
  std::size_t call_bytes_ = 0;
  Deadline call_deadline_;  ///< the latest of those who wait for it
  Interference interference_;

  std::size_t expected_batches_ = 0;  ///< how many callers seem to commit at the same time
  std::chrono::nanoseconds call_duration_{0};

  std::list<SubmittedCommit> submitted_;
  std::size_t submitted_bytes_ = 0;
  std::vector<SubmittedCommit*> unread_;
  std::list<SubmittedCommit> answered_;  ///< to be told as soon as the mutex is released
  bool has_driver_ = false;
  bool is_driver_resting_ = false;
  std::condition_variable driver_condition_;
  std::thread driver_;
  std::array<Reader, 8> readers_;
  std::condition_variable reader_condition_;
};

}  // namespace holdfast
