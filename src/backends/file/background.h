// A thread that does what it is asked to, one task after the other; a task that is already waiting is not
// queued twice.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace holdfast::file {

/// Thread-safe. The destructor waits for the task that runs and drops those that wait.
class Background {
 public:
  Background();
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Runs `task` soon, unless one with the same key waits already. It must not throw.
  void ask(std::uint64_t key, std::function<void()>&& task);
  /// Waits until nothing runs and nothing waits.
  void finish();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, std::function<void()>> waiting_;
  bool running_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace holdfast::file
