// One lock guards all that the threads of an engine share; no call to the store and no function of the
// application is made with it held.
//
// The poller claims tasks, and starts a thread for each. That thread runs the task, gives its room back, and
// commits what became of it: in this order, so that the commit, which wakes the poller by its watch, finds
// room. The keeper extends the session and takes over what dead sessions have left.
#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/task_engine.h"
#include "holdfast/watch.h"
#include "services/task_room.h"
#include "services/tasks_impl.h"

namespace holdfast {

class TaskEngine::Impl {
 public:
  Impl(Tasks tasks, std::shared_ptr<Tasks::Impl> store, std::vector<TaskType> types,
       TaskEngineOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool stop(std::chrono::milliseconds limit);
  Bytes session() const {
    const std::scoped_lock lock(mutex_);
    return session_;
  }
  TaskEngineMetrics metrics() const {
    const std::scoped_lock lock(mutex_);
    TaskEngineMetrics metrics = metrics_;
    metrics.running = running_.size();
    const bool is_looking = is_taking_ && (is_claiming_ || is_woken_);
    metrics.is_waiting = !is_looking && !is_beating_ && clock_->steady_now() < beat_at_;
    return metrics;
  }

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Running;
  using RunningPointer = std::shared_ptr<Running>;

  /// What a look for tasks of a type has found.
  struct Offer {
    std::vector<TaskId> due;
    std::optional<std::chrono::milliseconds> next_in;  ///< when the next one is due
  };
  struct Pass {
    bool has_claimed = false;
    bool has_refused = false;  ///< can_accept has
    std::optional<std::chrono::milliseconds> next_in;
  };

  void start_threads();
  void end_threads();
  void wait(std::condition_variable& condition, Lock& lock, Deadline deadline = Deadline::max()) {
    clock_->wait_until(condition, lock, deadline);
  }
  void report(const std::exception& error) const {
    if (options_.on_error) options_.on_error(error);
  }
  TaskAdder adder_of(const Bytes& type) const;
  void run_periodic(const TaskType& type, Deadline begin);

  // ---- Claiming: task_engine_claims.cc
  void take_tasks();
  Pass look();
  Offer offer_of(std::size_t type, std::size_t limit);
  /// Those of `due` that are to be tried.
  std::vector<TaskId> choose(const TaskType& type, const std::vector<TaskId>& due, std::size_t room,
                             bool& has_refused);
  bool claim(std::size_t type, const std::vector<TaskId>& ids, std::size_t room);
  void start(std::size_t type, Task task);
  void join_ended();
  /// Makes the poller look again though nothing was committed.
  void wake_poller();
  bool must_trim(Deadline now) const;

  // ---- Running: task_engine_runs.cc
  void run(const RunningPointer& running);
  AttemptEnd attempt(Running& running);
  void end(const RunningPointer& running, AttemptEnd end);
  /// Commits the end; false if the task is not this engine's any more, or that could not be learned.
  bool commit_end(Running& running, AttemptEnd& end);
  bool was_committed(const Running& running) const;
  std::chrono::milliseconds wait_after(const TaskType& type, std::uint32_t retries) const;
  /// Without the lock: what is called then may call the engine.
  static void ask_to_stop(const std::vector<RunningPointer>& running);

  // ---- The session: task_engine_session.cc
  void begin_session();
  void keep_session();
  void beat();
  void lose_session();
  void drop_lost_tasks(const std::vector<RunningPointer>& running);
  /// Looks at the sessions of others: the end of the first of their leases, and now if there is more to take
  /// over.
  std::optional<std::chrono::milliseconds> take_over_step();

  Tasks tasks_;
  const std::shared_ptr<Tasks::Impl> store_;
  const std::vector<TaskType> types_;
  const TaskEngineOptions options_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<Random> random_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  ///< a task has ended, a call of `periodic` too, or the engine ends
  std::condition_variable beats_;    ///< the keeper's
  std::condition_variable polls_;    ///< the poller's, when it does not watch
  TaskRoom room_;
  Bytes session_;
  std::optional<Watch> watch_;
  bool is_woken_ = true;   ///< the poller is to look again
  bool is_taking_ = true;  ///< tasks
  bool is_claiming_ = false;
  bool is_beating_ = true;  ///< until the first round has ended
  bool is_over_ = false;
  bool is_abandoned_ = false;  ///< ends that cannot be committed are given up
  std::size_t calls_ = 0;      ///< of `periodic`
  Deadline beat_at_{};
  Deadline lease_ends_at_{};
  Deadline trim_at_{};
  std::uint64_t ended_since_trim_ = 0;
  std::size_t next_type_ = 0;
  /// How many times as many tasks as are needed are looked at, so that claimers do not meet. The poller's.
  std::size_t spread_ = 1;
  TaskEngineMetrics metrics_;
  std::list<RunningPointer> running_;
  std::vector<std::thread> ended_;
  std::vector<std::thread> threads_;
};

struct TaskEngine::Impl::Running final : TaskWork {
  Running(const TaskType& a_type, std::size_t an_index, Task a_task)
      : type(a_type), index(an_index), claimed(std::move(a_task)) {}

  const Task& task() const override { return claimed; }
  std::stop_token stop() const override { return stopping.get_token(); }
  void remark(View text) override { remark_text = text; }
  void follow(View follower, NewTask task) override;
  void in_commit(std::function<void(Transaction&)> function) override { body = std::move(function); }

  const TaskType& type;
  const std::size_t index;
  const Task claimed;
  std::stop_source stopping;

  // Of the thread that runs it.
  Bytes remark_text;
  std::vector<std::pair<Bytes, NewTask>> followers;
  std::function<void(Transaction&)> body;

  std::thread thread;  ///< under the engine's lock
};

}  // namespace holdfast
