#include <set>
#include <thread>

#include "holdfast/queue.h"
#include "tests/services/queue_fixture.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class QueueAdminTest : public QueueTest {
 protected:
  void damage_first(const Bytes& prefix) {
    const Entry entry = database().scan(Range::prefix(prefix), {.limit = 1}).entries.at(0);
    database().transact([&](Transaction& transaction) { transaction.put(entry.key, "damaged"); });
  }
};

HOLDFAST_ON_EVERY_TARGET(QueueAdminTest);

// ---- Failures and dead letters

TEST_P(QueueAdminTest, a_failed_job_waits_longer_each_time_and_is_dead_after_its_last_attempt) {
  settings([](QueueSettings& settings) {
    settings.max_attempts = 4;
    settings.backoff_jitter = 0;
    settings.backoff_max = milliseconds(3'000);
  });
  const Sent sent = queue().send("a", {.kind = "mail"});
  for (const int wait_ms : {1'000, 2'000, 3'000}) {
    EXPECT_EQ(queue().fail(receive_one(), "no " + std::to_string(wait_ms)), JobState::delayed);
    EXPECT_EQ(queue().get(sent.id)->run_at_ms, clock().now_ms() + wait_ms);
    advance(milliseconds(wait_ms - 1));
    EXPECT_TRUE(queue().receive().empty());
    advance(milliseconds(1));
  }
  EXPECT_EQ(queue().fail(receive_one(), "no more"), JobState::dead);
  EXPECT_TRUE(queue().receive().empty());
  const std::optional<Job> dead = queue().get(sent.id);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->state, JobState::dead);
  EXPECT_EQ(dead->reason, "max_attempts");
  EXPECT_EQ(dead->body.text(), "\"a\"");
  EXPECT_EQ(dead->kind, "mail");
  EXPECT_EQ(dead->attempts, 4u);
  EXPECT_EQ(dead->finished_at_ms, clock().now_ms());
  ASSERT_EQ(dead->errors.size(), 4u);
  EXPECT_EQ(dead->errors[0], (JobError{1, clock().now_ms() - 6'000, "no 1000"}));
  EXPECT_EQ(dead->errors[3], (JobError{4, clock().now_ms(), "no more"}));
}

TEST_P(QueueAdminTest, the_jitter_takes_a_share_of_the_wait_and_no_more) {
  settings([](QueueSettings& settings) { settings.backoff = seconds(100); });
  std::set<UnixMs> waits;
  Queue jobs = queue();
  for (int i = 0; i < 20; ++i) {
    const Sent sent = jobs.send(i);
    jobs.fail(jobs.receive(1).at(0), "no");
    const UnixMs wait_ms = *jobs.get(sent.id)->run_at_ms - clock().now_ms();
    EXPECT_GT(wait_ms, 75'000 - 1);
    EXPECT_LE(wait_ms, 100'000);
    waits.insert(wait_ms);
  }
  EXPECT_GT(waits.size(), 10u);
}

TEST_P(QueueAdminTest, a_failure_can_say_when_to_try_again_or_that_it_is_of_no_use) {
  const Sent later = queue().send("later");
  EXPECT_EQ(queue().fail(receive_one(), "no", {.retry_in = minutes(5)}), JobState::delayed);
  EXPECT_EQ(queue().get(later.id)->run_at_ms, clock().now_ms() + 300'000);
  const Sent at_once = queue().send("at once");
  EXPECT_EQ(queue().fail(receive_one(), "no", {.retry_in = milliseconds(0)}), JobState::ready);
  EXPECT_EQ(receive_one().attempt, 2u);
  const Sent never = queue().send("never");
  EXPECT_EQ(queue().fail(receive_one(), "bad", {.is_permanent = true}), JobState::dead);
  EXPECT_EQ(queue().get(never.id)->reason, "permanent");
  EXPECT_EQ(queue().get(at_once.id)->state, JobState::leased);
}

TEST_P(QueueAdminTest, a_crash_in_the_last_attempt_leads_to_the_dead_letters) {
  settings([](QueueSettings& settings) { settings.max_attempts = 2; });
  const Sent sent = queue().send(large('a'));
  queue().send("b");
  EXPECT_EQ(receive_one().attempt, 1u);
  advance(seconds(30));
  EXPECT_EQ(receive_one().attempt, 2u);
  advance(seconds(30));
  EXPECT_EQ(texts(1), Texts{"\"b\""});
  const std::optional<Job> dead = queue().get(sent.id);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->state, JobState::dead);
  EXPECT_EQ(dead->reason, "lease_expired");
  EXPECT_EQ(dead->body, large('a'));
  EXPECT_EQ(dead->errors.size(), 2u);
}

TEST_P(QueueAdminTest, errors_are_cut_made_readable_and_the_newest_are_kept) {
  settings([](QueueSettings& settings) {
    settings.max_attempts = 100;
    settings.backoff = milliseconds(0);
  });
  const Sent sent = queue().send("a");
  for (int i = 0; i < 23; ++i) EXPECT_EQ(queue().fail(receive_one(), std::to_string(i)), JobState::ready);
  const Bytes umlauts = [] {
    Bytes text = "x";
    while (text.size() < 3'000) text += "\xc3\xbc";
    return text;
  }();
  queue().fail(receive_one(), umlauts);
  queue().fail(receive_one(), "\xff!");
  const std::vector<JobError> errors = queue().get(sent.id)->errors;
  ASSERT_EQ(errors.size(), 20u);
  EXPECT_EQ(errors[0].text, "5");
  EXPECT_EQ(errors[18].text, umlauts.substr(0, 1'999));
  EXPECT_EQ(errors[19].text, "?!");
}

TEST_P(QueueAdminTest, a_requeued_dead_letter_has_all_its_attempts_its_id_and_its_history) {
  settings([](QueueSettings& settings) { settings.max_attempts = 1; });
  const Sent sent = queue().send(large('a'));
  queue().fail(receive_one(), "first");
  queue().send("younger");
  EXPECT_FALSE(queue().requeue("0000000000000001-ffff"));
  EXPECT_TRUE(queue().requeue(sent.id));
  EXPECT_FALSE(queue().requeue(sent.id));
  const Delivery again = receive_one();
  EXPECT_EQ(again.id, sent.id);
  EXPECT_EQ(again.attempt, 1u);
  EXPECT_EQ(again.body, large('a'));
  queue().fail(again, "second");
  EXPECT_EQ(queue().get(sent.id)->errors.size(), 2u);
  EXPECT_TRUE(queue().erase_dead(sent.id));
  EXPECT_FALSE(queue().erase_dead(sent.id));
  EXPECT_EQ(work_off(), Texts{"\"younger\""});
  EXPECT_EQ(stored_entries(), 1u);  // the settings
}

TEST_P(QueueAdminTest, dead_letters_are_listed_requeued_and_purged_by_filter) {
  Queue jobs = queue();
  for (int i = 0; i < 12; ++i) {
    jobs.send(i, {.kind = i % 2 == 0 ? "even" : "odd"});
    jobs.fail(jobs.receive(1).at(0), "no", {.is_permanent = true});
    advance(seconds(1));
  }
  const UnixMs begin = clock().now_ms() - 12'000;
  EXPECT_EQ(jobs.dead().items.size(), 12u);
  EXPECT_EQ(jobs.dead({.kind = "odd"}).items.size(), 6u);
  EXPECT_EQ(jobs.dead({.reason = "max_attempts"}).items.size(), 0u);
  EXPECT_EQ(jobs.dead({.since_ms = begin + 3'000, .before_ms = begin + 5'000}).items.size(), 2u);
  Texts paged;
  ListOptions page{.limit = 2};
  do {
    const Listing<Job> listing = jobs.dead({.kind = "odd"}, page);
    for (const Job& job : listing.items) paged.push_back(job.body.text());
    page.cursor = listing.cursor;
  } while (!page.cursor.empty());
  EXPECT_EQ(paged, (Texts{"1", "3", "5", "7", "9", "11"}));
  EXPECT_EQ(jobs.requeue_dead({.kind = "odd", .before_ms = begin + 4'000}), 2u);
  EXPECT_EQ(work_off(), (Texts{"1", "3"}));
  EXPECT_EQ(jobs.purge_dead({.kind = "odd"}), 4u);
  EXPECT_EQ(jobs.purge_dead(), 6u);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(QueueAdminTest, more_dead_letters_than_fit_one_commit_are_requeued_and_purged) {
  Queue jobs = queue();
  settings([](QueueSettings& settings) { settings.max_attempts = 1; });
  jobs.send_many(std::vector<NewJob>(230));
  jobs.receive(250);
  advance(seconds(30));
  while (jobs.stats().leased > 0) EXPECT_TRUE(jobs.receive().empty());
  EXPECT_EQ(jobs.stats().dead, 230u);
  EXPECT_EQ(jobs.requeue_dead(), 230u);
  EXPECT_EQ(jobs.stats().ready, 230u);
  EXPECT_EQ(jobs.receive(250).size(), 230u);
  advance(seconds(30));
  while (jobs.stats().leased > 0) EXPECT_TRUE(jobs.receive().empty());
  EXPECT_EQ(jobs.purge_dead(), 230u);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueAdminTest, dead_letters_with_large_bodies_are_requeued) {
  Queue jobs = queue();
  const Payload body(Bytes(250'000, 'x'));
  for (int i = 0; i < 40; ++i) {
    jobs.send(body);
    jobs.fail(jobs.receive(1).at(0), "no", {.is_permanent = true});
  }
  EXPECT_EQ(jobs.requeue_dead(), 40u);
  std::size_t received = 0;
  for (std::size_t got = 1; got > 0; received += got) got = jobs.receive(250).size();
  EXPECT_EQ(received, 40u);
}

/// Sends jobs of many ordering keys, behind each of which a large one waits: together more than a commit has.
std::size_t send_with_large_ones_behind(Queue& jobs) {
  constexpr int kKeys = 40;
  const Payload body(Bytes(250'000, 'x'));
  std::vector<NewJob> heads;
  for (int i = 0; i < kKeys; ++i) heads.push_back({i, {.ordering_key = std::to_string(i)}});
  jobs.send_many(heads);
  for (int i = 0; i < kKeys; ++i) jobs.send(body, {.ordering_key = std::to_string(i)});
  return heads.size();
}

TEST_P(QueueAdminTest, jobs_that_die_with_large_ones_behind_them_do_not_stop_deliveries) {
  Queue jobs = queue();
  settings([](QueueSettings& settings) { settings.max_attempts = 1; });
  const std::size_t heads = send_with_large_ones_behind(jobs);
  EXPECT_EQ(jobs.receive(250).size(), heads);
  advance(seconds(30));
  std::size_t received = 0;
  for (std::size_t got = 1; got > 0; received += got) got = jobs.receive(250).size();
  EXPECT_EQ(received, heads);
  EXPECT_EQ(jobs.stats().dead, heads);
}

TEST_P(QueueAdminTest, jobs_with_large_ones_behind_them_are_completed_together) {
  Queue jobs = queue();
  const std::size_t heads = send_with_large_ones_behind(jobs);
  const std::vector<Delivery> got = jobs.receive(250);
  EXPECT_EQ(jobs.complete_many(got), std::vector<bool>(heads, true));
  EXPECT_EQ(jobs.complete_many(got), std::vector<bool>(heads, false));
  EXPECT_EQ(jobs.stats().ready, heads);
  check_layout();
}

TEST_P(QueueAdminTest, large_jobs_that_are_kept_are_completed_together) {
  Queue jobs = queue();
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  const Payload body(Bytes(250'000, 'x'));
  std::vector<JobLease> leases;
  for (int i = 0; i < 40; ++i) {
    jobs.send(body);
    leases.push_back(jobs.receive(1).at(0));
  }
  EXPECT_EQ(jobs.complete_many(leases), std::vector<bool>(40, true));
  EXPECT_EQ(jobs.stats().completed, 40u);
}

// ---- Completed jobs

TEST_P(QueueAdminTest, a_job_that_was_delivered_before_completed_ones_were_to_be_kept_is_kept) {
  const Sent one = queue().send("one");
  const Sent many = queue().send("many");
  const Delivery first = receive_one();
  const Delivery second = receive_one();
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  queue().complete(first, "result");
  EXPECT_EQ(queue().complete_many(std::vector<JobLease>{second}), std::vector<bool>{true});
  ASSERT_TRUE(queue().get(one.id));
  EXPECT_EQ(queue().get(one.id)->result->text(), "\"result\"");
  ASSERT_TRUE(queue().get(many.id));
  EXPECT_EQ(queue().get(many.id)->state, JobState::completed);
}

TEST_P(QueueAdminTest, a_lease_that_complete_many_is_given_twice_counts_once) {
  Queue jobs = queue();
  jobs.send("plain");
  jobs.send("ordered", {.ordering_key = "a"});
  const std::vector<Delivery> got = jobs.receive(2);
  const std::vector<JobLease> plain = {got[0], got[0]};
  EXPECT_EQ(jobs.complete_many(plain), (std::vector<bool>{true, false}));
  const std::vector<JobLease> ordered = {got[1], got[1]};
  EXPECT_EQ(jobs.complete_many(ordered), (std::vector<bool>{true, false}));
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueAdminTest, of_completed_jobs_those_that_were_completed_last_are_kept) {
  settings([](QueueSettings& settings) {
    settings.keep_completed = hours(1);
    settings.max_completed = 3;
  });
  Queue jobs = queue();
  std::vector<JobId> ids;
  std::vector<Delivery> got;
  const std::uint64_t before = stored_entries();
  for (int i = 0; i < 6; ++i) {
    ids.push_back(jobs.send(large('a')).id);
    got.push_back(jobs.receive(1).at(0));
  }
  // The one that was sent first is completed last.
  for (std::size_t i = 6; i-- > 0; advance(milliseconds(1))) jobs.complete(got[i], large('r'));
  EXPECT_EQ(jobs.stats().completed, 3u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(jobs.get(ids[i]).has_value(), i < 3) << i;
  advance(hours(1));
  while (store()->sweep().reaped > 0) {
  }
  EXPECT_LE(stored_entries(), before) << "bodies or results that nobody needs any more";
}

TEST_P(QueueAdminTest, completed_jobs_are_kept_by_number_a_tenth_more_at_most) {
  settings([](QueueSettings& settings) {
    settings.keep_completed = hours(1);
    settings.max_completed = 20;
  });
  Queue jobs = queue();
  for (int i = 0; i < 60; ++i) {
    jobs.send(i);
    const Delivery job = jobs.receive(1).at(0);
    if (i % 2 == 0) {
      jobs.complete(job);
    } else {
      database().transact([&](Transaction& transaction) { jobs.complete(transaction, job); });
    }
    EXPECT_LE(jobs.stats().completed, 23u);
  }
  EXPECT_GE(jobs.stats().completed, 20u);
  EXPECT_EQ(code_of([&] { settings([](QueueSettings& settings) { settings.keep_completed = hours(0); }); }),
            Code::invalid_argument);
}

// ---- Bodies that are lost

TEST_P(QueueAdminTest, a_job_whose_body_is_lost_goes_to_the_dead_letters_and_holds_up_nobody) {
  Queue jobs = queue();
  const Sent lost = jobs.send(large('a'), {.ordering_key = "k"});
  jobs.send("behind", {.ordering_key = "k"});
  jobs.send("other");
  const auto entry = database().scan(Range::prefix(QueueKeys("queue", "q").ready())).entries.at(0);
  ASSERT_EQ(job_id_of(entry.key), lost.id);
  ASSERT_TRUE(database().objects().erase(JobRecord::parse(entry.value).body.object));
  // Its successor has its turn in the next claim, which the same call makes.
  EXPECT_EQ(texts(), (Texts{"\"other\"", "\"behind\""}));
  const std::vector<Job> dead = jobs.dead().items;
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0].id, lost.id);
  EXPECT_EQ(dead[0].reason, "body_lost");
  EXPECT_EQ(dead[0].body, Payload());
  EXPECT_EQ(dead[0].errors.size(), 1u);
  EXPECT_EQ(code_of([&] { jobs.requeue(lost.id); }), Code::corruption);
  EXPECT_EQ(jobs.requeue_dead(), 0u);
  check_layout();
  EXPECT_TRUE(jobs.erase_dead(lost.id));
}

// ---- Jobs that cannot be read

TEST_P(QueueAdminTest, a_job_that_cannot_be_read_is_put_among_the_dead_letters_and_holds_up_nobody) {
  Queue jobs = queue();
  const QueueKeys keys("queue", "q");
  jobs.send("ready");
  jobs.send("of a tenant", {.tenant = "t"});
  jobs.send("later", {.delay = seconds(5)});
  jobs.send("readable");
  for (const Bytes& key : {keys.ready(), keys.tenants(), keys.delayed()}) damage_first(key);
  EXPECT_EQ(texts(), Texts{"\"readable\""});
  EXPECT_EQ(jobs.stats().dead, 2u);
  damage_first(keys.leased());
  advance(hours(1));
  EXPECT_EQ(texts(), Texts());
  const std::vector<Job> dead = jobs.dead().items;
  ASSERT_EQ(dead.size(), 4u);
  for (const Job& job : dead) {
    EXPECT_EQ(job.reason, "unreadable");
    EXPECT_EQ(job.body, Payload::bytes("damaged"));
    EXPECT_EQ(code_of([&] { jobs.requeue(job.id); }), Code::corruption);
  }
  EXPECT_EQ(jobs.requeue_dead(), 0u);
  EXPECT_EQ(jobs.purge_dead({.before_ms = clock().now_ms() + 1}), 0u);
  EXPECT_EQ(jobs.purge_dead({.reason = "unreadable"}), 4u);
  EXPECT_EQ(entries_of_queue(), 0u);
}

TEST_P(QueueAdminTest, a_job_that_cannot_be_read_is_passed_over_by_those_that_wait_behind_or_before_it) {
  Queue jobs = queue();
  const QueueKeys keys("queue", "q");
  const std::vector<NewJob> flow = {{"first", {.ordering_key = "k"}, 1}, {"parent", {}}};
  jobs.send_many(flow);
  jobs.send("second", {.ordering_key = "k"});
  jobs.send("third", {.ordering_key = "k"});
  damage_first(keys.chains());
  damage_first(keys.blocked());
  EXPECT_EQ(work_off(), (Texts{"\"first\"", "\"third\""}));
  EXPECT_EQ(jobs.dead({.reason = "unreadable"}).items.size(), 2u);
}

TEST_P(QueueAdminTest, very_many_jobs_that_cannot_be_read_are_set_aside_some_at_a_time) {
  Queue jobs = queue();
  const QueueKeys keys("queue", "q");
  std::vector<NewJob> chain(120, NewJob{"behind", {.ordering_key = "k"}});
  chain.front().body = "first";
  jobs.send_many(chain);
  jobs.send("last", {.ordering_key = "k"});
  std::vector<NewJob> of_tenant(200, NewJob{"of a tenant", {.tenant = "t"}});
  jobs.send_many(of_tenant);
  database().transact([&](Transaction& transaction) {
    for (const Entry& entry : transaction.scan(Range::prefix(keys.chains()), {.limit = 119}).entries) {
      transaction.put(entry.key, "damaged");
    }
    for (const Entry& entry : transaction.scan(Range::prefix(keys.tenants())).entries) {
      transaction.put(entry.key, "damaged");
    }
  });
  Texts done;
  for (int i = 0; i < 20; ++i) {
    for (const Bytes& text : work_off()) done.push_back(text);
  }
  EXPECT_EQ(done, (Texts{"\"first\"", "\"last\""}));
  jobs.send("again", {.ordering_key = "k"});
  EXPECT_EQ(work_off(), Texts{"\"again\""});
  EXPECT_GE(jobs.stats().dead, 200u);
}

TEST_P(QueueAdminTest, jobs_that_cannot_be_read_are_seen_cancelled_and_purged_like_others) {
  Queue jobs = queue();
  const JobId id = jobs.send("a").id;
  jobs.send("b");
  damage_first(QueueKeys("queue", "q").ready());
  EXPECT_EQ(jobs.get(id)->reason, "unreadable");
  EXPECT_EQ(jobs.peek(10).size(), 2u);
  EXPECT_EQ(jobs.stats().ready, 2u);
  EXPECT_TRUE(jobs.cancel(id));
  damage_first(QueueKeys("queue", "q").ready());
  EXPECT_EQ(jobs.purge(), 1u);
  EXPECT_EQ(entries_of_queue(), 0u);
}

// ---- Looking after it

TEST_P(QueueAdminTest, a_job_is_found_by_its_id_in_every_state) {
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  const auto state = [&](const JobId& id) { return queue().get(id)->state; };
  const JobId id = queue().send("a", {.kind = "k", .priority = 3, .ordering_key = "o", .unique_key = "u"}).id;
  const JobId next = queue().send("b", {.ordering_key = "o"}).id;
  EXPECT_EQ(state(id), JobState::ready);
  EXPECT_EQ(state(next), JobState::waiting);
  EXPECT_EQ(queue().get(id)->priority, 3);
  EXPECT_EQ(queue().get(id)->unique_key, "u");
  queue().fail(receive_one(), "no");
  EXPECT_EQ(state(id), JobState::delayed);
  advance(seconds(1));
  const Delivery job = receive_one();
  EXPECT_EQ(state(id), JobState::leased);
  EXPECT_EQ(queue().get(id)->run_at_ms, job.lease_ends_at_ms);
  queue().complete(job, Payload::parse("{\"sum\": 7}"));
  EXPECT_EQ(state(id), JobState::completed);
  EXPECT_EQ(queue().get(id)->result->text(), "{\"sum\":7}");
  EXPECT_EQ(queue().get(id)->errors.size(), 1u);
  EXPECT_EQ(state(next), JobState::ready);
  queue().fail(receive_one(), "no", {.is_permanent = true});
  EXPECT_EQ(state(next), JobState::dead);
  EXPECT_EQ(holdfast::name(state(next)), std::string("dead"));
  EXPECT_FALSE(queue().get("0000000000000001-ffff"));
}

TEST_P(QueueAdminTest, completed_jobs_are_kept_with_their_results_for_as_long_as_the_settings_say) {
  settings([](QueueSettings& settings) { settings.keep_completed = seconds(10); });
  const JobId id = queue().send(large('a')).id;
  queue().complete(receive_one(), large('r'));
  ASSERT_EQ(queue().list(JobState::completed).items.size(), 1u);
  const std::optional<Job> job = queue().get(id);
  EXPECT_EQ(job->body, large('a'));
  EXPECT_EQ(job->result, large('r'));
  EXPECT_EQ(job->finished_at_ms, clock().now_ms());
  EXPECT_FALSE(queue().cancel(id));
  advance(seconds(10));
  EXPECT_FALSE(queue().get(id));
  EXPECT_EQ(queue().stats().completed, 0u);
  store()->sweep();
  EXPECT_EQ(stored_entries(), 1u);  // the settings
}

TEST_P(QueueAdminTest, cancelling_removes_a_job_wherever_it_is_and_takes_the_lease_from_its_worker) {
  const JobId ready = queue().send(large('a')).id;
  const JobId delayed = queue().send("b", {.delay = hours(1)}).id;
  const JobId urgent = queue().send("c", {.priority = 0}).id;
  const Delivery job = receive_one();
  EXPECT_EQ(job.id, urgent);
  EXPECT_TRUE(queue().cancel(ready));
  EXPECT_FALSE(queue().cancel(ready));
  EXPECT_TRUE(queue().cancel(delayed));
  database().transact([&](Transaction& transaction) { EXPECT_TRUE(queue().cancel(transaction, urgent)); });
  EXPECT_TRUE(is_lost([&] { queue().complete(job); }));
  advance(hours(2));
  EXPECT_EQ(texts(), Texts{});
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(QueueAdminTest, a_paused_queue_delivers_nothing_until_it_is_resumed) {
  queue().send("a");
  const Delivery job = receive_one();
  queue().pause();
  queue().send("b");
  EXPECT_TRUE(queue().is_paused());
  EXPECT_TRUE(queue().stats().is_paused);
  EXPECT_EQ(texts(), Texts{});
  queue().complete(job);
  advance(hours(1));
  EXPECT_EQ(texts(), Texts{});
  queue().resume();
  EXPECT_EQ(texts(), Texts{"\"b\""});
}

TEST_P(QueueAdminTest, the_stats_count_jobs_by_state) {
  settings([](QueueSettings& settings) { settings.keep_completed = hours(1); });
  const UnixMs begin = clock().now_ms();
  queue().send_many(std::vector<NewJob>(5));
  advance(seconds(1));
  queue().send_many(
      std::vector<NewJob>{{1, {.delay = hours(1)}}, {2, {.ordering_key = "o"}}, {3, {.ordering_key = "o"}}});
  std::vector<Delivery> got = queue().receive(3);
  queue().complete(got[0]);
  queue().fail(got[1], "no", {.is_permanent = true});
  const QueueStats stats = queue().stats();
  EXPECT_EQ(stats.ready, 3u);
  EXPECT_EQ(stats.delayed, 1u);
  EXPECT_EQ(stats.waiting, 1u);
  EXPECT_EQ(stats.leased, 1u);
  EXPECT_EQ(stats.completed, 1u);
  EXPECT_EQ(stats.dead, 1u);
  EXPECT_FALSE(stats.is_paused);
  EXPECT_EQ(stats.first_ready_sent_at_ms, begin);
}

TEST_P(QueueAdminTest, a_purge_removes_what_waits_and_leaves_the_rest) {
  queue().send_many(std::vector<NewJob>(130));
  queue().send("first", {.priority = 0, .ordering_key = "o"});
  queue().send_many(std::vector<NewJob>{{1, {.ordering_key = "o"}},
                                        {2, {.ordering_key = "o", .unique_key = "u"}},
                                        {3, {.ordering_key = "p"}},
                                        {4, {.ordering_key = "p"}},
                                        {5, {.delay = hours(1)}},
                                        {large('x'), {}}});
  const Delivery job = receive_one();
  EXPECT_EQ(job.body.text(), "\"first\"");
  EXPECT_EQ(queue().purge(), 136u);
  EXPECT_EQ(queue().stats().leased, 1u);
  EXPECT_TRUE(queue().send("again", {.unique_key = "u"}).is_new);
  queue().complete(job);
  EXPECT_EQ(work_off(), Texts{"\"again\""});
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(QueueAdminTest, whoever_changes_some_of_the_settings_keeps_what_others_have_set_meanwhile) {
  bool has_run = false;
  database().transact([&](Transaction& transaction) {
    QueueSettings changed = queue().settings(transaction);
    changed.rate = 5;
    queue().set_settings(transaction, changed);
    if (std::exchange(has_run, true)) return;
    std::thread([&] { queue().set_settings({.max_attempts = 7}); }).join();
  });
  EXPECT_EQ(queue().settings(), (QueueSettings{.max_attempts = 7, .rate = 5}));
}

TEST_P(QueueAdminTest, settings_are_shared_and_refused_where_they_make_no_sense) {
  EXPECT_EQ(queue().settings(), QueueSettings());
  QueueSettings changed{.lease = seconds(5),
                        .max_attempts = 7,
                        .backoff = milliseconds(10),
                        .backoff_max = seconds(9),
                        .backoff_factor = 1.5,
                        .backoff_jitter = 0.125,
                        .keep_completed = hours(2),
                        .max_leased = 8,
                        .rate = 9,
                        .rate_interval = seconds(10),
                        .rate_burst = 11,
                        .weights = {{"a", 2}, {"\"", 3}}};
  queue().set_settings(changed);
  EXPECT_EQ(queue().settings(), changed);
  EXPECT_EQ(queue("other").settings(), QueueSettings());
  queue().send("a");
  EXPECT_EQ(receive_one().lease_ends_at_ms, clock().now_ms() + 5'000);
  const auto refused = [&](const std::function<void(QueueSettings&)>& change) {
    QueueSettings wrong;
    change(wrong);
    return code_of([&] { queue().set_settings(wrong); }) == Code::invalid_argument;
  };
  EXPECT_TRUE(refused([](QueueSettings& s) { s.lease = milliseconds(0); }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.max_attempts = 0; }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.backoff = milliseconds(-1); }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.backoff_max = milliseconds(1); }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.backoff_factor = 0.5; }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.backoff_jitter = 1.5; }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.keep_completed = milliseconds(-1); }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.max_leased = 9'001; }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.rate_interval = milliseconds(0); }));
  EXPECT_TRUE(refused([](QueueSettings& s) { s.weights = {{"a", 0}}; }));
}

TEST_P(QueueAdminTest, lists_go_through_all_jobs_in_pages) {
  for (int i = 0; i < 7; ++i) queue().send(i);
  Texts listed;
  ListOptions options{.limit = 3};
  do {
    const Listing<Job> page = queue().list(JobState::ready, options);
    for (const Job& job : page.items) listed.push_back(job.body.text());
    options.cursor = page.cursor;
  } while (!options.cursor.empty());
  EXPECT_EQ(listed, (Texts{"0", "1", "2", "3", "4", "5", "6"}));
  queue().receive(2);
  EXPECT_EQ(queue().list(JobState::leased).items.size(), 2u);
  EXPECT_EQ(queue().peek().at(0).body.text(), "2");
}

}  // namespace
}  // namespace holdfast
