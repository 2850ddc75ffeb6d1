// Clocks that jump, and stores that stall: what is promised of leases holds all the same.
#include "tests/services/stalling_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr UnixMs kHourMs = 3'600'000;

class QueueTimeTest : public StallingQueueTest {
 protected:
  void jump(UnixMs by_ms) { clock().set_now_ms(clock().now_ms() + by_ms); }
  static bool loses_lease(const std::function<void()>& call) {
    try {
      call();
    } catch (const LeaseLost&) {
      return true;
    }
    return false;
  }
};

HOLDFAST_ON_EVERY_TARGET(QueueTimeTest);

TEST_P(QueueTimeTest, what_was_delivered_before_an_error_is_received) {
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  Queue jobs = stalling_queue();
  // Who has just seen many tenants asks for few jobs of each, and then once more: which here fails.
  for (int i = 0; i < 10; ++i) jobs.send(i, {.tenant = std::to_string(i)});
  EXPECT_EQ(jobs.complete_many(jobs.receive(20)), std::vector<bool>(10, true));
  jobs.send("a", {.tenant = "t"});
  jobs.send("b");
  jobs.send("c");
  const Bytes settings = QueueKeys("queue", "q").settings();
  backend().stall_next([&] { backend().stall_next([&] { database().put(settings, "damaged"); }); });
  const std::vector<Delivery> got = jobs.receive(10);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].body.text(), "\"a\"");
  EXPECT_EQ(got[1].body.text(), "\"b\"");
  EXPECT_EQ(code_of([&] { jobs.receive(10); }), Code::corruption);
  database().erase(settings);
  EXPECT_EQ(jobs.complete_many(got), std::vector<bool>(2, true));
}

TEST_P(QueueTimeTest, a_completion_that_stalls_for_longer_than_the_lease_is_not_a_second_one) {
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  for (const bool is_plain : {true, false}) {
    queue().send("a");
    Queue slow = stalling_queue();
    const std::vector<Delivery> mine = slow.receive();
    ASSERT_EQ(mine.size(), 1u);
    std::size_t completed = 0;
    backend().stall_next([&] {
      jump(60'000);
      const std::vector<Delivery> theirs = queue().receive();
      ASSERT_EQ(theirs.size(), 1u);
      queue().complete(theirs[0]);
      ++completed;
    });
    EXPECT_TRUE(loses_lease([&] {
      if (is_plain) {
        slow.complete(mine[0]);
      } else {
        stalling_database().transact([&](Transaction& transaction) {
          transaction.put("done", "twice");
          slow.complete(transaction, mine[0]);
        });
      }
    }));
    EXPECT_EQ(completed, 1u);
    EXPECT_FALSE(database().get("done"));
    EXPECT_EQ(entries_of_queue(), 0u);
  }
}

TEST_P(QueueTimeTest, an_extension_that_stalls_for_longer_than_the_lease_takes_the_job_from_nobody) {
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  queue().send("a");
  Queue slow = stalling_queue();
  std::vector<Delivery> mine = slow.receive();
  ASSERT_EQ(mine.size(), 1u);
  std::vector<Delivery> theirs;
  backend().stall_next([&] {
    jump(60'000);
    theirs = queue().receive();
  });
  EXPECT_TRUE(loses_lease([&] { slow.extend(mine[0], minutes(5)); }));
  ASSERT_EQ(theirs.size(), 1u);
  EXPECT_EQ(theirs[0].attempt, 2u);
  queue().complete(theirs[0]);
}

TEST_P(QueueTimeTest, a_delivery_that_stalls_for_longer_than_the_lease_is_made_again) {
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  queue().send("a");
  Queue slow = stalling_queue();
  backend().stall_next([&] { jump(60'000); });
  for (const Delivery& late : slow.receive()) {
    EXPECT_TRUE(loses_lease([&] { slow.complete(late); }));
  }
  const Delivery again = receive_one();
  EXPECT_EQ(again.attempt, 2u);
  queue().complete(again);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueTimeTest, a_clock_that_jumps_an_hour_ahead_and_back_makes_jobs_early_and_does_none_twice) {
  queue().send("a");
  const Delivery first = receive_one();
  queue().send("b", {.delay = minutes(10)});
  jump(kHourMs);
  EXPECT_TRUE(loses_lease([&] { queue().complete(first); }));
  const std::vector<Delivery> ahead = queue().receive(10);
  ASSERT_EQ(ahead.size(), 2u);
  jump(-kHourMs);
  EXPECT_TRUE(queue().receive(10).empty()) << "both are leased";
  EXPECT_TRUE(loses_lease([&] { queue().complete(first); }));
  EXPECT_EQ(queue().complete_many(ahead), std::vector<bool>(2, true));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueTimeTest, a_clock_that_jumps_an_hour_back_and_ahead_ends_no_lease_and_loses_no_job) {
  queue().send("a");
  const Delivery leased = receive_one();
  queue().send("b");
  jump(-kHourMs);
  queue().send("c");
  EXPECT_EQ(texts(), (Texts{"\"b\"", "\"c\""})) << "and not the job that is leased";
  queue().complete(leased);
  jump(kHourMs);
  jump(31'000);
  EXPECT_EQ(work_off(), (Texts{"\"b\"", "\"c\""})) << "whose leases have ended now";
  EXPECT_EQ(entries_of_queue(), 0u);
}

}  // namespace
}  // namespace holdfast
