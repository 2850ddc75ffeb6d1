// A thread that takes the writer's turn for callers, so that they can go at their deadline while it hangs in
// a call of the disk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "backends/file/writer_turn.h"

namespace holdfast::file {

/// Thread-safe. The thread begins with the first task. The destructor waits for the task that runs.
class Deputy {
 public:
  enum class End : std::uint8_t {
    done,
    never_begun,  ///< and it never will be
    under_way,    ///< it ends later; nobody is told how
  };

  Deputy(WriterTurn& turn, std::shared_ptr<Clock> clock) : turn_(turn), clock_(std::move(clock)) {}
  ~Deputy();
  Deputy(const Deputy&) = delete;
  Deputy& operator=(const Deputy&) = delete;

  /// Has `task` run in the writer's turn, after those that came before, and waits for its end or for the
  /// deadline. What the task refers to must live as long as it. Throws what a task that is done has thrown,
  /// and unavailable if the system has no thread.
  End run(std::function<void()> task, Deadline deadline);

 private:
  struct Job {
    enum class State : std::uint8_t { waiting, running, done };
    std::function<void()> task;
    State state = State::waiting;
    std::exception_ptr failure;
    std::condition_variable ended;
  };

  void start();
  void work();

  WriterTurn& turn_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;  ///< taken after the turn
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> waiting_;
  bool is_stopped_ = false;
  std::thread thread_;
};

}  // namespace holdfast::file
