#include "backends/file/writer_turn.h"

#include <algorithm>

namespace holdfast::file {

bool WriterTurn::try_lock_until(Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (!is_taken_) {
    is_taken_ = true;
    return true;
  }
  Waiter self;
  waiting_.push_back(&self);
  while (!self.has_turn && clock_->steady_now() < deadline) {
    clock_->wait_until(self.condition, lock, deadline);
  }
  if (!self.has_turn) std::erase(waiting_, &self);
  return self.has_turn;
}

void WriterTurn::unlock() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) {
    is_taken_ = false;
    return;
  }
  // Under the mutex: the waiter may be gone as soon as it knows.
  Waiter& next = *waiting_.front();
  waiting_.pop_front();
  next.has_turn = true;
  next.condition.notify_one();
}

}  // namespace holdfast::file
