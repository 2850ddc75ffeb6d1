#include "environment/back_off.h"

#include <algorithm>

namespace holdfast {

std::uint64_t BackOff::wait_for_turn(Deadline deadline) {
  std::unique_lock lock(mutex_);
  while (clock_->steady_now() < next_at_) {
    if (clock_->steady_now() >= deadline) throw Error(*trouble_);
    clock_->wait_until(changed_, lock, std::min(next_at_, deadline));
  }
  return turn_;
}

void BackOff::succeed() {
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  trouble_.reset();
  next_at_ = {};
  changed_.notify_all();
}

void BackOff::fail(std::uint64_t turn, const Error& error) {
  const std::lock_guard lock(mutex_);
  if (turn != turn_) return;
  ++turn_;
  const auto most = std::min(kLongestPause, kFirstPause * (1 << std::min(failures_, 10)));
  ++failures_;
  trouble_ = error;
  const auto part = random_->next() % static_cast<std::uint64_t>(most.count());
  next_at_ = clock_->steady_now() + most / 2 + std::chrono::milliseconds(part);
}

}  // namespace holdfast
