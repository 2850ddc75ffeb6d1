#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "holdfast/queue.h"
#include "tests/services/stalling_fixture.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class QueueConcurrencyTest : public QueueTest {};

HOLDFAST_ON_EVERY_TARGET(QueueConcurrencyTest);

// ---- Several at once

TEST_P(QueueConcurrencyTest, threads_that_share_a_handle_share_their_claims) {
  constexpr std::size_t kThreads = 8;
  Queue shared = queue();
  shared.send_many(std::vector<NewJob>(200));
  std::mutex mutex;
  std::set<JobId> seen;
  in_threads(kThreads, [&](std::size_t) {
    for (;;) {
      const std::vector<Delivery> got = shared.receive(1);
      if (got.empty()) return;
      const std::scoped_lock lock(mutex);
      EXPECT_TRUE(seen.insert(got[0].id).second);
    }
  });
  EXPECT_EQ(seen.size(), 200u);
}

TEST_P(QueueConcurrencyTest, processes_that_receive_at_once_get_every_job_once_between_them) {
  const std::size_t jobs = many();
  for (std::size_t sent = 0; sent < jobs; sent += 50) queue().send_many(std::vector<NewJob>(50));
  std::mutex mutex;
  std::set<JobId> seen;
  std::atomic<std::size_t> done = 0;
  std::vector<std::shared_ptr<Store>> stores;
  for (int i = 0; i < 4; ++i) stores.push_back(GetParam().shared ? open() : store());
  in_threads(4, [&](std::size_t thread) {
    // A handle of its own knows nothing of the others, like another process.
    Queue own(stores[thread]->database("app"), "q");
    while (done < jobs) {
      for (const Delivery& job : own.receive(4)) {
        {
          const std::scoped_lock lock(mutex);
          EXPECT_TRUE(seen.insert(job.id).second);
        }
        own.complete(job);
        ++done;
      }
    }
  });
  EXPECT_EQ(seen.size(), jobs);
  EXPECT_EQ(entries_of_queue(), 0u);
}

/// Two handles, like two processes, each of which has lost a job to a third one and knows so that it is not
/// alone; and what is ready then.
class QueueSharesTest : public StallingQueueTest {
 protected:
  void SetUp() override {
    if (!GetParam().shared) GTEST_SKIP() << "one process";
    StallingQueueTest::SetUp();
    queue().send_many(std::vector<NewJob>(62));
    for (const std::uint64_t seed : {8, 9}) {
      handles_.emplace_back(stalling_database(), "q",
                            QueueOptions{.random = seeded_random(seed), .clock = clock_pointer()});
      backend().stall_next([&] { complete(queue(), queue().receive(1)); });
      complete(handles_.back(), handles_.back().receive(1));
    }
    for (const Job& job : queue().peek(100)) ready_.push_back(job.id);
  }
  Queue& one() { return handles_.at(0); }
  Queue& two() { return handles_.at(1); }
  const std::vector<JobId>& ready() const { return ready_; }
  static std::vector<JobId> complete(Queue jobs, const std::vector<Delivery>& got) {
    std::vector<JobId> ids;
    for (const Delivery& job : got) {
      jobs.complete(job);
      ids.push_back(job.id);
    }
    return ids;
  }
  static std::set<JobId> share(Queue& jobs) {
    std::set<JobId> ids;
    for (const Delivery& job : jobs.receive(10)) {
      jobs.release(job);
      ids.insert(job.id);
    }
    return ids;
  }

 private:
  std::vector<Queue> handles_;
  std::vector<JobId> ready_;
};

HOLDFAST_ON_EVERY_TARGET(QueueSharesTest);

TEST_P(QueueSharesTest, processes_that_have_lost_jobs_to_others_want_different_ones) {
  EXPECT_EQ(ready().size(), 58u);
  const std::set<JobId> first = share(one());
  const std::set<JobId> second = share(two());
  EXPECT_GT(first.size(), 1u);
  EXPECT_GT(second.size(), 1u);
  for (const JobId& id : first) EXPECT_FALSE(second.contains(id));
}

TEST_P(QueueSharesTest, a_job_that_is_left_to_a_process_which_has_gone_is_taken_by_another_one) {
  for (Queue* handle : {&one(), &two()}) {
    const JobId front = queue().peek(1).at(0).id;
    std::vector<JobId> got;
    for (int claims = 0; claims < 6; ++claims) {
      for (const JobId& id : complete(*handle, handle->receive(1))) got.push_back(id);
    }
    EXPECT_EQ(got.size(), 6u);
    EXPECT_TRUE(std::ranges::count(got, front) == 1);
  }
  std::size_t left = 0;
  for (std::vector<JobId> got; !(got = complete(one(), one().receive(10))).empty();) left += got.size();
  EXPECT_EQ(left, ready().size() - 12);
}

TEST_P(QueueSharesTest, whoever_was_alone_for_a_while_takes_all_in_their_order) {
  advance(seconds(11));
  const std::vector<JobId> got = complete(one(), one().receive(10));
  EXPECT_EQ(got, std::vector<JobId>(ready().begin(), ready().begin() + 10));
}

TEST_P(QueueConcurrencyTest, a_job_whose_lease_is_extended_meanwhile_is_found_and_cancelled) {
  const Sent sent = queue().send("a");
  JobLease lease = receive_one();
  std::atomic<bool> is_enough = false;
  in_threads(2, [&](std::size_t thread) {
    if (thread == 0) {
      for (int i = 0; !is_enough; ++i) {
        try {
          lease = queue().extend(lease, seconds(30) + milliseconds(i % 7));
        } catch (const LeaseLost&) {
          return;
        }
      }
      return;
    }
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(queue().get(sent.id)) << i;
    EXPECT_TRUE(queue().cancel(sent.id));
    is_enough = true;
  });
  EXPECT_FALSE(queue().get(sent.id));
}

TEST_P(QueueConcurrencyTest, whatever_workers_do_each_job_is_done_once_or_dead_and_late_words_are_refused) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  const auto random = seeded_random(seed);
  settings([](QueueSettings& settings) {
    settings.lease = milliseconds(50);
    settings.max_attempts = 3;
    settings.backoff = milliseconds(20);
  });
  const int jobs = GetParam().cheap ? 150 : 40;
  for (int i = 0; i < jobs; ++i) {
    const auto dice = random->next() % 3;
    queue().send(i, {.priority = static_cast<int>(random->next() % 10),
                     .ordering_key = dice == 0 ? "" : std::to_string(random->next() % 4),
                     .unique_key = dice == 1 ? std::to_string(i) : ""});
  }
  std::vector<Delivery> held;
  std::map<JobId, int> completed;
  std::size_t cancelled = 0;
  Queue workers[] = {queue(), queue(), queue()};
  QueueStats waiting;
  waiting.ready = 1;
  for (int step = 0; step < 100'000; ++step) {
    Queue& worker = workers[random->next() % 3];
    if (random->next() % 3 == 0) {
      for (Delivery& job : worker.receive(1 + random->next() % 5)) held.push_back(std::move(job));
    }
    if (random->next() % 4 == 0) advance(milliseconds(random->next() % 30));
    if (step % 20 == 0) check_layout();
    const QueueStats stats = step % 50 == 0 ? worker.stats() : waiting;
    if (held.empty() && stats.ready + stats.delayed + stats.waiting + stats.leased == 0) break;
    if (held.empty()) continue;
    const std::size_t at = random->next() % held.size();
    Delivery job = held[at];
    const bool is_over = clock().now_ms() >= job.lease_ends_at_ms;
    const std::uint64_t what = random->next() % 9;
    bool was_lost = false;
    bool keeps = false;
    if (what < 3) {
      was_lost = is_lost([&] { worker.complete(job); });
      if (!was_lost) ++completed[job.id];
    } else if (what == 3) {
      was_lost = is_lost([&] { worker.fail(job, "no"); });
    } else if (what == 4) {
      was_lost = is_lost([&] { worker.release(job); });
    } else if (what == 5) {
      was_lost = is_lost([&] { worker.extend(job, milliseconds(50)); });
      keeps = !was_lost;
      if (keeps) held[at] = job;
    } else if (what == 6) {
      was_lost = !worker.complete_many(std::span<const Delivery>(&job, 1))[0];
      if (!was_lost) ++completed[job.id];
    } else if (what == 7 && random->next() % 4 == 0) {
      if (worker.cancel(job.id)) ++cancelled;
      // It was cancelled whoever has it by now.
      for (const Delivery& each : held) {
        EXPECT_TRUE(each.id != job.id || is_lost([&] { worker.complete(each); }));
      }
      std::erase_if(held, [&](const Delivery& each) { return each.id == job.id; });
      continue;
    } else {
      was_lost = is_over;  // a crash: nothing more is heard of it
    }
    EXPECT_EQ(was_lost, is_over);
    if (!keeps) held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
  }
  for (const auto& [id, times] : completed) EXPECT_EQ(times, 1) << id;
  const QueueStats stats = queue().stats();
  EXPECT_EQ(completed.size() + stats.dead + cancelled, static_cast<std::size_t>(jobs));
  EXPECT_EQ(stats.ready + stats.delayed + stats.waiting + stats.leased, 0u);
  queue().purge_dead();
  EXPECT_EQ(entries_of_queue(), 0u);
}

}  // namespace
}  // namespace holdfast
