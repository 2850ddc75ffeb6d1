#include "engine/turn.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace holdfast {
namespace {

using std::chrono::milliseconds;

TEST(Turn, IsTakenByOneAfterAnother) {
  const auto clock = system_clock();
  Turn turn;
  int inside = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        ASSERT_TRUE(turn.take(*clock, Deadline::max()));
        EXPECT_EQ(++inside, 1);
        --inside;
        turn.give_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Turn, IsNotWaitedForBeyondTheDeadline) {
  ManualClock clock;
  Turn turn;
  ASSERT_TRUE(turn.take(clock, clock.steady_now()));
  EXPECT_FALSE(turn.take(clock, clock.steady_now()));
  const Deadline deadline = clock.steady_now() + milliseconds(10);
  std::thread waiter([&] { EXPECT_FALSE(turn.take(clock, deadline)); });
  // Whether the waiter sleeps already or not: its deadline passes.
  for (int i = 0; i < 20; ++i) {
    clock.advance(milliseconds(1));
    std::this_thread::yield();
  }
  clock.advance(milliseconds(10));
  waiter.join();
  turn.give_back();
  EXPECT_TRUE(turn.take(clock, clock.steady_now()));
}

}  // namespace
}  // namespace holdfast
