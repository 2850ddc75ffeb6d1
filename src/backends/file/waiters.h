// Wakes those who wait for a commit, at the price of one atomic operation where nobody does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "holdfast/environment.h"

namespace holdfast::file {

/// Thread-safe.
class Waiters {
 public:
  explicit Waiters(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}

  /// Something can be seen that could not be seen before.
  void notify();
  /// Makes a running wait() return; if none runs, the next one does.
  void wake();
  /// Calls `look` until it returns something, wake() is called, or the deadline has come; looks again after
  /// every notify(). No notify() that comes after the first look is missed.
  std::vector<std::size_t> wait(const std::function<std::vector<std::size_t>()>& look, Deadline deadline);

 private:
  const std::shared_ptr<Clock> clock_;
  std::atomic<std::size_t> waiting_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::uint64_t wakes_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
};

}  // namespace holdfast::file
