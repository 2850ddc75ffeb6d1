// The operating system as Holdfast sees it: time, randomness and files, all injected. Nothing else in the
// house reads them, so that an application's own tests can run years of expiry in milliseconds and break
// every write on purpose.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "holdfast/file_system.h"
#include "holdfast/types.h"

namespace holdfast {

/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall-clock time. May jump; the engine makes it monotonic per process.
  virtual UnixMs now_ms() = 0;
  /// Never decreases; the base of deadlines.
  virtual Deadline steady_now() = 0;
  /// Milliseconds of a clock that also counts time spent suspended. Only differences have a meaning.
  virtual std::int64_t boot_time_ms() = 0;
  /// Releases `lock`, waits until `condition` is notified or steady_now() >= `deadline`, and takes `lock`
  /// again. May return early for no reason.
  virtual void wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                          Deadline deadline) = 0;
};

/// The machine's clocks.
std::shared_ptr<Clock> system_clock();

/// A clock that moves only when it is told to. advance() moves all three clocks and wakes whoever's deadline
/// is due; nobody who waits misses it. It must not be called with a lock held that a waiter needs.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(UnixMs start_ms = 1'700'000'000'000);
  UnixMs now_ms() override;
  Deadline steady_now() override;
  std::int64_t boot_time_ms() override;
  void wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                  Deadline deadline) override;

  void advance(std::chrono::milliseconds by);
  /// Moves the wall clock alone, also backwards, as an administrator or a bad time server would.
  void set_now_ms(UnixMs now_ms);
  /// How many in wait_until() are not due yet: lets a test advance the clock only when somebody waits for it.
  std::size_t waiting();

 private:
  struct Waiter {
    std::condition_variable* condition;
    std::mutex* mutex;
    Deadline deadline;
    bool woken = false;
  };
  std::mutex mutex_;
  UnixMs now_ms_;
  std::chrono::milliseconds elapsed_{0};
  std::list<Waiter> waiters_;
};

/// Thread-safe source of random 64-bit numbers.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

/// The operating system's random numbers.
std::shared_ptr<Random> system_random();
/// The same sequence for the same seed (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64).
std::shared_ptr<Random> seeded_random(std::uint64_t seed);

/// Everything a store takes from outside. Empty members are filled with the machine's own when a store is
/// opened.
struct Environment {
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Random> random;
  std::shared_ptr<FileSystem> files;

  /// This environment with every empty member replaced by the machine's own.
  Environment completed() const;
};

}  // namespace holdfast
