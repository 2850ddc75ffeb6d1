// Tasks: units of work of known types, each of which is done by exactly one process at a time until it is
// done, with a history of every attempt.
//
//     holdfast::Tasks tasks(store->database("chain"));
//     tasks.add("prove", {.body = nlohmann::json{{"set", 7}}, .unique_key = "set-7"});
//     // Only if there is something to do, and in one commit with what says so:
//     tasks.add("prove", {}, [&](const holdfast::TaskId& id, holdfast::Transaction& t) {
//       if (t.get("sets/8/task")) return false;
//       t.put("sets/8/task", id);
//       return true;
//     });
//
// holdfast/task_engine.h runs them. A task waits, is run by a session, and is gone when it is done; the
// records of its attempts stay. One that has failed too often is dead: kept, with all that is known about it,
// until it is revived or erased.
//
// A cheap handle, thread-safe. Every change is one commit; the forms that take a Transaction are part of its
// commit. Times are Unix milliseconds by the clock that the store goes by. Methods throw Error:
// invalid_argument for what is no type, no id or no option, and what the database throws.
// docs/services/tasks.md has the semantics in full, the layout and the costs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

/// 32 lower-case hexadecimal digits: 12 of the time, 20 at random. Never used again; sorts in the order in
/// which one process has added its tasks, by the millisecond.
using TaskId = Bytes;

struct NewTask {
  /// What whoever does it needs to know; at most limits::kTaskBodyBytes.
  Payload body = {};
  /// No task is added while another one of its type and this key waits or runs. Up to limits::kTaskKeyBytes.
  Bytes unique_key = {};
  /// Not before so much time has passed.
  std::chrono::milliseconds delay{0};
  /// The task that it follows, for those who look at it.
  TaskId previous = {};
};

/// What goes into the commit that adds a task. False: there is nothing to do, and nothing is written, neither
/// the task nor what this function has put. May be called several times, each time as if it was the first.
using TaskExtra = std::function<bool(const TaskId& id, Transaction& transaction)>;

enum class TaskState : std::uint8_t {
  waiting,  ///< to be run, from `due_at_ms` on
  running,  ///< a session has it
  dead,     ///< failed more often than its type allows
};
/// "waiting", "running", "dead".
const char* name(TaskState state);

struct Task {
  TaskId id;
  Bytes type;
  TaskState state = TaskState::waiting;
  Payload body;
  /// Attempts that have failed since it was added or revived; those that were deferred or given back are
  /// none.
  std::uint32_t retries = 0;
  /// All of them, the one that is under way included.
  std::uint32_t attempts = 0;
  UnixMs added_at_ms = 0;
  Bytes added_by;  ///< the session whose task has added it; empty for others
  TaskId previous;
  Bytes unique_key;
  UnixMs due_at_ms = 0;
  Bytes session;             ///< running
  UnixMs started_at_ms = 0;  ///< running
  Bytes error;               ///< of the last attempt that said one
  UnixMs died_at_ms = 0;     ///< dead
  bool operator==(const Task&) const = default;
};

enum class AttemptResult : std::uint8_t {
  done,
  failed,
  deferred,  ///< put off by itself; does not count as a failure
  released,  ///< given back by an engine that stops; does not count either
  lost,      ///< its session has ended without a word: a crash, mostly. Counts as a failure
};
/// "done", "failed" ...
const char* name(AttemptResult result);

struct TaskAttempt {
  TaskId task;
  Bytes type;
  std::uint32_t number = 1;  ///< 1 for the first attempt of the task
  Bytes session;
  UnixMs started_at_ms = 0;
  UnixMs ended_at_ms = 0;  ///< lost: when that was noticed
  AttemptResult result = AttemptResult::done;
  /// Why it was not done; of one that was, what there is to say about it all the same. Cut at
  /// limits::kTaskErrorBytes.
  Bytes error;
  bool operator==(const TaskAttempt&) const = default;
};

/// An engine that runs, or has ended without a word and is not taken over yet.
struct TaskSession {
  Bytes id;
  UnixMs started_at_ms = 0;
  /// Until then, and as long as the session says so in time, nobody else runs its tasks.
  UnixMs lease_ends_at_ms = 0;
  /// It has lost what it had: its tasks are being given to others.
  bool is_over = false;
  bool operator==(const TaskSession&) const = default;
};

/// How many records of attempts are kept: the newest `max_attempts`, and none that ended longer ago than
/// `max_age`; 0: any.
struct TaskRetention {
  std::uint64_t max_attempts = 100'000;
  std::chrono::milliseconds max_age = std::chrono::hours(24 * 30);
};

struct TaskStats {
  std::uint64_t waiting = 0;
  std::uint64_t running = 0;
  std::uint64_t dead = 0;
};

struct TasksOptions {
  /// The entries live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'. Engines of
  /// one prefix share their tasks.
  Bytes prefix = "task";
  /// For ids; the machine's if there is none.
  std::shared_ptr<Random> random = {};
};

class Tasks {
 public:
  /// capability_missing on a store whose copies are changed apart (Traits::mergeable).
  explicit Tasks(Database database, const TasksOptions& options = {});

  // ---- Adding

  /// The id of the new task; nothing if the unique key is taken, or `extra` has said that there is nothing to
  /// do. Tries again while others are faster, until `deadline`: throws conflict then. Cost: one blind commit
  /// of two entries, which conflicts with nothing; with a unique key a read and one entry more; with `extra`
  /// what that one does.
  std::optional<TaskId> add(View type, const NewTask& task = {}, const TaskExtra& extra = {},
                            Deadline deadline = {});
  /// There is a task only if the transaction commits.
  std::optional<TaskId> add(Transaction& transaction, View type, const NewTask& task = {}) const;

  // ---- Looking at them

  /// Nothing if it is done, erased, or never was. Cost: a read.
  std::optional<Task> get(View id) const;
  /// In the transaction that it is for: conditional on the task being as it was read.
  std::optional<Task> get(Transaction& transaction, View id) const;
  /// Waiting ones in the order in which they are due, type by type; running ones by type and id; dead ones by
  /// id. `type`: of that type only. The prefix of the options has no meaning. Tasks that have moved on while
  /// they were read are left out.
  Listing<Task> list(TaskState state, const std::optional<Bytes>& type = {},
                     const ListOptions& options = {}) const;
  /// The attempts of a task, first to last, as far as they are kept. Cost: a scan of them.
  std::vector<TaskAttempt> history(View id) const;
  /// The attempts of all tasks in the order in which they ended. The prefix of the options has no meaning.
  Listing<TaskAttempt> history(const ListOptions& options = {}) const;
  std::vector<TaskSession> sessions() const;
  /// Cost: a scan of the keys of all tasks.
  TaskStats stats() const;
  /// The same for each type that has any. Cost: that of stats(), and dead tasks are read whole.
  std::map<Bytes, TaskStats> stats_by_type() const;

  // ---- Looking after them

  /// Removes a task that waits or runs; whether there was one. Whoever runs it can do nothing about it any
  /// more, and is asked to stop with the next heartbeat.
  bool cancel(View id);
  bool cancel(Transaction& transaction, View id) const;
  /// Makes a dead task wait again, now and with no retries counted. False if there is none. Throws
  /// already_exists while another one has its unique key.
  bool revive(View id);
  bool revive(Transaction& transaction, View id) const;
  /// Whether there was one. Its attempts stay.
  bool erase_dead(View id);
  bool erase_dead(Transaction& transaction, View id) const;
  /// Removes records of attempts that are too old or too many, oldest first, in commits of at most 500; how
  /// many. At most about `limit`: what is left is for the next call. Engines do so by themselves. Cost: the
  /// keys of those that are kept, where `max_attempts` is not 0.
  std::uint64_t trim(const TaskRetention& retention, std::uint64_t limit = 1'000'000);

  class Impl;  // src/services/tasks_impl.h

 private:
  friend class TaskEngine;
  std::shared_ptr<Impl> impl_;
};

namespace limits {

inline constexpr std::size_t kTaskTypeBytes = 100;
inline constexpr std::size_t kTaskKeyBytes = 400;
inline constexpr std::size_t kTaskBodyBytes = std::size_t{64} << 10;
inline constexpr std::size_t kTaskErrorBytes = 2'000;
/// Delays and waits.
inline constexpr std::chrono::hours kTaskDelay{24 * 365 * 10};

}  // namespace limits
}  // namespace holdfast
