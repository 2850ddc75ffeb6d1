// Attempts at something that may fail for a while, such as connecting to a server.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "holdfast/environment.h"
#include "holdfast/error.h"

namespace holdfast {

/// After a failure the next attempt waits, whoever makes it, and longer each time; random parts keep
/// processes apart. A success lets everybody go on at once. Thread-safe.
class BackOff {
 public:
  /// A connection may be cut while it is being made; a server that is away for longer is the caller's to
  /// know.
  static constexpr int kAttempts = 5;
  static constexpr std::chrono::milliseconds kFirstPause{10};
  static constexpr std::chrono::milliseconds kLongestPause{1'000};

  BackOff(std::shared_ptr<Clock> clock, std::shared_ptr<Random> random)
      : clock_(std::move(clock)), random_(std::move(random)) {}

  /// What `attempt()` returns. An attempt that throws unavailable is repeated, kAttempts times in all and not
  /// after the deadline; the last error, and any other one, is the caller's. Who waits for his turn until the
  /// deadline gets the error that made him wait.
  template <class Attempt>
  auto run(Deadline deadline, const Attempt& attempt) -> decltype(attempt()) {
    for (int count = 1;; ++count) {
      const std::uint64_t turn = wait_for_turn(deadline);
      try {
        auto result = attempt();
        succeed();
        return result;
      } catch (const Error& error) {
        // That a caller had too little time says nothing about the server.
        const bool is_late = clock_->steady_now() >= deadline;
        if (!is_late || error.code() != Code::timeout) fail(turn, error);
        const bool may_pass = error.code() == Code::unavailable && count < kAttempts;
        if (!may_pass || is_late) throw;
      }
    }
  }

 private:
  std::uint64_t wait_for_turn(Deadline deadline);
  void succeed();
  /// Of several attempts in the same turn the first failure counts.
  void fail(std::uint64_t turn, const Error& error);

  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<Random> random_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t turn_ = 0;
  int failures_ = 0;  ///< in a row
  std::optional<Error> trouble_;
  Deadline next_at_ = {};
};

}  // namespace holdfast
