// A store on a cluster: slots that move, masters that die, databases on all nodes.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "backends/redis/key_names.h"
#include "backends/redis/test_cluster.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/appenders.h"
#include "tests/support/code_of.h"
#include "tests/support/restarts.h"

namespace holdfast::redis {
namespace {

using std::chrono::milliseconds;
using testing_support::Appended;
using testing_support::Appenders;
using testing_support::code_of;
using testing_support::expect_another_history;
using testing_support::expect_exactly_once;
using testing_support::patiently;

TestClient client_of(Backend& backend, const Bytes& database = "db", std::uint64_t session = 1) {
  return {backend, Environment{}.completed(), database, session};
}

/// Starting six servers takes a second or two: tests that leave a cluster as they found it share one.
class RedisCluster : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { cluster_ = new TestCluster; }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  TestCluster& cluster() { return *cluster_; }

 private:
  static TestCluster* cluster_;
};
TestCluster* RedisCluster::cluster_ = nullptr;

TEST_F(RedisCluster, IsRefusedWhereTheUrlDoesNotNameIt) {
  EXPECT_EQ(code_of([&] { open_backend("redis://127.0.0.1:" + cluster().port(0)); }), Code::invalid_argument);
  const std::string port = free_port();
  TestServer alone({"--port", port, "--bind", "127.0.0.1"});
  EXPECT_EQ(code_of([&] { open_backend("redis://127.0.0.1:" + port + "?cluster=true"); }),
            Code::invalid_argument);
}

TEST_F(RedisCluster, NeverPromisesToKeepWhatItAcknowledged) {
  const auto backend = open_backend(cluster().url("prefix=traits:"));
  EXPECT_FALSE(backend->traits().keeps_acknowledged);
  EXPECT_TRUE(backend->traits().shared_by_processes);
}

TEST_F(RedisCluster, IsFoundThroughAReplica) {
  const auto backend =
      open_backend("redis://127.0.0.1:" + cluster().port(4) + "?cluster=true&prefix=through:");
  TestClient client = client_of(*backend);
  client.put("key", "1");
  EXPECT_EQ(client.value("key"), "1");
}

TEST_F(RedisCluster, HasDatabasesOnAllItsNodesAndListsThem) {
  const auto backend = open_backend(cluster().url("prefix=listed:"));
  std::vector<Bytes> names;
  std::set<std::size_t> masters;
  for (int i = 0; i < 40; ++i) {
    const Bytes name = "d" + std::to_string(100 + i);
    names.push_back(name);
    masters.insert(cluster().master_of(name));
    client_of(*backend, name).put("key", name);
  }
  EXPECT_EQ(masters.size(), TestCluster::kMasters);
  EXPECT_EQ(backend->databases({}, {}, 100, {}), names);
  EXPECT_EQ(backend->databases({}, "d110", 3, {}), (std::vector<Bytes>{"d111", "d112", "d113"}));
  for (const Bytes& name : names) EXPECT_EQ(client_of(*backend, name).value("key"), name);
}

TEST_F(RedisCluster, CommitsGroupsOfSeveralNodesInOneCall) {
  const auto backend = open_backend(cluster().url("prefix=several:"));
  std::vector<Group> groups;
  for (int i = 0; i < 20; ++i) {
    groups.push_back(client_of(*backend, "d" + std::to_string(i)).group({{{}, {Write::put("key", "1")}}}));
  }
  backend->commit(groups);
  for (const Group& group : groups) {
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes.at(0).seq, 1u);
  }
}

TEST_F(RedisCluster, SweepsWhatExpiresOnEveryNode) {
  const auto backend = open_backend(cluster().url("prefix=expiry:"));
  for (int i = 0; i < 20; ++i)
    client_of(*backend, "d" + std::to_string(i)).put("key", "1", 5'000'000'000'000);
  EXPECT_EQ(backend->expired(5'000'000'000'001, 100, {}).items.size(), 20u);
}

TEST_F(RedisCluster, WakesWhoWaitsForDatabasesOfSeveralNodes) {
  const auto backend = open_backend(cluster().url("prefix=waited:"));
  std::vector<Cursor> cursors;
  for (int i = 0; i < 10; ++i) {
    TestClient client = client_of(*backend, "d" + std::to_string(i));
    client.put("key", "1");
    cursors.push_back({"d" + std::to_string(i), client.position()});
  }
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    std::vector<std::size_t> behind;
    std::thread waiter([&] { behind = backend->wait(cursors, client_of(*backend).soon()); });
    TestClient client = client_of(*backend, cursors[i].database, 2);
    client.put("key", "2");
    waiter.join();
    EXPECT_EQ(behind, std::vector<std::size_t>{i});
    cursors[i].at = client.position();
  }
}

TEST_F(RedisCluster, NeedsNoMorePermissionsThanTheManualSays) {
  const std::vector<std::string> more = {"+cluster|info", "+cluster|slots", "+asking"};
  for (std::size_t i = 0; i < cluster().size(); ++i) set_least_user(cluster().node(i), more);
  const auto backend = open_backend(cluster().url("user=app&password=p%20w"));
  TestClient client = client_of(*backend, "permitted");
  client.put("key", "1");
  const Cursor behind{"permitted", {0, 0}};
  EXPECT_EQ(backend->wait({&behind, 1}, client.soon()).size(), 1u);
  EXPECT_EQ(backend->databases({}, {}, 10, {}).size(), 1u);
  set_least_user(cluster().node(0));
  set_least_user(cluster().node(1));
  EXPECT_EQ(code_of([&] { open_backend(cluster().url("user=app&password=p%20w")); }),
            Code::permission_denied);
}

TEST_F(RedisCluster, FollowsASlotThatMovesUnderLoad) {
  const auto store = Store::open(cluster().url("sweeper=false&prefix=moving:"));
  Appenders appenders(*store, 4);
  appenders.let_pass(100);
  for (int round = 0; round < 4; ++round) {
    const std::size_t from = cluster().master_of("db");
    cluster().move_slot("db", from, (from + 1) % TestCluster::kMasters, milliseconds(20));
    appenders.let_pass(100);
  }
  const Appended appended = appenders.stop();
  EXPECT_EQ(appended.unknown.size(), 0u);
  expect_exactly_once(*store, appended);
}

/// Half of a slot has moved: head and entries of a database are on another node than the rest of its keys.
class RedisHalfMovedSlot : public RedisCluster {
 protected:
  RedisHalfMovedSlot() {
    client_.put("key", "1");
    before_ = client_.position();
    from_ = cluster().master_of("db");
    to_ = (from_ + 1) % TestCluster::kMasters;
    asked_before_ = count(to_, "cmdstat_asking:calls=");
    group_ = client_.group({{{}, {Write::put("key", "2")}}});
    cluster().begin_move("db", from_, to_);
    const DatabaseKeys keys = KeyNames(prefix_).of("db");
    cluster().move_key(keys.keys[0], from_, to_);
    cluster().move_key(keys.keys[1], from_, to_);
  }
  ~RedisHalfMovedSlot() override {
    if (!has_ended_) end_move();
  }
  void end_move() {
    has_ended_ = true;
    cluster().end_move("db", from_, to_);
  }
  /// What a node has counted, by a field of INFO.
  std::uint64_t count(std::size_t node, const std::string& field) {
    const std::string info = cluster().node(node).answer({"INFO", "everything"});
    const std::size_t at = info.find(field);
    return at == std::string::npos ? 0 : std::stoull(info.substr(at + field.size()));
  }
  std::uint64_t asked() { return count(to_, "cmdstat_asking:calls=") - asked_before_; }

  const std::string prefix_ = "half" + std::to_string(made_++) + ":";
  const std::unique_ptr<Backend> backend_ = open_backend(cluster().url("prefix=" + prefix_));
  TestClient client_{*backend_, Environment{}.completed(), "db"};
  Group group_;
  Position before_;
  std::size_t from_ = 0, to_ = 0;

 private:
  static inline int made_ = 0;
  std::uint64_t asked_before_ = 0;
  bool has_ended_ = false;
};

TEST_F(RedisHalfMovedSlot, IsAskedForWhatHasMovedAlready) {
  EXPECT_EQ(client_.value("key"), "1");
  const std::uint64_t first = asked();
  EXPECT_GT(first, 0u);
  EXPECT_EQ(client_.value("key"), "1");
  EXPECT_GT(asked(), first)
      << "the map has not changed: the node that gives the slot away is still asked first";
}

TEST_F(RedisHalfMovedSlot, WakesWhoWaitsSinceItsHeadIsOnAnotherNode) {
  const Cursor cursor{"db", before_};
  client_.value("key");
  EXPECT_EQ(backend_->wait({&cursor, 1}, client_.soon()), std::vector<std::size_t>{0});
  EXPECT_GT(asked(), 0u);
}

TEST_F(RedisHalfMovedSlot, TakesACommitWhenTheRestHasMoved) {
  // Whatever its history: that changes with the move.
  group_.history = 0;
  const std::uint64_t refused = count(from_, "errorstat_TRYAGAIN:count=");
  std::thread committer([&] {
    patiently([&] {
      group_.error.reset();
      group_.outcomes.clear();
      backend_->commit({&group_, 1});
      if (group_.error) throw Error(*group_.error);
      return 0;
    });
  });
  while (count(from_, "errorstat_TRYAGAIN:count=") == refused) std::this_thread::sleep_for(milliseconds(1));
  end_move();
  committer.join();
  ASSERT_EQ(group_.outcomes.size(), 1u);
  EXPECT_EQ(group_.outcomes[0].seq, before_.seq + 1);
  EXPECT_EQ(client_.value("key"), "2");
  EXPECT_EQ(client_.position().seq, before_.seq + 1) << "once";
}

TEST_F(RedisHalfMovedSlot, RefusesAGroupThatComesLater) {
  end_move();
  expect_another_history(*backend_, client_, before_, group_);
}

TEST_F(RedisCluster, WakesAWaiterWhoseSlotHasMoved) {
  const auto backend = open_backend(cluster().url("prefix=moved:"));
  TestClient client = client_of(*backend, "waited");
  client.put("key", "1");
  for (int round = 0; round < 3; ++round) {
    const Cursor cursor{"waited", client.position()};
    std::atomic<bool> woken{false};
    std::thread waiter([&] { woken = !backend->wait({&cursor, 1}, client.soon()).empty(); });
    const std::size_t from = cluster().master_of("waited");
    cluster().move_slot("waited", from, (from + 1) % TestCluster::kMasters);
    patiently([&] { return client.value("key"); });
    waiter.join();
    EXPECT_TRUE(woken) << "another server keeps the database, so its history is another";
    client_of(*backend, "waited", 100 + static_cast<std::uint64_t>(round)).put("key", "2");
  }
}

// --- masters that die

TEST(RedisClusterFaults, AMasterThatDiesUnderLoadIsReplacedAndNothingIsDoubled) {
  TestCluster cluster;
  const auto store = Store::open(cluster.url("sweeper=false&wait_replicas=1"));
  Appenders appenders(*store, 4);
  for (int round = 0; round < 2; ++round) {
    appenders.let_pass(100);
    const std::size_t master = cluster.master_of("db");
    cluster.node(master).kill();
    const std::size_t next = cluster.master_of("db");
    EXPECT_NE(next, master);
    cluster.node(master).start();
    appenders.let_pass(100);
    // The one that came back has to know everything before it may be the next master.
    patiently([&] {
      if (cluster.is_master(master) ||
          cluster.node(master).answer({"INFO", "replication"}).find("master_link_status:up") ==
              std::string::npos) {
        throw Error(Code::unavailable, "not in step");
      }
      return 0;
    });
    cluster.wait_until_whole();
  }
  const Appended appended = appenders.stop();
  // The one replica that could be promoted had received whatever was acknowledged.
  expect_exactly_once(*store, appended);
}

TEST(RedisClusterFaults, AFailoverChangesTheHistory) {
  TestCluster cluster;
  const auto backend = open_backend(cluster.url());
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const Cursor cursor{"db", client.position()};
  Group old = client.group({{{}, {Write::put("key", "2")}}});
  cluster.node(cluster.master_of("db")).kill();
  static_cast<void>(cluster.master_of("db"));
  expect_another_history(*backend, client, cursor.at, old);
  EXPECT_EQ(backend->wait({&cursor, 1}, client.soon()), (std::vector<std::size_t>{0}));
}

TEST(RedisClusterFaults, AMasterThatIsDeposedAnswersNothingMore) {
  TestCluster cluster;
  const auto backend = open_backend(cluster.url());
  TestClient client = client_of(*backend);
  client.put("key", "1");
  const Position before = client.position();
  const std::size_t master = cluster.master_of("db");
  ASSERT_EQ(cluster.node(master + TestCluster::kMasters).answer({"CLUSTER", "FAILOVER"}), "OK");
  while (cluster.master_of("db") == master) std::this_thread::sleep_for(milliseconds(5));
  const Position after = patiently([&] { return client.position(); });
  EXPECT_NE(after.history, before.history);
  EXPECT_EQ(client.value("key"), "1");
}

}  // namespace
}  // namespace holdfast::redis
