// Threads that may block, for everything that the threads which do the I/O must not wait for.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::server {

class Executor {
 public:
  virtual ~Executor() = default;
  /// Tasks must not throw.
  virtual void run(std::function<void()> task) = 0;
  /// On a thread of its own; false if there are too many of them.
  virtual bool run_long(std::function<void()> task) = 0;
};

/// A fixed number of workers on one queue, and a bounded number of threads for long tasks. The queue needs no
/// bound of its own: a connection has one request in flight, and connections are bounded.
class ThreadExecutor final : public Executor {
 public:
  ThreadExecutor(std::size_t worker_threads, std::size_t long_threads);
  /// Waits for every task, those that are queued included.
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  void run(std::function<void()> task) override;
  bool run_long(std::function<void()> task) override;
  std::size_t queued();
  std::size_t long_running();

 private:
  void work();
  void reap_finished();

  std::mutex mutex_;
  std::condition_variable work_came_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;

  std::mutex long_mutex_;
  const std::size_t long_limit_;
  std::list<std::thread> long_threads_;
  std::vector<std::list<std::thread>::iterator> finished_;
};

}  // namespace holdfast::server
