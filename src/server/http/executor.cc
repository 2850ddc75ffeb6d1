#include "server/http/executor.h"

#include <system_error>
#include <utility>

namespace holdfast::server {

ThreadExecutor::ThreadExecutor(std::size_t worker_threads, std::size_t long_threads)
    : long_limit_(long_threads) {
  workers_.reserve(worker_threads);
  for (std::size_t i = 0; i < worker_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadExecutor::~ThreadExecutor() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  work_came_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  for (std::thread& thread : long_threads_) thread.join();
}

void ThreadExecutor::run(std::function<void()> task) {
  {
    const std::scoped_lock lock(mutex_);
    queue_.push_back(std::move(task));
  }
  work_came_.notify_one();
}

bool ThreadExecutor::run_long(std::function<void()> task) {
  const std::scoped_lock lock(long_mutex_);
  reap_finished();
  if (long_threads_.size() >= long_limit_) return false;
  const auto place = long_threads_.emplace(long_threads_.end());
  try {
    *place = std::thread([this, place, task = std::move(task)]() mutable {
      task();
      // What the task holds goes before its thread counts as finished.
      task = nullptr;
      const std::scoped_lock finishing(long_mutex_);
      finished_.push_back(place);
    });
  } catch (const std::system_error&) {
    long_threads_.erase(place);
    return false;
  }
  return true;
}

std::size_t ThreadExecutor::queued() {
  const std::scoped_lock lock(mutex_);
  return queue_.size();
}

std::size_t ThreadExecutor::long_running() {
  const std::scoped_lock lock(long_mutex_);
  return long_threads_.size() - finished_.size();
}

void ThreadExecutor::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_came_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    // What the task holds may need the lock in order to go.
    task = nullptr;
    lock.lock();
  }
}

void ThreadExecutor::reap_finished() {
  for (const auto& place : finished_) {
    place->join();
    long_threads_.erase(place);
  }
  finished_.clear();
}

}  // namespace holdfast::server
