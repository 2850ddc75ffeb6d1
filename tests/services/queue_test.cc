#include "holdfast/queue.h"

#include <set>
#include <stdexcept>
#include <thread>

#include "tests/services/queue_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class QueueJobsTest : public QueueTest {};

HOLDFAST_ON_EVERY_TARGET(QueueJobsTest);

// ---- Sending and receiving

TEST_P(QueueJobsTest, delivers_what_was_sent_until_it_is_completed) {
  const Payload bodies[] = {Payload(nullptr), Payload(""), Payload::parse("{\"b\": 1.10, \"a\": [null]}"),
                            Payload::bytes(Bytes("\0\1\xff{", 4)), large('x')};
  EXPECT_TRUE(queue().receive().empty());
  for (const Payload& body : bodies) {
    const Sent sent = queue().send(body, {.kind = "k\"\n"});
    EXPECT_TRUE(sent.is_new);
    const Delivery job = receive_one();
    EXPECT_EQ(job.id, sent.id);
    EXPECT_EQ(job.body, body);
    EXPECT_EQ(job.kind, "k\"\n");
    EXPECT_EQ(job.attempt, 1u);
    EXPECT_EQ(job.sent_at_ms, clock().now_ms());
    EXPECT_EQ(job.lease_ends_at_ms, clock().now_ms() + 30'000);
    EXPECT_TRUE(queue().receive().empty());
    queue().complete(job);
    EXPECT_FALSE(queue().get(sent.id));
    advance(hours(1));
    EXPECT_TRUE(queue().receive().empty());
  }
  EXPECT_EQ(entries_of_queue(), 0u);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(QueueJobsTest, jobs_and_leases_are_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  queue().send("a");
  queue().send("b");
  const Delivery job = receive_one();
  reopen();
  EXPECT_EQ(texts(), Texts{"\"b\""});
  queue().complete(job);
  EXPECT_EQ(queue().stats().leased, 1u);
}

TEST_P(QueueJobsTest, jobs_come_in_the_order_of_their_priorities_and_then_of_their_sends) {
  queue().send(1, {.priority = 9});
  queue().send(2);
  queue().send_many(std::vector<NewJob>{{3, {}}, {4, {.priority = 0}}, {5, {}}});
  queue().send(6, {.priority = 0});
  Texts peeked;
  for (const Job& job : queue().peek(10)) peeked.push_back(job.body.text());
  const Texts expected = {"4", "6", "2", "3", "5", "1"};
  EXPECT_EQ(peeked, expected);
  EXPECT_EQ(texts(2), (Texts{"4", "6"}));
  EXPECT_EQ(texts(10), (Texts{"2", "3", "5", "1"}));
}

TEST_P(QueueJobsTest, a_batch_is_one_commit_and_its_ids_are_those_of_its_jobs) {
  std::vector<NewJob> jobs;
  for (int i = 0; i < 250; ++i) jobs.push_back({i, {}});
  const Seq before = database().position().seq;
  const std::vector<Sent> sent = queue().send_many(jobs);
  EXPECT_EQ(database().position().seq, before + 1);
  std::vector<Delivery> got = queue().receive(250);
  EXPECT_EQ(database().position().seq, before + 2);
  ASSERT_EQ(got.size(), 250u);
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, sent[i].id);
    EXPECT_EQ(got[i].body.text(), std::to_string(i));
  }
  const std::vector<JobLease> leases(got.begin(), got.end());
  EXPECT_EQ(queue().complete_many(leases), std::vector<bool>(250, true));
  EXPECT_EQ(database().position().seq, before + 3);
  EXPECT_EQ(queue().complete_many(leases), std::vector<bool>(250, false));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueJobsTest, queues_do_not_see_one_another) {
  const Bytes names[] = {"a", "a/b", Bytes("\0\xff", 2), "%2f"};
  for (const Bytes& name : names) queue(name).send(Payload::bytes(name));
  for (const Bytes& name : names) {
    const std::vector<Delivery> got = queue(name).receive(10);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].body, Payload::bytes(name));
  }
  std::vector<Bytes> listed = list_queues(database());
  EXPECT_EQ(std::set<Bytes>(listed.begin(), listed.end()),
            std::set<Bytes>(std::begin(names), std::end(names)));
  ASSERT_EQ(listed.size(), 4u);
  EXPECT_EQ(list_queues(database(), listed[0], 2),
            std::vector<Bytes>(listed.begin() + 1, listed.begin() + 3));
  EXPECT_TRUE(list_queues(database(), {}, 10, "other").empty());
}

TEST_P(QueueJobsTest, a_delayed_job_is_delivered_when_its_time_has_come_and_at_its_place) {
  const Sent first = queue().send("delay", {.delay = milliseconds(1'000)});
  queue().send("instant", {.run_at_ms = clock().now_ms() + 500});
  queue().send("past", {.run_at_ms = 5});
  queue().send("now");
  EXPECT_EQ(queue().get(first.id)->state, JobState::delayed);
  EXPECT_EQ(queue().get(first.id)->run_at_ms, clock().now_ms() + 1'000);
  EXPECT_EQ(texts(), (Texts{"\"past\"", "\"now\""}));
  advance(milliseconds(499));
  EXPECT_EQ(texts(), Texts{});
  advance(milliseconds(501));
  queue().send("later");
  EXPECT_EQ(texts(), (Texts{"\"delay\"", "\"instant\"", "\"later\""}));
}

TEST_P(QueueJobsTest, what_is_due_and_not_taken_yet_keeps_its_priority) {
  for (int i = 0; i < 5; ++i) queue().send("late", {.delay = seconds(1), .priority = 9});
  queue().send("urgent", {.delay = seconds(1), .priority = 0});
  advance(seconds(2));
  queue().send("now");
  EXPECT_EQ(texts(1), Texts{"\"urgent\""});
  EXPECT_EQ(queue().stats().delayed, 0u);
  EXPECT_EQ(texts(2), (Texts{"\"now\"", "\"late\""}));
  EXPECT_EQ(texts().size(), 4u);
}

TEST_P(QueueJobsTest, many_delayed_jobs_come_due_at_once) {
  for (std::size_t sent = 0; sent < 500;) {
    std::vector<NewJob> jobs;
    for (int i = 0; i < 250; ++i, ++sent) jobs.push_back({nullptr, {.delay = seconds(1)}});
    queue().send_many(jobs);
  }
  advance(seconds(1));
  std::size_t received = 0;
  for (std::size_t got = 1; got > 0; received += got) got = queue().receive(250).size();
  EXPECT_EQ(received, 500u);
}

TEST_P(QueueJobsTest, a_send_within_a_transaction_is_part_of_its_commit) {
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    queue().send(transaction, "never");
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_TRUE(queue().receive().empty());
  database().transact([&](Transaction& transaction) {
    transaction.put("order", "1");
    EXPECT_TRUE(queue().send(transaction, "a"));
    EXPECT_TRUE(queue().send(transaction, "a"));
    EXPECT_TRUE(queue("other").send(transaction, "x"));
    EXPECT_TRUE(queue().send(transaction, "b", {.delay = seconds(1)}));
    EXPECT_TRUE(queue().send(transaction, large('c')));
  });
  EXPECT_EQ(database().get("order")->value, "1");
  EXPECT_EQ(work_off("other"), Texts{"\"x\""});
  const Texts got = work_off();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0] + got[1], "\"a\"\"a\"");
  EXPECT_EQ(got[2].size(), 300'002u);
  advance(seconds(1));
  EXPECT_EQ(work_off(), Texts{"\"b\""});
}

TEST_P(QueueJobsTest, sends_conflict_with_nothing) {
  queue().send("first");
  int runs = 0;
  database().transact([&](Transaction& transaction) {
    ++runs;
    queue().send(transaction, "in");
    std::thread([&] {
      queue().send("out");
      EXPECT_EQ(texts(1).size(), 1u);
      database().transact([&](Transaction& other) { queue().send(other, "other"); });
    }).join();
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(texts(), (Texts{"\"out\"", "\"other\"", "\"in\""}));
}

TEST_P(QueueJobsTest, what_is_no_name_option_id_or_token_is_refused) {
  Queue jobs = queue();
  const auto refused = [&](const SendOptions& options) {
    return code_of([&] { jobs.send(1, options); }) == Code::invalid_argument;
  };
  EXPECT_EQ(code_of([&] { queue(""); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { queue(Bytes(201, 'q')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { Queue(database(), "q", {.prefix = "!"}); }), Code::invalid_argument);
  EXPECT_TRUE(refused({.priority = 10}));
  EXPECT_TRUE(refused({.priority = -1}));
  EXPECT_TRUE(refused({.delay = milliseconds(-1)}));
  EXPECT_TRUE(refused({.delay = milliseconds(1), .run_at_ms = 1}));
  EXPECT_TRUE(refused({.kind = Bytes(401, 'k')}));
  EXPECT_TRUE(refused({.kind = "\xff"}));
  EXPECT_TRUE(refused({.unique_for = seconds(1)}));
  EXPECT_EQ(code_of([&] { jobs.send_many({}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.send_many(std::vector<NewJob>(251)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.receive(0); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.receive(251); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.receive(1, milliseconds(0)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.receive(1, hours(25)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.get("m_1"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.cancel(Bytes(21, 'g')); }), Code::invalid_argument);
  jobs.send(1);
  Delivery job = receive_one();
  EXPECT_EQ(code_of([&] { jobs.extend(job, milliseconds(0)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.release(job, milliseconds(-1)); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { jobs.fail(job, "", {.retry_in = milliseconds(-1)}); }), Code::invalid_argument);
  for (const char* token : {"", "1", "000000000000000000000000000000-p1"}) {
    EXPECT_EQ(code_of([&] { jobs.complete({job.id, token}); }), Code::invalid_argument);
  }
  jobs.complete(job);
}

// ---- Leases and fencing

TEST_P(QueueJobsTest, a_job_whose_lease_has_ended_is_delivered_again) {
  queue().send("a");
  const std::vector<Delivery> first = queue().receive(1, milliseconds(100));
  queue().send("b");
  advance(milliseconds(99));
  EXPECT_EQ(texts(1), Texts{"\"b\""});
  advance(milliseconds(1));
  const Delivery second = receive_one();
  EXPECT_EQ(second.id, first.at(0).id);
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_NE(second.token, first[0].token);
  EXPECT_EQ(queue().get(second.id)->errors.size(), 1u);
}

TEST_P(QueueJobsTest, a_worker_whose_lease_ran_out_can_change_nothing_any_more) {
  for (const bool is_delivered_again : {false, true}) {
    for (const bool is_plain : {false, true}) {
      queue().send("a", {.ordering_key = is_plain ? "" : "key"});
      Delivery stale = receive_one();
      advance(seconds(30));
      std::optional<Delivery> again;
      if (is_delivered_again) again = receive_one();
      EXPECT_TRUE(is_lost([&] { queue().complete(stale); }));
      EXPECT_TRUE(is_lost([&] { queue().complete(stale, "result"); }));
      EXPECT_TRUE(is_lost([&] { queue().extend(stale, seconds(30)); }));
      EXPECT_TRUE(is_lost([&] { queue().fail(stale, "error"); }));
      EXPECT_TRUE(is_lost([&] { queue().fail(stale, "error", {.is_permanent = true}); }));
      EXPECT_TRUE(is_lost([&] { queue().release(stale); }));
      EXPECT_TRUE(is_lost([&] {
        database().transact([&](Transaction& transaction) {
          transaction.put("effect", "1");
          queue().complete(transaction, stale);
        });
      }));
      EXPECT_FALSE(database().get("effect"));
      EXPECT_EQ(queue().complete_many(std::span<const Delivery>(&stale, 1)), std::vector<bool>{false});
      if (!again) again = receive_one();
      queue().complete(*again);
      EXPECT_TRUE(is_lost([&] { queue().complete(*again); }));
      EXPECT_EQ(entries_of_queue(), 0u);
    }
  }
}

TEST_P(QueueJobsTest, a_token_that_was_taken_before_an_end_to_the_lease_does_not_pass_with_a_clock_behind) {
  // Another process whose clock runs ahead has delivered the job again; to this one the lease still runs.
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  queue().send("a");
  const Delivery mine = receive_one();
  const auto ahead = std::make_shared<ManualClock>(clock().now_ms() + 40'000);
  StoreOptions options;
  options.environment.clock = ahead;
  options.sweeper = false;
  const auto other = open(options);
  Queue theirs(other->database("app"), "q");
  const std::vector<Delivery> taken = theirs.receive();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_TRUE(is_lost([&] { queue().complete(mine); }));
  EXPECT_TRUE(is_lost([&] { queue().fail(mine, "late"); }));
  theirs.complete(taken[0]);
}

TEST_P(QueueJobsTest, an_extended_lease_lasts_from_the_extension_on_and_has_a_token_of_its_own) {
  queue().send("a");
  Delivery job = receive_one();
  const Delivery before = job;
  advance(seconds(20));
  queue().extend(job, seconds(20));
  EXPECT_EQ(job.lease_ends_at_ms, clock().now_ms() + 20'000);
  EXPECT_TRUE(is_lost([&] { queue().complete(before); }));
  advance(milliseconds(19'999));
  EXPECT_TRUE(queue().receive().empty());
  const JobLease shorter = queue().extend(static_cast<const JobLease&>(job), milliseconds(1));
  EXPECT_TRUE(is_lost([&] { queue().complete(job); }));
  advance(milliseconds(1));
  EXPECT_TRUE(is_lost([&] { queue().complete(shorter); }));
  EXPECT_EQ(receive_one().attempt, 2u);
}

TEST_P(QueueJobsTest, a_lease_can_be_extended_to_where_it_ends_already) {
  queue().send("a");
  Delivery job = receive_one();
  queue().extend(job, seconds(30));
  queue().complete(job);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueJobsTest, a_released_job_is_at_its_place_again_and_has_not_used_an_attempt) {
  queue().send("a");
  queue().send("b");
  queue().release(receive_one());
  const Delivery again = receive_one();
  EXPECT_EQ(again.body.text(), "\"a\"");
  EXPECT_EQ(again.attempt, 1u);
  queue().release(again, seconds(5));
  EXPECT_EQ(texts(), Texts{"\"b\""});
  advance(seconds(5));
  EXPECT_EQ(receive_one().attempt, 1u);
}

TEST_P(QueueJobsTest, a_job_and_what_it_has_done_are_one_commit) {
  queue().send("a");
  const Delivery job = receive_one();
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    queue().complete(transaction, job);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  database().transact([&](Transaction& transaction) {
    transaction.put("effect", "1");
    queue().complete(transaction, job);
    EXPECT_TRUE(queue("next").send(transaction, "b"));
  });
  EXPECT_EQ(database().get("effect")->value, "1");
  EXPECT_EQ(entries_of_queue(), 1u);
  EXPECT_EQ(work_off("next"), Texts{"\"b\""});
}

TEST_P(QueueJobsTest, the_completion_of_a_plain_job_reads_nothing_and_conflicts_with_nothing_else) {
  queue().send("a");
  const Delivery job = receive_one();
  const Seq before = database().position().seq;
  queue().complete(job);
  EXPECT_EQ(database().position().seq, before + 1);
}

}  // namespace
}  // namespace holdfast
