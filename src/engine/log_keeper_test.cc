#include "engine/log_keeper.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/engine_keys.h"
#include "engine/engine_test_support.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing_support::code_of;

TEST(LogSampling, knows_a_commit_that_is_at_least_so_old) {
  LogSamples samples;
  samples.add(1'000, {7, 10}, 500);
  samples.add(1'200, {7, 20}, 500);
  samples.add(1'600, {7, 30}, 500);
  EXPECT_EQ(samples.seq_older_than(1'600, 500), 10u);
  EXPECT_EQ(samples.seq_older_than(1'600, 400), 20u);
  EXPECT_EQ(samples.seq_older_than(1'600, 5'000), 0u);
}

TEST(LogSampling, begins_anew_with_another_history) {
  LogSamples samples;
  samples.add(1'000, {7, 10}, 500);
  samples.add(2'000, {8, 3}, 500);
  EXPECT_EQ(samples.seq_older_than(2'000, 500), 0u);
}

TEST(LogSampling, forgets_what_no_answer_needs) {
  LogSamples samples;
  for (UnixMs now = 0; now <= 100'000; now += 100) samples.add(now, {7, static_cast<Seq>(now)}, 500);
  EXPECT_LT(samples.text().size(), 300u);
  EXPECT_EQ(samples.seq_older_than(100'000, 500), 99'500u);
}

TEST(LogSampling, survives_being_stored) {
  LogSamples samples;
  samples.add(1'700'000'000'000, {0xFFFF'FFFF'FFFF'FFFF, 10}, 500);
  samples.add(1'700'000'000'100, {0xFFFF'FFFF'FFFF'FFFF, 20}, 500);
  EXPECT_EQ(LogSamples::parse(samples.text()).text(), samples.text());
  EXPECT_TRUE(LogSamples::parse("nonsense 1 2 3").empty());
}

TEST(LogSampling, survives_being_stored_before_1970_too) {
  LogSamples samples;
  samples.add(-5'000, {7, 1}, 60'000);
  samples.add(-1'000, {7, 2}, 60'000);
  const LogSamples parsed = LogSamples::parse(samples.text());
  EXPECT_EQ(parsed.text(), samples.text());
  EXPECT_EQ(parsed.seq_older_than(0, 2'000), 1u);
}

TEST(LogSampling, begins_anew_where_any_part_of_what_is_stored_cannot_be_read) {
  const Bytes text = "{\"history\":7,\"samples\":[[5,1],[9,2]]}";
  ASSERT_EQ(LogSamples::parse(text).text(), text);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_TRUE(LogSamples::parse(View(text).substr(0, size)).empty()) << size;
  }
  for (const View wrong :
       {"{\"history\":7,\"samples\":[[5,1][9,2]]}", "{\"history\":7,\"samples\":[[5,1],]}",
        "{\"history\":7,\"samples\":[[18446744073709551615,1]]}", "{\"history\":7,\"samples\":[[5,1]]} "}) {
    EXPECT_TRUE(LogSamples::parse(wrong).empty()) << wrong;
  }
}

TEST(Pins, are_read_as_decimal_or_as_json) {
  EXPECT_EQ(parse_pin("17"), 17u);
  EXPECT_EQ(parse_pin("{\"seq\":17}"), 17u);
  EXPECT_EQ(parse_pin("{\"sequence\":1}"), std::nullopt);
  EXPECT_EQ(parse_pin("1 2"), std::nullopt);
  EXPECT_EQ(parse_pin("99999999999999999999"), std::nullopt);
}

class Logs : public testing::Test {
 protected:
  void commit(int commits) {
    for (int i = 0; i < commits; ++i) db.put("k" + std::to_string(i), "v");
  }
  Seq floor() { return engine->read(*engine->database("db"), {}).floor; }
  UnixMs in_ms(std::int64_t delay_ms) { return world.clock->now_ms() + delay_ms; }

  TestWorld world;
  std::shared_ptr<Store> store = world.open();
  std::shared_ptr<Engine> engine = world.engine();
  Database db = store->database("db");
};

TEST_F(Logs, compact_trims_up_to_the_given_commit) {
  commit(10);
  EXPECT_EQ(db.compact(6), 6u);
  EXPECT_EQ(floor(), 6u);
  EXPECT_EQ(code_of([&] { db.changes({db.position().history, 5}, Range::all()); }), Code::compacted);
  EXPECT_EQ(db.changes({db.position().history, 6}, Range::all()).items.size(), 4u);
}

TEST_F(Logs, compact_never_passes_a_live_pin) {
  commit(10);
  db.pin("backup", 4, in_ms(1'000));
  EXPECT_EQ(db.compact(8), 4u);
  EXPECT_EQ(floor(), 4u);
}

TEST_F(Logs, the_lowest_of_several_pins_counts_and_moves_on_when_it_is_pinned_again) {
  commit(10);
  db.pin("backup", 4, in_ms(1'000));
  db.pin("replica", 6, in_ms(1'000));
  db.pin("backup", 7, in_ms(1'000));
  EXPECT_EQ(db.compact(9), 6u);
}

TEST_F(Logs, an_expired_or_removed_pin_holds_nothing) {
  commit(10);
  db.pin("backup", 4, in_ms(1'000));
  db.pin("replica", 5, in_ms(5'000));
  world.clock->advance(seconds(1));
  EXPECT_EQ(db.compact(9), 5u);
  db.unpin("replica");
  EXPECT_EQ(db.compact(9), 9u);
}

TEST_F(Logs, a_pin_that_nobody_can_read_holds_everything) {
  commit(10);
  engine->commit(*engine->database("db"),
                 {{}, {Write::put(Bytes(kPinPrefix) + "newer", "{\"from\":[1,2]}")}});
  EXPECT_EQ(db.compact(9), 0u);
}

TEST_F(Logs, a_pin_below_the_log_is_refused_as_compacted) {
  commit(10);
  db.compact(6);
  EXPECT_EQ(code_of([&] { db.pin("backup", 5, in_ms(1'000)); }), Code::compacted);
  db.pin("backup", 6, in_ms(1'000));
}

TEST_F(Logs, a_pin_that_meets_a_compaction_is_either_refused_or_kept) {
  commit(10);
  // The other process has announced its compaction and not trimmed yet.
  Code pinned = Code::internal;
  const auto compacting = world.engine([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call == "compact") pinned = code_of([&] { db.pin("backup", 3, in_ms(1'000)); });
    };
  });
  EXPECT_EQ(LogKeeper(*compacting).compact(*compacting->database("db"), 6), 6u);
  EXPECT_EQ(pinned, Code::compacted);

  // It has read the pins and not announced yet.
  bool once = false;
  const auto racing = world.engine([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View database) {
      if (call == "commit" && database == "db" && !std::exchange(once, true))
        db.pin("backup", 7, in_ms(1'000));
    };
  });
  EXPECT_EQ(LogKeeper(*racing).compact(*racing->database("db"), 9), 7u);
}

TEST_F(Logs, compacting_or_unpinning_a_database_that_does_not_exist_does_not_create_it) {
  EXPECT_EQ(db.compact(5), 0u);
  db.unpin("backup");
  EXPECT_EQ(db.position(), Position{});
}

/// A keeper that keeps 1,000 rows instead of a million.
class LogCycles : public Logs {
 protected:
  LogCycles() { commit(2'000); }
  LogKeeper keeper{*engine, 1'000};
};

TEST_F(LogCycles, a_log_keeps_at_least_an_hour) {
  EXPECT_EQ(keeper.look(), 0u);
  world.clock->advance(minutes(59));
  EXPECT_EQ(keeper.look(), 0u);
  EXPECT_EQ(floor(), 0u);
  world.clock->advance(minutes(1));
  EXPECT_EQ(keeper.look(), 1u);
  EXPECT_EQ(floor(), 1'000u);
}

TEST_F(LogCycles, a_log_keeps_at_least_its_newest_rows) {
  keeper.look();
  world.clock->advance(minutes(60));
  keeper.look();
  EXPECT_GE(floor() + 1'000, 2'000u);
  EXPECT_LE(floor(), db.position().seq - 1'000);
  EXPECT_EQ(db.changes({db.position().history, floor()}, Range::all(), 10'000).items.size(), 1'000u);
}

TEST_F(LogCycles, commits_younger_than_an_hour_stay_however_many_they_are) {
  keeper.look();
  world.clock->advance(minutes(60));
  commit(3'000);
  keeper.look();
  EXPECT_EQ(floor(), 2'000u);
}

TEST_F(LogCycles, another_process_goes_on_with_the_samples_of_the_first) {
  keeper.look();
  world.clock->advance(minutes(60));
  const auto other = world.engine();
  EXPECT_EQ(LogKeeper(*other, 1'000).look(), 1u);
}

TEST_F(LogCycles, never_passes_a_live_pin) {
  db.pin("replica", 300, in_ms(7'200'000));
  keeper.look();
  world.clock->advance(minutes(60));
  EXPECT_EQ(keeper.look(), 1u);
  EXPECT_EQ(floor(), 300u);
}

TEST_F(LogCycles, rows_of_a_commit_are_counted_not_commits) {
  // 2,000 commits of one row, then 100 of 20: the newest 1,000 rows are 50 commits.
  for (int i = 0; i < 200; ++i) {
    Batch batch;
    for (int k = 0; k < 20; ++k) batch.writes.push_back(Write::put("r" + std::to_string(20 * i + k), "v"));
    db.commit(batch);
  }
  keeper.look();
  world.clock->advance(minutes(60));
  keeper.look();
  EXPECT_EQ(floor(), db.position().seq - 1 - 50);
}

TEST_F(LogCycles, a_short_log_costs_no_sample) {
  store->database("small").put("k", "v");
  keeper.look();
  const auto other = world.engine();
  const Bytes key = Bytes(kLogPrefix) + "small";
  const View view = key;
  EXPECT_FALSE(other->read(*other->database(kStoreDatabase), {.gets = {&view, 1}}).gets.front());
}

TEST_F(LogCycles, is_due_every_five_minutes_for_all_processes_together) {
  const auto other = world.engine();
  LogKeeper others{*other};
  EXPECT_LE(keeper.next_look_ms(), world.clock->now_ms());
  keeper.look();
  EXPECT_EQ(others.next_look_ms(), in_ms(kLogCycleMs));
}

TEST_F(LogCycles, many_databases_are_looked_at_in_portions) {
  for (std::size_t i = 0; i < kLogLookDatabases; ++i) store->database("d" + std::to_string(i)).put("k", "v");
  keeper.look();
  EXPECT_LE(keeper.next_look_ms(), world.clock->now_ms()) << "there is more to look at";
  keeper.look();
  EXPECT_GT(keeper.next_look_ms(), world.clock->now_ms());
}

}  // namespace
}  // namespace holdfast
