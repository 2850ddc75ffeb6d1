// Workers, and runners of schedules, in processes of their own that are killed at random: what each job has
// done is in the commit of its completion, so the store itself tells whether every job was done once, and in
// the order of its key.
//
// HOLDFAST_QUEUE_JOBS and HOLDFAST_QUEUE_KILLS say how many jobs, and how many of the processes die.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/queue.h"
#include "holdfast/schedules.h"
#include "holdfast/worker.h"
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
constexpr std::uint64_t kSchedules = 10;
constexpr milliseconds kEvery{1'000};

/// The machine's, with a wall clock that is sixty times as fast, from one instant on in all processes.
class FastClock final : public Clock {
 public:
  FastClock() : origin_ms_(machine_->now_ms()) {}
  UnixMs now_ms() override { return origin_ms_ + (machine_->now_ms() - origin_ms_) * 60; }
  Deadline steady_now() override { return machine_->steady_now(); }
  std::int64_t boot_time_ms() override { return machine_->boot_time_ms() * 60; }
  void wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                  Deadline deadline) override {
    machine_->wait_until(condition, lock, deadline);
  }

 private:
  const std::shared_ptr<Clock> machine_ = system_clock();
  const UnixMs origin_ms_;
};

class QueueProcessesTest : public testing::TestWithParam<Target> {
 protected:
  std::shared_ptr<Store> open(std::shared_ptr<Clock> clock = {}) {
    StoreOptions options;
    options.environment.clock = std::move(clock);
    options.sweeper = false;
    return Store::open(GetParam().open(folder_.path(), options.environment.completed()), options);
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

  /// With `are_flows` every fifth job waits for the four before it.
  void send(std::uint64_t jobs, bool are_flows = false) {
    const auto store = open();
    Queue queue(store->database("app"), "q");
    QueueSettings settings;
    settings.lease = kLease;
    settings.max_attempts = 1'000;
    settings.backoff = milliseconds(5);
    settings.backoff_factor = 1;
    queue.set_settings(settings);
    for (std::uint64_t i = 0; i < jobs;) {
      std::vector<NewJob> batch;
      for (; i < jobs && batch.size() < 100; ++i) {
        const bool waits = are_flows && i % 5 == 4;
        const bool is_ordered = i % 4 == 0 && !waits;
        NewJob job{i, {.ordering_key = is_ordered ? "key" + std::to_string(i / 4 % kOrderingKeys) : Bytes()}};
        if (are_flows && !waits) job.parent = batch.size() + (4 - i % 5);
        batch.push_back(std::move(job));
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
        if (is_done(database)) return;
      } catch (const Error& error) {
        if (error.retry() == Retry::never) throw;
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  /// The same by the worker of the library, whose handlers now and then fail at first.
  void work_with_handlers() {
    const auto store = open();
    Database database = store->database("app");
    const Queue queue(database, "q");
    const auto handle = [&](Work& work) {
      const Delivery& job = work.job();
      if (job.attempt == 1 && job.body.json().get<std::uint64_t>() % 25 == 7) {
        throw std::runtime_error("at first it fails");
      }
      work.complete_with(database, [&](Transaction& transaction) { note_done(transaction, job); });
    };
    const Worker worker(queue, {{"", handle}}, {.concurrency = 4, .prefetch = 8});
    for (;;) {
      try {
        if (is_done(database)) return;
      } catch (const Error& error) {
        if (error.retry() == Retry::never) throw;
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  /// What a queue keeps beside its jobs.
  static bool is_of_job(const Entry& entry) {
    return entry.key != "queue/q/settings" && !entry.key.starts_with("queue/q/claimer/");
  }

  /// Costs the same however many jobs there are, where stats() counts them.
  static bool is_done(Database& database) {
    const Range of_jobs[] = {{"queue/q/", "queue/q/claimer/"},
                             {"queue/q/claimer0", "queue/q/settings"},
                             {"queue/q/settings0", "queue/q0"}};
    return database.transact([&](Transaction& transaction) {
      return std::ranges::all_of(of_jobs, [&](const Range& range) {
        return transaction.scan(range, {.limit = 1, .keys_only = true, .snapshot = true}).entries.empty();
      });
    });
  }

  static void note_done(Transaction& transaction, const Delivery& job) {
    for (const JobId& child : job.children) {
      if (!transaction.get("done/" + child)) transaction.put("early/" + job.id, child);
    }
    const Bytes done = "done/" + job.id;
    const std::optional<Entry> before = transaction.get(done);
    transaction.put(done, (before ? before->value : Bytes()) + job.body.text() + ' ');
    // Numbered by the commits.
    if (!job.ordering_key.empty())
      transaction.put_stamped("order/" + job.ordering_key + '/', {}, job.body.text());
  }

  static void do_job(Database& database, Queue& queue, const Delivery& job, bool is_slow) {
    try {
      database.transact([&](Transaction& transaction) {
        note_done(transaction, job);
        queue.complete(transaction, job);
      });
      if (is_slow) throw std::runtime_error("a lease that has ended was good for a completion");
    } catch (const LeaseLost&) {
      // Somebody else has it.
    }
  }

  /// Keeps kWorkers processes going, each of which `start_one` starts, and kills so many of them one after
  /// the other. Returns those that are left.
  std::vector<pid_t> kill_at_random(std::uint64_t seed, const std::function<pid_t()>& start_one) {
    const auto random = seeded_random(seed);
    std::vector<pid_t> running;
    while (running.size() < kWorkers) running.push_back(start_one());
    std::uint64_t killed = 0;
    for (std::uint64_t i = setting("HOLDFAST_QUEUE_KILLS", 20); i > 0; --i) {
      std::this_thread::sleep_for(milliseconds(20 + random->next() % 100));
      pid_t& victim = running[random->next() % kWorkers];
      killed += end(victim) ? 1 : 0;
      victim = start_one();
    }
    std::printf("%llu processes were killed\n", static_cast<unsigned long long>(killed));
    return running;
  }

  /// Kills a process; whether it had not ended by itself, which it may only do well.
  static bool end(pid_t process) {
    kill(process, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(process, &status, 0), process);
    EXPECT_TRUE(WIFSIGNALED(status) || status == 0) << status;
    return WIFSIGNALED(status);
  }

  /// Waits until a process has ended, and ended well.
  static void expect_success(pid_t process) {
    int status = 0;
    EXPECT_EQ(waitpid(process, &status, 0), process);
    EXPECT_EQ(status, 0);
  }

  void expect_each_job_done_once_and_in_order(std::uint64_t jobs) {
    const auto store = open();
    Database database = store->database("app");
    std::map<std::uint64_t, int> times;
    for_each(database, "done/", [&](const Entry& entry) {
      std::istringstream numbers(entry.value);
      for (std::uint64_t number = 0; numbers >> number;) ++times[number];
    });
    EXPECT_EQ(times.size(), jobs);
    for (const auto& [number, count] : times) EXPECT_EQ(count, 1) << "job " << number;
    std::map<Bytes, std::uint64_t> newest;
    for_each(database, "order/", [&](const Entry& entry) {
      const Bytes ordering_key = entry.key.substr(0, entry.key.rfind('/'));
      const std::uint64_t number = std::stoull(entry.value);
      const auto [at, is_first] = newest.try_emplace(ordering_key, number);
      EXPECT_TRUE(is_first || number > at->second)
          << entry.key << ": job " << number << " behind " << at->second;
      at->second = number;
    });
    EXPECT_FALSE(newest.empty());
    for_each(database, "early/",
             [](const Entry& entry) { ADD_FAILURE() << entry.key << " was done before " << entry.value; });
    for_each(database, "queue/q/",
             [](const Entry& entry) { EXPECT_FALSE(is_of_job(entry)) << entry.key << " was left"; });
  }

  template <class Take>
  static void for_each(const Database& database, View prefix, const Take& take) {
    for (Range range = Range::prefix(prefix);;) {
      const Page page = database.scan(range);
      std::ranges::for_each(page.entries, take);
      if (!page.more) break;
      range.begin = page.entries.back().key + '\0';
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
  const std::uint64_t jobs = setting("HOLDFAST_QUEUE_JOBS", 1'000);
  expect_success(start([&] { send(jobs); }));
  std::uint64_t next_seed = seed;
  for (const pid_t worker : kill_at_random(seed, [&] {
         ++next_seed;
         return start([&] { work(next_seed); });
       })) {
    expect_success(worker);
  }
  expect_each_job_done_once_and_in_order(jobs);
}

TEST_P(QueueProcessesTest, handlers_of_workers_that_are_killed_do_every_job_once_and_in_order) {
  const std::uint64_t jobs = setting("HOLDFAST_QUEUE_JOBS", 1'000);
  expect_success(start([&] { send(jobs); }));
  for (const pid_t worker : kill_at_random(testing_support::seed_of_this_run(),
                                           [&] { return start([&] { work_with_handlers(); }); })) {
    expect_success(worker);
  }
  expect_each_job_done_once_and_in_order(jobs);
}

TEST_P(QueueProcessesTest, jobs_wait_for_others_however_many_workers_are_killed) {
  const std::uint64_t jobs = setting("HOLDFAST_QUEUE_JOBS", 1'000);
  expect_success(start([&] { send(jobs, true); }));
  for (const pid_t worker : kill_at_random(testing_support::seed_of_this_run(),
                                           [&] { return start([&] { work_with_handlers(); }); })) {
    expect_success(worker);
  }
  expect_each_job_done_once_and_in_order(jobs);
}

TEST_P(QueueProcessesTest, each_tick_is_one_job_however_many_runners_of_schedules_are_killed) {
  const auto clock = std::make_shared<FastClock>();
  const UnixMs set_after_ms = clock->now_ms();
  expect_success(start([&] {
    const auto store = open(clock);
    Schedules schedules(store->database("app"));
    for (std::uint64_t i = 0; i < kSchedules; ++i) {
      const Bytes name = "s" + std::to_string(i);
      schedules.set({.name = name,
                     .queue = "q",
                     .options = {.kind = name},
                     .every = kEvery,
                     .anchor_ms = static_cast<UnixMs>(i * 97),
                     .missed = MissedRuns::all});
    }
  }));
  const UnixMs set_before_ms = clock->now_ms();
  const std::vector<pid_t> runners = kill_at_random(testing_support::seed_of_this_run(), [&] {
    return start([&] {
      const ScheduleRunner runs(open(clock), {.interval = milliseconds(1), .clock = clock});
      for (;;) pause();
    });
  });
  const auto store = open(clock);
  Schedules schedules(store->database("app"));
  // On a slow machine all of them may have been killed before they came to anything.
  const UnixMs killed_before_ms = clock->now_ms();
  for (std::uint64_t i = 0; i < kSchedules; ++i) {
    const Bytes name = "s" + std::to_string(i);
    while (schedules.get(name)->last_at_ms.value_or(0) < killed_before_ms) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  for (const pid_t runner : runners) EXPECT_TRUE(end(runner));

  std::map<Bytes, std::vector<UnixMs>> ticks;
  Queue queue(store->database("app"), "q");
  for (;;) {
    const std::vector<Delivery> got = queue.receive(250, std::chrono::hours(24));
    for (const Delivery& job : got) ticks[job.kind].push_back(job.run_at_ms.value_or(0));
    if (got.empty()) break;
  }
  EXPECT_EQ(ticks.size(), kSchedules);
  for (auto& [name, found] : ticks) {
    std::ranges::sort(found);
    EXPECT_GT(found.front(), set_after_ms);
    EXPECT_LE(found.front(), set_before_ms + kEvery.count());
    for (std::size_t i = 1; i < found.size(); ++i) EXPECT_EQ(found[i], found[i - 1] + kEvery.count()) << name;
    EXPECT_EQ(found.back(), schedules.get(name)->last_at_ms) << name;
  }
}

}  // namespace
}  // namespace holdfast
