// What the suites of services share: a store on every backend and layer there is, under a clock that the test
// moves.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/error.h"
#include "holdfast/store.h"
#include "tests/support/targets.h"

namespace holdfast {

class ServiceTest : public testing::TestWithParam<testing_support::Target> {
 protected:
  ServiceTest() { environment_.clock = clock_; }

  void SetUp() override { store_ = open(); }
  const std::shared_ptr<Store>& store() { return store_; }
  Database database() { return store()->database("app"); }
  ManualClock& clock() { return *clock_; }
  std::shared_ptr<Clock> clock_pointer() { return clock_; }
  void advance(std::chrono::milliseconds by) { clock_->advance(by); }
  /// Returns when `condition` holds. A jump of the clock during a call over the network fails that call, and
  /// what called it pauses by a clock that nobody moves: so after seconds without the condition that time
  /// goes on, the wall clock standing still.
  void until(const std::function<bool()>& condition) {
    using Machine = std::chrono::steady_clock;
    auto stuck_at = Machine::now() + std::chrono::seconds(3);
    while (!condition()) {
      std::this_thread::yield();
      if (Machine::now() < stuck_at) continue;
      constexpr std::chrono::milliseconds kStep{100};
      clock_->set_now_ms(clock_->now_ms() - kStep.count());
      clock_->advance(kStep);
      stuck_at = Machine::now() + kStep;
    }
  }
  /// The same store once more, as another process would open it; for targets that are shared.
  std::shared_ptr<Store> open() {
    StoreOptions options;
    options.environment = environment_;
    options.sweeper = false;
    return open(options);
  }
  /// The same by other options, such as another clock.
  std::shared_ptr<Store> open(const StoreOptions& options) {
    return Store::open(open_backend(options), options);
  }
  /// What a store is opened on, for a test that puts something between the two.
  std::unique_ptr<Backend> open_backend(const StoreOptions& options) {
    return GetParam().open(folder_.path(), options.environment.completed());
  }
  /// Closes the store and opens it again.
  void reopen() {
    store_.reset();
    store_ = open();
  }
  /// Whether what was stored is there when the store is opened again.
  bool outlives_process() const { return GetParam().keeps_data(); }
  /// Entries of the database, the engine's objects included.
  std::uint64_t stored_entries() { return database().digest().entries; }
  /// How much work the target can afford: commits of some cost a sync each.
  std::size_t many() const { return GetParam().cheap ? 1'000 : 100; }

  /// Runs work(i) for i = 0 .. threads - 1 at once; an error of one of them fails the test.
  static void in_threads(std::size_t threads, const std::function<void(std::size_t)>& work) {
    std::vector<std::thread> running;
    running.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
      running.emplace_back([&work, i] {
        try {
          work(i);
        } catch (const Error& error) {
          ADD_FAILURE() << name(error.code()) << ": " << error.what();
        }
      });
    }
    for (std::thread& thread : running) thread.join();
  }

  /// The code of the error that `call` throws; fails if it throws none.
  static Code code_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return Code::internal;
  }

 private:
  testing_support::TemporaryFolder folder_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>(1'700'000'000'000);
  Environment environment_;
  std::shared_ptr<Store> store_;
};

/// Runs a suite on every target.
#define HOLDFAST_ON_EVERY_TARGET(Suite)                                              \
  INSTANTIATE_TEST_SUITE_P(On, Suite, testing::ValuesIn(testing_support::targets()), \
                           [](const auto& target) { return target.param.test_name(); })

}  // namespace holdfast
