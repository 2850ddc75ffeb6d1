// §8.4: wakes who waits for commits. Those of this process wake at once; those of others by LISTEN and
// NOTIFY, and where that is deaf (behind a transaction pooler, while the connection is lost) by looking again
// every kLookEvery. NOTIFY never is in a commit's transaction, where it would take a lock of the whole server
// until the flush: one thread per process sends it afterwards, at most one per kQuiet, and only while
// somebody listens.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "backends/postgres/connection.h"

namespace holdfast::postgres {

inline constexpr std::chrono::milliseconds kLookEvery{500};
inline constexpr std::chrono::milliseconds kQuiet{50};
/// Of a store: a look every 500 ms and the time it may take on a busy server.
inline constexpr std::chrono::milliseconds kWakeBound{1'000};

class Signals {
 public:
  Signals(const Settings& settings, std::shared_ptr<Clock> clock);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// What is behind, asked of the server until the deadline that is given; empty if nothing is.
  using Look = std::function<std::vector<std::size_t>(Deadline)>;
  /// Looks now and after every signal until something is behind, the deadline has passed or wake() is called.
  /// A look that times out has seen nothing.
  std::vector<std::size_t> wait(const Look& look, Deadline deadline);
  void wake();
  /// After a commit of this process: it is acknowledged, so whoever looks now sees it.
  void notify();

 private:
  class Thread;

  void signal();
  bool is_waited_for();
  Thread& thread();  ///< started when it is needed first

  const Settings& settings_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::uint64_t wakes_ = 0;
  std::size_t waiting_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
  std::unique_ptr<Thread> thread_;
};

}  // namespace holdfast::postgres
