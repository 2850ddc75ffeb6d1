#include "holdfast/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/scripted_backend.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using testing_support::code_of;
using Keys = std::vector<Bytes>;

Keys keys_of(const Page& page) {
  Keys keys;
  for (const Entry& entry : page.entries) keys.push_back(entry.key);
  return keys;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() : clock(std::make_shared<ManualClock>()) {
    StoreOptions options;
    options.environment = {clock, seeded_random(3), nullptr};
    options.sweeper = false;
    auto scripted = std::make_unique<ScriptedBackend>(options.environment);
    backend = scripted.get();
    store = Store::open(std::move(scripted), options);
  }

  /// By another process, or by the engine itself.
  void commit_elsewhere(View database, std::uint64_t number, Batch batch) {
    Group group;
    group.database = database;
    group.session = {9, 9};
    group.number = number;
    group.now_ms = clock->now_ms();
    group.batches.push_back(std::move(batch));
    backend->inner().commit({&group, 1});
    ASSERT_FALSE(group.error);
  }

  std::shared_ptr<ManualClock> clock;
  ScriptedBackend* backend;
  std::shared_ptr<Store> store;
};

// ---- Databases of a store

TEST_F(StoreTest, ADatabaseExistsFromItsFirstCommitOn) {
  Database db = store->database("a");
  EXPECT_FALSE(db.get("k"));
  EXPECT_TRUE(store->databases().empty());
  EXPECT_EQ(db.put("k", "v"), 1u);
  EXPECT_EQ(store->databases(), (Keys{"a"}));
}

TEST_F(StoreTest, DatabasesAreListedByPrefixInPages) {
  for (const char* name : {"b/2", "b/1", "a", "c"}) store->database(name).put("k", "");
  EXPECT_EQ(store->databases("b/"), (Keys{"b/1", "b/2"}));
  EXPECT_EQ(store->databases("", "a", 2), (Keys{"b/1", "b/2"}));
}

TEST_F(StoreTest, DatabasesOfTheEngineAreNeitherListedNorOpened) {
  commit_elsewhere("!store", 1, {{}, {Write::put("!sweeper", "")}});
  store->database("a").put("k", "");
  EXPECT_EQ(store->databases("", "", 1), (Keys{"a"}));
  EXPECT_EQ(code_of([&] { store->database("!store"); }), Code::invalid_argument);
}

TEST_F(StoreTest, NamesAreValidated) {
  EXPECT_EQ(code_of([&] { store->database(""); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { store->database(Bytes(201, 'x')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { store->database("a\nb"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { store->database("\xFF"); }), Code::invalid_argument);
}

TEST_F(StoreTest, ADroppedDatabaseStartsANewHistory) {
  Database db = store->database("a");
  db.put("k", "v");
  const Position before = db.position();
  EXPECT_TRUE(store->drop("a"));
  EXPECT_FALSE(store->drop("a"));
  EXPECT_FALSE(db.get("k"));
  EXPECT_EQ(db.put("k", "v"), 1u);
  EXPECT_NE(db.position().history, before.history);
}

TEST_F(StoreTest, HandlesOfOneNameAreOneDatabase) {
  store->database("a").put("k", "v");
  EXPECT_EQ(store->database("a").get("k")->value, "v");
  EXPECT_EQ(backend->calls().back()[0].number, 1u);
}

TEST_F(StoreTest, ManyDatabasesThatNobodyHoldsAreForgotten) {
  for (int i = 0; i < 3'000; ++i) store->database("db/" + std::to_string(i));
  Database kept = store->database("kept");
  kept.put("k", "1");
  for (int i = 0; i < 3'000; ++i) store->database("other/" + std::to_string(i));
  kept.put("k", "2");
  EXPECT_EQ(backend->calls().back()[0].number, 2u) << "what is held keeps its session";
}

// ---- Reads

TEST_F(StoreTest, GetsOfManyKeysAreOneSnapshotBeyondTheByteBudget) {
  Database db = store->database("a");
  const Bytes mebibyte(1'000'000, 'x');
  std::vector<Bytes> keys;
  for (int i = 0; i < 20; ++i) {
    keys.push_back("k" + std::to_string(i));
    db.put(keys.back(), mebibyte + "1");
  }
  // Between the second and the third call all values change in one commit each: an answer that is not one
  // snapshot would mix them.
  std::atomic<int> calls = 0;
  backend->before_read = [&](const ReadRequest&) {
    if (++calls != 3) return;
    for (std::size_t first = 0; first < 20; first += 5) {
      Batch batch;
      for (std::size_t i = first; i < first + 5; ++i)
        batch.writes.push_back(Write::put(keys[i], mebibyte + "2"));
      commit_elsewhere("a", 1 + first, std::move(batch));
    }
  };
  const auto entries = db.get(keys);
  ASSERT_EQ(entries.size(), 20u);
  for (const auto& entry : entries) EXPECT_EQ(entry->value.back(), '2');
}

TEST_F(StoreTest, AtMostAThousandKeysAreReadAtOnce) {
  EXPECT_EQ(code_of([&] { store->database("a").get(std::vector<Bytes>(1'001, "k")); }),
            Code::invalid_argument);
}

TEST_F(StoreTest, ScansAreValidated) {
  Database db = store->database("a");
  EXPECT_EQ(code_of([&] { db.scan(Range::all(), {.limit = 0}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { db.scan(Range::all(), {.limit = 10'001}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { db.scan({Bytes(3'000, 'x'), ""}); }), Code::invalid_argument);
}

TEST_F(StoreTest, ScansLeaveOutTheKeysOfTheEngine) {
  Database db = store->database("a");
  for (const char* key : {" before", "after", "after/2"}) db.put(key, "");
  commit_elsewhere("a", 1, {{}, {Write::put("!pin/consumer", "1")}});
  EXPECT_EQ(keys_of(db.scan(Range::all())), (Keys{" before", "after", "after/2"}));
  EXPECT_EQ(keys_of(db.scan(Range::all(), {.reverse = true})), (Keys{"after/2", "after", " before"}));
  const Page first = db.scan(Range::all(), {.limit = 1});
  EXPECT_EQ(keys_of(first), (Keys{" before"}));
  EXPECT_TRUE(first.more);
  const Page second = db.scan(Range::all(), {.limit = 2});
  EXPECT_EQ(keys_of(second), (Keys{" before", "after"}));
  EXPECT_TRUE(second.more);
  EXPECT_FALSE(db.scan(Range::all(), {.limit = 3}).more);
}

TEST_F(StoreTest, TimeNeverGoesBack) {
  Database db = store->database("a");
  db.put("lock", "", clock->now_ms() + 1'000);
  clock->advance(milliseconds(1'000));
  EXPECT_FALSE(db.get("lock"));
  clock->set_now_ms(clock->now_ms() - 500);
  EXPECT_FALSE(db.get("lock"));
}

// ---- Commits

TEST_F(StoreTest, OfTwoWritesOfOneKeyTheLastWins) {
  Database db = store->database("a");
  EXPECT_TRUE(
      db.commit({{}, {Write::put("k", "1"), Write::put("j", "1"), Write::put("k", "2")}}).committed());
  EXPECT_EQ(db.get("k")->value, "2");
  EXPECT_TRUE(db.commit({{}, {Write::put("k", "3"), Write::erase("k")}}).committed());
  EXPECT_FALSE(db.get("k"));
}

TEST_F(StoreTest, ContradictoryChecksFailWithoutACall) {
  Database db = store->database("a");
  const Outcome outcome = db.commit(
      {{Check::absent("j"), Check::absent("k"), Check::has_version("k", 1)}, {Write::put("k", "")}});
  EXPECT_EQ(outcome.failed_check, 2u);
  EXPECT_EQ(db.commit({{Check::has_version("k", 1), Check::has_version("k", 2)}, {Write::put("k", "")}})
                .failed_check,
            1u);
  EXPECT_TRUE(backend->calls().empty());
}

TEST_F(StoreTest, EqualChecksAreNoContradiction) {
  Database db = store->database("a");
  EXPECT_TRUE(db.commit({{Check::absent("k"), Check::absent("k")}, {Write::put("k", "")}}).committed());
}

TEST_F(StoreTest, AFailedCheckIsAnOutcome) {
  Database db = store->database("a");
  db.put("k", "");
  EXPECT_EQ(db.commit({{Check::absent("j"), Check::absent("k")}, {Write::put("k", "")}}).failed_check, 1u);
}

TEST_F(StoreTest, LimitsAreEnforcedBeforeAnythingIsSent) {
  Database db = store->database("a");
  const auto refused = [&](Batch batch) { return code_of([&] { db.commit(std::move(batch)); }); };
  EXPECT_EQ(refused({}), Code::invalid_argument);
  EXPECT_EQ(refused({{}, {Write::put("", "")}}), Code::invalid_argument);
  EXPECT_EQ(refused({{}, {Write::put(Bytes(2'049, 'k'), "")}}), Code::invalid_argument);
  EXPECT_EQ(refused({{}, {Write::put("k", Bytes(1'048'577, 'v'))}}), Code::invalid_argument);
  EXPECT_EQ(refused({{}, {Write::put("!mine", "")}}), Code::invalid_argument);
  EXPECT_EQ(refused({{Check::absent("!mine")}, {Write::put("k", "")}}), Code::invalid_argument);
  EXPECT_EQ(refused({std::vector<Check>(2'001, Check::absent("k")), {Write::put("k", "")}}),
            Code::invalid_argument);
  EXPECT_TRUE(backend->calls().empty());
  EXPECT_EQ(backend->reads(), 0u);
}

TEST_F(StoreTest, MessagesHoldNoKeysOrValues) {
  Database db = store->database("a");
  try {
    db.put("!secret-key", "secret-value");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
  }
}

TEST_F(StoreTest, ChangesReadOn) {
  Database db = store->database("a");
  db.put("a", "1");
  const Position since = db.position();
  db.put("b", "2");
  const Changes changes = db.changes(since, Range::all());
  ASSERT_EQ(changes.items.size(), 1u);
  EXPECT_EQ(changes.items[0].key, "b");
  EXPECT_TRUE(changes.caught_up());
}

// ---- Closing

TEST_F(StoreTest, AfterCloseEveryCallThrowsClosed) {
  Database db = store->database("a");
  db.put("k", "v");
  store->close();
  store->close();
  EXPECT_EQ(code_of([&] { db.get("k"); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.get(std::vector<Bytes>{"k"}); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.scan(Range::all()); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.put("k", "v"); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.transact([](Transaction&) {}); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.changes({}, Range::all()); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.position(); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.watch(Range::all(), {}); }), Code::closed);
  EXPECT_EQ(code_of([&] { db.digest(); }), Code::closed);
  EXPECT_EQ(code_of([&] { store->database("b"); }), Code::closed);
  EXPECT_EQ(code_of([&] { store->databases(); }), Code::closed);
  EXPECT_EQ(code_of([&] { store->drop("a"); }), Code::closed);
  EXPECT_EQ(db.name(), "a");
  EXPECT_FALSE(store->traits().name.empty());
}

TEST_F(StoreTest, ATransactionThatRunsWhileTheStoreIsClosedThrowsClosed) {
  Database db = store->database("a");
  std::promise<void> inside;
  std::thread closer;
  EXPECT_EQ(code_of([&] {
              db.transact([&](Transaction& t) {
                closer = std::thread([&] { store->close(); });
                for (;;) {
                  t.get("k");
                  std::this_thread::yield();
                }
              });
            }),
            Code::closed);
  closer.join();
}

TEST_F(StoreTest, CloseIsSafeWhileOtherThreadsAreInsideCalls) {
  std::vector<std::thread> threads;
  std::atomic<int> running = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Database db = store->database("db" + std::to_string(i % 2));
      ++running;
      try {
        for (int n = 0;; ++n) {
          db.put("k" + std::to_string(i), std::to_string(n));
          db.get("k");
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::closed);
      }
    });
  }
  while (running < 4) std::this_thread::yield();
  store->close();
  for (std::thread& thread : threads) thread.join();
}

TEST_F(StoreTest, TheDestructorCloses) {
  Database db = store->database("a");
  store.reset();
  EXPECT_EQ(code_of([&] { db.get("k"); }), Code::closed);
}

// ---- Processes

TEST_F(StoreTest, AForkedProcessHasASessionOfItsOwn) {
  Database db = store->database("a");
  db.put("k", "");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    db.put("k", "child");
    const SentGroup group = backend->calls().back()[0];
    const SentGroup parent = backend->calls().front()[0];
    const char is_new = group.session != parent.session && group.number == 1 ? 'y' : 'n';
    const bool is_told = ::write(ends[1], &is_new, 1) == 1;
    ::_exit(is_told ? 0 : 1);
  }
  ::close(ends[1]);
  char is_new = '?';
  EXPECT_EQ(::read(ends[0], &is_new, 1), 1);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(is_new, 'y');
  db.put("k", "parent");
  EXPECT_EQ(backend->calls().back()[0].number, 2u) << "the parent keeps its session";
}

}  // namespace
}  // namespace holdfast
