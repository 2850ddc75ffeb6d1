#include <atomic>
#include <future>
#include <thread>

#include "tests/services/queue_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class QueueWaitTest : public QueueTest {
 protected:
  bool is_there() { return queue().wait(clock().steady_now()); }
  /// Whether waiting in another thread ends with a job when `change` has been made; time moves on then, by as
  /// much as `time_passes`, in small steps.
  bool ends_by(const std::function<void()>& change, milliseconds time_passes = milliseconds(0)) {
    const Deadline deadline = clock().steady_now() + hours(1'000);
    auto waiting = std::async(std::launch::async, [this, deadline] { return queue().wait(deadline); });
    change();
    for (milliseconds passed(0); passed < time_passes; passed += milliseconds(100)) {
      advance(milliseconds(100));
    }
    until([&] { return waiting.wait_for(milliseconds(0)) == std::future_status::ready; });
    return waiting.get();
  }
};

HOLDFAST_ON_EVERY_TARGET(QueueWaitTest);

TEST_P(QueueWaitTest, does_not_wait_for_what_is_there) {
  EXPECT_FALSE(is_there());
  queue().send("a");
  EXPECT_TRUE(is_there());
  queue().receive();
  EXPECT_FALSE(is_there());
}

TEST_P(QueueWaitTest, ends_when_a_job_is_sent_or_given_back) {
  EXPECT_TRUE(ends_by([&] { queue().send("a"); }));
  const Delivery job = receive_one();
  EXPECT_TRUE(ends_by([&] { queue().release(job); }));
  queue().receive();
  EXPECT_TRUE(ends_by([&] { queue().send("b", {.tenant = "t"}); }));
}

TEST_P(QueueWaitTest, ends_when_a_job_is_due_or_its_lease_has_ended) {
  EXPECT_TRUE(ends_by([&] { queue().send("a", {.delay = seconds(5)}); }, seconds(5)));
  queue().receive(1, seconds(7));
  EXPECT_TRUE(ends_by([] {}, seconds(7)));
}

TEST_P(QueueWaitTest, time_that_passes_while_it_looks_is_not_lost) {
  for (int i = 0; i < 50; ++i) {
    queue().send("a", {.delay = seconds(1)});
    EXPECT_TRUE(ends_by([] {}, seconds(1)));
    EXPECT_EQ(work_off().size(), 1u);
  }
}

TEST_P(QueueWaitTest, ends_when_a_queue_is_resumed) {
  queue().send("a");
  queue().pause();
  EXPECT_FALSE(is_there());
  EXPECT_TRUE(ends_by([&] { queue().resume(); }));
}

TEST_P(QueueWaitTest, waits_for_the_limits) {
  settings([](QueueSettings& settings) { settings.max_leased = 1; });
  queue().send_many(std::vector<NewJob>(5));
  const Delivery job = receive_one();
  EXPECT_FALSE(is_there());
  EXPECT_TRUE(ends_by([&] { queue().complete(job); }));
  settings([](QueueSettings& settings) {
    settings.max_leased = 0;
    settings.rate = 1;
  });
  advance(seconds(1));
  EXPECT_EQ(queue().receive(5).size(), 1u);
  EXPECT_FALSE(is_there());
  EXPECT_TRUE(ends_by([] {}, seconds(1)));
  EXPECT_EQ(queue().receive(5).size(), 1u);
}

TEST_P(QueueWaitTest, ends_at_the_deadline) {
  queue().send("a", {.delay = hours(1)});
  const Deadline deadline = clock().steady_now() + seconds(2);
  auto waiting = std::async(std::launch::async, [&] { return queue().wait(deadline); });
  for (int i = 0; i < 20; ++i) advance(milliseconds(100));
  EXPECT_FALSE(waiting.get());
}

}  // namespace
}  // namespace holdfast
