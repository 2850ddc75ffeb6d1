#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "holdfast/queue.h"
#include "tests/services/queue_fixture.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class QueueFlowsTest : public QueueTest {
 protected:
  /// Sends jobs that a last one waits for, which comes last in what is returned: "0", "1" ... and "parent".
  std::vector<JobId> send_flow(std::size_t children, ChildFailure failure = ChildFailure::wait,
                               const SendOptions& options = {}) {
    std::vector<NewJob> jobs;
    for (std::size_t i = 0; i < children; ++i) jobs.push_back({i, {}, children});
    jobs.push_back({"parent", options, {}, failure});
    return ids_of(queue().send_many(jobs));
  }
  static std::vector<JobId> ids_of(const std::vector<Sent>& sent) {
    std::vector<JobId> ids;
    for (const Sent& each : sent) ids.push_back(each.id);
    return ids;
  }
  JobState state(const JobId& id) {
    const std::optional<Job> job = queue().get(id);
    EXPECT_TRUE(job) << id;
    return job ? job->state : JobState::completed;
  }
  void expect_died_of(const JobId& parent, const JobId& child, const Bytes& how) {
    const std::optional<Job> job = queue().get(parent);
    ASSERT_TRUE(job);
    EXPECT_EQ(job->state, JobState::dead);
    EXPECT_EQ(job->reason, "child_failed");
    ASSERT_FALSE(job->errors.empty());
    EXPECT_EQ(job->errors.back().text, "the job " + child + " " + how);
  }
  void kill_one() { EXPECT_EQ(queue().fail(receive_one(), "no", {.is_permanent = true}), JobState::dead); }
};

HOLDFAST_ON_EVERY_TARGET(QueueFlowsTest);

// ---- Waiting

TEST_P(QueueFlowsTest, a_job_is_delivered_when_all_that_it_waits_for_are_completed) {
  const std::vector<JobId> ids = send_flow(3);
  EXPECT_EQ(queue().stats().blocked, 1u);
  const std::vector<JobId> children(ids.begin(), ids.end() - 1);
  std::vector<Delivery> got = queue().receive(10);
  ASSERT_EQ(got.size(), 3u);
  for (std::size_t done = 0; done < 3; ++done) {
    const std::optional<Job> parent = queue().get(ids[3]);
    ASSERT_TRUE(parent);
    EXPECT_EQ(parent->state, JobState::blocked);
    EXPECT_EQ(parent->children, children);
    EXPECT_EQ(parent->waits_for,
              std::vector<JobId>(children.begin() + static_cast<int>(done), children.end()));
    EXPECT_EQ(queue().get(ids[2])->parent, ids[3]);
    EXPECT_EQ(queue().list(JobState::blocked).items.at(0).id, ids[3]);
    EXPECT_TRUE(queue().receive().empty());
    check_layout();
    queue().complete(got[done]);
  }
  const Delivery parent = receive_one();
  EXPECT_EQ(parent.id, ids[3]);
  EXPECT_EQ(parent.body.text(), "\"parent\"");
  EXPECT_EQ(parent.children, children);
  EXPECT_EQ(parent.attempt, 1u);
  EXPECT_EQ(queue().stats().blocked, 0u);
  queue().complete(parent);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, jobs_and_who_waits_for_them_are_sent_by_one_commit_that_conflicts_with_nothing) {
  const Seq before = database().position().seq;
  send_flow(249);
  EXPECT_EQ(database().position().seq, before + 1);
  EXPECT_EQ(queue().stats().ready, 249u);
}

TEST_P(QueueFlowsTest, the_commit_that_completes_the_last_one_makes_who_waits_ready) {
  send_flow(249);
  const std::vector<Delivery> got = queue().receive(250);
  ASSERT_EQ(got.size(), 249u);
  const Seq before = database().position().seq;
  EXPECT_EQ(queue().complete_many(std::span(got).subspan(1)), std::vector<bool>(248, true));
  EXPECT_TRUE(queue().receive().empty());
  queue().complete(got[0]);
  EXPECT_EQ(database().position().seq, before + 2);
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, many_parents_get_free_within_one_call) {
  std::vector<NewJob> jobs;
  for (std::size_t i = 0; i < 125; ++i) {
    jobs.push_back({nullptr, {}, 2 * i + 1});
    jobs.push_back({nullptr, {.ordering_key = std::to_string(i), .tenant = "t"}});
  }
  queue().send_many(jobs);
  const std::vector<Delivery> got = queue().receive(250);
  ASSERT_EQ(got.size(), 125u);
  EXPECT_EQ(queue().complete_many(got), std::vector<bool>(125, true));
  check_layout();
  EXPECT_EQ(queue().receive(250).size(), 125u);
}

TEST_P(QueueFlowsTest, jobs_wait_for_jobs_that_wait) {
  queue().send_many(std::vector<NewJob>{
      {"a1", {}, 2}, {"a2", {}, 2}, {"a", {.priority = 9}, 4}, {"b", {}, 4}, {"all", {.priority = 0}}});
  EXPECT_EQ(work_off(), (Texts{"\"a1\"", "\"a2\"", "\"b\"", "\"a\"", "\"all\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, who_waits_reads_what_the_others_have_given_while_it_is_kept) {
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  send_flow(2);
  for (int i = 0; i < 2; ++i) queue().complete(receive_one(), Payload(10 + i));
  const Delivery parent = receive_one();
  ASSERT_EQ(parent.children.size(), 2u);
  EXPECT_EQ(queue().get(parent.children[0])->result->text(), "10");
  EXPECT_EQ(queue().get(parent.children[1])->result->text(), "11");
}

TEST_P(QueueFlowsTest, failures_and_leases_that_end_do_not_let_anybody_pass_who_waits) {
  send_flow(2);
  queue().fail(receive_one(), "no");
  queue().complete(receive_one());
  advance(seconds(2));
  EXPECT_EQ(receive_one().attempt, 2u);
  advance(seconds(30));
  const Delivery again = receive_one();
  EXPECT_EQ(again.attempt, 3u);
  EXPECT_TRUE(queue().receive().empty());
  queue().complete(again);
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
}

TEST_P(QueueFlowsTest, a_delay_counts_from_the_send_whoever_is_waited_for) {
  const std::vector<JobId> early = send_flow(1, ChildFailure::wait, {.delay = seconds(10)});
  EXPECT_EQ(queue().get(early[1])->run_at_ms, clock().now_ms() + 10'000);
  queue().complete(receive_one());
  EXPECT_EQ(state(early[1]), JobState::delayed);
  const std::vector<JobId> late = send_flow(1, ChildFailure::wait, {.delay = seconds(5)});
  advance(seconds(10));
  EXPECT_EQ(work_off(), (Texts{"\"parent\"", "0", "\"parent\""}));
}

TEST_P(QueueFlowsTest, who_waits_is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  send_flow(2);
  queue().complete(receive_one());
  reopen();
  EXPECT_EQ(work_off(), (Texts{"1", "\"parent\""}));
}

TEST_P(QueueFlowsTest, large_bodies_wait_too_and_nothing_of_them_stays) {
  queue().send_many(std::vector<NewJob>{{large('a'), {}, 1}, {large('b'), {}}});
  queue().complete(receive_one());
  EXPECT_EQ(receive_one().body, large('b'));
  queue().send_many(std::vector<NewJob>{{large('c'), {}, 1}, {large('d'), {}}});
  EXPECT_EQ(queue().purge(), 2u);
  advance(seconds(30));
  queue().complete(receive_one());
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(QueueFlowsTest, workers_of_several_processes_that_complete_the_last_ones_at_once_free_it_once) {
  std::vector<std::shared_ptr<Store>> stores;
  for (int i = 0; i < 4; ++i) stores.push_back(GetParam().shared ? open() : store());
  const int rounds = GetParam().cheap ? 20 : 4;
  for (int round = 0; round < rounds; ++round) {
    send_flow(8);
    std::vector<Delivery> got = queue().receive(8);
    ASSERT_EQ(got.size(), 8u);
    std::atomic<int> parents = 0;
    in_threads(4, [&](std::size_t thread) {
      Queue own(stores[thread]->database("app"), "q");
      for (const std::size_t at : {thread, thread + 4}) own.complete(got[at]);
      for (const Delivery& job : own.receive(5)) {
        EXPECT_EQ(job.body.text(), "\"parent\"");
        own.complete(job);
        ++parents;
      }
    });
    EXPECT_EQ(parents + static_cast<int>(work_off().size()), 1);
    EXPECT_EQ(entries_of_queue(), 0u);
  }
}

TEST_P(QueueFlowsTest, waiting_workers_are_woken_by_the_last_completion) {
  send_flow(1);
  const Delivery child = receive_one();
  std::atomic<bool> is_woken = false;
  in_threads(2, [&](std::size_t thread) {
    if (thread == 1) return queue().complete(child);
    Queue real(database(), "q");
    is_woken = real.wait(std::chrono::steady_clock::now() + seconds(60));
  });
  EXPECT_TRUE(is_woken);
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
}

// ---- What does not get completed

TEST_P(QueueFlowsTest, who_waits_goes_on_waiting_for_a_dead_letter) {
  const std::vector<JobId> ids = send_flow(2);
  kill_one();
  EXPECT_EQ(work_off(), Texts{"1"});
  EXPECT_EQ(queue().get(ids[2])->waits_for, std::vector<JobId>{ids[0]});
  check_layout();
  EXPECT_TRUE(queue().requeue(ids[0]));
  EXPECT_EQ(work_off(), (Texts{"0", "\"parent\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, who_runs_all_the_same_does_not_wait_for_a_dead_letter) {
  const std::vector<JobId> ids = send_flow(2, ChildFailure::run);
  EXPECT_EQ(queue().get(ids[2])->child_failure, ChildFailure::run);
  kill_one();
  EXPECT_EQ(queue().get(ids[2])->waits_for, std::vector<JobId>{ids[1]});
  EXPECT_TRUE(queue().requeue(ids[0]));
  const std::vector<Delivery> got = queue().receive(2);
  ASSERT_EQ(got.size(), 2u);
  queue().complete(got[1]);
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
  queue().complete(got[0]);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, who_dies_too_says_of_whom) {
  const std::vector<JobId> ids = send_flow(2, ChildFailure::die);
  kill_one();
  expect_died_of(ids[2], ids[0], "is dead: permanent");
  check_layout();
  EXPECT_EQ(work_off(), Texts{"1"});
  EXPECT_EQ(queue().purge_dead(), 2u);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, death_goes_up_as_far_as_jobs_say) {
  const std::vector<JobId> ids = ids_of(queue().send_many(std::vector<NewJob>{
      {"a", {}, 1}, {"b", {}, 2, ChildFailure::die}, {"c", {}, 3, ChildFailure::die}, {"d"}}));
  settings([](QueueSettings& settings) { settings.max_attempts = 1; });
  receive_one();
  advance(seconds(30));
  EXPECT_TRUE(queue().receive().empty());  // and buries
  expect_died_of(ids[1], ids[0], "is dead: lease_expired");
  expect_died_of(ids[2], ids[1], "is dead: child_failed");
  EXPECT_EQ(state(ids[3]), JobState::blocked);
  check_layout();
  EXPECT_EQ(queue().requeue_dead(), 3u);
  EXPECT_EQ(state(ids[1]), JobState::blocked);
  check_layout();
  EXPECT_EQ(work_off(), (Texts{"\"a\"", "\"b\"", "\"c\"", "\"d\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, a_dead_letter_that_is_requeued_waits_for_what_is_not_completed) {
  const std::vector<JobId> ids = send_flow(2, ChildFailure::die);
  kill_one();
  EXPECT_TRUE(queue().requeue(ids[2]));
  EXPECT_EQ(queue().get(ids[2])->waits_for, (std::vector<JobId>{ids[0], ids[1]}));
  EXPECT_EQ(work_off(), Texts{"1"});
  EXPECT_TRUE(queue().requeue(ids[0]));
  EXPECT_EQ(work_off(), (Texts{"0", "\"parent\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, a_dead_letter_that_waited_is_ready_once_all_others_were_completed_meanwhile) {
  const std::vector<JobId> ids = send_flow(2, ChildFailure::die);
  kill_one();
  EXPECT_TRUE(queue().requeue(ids[0]));
  EXPECT_EQ(work_off(), (Texts{"0", "1"}));
  EXPECT_TRUE(queue().requeue(ids[2]));
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, nobody_waits_for_a_job_that_was_cancelled) {
  for (const ChildFailure failure : {ChildFailure::wait, ChildFailure::die, ChildFailure::run}) {
    const std::vector<JobId> ids = send_flow(2, failure);
    EXPECT_TRUE(queue().cancel(ids[0]));
    check_layout();
    if (failure == ChildFailure::run) {
      EXPECT_EQ(state(ids[2]), JobState::blocked);
      EXPECT_EQ(work_off(), (Texts{"1", "\"parent\""}));
    } else {
      expect_died_of(ids[2], ids[0], "was removed");
      EXPECT_EQ(work_off(), Texts{"1"});
      EXPECT_TRUE(queue().requeue(ids[2]));
      EXPECT_EQ(work_off(), Texts{"\"parent\""});
    }
    EXPECT_EQ(entries_of_queue(), 0u);
  }
}

TEST_P(QueueFlowsTest, nobody_waits_for_a_dead_letter_that_was_erased) {
  for (const bool is_one : {false, true}) {
    const std::vector<JobId> ids = send_flow(1);
    kill_one();
    if (is_one) {
      EXPECT_TRUE(queue().erase_dead(ids[0]));
    } else {
      EXPECT_EQ(queue().purge_dead({.reason = "permanent"}), 1u);
    }
    expect_died_of(ids[1], ids[0], "was removed");
    EXPECT_EQ(queue().purge_dead(), 1u);
    EXPECT_EQ(entries_of_queue(), 0u);
  }
}

TEST_P(QueueFlowsTest, a_job_that_waits_can_be_cancelled_and_the_others_go_on) {
  const std::vector<JobId> ids = send_flow(2, ChildFailure::wait, {.unique_key = "u"});
  EXPECT_TRUE(queue().cancel(ids[2]));
  EXPECT_FALSE(queue().get(ids[2]));
  check_layout();
  kill_one();
  EXPECT_EQ(work_off(), Texts{"1"});
  EXPECT_TRUE(queue().requeue(ids[0]));
  EXPECT_EQ(work_off(), Texts{"0"});
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, a_purge_takes_away_who_waits_and_nobody_dies_of_it) {
  std::vector<NewJob> jobs;
  for (std::size_t i = 0; i < 240; ++i) {
    const bool is_top = i % 4 == 3;
    jobs.push_back({i, {.unique_key = std::to_string(i)}, is_top ? std::optional<std::size_t>() : i + 1});
  }
  queue().send_many(jobs);
  const Delivery leased = receive_one();
  EXPECT_EQ(queue().purge(), 239u);
  EXPECT_EQ(queue().stats().dead, 0u);
  check_layout();
  queue().complete(leased);
  EXPECT_EQ(entries_of_queue(), 0u);
}

// ---- With keys and in transactions

TEST_P(QueueFlowsTest, who_waits_has_no_turn_of_its_ordering_key_before_it_is_free) {
  const std::vector<JobId> ids = send_flow(1, ChildFailure::wait, {.ordering_key = "k"});
  queue().send("k1", {.priority = 0, .ordering_key = "k"});
  const Delivery first = receive_one();
  EXPECT_EQ(first.body.text(), "\"k1\"");
  queue().send("k2", {.ordering_key = "k"});
  queue().complete(receive_one());
  EXPECT_EQ(state(ids[1]), JobState::waiting);
  check_layout();
  queue().complete(first);
  EXPECT_EQ(work_off(), (Texts{"\"parent\"", "\"k2\""}));  // by its id it is the older one
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, who_waits_and_whom_it_waits_for_may_have_the_same_ordering_key) {
  const std::vector<JobId> ids = ids_of(queue().send_many(std::vector<NewJob>{
      {"a", {.ordering_key = "k"}, 2}, {"b", {.ordering_key = "k"}, 2}, {"c", {.ordering_key = "k"}}}));
  kill_one();
  EXPECT_EQ(work_off(), Texts{"\"b\""});
  EXPECT_TRUE(queue().requeue(ids[0]));
  check_layout();
  EXPECT_EQ(work_off(), (Texts{"\"a\"", "\"c\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, who_waits_has_its_unique_key) {
  const std::vector<JobId> ids = send_flow(1, ChildFailure::die, {.unique_key = "u"});
  EXPECT_EQ(queue().send("other", {.unique_key = "u"}).id, ids[1]);
  check_layout();
  kill_one();
  EXPECT_TRUE(queue().send("other", {.unique_key = "u"}).is_new);
  EXPECT_EQ(code_of([&] { queue().requeue(ids[1]); }), Code::already_exists);
}

TEST_P(QueueFlowsTest, jobs_that_wait_for_one_another_are_all_sent_or_none) {
  const JobId holder = queue().send("x", {.unique_key = "u"}).id;
  for (const bool is_child : {false, true}) {
    const std::vector<NewJob> jobs = {{"free", {}},
                                      {"child", {.unique_key = is_child ? "u" : ""}, 2},
                                      {"parent", {.unique_key = is_child ? "" : "u"}}};
    EXPECT_EQ(code_of([&] { queue().send_many(jobs); }), Code::already_exists);
    database().transact([&](Transaction& transaction) {
      EXPECT_EQ(code_of([&] { queue().send_many(transaction, jobs); }), Code::already_exists);
    });
  }
  EXPECT_EQ(
      code_of([&] {
        queue().send_many(std::vector<NewJob>{{1, {.unique_key = "v"}}, {2, {.unique_key = "v"}, 2}, {3}});
      }),
      Code::already_exists);
  const std::vector<Sent> sent =
      queue().send_many(std::vector<NewJob>{{"taken", {.unique_key = "u"}}, {"child", {}, 2}, {"parent"}});
  EXPECT_EQ(sent[0].id, holder);
  EXPECT_EQ(work_off(), (Texts{"\"x\"", "\"child\"", "\"parent\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, a_job_goes_on_as_jobs_and_who_waits_for_them_in_the_commit_of_its_completion) {
  queue().send("split", {.ordering_key = "k"});
  const Delivery split = receive_one();
  database().transact([&](Transaction& transaction) {
    queue().complete(transaction, split);
    EXPECT_TRUE(queue().send(transaction, "before"));
    const std::vector<bool> is_new = queue().send_many(
        transaction, std::vector<NewJob>{{"a", {}, 2}, {"b", {.ordering_key = "k"}, 2}, {"join"}});
    EXPECT_EQ(is_new, std::vector<bool>(3, true));
    queue().send_many(transaction, std::vector<NewJob>{{"c", {}, 1}, {"join 2", {.ordering_key = "k"}}});
    EXPECT_TRUE(queue().send(transaction, "behind"));
  });
  check_layout();
  EXPECT_EQ(work_off(),
            (Texts{"\"before\"", "\"a\"", "\"b\"", "\"join\"", "\"c\"", "\"join 2\"", "\"behind\""}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, completions_of_one_transaction_free_who_waits_for_all_of_them) {
  send_flow(3);
  const std::vector<Delivery> got = queue().receive(3);
  database().transact([&](Transaction& transaction) {
    for (const Delivery& job : got) queue().complete(transaction, job);
    EXPECT_FALSE(queue().cancel(transaction, got[0].id));
  });
  EXPECT_EQ(work_off(), Texts{"\"parent\""});
}

TEST_P(QueueFlowsTest, what_is_no_parent_is_refused) {
  const auto is_refused = [&](const std::vector<NewJob>& jobs) {
    return code_of([&] { queue().send_many(jobs); }) == Code::invalid_argument;
  };
  EXPECT_TRUE(is_refused({{1, {}, 0}}));
  EXPECT_TRUE(is_refused({{1, {}, 1}}));
  EXPECT_TRUE(is_refused({{1}, {2, {}, 0}}));
  EXPECT_TRUE(is_refused({{1, {}, 1}, {2, {}, 0}}));
  std::vector<NewJob> chain;
  for (std::size_t i = 0; i < limits::kFlowDepth; ++i) chain.push_back({i, {}, i + 1});
  chain.back().parent.reset();
  queue().send_many(chain);
  EXPECT_EQ(work_off().size(), limits::kFlowDepth);
  chain.back().parent = chain.size();
  chain.push_back({"one too many"});
  EXPECT_TRUE(is_refused(chain));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueFlowsTest, jobs_that_nobody_waits_for_are_stored_as_ever) {
  const Sent sent = queue().send(1);
  const std::optional<Entry> entry = database().get(QueueKeys("queue", "q").ready({}, 5) + sent.id);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->value, "{\"sent_ms\":" + std::to_string(clock().now_ms()) +
                              ",\"attempts\":0,\"priority\":5,\"value\":1}");
}

// ---- All of it at once

/// What must have become of the jobs, by the words that were said about them alone.
class FlowModel {
 public:
  struct Entry {
    JobId parent;
    ChildFailure failure = ChildFailure::wait;
    std::set<JobId> open = {};
  };

  void add(const JobId& id, const JobId& parent, ChildFailure failure) {
    jobs_[id].parent = parent;
    jobs_[id].failure = failure;
    if (parent.empty()) return;
    jobs_[parent].open.insert(id);
    blocked.insert(parent);
  }
  void complete(const JobId& id) {
    completed.insert(id);
    free(id);
  }
  void die(const JobId& id) {
    dead.insert(id);
    const JobId parent = jobs_[id].parent;
    if (!blocked.contains(parent)) return;
    if (jobs_[parent].failure == ChildFailure::run) free(id);
    if (jobs_[parent].failure != ChildFailure::die) return;
    blocked.erase(parent);
    die(parent);
  }
  void remove(const JobId& id) {
    blocked.erase(id);
    dead.erase(id);
    removed.insert(id);
    const JobId parent = jobs_[id].parent;
    if (blocked.contains(parent) && jobs_[parent].failure != ChildFailure::run) {
      jobs_[parent].open.erase(id);
      blocked.erase(parent);
      die(parent);
    } else {
      free(id);
    }
  }
  void requeue(const JobId& id) {
    dead.erase(id);
    if (!jobs_[id].open.empty()) blocked.insert(id);
  }

  std::set<JobId> blocked, dead, completed, removed;

 private:
  void free(const JobId& id) {
    const JobId parent = jobs_[id].parent;
    if (parent.empty()) return;
    jobs_[parent].open.erase(id);
    if (jobs_[parent].open.empty()) blocked.erase(parent);
  }

  std::map<JobId, Entry> jobs_;
};

TEST_P(QueueFlowsTest, whatever_workers_do_jobs_come_when_what_they_wait_for_is_done_and_never_before) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  const auto random = seeded_random(seed);
  const auto dice = [&](std::uint64_t sides) { return random->next() % sides; };
  settings([](QueueSettings& settings) {
    settings.lease = milliseconds(50);
    settings.max_attempts = 2;
    settings.backoff = milliseconds(20);
  });
  FlowModel model;
  std::size_t sent = 0;
  for (int flow = 0; flow < (GetParam().cheap ? 12 : 4); ++flow) {
    std::vector<NewJob> jobs(2 + dice(8));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].body = Payload(i);
      jobs[i].child_failure = static_cast<ChildFailure>(dice(3));
      if (dice(3) == 0) jobs[i].options.ordering_key = std::to_string(dice(3));
      if (dice(3) == 0) jobs[i].options.tenant = std::to_string(dice(2));
      if (dice(4) == 0) jobs[i].options.unique_key = std::to_string(sent + i);
      if (dice(5) == 0) jobs[i].options.delay = milliseconds(dice(40));
      if (i + 1 < jobs.size() && dice(8) != 0) jobs[i].parent = i + 1 + dice(jobs.size() - i - 1);
    }
    sent += jobs.size();
    const std::vector<JobId> ids = ids_of(queue().send_many(jobs));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      model.add(ids[i], jobs[i].parent ? ids[*jobs[i].parent] : JobId(), jobs[i].child_failure);
    }
  }
  std::vector<Delivery> held;
  Queue workers[] = {queue(), queue()};
  const auto compare = [&] {
    std::set<JobId> blocked;
    for (const Job& job : queue().list(JobState::blocked).items) blocked.insert(job.id);
    EXPECT_EQ(blocked, model.blocked);
    std::set<JobId> dead;
    for (const Job& job : queue().dead().items) dead.insert(job.id);
    EXPECT_EQ(dead, model.dead);
  };
  const auto forget = [&](const JobId& id) {
    std::erase_if(held, [&](const Delivery& job) { return job.id == id; });
  };
  const auto any_of = [&](const std::set<JobId>& ids) {
    return *std::next(ids.begin(), static_cast<std::ptrdiff_t>(dice(ids.size())));
  };
  bool is_over = false;
  for (int step = 0; step < 5'000 && !is_over && !HasFailure(); ++step) {
    Queue& worker = workers[dice(2)];
    advance(milliseconds(dice(12)));
    if (dice(2) == 0) {
      // Who was left alone by its worker for the last time is found dead.
      std::vector<Delivery> got = worker.receive(1 + dice(4));
      for (const Job& job : worker.dead({.reason = "lease_expired"}).items) {
        if (!model.dead.contains(job.id)) model.die(job.id);
      }
      for (Delivery& job : got) {
        EXPECT_FALSE(model.blocked.contains(job.id) || model.dead.contains(job.id) ||
                     model.completed.contains(job.id) || model.removed.contains(job.id));
        held.push_back(std::move(job));
      }
    }
    if (!model.dead.empty() && dice(6) == 0) {
      const JobId id = any_of(model.dead);
      if (dice(3) == 0) {
        EXPECT_TRUE(worker.erase_dead(id));
        model.remove(id);
      } else {
        EXPECT_TRUE(worker.requeue(id));
        model.requeue(id);
      }
    }
    if (!model.blocked.empty() && dice(60) == 0) {
      const JobId id = any_of(model.blocked);
      EXPECT_TRUE(worker.cancel(id));
      model.remove(id);
    }
    if (!held.empty()) {
      const Delivery job = held[dice(held.size())];
      const std::uint64_t what = dice(8);
      bool was_lost = false;
      if (what < 4) {
        was_lost = is_lost([&] { worker.complete(job); });
        if (!was_lost) model.complete(job.id);
      } else if (what == 4) {
        JobState state = JobState::ready;
        was_lost = is_lost([&] { state = worker.fail(job, "no", {.is_permanent = dice(2) == 0}); });
        if (state == JobState::dead) model.die(job.id);
      } else if (what == 5) {
        was_lost = is_lost([&] { worker.release(job); });
      } else if (what == 6 && dice(4) == 0 && clock().now_ms() < job.lease_ends_at_ms) {
        EXPECT_TRUE(worker.cancel(job.id));
        model.remove(job.id);
      }  // else a crash: nothing more is heard of it
      EXPECT_TRUE(!was_lost || clock().now_ms() >= job.lease_ends_at_ms);
      forget(job.id);
    }
    if (step % 5 == 0) {
      compare();
      check_layout();
    }
    if (step % 20 == 0) is_over = model.completed.size() + model.removed.size() == sent;
  }
  EXPECT_TRUE(is_over);
  EXPECT_EQ(entries_of_queue(), 0u);
}

}  // namespace
}  // namespace holdfast
