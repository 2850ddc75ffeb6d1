// What becomes of a task that runs: its function is called, and the end of the attempt is committed, again
// and again until that is certain.
#include <algorithm>
#include <string>

#include "holdfast/error.h"
#include "services/task_engine_impl.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEndRetry{500};
constexpr milliseconds kFirstRetryWait = std::chrono::seconds(1);
constexpr milliseconds kLongestRetryWait = std::chrono::minutes(5);

}  // namespace

milliseconds TaskEngine::Impl::wait_after(const TaskType& type, std::uint32_t retries) const {
  if (type.retry_wait) {
    try {
      return std::clamp<milliseconds>(type.retry_wait(retries), milliseconds(0), limits::kTaskDelay);
    } catch (const std::exception& error) {
      report(error);
    }
  }
  milliseconds wait = kFirstRetryWait;
  for (std::uint32_t i = 1; i < retries && wait < kLongestRetryWait; ++i) wait *= 2;
  return std::min(wait, kLongestRetryWait);
}

void TaskEngine::Impl::run(const RunningPointer& running) { end(running, attempt(*running)); }

AttemptEnd TaskEngine::Impl::attempt(Running& running) {
  const TaskType& type = running.type;
  const std::uint32_t retries = running.claimed.retries;
  AttemptEnd end{.max_failures = type.max_failures};
  try {
    if (!type.run(running)) end.result = AttemptResult::failed;
    end.error = running.remark_text;
  } catch (const TaskDeferred& error) {
    const milliseconds wait = error.wait() ? *error.wait() : wait_after(type, std::max(retries, 1u));
    return {.result = AttemptResult::deferred,
            .error = error.what(),
            .wait = std::clamp<milliseconds>(wait, milliseconds(0), limits::kTaskDelay)};
  } catch (const std::exception& error) {
    end.result = AttemptResult::failed;
    end.error = error.what();
  } catch (...) {
    end.result = AttemptResult::failed;
    end.error = "what it has thrown is no std::exception";
  }
  if (end.result == AttemptResult::done) return end;
  if (running.stopping.stop_requested()) {
    end.result = AttemptResult::released;
  } else {
    end.wait = wait_after(type, retries + 1);
  }
  return end;
}

void TaskEngine::Impl::end(const RunningPointer& running, AttemptEnd end) {
  {
    // Before the commit that tells the poller.
    const std::scoped_lock lock(mutex_);
    room_.give_back(running->index);
    ++ended_since_trim_;
  }
  const bool is_committed = commit_end(*running, end);
  {
    const std::scoped_lock lock(mutex_);
    if (!is_committed) {
      ++metrics_.lost;
    } else if (end.result == AttemptResult::done) {
      ++metrics_.done;
    } else if (end.result == AttemptResult::failed) {
      ++metrics_.failed;
    } else if (end.result == AttemptResult::deferred) {
      ++metrics_.deferred;
    } else {
      ++metrics_.released;
    }
    running_.remove(running);
    if (running->thread.joinable()) ended_.push_back(std::move(running->thread));
    changed_.notify_all();
  }
  if (!is_committed) wake_poller();
}

bool TaskEngine::Impl::commit_end(Running& running, AttemptEnd& end) {
  bool is_unknown = false;
  const auto fail = [&](const std::exception& error) {
    end.result = AttemptResult::failed;
    end.error = error.what();
    end.wait = wait_after(running.type, running.claimed.retries + 1);
  };
  for (;;) {
    const bool has_more = end.result == AttemptResult::done && (running.body || !running.followers.empty());
    try {
      const bool is_ended = store_->database.transact([&](Transaction& transaction) {
        if (!store_->moves.end(transaction, running.claimed, end)) return false;
        if (!has_more) return true;
        for (const auto& [type, task] : running.followers) {
          store_->moves.add(transaction, type, task, running.claimed.session);
        }
        if (running.body) running.body(transaction);
        return true;
      });
      return is_ended || (is_unknown && was_committed(running));
    } catch (const Error& error) {
      if (error.code() == Code::closed) return false;
      if (error.retry() == Retry::unknown_outcome) is_unknown = true;
      if (error.retry() == Retry::never && has_more) {
        fail(error);
        continue;
      }
      report(error);
    } catch (const std::exception& error) {
      fail(error);
      continue;
    }
    Lock lock(mutex_);
    if (is_abandoned_) return false;
    const Deadline again = clock_->steady_now() + kEndRetry;
    while (!is_abandoned_ && clock_->steady_now() < again) wait(changed_, lock, again);
  }
}

bool TaskEngine::Impl::was_committed(const Running& running) const {
  const Task& task = running.claimed;
  try {
    const std::optional<Entry> entry = store_->database.get(store_->keys().attempt(task.id, task.attempts));
    return entry && parse_attempt(entry->value).session == task.session &&
           parse_attempt(entry->value).result != AttemptResult::lost;
  } catch (const Error& error) {
    report(error);
    return false;
  }
}

void TaskEngine::Impl::ask_to_stop(const std::vector<RunningPointer>& running) {
  for (const RunningPointer& each : running) each->stopping.request_stop();
}

}  // namespace holdfast
