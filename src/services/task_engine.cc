#include "holdfast/task_engine.h"

#include <algorithm>
#include <set>
#include <string>
#include <system_error>

#include "holdfast/error.h"
#include "services/task_engine_impl.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Of limits::kScanEntries, which one scan has to do with.
constexpr std::size_t kMostInTotal = 9'000;

void validate(const std::vector<TaskType>& types, const TaskEngineOptions& options) {
  const auto demand = [](bool holds, const Bytes& what) {
    if (!holds) throw Error(Code::invalid_argument, "a task engine: " + what);
  };
  std::set<Bytes> names;
  for (const TaskType& type : types) {
    validate_task_type(type.name);
    demand(names.insert(type.name).second, "the type \"" + type.name + "\" is there twice");
    demand(static_cast<bool>(type.run), "the type \"" + type.name + "\" has no function that runs it");
    demand(type.max_running_total <= kMostInTotal,
           "max_running_total is at most " + std::to_string(kMostInTotal));
    demand(type.period.count() >= 0, "a period is at least 1 ms, or 0");
    demand((type.period.count() > 0) == static_cast<bool>(type.periodic),
           "the type \"" + type.name + "\" has a period and no function for it, or the other way round");
  }
  demand(options.max_running >= 1 && options.max_running <= 1'000, "max_running is 1 to 1,000");
  demand(options.session_lease >= std::chrono::seconds(1) && options.session_lease <= std::chrono::hours(24),
         "the lease of a session lasts 1 s to 24 hours");
  demand(options.poll_interval.count() >= 1, "poll_interval is at least 1 ms");
  demand(options.retention.max_age.count() >= 0, "the age of kept attempts is not negative");
}

}  // namespace

void TaskEngine::Impl::Running::follow(View follower, NewTask task) {
  if (task.previous.empty()) task.previous = claimed.id;
  validate_new_task(follower, task);
  followers.emplace_back(follower, std::move(task));
}

TaskEngine::Impl::Impl(Tasks tasks, std::shared_ptr<Tasks::Impl> store, std::vector<TaskType> types,
                       TaskEngineOptions options)
    : tasks_(std::move(tasks)),
      store_(std::move(store)),
      types_(std::move(types)),
      options_(std::move(options)),
      clock_(options_.clock ? options_.clock : system_clock()),
      random_(options_.random ? options_.random : system_random()),
      room_(options_.max_running, options_.resources, types_) {
  validate(types_, options_);
  begin_session();
  try {
    for (const TaskType& type : types_) {
      if (type.adder) type.adder(adder_of(type.name));
    }
    start_threads();
  } catch (...) {
    end_threads();
    try {
      store_->database.transact(
          [&](Transaction& transaction) { store_->moves.end_session(transaction, session_); });
    } catch (const Error& error) {
      // Its lease ends by itself.
      report(error);
    }
    throw;
  }
}

void TaskEngine::Impl::start_threads() {
  const Deadline begin = clock_->steady_now();
  try {
    threads_.emplace_back([this] { keep_session(); });
    threads_.emplace_back([this] { take_tasks(); });
    for (const TaskType& type : types_) {
      if (type.periodic) threads_.emplace_back([this, &type, begin] { run_periodic(type, begin); });
    }
  } catch (const std::system_error& error) {
    throw Error(Code::unavailable, Bytes("a thread of a task engine could not be started: ") + error.what());
  }
}

TaskEngine::Impl::~Impl() {
  if (!stop(options_.stop_limit)) {
    Lock lock(mutex_);
    is_abandoned_ = true;
    changed_.notify_all();
    while (!running_.empty() || calls_ > 0) wait(changed_, lock);
    lock.unlock();
    stop(milliseconds(0));
  }
  end_threads();
}

void TaskEngine::Impl::end_threads() {
  {
    const std::scoped_lock lock(mutex_);
    is_taking_ = false;
    is_over_ = true;
    changed_.notify_all();
    beats_.notify_all();
  }
  wake_poller();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  join_ended();
}

bool TaskEngine::Impl::stop(milliseconds limit) {
  {
    const std::scoped_lock lock(mutex_);
    is_taking_ = false;
  }
  wake_poller();
  Lock lock(mutex_);
  changed_.notify_all();
  const Deadline now = clock_->steady_now();
  const Deadline deadline = limit > Deadline::max() - now ? Deadline::max() : now + limit;
  while (!running_.empty() || is_claiming_ || is_beating_ || calls_ > 0) {
    if (clock_->steady_now() >= deadline) {
      const std::vector<RunningPointer> left(running_.begin(), running_.end());
      lock.unlock();
      ask_to_stop(left);
      return false;
    }
    wait(changed_, lock, deadline);
  }
  if (is_over_) return true;
  // Neither thread is about to make another session, nor will.
  is_over_ = true;
  beats_.notify_all();
  const Bytes session = session_;
  lock.unlock();
  try {
    store_->database.transact(
        [&](Transaction& transaction) { store_->moves.end_session(transaction, session); });
  } catch (const Error& error) {
    report(error);
  }
  return true;
}

TaskAdder TaskEngine::Impl::adder_of(const Bytes& type) const {
  return [store = store_, type, session = session()](const NewTask& task, const TaskExtra& extra) {
    return store->add(type, task, extra, session, {});
  };
}

void TaskEngine::Impl::run_periodic(const TaskType& type, Deadline begin) {
  const TaskAdder add = adder_of(type.name);
  Deadline next = begin + type.period;
  Lock lock(mutex_);
  for (;;) {
    while (is_taking_ && clock_->steady_now() < next) wait(changed_, lock, next);
    if (!is_taking_) return;
    ++calls_;
    lock.unlock();
    try {
      type.periodic(add);
    } catch (const std::exception& error) {
      report(error);
    }
    lock.lock();
    --calls_;
    changed_.notify_all();
    const auto missed = std::max<std::int64_t>((clock_->steady_now() - next) / type.period, 0);
    next += type.period * (missed + 1);
  }
}

TaskEngine::TaskEngine(Tasks tasks, std::vector<TaskType> types, TaskEngineOptions options) {
  std::shared_ptr<Tasks::Impl> store = tasks.impl_;
  impl_ = std::make_unique<Impl>(std::move(tasks), std::move(store), std::move(types), std::move(options));
}
TaskEngine::~TaskEngine() = default;

bool TaskEngine::stop(milliseconds limit) { return impl_->stop(limit); }
Bytes TaskEngine::session() const { return impl_->session(); }
TaskEngineMetrics TaskEngine::metrics() const { return impl_->metrics(); }

}  // namespace holdfast
