#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "tests/services/queue_fixture.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class QueueLimitsTest : public QueueTest {
 protected:
  /// Sends `jobs` numbers for a tenant.
  void send_numbers(int jobs, const Bytes& tenant) {
    std::vector<NewJob> batch;
    for (int i = 0; i < jobs; ++i) {
      batch.push_back({i, {.tenant = tenant}});
      if (batch.size() < 250 && i + 1 < jobs) continue;
      queue().send_many(batch);
      batch.clear();
    }
  }
  static Bytes tenants_of(const std::vector<Delivery>& jobs) {
    Bytes tenants;
    for (const Delivery& job : jobs) tenants += job.tenant.empty() ? "-" : job.tenant;
    return tenants;
  }
};

HOLDFAST_ON_EVERY_TARGET(QueueLimitsTest);

// ---- Concurrency and rate

TEST_P(QueueLimitsTest, no_more_jobs_are_leased_at_once_than_the_settings_allow) {
  settings([](QueueSettings& settings) { settings.max_leased = 3; });
  queue().send_many(std::vector<NewJob>(10));
  Queue other = queue();
  std::vector<Delivery> got = queue().receive(2);
  EXPECT_EQ(got.size(), 2u);
  EXPECT_EQ(other.receive(5).size(), 1u);
  EXPECT_TRUE(queue().receive(5).empty());
  queue().complete(got[0]);
  queue().release(got[1]);
  EXPECT_EQ(other.receive(5).size(), 2u);
  EXPECT_TRUE(other.receive(5).empty());
  // Leases that have ended make room for themselves.
  advance(seconds(30));
  EXPECT_EQ(other.receive(5).size(), 3u);
  EXPECT_EQ(queue().stats().leased, 3u);
  EXPECT_TRUE(other.receive(5).empty());
}

TEST_P(QueueLimitsTest, processes_that_receive_at_once_keep_to_the_limit_of_leased_jobs) {
  settings([](QueueSettings& settings) { settings.max_leased = 5; });
  const std::size_t jobs = GetParam().cheap ? 300 : 60;
  for (std::size_t i = 0; i < jobs; i += 20) queue().send_many(std::vector<NewJob>(20));
  std::atomic<int> leased = 0;
  std::atomic<std::size_t> done = 0;
  in_threads(3, [&](std::size_t) {
    Queue own = queue();
    while (done < jobs) {
      for (const Delivery& job : own.receive(4)) {
        EXPECT_LE(++leased, 5);
        --leased;
        own.complete(job);
        ++done;
      }
    }
  });
  EXPECT_EQ(done, jobs);
}

TEST_P(QueueLimitsTest, no_time_sees_more_deliveries_than_the_rate_and_its_burst) {
  const auto random = seeded_random(testing_support::seed_of_this_run());
  settings([](QueueSettings& settings) {
    settings.rate = 7;
    settings.rate_interval = milliseconds(1'000);
    settings.rate_burst = 10;
  });
  queue().send_many(std::vector<NewJob>(200));
  Queue workers[] = {queue(), queue()};
  std::vector<UnixMs> times;
  const UnixMs begin = clock().now_ms();
  while (times.size() < 60) {
    const std::size_t got = workers[random->next() % 2].receive(1 + random->next() % 20).size();
    times.insert(times.end(), got, clock().now_ms());
    advance(milliseconds(random->next() % 400));
  }
  for (std::size_t from = 0; from < times.size(); ++from) {
    for (std::size_t to = from; to < times.size(); ++to) {
      EXPECT_LE((to - from + 1) * 1'000, 10'000u + 7u * static_cast<std::size_t>(times[to] - times[from]));
    }
  }
  // Nor is the rate missed by those who ask often.
  EXPECT_GE(static_cast<std::size_t>(times.back() - begin) * 7 + 10'000, times.size() * 1'000);
  advance(seconds(100));
  EXPECT_EQ(queue().receive(50).size(), 10u);
  advance(milliseconds(142));
  EXPECT_TRUE(queue().receive(50).empty());
  advance(milliseconds(1));
  EXPECT_EQ(queue().receive(50).size(), 1u);
}

TEST_P(QueueLimitsTest, limits_can_be_changed_and_lifted) {
  queue().send_many(std::vector<NewJob>(30));
  settings([](QueueSettings& settings) { settings.rate = 2; });
  EXPECT_EQ(queue().receive(50).size(), 2u);
  settings([](QueueSettings& settings) {
    settings.rate = 0;
    settings.max_leased = 6;
  });
  EXPECT_EQ(queue().receive(50).size(), 4u);
  settings([](QueueSettings& settings) { settings.max_leased = 0; });
  EXPECT_EQ(queue().receive(50).size(), 24u);
}

// ---- Tenants

TEST_P(QueueLimitsTest, tenants_take_turns_and_those_without_one_are_one_of_them) {
  send_numbers(20, "a");
  send_numbers(3, "b");
  send_numbers(4, "");
  send_numbers(2, "c");
  EXPECT_EQ(tenants_of(queue().receive(14)), "-abc-abc-ab-aa");
  Queue shared = queue();
  queue().receive(250);
  advance(seconds(30));
  send_numbers(2, "d");
  Bytes tenants;
  for (int i = 0; i < 40; ++i) tenants += tenants_of(shared.receive(1));
  EXPECT_EQ(std::count(tenants.begin(), tenants.end(), 'a'), 20);
  EXPECT_LT(tenants.rfind('d'), 10u);
  EXPECT_LT(tenants.rfind('c'), 10u);
}

TEST_P(QueueLimitsTest, weights_say_how_many_jobs_a_turn_has) {
  settings([](QueueSettings& settings) { settings.weights = {{"a", 3}, {"", 2}}; });
  send_numbers(30, "a");
  send_numbers(30, "b");
  send_numbers(30, "");
  EXPECT_EQ(tenants_of(queue().receive(20)), "--aaab--aaab--aaab--");
  Queue one_by_one = queue();
  Bytes tenants;
  for (int i = 0; i < 12; ++i) tenants += tenants_of(one_by_one.receive(1));
  EXPECT_EQ(tenants, "--aaab--aaab");
}

TEST_P(QueueLimitsTest, priorities_and_order_count_within_a_tenant) {
  queue().send("a1", {.tenant = "a"});
  queue().send("a2", {.priority = 0, .tenant = "a"});
  queue().send("b1", {.priority = 9, .tenant = "b"});
  queue().send("a3", {.delay = seconds(1), .priority = 0, .tenant = "a"});
  advance(seconds(1));
  EXPECT_EQ(texts(), (Texts{"\"a2\"", "\"b1\"", "\"a3\"", "\"a1\""}));
}

TEST_P(QueueLimitsTest, no_tenant_starves) {
  // In any 2 W deliveries of one handle, W being the weights of all tenants, one that always has jobs gets
  // its weight at least.
  const auto random = seeded_random(testing_support::seed_of_this_run());
  std::map<Bytes, std::uint32_t> weights;
  const std::size_t tenants = GetParam().cheap ? 70 : 8;
  std::size_t total = 1;  // those without a tenant
  for (std::size_t i = 0; i < tenants; ++i) {
    const Bytes tenant = "t" + std::to_string(i);
    weights[tenant] = 1 + static_cast<std::uint32_t>(random->next() % 4);
    total += weights[tenant];
  }
  settings([&](QueueSettings& settings) { settings.weights = weights; });
  // A few are always busy, one of them with far more jobs than the others; the rest comes and goes.
  const std::vector<Bytes> busy = {"t0", "t1", "t2"};
  for (const Bytes& tenant : busy) send_numbers(GetParam().cheap ? 1'500 : 250, tenant);
  send_numbers(GetParam().cheap ? 1'500 : 250, "t0");
  std::vector<Bytes> delivered;
  Queue worker = queue();
  while (delivered.size() < 5 * total) {
    for (std::size_t i = random->next() % 6; i > 0; --i) {
      worker.send(nullptr, {.tenant = "t" + std::to_string(3 + random->next() % (tenants - 3))});
    }
    for (const Delivery& job : worker.receive(1 + random->next() % 30)) {
      delivered.push_back(job.tenant);
      worker.complete(job);
    }
  }
  for (const Bytes& tenant : busy) {
    for (std::size_t from = 0; from + 2 * total <= delivered.size(); ++from) {
      const auto begin = delivered.begin() + static_cast<std::ptrdiff_t>(from);
      const auto got = std::count(begin, begin + static_cast<std::ptrdiff_t>(2 * total), tenant);
      ASSERT_GE(got, weights[tenant]) << tenant << " from " << from << ", W " << total;
    }
  }
  check_layout();
}

TEST_P(QueueLimitsTest, jobs_of_tenants_are_listed_found_cancelled_and_purged) {
  const JobId first = queue().send("1", {.ordering_key = "o", .tenant = "a/b"}).id;
  const JobId second = queue().send("2", {.ordering_key = "o", .tenant = "c"}).id;
  const JobId third = queue().send("3", {.delay = hours(1), .tenant = "a/b"}).id;
  queue().send("4", {.tenant = Bytes(400, 't')});
  EXPECT_EQ(queue().get(first)->state, JobState::ready);
  EXPECT_EQ(queue().get(first)->tenant, "a/b");
  EXPECT_EQ(queue().get(second)->state, JobState::waiting);
  EXPECT_EQ(queue().get(third)->state, JobState::delayed);
  EXPECT_EQ(queue().list(JobState::ready).items.size(), 2u);
  EXPECT_EQ(queue().stats().ready, 2u);
  check_layout();
  EXPECT_TRUE(queue().cancel(first));
  EXPECT_EQ(queue().get(second)->state, JobState::ready);
  check_layout();
  const std::vector<Delivery> got = queue().receive(10);
  ASSERT_EQ(got.size(), 2u);
  queue().fail(got[0], "no", {.is_permanent = true});
  queue().release(got[1]);
  EXPECT_EQ(queue().requeue_dead(), 1u);
  check_layout();
  EXPECT_EQ(queue().purge(), 3u);
  EXPECT_EQ(stored_entries(), 0u);
}

// ---- Unique keys after the end of a job

TEST_P(QueueLimitsTest, a_unique_key_can_stay_taken_after_completion) {
  const SendOptions options{.unique_key = "k", .unique_after_completion = seconds(10)};
  const Sent first = queue().send("a", options);
  EXPECT_FALSE(queue().send("b", options).is_new);
  queue().complete(receive_one());
  advance(milliseconds(9'999));
  const Sent blocked = queue().send("c", options);
  EXPECT_FALSE(blocked.is_new);
  EXPECT_EQ(blocked.id, first.id);
  advance(milliseconds(1));
  const Sent second = queue().send("d", options);
  EXPECT_TRUE(second.is_new);
  EXPECT_NE(second.id, first.id);
  queue().fail(receive_one(), "no", {.is_permanent = true});
  EXPECT_TRUE(queue().send("e", options).is_new);
  EXPECT_TRUE(queue().cancel(queue().peek().at(0).id));
  EXPECT_TRUE(queue().send("f", options).is_new);
}

TEST_P(QueueLimitsTest, a_unique_key_can_stay_taken_after_death) {
  const SendOptions options{.unique_key = "k", .unique_after_death = seconds(10)};
  const Sent first = queue().send("a", options);
  queue().fail(receive_one(), "no", {.is_permanent = true});
  EXPECT_EQ(queue().send("b", options).id, first.id);
  EXPECT_TRUE(queue().requeue(first.id));
  advance(seconds(20));
  EXPECT_FALSE(queue().send("c", options).is_new);
  queue().complete(receive_one());
  EXPECT_TRUE(queue().send("d", options).is_new);
  EXPECT_EQ(code_of([&] { queue().send("e", {.unique_after_death = seconds(1)}); }), Code::invalid_argument);
}

}  // namespace
}  // namespace holdfast
