#include "backends/file/waiters.h"

namespace holdfast::file {

void Waiters::notify() {
  // Reading by a modification puts this call into one order with the waiters' increments: either the waiter
  // is seen here, or the waiter's look sees what was published before this call.
  if (waiting_.fetch_add(0) == 0) return;
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  changed_.notify_all();
}

void Waiters::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
    if (waiting_.load() == 0) woken_early_ = true;
  }
  changed_.notify_all();
}

std::vector<std::size_t> Waiters::wait(const std::function<std::vector<std::size_t>()>& look,
                                       Deadline deadline) {
  std::unique_lock lock(mutex_);
  waiting_.fetch_add(1);
  const std::uint64_t wakes_seen = wakes_;
  std::vector<std::size_t> seen;
  while (true) {
    const std::uint64_t changes_seen = changes_;
    lock.unlock();
    seen = look();
    lock.lock();
    if (!seen.empty()) break;
    bool is_over = false;
    while (changes_ == changes_seen && !is_over) {
      is_over = wakes_ != wakes_seen || woken_early_ || clock_->steady_now() >= deadline;
      if (!is_over) clock_->wait_until(changed_, lock, deadline);
    }
    if (is_over) break;
  }
  waiting_.fetch_sub(1);
  woken_early_ = false;
  return seen;
}

}  // namespace holdfast::file
