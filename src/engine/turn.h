// A turn that threads take one after another, in the order in which they asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "holdfast/environment.h"

namespace holdfast {

/// Thread-safe. Not for the same thread twice.
class Turn {
 public:
  /// Waits for the turn; false if the deadline came first.
  bool take(Clock& clock, Deadline deadline);
  void give_back();
  /// Whether somebody has it or waits for it. Cheap.
  bool is_taken() const { return is_taken_.load(std::memory_order_acquire); }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  std::uint64_t next_ticket_ = 0;
  std::atomic<bool> is_taken_ = false;
  std::deque<std::uint64_t> tickets_;  ///< the first has the turn
};

}  // namespace holdfast
