// A task engine: takes tasks of the types that it knows, runs each in a thread of its own, and keeps a record
// of what became of it.
//
//     holdfast::TaskEngine engine(tasks, {
//         {.name = "prove",
//          .run = [&](holdfast::TaskWork& work) {
//            const Proof proof = prove(work.task().body.json());
//            work.in_commit([=](holdfast::Transaction& t) { t.put("proof/7", proof.text()); });
//            work.follow("send", {.body = proof.id()});  // with the completion, or not at all
//            return true;
//          },
//          .max_failures = 5,
//          .retry_wait = [](std::uint32_t retries) { return std::chrono::minutes(retries); },
//          .cost = {{"gpu", 1}}},
//     }, {.max_running = 32, .resources = {{"gpu", 2}}});
//     wait_for_signal();
//     engine.stop(std::chrono::seconds(20));
//
// Any number of engines, in any number of processes, share the tasks of a prefix. Each has a session with a
// lease, which it extends again and again. As long as it does nobody else runs its tasks; when a lease has
// ended, and not before, another engine takes them over, and what the former owner still says about them is
// refused. A session id is never used twice.
//
// Nothing but the injected clock tells the time, and an engine that has nothing to do waits for commits and
// for what is due: it asks again by itself only while `can_accept` refuses tasks, or after an error.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/tasks.h"

namespace holdfast {

/// What TaskType::run throws to put its task off: the attempt does not count as a failure. Without `wait`
/// the next one comes after the retry wait of the type.
class TaskDeferred : public std::exception {
 public:
  explicit TaskDeferred(std::string message, std::optional<std::chrono::milliseconds> wait = {})
      : message_(std::move(message)), wait_(wait) {}
  const char* what() const noexcept override { return message_.c_str(); }
  const std::optional<std::chrono::milliseconds>& wait() const { return wait_; }

 private:
  std::string message_;
  std::optional<std::chrono::milliseconds> wait_;
};

/// A task that is being run. For the thread that runs it, and others while it does.
class TaskWork {
 public:
  virtual ~TaskWork() = default;
  virtual const Task& task() const = 0;
  /// Requested when the task is not this engine's any more, or may soon be another's because the store cannot
  /// be reached, and when the engine has to end. An attempt that fails then is given back instead.
  virtual std::stop_token stop() const = 0;
  /// What there is to say about an attempt that has done its task all the same.
  virtual void remark(View text) = 0;
  /// Adds a task in the commit that completes this one, if that is done; nothing happens where its unique key
  /// is taken.
  virtual void follow(View type, NewTask task = {}) = 0;
  /// Is called in the transaction that completes the task, if that is done: they happen together or not at
  /// all. May be called several times. What it throws makes the attempt fail. At most one; the last counts.
  virtual void in_commit(std::function<void(Transaction&)> body) = 0;
};

/// Amounts by name, in whatever unit: {{"cpu", 2}, {"ram_mib", 4096}, {"gpu", 1}}.
using TaskResources = std::map<Bytes, std::uint64_t>;

/// Adds tasks of one type; Tasks::add() with that. Thread-safe; may outlive the engine.
using TaskAdder = std::function<std::optional<TaskId>(const NewTask& task, const TaskExtra& extra)>;

/// What an engine knows about a type. The functions are called on threads of the engine, with none of its
/// locks held.
struct TaskType {
  /// 1 to limits::kTaskTypeBytes of UTF-8.
  Bytes name;
  /// Does a task: true when it is done, false when it is not, and has failed therefore; one that throws has
  /// failed too, with an error.
  std::function<bool(TaskWork& work)> run;
  /// A task with more failures than that is dead, so it has `max_failures` + 1 attempts; 0: it is tried for
  /// ever.
  std::uint32_t max_failures = 0;
  /// The wait after the `retries`-th failure, 1 or more; of one that was deferred before any, 1. Without it
  /// 1 s doubled each time, up to five minutes. The first attempt never waits.
  std::function<std::chrono::milliseconds(std::uint32_t retries)> retry_wait = {};
  /// That run at once in this engine, and in all engines together, which should say the same; 0: any number.
  std::size_t max_running = 0;
  std::size_t max_running_total = 0;
  /// What one task takes of TaskEngineOptions::resources while it runs. What the engine does not have there
  /// it has none of.
  TaskResources cost = {};
  /// Chooses among tasks that are due and for which there is room: those to be tried, the first ones first.
  /// Without it, all of them. Is asked again, for all that it has refused, after `poll_interval` and with
  /// every change.
  std::function<std::vector<TaskId>(std::span<const Task> offered)> can_accept = {};
  /// Called once by the constructor, in the order of the types.
  std::function<void(const TaskAdder& add)> adder = {};
  /// Called again and again, for the first time one `period` after the engine began and then one after the
  /// other; in a thread of its own. A call that takes longer makes those fall out that come meanwhile. At
  /// least 1 ms; 0: never.
  std::chrono::milliseconds period{0};
  std::function<void(const TaskAdder& add)> periodic = {};
};

struct TaskEngineOptions {
  /// Tasks that run at once in this engine, each in a thread of its own: 1 to 1,000.
  std::size_t max_running = 64;
  /// What this process has for them.
  TaskResources resources = {};
  /// How long after its last heartbeat a session is taken for dead: 1 s to 24 hours. Heartbeats come when a
  /// third of it is over.
  std::chrono::milliseconds session_lease = std::chrono::seconds(30);
  /// At least 1 ms.
  std::chrono::milliseconds poll_interval = std::chrono::seconds(3);
  TaskRetention retention = {};
  /// How long the destructor lets tasks go on before it asks them to stop.
  std::chrono::milliseconds stop_limit = std::chrono::seconds(30);
  /// That of the store; the machine's if there is none.
  std::shared_ptr<Clock> clock = {};
  /// Of the session's id; the machine's if there is none.
  std::shared_ptr<Random> random = {};
  /// Hears of calls to the store that failed, which are tried again, and of what can_accept, retry_wait and
  /// periodic have thrown. On threads of the engine.
  std::function<void(const std::exception& error)> on_error = {};
};

/// Since the engine began, but for the last two.
struct TaskEngineMetrics {
  std::uint64_t claimed = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t deferred = 0;
  std::uint64_t released = 0;
  std::uint64_t lost = 0;        ///< to others, or cancelled
  std::uint64_t taken_over = 0;  ///< from sessions that had ended
  std::uint64_t heartbeats = 0;
  std::uint64_t passes = 0;    ///< looks for tasks
  std::uint64_t sessions = 0;  ///< 1, and one more for each that was lost
  std::size_t running = 0;
  /// Nothing is under way but what tasks do: no look, no heartbeat, no take-over.
  bool is_waiting = false;
};

/// Thread-safe. Costs two threads, one for each type with a period, and one for each task that runs.
class TaskEngine {
 public:
  /// Begins at once: makes a session, calls the adders, and takes over what dead sessions have left. Throws
  /// invalid_argument for what is no type or no option, what an adder throws, and what the database throws.
  TaskEngine(Tasks tasks, std::vector<TaskType> types, TaskEngineOptions options = {});
  /// Stops, and waits for tasks that do not.
  ~TaskEngine();
  TaskEngine(const TaskEngine&) = delete;
  TaskEngine& operator=(const TaskEngine&) = delete;

  /// Takes no more tasks, and waits until those that run have ended and their completions are committed; then
  /// the session ends. At the limit those that still run are asked to stop, and the answer is false: they
  /// stay this engine's, with their lease, until they have ended. Nobody else runs them before. Later calls
  /// go on waiting.
  bool stop(std::chrono::milliseconds limit);
  /// The session that the engine has now.
  Bytes session() const;
  TaskEngineMetrics metrics() const;

  class Impl;  // src/services/task_engine_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
