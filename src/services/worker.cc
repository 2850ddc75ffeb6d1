// One lock guards the lists of a worker and all that its jobs have; no call to the store is made with it
// held.
//
// A job changes its token with each extension, so nobody may extend it and end it at the same time: whoever
// calls the store about a job has marked it as busy before, and the others wait for that to end or pass it
// over.
#include "holdfast/worker.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/error.h"
#include "services/queue_keys.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRetry{500};
constexpr int kCallAttempts = 3;

void validate(const WorkerOptions& options) {
  const auto demand = [](bool holds, const char* what) {
    if (!holds) throw Error(Code::invalid_argument, Bytes("the options of a worker: ") + what);
  };
  demand(options.concurrency >= 1 && options.concurrency <= 1'000, "concurrency is 1 to 1,000");
  demand(options.prefetch <= 1'000, "prefetch is at most 1,000");
  demand(!options.lease || (*options.lease >= milliseconds(1) && *options.lease <= limits::kJobLease),
         "a lease lasts 1 ms to 24 hours");
  demand(options.note_interval.count() >= 1, "note_interval is at least 1 ms");
}

}  // namespace

class Worker::Impl {
 public:
  Impl(Queue queue, std::map<Bytes, WorkHandler> handlers, WorkerOptions options)
      : queue_(std::move(queue)),
        handlers_(std::move(handlers)),
        options_(std::move(options)),
        clock_(options_.clock ? options_.clock : system_clock()) {
    validate(options_);
    lease_ = options_.lease ? *options_.lease : queue_.settings().lease;
    try {
      for (std::size_t i = 0; i < options_.concurrency; ++i) threads_.emplace_back([this] { run_jobs(); });
      threads_.emplace_back([this] { keep_leases(); });
      threads_.emplace_back([this] { complete_jobs(); });
      threads_.emplace_back([this] { take_jobs(); });
    } catch (const std::system_error& error) {
      end_threads();
      throw Error(Code::unavailable, Bytes("a thread of a worker could not be started: ") + error.what());
    }
  }
  ~Impl() {
    drain(options_.drain_limit);
    end_threads();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  bool drain(milliseconds limit);
  WorkerMetrics metrics() const {
    const std::scoped_lock lock(mutex_);
    WorkerMetrics metrics = metrics_;
    metrics.prefetched = waiting_.size();
    metrics.running = running_;
    return metrics;
  }

 private:
  struct Held;
  using Lock = std::unique_lock<std::mutex>;

  void end_threads() {
    {
      const std::scoped_lock lock(mutex_);
      is_taking_ = false;
      is_over_ = true;
      no_more_jobs_.request_stop();
      notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  void notify_all() {
    for (std::condition_variable* each : {&changed_, &room_, &work_, &leases_, &ends_}) each->notify_all();
  }
  void take_jobs();
  void keep_leases();
  void complete_jobs();
  void run_jobs();
  void run(const std::shared_ptr<Held>& held);
  void end(const std::shared_ptr<Held>& held, const std::function<void(const JobLease&)>& call,
           std::uint64_t WorkerMetrics::* count);
  void release(const std::shared_ptr<Held>& held) {
    {
      // It could take the job once more.
      Lock lock(mutex_);
      while (is_receiving_) wait(changed_, lock);
    }
    end(held, [&](const JobLease& lease) { queue_.release(lease); }, &WorkerMetrics::released);
  }
  /// Extends the lease, and writes what there is to note.
  void keep(Lock& lock, const std::shared_ptr<Held>& held);

  /// False if the job is not this worker's any more.
  bool become_busy(Lock& lock, Held& held);
  void be_free(Held& held);
  /// Of a busy one. What a handler has asked to be called then is called without the lock.
  void lose(Lock& lock, Held& held);
  bool has_room() const {
    const std::size_t held = waiting_.size() + running_;
    return held < options_.concurrency + options_.prefetch && waiting_.size() <= options_.prefetch / 2;
  }
  void wait(std::condition_variable& condition, Lock& lock, Deadline deadline = Deadline::max()) {
    clock_->wait_until(condition, lock, deadline);
  }
  void report(const std::exception& error) const {
    if (options_.on_error) options_.on_error(error);
  }

  Queue queue_;
  const std::map<Bytes, WorkHandler> handlers_;
  const WorkerOptions options_;
  const std::shared_ptr<Clock> clock_;
  milliseconds lease_{0};
  std::stop_source no_more_jobs_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;        ///< a job is not busy any more, or not held
  std::condition_variable room_;           ///< for jobs
  std::condition_variable work_;           ///< there are jobs that wait
  std::condition_variable leases_;         ///< there is one to be kept that was not there before, or a note
  std::condition_variable ends_;           ///< there are jobs to be completed
  std::list<std::shared_ptr<Held>> held_;  ///< until they are ended
  std::deque<std::shared_ptr<Held>> waiting_;
  std::deque<std::shared_ptr<Held>> done_;  ///< to be completed, by a commit that they share
  std::size_t running_ = 0;
  bool is_receiving_ = false;
  bool is_taking_ = true;
  bool is_over_ = false;
  WorkerMetrics metrics_;
  std::vector<std::thread> threads_;
};

struct Worker::Impl::Held final : Work {
  Held(Impl& a_worker, Delivery a_job, Deadline begin)
      : worker(a_worker),
        delivery(std::move(a_job)),
        lease(delivery),
        extend_at(begin + a_worker.lease_ / 2) {}

  const Delivery& job() const override { return delivery; }
  std::stop_token stop() const override { return stopping.get_token(); }
  void progress(double share) override {
    const std::scoped_lock lock(worker.mutex_);
    notes.progress = std::clamp(share, 0.0, 1.0);
    note_soon();
  }
  void log(View line) override {
    const std::scoped_lock lock(worker.mutex_);
    notes.lines.emplace_back(line);
    if (notes.lines.size() > limits::kJobLogLines) notes.lines.erase(notes.lines.begin());
    note_soon();
  }
  void set_result(Payload payload) override { result = std::move(payload); }
  void complete_with(Database database, const std::function<void(Transaction&)>& body) override;

  void note_soon() {
    if (note_at) return;
    note_at = worker.clock_->steady_now() + worker.options_.note_interval;
    worker.leases_.notify_all();
  }

  Impl& worker;
  const Delivery delivery;
  std::stop_source stopping;
  std::optional<Payload> result;  ///< of the handler's thread

  // Under the worker's lock.
  JobLease lease;
  Deadline extend_at;
  JobNotes notes;  ///< that are not written yet
  std::optional<Deadline> note_at;
  bool is_busy = false;     ///< a call to the store about it is under way
  bool is_ended = false;    ///< completed, failed, given back or lost
  bool is_done = false;     ///< its handler has returned, and it is to be completed
  bool is_stopped = false;  ///< by a drain
};

// ---- Calls about a job

bool Worker::Impl::become_busy(Lock& lock, Held& held) {
  while (held.is_busy) wait(changed_, lock);
  if (held.is_ended) return false;
  held.is_busy = true;
  return true;
}

void Worker::Impl::be_free(Held& held) {
  held.is_busy = false;
  if (held.is_ended) {
    std::erase_if(held_, [&](const auto& each) { return each.get() == &held; });
  } else {
    leases_.notify_all();
  }
  changed_.notify_all();
}

void Worker::Impl::lose(Lock& lock, Held& held) {
  held.is_ended = true;
  ++metrics_.lost;
  lock.unlock();
  held.stopping.request_stop();
  lock.lock();
}

void Worker::Impl::end(const std::shared_ptr<Held>& held, const std::function<void(const JobLease&)>& call,
                       std::uint64_t WorkerMetrics::* count) {
  Lock lock(mutex_);
  if (!become_busy(lock, *held)) return;
  const JobNotes notes = std::exchange(held->notes, {});
  for (int attempt = 1; !held->is_ended; ++attempt) {
    JobLease lease = held->lease;
    bool is_lost = false;
    bool is_done = false;
    lock.unlock();
    try {
      if (notes.progress || !notes.lines.empty()) lease = queue_.note(lease, notes);
      call(lease);
      is_done = true;
    } catch (const LeaseLost&) {
      is_lost = true;
    } catch (const Error& error) {
      report(error);
    }
    lock.lock();
    if (is_done) ++(metrics_.*count);
    if (is_lost || (!is_done && attempt == kCallAttempts)) lose(lock, *held);
    if (is_done) held->is_ended = true;
    if (!held->is_ended) wait(changed_, lock, clock_->steady_now() + kRetry);
  }
  be_free(*held);
}

void Worker::Impl::Held::complete_with(Database database, const std::function<void(Transaction&)>& body) {
  Lock lock(worker.mutex_);
  if (!worker.become_busy(lock, *this)) {
    throw LeaseLost("the job is not this worker's any more; drop the work");
  }
  const JobLease now = lease;
  lock.unlock();
  try {
    database.transact([&](Transaction& transaction) {
      body(transaction);
      worker.queue_.complete(transaction, now, result);
    });
  } catch (const LeaseLost&) {
    lock.lock();
    worker.lose(lock, *this);
    worker.be_free(*this);
    throw;
  } catch (...) {
    lock.lock();
    worker.be_free(*this);
    throw;
  }
  lock.lock();
  is_ended = true;
  ++worker.metrics_.completed;
  ++worker.metrics_.commits;
  worker.be_free(*this);
}

// ---- Taking jobs

void Worker::Impl::take_jobs() {
  const std::stop_token stop = no_more_jobs_.get_token();
  Lock lock(mutex_);
  while (is_taking_) {
    if (!has_room()) {
      wait(room_, lock);
      continue;
    }
    is_receiving_ = true;
    const std::size_t room = options_.concurrency + options_.prefetch - waiting_.size() - running_;
    lock.unlock();
    std::vector<Delivery> jobs;
    bool has_failed = false;
    // Before the call: what it takes counts against the lease.
    const Deadline begin = clock_->steady_now();
    try {
      jobs = queue_.receive(std::min(room, limits::kQueueBatch), lease_);
      if (jobs.empty()) queue_.wait({}, stop);
    } catch (const Error& error) {
      has_failed = true;
      report(error);
    }
    lock.lock();
    is_receiving_ = false;
    if (!jobs.empty()) ++metrics_.receives;
    metrics_.taken += jobs.size();
    for (Delivery& job : jobs) {
      waiting_.push_back(std::make_shared<Held>(*this, std::move(job), begin));
      held_.push_back(waiting_.back());
    }
    work_.notify_all();
    leases_.notify_all();
    changed_.notify_all();
    if (has_failed && is_taking_) wait(room_, lock, clock_->steady_now() + kRetry);
  }
}

// ---- Keeping leases

void Worker::Impl::keep_leases() {
  Lock lock(mutex_);
  while (!is_over_) {
    const Deadline now = clock_->steady_now();
    Deadline next = Deadline::max();
    std::shared_ptr<Held> due;
    for (const auto& held : held_) {
      if (held->is_busy || held->is_ended) continue;
      const Deadline at = held->note_at ? std::min(*held->note_at, held->extend_at) : held->extend_at;
      if (at <= now) due = held;
      next = std::min(next, at);
    }
    if (due) {
      keep(lock, due);
    } else {
      wait(leases_, lock, next);
    }
  }
}

void Worker::Impl::keep(Lock& lock, const std::shared_ptr<Held>& held) {
  held->is_busy = true;
  const JobLease lease = held->lease;
  const JobNotes notes = std::exchange(held->notes, {});
  held->note_at.reset();
  lock.unlock();
  const Deadline begin = clock_->steady_now();
  std::optional<JobLease> extended;
  bool is_lost = false;
  try {
    extended = queue_.note(lease, notes, lease_);
  } catch (const LeaseLost&) {
    is_lost = true;
  } catch (const Error& error) {
    report(error);
  }
  lock.lock();
  if (extended) {
    held->lease = *extended;
    held->extend_at = begin + lease_ / 2;
    ++metrics_.extended;
  } else if (is_lost) {
    lose(lock, *held);
  } else {
    held->extend_at = clock_->steady_now() + std::max<milliseconds>(lease_ / 10, milliseconds(1));
  }
  be_free(*held);
}

// ---- Running handlers

void Worker::Impl::run_jobs() {
  Lock lock(mutex_);
  for (;;) {
    // What waits when a drain begins is given back by it.
    while ((waiting_.empty() || !is_taking_) && !is_over_) wait(work_, lock);
    if (is_over_) return;
    const std::shared_ptr<Held> held = waiting_.front();
    waiting_.pop_front();
    room_.notify_one();
    if (held->is_ended) continue;
    ++running_;
    lock.unlock();
    run(held);
    lock.lock();
    --running_;
    room_.notify_one();
  }
}

void Worker::Impl::run(const std::shared_ptr<Held>& held) {
  const auto fail = [&](View error, const FailOptions& options = {}) {
    bool is_stopped = false;
    {
      const std::scoped_lock lock(mutex_);
      is_stopped = held->is_stopped;
    }
    if (is_stopped) return release(held);
    end(held, [&](const JobLease& lease) { queue_.fail(lease, error, options); }, &WorkerMetrics::failed);
  };
  const auto found = handlers_.find(held->delivery.kind);
  const WorkHandler& handler = found == handlers_.end() ? options_.fallback : found->second;
  if (!handler) return fail("no handler for jobs of the kind \"" + held->delivery.kind + "\"");
  try {
    handler(*held);
  } catch (const WorkFailed& error) {
    return fail(error.what(), error.options());
  } catch (const std::exception& error) {
    return fail(error.what());
  } catch (...) {
    return fail("the handler has thrown what is no std::exception");
  }
  if (held->result) {
    end(
        held, [&](const JobLease& lease) { queue_.complete(lease, held->result); },
        &WorkerMetrics::completed);
    return;
  }
  const std::scoped_lock lock(mutex_);
  if (held->is_ended) return;
  held->is_done = true;
  done_.push_back(held);
  ends_.notify_one();
}

// ---- Completing jobs

void Worker::Impl::complete_jobs() {
  Lock lock(mutex_);
  for (;;) {
    while (done_.empty() && !is_over_) wait(ends_, lock);
    if (done_.empty()) return;
    std::vector<std::shared_ptr<Held>> ended;
    std::vector<std::shared_ptr<Held>> with_notes;
    while (!done_.empty() && ended.size() < limits::kQueueBatch) {
      std::shared_ptr<Held> held = std::move(done_.front());
      done_.pop_front();
      const bool is_kept = !LeaseToken::parse(held->lease.token).is_plain;
      if (is_kept && (held->notes.progress || !held->notes.lines.empty())) {
        with_notes.push_back(std::move(held));
      } else if (become_busy(lock, *held)) {
        ended.push_back(std::move(held));
      }
    }
    std::vector<JobLease> leases;
    for (const auto& held : ended) leases.push_back(held->lease);
    lock.unlock();
    for (const auto& held : with_notes) {
      end(held, [&](const JobLease& lease) { queue_.complete(lease); }, &WorkerMetrics::completed);
    }
    std::vector<bool> completed;
    for (int attempt = 1; !leases.empty() && completed.empty() && attempt <= kCallAttempts; ++attempt) {
      try {
        completed = queue_.complete_many(leases);
      } catch (const Error& error) {
        report(error);
        Lock pause(mutex_);
        wait(changed_, pause, clock_->steady_now() + kRetry);
      }
    }
    lock.lock();
    if (!completed.empty()) ++metrics_.commits;
    for (std::size_t i = 0; i < ended.size(); ++i) {
      if (!completed.empty() && completed[i]) {
        ended[i]->is_ended = true;
        ++metrics_.completed;
      } else {
        lose(lock, *ended[i]);
      }
      be_free(*ended[i]);
    }
  }
}

// ---- The end

bool Worker::Impl::drain(milliseconds limit) {
  Lock lock(mutex_);
  is_taking_ = false;
  no_more_jobs_.request_stop();
  room_.notify_all();
  const Deadline deadline = clock_->steady_now() + limit;
  const auto give_back = [&](const auto& jobs) {
    lock.unlock();
    for (const auto& held : jobs) release(held);
    lock.lock();
  };
  for (;;) {
    // Again, since a receive may have been under way.
    while (!waiting_.empty()) give_back(std::exchange(waiting_, {}));
    if (held_.empty() && !is_receiving_) return true;
    const bool has_done_all = std::ranges::all_of(held_, [](const auto& held) { return held->is_done; });
    // What is done already is not given back, however long its completion takes.
    if (!has_done_all && clock_->steady_now() >= deadline) break;
    wait(changed_, lock, has_done_all ? Deadline::max() : deadline);
  }
  std::vector<std::shared_ptr<Held>> left;
  std::ranges::copy_if(held_, std::back_inserter(left), [](const auto& held) { return !held->is_done; });
  for (const auto& held : left) held->is_stopped = true;
  lock.unlock();
  for (const auto& held : left) held->stopping.request_stop();
  lock.lock();
  give_back(left);
  // What a receive has brought that was under way.
  give_back(std::exchange(waiting_, {}));
  return false;
}

Worker::Worker(Queue queue, std::map<Bytes, WorkHandler> handlers, WorkerOptions options)
    : impl_(std::make_unique<Impl>(std::move(queue), std::move(handlers), std::move(options))) {}
Worker::~Worker() = default;

bool Worker::drain(milliseconds limit) { return impl_->drain(limit); }
WorkerMetrics Worker::metrics() const { return impl_->metrics(); }

}  // namespace holdfast
