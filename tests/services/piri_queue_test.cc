// What Piri's own suite fixes about its queues and workers, by number, where no other test here says it;
// docs/services/piri.md has the whole list.
#include <atomic>
#include <memory>
#include <thread>

#include "holdfast/worker.h"
#include "tests/services/queue_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class PiriQueueTest : public QueueTest {
 protected:
  void TearDown() override {
    if (!HasFatalFailure()) check_layout();
  }
  /// Without waits between attempts.
  void allow_attempts(std::uint32_t attempts) {
    settings([&](QueueSettings& settings) {
      settings.max_attempts = attempts;
      settings.backoff = milliseconds(0);
    });
  }
  std::unique_ptr<Worker> worker(WorkHandler handler, std::size_t concurrency = 1) {
    WorkerOptions options;
    options.concurrency = concurrency;
    options.clock = clock_pointer();
    options.drain_limit = hours(1);
    options.on_error = [](const std::exception& error) { ADD_FAILURE() << error.what(); };
    return std::make_unique<Worker>(queue(), std::map<Bytes, WorkHandler>{{"k", std::move(handler)}},
                                    options);
  }
  static void until(const std::function<bool()>& condition) {
    while (!condition()) std::this_thread::yield();
  }
  std::vector<Job> dead() { return queue().dead({}).items; }
};

HOLDFAST_ON_EVERY_TARGET(PiriQueueTest);

TEST_P(PiriQueueTest, Piri11_the_id_that_a_send_gives_is_that_of_the_job) {
  const Sent sent = queue().send("a");
  EXPECT_EQ(queue().get(sent.id)->body.text(), "\"a\"");
  EXPECT_TRUE(queue().cancel(sent.id));
  EXPECT_TRUE(queue().receive().empty());
}

TEST_P(PiriQueueTest, Piri13_a_lease_of_less_than_nothing_is_refused_wherever_it_is_given) {
  queue().send("a");
  EXPECT_EQ(code_of([&] { queue().receive(1, milliseconds(-1)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { settings([](QueueSettings& s) { s.lease = milliseconds(-1); }); }),
            Code::invalid_argument);
  const Delivery job = receive_one();
  EXPECT_EQ(code_of([&] { queue().extend(job, milliseconds(-1)); }), Code::invalid_argument);
  queue().complete(job);
}

TEST_P(PiriQueueTest, Piri19_what_is_no_job_any_more_does_not_become_a_dead_letter) {
  queue().send("a");
  const Delivery job = receive_one();
  queue().complete(job);
  EXPECT_TRUE(is_lost([&] { queue().fail(job, "late", {.is_permanent = true}); }));
  EXPECT_TRUE(dead().empty());
}

TEST_P(PiriQueueTest, Piri27_one_payload_under_two_kinds_is_two_jobs) {
  const auto send = [&](const Bytes& kind) {
    return queue().send("a", {.kind = kind, .unique_key = kind + ":a"}).is_new;
  };
  EXPECT_TRUE(send("one"));
  EXPECT_TRUE(send("two"));
  EXPECT_FALSE(send("one"));
  EXPECT_EQ(queue().receive(10).size(), 2u);
}

TEST_P(PiriQueueTest, Piri31_a_job_that_always_fails_is_a_dead_letter_with_its_body_and_its_errors) {
  allow_attempts(3);
  const Sent sent = queue().send("a", {.kind = "k"});
  const auto failing = worker([](Work&) { throw std::runtime_error("no luck"); });
  until([&] { return failing->metrics().failed == 3; });
  const std::vector<Job> letters = dead();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].id, sent.id);
  EXPECT_EQ(letters[0].kind, "k");
  EXPECT_EQ(letters[0].reason, "max_attempts");
  EXPECT_EQ(letters[0].body.text(), "\"a\"");
  ASSERT_EQ(letters[0].errors.size(), 3u);
  EXPECT_EQ(letters[0].errors[2].text, "no luck");
  EXPECT_TRUE(queue().receive().empty());
}

TEST_P(PiriQueueTest, Piri33_a_job_that_fails_twice_and_then_succeeds_has_three_attempts_and_no_dead_letter) {
  allow_attempts(3);
  queue().send("a", {.kind = "k"});
  const auto third_time = worker([](Work& work) {
    if (work.job().attempt < 3) throw std::runtime_error("not yet");
  });
  until([&] { return third_time->metrics().completed == 1; });
  EXPECT_EQ(third_time->metrics().failed, 2u);
  EXPECT_TRUE(dead().empty());
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(PiriQueueTest, Piri55_a_permanent_failure_is_tried_once_however_many_attempts_there_are) {
  allow_attempts(5);
  queue().send("a", {.kind = "k"});
  const auto failing = worker([](Work&) { throw WorkFailed("bad input", {.is_permanent = true}); });
  until([&] { return failing->metrics().failed == 1; });
  const std::vector<Job> letters = dead();
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].attempts, 1u);
  EXPECT_EQ(letters[0].reason, "permanent");
  EXPECT_EQ(letters[0].errors.at(0).text, "bad input");
  EXPECT_TRUE(queue().receive().empty());
}

TEST_P(PiriQueueTest, Piri47_of_three_drains_at_once_each_waits_for_what_runs) {
  queue().send("a", {.kind = "k"});
  std::atomic<bool> may_end = false;
  const auto slow = worker([&](Work&) { until([&] { return may_end.load(); }); });
  until([&] { return slow->metrics().running == 1; });
  std::vector<std::thread> drains;
  std::atomic<int> drained = 0;
  for (int i = 0; i < 3; ++i) drains.emplace_back([&] { drained += slow->drain(hours(1)) ? 1 : 0; });
  EXPECT_EQ(drained, 0);
  may_end = true;
  for (std::thread& drain : drains) drain.join();
  EXPECT_EQ(drained, 3);
  EXPECT_EQ(slow->metrics().completed, 1u);
}

TEST_P(PiriQueueTest, Piri48_a_message_that_is_sent_three_times_runs_once) {
  const SendOptions once{.kind = "k", .unique_key = "a", .unique_after_completion = hours(1)};
  std::atomic<int> runs = 0;
  EXPECT_TRUE(queue().send("a", once).is_new);
  EXPECT_FALSE(queue().send("a", once).is_new);
  const auto counting = worker([&](Work&) { ++runs; });
  until([&] { return counting->metrics().completed == 1; });
  EXPECT_FALSE(queue().send("a", once).is_new);
  EXPECT_TRUE(counting->drain(hours(1)));
  EXPECT_TRUE(queue().receive().empty());
  EXPECT_EQ(runs, 1);
  advance(hours(1));
  EXPECT_TRUE(queue().send("a", once).is_new);
}

TEST_P(PiriQueueTest, Piri49_what_one_worker_leaves_at_its_drain_the_next_one_does) {
  for (int i = 0; i < 5; ++i) queue().send(i, {.kind = "k"});
  std::atomic<int> runs = 0;
  const WorkHandler count = [&](Work&) { ++runs; };
  const auto first = worker(count, 2);
  EXPECT_TRUE(first->drain(hours(1)));
  const std::uint64_t done = first->metrics().completed;
  EXPECT_EQ(static_cast<std::uint64_t>(runs), done);
  const auto second = worker(count, 2);
  until([&] { return second->metrics().completed == 5 - done; });
  EXPECT_EQ(runs, 5);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(PiriQueueTest, Piri52_jobs_that_fail_do_not_hinder_a_drain) {
  for (int i = 0; i < 3; ++i) queue().send(i, {.kind = "k"});
  const auto failing = worker([](Work&) { throw std::runtime_error("no luck"); }, 3);
  until([&] { return failing->metrics().failed >= 3; });
  EXPECT_TRUE(failing->drain(hours(1)));
  const Listing<Job> waiting = queue().list(JobState::delayed, {});
  ASSERT_EQ(waiting.items.size(), 3u);
  for (const Job& job : waiting.items) EXPECT_EQ(job.errors.size(), 1u);
}

}  // namespace
}  // namespace holdfast
