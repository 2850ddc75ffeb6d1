#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "contract/forwarding.h"
#include "holdfast/layers.h"
#include "holdfast/open.h"
#include "layers/test_client.h"

namespace holdfast {
namespace {

class BoundDatabasesLayer : public testing::Test {
 protected:
  BoundDatabasesLayer() {
    std::map<Bytes, std::shared_ptr<Backend>> bindings;
    bindings.emplace("jobs", std::make_unique<ForwardingBackend>(jobs));
    bindings.emplace("mail", std::make_unique<ForwardingBackend>(mail));
    backend = bound_databases(std::move(bindings), std::make_unique<ForwardingBackend>(rest), environment);
  }
  TestClient client(Backend& store, const Bytes& name, std::uint64_t session = 1) {
    return {store, environment, name, session};
  }
  Deadline soon() const { return clock->steady_now() + std::chrono::seconds(20); }

  const std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  const Environment environment = Environment{clock, seeded_random(1), nullptr}.completed();
  const std::shared_ptr<Backend> jobs = open_backend("memory:", environment);
  const std::shared_ptr<Backend> mail = open_backend("memory:", environment);
  const std::shared_ptr<Backend> rest = open_backend("memory:", environment);
  std::unique_ptr<Backend> backend;
};

TEST_F(BoundDatabasesLayer, SendsEachDatabaseToItsStore) {
  client(*backend, "jobs").put("k", "j");
  client(*backend, "other").put("k", "o");
  EXPECT_EQ(client(*jobs, "jobs").value("k"), "j");
  EXPECT_EQ(client(*rest, "other").value("k"), "o");
  EXPECT_EQ(client(*rest, "jobs").value("k"), "(none)");
  EXPECT_EQ(client(*backend, "jobs").value("k"), "j");
}

TEST_F(BoundDatabasesLayer, SplitsACommitCallByStore) {
  std::vector<Group> groups;
  for (const char* name : {"jobs", "x", "mail", "y"}) {
    groups.push_back(client(*backend, name).group({{{}, {Write::put("k", name)}}}));
  }
  groups[1].history = 7;
  backend->commit(groups);
  for (std::size_t i = 0; i < groups.size(); ++i) EXPECT_EQ(groups[i].error.has_value(), i == 1);
  EXPECT_EQ(client(*mail, "mail").value("k"), "mail");
  EXPECT_EQ(client(*rest, "y").value("k"), "y");
}

TEST_F(BoundDatabasesLayer, GivesDatabasesOfDifferentStoresDifferentLanes) {
  EXPECT_NE(backend->lane("jobs"), backend->lane("mail"));
  EXPECT_NE(backend->lane("jobs"), backend->lane("x"));
}

TEST_F(BoundDatabasesLayer, ListsAllNamesInOrderAndNoneThatIsBoundElsewhere) {
  for (const char* name : {"jobs", "mail", "a", "k", "z"}) client(*backend, name).put("k", "v");
  client(*rest, "mail").put("k", "left from before");
  client(*jobs, "foreign").put("k", "left from before");
  EXPECT_EQ(backend->databases("", "", 10, soon()), (std::vector<Bytes>{"a", "jobs", "k", "mail", "z"}));
  EXPECT_EQ(backend->databases("", "a", 2, soon()), (std::vector<Bytes>{"jobs", "k"}));
  EXPECT_EQ(backend->databases("", "k", 2, soon()), (std::vector<Bytes>{"mail", "z"}));
  EXPECT_EQ(backend->databases("m", "", 2, soon()), (std::vector<Bytes>{"mail"}));
}

TEST_F(BoundDatabasesLayer, ListsWhatExpiredInAllStoresTheOldestFirst) {
  const UnixMs now_ms = clock->now_ms();
  client(*backend, "jobs").put("k", "v", now_ms + 2);
  client(*backend, "mail").put("k", "v", now_ms + 1);
  client(*backend, "x").put("k", "v", now_ms + 3);
  client(*rest, "mail").put("k", "left from before", now_ms);
  const ExpiredAnswer all = backend->expired(now_ms + 5, 10, soon());
  EXPECT_EQ(all.items, (std::vector<Expired>{
                           {"mail", "k", now_ms + 1}, {"jobs", "k", now_ms + 2}, {"x", "k", now_ms + 3}}));
  const ExpiredAnswer one = backend->expired(now_ms + 5, 1, soon());
  EXPECT_EQ(one.items.size(), 1u);
  EXPECT_EQ(one.next_due_ms, now_ms + 2);
}

TEST_F(BoundDatabasesLayer, ListsWhatExpiredBehindWhatIsLeftFromBefore) {
  const UnixMs now_ms = clock->now_ms();
  for (int i = 0; i < 20; ++i) client(*rest, "mail").put("k" + std::to_string(i), "left", now_ms);
  client(*backend, "x").put("k", "v", now_ms + 1);
  const ExpiredAnswer answer = backend->expired(now_ms + 5, 2, soon());
  EXPECT_EQ(answer.items, (std::vector<Expired>{{"x", "k", now_ms + 1}}));
  EXPECT_FALSE(answer.next_due_ms);
}

TEST_F(BoundDatabasesLayer, KeepsSeveralDatabasesInOneStore) {
  const auto shared = bound_databases({{"a", jobs}, {"b", jobs}, {"c", rest}}, rest, environment);
  for (const char* name : {"a", "b", "c", "d"}) client(*shared, name).put("k", name, clock->now_ms() + 1);
  EXPECT_EQ(client(*jobs, "b").value("k"), "b");
  EXPECT_EQ(client(*rest, "c").value("k"), "c");
  EXPECT_EQ(shared->databases("", "", 10, soon()), (std::vector<Bytes>{"a", "b", "c", "d"}));
  EXPECT_EQ(shared->expired(clock->now_ms() + 5, 10, soon()).items.size(), 4u);
}

TEST_F(BoundDatabasesLayer, WaitsOverAllStores) {
  const std::vector<Cursor> cursors = {{"jobs", {}}, {"x", {}}};
  auto answer = std::async(std::launch::async, [&] { return backend->wait(cursors, soon()); });
  while (clock->waiting() == 0) std::this_thread::yield();
  client(*backend, "x").put("k", "v");
  EXPECT_EQ(answer.get(), (std::vector<std::size_t>{1}));
  client(*backend, "jobs").put("k", "v");
  EXPECT_EQ(backend->wait(cursors, soon()), (std::vector<std::size_t>{0, 1}));
}

TEST_F(BoundDatabasesLayer, DropsAndFencesInTheRightStore) {
  client(*backend, "jobs").put("k", "v");
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = 5;
  ASSERT_TRUE(backend->fence("jobs", Fence{}, frozen, soon()));
  EXPECT_TRUE(client(*jobs, "jobs").put("k", "w").error);
  ASSERT_TRUE(backend->fence("jobs", frozen, Fence{}, soon()));
  EXPECT_TRUE(client(*backend, "jobs").drop());
  EXPECT_EQ(client(*jobs, "jobs").position(), (Position{}));
}

TEST_F(BoundDatabasesLayer, PromisesWhatItsWeakestStorePromises) {
  class Strong final : public ForwardingBackend {
   public:
    explicit Strong(const std::shared_ptr<Backend>& inner) : ForwardingBackend(inner) {
      traits_ = inner->traits();
      traits_.durability = Durability::disk;
      traits_.shared_by_processes = true;
    }
    const Traits& traits() const override { return traits_; }

   private:
    Traits traits_;
  };
  std::map<Bytes, std::shared_ptr<Backend>> bindings;
  bindings.emplace("jobs", std::make_unique<Strong>(jobs));
  const auto mixed =
      bound_databases(std::move(bindings), std::make_unique<ForwardingBackend>(rest), environment);
  EXPECT_EQ(mixed->traits().durability, Durability::process);
  EXPECT_FALSE(mixed->traits().shared_by_processes);
  EXPECT_TRUE(mixed->traits().keeps_acknowledged);
}

}  // namespace
}  // namespace holdfast
