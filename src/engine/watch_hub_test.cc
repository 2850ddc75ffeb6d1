#include "engine/watch_hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "engine/engine_test_support.h"
#include "engine/watch_feed.h"
#include "tests/support/code_of.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing_support::code_of;

class Watching : public testing::Test {
 protected:
  Hint hint_of(Watch& watch) {
    std::optional<Hint> hint = watch.next(world.in(seconds(100)));
    EXPECT_TRUE(hint.has_value());
    return hint.value_or(Hint{});
  }

  TestWorld world;
  std::shared_ptr<Store> store = world.open();
  Database db = store->database("db");
};

TEST_F(Watching, a_commit_in_the_range_gives_a_hint_with_its_key_and_position) {
  const Seq before = db.put("a/0", "");
  Watch watch = db.watch(Range::prefix("a/"), db.position());
  EXPECT_EQ(db.put("a/1", "v"), before + 1);
  const Hint hint = hint_of(watch);
  EXPECT_EQ(hint.keys, std::vector<Bytes>{"a/1"});
  EXPECT_FALSE(hint.everything);
  EXPECT_EQ(hint.through, db.position());
}

TEST_F(Watching, a_commit_outside_the_range_gives_no_hint) {
  db.put("x", "");
  Watch watch = db.watch(Range::prefix("a/"), db.position());
  db.put("b/1", "");
  db.put("a/1", "");
  EXPECT_EQ(hint_of(watch).keys, std::vector<Bytes>{"a/1"});
}

TEST_F(Watching, an_erased_key_gives_a_hint) {
  db.put("a/1", "");
  Watch watch = db.watch(Range::prefix("a/"), db.position());
  db.erase("a/1");
  EXPECT_EQ(hint_of(watch).keys, std::vector<Bytes>{"a/1"});
}

TEST_F(Watching, changes_since_the_resume_position_are_hinted_even_if_they_came_before_the_watch) {
  db.put("a/0", "");
  const Position since = db.position();
  db.put("a/1", "");
  db.put("b/1", "");
  db.put("a/2", "");
  Watch watch = db.watch(Range::prefix("a/"), since);
  EXPECT_EQ(hint_of(watch).keys, (std::vector<Bytes>{"a/1", "a/2"}));
}

TEST_F(Watching, a_second_watch_resumes_from_a_position_that_the_feed_has_passed) {
  db.put("a/0", "");
  const Position since = db.position();
  Watch first = db.watch(Range::all(), since);
  db.put("a/1", "");
  hint_of(first);
  Watch second = db.watch(Range::prefix("a/"), since);
  const Hint hint = hint_of(second);
  EXPECT_EQ(hint.keys, std::vector<Bytes>{"a/1"});
  EXPECT_EQ(hint.through, db.position());
}

TEST_F(Watching, nothing_up_to_the_resume_position_is_repeated) {
  db.put("a/0", "");
  Watch first = db.watch(Range::all(), db.position());
  db.put("a/1", "");
  Watch second = db.watch(Range::all(), db.position());
  db.put("a/2", "");
  EXPECT_EQ(hint_of(second).keys, std::vector<Bytes>{"a/2"});
}

TEST_F(Watching, a_key_that_changes_twice_between_hints_is_named_once) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  for (int i = 0; i < 10; ++i) db.put("a", std::to_string(i));
  const Position last = db.position();
  Hint hint;
  do {
    hint = hint_of(watch);
    EXPECT_EQ(hint.keys, std::vector<Bytes>{"a"});
  } while (!(hint.through == last));
}

TEST_F(Watching, keys_of_the_engine_are_not_hinted_unless_they_are_what_is_watched) {
  db.put("a", "");
  Watch all = db.watch(Range::all(), db.position());
  Watch wakes = db.watch(Range::prefix("!wake/"), db.position());
  db.put("!wake/queue", "", world.clock->now_ms() + 10);
  db.put("b", "");
  EXPECT_EQ(hint_of(all).keys, std::vector<Bytes>{"b"});
  EXPECT_EQ(hint_of(wakes).keys, std::vector<Bytes>{"!wake/queue"});
}

TEST_F(Watching, without_a_change_next_returns_nothing_at_the_deadline) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  EXPECT_EQ(watch.next(world.now()), std::nullopt);
}

TEST_F(Watching, the_deadline_is_judged_by_the_injected_clock) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  const Deadline deadline = world.in(milliseconds(500));
  auto waiting = std::async(std::launch::async, [&] { return watch.next(deadline); });
  // The hub's wait and this one.
  while (world.clock->waiting() < 2) std::this_thread::yield();
  world.clock->advance(milliseconds(500));
  EXPECT_EQ(waiting.get(), std::nullopt);
}

TEST_F(Watching, too_many_keys_collapse_to_everything) {
  db.put("a", "");
  const Position since = db.position();
  Batch batch;
  for (std::size_t i = 0; i <= kHintKeys; ++i)
    batch.writes.push_back(Write::put("k" + std::to_string(i), ""));
  db.commit(batch);
  Watch watch = db.watch(Range::all(), since);
  const Hint hint = hint_of(watch);
  EXPECT_TRUE(hint.everything);
  EXPECT_TRUE(hint.keys.empty());
  EXPECT_EQ(hint.through, db.position());
  db.put("later", "");
  EXPECT_EQ(hint_of(watch).keys, std::vector<Bytes>{"later"});
}

TEST_F(Watching, a_commit_to_a_database_that_did_not_exist_gives_a_hint) {
  Watch watch = db.watch(Range::prefix("a/"), db.position());
  db.put("a/1", "");
  const Hint hint = hint_of(watch);
  EXPECT_TRUE(hint.everything);
  EXPECT_EQ(hint.through, db.position());
}

TEST_F(Watching, drop_and_re_creation_give_everything_with_the_new_history) {
  db.put("a", "");
  const Position before = db.position();
  Watch watch = db.watch(Range::all(), before);
  store->drop("db");
  db.put("a", "");
  const Position after = db.position();
  ASSERT_NE(after.history, before.history);
  Hint hint = hint_of(watch);
  EXPECT_TRUE(hint.everything);
  // The hub may have looked between the two.
  if (hint.through.history == 0) hint = hint_of(watch);
  EXPECT_TRUE(hint.everything);
  EXPECT_EQ(hint.through, after);
}

TEST_F(Watching, a_resume_position_of_another_history_gives_everything) {
  db.put("a", "");
  Watch first = db.watch(Range::all(), db.position());
  Watch second = db.watch(Range::all(), Position{12345, 1});
  const Hint hint = hint_of(second);
  EXPECT_TRUE(hint.everything);
  EXPECT_EQ(hint.through, db.position());
}

TEST_F(Watching, a_resume_position_beyond_the_newest_commit_gives_everything) {
  db.put("a", "");
  Position since = db.position();
  Watch first = db.watch(Range::all(), since);
  since.seq += 100;
  Watch second = db.watch(Range::all(), since);
  EXPECT_TRUE(hint_of(second).everything);
}

TEST_F(Watching, a_compacted_resume_position_gives_everything) {
  db.put("a", "");
  const Position since = db.position();
  db.put("a", "");
  world.backend->compact("db", since.seq + 1, world.in(seconds(1)));
  Watch watch = db.watch(Range::all(), since);
  const Hint hint = hint_of(watch);
  EXPECT_TRUE(hint.everything);
  EXPECT_EQ(hint.through, db.position());
}

TEST_F(Watching, commits_of_another_process_are_hinted) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  world.open()->database("db").put("b", "");
  EXPECT_EQ(hint_of(watch).keys, std::vector<Bytes>{"b"});
}

TEST_F(Watching, cancel_ends_a_waiting_next_and_later_ones) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  auto waiting = std::async(std::launch::async, [&] { return watch.next(world.in(seconds(100))); });
  watch.cancel();
  EXPECT_EQ(waiting.get(), std::nullopt);
  db.put("a", "");
  EXPECT_EQ(watch.next(world.in(seconds(100))), std::nullopt);
}

TEST_F(Watching, closing_the_store_ends_a_waiting_next_with_closed) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  auto waiting =
      std::async(std::launch::async, [&] { return code_of([&] { watch.next(world.in(seconds(100))); }); });
  while (world.clock->waiting() < 2) std::this_thread::yield();
  store->close();
  EXPECT_EQ(waiting.get(), Code::closed);
  EXPECT_EQ(code_of([&] { watch.next(world.in(seconds(1))); }), Code::closed);
}

TEST_F(Watching, a_watch_may_outlive_its_store) {
  db.put("a", "");
  std::optional<Watch> watch = db.watch(Range::all(), db.position());
  db = world.open()->database("other");
  store.reset();
  EXPECT_EQ(code_of([&] { watch->next({}); }), Code::closed);
  watch.reset();
}

TEST_F(Watching, a_moved_database_says_so) {
  db.put("a", "");
  Watch watch = db.watch(Range::all(), db.position());
  Fence frozen, moved;
  frozen.state = Fence::State::frozen;
  moved.state = Fence::State::moved;
  frozen.token = moved.token = 9;
  moved.place = "sqlite:elsewhere";
  ASSERT_TRUE(world.backend->fence("db", {}, frozen, world.in(seconds(1))));
  ASSERT_TRUE(world.backend->fence("db", frozen, moved, world.in(seconds(1))));
  Watch resumed = db.watch(Range::all(), Position{1, 1});
  EXPECT_EQ(code_of([&] { resumed.next(world.in(seconds(1))); }), Code::moved);
}

TEST_F(Watching, a_failing_feed_is_read_again_later_and_loses_nothing) {
  std::atomic<int> failures{3};
  auto failing = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call == "changes" && failures.fetch_sub(1) > 0) throw Error(Code::unavailable, "not now");
    };
  });
  db.put("a", "");
  Watch watch = failing->database("db").watch(Range::all(), db.position());
  db.put("b", "");
  auto waiting = std::async(std::launch::async, [&] { return watch.next(world.in(seconds(1'000))); });
  while (waiting.wait_for(milliseconds(0)) != std::future_status::ready) {
    if (world.clock->waiting() >= 2) world.clock->advance(milliseconds(100));
    std::this_thread::yield();
  }
  EXPECT_EQ(waiting.get().value().keys, std::vector<Bytes>{"b"});
}

TEST_F(Watching, all_watches_of_a_database_share_one_reader) {
  std::atomic<int> reads{0};
  auto counting = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call == "changes") ++reads;
    };
  });
  Database counted = counting->database("db");
  counted.put("k", "");
  const Position since = counted.position();
  std::vector<Watch> watches;
  for (int i = 0; i < 1'000; ++i) watches.push_back(counted.watch(Range::prefix("k"), since));
  counted.put("k", "");
  for (Watch& watch : watches) EXPECT_EQ(hint_of(watch).keys, std::vector<Bytes>{"k"});
  EXPECT_EQ(reads, 1);
}

TEST_F(Watching, nothing_waits_before_the_first_watch_nor_reads_after_the_last) {
  std::atomic<int> waits{0}, reads{0};
  auto counting = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call == "wait") ++waits;
      if (call == "changes") ++reads;
    };
  });
  Database counted = counting->database("db");
  counted.put("k", "");
  EXPECT_EQ(waits, 0);
  {
    Watch watch = counted.watch(Range::all(), counted.position());
    counted.put("k", "");
    hint_of(watch);
  }
  for (int i = 0; i < 100; ++i) counted.put("k", "");
  counting->close();
  EXPECT_LE(reads, 2) << "at most the wake-up that was under way";
}

struct Session {
  Seq since = 0;
  std::vector<Hint> hints;
};

/// What one watcher of a prefix saw: it ends its watch after a few hints and resumes anywhere it has been.
std::vector<Session> watch_until(Database db, Position since, Bytes prefix, const std::atomic<Seq>& last,
                                 Random& random) {
  std::vector<Session> sessions;
  std::vector<Position> been{since};
  for (;;) {
    const Position from = been[been.size() - 1 - random.next() % std::min<std::size_t>(been.size(), 3)];
    Session& session = sessions.emplace_back(Session{from.seq, {}});
    Watch watch = db.watch(Range::prefix(prefix), from);
    for (std::uint64_t hints = 1 + random.next() % 20; hints > 0; --hints) {
      const std::optional<Hint> hint = watch.next({});
      if (!hint) return sessions;
      session.hints.push_back(*hint);
      been.push_back(hint->through);
      if (last != 0 && hint->through.seq >= last) return sessions;
    }
  }
}

/// Every commit after the session's start and up to its last hint is in the first hint that covers it, and
/// every hinted key was changed after the hint before.
void expect_exact(const Session& session, const std::map<Seq, Bytes>& committed, const Bytes& prefix) {
  Seq before = session.since;
  for (const Hint& hint : session.hints) {
    ASSERT_GE(hint.through.seq, before);
    std::set<Bytes> expected;
    for (auto at = committed.upper_bound(before); at != committed.upper_bound(hint.through.seq); ++at) {
      if (at->second.starts_with(prefix)) expected.insert(at->second);
    }
    if (!hint.everything) {
      ASSERT_EQ(std::vector<Bytes>(expected.begin(), expected.end()), hint.keys)
          << "since " << session.since << " after " << before << " through " << hint.through.seq;
    }
    before = hint.through.seq;
  }
}

TEST(WatchStress, every_change_is_in_the_hint_that_covers_it_whatever_the_resume_position) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  constexpr std::uint64_t kWriters = 4, kWatchers = 9, kCommits = 1'000;
  const std::vector<Bytes> prefixes{"a/", "b/", "c/"};

  StoreOptions options;
  options.environment.random = seeded_random(seed);
  options.sweeper = false;
  const auto store = Store::open(memory_backend(options.environment.completed()), options);
  Database db = store->database("db");
  db.put("first", "");
  const Position start = db.position();
  std::atomic<Seq> last{0};

  std::vector<std::vector<Session>> seen(kWatchers);
  std::vector<std::thread> watchers;
  for (std::size_t w = 0; w < kWatchers; ++w) {
    watchers.emplace_back([&, w] {
      const auto random = seeded_random(seed + 1'000 + w);
      seen[w] = watch_until(db, start, prefixes[w % prefixes.size()], last, *random);
    });
  }

  std::mutex mutex;
  std::map<Seq, Bytes> committed;
  std::vector<std::thread> writers;
  for (std::uint64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      const auto random = seeded_random(seed + 1 + w);
      for (std::uint64_t i = 0; i < kCommits; ++i) {
        const Bytes key = prefixes[random->next() % prefixes.size()] + std::to_string(random->next() % 40);
        const Seq seq = db.put(key, "value");
        const std::scoped_lock lock(mutex);
        committed[seq] = key;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  Batch final_batch;
  for (const Bytes& prefix : prefixes) final_batch.writes.push_back(Write::put(prefix + "last", ""));
  last = db.position().seq + 1;
  ASSERT_EQ(db.commit(final_batch).seq, last);
  for (std::thread& watcher : watchers) watcher.join();

  for (std::size_t w = 0; w < kWatchers; ++w) {
    const Bytes& prefix = prefixes[w % prefixes.size()];
    std::map<Seq, Bytes> expected = committed;
    expected[last] = prefix + "last";
    ASSERT_FALSE(seen[w].back().hints.empty());
    EXPECT_GE(seen[w].back().hints.back().through.seq, last) << "a watcher was not told of the last commit";
    for (const Session& session : seen[w]) expect_exact(session, expected, prefix);
  }
}

}  // namespace
}  // namespace holdfast
