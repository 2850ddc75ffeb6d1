// A thread that looks through all databases of a store, at once and then again and again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "holdfast/environment.h"
#include "holdfast/store.h"

namespace holdfast {

class StoreRounds {
 public:
  struct Options {
    /// From the end of one round to the beginning of the next.
    std::chrono::milliseconds interval;
    std::shared_ptr<Clock> clock;
    std::function<void(const Bytes& database, const std::stop_token& stop)> visit;
    /// When all have been visited, whatever the visits threw. May be empty.
    std::function<void()> end_round = {};
    /// Hears of what a visit threw, or with an empty name of databases that could not be listed; the next
    /// round tries again. May be empty.
    std::function<void(const Bytes& database, const std::exception& error)> on_error;
  };

  /// The functions are called on a thread that ends with the store or with this object, whichever is first.
  StoreRounds(std::shared_ptr<Store> store, Options options);
  /// Waits for the visit that is under way.
  ~StoreRounds();
  StoreRounds(const StoreRounds&) = delete;
  StoreRounds& operator=(const StoreRounds&) = delete;

 private:
  void run(const std::stop_token& stop);
  void visit_all(const std::stop_token& stop);

  const std::shared_ptr<Store> store_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::jthread thread_;
};

}  // namespace holdfast
