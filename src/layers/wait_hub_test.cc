#include "layers/wait_hub.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

TEST(WaitHub, loses_no_wake_that_comes_while_a_wait_begins) {
  const auto clock = system_clock();
  WaitHub hub(clock, false);
  // So many that the beginning takes long, and the wake falls into it.
  const std::vector<Cursor> cursors(100'000);
  for (int round = 0; round < 20; ++round) {
    const Deadline begin = clock->steady_now();
    std::thread waiter(
        [&] { hub.wait(cursors, begin + std::chrono::seconds(10), [](const Cursor&) { return false; }); });
    std::this_thread::sleep_for(std::chrono::microseconds(500 * round));
    hub.wake();
    waiter.join();
    ASSERT_LT(clock->steady_now() - begin, std::chrono::seconds(5)) << "in round " << round;
  }
}

}  // namespace
}  // namespace holdfast
