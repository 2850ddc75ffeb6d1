#include "holdfast/event_pruner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stop_token>
#include <thread>

#include "engine/engine_test_support.h"
#include "holdfast/error.h"
#include "holdfast/events.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

class EventPrunerTest : public testing::Test {
 protected:
  EventPrunerOptions options() {
    EventPrunerOptions options;
    options.clock = world.clock;
    return options;
  }
  /// A stream with `count` events, of which those are kept that are no older than an hour.
  Events stream_of(View database, int count) {
    Events events(store->database(database));
    events.set_retention("s", EventRetention{.max_age = hours(1)});
    for (int i = 0; i < count; ++i) events.append("s", i);
    return events;
  }
  static std::size_t count(const Events& events) { return events.list("s", {.limit = 1'000}).items.size(); }
  /// Until as many pruners have ended a round, and wait for the next one.
  void until_waiting(std::size_t pruners = 1) {
    while (world.clock->waiting() < pruners) std::this_thread::yield();
  }

  TestWorld world;
  std::shared_ptr<Store> store = world.open();
};

TEST_F(EventPrunerTest, prunes_at_once_and_then_after_every_interval) {
  Events events = stream_of("db", 3);
  world.clock->advance(hours(2));
  events.append("s", 3);
  EventPruner pruner(store, options());
  until_waiting();
  EXPECT_EQ(count(events), 1u);
  world.clock->advance(hours(2));
  while (count(events) > 0) std::this_thread::yield();
}

TEST_F(EventPrunerTest, waits_for_its_interval) {
  Events events = stream_of("db", 1);
  world.clock->advance(hours(1) - milliseconds(1));
  EventPruner pruner(store, options());
  until_waiting();
  // Too old from now on, and the round of this minute is over.
  world.clock->advance(minutes(1) - milliseconds(1));
  EXPECT_EQ(world.clock->waiting(), 1u);
  EXPECT_EQ(count(events), 1u);
  world.clock->advance(milliseconds(1));
  while (count(events) > 0) std::this_thread::yield();
}

TEST_F(EventPrunerTest, prunes_the_streams_of_all_databases_under_its_prefixes) {
  Events one = stream_of("one", 2);
  Events two = stream_of("two", 2);
  Events other(store->database("two"), "other");
  Events not_asked_for(store->database("two"), "not asked for");
  for (Events* events : {&other, &not_asked_for}) {
    events->set_retention("s", EventRetention{.max_count = 0});
    events->append("s", 1);
  }
  world.clock->advance(hours(2));
  EventPrunerOptions given = options();
  given.prefixes = {"events", "other"};
  EventPruner pruner(store, given);
  until_waiting();
  EXPECT_EQ(count(one), 0u);
  EXPECT_EQ(count(two), 0u);
  EXPECT_EQ(count(other), 0u);
  EXPECT_EQ(count(not_asked_for), 1u);
}

TEST_F(EventPrunerTest, several_processes_prune_what_is_due_and_nothing_else) {
  const std::shared_ptr<Store> second = world.open();
  Events events = stream_of("db", 3'000);
  events.hold("s", "holds");
  const EventId through = events.list("s", {.limit = 1'000}).items.back().id;
  events.commit("s", "holds", through);
  world.clock->advance(hours(2));
  EventPruner first_pruner(store, options());
  EventPruner second_pruner(second, options());
  until_waiting(2);
  EXPECT_EQ(events.lag("s", "holds"), 2'000u);
  EXPECT_GT(events.list("s", {.limit = 1}).items.front().id, through);
}

TEST_F(EventPrunerTest, a_database_that_cannot_be_pruned_is_reported_and_does_not_stop_the_others) {
  Events bad = stream_of("bad", 1);
  Events good = stream_of("good", 1);
  world.clock->advance(hours(2));
  const std::shared_ptr<Store> failing = world.open([](SharedBackend& backend) {
    backend.before_call = [](View, View database) {
      if (database == "bad") throw Error(Code::corruption, "it is damaged");
    };
  });
  std::promise<Bytes> reported;
  EventPrunerOptions given = options();
  given.on_error = [&](const Bytes& database, const std::exception&) { reported.set_value(database); };
  EventPruner pruner(failing, given);
  until_waiting();
  EXPECT_EQ(reported.get_future().get(), "bad");
  EXPECT_EQ(count(bad), 1u);
  EXPECT_EQ(count(good), 0u);
}

TEST_F(EventPrunerTest, ends_with_its_store_and_before_it) {
  {
    EventPruner pruner(store, options());
  }
  EventPruner pruner(store, options());
  until_waiting();
  store->close();
  world.clock->advance(minutes(1));
}

TEST_F(EventPrunerTest, refuses_what_is_no_interval_and_no_prefix) {
  EventPrunerOptions given = options();
  given.interval = milliseconds(0);
  EXPECT_THROW(EventPruner(store, given), Error);
  given = options();
  given.prefixes = {"!events"};
  EXPECT_THROW(EventPruner(store, given), Error);
}

TEST_F(EventPrunerTest, a_prune_of_all_streams_ends_after_a_commit_when_it_is_to_stop) {
  stream_of("db", 3'000);
  world.clock->advance(hours(2));
  std::stop_source stop;
  const std::shared_ptr<Store> stopping = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call == "commit") stop.request_stop();
    };
  });
  Events events(stopping->database("db"));
  const std::uint64_t pruned = events.prune_all(stop.get_token());
  EXPECT_GT(pruned, 0u);
  EXPECT_LT(pruned, 1'000u);
  EXPECT_EQ(events.prune_all(), 3'000 - pruned);
}

}  // namespace
}  // namespace holdfast
