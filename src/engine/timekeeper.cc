#include "engine/timekeeper.h"

#include <algorithm>
#include <system_error>

#include "engine/engine.h"

namespace holdfast {

void Timekeeper::start() {
  if (is_started_.load()) return;
  const std::scoped_lock lock(mutex_);
  if (is_closed_ || thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    throw Error(Code::unavailable, Retry::backoff, "the system has no further thread for the store");
  }
  is_started_.store(true);
}

void Timekeeper::expect(Deadline deadline) {
  if (deadline >= next_.load()) return;
  const std::scoped_lock lock(mutex_);
  if (is_closed_ || deadline >= next_.load()) return;
  next_.store(deadline);
  condition_.notify_one();
}

void Timekeeper::run() {
  std::unique_lock lock(mutex_);
  while (!is_closed_) {
    if (engine_.clock().steady_now() < next_.load()) {
      engine_.clock().wait_until(condition_, lock, next_.load());
      continue;
    }
    // Before looking: what is submitted meanwhile is either seen, or says so itself.
    next_.store(Deadline::max());
    lock.unlock();
    const Deadline next = engine_.answer_late();
    lock.lock();
    next_.store(std::min(next_.load(), next));
  }
}

void Timekeeper::close() {
  {
    const std::scoped_lock lock(mutex_);
    is_closed_ = true;
    condition_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace holdfast
