// Requests that wait for something before they are answered, each on a thread of its own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

namespace holdfast::server {

/// Thread-safe.
class LongPolls {
 public:
  explicit LongPolls(std::size_t most) : most_(most) {}
  ~LongPolls() { close(); }
  LongPolls(const LongPolls&) = delete;
  LongPolls& operator=(const LongPolls&) = delete;

  /// Runs `task`, which must not throw; false if there are too many of them, or after close().
  bool run(std::function<void(const std::stop_token&)> task);
  std::size_t running() const {
    const std::scoped_lock lock(mutex_);
    return running_.size();
  }
  /// Asks all tasks to end, and those that come.
  void stop() { stop_.request_stop(); }
  /// Waits for them as well; none comes any more.
  void close();

 private:
  const std::size_t most_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::thread> running_;
  std::list<std::thread> ended_;
  bool is_closed_ = false;
};

}  // namespace holdfast::server
