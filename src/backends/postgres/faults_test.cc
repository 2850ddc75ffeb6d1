// Servers that are restarted, killed and promoted under load; connections that are cut.
#include <filesystem>
#include <thread>

#include "backends/postgres/schema.h"
#include "backends/postgres/test_cluster.h"
#include "backends/postgres/test_server.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/appenders.h"
#include "tests/support/code_of.h"
#include "tests/support/settings.h"

namespace holdfast::postgres {
namespace {

using std::chrono::milliseconds;
using testing_support::Appended;
using testing_support::Appenders;
using testing_support::code_of;
using testing_support::expect_exactly_once;
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
  const Group sent = client.put("key", "1");
  server.kill();
  server.start();
  const Group again = patiently([&] {
    Group group = retried(*backend, sent);
    if (group.error) throw Error(*group.error);
    return group;
  });
  EXPECT_EQ(again.outcomes, sent.outcomes);
  EXPECT_EQ(client.position().seq, 1u);
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

// ---- promotion

TEST(PostgresFaults, a_synchronous_standby_that_is_promoted_under_load_has_every_acknowledged_commit) {
  TestCluster primary;
  const auto standby = primary.standby();
  primary.configure("synchronous_standby_names", "*");
  eventually(
      [&] { return !primary.sql("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").empty(); });
  const auto store = Store::open(TestCluster::url_of({&primary, standby.get()}, "sweeper=false"));
  EXPECT_EQ(store->traits().durability, Durability::replicas);
  EXPECT_TRUE(store->traits().keeps_acknowledged);
  Appenders appenders(*store, 8);
  appenders.let_pass(200);
  const Position before = position_of(*store);
  primary.kill();
  standby->promote();
  appenders.let_pass(200);
  const Appended appended = appenders.stop();
  expect_exactly_once(*store, appended);
  const Position after = position_of(*store);
  EXPECT_NE(after.history, before.history) << "the new primary cannot prove that it has everything";
  EXPECT_GT(after.seq, before.seq);
}

TEST(PostgresFaults, an_asynchronous_standby_that_is_promoted_under_load_doubles_nothing_and_says_so) {
  TestCluster primary;
  const auto standby = primary.standby();
  const auto store = Store::open(TestCluster::url_of({&primary, standby.get()}, "sweeper=false"));
  EXPECT_EQ(store->traits().durability, Durability::disk);
  EXPECT_FALSE(store->traits().keeps_acknowledged);
  Appenders appenders(*store, 8);
  appenders.let_pass(200);
  const Position before = position_of(*store);
  primary.kill();
  standby->promote();
  appenders.let_pass(200);
  Appended appended = appenders.stop();
  appended.acknowledged.clear();  // those of the end may be lost
  expect_exactly_once(*store, appended);
  EXPECT_NE(position_of(*store).history, before.history);
}

TEST(PostgresFaults, what_a_promoted_standby_has_not_received_is_gone_and_noticed) {
  TestCluster primary;
  const auto standby = primary.standby();
  const auto backend = open_backend(TestCluster::url_of({&primary, standby.get()}));
  EXPECT_FALSE(backend->traits().keeps_acknowledged);
  TestClient client = client_of(*backend);
  client.put("key", "old");
  const Position kept = client.position();
  eventually([&] {
    return primary.sql("SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()").size() ==
           1;
  });
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
  const Position before = client.position();
  Group old = client.group({{{}, {Write::put("key", "2")}}});
  const auto standby = primary.standby();
  eventually([&] {
    return primary.sql("SELECT 1 FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()").size() ==
           1;
  });
  standby->promote();
  pooler.lead_to(*standby);
  eventually([&] { return client.position().history != before.history; });
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
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator{});
  };
  const std::string ours = " FROM pg_stat_activity WHERE application_name = '" + name + "'";
  const auto before = descriptors();
  const std::uint64_t rounds = testing_support::setting("HOLDFAST_RECONNECTS", 200);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    sql("SELECT pg_terminate_backend(pid)" + ours);
    ASSERT_EQ(client.value("key"), "1");
  }
  EXPECT_LE(descriptors(), before + 1);
  eventually([&] { return std::stoi(sql("SELECT count(*)" + ours).front()) <= 3; });
}

}  // namespace
}  // namespace holdfast::postgres
