#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "contract/forwarding.h"
#include "holdfast/layers.h"
#include "holdfast/open.h"
#include "layers/test_client.h"

namespace holdfast {
namespace {

/// What outlives the layers over it: a catalog and the places, as a folder would hold them.
class World {
 public:
  explicit World(Environment environment, bool shared_by_processes)
      : environment_(std::move(environment)), shared_by_processes_(shared_by_processes) {}

  /// One process's layer. Further ones are further processes.
  std::unique_ptr<Backend> process(std::size_t open_limit = 256) {
    return per_database(
        std::make_unique<Visitor>(*this, catalog_), [this](const std::string& place) { return open(place); },
        [this](const std::string& place) { remove(place); }, environment_, open_limit);
  }

  std::set<std::string> places() {
    const std::lock_guard lock(mutex_);
    std::set<std::string> names;
    for (const auto& [name, store] : stores_) names.insert(name);
    return names;
  }

  std::atomic<int> open_now{0};
  std::atomic<int> most_open{0};
  std::atomic<int> opened{0};
  std::atomic<int> expired_calls{0};
  std::atomic<bool> catalog_fails{false};

 private:
  /// An open store: counts itself, and fails as the test wants.
  class Visitor final : public ForwardingBackend {
   public:
    Visitor(World& world, const std::shared_ptr<Backend>& store)
        : ForwardingBackend(store), world_(world), is_catalog_(store == world.catalog_) {
      traits_ = store->traits();
      traits_.shared_by_processes = world.shared_by_processes_;
      if (is_catalog_) return;
      ++world_.opened;
      world_.most_open = std::max(world_.most_open.load(), ++world_.open_now);
    }
    ~Visitor() override {
      if (!is_catalog_) --world_.open_now;
    }
    const Traits& traits() const override { return traits_; }
    void commit(std::span<Group> groups) override {
      if (!is_catalog_ || !world_.catalog_fails) return inner().commit(groups);
      for (Group& group : groups) group.error = Error(Code::unavailable, "the catalog fails");
    }
    ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
      ++world_.expired_calls;
      return inner().expired(now_ms, limit, deadline);
    }

   private:
    World& world_;
    const bool is_catalog_;
    Traits traits_;
  };

  std::unique_ptr<Backend> open(const std::string& place) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Backend>& store = stores_[place];
    if (!store) store = open_backend("memory:", environment_);
    return std::make_unique<Visitor>(*this, store);
  }
  void remove(const std::string& place) {
    const std::lock_guard lock(mutex_);
    stores_.erase(place);
  }

  const Environment environment_;
  const bool shared_by_processes_;
  const std::shared_ptr<Backend> catalog_ = open_backend("memory:", environment_);
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Backend>> stores_;
};

class PerDatabase : public testing::Test {
 protected:
  std::vector<Bytes> names(Backend& backend, View prefix = "", View after = "", std::size_t limit = 100) {
    return backend.databases(prefix, after, limit, soon());
  }
  Deadline soon() const { return clock->steady_now() + std::chrono::seconds(20); }
  TestClient client(Backend& backend, const Bytes& name, std::uint64_t session = 1) {
    return {backend, environment, name, session};
  }

  const std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  const Environment environment = Environment{clock, seeded_random(1), nullptr}.completed();
  World alone{environment, false};
  World shared{environment, true};
};

TEST_F(PerDatabase, KeepsEachDatabaseAtAPlaceOfItsOwn) {
  const auto backend = alone.process();
  client(*backend, "agents").put("k", "a");
  client(*backend, "tasks").put("k", "t");
  EXPECT_EQ(client(*backend, "agents").value("k"), "a");
  EXPECT_EQ(client(*backend, "tasks").value("k"), "t");
  EXPECT_EQ(alone.places().size(), 2u);
}

TEST_F(PerDatabase, NamesPlacesByHexadecimalIdsAlone) {
  const auto backend = alone.process();
  client(*backend, "../../etc").put("k", "v");
  const std::string place = *alone.places().begin();
  EXPECT_EQ(place.size(), 16u);
  EXPECT_EQ(place.find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST_F(PerDatabase, CreatesNothingByReading) {
  const auto backend = alone.process();
  TestClient agents = client(*backend, "agents");
  EXPECT_EQ(agents.position(), (Position{}));
  EXPECT_EQ(agents.value("k"), "(none)");
  EXPECT_TRUE(backend->changes("agents", {.deadline = soon()}).caught_up());
  EXPECT_EQ(alone.opened, 0);
  EXPECT_TRUE(names(*backend).empty());
}

TEST_F(PerDatabase, JudgesChecksAndHistoryOfADatabaseThatDoesNotExist) {
  const auto backend = alone.process();
  const Check checks[] = {Check::absent("k"), Check::unchanged(Range::all(), 0, 0),
                          Check::has_version("k", 1)};
  ReadRequest request;
  request.checks = checks;
  request.deadline = soon();
  EXPECT_EQ(backend->read("agents", request).failed_check, 2u);
  request.history = 7;
  EXPECT_THROW(backend->read("agents", request), Error);
  Group group = client(*backend, "agents").group({{{}, {Write::put("k", "v")}}});
  group.history = 7;
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::history_changed);
  EXPECT_TRUE(alone.places().empty());
}

TEST_F(PerDatabase, FindsItsDatabasesAgainWhenItIsOpenedAgain) {
  client(*alone.process(), "agents").put("k", "v");
  EXPECT_EQ(client(*alone.process(), "agents").value("k"), "v");
}

TEST_F(PerDatabase, KeepsAtMostTheLimitOfStoresOpenAndTheUsedOnesFirst) {
  const auto backend = alone.process(3);
  for (int i = 0; i < 10; ++i) client(*backend, "db" + std::to_string(i)).put("k", std::to_string(i));
  EXPECT_EQ(alone.open_now, 3);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(client(*backend, "db" + std::to_string(i)).value("k"), std::to_string(i));
  }
  EXPECT_EQ(alone.open_now, 3);
  const int opened = alone.opened;
  for (const char* name : {"db9", "db8", "db7", "db9"}) client(*backend, name).position();
  EXPECT_EQ(alone.opened, opened);
  client(*backend, "db1").position();
  client(*backend, "db9").position();
  EXPECT_EQ(alone.opened, opened + 1);
}

TEST_F(PerDatabase, NeverClosesAStoreThatIsInUse) {
  const auto backend = alone.process(1);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const Group done = client(*backend, "db" + std::to_string(i % 5), 100 * t + i + 1).put("k", "v");
        ASSERT_FALSE(done.error) << done.error->what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Seq commits = 0;
  for (int i = 0; i < 5; ++i) commits += client(*backend, "db" + std::to_string(i)).position().seq;
  EXPECT_EQ(commits, 400u);
  EXPECT_EQ(alone.open_now, 1);
}

TEST_F(PerDatabase, MakesOnePlaceHoweverManyProcessesCreateTheDatabaseAtOnce) {
  std::vector<std::unique_ptr<Backend>> processes;
  for (int i = 0; i < 4; ++i) processes.push_back(shared.process());
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const Group done =
            client(*processes[t], "db" + std::to_string(i), t + 1).put("k" + std::to_string(t), "v");
        ASSERT_FALSE(done.error) << done.error->what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.places().size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(client(*processes[0], "db" + std::to_string(i)).position().seq, 4u);
  }
}

// ---- dropping

TEST_F(PerDatabase, GivesADatabaseThatIsCreatedAgainAFreshPlaceAndHistory) {
  const auto backend = alone.process();
  TestClient agents = client(*backend, "agents");
  agents.put("k", "old");
  const Position before = agents.position();
  const std::set<std::string> old_places = alone.places();
  ASSERT_TRUE(agents.drop());
  EXPECT_EQ(agents.position(), (Position{}));
  EXPECT_TRUE(alone.places().empty());
  agents.put("l", "new");
  EXPECT_EQ(agents.value("k"), "(none)");
  EXPECT_NE(agents.position().history, before.history);
  EXPECT_NE(alone.places(), old_places);
}

TEST_F(PerDatabase, DropsOnlyTheHistoryThatIsNamed) {
  const auto backend = alone.process();
  client(*backend, "agents").put("k", "v");
  EXPECT_FALSE(backend->drop("agents", 7, soon()));
  EXPECT_FALSE(backend->drop("agents", 0, soon()));
  EXPECT_FALSE(backend->drop("nobody", 7, soon()));
  EXPECT_EQ(client(*backend, "agents").value("k"), "v");
}

TEST_F(PerDatabase, ShowsADropAndANewBeginningToAProcessThatHasTheOldPlaceOpen) {
  const auto first = shared.process();
  const auto second = shared.process();
  client(*first, "agents").put("k", "old");
  TestClient other = client(*second, "agents", 2);
  ASSERT_EQ(other.value("k"), "old");
  Group late = other.group({{{}, {Write::put("k", "late")}}});

  ASSERT_TRUE(client(*first, "agents").drop());
  EXPECT_EQ(other.value("k"), "(none)");
  client(*first, "agents", 3).put("k", "new");
  EXPECT_EQ(other.value("k"), "new");

  second->commit({&late, 1});
  ASSERT_TRUE(late.error);
  EXPECT_EQ(late.error->code(), Code::history_changed);
  EXPECT_EQ(late.error->at(), client(*first, "agents").position());
  EXPECT_EQ(client(*first, "agents").value("k"), "new");
}

TEST_F(PerDatabase, KeepsADropThatWasInterruptedBeforeTheCatalogHeardOfIt) {
  const auto first = shared.process();
  TestClient agents = client(*first, "agents");
  agents.put("k", "old");
  shared.catalog_fails = true;
  EXPECT_THROW(agents.drop(), Error);
  shared.catalog_fails = false;

  const auto second = shared.process();
  EXPECT_TRUE(names(*second).empty());
  EXPECT_EQ(client(*second, "agents").position(), (Position{}));
  EXPECT_FALSE(second->drop("agents", 0, soon()));
  client(*second, "agents", 2).put("k", "new");
  EXPECT_EQ(agents.value("k"), "new");
}

TEST_F(PerDatabase, RemovesADroppedPlaceOfASharedStoreOnlyWhenEveryProcessHasNoticed) {
  const auto backend = shared.process();
  client(*backend, "agents").put("k", "v");
  ASSERT_TRUE(client(*backend, "agents").drop());
  EXPECT_EQ(shared.places().size(), 1u);
  clock->advance(std::chrono::minutes(59));
  backend->expired(clock->now_ms(), 10, soon());
  EXPECT_EQ(shared.places().size(), 1u);
  clock->advance(std::chrono::minutes(2));
  backend->expired(clock->now_ms(), 10, soon());
  EXPECT_TRUE(shared.places().empty());
}

TEST_F(PerDatabase, LooksIntoTheCatalogAgainBeforeADroppedPlaceIsRemoved) {
  const auto first = shared.process();
  const auto second = shared.process();
  client(*first, "agents").put("k", "old");
  ASSERT_EQ(client(*second, "agents").value("k"), "old");
  ASSERT_TRUE(client(*first, "agents").drop());
  client(*first, "agents", 2).put("k", "new");
  clock->advance(std::chrono::minutes(61));
  first->expired(clock->now_ms(), 10, soon());
  EXPECT_EQ(client(*second, "agents").value("k"), "new");
}

// ---- listing

TEST_F(PerDatabase, ListsNamesInByteOrderByPages) {
  const auto backend = alone.process();
  for (const char* name : {"b", "a/2", "a/1", "a", "c"}) client(*backend, name).put("k", "v");
  EXPECT_EQ(names(*backend), (std::vector<Bytes>{"a", "a/1", "a/2", "b", "c"}));
  EXPECT_EQ(names(*backend, "a/"), (std::vector<Bytes>{"a/1", "a/2"}));
  EXPECT_EQ(names(*backend, "", "a/1", 2), (std::vector<Bytes>{"a/2", "b"}));
  EXPECT_EQ(names(*backend, "a", "a/2"), (std::vector<Bytes>{}));
  EXPECT_EQ(names(*backend, "b", "a"), (std::vector<Bytes>{"b"}));
}

TEST_F(PerDatabase, DoesNotListADatabaseWhoseFirstCommitFailed) {
  const auto backend = alone.process();
  const Group failed = client(*backend, "a").commit({{Check::has_version("k", 1)}, {Write::put("k", "v")}});
  ASSERT_FALSE(failed.outcomes.at(0).committed());
  client(*backend, "b").put("k", "v");
  EXPECT_EQ(names(*backend, "", "", 1), (std::vector<Bytes>{"b"}));
}

TEST_F(PerDatabase, ListsAnImportAndDropsItByHistoryZero) {
  const auto backend = alone.process();
  Fence importing;
  importing.state = Fence::State::importing;
  importing.token = 5;
  EXPECT_FALSE(backend->fence("agents", importing, Fence{}, soon()));
  EXPECT_TRUE(alone.places().empty());
  ASSERT_TRUE(backend->fence("agents", Fence{}, importing, soon()));
  EXPECT_EQ(names(*backend), (std::vector<Bytes>{"agents"}));
  EXPECT_THROW(client(*backend, "agents").position(), Error);
  EXPECT_FALSE(backend->drop("agents", 7, soon()));
  EXPECT_TRUE(backend->drop("agents", 0, soon()));
  EXPECT_FALSE(backend->drop("agents", 0, soon()));
  EXPECT_TRUE(names(*backend).empty());
  EXPECT_EQ(client(*backend, "agents").position(), (Position{}));
}

// ---- expiry

TEST_F(PerDatabase, VisitsOnlyDatabasesInWhichSomethingCanBeDue) {
  const auto backend = alone.process();
  const UnixMs now_ms = clock->now_ms();
  for (int i = 0; i < 10; ++i) client(*backend, "quiet" + std::to_string(i)).put("k", "v");
  client(*backend, "later").put("k", "v", now_ms + 1000);
  client(*backend, "due").put("k", "v", now_ms + 10);
  ExpiredAnswer answer = backend->expired(now_ms, 10, soon());
  EXPECT_TRUE(answer.items.empty());
  EXPECT_EQ(answer.next_due_ms, now_ms + 10);
  EXPECT_EQ(alone.expired_calls, 0);
  answer = backend->expired(now_ms + 10, 10, soon());
  EXPECT_EQ(answer.items, (std::vector<Expired>{{"due", "k", now_ms + 10}}));
  EXPECT_EQ(answer.next_due_ms, now_ms + 1000);
  EXPECT_EQ(alone.expired_calls, 1);
}

TEST_F(PerDatabase, ListsTheOldestOfAllDatabasesFirst) {
  const auto backend = alone.process();
  const UnixMs now_ms = clock->now_ms();
  client(*backend, "a").put("k1", "v", now_ms + 1);
  client(*backend, "a", 2).put("k4", "v", now_ms + 4);
  client(*backend, "b").put("k2", "v", now_ms + 2);
  client(*backend, "c").put("k3", "v", now_ms + 3);
  const ExpiredAnswer answer = backend->expired(now_ms + 100, 3, soon());
  EXPECT_EQ(answer.items, (std::vector<Expired>{
                              {"a", "k1", now_ms + 1}, {"b", "k2", now_ms + 2}, {"c", "k3", now_ms + 3}}));
  EXPECT_EQ(answer.next_due_ms, now_ms + 4);
}

TEST_F(PerDatabase, RaisesTheBoundWhenEverythingDueWasReaped) {
  const auto backend = alone.process();
  const UnixMs now_ms = clock->now_ms();
  client(*backend, "a").put("k", "v", now_ms + 10);
  client(*backend, "a", 2).put("l", "v", now_ms + 500);
  clock->advance(std::chrono::milliseconds(10));
  ASSERT_EQ(backend->expired(now_ms + 10, 10, soon()).items.size(), 1u);
  ASSERT_TRUE(client(*backend, "a", 3).reap("k").outcomes.at(0).committed());
  EXPECT_TRUE(backend->expired(now_ms + 10, 10, soon()).items.empty());
  const int calls = alone.expired_calls;
  const ExpiredAnswer answer = backend->expired(now_ms + 10, 10, soon());
  EXPECT_EQ(alone.expired_calls, calls);
  EXPECT_EQ(answer.next_due_ms, now_ms + 500);
}

TEST_F(PerDatabase, LowersTheBoundAgainForAnEarlierExpiry) {
  const auto backend = alone.process();
  const UnixMs now_ms = clock->now_ms();
  client(*backend, "a").put("k", "v", now_ms + 500);
  client(*backend, "a", 2).put("l", "v", now_ms + 10);
  EXPECT_EQ(backend->expired(now_ms + 10, 10, soon()).items.size(), 1u);
  EXPECT_EQ(alone.process()->expired(now_ms + 10, 10, soon()).items.size(), 1u);
}

TEST_F(PerDatabase, FindsWhatIsDueAlthoughAnotherProcessRaisedTheBoundMeanwhile) {
  const auto writer = shared.process();
  const auto sweeper = shared.process();
  const UnixMs now_ms = clock->now_ms();
  client(*writer, "a").put("k", "v", now_ms + 10);
  clock->advance(std::chrono::milliseconds(10));
  client(*sweeper, "a", 2).reap("k");
  ASSERT_TRUE(sweeper->expired(now_ms + 10, 10, soon()).items.empty());
  client(*writer, "a", 3).put("l", "v", now_ms + 200);
  EXPECT_EQ(sweeper->expired(now_ms + 200, 10, soon()).items,
            (std::vector<Expired>{{"a", "l", now_ms + 200}}));
}

TEST_F(PerDatabase, ForgetsTheDueOfADroppedDatabase) {
  const auto backend = alone.process();
  const UnixMs now_ms = clock->now_ms();
  client(*backend, "a").put("k", "v", now_ms + 10);
  ASSERT_TRUE(client(*backend, "a").drop());
  const ExpiredAnswer answer = backend->expired(now_ms + 10, 10, soon());
  EXPECT_TRUE(answer.items.empty());
  EXPECT_EQ(answer.next_due_ms, std::nullopt);
}

// ---- waiting

TEST_F(PerDatabase, AnswersAWaitAtOnceForEveryCursorThatIsBehind) {
  const auto backend = alone.process();
  client(*backend, "a").put("k", "v");
  client(*backend, "b").put("k", "v");
  const Position a = client(*backend, "a").position();
  const std::vector<Cursor> cursors = {{"a", a}, {"b", {}}, {"c", {}}, {"a", {a.history, 0}}, {"c", {7, 1}}};
  EXPECT_EQ(backend->wait(cursors, soon()), (std::vector<std::size_t>{1, 3, 4}));
}

TEST_F(PerDatabase, WakesAWaitByACommitADropAndByWake) {
  const auto backend = alone.process();
  client(*backend, "a").put("k", "v");
  const Position a = client(*backend, "a").position();
  const auto wait_for = [&](std::vector<Cursor> cursors, const std::function<void()>& act) {
    auto answer = std::async(std::launch::async, [&, cursors] { return backend->wait(cursors, soon()); });
    while (clock->waiting() == 0) std::this_thread::yield();
    act();
    return answer.get();
  };
  EXPECT_EQ(wait_for({{"a", a}, {"new", {}}}, [&] { client(*backend, "new").put("k", "v"); }),
            (std::vector<std::size_t>{1}));
  EXPECT_EQ(wait_for({{"a", a}}, [&] { client(*backend, "a", 2).put("k", "v"); }),
            (std::vector<std::size_t>{0}));
  EXPECT_EQ(wait_for({{"a", client(*backend, "a").position()}}, [&] { client(*backend, "a").drop(); }),
            (std::vector<std::size_t>{0}));
  EXPECT_EQ(wait_for({{"a", {}}}, [&] { backend->wake(); }), (std::vector<std::size_t>{}));
  backend->wake();
  EXPECT_TRUE(backend->wait(std::vector<Cursor>{{"a", {}}}, soon()).empty());
}

TEST_F(PerDatabase, EndsAWaitAtItsDeadline) {
  const auto backend = alone.process();
  EXPECT_TRUE(backend->wait(std::vector<Cursor>{{"a", {}}}, clock->steady_now()).empty());
}

TEST_F(PerDatabase, WakesAWaitByACommitOfAnotherProcessWithinItsBound) {
  const auto first = shared.process();
  const auto second = shared.process();
  auto answer =
      std::async(std::launch::async, [&] { return first->wait(std::vector<Cursor>{{"a", {}}}, soon()); });
  while (clock->waiting() == 0) std::this_thread::yield();
  client(*second, "a").put("k", "v");
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  clock->advance(first->traits().wake_bound);
  EXPECT_EQ(answer.get(), (std::vector<std::size_t>{0}));
}

TEST_F(PerDatabase, SaysWhatItIs) {
  EXPECT_EQ(alone.process()->traits().name, "per_database+memory");
  EXPECT_NE(alone.process()->lane("a"), alone.process()->lane("b"));
}

TEST(PerDatabaseOverFaults, KeepsEveryPromiseWhenTheCatalogLosesAnswers) {
  // By the machine's clock: the catalog pauses between its questions.
  const Environment environment = Environment{nullptr, seeded_random(1), nullptr}.completed();
  // Only answers to the catalog are lost, so that every commit must still succeed.
  std::map<std::string, std::shared_ptr<Backend>> stores;
  const auto backend = per_database(
      faulty(open_backend("memory:", environment),
             {.seed = 11, .lost_answer_per_mille = 300, .parked_copy_per_mille = 200}, environment),
      [&](const std::string& place) {
        std::shared_ptr<Backend>& store = stores[place];
        if (!store) store = open_backend("memory:", environment);
        return std::make_unique<ForwardingBackend>(store);
      },
      [&](const std::string& place) { stores.erase(place); }, environment, 4);
  for (int i = 0; i < 60; ++i) {
    TestClient agent(*backend, environment, "agent" + std::to_string(i));
    const Group done = agent.put("k", "v", environment.clock->now_ms() + 60'000);
    ASSERT_FALSE(done.error) << done.error->what();
    EXPECT_TRUE(i % 3 != 0 || agent.drop());
  }
  const Deadline deadline = environment.clock->steady_now() + std::chrono::seconds(20);
  EXPECT_EQ(backend->databases("", "", 100, deadline).size(), 40u);
  EXPECT_EQ(stores.size(), 40u);
  EXPECT_EQ(backend->expired(environment.clock->now_ms() + 120'000, 100, deadline).items.size(), 40u);
}

}  // namespace
}  // namespace holdfast
