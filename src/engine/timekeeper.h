// Sees to it that a submitted batch is answered at its deadline also while the thread of its lane hangs in a
// call. One thread per store, started with the first submitted batch; it sleeps until the earliest deadline.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "holdfast/types.h"

namespace holdfast {

class Engine;

/// Thread-safe.
class Timekeeper {
 public:
  explicit Timekeeper(Engine& engine) : engine_(engine) {}
  ~Timekeeper() { close(); }
  Timekeeper(const Timekeeper&) = delete;
  Timekeeper& operator=(const Timekeeper&) = delete;

  /// To be called before the first batch is submitted. Throws unavailable if there is no thread to be had.
  void start();
  /// A batch with this deadline has been submitted. Cheap unless it is the earliest.
  void expect(Deadline deadline);
  /// Ends the thread. Idempotent.
  void close();

 private:
  void run();

  Engine& engine_;
  std::mutex mutex_;
  std::condition_variable condition_;
  bool is_closed_ = false;
  /// Never later than the earliest deadline that is known.
  std::atomic<Deadline> next_{Deadline::max()};
  std::atomic<bool> is_started_{false};
  std::thread thread_;
};

}  // namespace holdfast
