// §8.4: wakes who waits for commits: at once for commits of this store, by polling for those of other
// processes. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "backends/sqlite/reader.h"

namespace holdfast::sqlite {

/// Between two looks for commits of other processes; a look costs about 3 us.
inline constexpr std::chrono::milliseconds kPollEvery{2};

class Waiting {
 public:
  Waiting(Readers& readers, std::shared_ptr<Clock> clock) : readers_(readers), clock_(std::move(clock)) {}

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline);
  void wake();
  /// After a change of a head by this store.
  void notify();

 private:
  Readers& readers_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::uint64_t wakes_ = 0;
  std::size_t waiting_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
};

}  // namespace holdfast::sqlite
