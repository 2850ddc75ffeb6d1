// The turn of the one writer of a lane: a lock that is waited for with a deadline, that is given in the order
// of asking, and that one thread may take and another give back.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "holdfast/environment.h"

namespace holdfast::file {

/// Thread-safe.
class WriterTurn {
 public:
  explicit WriterTurn(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}
  WriterTurn(const WriterTurn&) = delete;
  WriterTurn& operator=(const WriterTurn&) = delete;

  void lock() { try_lock_until(Deadline::max()); }
  /// False if the deadline came first. A turn that is free is taken whatever the deadline.
  bool try_lock_until(Deadline deadline);
  void unlock();

 private:
  struct Waiter {
    std::condition_variable condition;
    bool has_turn = false;
  };

  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  bool is_taken_ = false;
  std::deque<Waiter*> waiting_;
};

}  // namespace holdfast::file
