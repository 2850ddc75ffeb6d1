#include "holdfast/worker.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <mutex>
#include <set>

#include "tests/services/stalling_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerTest : public StallingQueueTest {
 protected:
  WorkerOptions options() {
    WorkerOptions options;
    options.clock = clock_pointer();
    options.drain_limit = hours(1);
    options.on_error = [](const std::exception& error) { ADD_FAILURE() << error.what(); };
    return options;
  }
  /// Returns when `worker` has ended so many jobs, in whatever way.
  void until_ended(const Worker& worker, std::uint64_t jobs) {
    until([&] {
      const WorkerMetrics metrics = worker.metrics();
      return metrics.completed + metrics.failed + metrics.released + metrics.lost >= jobs;
    });
  }
};

HOLDFAST_ON_EVERY_TARGET(WorkerTest);

TEST_P(WorkerTest, a_job_is_done_by_the_handler_of_its_kind) {
  queue().send("a", {.kind = "one"});
  queue().send("b", {.kind = "two"});
  queue().send("c");
  std::mutex mutex;
  std::multiset<Bytes> seen;
  const auto note = [&](const Bytes& by) {
    return [&, by](Work& work) {
      const std::scoped_lock lock(mutex);
      seen.insert(by + work.job().body.text());
    };
  };
  {
    const Worker worker(queue(), {{"one", note("1")}, {"two", note("2")}, {"", note("0")}}, options());
    until_ended(worker, 3);
    // What comes later is taken as well.
    queue().send("d", {.kind = "one"});
    until_ended(worker, 4);
    EXPECT_EQ(worker.metrics().completed, 4u);
  }
  EXPECT_EQ(seen, (std::multiset<Bytes>{"1\"a\"", "2\"b\"", "0\"c\"", "1\"d\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(WorkerTest, a_handler_that_throws_has_failed_and_says_what_to_do_next) {
  settings([](QueueSettings& settings) { settings.backoff_jitter = 0; });
  const Sent plain = queue().send("a", {.kind = "plain"});
  const Sent never = queue().send("b", {.kind = "never"});
  const Sent later = queue().send("c", {.kind = "later"});
  const Sent unknown = queue().send("d", {.kind = "unknown"});
  const Sent odd = queue().send("e", {.kind = "odd"});
  const Worker worker(queue(),
                      {{"plain", [](Work&) { throw std::runtime_error("no luck"); }},
                       {"never", [](Work&) { throw WorkFailed("bad", {.is_permanent = true}); }},
                       {"later", [](Work&) { throw WorkFailed("wait", {.retry_in = hours(2)}); }},
                       {"odd", [](Work&) { throw 7; }}},
                      options());
  until_ended(worker, 5);
  EXPECT_EQ(worker.metrics().failed, 5u);
  EXPECT_EQ(queue().get(plain.id)->errors.at(0).text, "no luck");
  EXPECT_EQ(queue().get(plain.id)->run_at_ms, clock().now_ms() + 1'000);
  EXPECT_EQ(queue().get(never.id)->reason, "permanent");
  EXPECT_EQ(queue().get(later.id)->run_at_ms, clock().now_ms() + 7'200'000);
  EXPECT_EQ(queue().get(unknown.id)->errors.at(0).text, "no handler for jobs of the kind \"unknown\"");
  EXPECT_EQ(queue().get(odd.id)->errors.size(), 1u);
}

TEST_P(WorkerTest, a_fallback_does_the_jobs_of_all_other_kinds) {
  queue().send("a", {.kind = "unknown"});
  WorkerOptions with_fallback = options();
  with_fallback.fallback = [](Work&) {};
  const Worker worker(queue(), {}, with_fallback);
  until_ended(worker, 1);
  EXPECT_EQ(worker.metrics().completed, 1u);
}

TEST_P(WorkerTest, leases_are_extended_while_jobs_run_and_while_they_wait) {
  queue().send("a", {.kind = "k"});
  queue().send("b", {.kind = "k"});
  std::latch go(1);
  WorkerOptions one = options();
  one.concurrency = 1;
  one.prefetch = 1;
  const Worker worker(queue(), {{"k", [&](Work&) { go.wait(); }}}, one);
  until([&] { return worker.metrics().running == 1 && worker.metrics().prefetched == 1; });
  for (std::uint64_t i = 1; i <= 6; ++i) {
    advance(seconds(15));
    until([&] { return worker.metrics().extended >= 2 * i; });
  }
  EXPECT_TRUE(queue().receive(10).empty());
  go.count_down();
  until_ended(worker, 2);
  EXPECT_EQ(worker.metrics().completed, 2u);
  EXPECT_EQ(worker.metrics().lost, 0u);
}

TEST_P(WorkerTest, a_handler_is_asked_to_stop_when_its_job_is_cancelled) {
  const Sent sent = queue().send("a", {.kind = "k"});
  std::atomic<bool> has_stopped = false;
  Worker worker(queue(),
                {{"k",
                  [&](Work& work) {
                    // What it has called then may call the worker.
                    const std::stop_callback on_stop(work.stop(), [&] { work.log("stopped"); });
                    while (!work.stop().stop_requested()) std::this_thread::yield();
                    has_stopped = true;
                  }}},
                options());
  until([&] { return worker.metrics().running == 1; });
  EXPECT_TRUE(queue().cancel(sent.id));
  advance(seconds(15));
  until([&] { return has_stopped.load(); });
  EXPECT_TRUE(worker.drain(hours(1)));
  EXPECT_EQ(worker.metrics().lost, 1u);
  EXPECT_EQ(worker.metrics().completed, 0u);
}

TEST_P(WorkerTest, progress_and_lines_can_be_read_while_the_job_runs_and_stay_with_it) {
  const Sent sent = queue().send("a", {.kind = "k"});
  std::latch has_noted(1);
  std::latch go(1);
  const Worker worker(queue(),
                      {{"k",
                        [&](Work& work) {
                          work.progress(0.25);
                          work.log("begun");
                          has_noted.count_down();
                          go.wait();
                          work.log(Bytes(600, 'x'));
                          throw WorkFailed("no", {.is_permanent = true});
                        }}},
                      options());
  has_noted.wait();
  advance(seconds(1));
  std::optional<Job> job;
  until([&] {
    job = queue().get(sent.id);
    return job->progress.has_value() && !job->log.empty();
  });
  EXPECT_EQ(job->state, JobState::leased);
  EXPECT_EQ(job->progress, 0.25);
  EXPECT_EQ(job->log.at(0).text, "begun");
  go.count_down();
  until_ended(worker, 1);
  job = queue().get(sent.id);
  EXPECT_EQ(job->state, JobState::dead);
  ASSERT_EQ(job->log.size(), 2u);
  EXPECT_EQ(job->log[1].text, Bytes(limits::kJobLogBytes, 'x'));
}

TEST_P(WorkerTest, results_and_notes_are_kept_with_completed_jobs) {
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  const Sent result = queue().send("a", {.kind = "result"});
  const Sent note = queue().send("b", {.kind = "note"});
  const Worker worker(
      queue(),
      {{"result", [](Work& work) { work.set_result(42); }}, {"note", [](Work& work) { work.progress(1); }}},
      options());
  until_ended(worker, 2);
  EXPECT_EQ(queue().get(result.id)->result->text(), "42");
  EXPECT_EQ(queue().get(note.id)->progress, 1.0);
}

TEST_P(WorkerTest, of_lines_the_newest_are_kept) {
  const Sent sent = queue().send("a");
  JobLease lease = receive_one();
  for (std::size_t i = 0; i < 3; ++i) {
    JobNotes notes;
    for (std::size_t line = 0; line < limits::kJobLogLines; ++line) notes.lines.push_back(std::to_string(i));
    lease = queue().note(lease, notes);
  }
  const Job job = queue().get(sent.id).value();
  EXPECT_EQ(job.log.size(), limits::kJobLogLines);
  EXPECT_EQ(job.log.front().text, "2");
  advance(seconds(30));
  EXPECT_TRUE(is_lost([&] { queue().note(lease, {.progress = 1}); }));
}

TEST_P(WorkerTest, work_and_its_completion_are_one_commit) {
  queue().send("a", {.kind = "k"});
  std::atomic<int> attempts = 0;
  const Worker worker(
      queue(),
      {{"k",
        [&](Work& work) {
          if (++attempts == 1) {
            work.complete_with(database(), [](Transaction& transaction) {
              transaction.put("effect", "never");
              throw WorkFailed("not yet", {.retry_in = milliseconds(0)});
            });
          }
          EXPECT_FALSE(database().get("effect"));
          work.complete_with(database(), [](Transaction& transaction) { transaction.put("effect", "once"); });
          throw std::runtime_error("too late to fail");
        }}},
      options());
  until([&] { return worker.metrics().completed == 1; });
  EXPECT_EQ(database().get("effect")->value, "once");
  EXPECT_EQ(attempts, 2);
  until([&] { return worker.metrics().running == 0; });
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(WorkerTest, a_drain_gives_back_what_has_not_begun_and_waits_for_what_has) {
  for (int i = 0; i < 5; ++i) queue().send(i, {.kind = "k"});
  std::latch go(1);
  WorkerOptions one = options();
  one.concurrency = 1;
  one.prefetch = 4;
  Worker worker(queue(), {{"k", [&](Work&) { go.wait(); }}}, one);
  until([&] { return worker.metrics().prefetched == 4; });
  std::thread drain([&] { EXPECT_TRUE(worker.drain(hours(1))); });
  until([&] { return worker.metrics().released == 4; });
  go.count_down();
  drain.join();
  EXPECT_EQ(worker.metrics().completed, 1u);
  const std::vector<Delivery> rest = queue().receive(10);
  EXPECT_EQ(rest.size(), 4u);
  for (const Delivery& job : rest) EXPECT_EQ(job.attempt, 1u);
  // And takes no more.
  queue().send("late", {.kind = "k"});
  EXPECT_TRUE(worker.drain(hours(1)));
  EXPECT_EQ(worker.metrics().taken, 5u);
}

TEST_P(WorkerTest, at_the_limit_of_a_drain_handlers_are_asked_to_stop_and_their_jobs_given_back) {
  queue().send("a", {.kind = "k"});
  Worker worker(queue(),
                {{"k",
                  [](Work& work) {
                    while (!work.stop().stop_requested()) std::this_thread::yield();
                    throw std::runtime_error("interrupted, which is no failure");
                  }}},
                options());
  until([&] { return worker.metrics().running == 1; });
  EXPECT_FALSE(worker.drain(seconds(0)));
  EXPECT_EQ(worker.metrics().released, 1u);
  EXPECT_EQ(worker.metrics().failed, 0u);
  EXPECT_EQ(receive_one().attempt, 1u);
}

TEST_P(WorkerTest, a_drain_at_its_limit_gives_back_what_a_receive_under_way_brings) {
  if (!GetParam().shared) GTEST_SKIP() << "one process";
  queue().send("a");
  std::latch is_stopped(1);
  std::latch is_stalled(1);
  WorkerOptions two = options();
  two.concurrency = 2;
  Worker worker(stalling_queue(),
                {{"",
                  [&](Work& work) {
                    while (!work.stop().stop_requested()) std::this_thread::yield();
                    is_stopped.count_down();
                  }}},
                two);
  until([&] { return worker.metrics().running == 1; });
  // Of the two commits to come the first sends, the second leases.
  backend().stall_next([&] {
    backend().stall_next([&] {
      is_stalled.count_down();
      is_stopped.wait();
    });
  });
  stalling_queue().send("b");
  is_stalled.wait();
  EXPECT_FALSE(worker.drain(seconds(0)));
  EXPECT_EQ(worker.metrics().prefetched, 0u);
  EXPECT_EQ(queue().receive(10).size() + worker.metrics().completed, 2u);
}

TEST_P(WorkerTest, jobs_are_taken_and_completed_many_at_once) {
  constexpr std::size_t kJobs = 400;
  for (std::size_t sent = 0; sent < kJobs; sent += 200) {
    queue().send_many(std::vector<NewJob>(200, NewJob{"a", {.kind = "k"}}));
  }
  WorkerOptions many = options();
  many.prefetch = 100;
  std::latch all_taken(1);
  const Worker worker(queue(), {{"k", [&](Work&) { all_taken.wait(); }}}, many);
  until([&] { return worker.metrics().prefetched == 100; });
  EXPECT_EQ(worker.metrics().receives, 1u);
  all_taken.count_down();
  until_ended(worker, kJobs);
  EXPECT_EQ(worker.metrics().completed, kJobs);
  // At least half of what is taken ahead comes with each.
  EXPECT_LE(worker.metrics().receives, kJobs / 50 + 1);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(WorkerTest, workers_of_several_processes_do_every_job_once_and_those_of_an_ordering_key_in_order) {
  const int jobs = GetParam().cheap ? 300 : 60;
  std::vector<NewJob> batch;
  for (int i = 0; i < jobs; ++i) {
    batch.push_back({i, {.kind = "k", .ordering_key = i % 3 == 0 ? "" : std::to_string(i % 5)}});
    if (batch.size() < 50 && i + 1 < jobs) continue;
    queue().send_many(batch);
    batch.clear();
  }
  std::mutex mutex;
  std::multiset<int> seen;
  std::map<Bytes, int> last;
  const auto handler = [&](Work& work) {
    const std::scoped_lock lock(mutex);
    const int number = work.job().body.json();
    seen.insert(number);
    if (work.job().ordering_key.empty()) return;
    int& before = last.try_emplace(work.job().ordering_key, -1).first->second;
    EXPECT_LT(before, number);
    before = number;
  };
  std::vector<std::shared_ptr<Store>> stores;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 3; ++i) {
    stores.push_back(GetParam().shared ? open() : store());
    Queue own(stores.back()->database("app"), "q", {.clock = clock_pointer()});
    WorkerOptions many = options();
    many.prefetch = 10;
    workers.push_back(std::make_unique<Worker>(own, std::map<Bytes, WorkHandler>{{"k", handler}}, many));
  }
  until([&] {
    std::uint64_t completed = 0;
    for (const auto& worker : workers) completed += worker->metrics().completed;
    return completed >= static_cast<std::uint64_t>(jobs);
  });
  workers.clear();
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(jobs));
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), seen.size());
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(WorkerTest, what_is_no_option_is_refused) {
  const auto refuses = [&](auto&& change) {
    WorkerOptions wrong = options();
    change(wrong);
    EXPECT_EQ(code_of([&] { const Worker worker(queue(), {}, wrong); }), Code::invalid_argument);
  };
  refuses([](WorkerOptions& o) { o.concurrency = 0; });
  refuses([](WorkerOptions& o) { o.concurrency = 1'001; });
  refuses([](WorkerOptions& o) { o.prefetch = 1'001; });
  refuses([](WorkerOptions& o) { o.lease = hours(25); });
  refuses([](WorkerOptions& o) { o.note_interval = milliseconds(0); });
}

}  // namespace
}  // namespace holdfast
