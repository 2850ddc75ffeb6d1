#include "server/http/quick_requests.h"

#include <gtest/gtest.h>

namespace holdfast::server {
namespace {

using namespace std::chrono_literals;

class QuickRequestsTest : public testing::Test {
 protected:
  void run(std::chrono::microseconds duration) {
    requests_.ran_here(now_, now_ + duration);
    now_ += duration;
  }
  bool may_run() const { return requests_.may_run_here(now_); }

  QuickRequests requests_;
  Deadline now_{1h};
};

TEST_F(QuickRequestsTest, AreNotMovedByOneThatLostTheProcessor) {
  for (int i = 0; i < 10'000; ++i) {
    run(i % 100 == 50 ? 4ms : 10us);
    EXPECT_TRUE(may_run()) << i;
  }
}

TEST_F(QuickRequestsTest, GoToWorkersAsSoonAsTheStoreIsSlow) {
  for (int i = 0; i < 1'000; ++i) run(10us);
  int slow = 0;
  for (; may_run(); ++slow) run(3ms);
  EXPECT_LE(slow, 3);
}

TEST_F(QuickRequestsTest, GoToWorkersAfterOneThatHung) {
  run(1s);
  EXPECT_FALSE(may_run());
}

TEST_F(QuickRequestsTest, ComeBackAfterAWhileAndAreJudgedAnew) {
  run(1s);
  now_ += 2s;
  EXPECT_TRUE(may_run());
  run(4ms);
  EXPECT_TRUE(may_run()) << "what was slow before does not count any more";
}

}  // namespace
}  // namespace holdfast::server
