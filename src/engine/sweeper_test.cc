#include "engine/sweeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "engine/engine_keys.h"
#include "engine/engine_test_support.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Sweeping : public testing::Test {
 protected:
  UnixMs in_ms(std::int64_t delay_ms) { return world.clock->now_ms() + delay_ms; }
  /// How many entries are stored that expire at some time, the sweeper's own lease aside.
  std::size_t stored_expiring() {
    const ExpiredAnswer answer = world.backend->expired(INT64_MAX - 1, 100'000, world.in(seconds(1)));
    return static_cast<std::size_t>(
        std::count_if(answer.items.begin(), answer.items.end(),
                      [](const Expired& item) { return item.database != kStoreDatabase; }));
  }
  /// Services put their wakes through the engine.
  void put_wake(View database, View service, UnixMs due_ms) {
    engine->commit(*engine->database(database),
                   {{}, {Write::put(Bytes(kWakePrefix) + Bytes(service), "", due_ms)}});
  }
  void erase_wake(View database, View service) {
    engine->commit(*engine->database(database), {{}, {Write::erase(Bytes(kWakePrefix) + Bytes(service))}});
  }

  TestWorld world;
  std::shared_ptr<Engine> engine = world.engine();
  std::shared_ptr<Store> store = world.open();
  Database db = store->database("db");
};

TEST_F(Sweeping, expired_entries_are_removed_and_others_stay) {
  db.put("lasting", "");
  db.put("soon", "", in_ms(10));
  db.put("later", "", in_ms(60'000));
  world.clock->advance(milliseconds(10));
  const SweepReport report = store->sweep();
  EXPECT_TRUE(report.leader);
  EXPECT_EQ(report.reaped, 1u);
  EXPECT_EQ(stored_expiring(), 1u);
  EXPECT_TRUE(db.get("lasting"));
  EXPECT_TRUE(db.get("later"));
}

TEST_F(Sweeping, many_expired_entries_go_in_batches_of_a_thousand) {
  constexpr std::size_t kEntries = 10'500;
  for (std::size_t i = 0; i < kEntries;) {
    Batch batch;
    for (int k = 0; k < 1'500; ++k, ++i)
      batch.writes.push_back(Write::put("k" + std::to_string(i), "", in_ms(1)));
    db.commit(batch);
  }
  const Seq before = db.position().seq;
  world.clock->advance(milliseconds(1));
  EXPECT_EQ(store->sweep().reaped, kEntries);
  EXPECT_EQ(stored_expiring(), 0u);
  EXPECT_GE(db.position().seq - before, kEntries / kReapBatch);
}

TEST_F(Sweeping, an_entry_that_is_put_again_between_listing_and_reaping_survives) {
  db.put("lease", "old", in_ms(10));
  world.clock->advance(milliseconds(10));
  bool once = false;
  const auto racing = world.open([&](SharedBackend& backend) {
    backend.after_call = [&](View call, View) {
      if (call == "expired" && !std::exchange(once, true)) db.put("lease", "new", in_ms(1'000));
    };
  });
  racing->sweep();
  ASSERT_TRUE(db.get("lease"));
  EXPECT_EQ(db.get("lease")->value, "new");
}

TEST_F(Sweeping, one_process_leads_and_the_other_leaves_it_the_work) {
  const auto other = world.open();
  EXPECT_TRUE(store->sweep().leader);
  db.put("a", "", in_ms(1));
  world.clock->advance(milliseconds(1));
  const SweepReport report = other->sweep();
  EXPECT_FALSE(report.leader);
  EXPECT_EQ(report.reaped, 0u);
  EXPECT_EQ(store->sweep().reaped, 1u);
}

TEST_F(Sweeping, the_lease_is_an_entry_that_expires) {
  store->sweep();
  const View key = "!sweeper";
  const std::optional<Entry> lease =
      engine->read(*engine->database("!store"), {.gets = {&key, 1}}).gets.front();
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->expires_at_ms, in_ms(kSweeperLeaseMs));
}

TEST_F(Sweeping, the_lease_is_renewed_while_there_is_work) {
  const auto other = world.open();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(store->sweep().leader);
    world.clock->advance(milliseconds(kSweeperLeaseMs / 2));
    EXPECT_FALSE(other->sweep().leader) << i;
  }
}

TEST_F(Sweeping, another_process_takes_over_when_the_lease_runs_out) {
  const auto other = world.open();
  store->sweep();
  world.clock->advance(milliseconds(kSweeperLeaseMs));
  EXPECT_TRUE(other->sweep().leader);
  EXPECT_FALSE(store->sweep().leader);
}

TEST_F(Sweeping, a_closed_store_gives_its_lease_back) {
  const auto other = world.open();
  store->sweep();
  store->close();
  EXPECT_TRUE(other->sweep().leader);
}

TEST_F(Sweeping, the_next_due_instant_is_told) {
  db.put("a", "", in_ms(5'000));
  EXPECT_EQ(store->sweep().next_due_ms, in_ms(5'000));
}

TEST_F(Sweeping, a_database_that_cannot_be_swept_does_not_keep_the_others_from_it) {
  db.put("a", "", in_ms(1));
  Database frozen = store->database("frozen");
  frozen.put("a", "", in_ms(0));
  Fence fence;
  fence.state = Fence::State::frozen;
  fence.token = 9;
  ASSERT_TRUE(world.backend->fence("frozen", {}, fence, world.in(seconds(1))));
  world.clock->advance(milliseconds(1));
  EXPECT_EQ(store->sweep().reaped, 1u);
  EXPECT_EQ(stored_expiring(), 1u);
  ASSERT_TRUE(world.backend->fence("frozen", fence, {}, world.in(seconds(1))));
  world.clock->advance(seconds(2));
  EXPECT_EQ(store->sweep().reaped, 1u);
  EXPECT_EQ(stored_expiring(), 0u);
}

TEST_F(Sweeping, a_database_that_fails_is_tried_at_growing_intervals) {
  db.put("a", "", in_ms(1));
  world.clock->advance(milliseconds(1));
  int commits = 0;
  const auto failing = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View database) {
      if (call != "commit" || database != "db") return;
      ++commits;
      throw Error(Code::unavailable, "not now");
    };
  });
  for (int second = 0; second < 60; ++second) {
    failing->sweep();
    world.clock->advance(seconds(1));
  }
  EXPECT_GE(commits, 4);
  EXPECT_LE(commits, 10);
}

TEST_F(Sweeping, a_due_wake_goes_to_its_service_and_is_not_reaped) {
  std::vector<Bytes> called;
  store->on_wake("queue", [&](const Bytes& database) { called.push_back(database); });
  put_wake("db", "queue", in_ms(100));
  store->sweep();
  EXPECT_TRUE(called.empty());
  world.clock->advance(milliseconds(100));
  const SweepReport report = store->sweep();
  EXPECT_EQ(called, std::vector<Bytes>{"db"});
  EXPECT_EQ(report.woken, 1u);
  EXPECT_EQ(report.reaped, 0u);
  EXPECT_EQ(stored_expiring(), 1u);
}

TEST_F(Sweeping, a_service_that_removes_its_wake_is_not_called_again) {
  int calls = 0;
  store->on_wake("queue", [&](const Bytes& database) {
    ++calls;
    erase_wake(database, "queue");
  });
  put_wake("db", "queue", in_ms(0));
  for (int i = 0; i < 100; ++i) {
    store->sweep();
    world.clock->advance(seconds(1));
  }
  EXPECT_EQ(calls, 1);
}

TEST_F(Sweeping, a_service_that_moves_its_wake_is_called_at_the_new_instant) {
  std::vector<UnixMs> calls;
  store->on_wake("queue", [&](const Bytes& database) {
    calls.push_back(world.clock->now_ms());
    put_wake(database, "queue", in_ms(250));
  });
  const UnixMs start = in_ms(0);
  put_wake("db", "queue", start);
  for (int i = 0; i < 100; ++i) {
    store->sweep();
    world.clock->advance(milliseconds(10));
  }
  EXPECT_EQ(calls, (std::vector<UnixMs>{start, start + 250, start + 500, start + 750}));
}

TEST_F(Sweeping, a_service_that_does_nothing_or_throws_is_called_again_but_less_and_less_often) {
  int calls = 0;
  store->on_wake("queue", [&](const Bytes&) {
    if (++calls % 2 == 0) throw std::runtime_error("a bug of the service");
  });
  put_wake("db", "queue", in_ms(0));
  for (int i = 0; i < 6'000; ++i) {
    store->sweep();
    world.clock->advance(milliseconds(10));
  }
  EXPECT_GE(calls, 5);
  EXPECT_LE(calls, 8);
}

TEST_F(Sweeping, a_wake_without_a_service_stays_and_costs_no_commit) {
  put_wake("db", "unknown", in_ms(0));
  store->sweep();
  const Seq before = db.position().seq;
  for (int i = 0; i < 10; ++i) store->sweep();
  EXPECT_EQ(db.position().seq, before);
  EXPECT_EQ(stored_expiring(), 1u);
}

TEST_F(Sweeping, wakes_without_a_service_do_not_keep_expired_entries_from_being_reaped) {
  for (std::size_t i = 0; i < kSweepListing; i += 500) {
    Batch batch;
    for (int k = 0; k < 500; ++k) {
      batch.writes.push_back(Write::put(Bytes(kWakePrefix) + std::to_string(i + k), "", in_ms(0)));
    }
    engine->commit(*engine->database("db"), batch);
  }
  db.put("a", "", in_ms(1));
  world.clock->advance(milliseconds(1));
  store->sweep();
  EXPECT_EQ(store->sweep().reaped, 1u);
}

TEST_F(Sweeping, a_process_that_does_not_lead_hands_over_what_the_leader_has_no_service_for) {
  const auto other = world.open();
  ASSERT_TRUE(other->sweep().leader);
  int calls = 0;
  store->on_wake("queue", [&](const Bytes&) { ++calls; });
  put_wake("db", "queue", in_ms(0));
  other->sweep();
  EXPECT_FALSE(store->sweep().leader);
  EXPECT_EQ(calls, 0) << "the leader goes first";
  world.clock->advance(milliseconds(kWakeGraceMs));
  store->sweep();
  EXPECT_EQ(calls, 1);
}

TEST_F(Sweeping, a_long_change_log_is_looked_at_by_the_leader) {
  db.put("a", "");
  store->sweep();
  const View key = kCycleKey;
  EXPECT_TRUE(engine->read(*engine->database(kStoreDatabase), {.gets = {&key, 1}}).gets.front());
}

TEST_F(Sweeping, the_engines_own_database_is_hidden) {
  db.put("a", "");
  store->sweep();
  EXPECT_EQ(store->databases(), std::vector<Bytes>{"db"});
  EXPECT_THROW(store->database(kStoreDatabase), Error);
  EXPECT_EQ(world.backend->databases({}, {}, 10, world.in(seconds(1))),
            (std::vector<Bytes>{Bytes(kStoreDatabase), "db"}));
}

/// With the thread: whatever it does, it does because the clock was moved.
class SweeperThread : public Sweeping {
 protected:
  template <class Condition>
  void advance_until(Condition condition) {
    wait_until([&] {
      while (!condition()) {
        // At work, or due: were the clock to move on, hours could pass before a busy machine lets it run.
        if (world.clock->waiting() == 0) return false;
        world.clock->advance(milliseconds(20));
      }
      return true;
    });
  }
  /// Gives up after a minute of the machine's time.
  template <class Condition>
  void wait_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "it never happened";
      std::this_thread::yield();
    }
  }
};

TEST_F(SweeperThread, reaps_by_itself) {
  const auto sweeping = world.open({}, true);
  db.put("a", "", in_ms(500));
  advance_until([&] { return stored_expiring() == 0; });
}

TEST_F(SweeperThread, wakes_services_by_itself) {
  const auto sweeping = world.open({}, true);
  std::atomic<int> calls{0};
  sweeping->on_wake("queue", [&](const Bytes& database) {
    ++calls;
    erase_wake(database, "queue");
  });
  put_wake("db", "queue", in_ms(3'000));
  advance_until([&] { return calls == 1; });
  sweeping->close();
}

TEST_F(SweeperThread, does_not_oversleep_a_wake_that_its_own_process_has_put) {
  std::atomic<int> listings{0};
  const auto sweeping = world.open(
      [&](SharedBackend& backend) {
        backend.before_call = [&](View call, View) {
          if (call == "expired") ++listings;
        };
      },
      true);
  std::atomic<bool> called{false};
  sweeping->on_wake("queue", [&](const Bytes& database) {
    erase_wake(database, "queue");
    called = true;
  });
  // It has just looked, and would look again in a second.
  advance_until([&] { return listings == 3; });
  sweeping->database("db").put("!wake/queue", "", in_ms(100));
  world.clock->advance(milliseconds(100));
  wait_until([&] { return called.load(); });
  sweeping->close();
}

TEST_F(SweeperThread, survives_errors_of_every_call) {
  std::atomic<int> calls{0};
  const auto failing = world.open(
      [&](SharedBackend& backend) {
        backend.before_call = [&](View, View) {
          if (calls++ < 20) throw Error(Code::unavailable, "not now");
        };
      },
      true);
  db.put("a", "", in_ms(500));
  advance_until([&] { return stored_expiring() == 0; });
}

TEST_F(SweeperThread, does_not_start_when_it_is_turned_off) {
  db.put("a", "", in_ms(1));
  EXPECT_EQ(world.clock->waiting(), 0u);
  world.clock->advance(seconds(100));
  EXPECT_EQ(stored_expiring(), 1u);
}

TEST_F(SweeperThread, writes_nothing_while_there_is_nothing_to_do) {
  std::atomic<int> listings{0}, commits{0};
  {
    store->sweep();
    store->close();
    const auto idle = world.open(
        [&](SharedBackend& backend) {
          backend.before_call = [&](View call, View) {
            if (call == "expired") ++listings;
            if (call == "commit") ++commits;
          };
        },
        true);
    const UnixMs start = in_ms(0);
    advance_until([&] { return listings >= 5; });
    EXPECT_GE(world.clock->now_ms() - start, kFirstSweepMs + 4 * kSweepIdleMs);
  }
  EXPECT_EQ(commits, 0);
}

}  // namespace
}  // namespace holdfast
