// Servers that are restarted, killed and promoted under load; connections that are cut.
#include <thread>

#include "backends/postgres/schema.h"
#include "backends/postgres/test_cluster.h"
#include "backends/postgres/test_server.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/appenders.h"
#include "tests/support/code_of.h"
#include "tests/support/leaks.h"
#include "tests/support/restarts.h"
#include "tests/support/settings.h"

namespace holdfast::postgres {
namespace {

using std::chrono::milliseconds;
using testing_support::Appended;
using testing_support::Appenders;
using testing_support::code_of;
using testing_support::expect_exactly_once;
using testing_support::expect_no_leak;
using testing_support::expect_recorded_answer;
using testing_support::patiently;

TestClient client_of(Backend& backend, std::uint64_t session = 1) {
  return {backend, environment(), "db", session};
}

Position position_of(Store& store) {
  return patiently([&] { return store.database("db").position(); });
}

/// Appends before, between and after what `fault` does to the server, three times.
void append_through(const TestCluster& server, const std::function<void()>& fault) {
  const auto store = Store::open(server.url("sweeper=false"));
  ASSERT_TRUE(store->traits().keeps_acknowledged);
  Appenders appenders(*store, 8);
  appenders.let_pass(50);
  const Position before = position_of(*store);
  for (int round = 0; round < 3; ++round) {
    appenders.let_pass(100);
    fault();
  }
  appenders.let_pass(100);
  const Appended appended = appenders.stop();
  expect_exactly_once(*store, appended);
  EXPECT_EQ(position_of(*store).history, before.history) << "nothing can have been lost";
}

TEST(PostgresFaults, a_server_that_is_killed_under_load_has_every_acknowledged_commit) {
  TestCluster server;
  append_through(server, [&] {
    server.kill();
    server.start();
  });
}

TEST(PostgresFaults, a_role_that_would_not_wait_for_the_flush_does) {
  TestCluster server({"synchronous_commit = off", "wal_writer_delay = 10s"});
  append_through(server, [&] {
    server.kill();
    server.start();
  });
}

TEST(PostgresFaults, a_server_that_is_restarted_under_load_has_every_acknowledged_commit) {
  TestCluster server;
  append_through(server, [&] {
    server.stop();
    server.start();
  });
}

TEST(PostgresFaults, a_server_that_recovers_from_the_crash_of_one_process_has_every_acknowledged_commit) {
  TestCluster server({"restart_after_crash = on"});
  append_through(server, [&] {
    const std::vector<std::string> victims =
        server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' LIMIT 1");
    if (!victims.empty()) ::kill(std::stoi(victims.front()), SIGKILL);
  });
}

TEST(PostgresFaults, a_retry_after_a_restart_is_answered_with_what_was_recorded) {
  TestCluster server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  expect_recorded_answer(*backend, client, [&] {
    server.kill();
    server.start();
  });
}

TEST(PostgresFaults, a_commit_that_waits_beyond_its_deadline_has_an_unknown_outcome_that_a_retry_resolves) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  TestClient client = client_of(*backend);
  client.put("key", "1");
  Group group = client.group({{{}, {Write::put("key", "2")}}});
  {
    const Sql holder;
    holder("SELECT pg_advisory_lock(" + std::to_string(lock_number("commit", schema, "db")) + ")");
    const auto begin = std::chrono::steady_clock::now();
    group.deadline = begin + milliseconds(100);
    backend->commit({&group, 1});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(100) + limits::kDeadlineGrace);
  }
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::timeout);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
  group.deadline = client.soon();
  const Group again = retried(*backend, group);
  ASSERT_FALSE(again.error) << again.error->what();
  EXPECT_EQ(again.outcomes.at(0).seq, 2u);
  EXPECT_EQ(client.position().seq, 2u) << "once";
}

TEST(PostgresFaults, a_wait_ends_at_its_deadline_while_the_server_does_not_answer) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const Cursor cursor{"db", client.position()};
  const Sql holder;
  holder("BEGIN; LOCK TABLE " + schema + ".database IN ACCESS EXCLUSIVE MODE");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(backend->wait({&cursor, 1}, begin + milliseconds(100)).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(100) + limits::kDeadlineGrace);
}

TEST(PostgresFaults, a_wait_goes_on_when_the_server_answers_again) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const Cursor cursor{"db", client.position()};
  client.put("key", "2");
  Sql holder;
  holder("BEGIN; LOCK TABLE " + schema + ".database IN ACCESS EXCLUSIVE MODE");
  std::thread waiter([&] { EXPECT_EQ(backend->wait({&cursor, 1}, client.soon()).size(), 1u); });
  const Sql other;
  const std::string looks =
      "SELECT pid FROM pg_locks WHERE NOT granted AND relation = '" + schema + ".database'::regclass";
  eventually([&] { return !other(looks).empty(); });
  const std::string first_look = other(looks).front();
  eventually([&] {
    const std::vector<std::string> pids = other(looks);
    return !pids.empty() && pids.back() != first_look;
  });
  holder("COMMIT");
  waiter.join();
}

TEST(PostgresFaults, commits_do_not_wait_for_compaction) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema, {{"lanes", "1"}, {"pool_timeout_ms", "1000"}});
  TestClient client = client_of(*backend);
  for (int i = 0; i < 3; ++i) client.put("key", "1");
  const Sql holder;
  holder("CREATE FUNCTION " + schema +
         ".hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM "
         "pg_advisory_xact_lock(" +
         std::to_string(lock_number("test", schema)) +
         "); RETURN OLD; END';"
         "CREATE TRIGGER hold BEFORE DELETE ON " +
         schema + ".commits FOR EACH ROW EXECUTE FUNCTION " + schema + ".hold(); SELECT pg_advisory_lock(" +
         std::to_string(lock_number("test", schema)) + ")");
  std::thread compaction([&] { backend->compact("db", client.position().seq, client.soon()); });
  const Sql other;
  eventually([&] {
    return other("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%" + schema +
                 "%trim_commits%'")
               .size() == 1;
  });
  const Group group = client_of(*backend, 2).put("key", "2");
  EXPECT_FALSE(group.error) << group.error->what();
  holder("SELECT pg_advisory_unlock_all()");
  compaction.join();
  EXPECT_EQ(other("SELECT count(*) FROM " + schema + ".commits").front(), "2")
      << "the newest of each session";
}

// ---- dropped databases

class PostgresDropped : public testing::Test {
 protected:
  PostgresDropped() {
    TestClient client = client_of(*backend_);
    client.put("key", "1");
    client.drop();
  }
  std::string entries() const { return sql_("SELECT count(*) FROM " + schema_ + ".entry").front(); }
  Deadline soon() const { return environment().clock->steady_now() + std::chrono::seconds(20); }

  const std::string schema_ = unique_name();
  const std::unique_ptr<Backend> other_ = open_store(schema_);
  const std::unique_ptr<Backend> backend_ = open_store(schema_);
  const Sql sql_;
};

TEST_F(PostgresDropped, databases_of_other_processes_are_freed) {
  for (int i = 0; i < 2; ++i) other_->expired(0, 1, soon());
  EXPECT_EQ(entries(), "0");
  // Now it has been found that there is nothing left.
  TestClient client = client_of(*backend_, 2);
  client.put("key", "1");
  client.drop();
  other_->expired(0, 1, soon());
  EXPECT_EQ(entries(), "0");
}

TEST_F(PostgresDropped, databases_are_freed_after_a_step_has_failed) {
  sql_("BEGIN; LOCK TABLE " + schema_ + ".entry IN EXCLUSIVE MODE");
  EXPECT_EQ(code_of([&] { backend_->expired(0, 1, environment().clock->steady_now() + milliseconds(100)); }),
            Code::timeout);
  sql_("COMMIT");
  // The server may still be busy with the step that nobody waits for.
  eventually([&] {
    backend_->expired(0, 1, soon());
    return entries() == "0";
  });
}

// ---- promotion

/// Whether the standbys that are connected are of these kinds.
void wait_for_standbys(const TestCluster& primary, const std::vector<std::string>& sync_states) {
  eventually([&] {
    return primary.sql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' ORDER BY 1") ==
           sync_states;
  });
}

void wait_until_replayed(const TestCluster& primary) {
  eventually([&] {
    return primary.sql("SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()").size() ==
           1;
  });
}

/// What appenders have seen of a primary that dies and its standby, which takes over.
Appended append_through_promotion(Store& store, TestCluster& primary, TestCluster& standby) {
  Appenders appenders(store, 8);
  appenders.let_pass(200);
  const Position before = position_of(store);
  primary.kill();
  standby.promote();
  appenders.let_pass(200);
  Appended appended = appenders.stop();
  EXPECT_NE(position_of(store).history, before.history)
      << "the new primary cannot prove that it has everything";
  return appended;
}

TEST(PostgresFaults, a_synchronous_standby_that_is_promoted_under_load_has_every_acknowledged_commit) {
  TestCluster primary;
  const auto standby = primary.standby();
  primary.configure("synchronous_standby_names", "*");
  wait_for_standbys(primary, {"sync"});
  const auto store = Store::open(TestCluster::url_of({&primary, standby.get()}, "sweeper=false"));
  EXPECT_EQ(store->traits().durability, Durability::replicas);
  EXPECT_TRUE(store->traits().keeps_acknowledged);
  expect_exactly_once(*store, append_through_promotion(*store, primary, *standby));
}

TEST(PostgresFaults, an_asynchronous_standby_that_is_promoted_under_load_doubles_nothing_and_says_so) {
  TestCluster primary;
  const auto standby = primary.standby();
  const auto store = Store::open(TestCluster::url_of({&primary, standby.get()}, "sweeper=false"));
  EXPECT_EQ(store->traits().durability, Durability::disk);
  EXPECT_FALSE(store->traits().keeps_acknowledged);
  Appended appended = append_through_promotion(*store, primary, *standby);
  appended.acknowledged.clear();  // those of the end may be lost
  expect_exactly_once(*store, appended);
}

TEST(PostgresFaults, acknowledged_commits_are_kept_if_every_standby_is_a_synchronous_one) {
  TestCluster primary;
  const auto one = primary.standby();
  const auto other = primary.standby();
  struct Case {
    std::string names;
    std::vector<std::string> sync_states;
    bool keeps;
  };
  for (const Case& each :
       {Case{"FIRST 1 (*)", {"potential", "sync"}, false}, Case{"FIRST 2 (*)", {"sync", "sync"}, true},
        Case{"ANY 1 (*)", {"quorum", "quorum"}, false}}) {
    primary.configure("synchronous_standby_names", each.names);
    wait_for_standbys(primary, each.sync_states);
    const auto backend = open_backend(primary.url());
    EXPECT_EQ(backend->traits().durability, Durability::replicas) << each.names;
    EXPECT_EQ(backend->traits().keeps_acknowledged, each.keeps) << each.names;
  }
}

TEST(PostgresFaults, a_role_that_may_not_see_what_kind_of_standby_there_is_promises_less) {
  TestCluster primary;
  const auto standby = primary.standby();
  primary.configure("synchronous_standby_names", "*");
  wait_for_standbys(primary, {"sync"});
  primary.sql("CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE postgres TO app");
  EXPECT_FALSE(open_backend(primary.url("user=app"))->traits().keeps_acknowledged);
  primary.sql("GRANT pg_read_all_stats TO app");
  EXPECT_TRUE(open_backend(primary.url("user=app"))->traits().keeps_acknowledged);
}

TEST(PostgresFaults, what_a_promoted_standby_has_not_received_is_gone_and_noticed) {
  TestCluster primary;
  const auto standby = primary.standby();
  const auto backend = open_backend(TestCluster::url_of({&primary, standby.get()}));
  EXPECT_FALSE(backend->traits().keeps_acknowledged);
  TestClient client = client_of(*backend);
  client.put("key", "old");
  const Position kept = client.position();
  wait_until_replayed(primary);
  standby->configure("primary_conninfo", "");
  eventually([&] { return primary.sql("SELECT 1 FROM pg_stat_replication").empty(); });
  client.put("key", "new");
  Group old = client.group({{{Check::has_version("key", 2)}, {Write::put("key", "newer")}}});
  const Position lost = client.position();
  ASSERT_EQ(lost, (Position{kept.history, 2}));
  primary.kill();
  standby->promote();
  const Position now = patiently([&] { return client.position(); });
  EXPECT_EQ(client.value("key"), "old");
  EXPECT_EQ(now.seq, 1u);
  EXPECT_NE(now.history, lost.history);
  EXPECT_EQ(code_of([&] { backend->changes("db", {.since = lost}); }), Code::history_changed);
  // The seq of the lost commit is used again; a check that names it must not hold.
  client_of(*backend, 2).put("key", "other");
  backend->commit({&old, 1});
  ASSERT_TRUE(old.error);
  EXPECT_EQ(old.error->code(), Code::history_changed);
  EXPECT_EQ(client.value("key"), "other");
}

TEST(PostgresFaults, a_promotion_behind_a_pooler_is_noticed_by_connections_that_outlive_it) {
  TestCluster primary;
  TestPooler pooler(primary);
  const auto backend = open_backend(pooler.url());
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const auto position = [&] { return client.read({"key"}).at; };  // of one key, which has a way of its own
  const Position before = position();
  EXPECT_EQ(position(), before);
  Group old = client.group({{{}, {Write::put("key", "2")}}});
  const auto standby = primary.standby();
  wait_until_replayed(primary);
  standby->promote();
  pooler.lead_to(*standby);
  eventually([&] { return position().history != before.history; });
  EXPECT_EQ(client.position().seq, before.seq);
  backend->commit({&old, 1});
  ASSERT_TRUE(old.error);
  EXPECT_EQ(old.error->code(), Code::history_changed);
}

TEST(PostgresFaults, a_standby_is_refused) {
  TestCluster primary;
  open_backend(primary.url());
  const auto standby = primary.standby();
  EXPECT_EQ(code_of([&] { open_backend(standby->url()); }), Code::unavailable);
}

// ---- leaks

TEST(PostgresFaults, reconnects_leave_nothing_behind) {
  const std::string name = unique_name();
  const auto backend = open_store(name, {{"application_name", name}});
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const Sql sql;
  const std::string ours = " FROM pg_stat_activity WHERE application_name = '" + name + "'";
  expect_no_leak(testing_support::setting("HOLDFAST_RECONNECTS", 500), [&] {
    sql("SELECT pg_terminate_backend(pid)" + ours);
    ASSERT_EQ(client.value("key"), "1");
  });
  eventually([&] { return std::stoi(sql("SELECT count(*)" + ours).front()) <= 3; });
}

}  // namespace
}  // namespace holdfast::postgres
