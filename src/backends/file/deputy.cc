#include "backends/file/deputy.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "holdfast/error.h"

namespace holdfast::file {

Deputy::~Deputy() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Deputy::End Deputy::run(std::function<void()> task, Deadline deadline) {
  const auto job = std::make_shared<Job>();
  job->task = std::move(task);
  std::unique_lock lock(mutex_);
  start();
  waiting_.push_back(job);
  changed_.notify_one();
  while (job->state != Job::State::done && clock_->steady_now() < deadline) {
    clock_->wait_until(job->ended, lock, deadline);
  }
  switch (job->state) {
    case Job::State::waiting:
      std::erase(waiting_, job);
      return End::never_begun;
    case Job::State::running:
      return End::under_way;
    case Job::State::done:
      break;
  }
  if (job->failure) std::rethrow_exception(job->failure);
  return End::done;
}

void Deputy::start() {
  if (thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    throw Error(Code::unavailable, "the system has no further thread for the store");
  }
}

void Deputy::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return is_stopped_ || !waiting_.empty(); });
    if (is_stopped_) return;
    // Only what has the turn is begun: whoever waits for it longer than for its deadline can still withdraw.
    lock.unlock();
    turn_.lock();
    lock.lock();
    if (waiting_.empty()) {
      turn_.unlock();
      continue;
    }
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    job->state = Job::State::running;
    lock.unlock();
    try {
      job->task();
    } catch (...) {
      job->failure = std::current_exception();
    }
    job->task = nullptr;
    turn_.unlock();
    lock.lock();
    job->state = Job::State::done;
    job->ended.notify_one();
  }
}

}  // namespace holdfast::file
