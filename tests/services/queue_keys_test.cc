#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "holdfast/queue.h"
#include "tests/services/queue_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class QueueKeysTest : public QueueTest {};

HOLDFAST_ON_EVERY_TARGET(QueueKeysTest);

// ---- Ordering keys

TEST_P(QueueKeysTest, jobs_of_an_ordering_key_come_one_at_a_time_in_the_order_of_their_sends) {
  queue().send("a1", {.ordering_key = "a"});
  queue().send("a2", {.priority = 0, .ordering_key = "a"});
  queue().send("b1", {.ordering_key = "b"});
  queue().send_many(
      std::vector<NewJob>{{"a3", {.ordering_key = "a"}}, {"b2", {.ordering_key = "b"}}, {"c", {}}});
  std::vector<Delivery> got = queue().receive(10);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].body.text(), "\"a1\"");
  EXPECT_EQ(got[0].ordering_key, "a");
  EXPECT_EQ(got[1].body.text(), "\"b1\"");
  EXPECT_EQ(got[2].body.text(), "\"c\"");
  EXPECT_EQ(queue().stats().waiting, 3u);
  queue().complete(got[0]);
  EXPECT_EQ(texts(), Texts{"\"a2\""});
  queue().complete(got[1]);
  queue().complete(got[2]);
  EXPECT_EQ(work_off(), Texts{"\"b2\""});
  advance(seconds(30));
  EXPECT_EQ(work_off(), (Texts{"\"a2\"", "\"a3\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueKeysTest, a_job_that_waits_or_is_delayed_holds_up_those_of_its_ordering_key) {
  settings([](QueueSettings& settings) {
    settings.max_attempts = 2;
    settings.backoff_jitter = 0;
  });
  queue().send("1", {.ordering_key = "a"});
  queue().send("2", {.delay = seconds(10), .ordering_key = "a"});
  queue().send("3", {.ordering_key = "a"});
  queue().fail(receive_one(), "no");
  EXPECT_EQ(texts(), Texts{});
  advance(seconds(1));
  EXPECT_EQ(queue().fail(receive_one(), "no"), JobState::dead);
  EXPECT_EQ(texts(), Texts{});
  advance(seconds(9));
  EXPECT_EQ(texts(), Texts{"\"2\""});
  advance(seconds(30));
  EXPECT_EQ(receive_one().body.text(), "\"2\"");
  advance(seconds(30));
  EXPECT_EQ(work_off(), Texts{"\"3\""});  // the first receive buries the second, which frees the third
  EXPECT_EQ(queue().requeue_dead(), 2u);
  EXPECT_EQ(work_off(), (Texts{"\"1\"", "\"2\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueKeysTest, a_cancelled_job_frees_the_next_one_of_its_ordering_key) {
  const Sent first = queue().send("1", {.ordering_key = "a"});
  const Sent second = queue().send("2", {.ordering_key = "a"});
  queue().send("3", {.ordering_key = "a"});
  EXPECT_EQ(queue().get(second.id)->state, JobState::waiting);
  EXPECT_TRUE(queue().cancel(second.id));
  EXPECT_TRUE(queue().cancel(first.id));
  EXPECT_EQ(work_off(), Texts{"\"3\""});
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueKeysTest, a_transaction_ends_a_job_before_it_sends_the_next_one_of_its_ordering_key) {
  queue().send("1", {.ordering_key = "a"});
  const Delivery first = receive_one();
  database().transact([&](Transaction& transaction) {
    queue().complete(transaction, first);
    EXPECT_TRUE(queue().send(transaction, "2", {.ordering_key = "a"}));
    EXPECT_TRUE(queue().send(transaction, "3", {.ordering_key = "a"}));
  });
  check_layout();
  EXPECT_EQ(work_off(), (Texts{"\"2\"", "\"3\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueKeysTest, ending_a_job_behind_a_send_of_its_ordering_key_is_refused_whoever_else_waits) {
  for (const bool has_waiting : {false, true}) {
    const JobId id = queue().send("1", {.ordering_key = "a"}).id;
    if (has_waiting) queue().send("2", {.ordering_key = "a"});
    const Delivery first = receive_one();
    Texts behind(has_waiting ? 1 : 0, "\"2\"");
    using End = std::function<void(Transaction&)>;
    for (const End& end :
         {End([&](Transaction& own) { queue().complete(own, first); }),
          End([&](Transaction& own) { queue().fail(own, first, "no", {.is_permanent = true}); }),
          End([&](Transaction& own) { queue().cancel(own, id); })}) {
      EXPECT_EQ(code_of([&] {
                  database().transact([&](Transaction& transaction) {
                    EXPECT_TRUE(queue().send(transaction, "x", {.ordering_key = "a"}));
                    EXPECT_TRUE(queue().send(transaction, "y", {.ordering_key = "b"}));
                    end(transaction);
                  });
                }),
                Code::invalid_argument);
      // Whoever goes on all the same has not lost the job.
      database().transact([&](Transaction& transaction) {
        EXPECT_TRUE(queue().send(transaction, "x", {.ordering_key = "a"}));
        EXPECT_EQ(code_of([&] { end(transaction); }), Code::invalid_argument);
      });
      behind.emplace_back("\"x\"");
    }
    check_layout();
    queue().complete(first);
    EXPECT_EQ(work_off(), behind);
    EXPECT_EQ(entries_of_queue(), 0u);
  }
}

TEST_P(QueueKeysTest, a_job_can_be_ended_behind_sends_of_other_ordering_keys_and_queues) {
  queue().send("1", {.ordering_key = "a"});
  const Delivery first = receive_one();
  queue().send("2", {.ordering_key = "b"});
  queue("next").send("n", {.ordering_key = "a"});
  database().transact([&](Transaction& transaction) {
    EXPECT_TRUE(queue().send(transaction, "3", {.ordering_key = "b"}));
    EXPECT_TRUE(queue().send(transaction, "4", {.ordering_key = "aa"}));
    EXPECT_TRUE(queue("next").send(transaction, "m", {.ordering_key = "a"}));
    EXPECT_EQ(queue().fail(transaction, first, "no", {.retry_in = milliseconds(0)}), JobState::ready);
    EXPECT_TRUE(queue().cancel(transaction, first.id));
  });
  check_layout();
  EXPECT_EQ(work_off(), (Texts{"\"2\"", "\"3\"", "\"4\""}));
  EXPECT_EQ(work_off("next"), (Texts{"\"n\"", "\"m\""}));
}

TEST_P(QueueKeysTest, many_threads_keep_the_order_of_each_ordering_key) {
  constexpr int kKeys = 5;
  const std::size_t jobs = GetParam().cheap ? 200 : 40;
  Queue shared = queue();
  std::mutex mutex;
  std::map<Bytes, std::vector<int>> done;
  std::set<Bytes> in_flight;
  std::atomic<std::size_t> left = jobs * kKeys;
  in_threads(6, [&](std::size_t thread) {
    if (thread < 2) {
      for (std::size_t i = thread; i < jobs * kKeys; i += 2) {
        // One producer per key, so that the order of its sends is known.
        const int key = static_cast<int>(thread + 2 * (i / 2 % (thread == 0 ? 3 : 2)));
        shared.send(static_cast<int>(i), {.ordering_key = std::to_string(key)});
      }
      return;
    }
    while (left > 0) {
      for (const Delivery& job : shared.receive(3)) {
        {
          const std::scoped_lock lock(mutex);
          EXPECT_TRUE(in_flight.insert(job.ordering_key).second);
          done[job.ordering_key].push_back(job.body.json().get<int>());
          in_flight.erase(job.ordering_key);
        }
        shared.complete(job);
        --left;
      }
    }
  });
  for (const auto& [key, order] : done) EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << key;
  EXPECT_EQ(entries_of_queue(), 0u);
}

// ---- Unique keys

TEST_P(QueueKeysTest, a_unique_key_is_taken_while_its_job_lives) {
  const Sent first = queue().send("a", {.unique_key = "k"});
  const auto is_taken = [&] {
    const Sent sent = queue().send("other", {.unique_key = "k"});
    EXPECT_EQ(sent.id == first.id, !sent.is_new);
    return !sent.is_new;
  };
  EXPECT_TRUE(first.is_new);
  EXPECT_TRUE(is_taken());
  EXPECT_TRUE(queue().send("x", {.unique_key = "k2"}).is_new);
  Delivery job = receive_one();
  EXPECT_EQ(job.body.text(), "\"a\"");
  EXPECT_TRUE(is_taken());
  queue().fail(job, "no");
  EXPECT_TRUE(is_taken());
  advance(seconds(2));
  job = receive_one();
  queue().complete(job);
  EXPECT_FALSE(is_taken());
}

TEST_P(QueueKeysTest, a_unique_key_is_free_after_death_and_cancellation) {
  const auto is_free = [&] { return queue().send("a", {.unique_key = "k"}).is_new; };
  EXPECT_TRUE(is_free());
  queue().fail(receive_one(), "no", {.is_permanent = true});
  EXPECT_TRUE(is_free());
  const JobId dead = queue().dead().items.at(0).id;
  EXPECT_EQ(code_of([&] { queue().requeue(dead); }), Code::already_exists);
  EXPECT_EQ(queue().requeue_dead(), 0u);
  EXPECT_TRUE(queue().cancel(queue().peek().at(0).id));
  EXPECT_TRUE(queue().requeue(dead));
  const Sent sent = queue().send("b", {.unique_key = "k"});
  EXPECT_FALSE(sent.is_new);
  EXPECT_EQ(sent.id, dead);
  EXPECT_EQ(queue().purge(), 1u);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueKeysTest, a_unique_key_with_a_window_is_taken_until_it_ends_whatever_becomes_of_the_job) {
  const SendOptions options{.unique_key = "k", .unique_for = seconds(10)};
  const Sent first = queue().send("a", options);
  EXPECT_EQ(work_off().size(), 1u);
  advance(milliseconds(9'999));
  const Sent again = queue().send("b", options);
  EXPECT_FALSE(again.is_new);
  EXPECT_EQ(again.id, first.id);
  advance(milliseconds(1));
  EXPECT_TRUE(queue().send("c", options).is_new);
  const Delivery job = receive_one();
  advance(milliseconds(10'000));
  // The key is another job's by now, and completing the first one does not free it.
  EXPECT_TRUE(queue().send("d", options).is_new);
  queue().complete(job);
  EXPECT_FALSE(queue().send("e", options).is_new);
}

TEST_P(QueueKeysTest, unique_keys_hold_within_a_batch_and_a_transaction) {
  const std::vector<Sent> sent = queue().send_many(std::vector<NewJob>{
      {"a", {.unique_key = "k"}}, {"b", {.unique_key = "k"}}, {"c", {.unique_key = "l"}}});
  EXPECT_TRUE(sent[0].is_new);
  EXPECT_FALSE(sent[1].is_new);
  EXPECT_EQ(sent[1].id, sent[0].id);
  EXPECT_TRUE(sent[2].is_new);
  database().transact([&](Transaction& transaction) {
    EXPECT_FALSE(queue().send(transaction, "d", {.unique_key = "k"}));
    EXPECT_TRUE(queue().send(transaction, "e", {.unique_key = "m"}));
    EXPECT_FALSE(queue().send(transaction, "f", {.unique_key = "m"}));
  });
  EXPECT_EQ(texts(), (Texts{"\"a\"", "\"c\"", "\"e\""}));
}

TEST_P(QueueKeysTest, of_many_concurrent_sends_of_a_unique_key_one_makes_a_job) {
  std::atomic<int> made = 0;
  std::mutex mutex;
  std::set<JobId> ids;
  in_threads(4, [&](std::size_t) {
    for (int i = 0; i < 5; ++i) {
      const Sent sent = queue().send(i, {.unique_key = "k"});
      if (sent.is_new) ++made;
      const std::scoped_lock lock(mutex);
      ids.insert(sent.id);
    }
  });
  EXPECT_EQ(made, 1);
  EXPECT_EQ(ids.size(), 1u);
}

}  // namespace
}  // namespace holdfast
