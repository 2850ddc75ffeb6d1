// A worker: takes jobs of a queue, runs a handler for each, and tells the queue what became of it.
//
//     holdfast::Worker worker(mail, {{"welcome", [](holdfast::Work& work) {
//       for (int i = 0; i < 10 && !work.stop().stop_requested(); ++i) {
//         send_part(work.job().body.json(), i);
//         work.progress(i / 10.0);
//       }
//     }}}, {.concurrency = 8, .prefetch = 32});
//     wait_for_signal();
//     worker.drain(std::chrono::seconds(20));
//
// A handler that returns has done the job. One that throws has failed: the attempt counts, and the error is
// kept with the job; WorkFailed says more about what to do next. Leases are extended while jobs wait or run,
// so a lease need be no longer than a crash may take to be noticed. A worker that has lost a lease, because
// it stood still for too long or the job was cancelled, asks the handler to stop and drops what it says.
//
// Round trips are shared: jobs are taken many at once, as far as there is room for them, and completed
// together while the commit before is under way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "holdfast/environment.h"
#include "holdfast/queue.h"
#include "holdfast/store.h"

namespace holdfast {

/// What a handler throws to fail as Queue::fail() can.
class WorkFailed : public std::exception {
 public:
  explicit WorkFailed(std::string message, FailOptions options = {})
      : message_(std::move(message)), options_(options) {}
  const char* what() const noexcept override { return message_.c_str(); }
  const FailOptions& options() const { return options_; }

 private:
  std::string message_;
  FailOptions options_;
};

/// A job that a handler works on. For the handler's thread, and others while the handler runs.
class Work {
 public:
  virtual ~Work() = default;
  /// Its token is that of the delivery, which does not hold any more once the lease was extended.
  virtual const Delivery& job() const = 0;
  /// Requested when the lease is lost or the worker has to end: what is done from then on may be done again
  /// by somebody else. A handler that throws then has not failed; its job is given back.
  virtual std::stop_token stop() const = 0;
  /// How much is done, 0 to 1; and a line for people, cut at limits::kJobLogBytes. Both are kept with the
  /// job, where Queue::get() reads them: within WorkerOptions::note_interval while it runs, and before it
  /// fails or is given back, or is completed if completed jobs are kept.
  virtual void progress(double share) = 0;
  virtual void log(View line) = 0;
  /// What the job is completed with.
  virtual void set_result(Payload result) = 0;
  /// Completes the job in one commit with what `body` does: they happen once, together, or not at all. The
  /// handler may go on then, and cannot fail any more. Throws LeaseLost, with nothing done, and what
  /// transact() throws.
  virtual void complete_with(Database database, const std::function<void(Transaction&)>& body) = 0;
};

using WorkHandler = std::function<void(Work&)>;

struct WorkerOptions {
  /// Handlers that run at once, each in a thread of its own: 1 to 1,000.
  std::size_t concurrency = 4;
  /// Jobs that are taken ahead and wait here: up to 1,000. New ones are taken when half of them have begun.
  std::size_t prefetch = 0;
  /// That of the queue's settings, when the worker begins, if there is none.
  std::optional<std::chrono::milliseconds> lease = {};
  /// How often progress and lines are written at most; at least 1 ms.
  std::chrono::milliseconds note_interval = std::chrono::seconds(1);
  /// For jobs of kinds that have no handler. Without it such a job fails.
  WorkHandler fallback = {};
  /// How long the destructor lets handlers go on.
  std::chrono::milliseconds drain_limit = std::chrono::seconds(30);
  /// That of the store; the machine's if there is none.
  std::shared_ptr<Clock> clock = {};
  /// Hears of calls to the store that failed, on one of the worker's threads; they are tried again.
  std::function<void(const std::exception& error)> on_error = {};
};

/// Since the worker began, but for the last two.
struct WorkerMetrics {
  std::uint64_t taken = 0;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  std::uint64_t released = 0;
  std::uint64_t lost = 0;      ///< leases
  std::uint64_t extended = 0;  ///< leases
  std::uint64_t receives = 0;  ///< calls that took jobs
  std::uint64_t commits = 0;   ///< calls that completed jobs
  std::size_t running = 0;
  std::size_t prefetched = 0;
};

/// Thread-safe. Costs a thread for each handler that may run at once, and three more.
class Worker {
 public:
  /// Begins at once. Handlers by SendOptions::kind. Throws invalid_argument for what is no option, and what
  /// reading the settings of the queue throws.
  Worker(Queue queue, std::map<Bytes, WorkHandler> handlers, WorkerOptions options = {});
  /// Drains, and waits for handlers that do not stop.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Takes no more jobs, gives back those that have not begun, and waits for the others. At the limit their
  /// handlers are asked to stop and their jobs given back; false then. Calls to the store are waited for,
  /// even past the limit. Later calls do the same with what is left.
  bool drain(std::chrono::milliseconds limit);
  WorkerMetrics metrics() const;

  class Impl;  // src/services/worker.cc

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
