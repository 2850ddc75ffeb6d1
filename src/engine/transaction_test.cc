#include "engine/transaction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/scripted_backend.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

class TransactionTest : public testing::Test, public ScriptedWorld {
 protected:
  TransactionTest() : db(handle()) {}

  /// Another process: its commits go past this engine.
  Seq put_elsewhere(View key, View value, std::optional<UnixMs> expires_at_ms = {}) {
    return elsewhere({{}, {Write::put(key, value, expires_at_ms)}});
  }
  Seq elsewhere(Batch batch) {
    Group group;
    group.database = "db";
    group.session = {1, 1};
    group.number = ++elsewhere_number_;
    group.now_ms = clock->now_ms();
    group.deadline = in(milliseconds(1'000));
    group.batches.push_back(std::move(batch));
    backend->inner().commit({&group, 1});
    return group.outcomes.at(0).seq;
  }
  static std::vector<Bytes> keys_of(const Page& page) {
    std::vector<Bytes> keys;
    for (const Entry& entry : page.entries) keys.push_back(entry.key);
    return keys;
  }
  using Keys = std::vector<Bytes>;

  Database db;

 private:
  std::uint64_t elsewhere_number_ = 0;
};

TEST_F(TransactionTest, CommitsWhatTheBodyWroteAndReturnsWhatItReturns) {
  const int result = db.transact([](Transaction& t) {
    t.put("a", "1");
    t.put("b", "2");
    return 42;
  });
  EXPECT_EQ(result, 42);
  EXPECT_EQ(db.get("a")->value, "1");
  EXPECT_EQ(db.get("a")->version, db.get("b")->version);
}

TEST_F(TransactionTest, ABodyThatReturnsNothingIsAnsweredByThePositionOfItsCommit) {
  const Position first = db.transact([](Transaction& t) { t.put("a", "1"); });
  EXPECT_EQ(first.seq, db.get("a")->version);
  EXPECT_EQ(first, db.position());
  EXPECT_NE(first.history, 0u);
  int runs = 0;
  const Position second = db.transact([&](Transaction& t) {
    t.put("b", t.get("a")->value);
    if (runs++ == 0) db.put("a", "2");
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(second.seq, first.seq + 2);
  EXPECT_EQ(second.seq, db.get("b")->version);
}

TEST_F(TransactionTest, ABodyThatWritesNothingIsAnsweredByThePositionThatItReadAt) {
  EXPECT_EQ(db.transact([](Transaction&) {}), Position{});
  db.put("a", "1");
  const Position at = db.position();
  Position read_at;
  const Position answered = db.transact([&](Transaction& t) {
    t.get("a");
    read_at = t.position();
  });
  EXPECT_EQ(answered, at);
  EXPECT_EQ(answered, read_at);
}

TEST_F(TransactionTest, ABodyThatOnlyReadsCommitsNothing) {
  db.put("a", "1");
  const auto calls = backend->calls().size();
  db.transact([](Transaction& t) { EXPECT_EQ(t.get("a")->value, "1"); });
  EXPECT_EQ(backend->calls().size(), calls);
}

TEST_F(TransactionTest, RunsAgainWhenWhatItReadHasChanged) {
  db.put("counter", "1");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const int value = std::stoi(t.get("counter")->value);
    if (++runs == 1) put_elsewhere("counter", "10");
    t.put("counter", std::to_string(value + 1));
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(db.get("counter")->value, "11");
}

TEST_F(TransactionTest, RunsAgainWhenAKeyThatItFoundAbsentWasPut) {
  int runs = 0;
  db.transact([&](Transaction& t) {
    const bool taken = t.get("name").has_value();
    if (++runs == 1) put_elsewhere("name", "theirs");
    if (!taken) t.put("name", "ours");
  });
  EXPECT_EQ(db.get("name")->value, "theirs");
}

TEST_F(TransactionTest, RunsAgainWhenAnEntryThatItReadHasExpired) {
  db.put("lock", "held", clock->now_ms() + 1'000);
  int runs = 0;
  db.transact([&](Transaction& t) {
    const bool held = t.get("lock").has_value();
    if (++runs == 1) clock->advance(milliseconds(1'000));
    t.put("seen", held ? "held" : "free");
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(db.get("seen")->value, "free");
}

TEST_F(TransactionTest, ALaterReadSeesTheSameState) {
  put_elsewhere("index", "record-1");
  put_elsewhere("record-1", "x");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const Bytes record = t.get("index")->value;
    if (++runs == 1) {
      elsewhere(
          {{}, {Write::put("index", "record-2"), Write::put("record-2", "x"), Write::erase("record-1")}});
    }
    EXPECT_TRUE(t.get(record)) << "the body never sees two states";
  });
  EXPECT_EQ(runs, 2);
}

TEST_F(TransactionTest, ALaterScanSeesTheSameState) {
  put_elsewhere("sum", "1");
  put_elsewhere("part/a", "1");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const int sum = std::stoi(t.get("sum")->value);
    if (++runs == 1) elsewhere({{}, {Write::put("sum", "2"), Write::put("part/b", "1")}});
    EXPECT_EQ(t.scan(Range::prefix("part/")).entries.size(), static_cast<std::size_t>(sum));
  });
  EXPECT_EQ(runs, 2);
}

TEST_F(TransactionTest, ReadsOfDifferentTimesAreTrueTogetherWhenNothingTheyReadHasChanged) {
  put_elsewhere("a", "1");
  int runs = 0;
  Position at;
  db.transact([&](Transaction& t) {
    ++runs;
    EXPECT_EQ(t.get("a")->value, "1");
    if (runs == 1) put_elsewhere("b", "2");
    EXPECT_EQ(t.get("b")->value, "2");
    at = t.position();
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(at.seq, 2u) << "the position of the latest read";
}

TEST_F(TransactionTest, ManyChecksAreStillJudgedTogether) {
  for (int i = 0; i < 40; ++i) put_elsewhere("k" + std::to_string(i), "0");
  int runs = 0;
  db.transact([&](Transaction& t) {
    ++runs;
    for (int i = 0; i < 40; ++i) {
      EXPECT_EQ(t.get("k" + std::to_string(i))->value, t.get("k0")->value) << i;
      if (runs == 1 && i == 30) {
        Batch all;
        for (int n = 0; n < 40; ++n) all.writes.push_back(Write::put("k" + std::to_string(n), "1"));
        elsewhere(all);
      }
    }
  });
  EXPECT_EQ(runs, 2);
}

TEST_F(TransactionTest, ReadingAKeyTwiceAddsOneCheck) {
  db.put("a", "1");
  backend->script([](ScriptedBackend& scripted, std::span<Group> groups) {
    EXPECT_EQ(groups[0].batches[0].checks.size(), 1u);
    scripted.inner().commit(groups);
  });
  db.transact([](Transaction& t) {
    t.get("a");
    t.get("a");
    t.put("b", "");
  });
}

TEST_F(TransactionTest, NowIsFixedForTheRun) {
  db.transact([&](Transaction& t) {
    const UnixMs before = t.now();
    clock->advance(milliseconds(100));
    EXPECT_EQ(t.now(), before);
  });
}

TEST_F(TransactionTest, GetsOfManyKeysAreOneReadCall) {
  db.put("a", "1");
  const std::size_t reads = backend->reads();
  db.transact([](Transaction& t) {
    const std::vector<Bytes> keys{"a", "b"};
    const auto entries = t.get(keys);
    EXPECT_EQ(entries[0]->value, "1");
    EXPECT_FALSE(entries[1]);
  });
  EXPECT_EQ(backend->reads(), reads + 1);
}

// ---- Own writes

TEST_F(TransactionTest, AGetSeesOwnWrites) {
  db.put("a", "old");
  db.put("b", "old");
  db.transact([&](Transaction& t) {
    t.put("a", "new");
    t.erase("b");
    t.put("expired", "x", clock->now_ms());
    EXPECT_EQ(t.get("a")->value, "new");
    EXPECT_FALSE(t.get("b"));
    EXPECT_FALSE(t.get("expired"));
    const std::vector<Bytes> keys{"a", "b", "c"};
    const auto entries = t.get(keys);
    EXPECT_EQ(entries[0]->value, "new");
    EXPECT_FALSE(entries[1]);
    EXPECT_FALSE(entries[2]);
  });
}

TEST_F(TransactionTest, TheLastWriteOfAKeyWins) {
  db.transact([](Transaction& t) {
    t.put("a", "1");
    t.put("a", "2");
    t.put("b", "1");
    t.erase("b");
    t.put_stamped("s/", "", "1");
    t.put_stamped("s/", "", "2");
  });
  EXPECT_EQ(db.get("a")->value, "2");
  EXPECT_FALSE(db.get("b"));
  const Page stamped = db.scan(Range::prefix("s/"));
  ASSERT_EQ(stamped.entries.size(), 1u);
  EXPECT_EQ(stamped.entries[0].value, "2");
}

TEST_F(TransactionTest, AScanMergesOwnWrites) {
  for (const char* key : {"a", "c", "e"}) db.put(key, "old");
  db.transact([](Transaction& t) {
    t.put("b", "new");
    t.put("c", "new");
    t.erase("e");
    t.put("f", "new");
    EXPECT_EQ(keys_of(t.scan(Range::all())), (Keys{"a", "b", "c", "f"}));
    EXPECT_EQ(t.scan(Range::all()).entries[2].value, "new");
    EXPECT_EQ(keys_of(t.scan(Range::all(), {.reverse = true})), (Keys{"f", "c", "b", "a"}));
    EXPECT_EQ(keys_of(t.scan({"b", "f"})), (Keys{"b", "c"}));
  });
}

TEST_F(TransactionTest, AScanWithALimitIsFullInSpiteOfOwnErasures) {
  for (const char* key : {"a", "b", "c", "d", "e"}) db.put(key, "");
  db.transact([](Transaction& t) {
    t.erase("a");
    t.erase("b");
    Page page = t.scan(Range::all(), {.limit = 2});
    EXPECT_EQ(keys_of(page), (Keys{"c", "d"}));
    EXPECT_TRUE(page.more);
    page = t.scan(Range::all(), {.limit = 3});
    EXPECT_EQ(keys_of(page), (Keys{"c", "d", "e"}));
    EXPECT_FALSE(page.more);
    t.put("aa", "");
    page = t.scan(Range::all(), {.limit = 1});
    EXPECT_EQ(keys_of(page), (Keys{"aa"}));
    EXPECT_TRUE(page.more);
  });
}

TEST_F(TransactionTest, StampedWritesAreNotSeenBeforeTheirCommit) {
  db.transact([](Transaction& t) {
    t.put_stamped("log/", "/x", "v");
    EXPECT_TRUE(t.scan(Range::prefix("log/")).entries.empty());
  });
  EXPECT_EQ(keys_of(db.scan(Range::prefix("log/"))), (Keys{"log/0000000000000001/x"}));
}

TEST_F(TransactionTest, ScansWithOwnWritesEqualScansAfterTheCommit) {
  const auto random = seeded_random(11);
  const auto key = [&] { return Bytes(1, static_cast<char>('a' + random->next() % 12)); };
  for (int round = 0; round < 300; ++round) {
    const std::string name = "db" + std::to_string(round);
    Database database = handle(name);
    Batch batch;
    for (int i = 0; i < 8; ++i) batch.writes.push_back(Write::put(key(), "old"));
    database.commit(batch);
    const Range range{key(), random->next() % 3 == 0 ? Bytes() : key()};
    const ScanOptions options{.limit = 1 + random->next() % 8,
                              .reverse = random->next() % 2 == 0,
                              .keys_only = random->next() % 4 == 0};
    Page within;
    database.transact([&](Transaction& t) {
      for (int i = 0; i < 5; ++i) {
        if (random->next() % 2 == 0) {
          t.put(key(), "new");
        } else {
          t.erase(key());
        }
      }
      within = t.scan(range, options);
    });
    const Page after = database.scan(range, options);
    ASSERT_EQ(keys_of(within), keys_of(after)) << round;
    for (std::size_t i = 0; i < after.entries.size(); ++i) {
      ASSERT_EQ(within.entries[i].value, after.entries[i].value);
    }
    ASSERT_TRUE(within.more || !after.more);
  }
}

// ---- Checks of scans

TEST_F(TransactionTest, APutIntoAScannedRangeIsAConflict) {
  int runs = 0;
  db.transact([&](Transaction& t) {
    const std::size_t count = t.scan(Range::prefix("job/")).entries.size();
    if (++runs == 1) put_elsewhere("job/1", "");
    t.put("count", std::to_string(count));
  });
  EXPECT_EQ(db.get("count")->value, "1");
}

TEST_F(TransactionTest, ALimitedScanChecksOnlyWhatItCovered) {
  for (const char* key : {"q/1", "q/2", "q/3"}) put_elsewhere(key, "");
  int runs = 0;
  db.transact([&](Transaction& t) {
    t.scan(Range::prefix("q/"), {.limit = 2});
    if (++runs == 1) put_elsewhere("q/4", "");
    t.put("done", "");
  });
  EXPECT_EQ(runs, 1);
  db.transact([&](Transaction& t) {
    t.scan(Range::prefix("q/"), {.limit = 2});
    if (++runs == 2) put_elsewhere("q/15", "");
    t.put("done", "");
  });
  EXPECT_EQ(runs, 3);
}

TEST_F(TransactionTest, AReverseLimitedScanChecksOnlyWhatItCovered) {
  for (const char* key : {"q/1", "q/2", "q/3"}) put_elsewhere(key, "");
  int runs = 0;
  db.transact([&](Transaction& t) {
    t.scan(Range::prefix("q/"), {.limit = 2, .reverse = true});
    if (++runs == 1) put_elsewhere("q/1", "again");
    t.put("done", "");
  });
  EXPECT_EQ(runs, 1);
  db.transact([&](Transaction& t) {
    t.scan(Range::prefix("q/"), {.limit = 2, .reverse = true});
    if (++runs == 2) put_elsewhere("q/4", "");
    t.put("done", "");
  });
  EXPECT_EQ(runs, 3);
}

TEST_F(TransactionTest, AnEntryThatExpiresInAScannedRangeIsAConflict) {
  db.put("lease/1", "", clock->now_ms() + 500);
  int runs = 0;
  db.transact([&](Transaction& t) {
    const std::size_t leases = t.scan(Range::prefix("lease/")).entries.size();
    if (++runs == 1) clock->advance(milliseconds(500));
    t.put("leases", std::to_string(leases));
  });
  EXPECT_EQ(db.get("leases")->value, "0");
}

TEST_F(TransactionTest, ASnapshotScanAddsNoCheck) {
  put_elsewhere("ready/1", "");
  int runs = 0;
  db.transact([&](Transaction& t) {
    t.scan(Range::prefix("ready/"), {.snapshot = true});
    if (++runs == 1) put_elsewhere("ready/2", "");
    t.put("done", "");
  });
  EXPECT_EQ(runs, 1);
}

TEST_F(TransactionTest, RequireChecksWhatWasTakenFromASnapshotScan) {
  put_elsewhere("ready/1", "first");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const Page page = t.scan(Range::prefix("ready/"), {.snapshot = true});
    if (++runs == 1) put_elsewhere("ready/1", "second");
    t.require(page.entries.at(0));
    t.put("taken", page.entries.at(0).value);
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(db.get("taken")->value, "second");
}

// ---- Exceptions

TEST_F(TransactionTest, AnExceptionOfTheBodyLeavesWhenItsReadsHold) {
  EXPECT_THROW(db.transact([](Transaction& t) {
    t.get("a");
    t.put("b", "");
    throw std::domain_error("no");
  }),
               std::domain_error);
  EXPECT_FALSE(db.get("b"));
}

TEST_F(TransactionTest, AnExceptionOfTheBodyIsForgottenWhenItsReadsDoNotHold) {
  put_elsewhere("a", "bad");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const Bytes value = t.get("a")->value;
    if (++runs == 1) put_elsewhere("a", "good");
    if (value == "bad") throw std::domain_error("bad");
  });
  EXPECT_EQ(runs, 2);
}

TEST_F(TransactionTest, ABodyThatSwallowsItsUnwindingRunsAgainAllTheSame) {
  put_elsewhere("a", "1");
  int runs = 0;
  db.transact([&](Transaction& t) {
    try {
      t.get("a");
      if (++runs == 1) put_elsewhere("a", "2");
      t.get("b");
    } catch (...) {
    }
    try {
      t.put("written", "");
    } catch (...) {
    }
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(db.get("written")->version, 3u);
}

TEST_F(TransactionTest, UnwindingIsNotAStandardException) {
  put_elsewhere("a", "1");
  int runs = 0;
  int caught = 0;
  db.transact([&](Transaction& t) {
    try {
      t.get("a");
      if (++runs == 1) put_elsewhere("a", "2");
      t.get("b");
    } catch (const std::exception&) {
      ++caught;
    }
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(caught, 0);
}

TEST_F(TransactionTest, AnErrorOfTheBackendLeavesAsItIs) {
  backend->before_read = [](const ReadRequest&) { throw Error(Code::unavailable, "down"); };
  try {
    db.transact([](Transaction& t) { t.get("a"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
  }
}

TEST_F(TransactionTest, AnUnknownOutcomeIsNotAConflict) {
  db.put("a", "1");
  backend->script(lose_request);
  backend->script(fail_with(Error(Code::permission_denied, "revoked")));
  int runs = 0;
  try {
    db.transact([&](Transaction& t) {
      ++runs;
      t.put("b", t.get("a")->value);
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.retry(), Retry::unknown_outcome);
  }
  EXPECT_EQ(runs, 1);
}

// ---- Histories

TEST_F(TransactionTest, RunsAgainWhenTheHistoryHasChanged) {
  const Seq version = db.put("a", "old");
  int runs = 0;
  db.transact([&](Transaction& t) {
    const auto entry = t.get("a");
    if (++runs == 1) {
      ASSERT_TRUE(backend->inner().drop("db", db.position().history, {}));
      ASSERT_EQ(put_elsewhere("a", "new"), version) << "same key, same version, another history";
    }
    t.put("b", entry->value);
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(db.get("b")->value, "new");
}

TEST_F(TransactionTest, RunsAgainWhenTheHistoryChangesBetweenItsReads) {
  db.put("a", "old");
  int runs = 0;
  db.transact([&](Transaction& t) {
    t.get("a");
    if (++runs == 1) {
      backend->inner().drop("db", db.position().history, {});
      put_elsewhere("a", "new");
    }
    t.get("b");
  });
  EXPECT_EQ(runs, 2);
}

// ---- Losing

TEST_F(TransactionTest, AtTheDeadlineTheErrorSaysHowManyAttemptsWereLost) {
  db.put("a", "0");
  int runs = 0;
  try {
    db.transact(
        [&](Transaction& t) {
          t.get("a");
          // So few losses that none of them is followed by a wait for the clock.
          clock->advance(milliseconds(40));
          put_elsewhere("a", std::to_string(++runs));
          t.put("b", "");
        },
        in(milliseconds(200)));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::conflict);
    EXPECT_EQ(error.retry(), Retry::backoff);
    EXPECT_NE(std::string(error.what()).find(std::to_string(runs) + " attempts"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(runs, 5);
}

TEST_F(TransactionTest, AfterThreeLossesItHasItsTurnBeforeOthersOfTheProcess) {
  db.put("a", "0");
  const auto put_by_another = [this] {
    handle().transact([](Transaction& t) { t.put("a", t.get("a")->value + "1"); },
                      in(milliseconds(1'000'000)));
  };
  int runs = 0;
  std::future<void> other;
  db.transact(
      [&](Transaction& t) {
        t.get("a");
        ++runs;
        other = std::async(std::launch::async, put_by_another);
        // Once it is its turn, the other one would never come back before it is over.
        const auto patience = std::chrono::milliseconds(runs <= 3 ? 60'000 : 50);
        EXPECT_EQ(other.wait_for(patience) == std::future_status::ready, runs <= 3) << runs;
        t.put("b", "");
      },
      in(milliseconds(1'000'000)));
  EXPECT_EQ(runs, 4);
  other.get();
  EXPECT_EQ(db.get("a")->value, "01111");
}

/// Where waiting costs nothing: whoever waits finds that his time has come, and it is written down.
class LeapingClock final : public Clock {
 public:
  UnixMs now_ms() override { return manual_.now_ms(); }
  Deadline steady_now() override { return manual_.steady_now() + leapt_; }
  std::int64_t boot_time_ms() override { return manual_.boot_time_ms(); }
  void wait_until(std::condition_variable& /*condition*/, std::unique_lock<std::mutex>& /*lock*/,
                  Deadline deadline) override {
    waits.push_back(deadline - steady_now());
    leapt_ += waits.back();
  }

  std::vector<Deadline::duration> waits;

 private:
  ManualClock manual_;
  Deadline::duration leapt_{};
};

/// How long a transaction waits that loses so often.
std::vector<Deadline::duration> waits_after(int losses, std::uint64_t seed) {
  const auto clock = std::make_shared<LeapingClock>();
  StoreOptions options;
  options.environment = {clock, seeded_random(seed), nullptr};
  options.sweeper = false;
  auto backend = std::make_unique<ScriptedBackend>(options.environment);
  ScriptedBackend& elsewhere = *backend;
  const auto engine = std::make_shared<Engine>(std::move(backend), options);
  Database db = engine->handle("db");
  db.put("a", "");
  int runs = 0;
  db.transact([&](Transaction& t) {
    t.get("a");
    t.put("b", "");
    if (++runs > losses) return;
    Group group;
    group.database = "db";
    group.session = {1, 1};
    group.number = static_cast<std::uint64_t>(runs);
    group.now_ms = clock->now_ms();
    group.deadline = Deadline::max();
    group.batches.push_back({{}, {Write::put("a", "")}});
    elsewhere.inner().commit({&group, 1});
  });
  EXPECT_EQ(runs, losses + 1);
  return clock->waits;
}

TEST_F(TransactionTest, ManyLossesAreFollowedByWaitsThatGrowAndThatChanceDecides) {
  constexpr std::size_t kWaits = 16;
  EXPECT_TRUE(waits_after(8, 1).empty());
  const auto waits = waits_after(8 + kWaits, 1);
  ASSERT_EQ(waits.size(), kWaits);
  Deadline::duration longest = std::chrono::microseconds(200);
  for (const Deadline::duration wait : waits) {
    EXPECT_GT(wait, Deadline::duration{});
    EXPECT_LT(wait, longest);
    longest = std::min<Deadline::duration>(2 * longest, milliseconds(50));
  }
  EXPECT_GT(*std::ranges::max_element(waits), std::chrono::milliseconds(5));
  EXPECT_NE(waits_after(8 + kWaits, 2), waits);
}

TEST_F(TransactionTest, ATransactionThatLosesOftenGetsItsTurnAgainstManyShortOnes) {
  db.put("hot", "0");
  std::atomic<bool> is_done = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Database mine = handle();
      while (!is_done) {
        mine.transact(
            [](Transaction& t) {
              const int value = std::stoi(t.get("hot")->value);
              t.put("hot", std::to_string(value + 1));
            },
            in(milliseconds(1'000'000)));
      }
    });
  }
  std::thread time([&] {
    while (!is_done) {
      clock->advance(milliseconds(1));
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 5; ++round) {
    db.transact(
        [](Transaction& t) {
          t.get("hot");
          for (int i = 0; i < 50; ++i) std::this_thread::yield();
          t.put("long", t.get("hot")->value);
        },
        in(milliseconds(1'000'000)));
  }
  is_done = true;
  for (std::thread& thread : threads) thread.join();
  time.join();
}

TEST_F(TransactionTest, IncrementsOfManyThreadsAreAllCounted) {
  db.put("counter", "0");
  std::atomic<bool> is_done = false;
  std::thread time([&] {
    while (!is_done) {
      clock->advance(milliseconds(1));
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      Database mine = handle();
      for (int n = 0; n < 50; ++n) {
        mine.transact(
            [](Transaction& t) {
              const int value = std::stoi(t.get("counter")->value);
              t.put("counter", std::to_string(value + 1));
            },
            in(milliseconds(1'000'000)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  time.join();
  EXPECT_EQ(db.get("counter")->value, "300");
}

// ---- Misuse

TEST_F(TransactionTest, ATransactionWithinATransactionOnTheSameDatabaseIsRefused) {
  try {
    db.transact([&](Transaction&) { handle().transact([](Transaction&) {}); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
  }
}

TEST_F(TransactionTest, ATransactionWithinATransactionOnAnotherDatabaseCommitsByItself) {
  db.transact([&](Transaction& t) {
    handle("other").transact([](Transaction& inner) { inner.put("a", "1"); });
    t.put("a", "2");
  });
  EXPECT_EQ(handle("other").get("a")->value, "1");
  EXPECT_EQ(db.get("a")->value, "2");
}

TEST_F(TransactionTest, KeysOfTheEngineAreRefused) {
  const auto code_of = [&](auto body) {
    try {
      db.transact(body);
    } catch (const Error& error) {
      return error.code();
    }
    return Code::internal;
  };
  EXPECT_EQ(code_of([](Transaction& t) { t.get("!pin/x"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([](Transaction& t) { t.put("!pin/x", ""); }), Code::invalid_argument);
  EXPECT_EQ(code_of([](Transaction& t) { t.put_stamped("!pin/", "", ""); }), Code::invalid_argument);
  EXPECT_EQ(code_of([](Transaction& t) { t.put("", ""); }), Code::invalid_argument);
}

TEST_F(TransactionTest, WakeEntriesOfServicesAreAllowed) {
  db.transact([](Transaction& t) { t.put("!wake/queue", "", 1); });
  EXPECT_EQ(db.position().seq, 1u);
}

TEST_F(TransactionTest, ATransactionOfTheEngineUsesAllKeys) {
  engine->transact(*database(), [](Transaction& t) { t.put("!pin/x", "7"); });
  engine->transact(*database(), [](Transaction& t) {
    EXPECT_EQ(t.get("!pin/x")->value, "7");
    EXPECT_EQ(keys_of(t.scan(Range::all())), (Keys{"!pin/x"}));
  });
}

TEST_F(TransactionTest, MoreWritesThanABatchHoldsAreRefused) {
  try {
    db.transact([](Transaction& t) {
      for (std::size_t i = 0; i <= limits::kBatchWrites; ++i) t.put("k" + std::to_string(i), "");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("2000"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace holdfast
