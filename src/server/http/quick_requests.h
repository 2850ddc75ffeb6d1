// Whether requests that are quick as a rule may be carried out by a thread that does I/O. When the newest
// ones were not quick, workers take them for a while, so that a slow store does not stop the I/O of other
// connections. For one thread.
#pragma once

#include <chrono>

#include "holdfast/types.h"

namespace holdfast::server {

class QuickRequests {
 public:
  bool may_run_here(Deadline at) const { return at >= again_at_; }

  void ran_here(Deadline begin, Deadline end) {
    average_ += (end - begin - average_) / kAveraged;
    if (average_ <= kSlow) return;
    again_at_ = end + kSlowFor;
    average_ = {};
  }

 private:
  // On average: a single one of some milliseconds says nothing, its thread may just have lost the processor.
  static constexpr std::chrono::microseconds kSlow{250};
  static constexpr int kAveraged = 32;
  static constexpr std::chrono::seconds kSlowFor{2};

  Deadline::duration average_{};
  Deadline again_at_{};
};

}  // namespace holdfast::server
