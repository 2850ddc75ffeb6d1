#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "holdfast/environment.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

TEST(SystemClock, KnowsTheTimeAndNeverGoesBackOnTheSteadyClock) {
  const auto clock = system_clock();
  EXPECT_GT(clock->now_ms(), 1'600'000'000'000);
  const Deadline before = clock->steady_now();
  const std::int64_t boot_before_ms = clock->boot_time_ms();
  EXPECT_GE(clock->steady_now(), before);
  EXPECT_GE(clock->boot_time_ms(), boot_before_ms);
}

TEST(SystemClock, WaitEndsAtTheDeadline) {
  const auto clock = system_clock();
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  const Deadline deadline = clock->steady_now() + milliseconds(5);
  while (clock->steady_now() < deadline) clock->wait_until(condition, lock, deadline);
  EXPECT_TRUE(lock.owns_lock());
}

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock(1000);
  const Deadline steady = clock.steady_now();
  EXPECT_EQ(clock.now_ms(), 1000);
  EXPECT_NE(steady, Deadline{});
  clock.advance(milliseconds(250));
  EXPECT_EQ(clock.now_ms(), 1250);
  EXPECT_EQ(clock.steady_now(), steady + milliseconds(250));
  EXPECT_EQ(clock.boot_time_ms(), 250);
}

TEST(ManualClock, WallClockAloneCanGoBack) {
  ManualClock clock(1000);
  const Deadline steady = clock.steady_now();
  clock.set_now_ms(10);
  EXPECT_EQ(clock.now_ms(), 10);
  EXPECT_EQ(clock.steady_now(), steady);
}

TEST(ManualClock, WaitReturnsAtOnceWhenTheDeadlineIsPast) {
  ManualClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  clock.wait_until(condition, lock, clock.steady_now());
  EXPECT_EQ(clock.waiting(), 0u);
}

TEST(ManualClock, NotificationEndsAWaitBeforeItsDeadline) {
  ManualClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  bool ready = false;
  std::thread notifier([&] {
    while (clock.waiting() == 0) std::this_thread::yield();
    const std::lock_guard guard(mutex);
    ready = true;
    condition.notify_all();
  });
  std::unique_lock lock(mutex);
  while (!ready) clock.wait_until(condition, lock, clock.steady_now() + milliseconds(1000));
  lock.unlock();
  notifier.join();
  EXPECT_EQ(clock.waiting(), 0u);
}

TEST(ManualClock, AdvanceWakesWhoIsDueAndNobodyElse) {
  ManualClock clock;
  std::mutex mutex;
  std::condition_variable due_condition;
  std::condition_variable later_condition;
  const Deadline due = clock.steady_now() + milliseconds(10);
  const Deadline later = clock.steady_now() + milliseconds(20);
  std::atomic<bool> due_woke = false;
  std::atomic<bool> later_woke = false;
  std::thread due_waiter([&] {
    std::unique_lock lock(mutex);
    while (clock.steady_now() < due) clock.wait_until(due_condition, lock, due);
    due_woke = true;
  });
  std::thread later_waiter([&] {
    std::unique_lock lock(mutex);
    while (clock.steady_now() < later) clock.wait_until(later_condition, lock, later);
    later_woke = true;
  });
  while (clock.waiting() < 2) std::this_thread::yield();
  clock.advance(milliseconds(10));
  due_waiter.join();
  EXPECT_TRUE(due_woke);
  EXPECT_FALSE(later_woke);
  clock.advance(milliseconds(10));
  later_waiter.join();
}

TEST(ManualClock, WhoIsDueDoesNotCountAsWaitingThoughItHasNotWokenYet) {
  ManualClock clock;
  std::mutex mutex;
  std::condition_variable condition;
  const Deadline due = clock.steady_now() + milliseconds(10);
  std::thread waiter([&] {
    std::unique_lock lock(mutex);
    while (clock.steady_now() < due) clock.wait_until(condition, lock, due);
  });
  while (clock.waiting() == 0) std::this_thread::yield();
  std::unique_lock keeps_it_asleep(mutex);
  std::thread advancer([&] { clock.advance(milliseconds(10)); });
  while (clock.steady_now() < due) std::this_thread::yield();
  EXPECT_EQ(clock.waiting(), 0u);
  keeps_it_asleep.unlock();
  advancer.join();
  waiter.join();
}

// Every waiter is woken by the very advance() that makes it due, or the test hangs: nothing else wakes it.
TEST(ManualClock, NoWakeUpIsLostHoweverAdvanceAndWaitMeet) {
  ManualClock clock;
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      std::mutex mutex;
      std::condition_variable condition;
      for (int round = 0; round < kRounds; ++round) {
        std::unique_lock lock(mutex);
        const Deadline deadline = clock.steady_now() + milliseconds(1);
        while (clock.steady_now() < deadline) clock.wait_until(condition, lock, deadline);
      }
      --running;
    });
  }
  while (running > 0) clock.advance(milliseconds(1));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clock.waiting(), 0u);
}

}  // namespace
}  // namespace holdfast
