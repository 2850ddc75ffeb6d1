// Workers in processes of their own that are killed at random: what each job has done is in the commit of its
// completion, so the store itself tells whether every job was done once, and in the order of its key.
//
// HOLDFAST_QUEUE_JOBS and HOLDFAST_QUEUE_KILLS say how many jobs, and how many of the workers die.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/queue.h"
#include "tests/support/settings.h"
#include "tests/support/targets.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using testing_support::setting;
using testing_support::Target;

constexpr std::size_t kWorkers = 8;
constexpr std::uint64_t kOrderingKeys = 10;
constexpr milliseconds kLease{300};

class QueueProcessesTest : public testing::TestWithParam<Target> {
 protected:
  std::shared_ptr<Store> open() {
    StoreOptions options;
    options.sweeper = false;
    return Store::open(GetParam().open(folder_.path(), Environment().completed()), options);
  }

  /// Runs `work` in a process of its own; this one must have no store open.
  template <class Work>
  static pid_t start(const Work& work) {
    const pid_t child = fork();
    if (child != 0) return child;
    try {
      work();
      _exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "a worker has failed: %s\n", error.what());
    }
    _exit(1);
  }

  void send(std::uint64_t jobs) {
    const auto store = open();
    Queue queue(store->database("app"), "q");
    QueueSettings settings;
    settings.lease = kLease;
    settings.max_attempts = 1'000;
    queue.set_settings(settings);
    for (std::uint64_t i = 0; i < jobs;) {
      std::vector<NewJob> batch;
      for (; i < jobs && batch.size() < 100; ++i) {
        const bool is_ordered = i % 4 == 0;
        batch.push_back(
            {i, {.ordering_key = is_ordered ? "key" + std::to_string(i / 4 % kOrderingKeys) : Bytes()}});
      }
      queue.send_many(batch);
    }
  }

  /// Works until there is nothing left.
  void work(std::uint64_t seed) {
    const auto store = open();
    Database database = store->database("app");
    Queue queue(database, "q");
    const auto random = seeded_random(seed);
    for (;;) {
      try {
        const std::vector<Delivery> got = queue.receive(1 + random->next() % 20);
        // Now and then one is too slow: its jobs are delivered again, and what it says then is refused.
        const bool is_slow = random->next() % 50 == 0;
        if (is_slow) std::this_thread::sleep_for(kLease + milliseconds(50));
        for (const Delivery& job : got) do_job(database, queue, job, is_slow);
        if (!got.empty()) continue;
        const QueueStats stats = queue.stats();
        if (stats.ready + stats.delayed + stats.waiting + stats.leased == 0) return;
      } catch (const Error& error) {
        if (error.retry() == Retry::never) throw;
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  static void do_job(Database& database, Queue& queue, const Delivery& job, bool is_slow) {
    try {
      database.transact([&](Transaction& transaction) {
        const auto append = [&](const Bytes& key, const Bytes& text) {
          const std::optional<Entry> entry = transaction.get(key);
          transaction.put(key, (entry ? entry->value : Bytes()) + text + ' ');
        };
        append("done/" + job.id, job.body.text());
        if (!job.ordering_key.empty()) append("order/" + job.ordering_key, job.body.text());
        queue.complete(transaction, job);
      });
      if (is_slow) throw std::runtime_error("a lease that has ended was good for a completion");
    } catch (const LeaseLost&) {
      // Somebody else has it.
    }
  }

 private:
  testing_support::TemporaryFolder folder_;
};

std::vector<Target> shared_targets() {
  std::vector<Target> shared;
  for (const Target& target : testing_support::targets()) {
    if (target.shared) shared.push_back(target);
  }
  return shared;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(QueueProcessesTest);
INSTANTIATE_TEST_SUITE_P(On, QueueProcessesTest, testing::ValuesIn(shared_targets()),
                         [](const auto& target) { return target.param.test_name(); });

TEST_P(QueueProcessesTest, every_job_is_done_once_and_in_order_however_many_workers_are_killed) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  const auto random = seeded_random(seed);
  const std::uint64_t jobs = setting("HOLDFAST_QUEUE_JOBS", 1'000);
  const std::uint64_t kills = setting("HOLDFAST_QUEUE_KILLS", 20);
  int status = 0;
  const pid_t producer = start([&] { send(jobs); });
  ASSERT_EQ(waitpid(producer, &status, 0), producer);
  ASSERT_EQ(status, 0);

  std::vector<pid_t> workers;
  std::uint64_t next_seed = seed;
  const auto start_worker = [&] {
    ++next_seed;
    return start([&] { work(next_seed); });
  };
  while (workers.size() < kWorkers) workers.push_back(start_worker());
  std::uint64_t killed = 0;
  for (std::uint64_t i = 0; i < kills; ++i) {
    std::this_thread::sleep_for(milliseconds(20 + random->next() % 100));
    pid_t& victim = workers[random->next() % kWorkers];
    kill(victim, SIGKILL);
    ASSERT_EQ(waitpid(victim, &status, 0), victim);
    if (WIFSIGNALED(status)) {
      ++killed;
    } else {
      EXPECT_EQ(status, 0);  // it had nothing left to do
    }
    victim = start_worker();
  }
  for (const pid_t worker : workers) {
    ASSERT_EQ(waitpid(worker, &status, 0), worker);
    EXPECT_EQ(status, 0);
  }
  std::printf("%llu workers were killed\n", static_cast<unsigned long long>(killed));

  const auto store = open();
  Database database = store->database("app");
  std::map<std::uint64_t, int> times;
  for (Range range = Range::prefix("done/");;) {
    const Page page = database.scan(range);
    for (const Entry& entry : page.entries) {
      std::istringstream numbers(entry.value);
      for (std::uint64_t number = 0; numbers >> number;) ++times[number];
    }
    if (!page.more) break;
    range.begin = page.entries.back().key + '\0';
  }
  EXPECT_EQ(times.size(), jobs);
  for (const auto& [number, count] : times) EXPECT_EQ(count, 1) << "job " << number;
  for (const Entry& entry : database.scan(Range::prefix("order/")).entries) {
    std::istringstream numbers(entry.value);
    std::vector<std::uint64_t> order;
    for (std::uint64_t number = 0; numbers >> number;) order.push_back(number);
    EXPECT_TRUE(std::ranges::is_sorted(order)) << entry.key;
  }
  for (const Entry& entry : database.scan(Range::prefix("queue/q/")).entries) {
    EXPECT_EQ(entry.key, "queue/q/settings") << "something was left";
  }
}

}  // namespace
}  // namespace holdfast
