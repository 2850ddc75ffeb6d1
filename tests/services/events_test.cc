#include "holdfast/events.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "engine/engine_test_support.h"
#include "tests/services/service_test.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

using Texts = std::vector<Bytes>;

class EventsTest : public ServiceTest {
 protected:
  Events events() { return Events(database()); }
  Deadline in(seconds time) { return clock().steady_now() + time; }

  static Texts texts_of(const std::vector<Event>& events) {
    Texts texts;
    for (const Event& event : events) texts.push_back(event.payload.text());
    return texts;
  }
  Texts all(View stream = "s") { return texts_of(events().list(stream, {.limit = 1'000}).items); }
  std::vector<EventId> append_numbers(int count, View stream = "s") {
    std::vector<EventId> ids;
    for (int i = 0; i < count; ++i) ids.push_back(events().append(stream, i));
    return ids;
  }
  /// The payloads of the next events of a subscription.
  Texts next(EventSubscription& subscription, std::size_t count) {
    Texts texts;
    while (texts.size() < count) {
      const std::optional<Event> event = subscription.next(in(seconds(1'000)));
      if (!event) break;
      texts.push_back(event->payload.text());
    }
    return texts;
  }
  static Payload large(char letter) { return Payload(Bytes(300'000, letter)); }
};

HOLDFAST_ON_EVERY_TARGET(EventsTest);

// ---- Streams

TEST_P(EventsTest, gives_back_what_was_appended) {
  const Payload payloads[] = {Payload(nullptr), Payload(""), Payload::parse("{\"b\": 1.10, \"a\": [null]}"),
                              Payload::bytes(Bytes("\0\1\xff{", 4)), large('x')};
  for (const Payload& payload : payloads) {
    const EventId id = events().append("s", payload);
    const std::optional<Event> event = events().get("s", id);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->id, id);
    EXPECT_EQ(event->payload, payload);
    EXPECT_EQ(event->time_ms, clock().now_ms());
  }
}

TEST_P(EventsTest, what_was_appended_is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  append_numbers(3);
  reopen();
  EXPECT_EQ(all(), (Texts{"0", "1", "2"}));
}

TEST_P(EventsTest, ids_sort_in_the_order_of_the_appends) {
  const std::vector<EventId> ids = append_numbers(20);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(std::set<EventId>(ids.begin(), ids.end()).size(), 20u);
  EXPECT_EQ(events().last_id("s"), ids.back());
}

TEST_P(EventsTest, many_are_appended_next_to_each_other_in_one_commit) {
  const std::vector<Payload> payloads = {1, large('x'), 3, large('y')};
  const Seq before = database().position().seq;
  const std::vector<EventId> small = events().append_many("s", std::vector<Payload>{1, 2, 3});
  EXPECT_EQ(database().position().seq, before + 1);
  const std::vector<EventId> ids = events().append_many("s", payloads);
  ASSERT_EQ(ids.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(events().get("s", ids[i])->payload, payloads[i]);
  const std::vector<Event> listed = events().list("s").items;
  ASSERT_EQ(listed.size(), 7u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(listed[i].id, small[i]);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(listed[3 + i].id, ids[i]);
}

TEST_P(EventsTest, events_are_appended_by_a_batch_that_is_submitted) {
  append_numbers(1);
  const std::vector<Payload> payloads = {1, "two", Payload::bytes(Bytes("\0\xff", 2))};
  Batch batch = events().batch_to_append("s", payloads);
  std::promise<Seq> committed;
  database().submit(std::move(batch),
                    [&](const CommitResult& result) { committed.set_value(result.get().seq); });
  const std::vector<EventId> ids = Events::ids_of(committed.get_future().get(), payloads.size());
  const std::vector<Event> listed = events().list("s").items;
  ASSERT_EQ(listed.size(), 4u);
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    EXPECT_EQ(listed[i + 1].id, ids[i]);
    EXPECT_EQ(listed[i + 1].payload, payloads[i]);
  }
  EXPECT_EQ(code_of([&] { events().batch_to_append("s", {}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().batch_to_append("s", std::vector<Payload>{large('x')}); }),
            Code::invalid_argument);
}

TEST_P(EventsTest, an_append_of_none_or_too_many_is_refused) {
  EXPECT_EQ(code_of([&] { events().append_many("s", {}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().append_many("s", std::vector<Payload>(501)); }), Code::invalid_argument);
  EXPECT_EQ(events().append_many("s", std::vector<Payload>(500)).size(), 500u);
}

TEST_P(EventsTest, appends_of_a_transaction_keep_their_order_and_are_one_commit_or_none) {
  append_numbers(1);
  database().transact([&](Transaction& transaction) {
    events().append(transaction, "s", "a");
    events().append(transaction, "other", "b");
    Events(database()).append(transaction, "s", "a");
    events().append(transaction, "s", large('c'));
    events().append(transaction, "s", "d");
  });
  const Texts texts = all();
  ASSERT_EQ(texts.size(), 5u);
  EXPECT_EQ(texts[1], "\"a\"");
  EXPECT_EQ(texts[2], "\"a\"");
  EXPECT_EQ(texts[3].size(), 300'002u);
  EXPECT_EQ(texts[4], "\"d\"");
  EXPECT_EQ(all("other"), Texts{"\"b\""});
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    events().append(transaction, "s", "e");
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(all().size(), 5u);
}

class EventForms : public EventsTest {
 protected:
  void SetUp() override {
    EventsTest::SetUp();
    ids_ = append_numbers(4);
    events().hold("s", "to erase");
    append_numbers(2, "to prune");
  }
  /// Every form with a transaction, once.
  void change(Transaction& transaction) {
    const Events events = this->events();
    events.append(transaction, "s", "a");
    events.append_many(transaction, "s", std::vector<Payload>{"b", large('c'), "d"});
    events.append(transaction, "s", "e");
    EXPECT_TRUE(events.commit(transaction, "s", "reader", ids_[1]));
    events.hold(transaction, "s", "holder");
    EXPECT_TRUE(events.erase_consumer(transaction, "s", "to erase"));
    EXPECT_FALSE(events.erase_consumer(transaction, "s", "none"));
    events.set_retention(transaction, "s", EventRetention{.max_count = 9});
    EXPECT_EQ(events.prune(transaction, "to prune", {.max_count = 1}), 1u);
  }
  std::vector<EventId> ids_;
};

HOLDFAST_ON_EVERY_TARGET(EventForms);

TEST_P(EventForms, all_of_one_transaction_are_committed_together) {
  database().transact([&](Transaction& transaction) { change(transaction); });
  EXPECT_EQ(events().last_id("s"), Events::ids_of(database().position().seq, 5).back());
  Texts texts = all();
  ASSERT_EQ(texts.size(), 9u);
  EXPECT_EQ(texts[6].size(), 300'002u);
  texts[6].clear();
  EXPECT_EQ(texts, (Texts{"0", "1", "2", "3", "\"a\"", "\"b\"", "", "\"d\"", "\"e\""}));
  EXPECT_EQ(events().consumer("s", "reader")->offset, ids_[1]);
  EXPECT_TRUE(events().consumer("s", "holder")->holds);
  EXPECT_FALSE(events().consumer("s", "to erase"));
  EXPECT_EQ(events().retention("s"), (EventRetention{.max_count = 9}));
  EXPECT_EQ(all("to prune"), Texts{"1"});
}

TEST_P(EventForms, a_transaction_that_is_thrown_away_leaves_nothing_of_them) {
  const std::uint64_t before = stored_entries();
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    change(transaction);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  advance(hours(25));
  store()->sweep();
  EXPECT_EQ(stored_entries(), before) << "what was uploaded is gone a day later";
  EXPECT_EQ(all(), (Texts{"0", "1", "2", "3"}));
  EXPECT_EQ(events().consumers("s").items.size(), 1u);
  EXPECT_TRUE(events().consumer("s", "to erase"));
  EXPECT_FALSE(events().retention("s"));
  EXPECT_EQ(all("to prune").size(), 2u);
}

TEST_P(EventForms, an_append_of_none_or_too_many_is_refused) {
  for (const std::size_t count : {0u, 501u}) {
    const std::vector<Payload> payloads(count);
    EXPECT_EQ(code_of([&] {
                database().transact(
                    [&](Transaction& transaction) { events().append_many(transaction, "s", payloads); });
              }),
              Code::invalid_argument);
  }
}

TEST_P(EventsTest, an_append_in_a_transaction_does_not_conflict_with_other_appends) {
  int runs = 0;
  database().transact([&](Transaction& transaction) {
    ++runs;
    events().append(transaction, "s", "in");
    // Another transaction on this database would be refused here; this commit is what append() makes.
    std::thread([&] { events().append("s", "out"); }).join();
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(all(), (Texts{"\"out\"", "\"in\""}));
}

TEST_P(EventsTest, names_and_ids_out_of_their_limits_are_refused) {
  EXPECT_EQ(code_of([&] { events().append("", 1); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().append(Bytes(401, 's'), 1); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().hold("s", Bytes(401, 'c')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().hold("s", ""); }), Code::invalid_argument);
  for (const View id :
       {"", "1", "0000000000000001_0000", "000000000000000A-0000", "0000000000000001-00000"}) {
    EXPECT_EQ(code_of([&] { events().get("s", id); }), Code::invalid_argument);
  }
  EXPECT_EQ(code_of([&] { Events(database(), "!events"); }), Code::invalid_argument);
}

TEST_P(EventsTest, every_byte_may_stand_in_a_name) {
  Bytes name;
  for (int i = 0; i < 256; ++i) name += static_cast<char>(i);
  const Bytes longest(400, '/');
  for (const Bytes& stream : {name, longest}) {
    const EventId id = events().append(stream, 1);
    EXPECT_TRUE(events().commit(stream, name, id));
    EXPECT_TRUE(events().commit(stream, longest, id));
    EXPECT_EQ(all(stream), Texts{"1"});
    EXPECT_EQ(events().list_by_time(stream).items.size(), 1u);
    EXPECT_EQ(events().consumers(stream).items.size(), 2u);
  }
  EXPECT_EQ(events().streams().items.size(), 2u);
}

TEST_P(EventsTest, streams_with_similar_names_do_not_mix) {
  for (const View stream : {"a", "a/", "a/b", "a%2fb", "b"}) events().append(stream, stream);
  for (const View stream : {"a", "a/", "a/b", "a%2fb", "b"}) {
    EXPECT_EQ(all(stream), Texts{"\"" + Bytes(stream) + "\""});
    EXPECT_EQ(events().list_by_time(stream).items.size(), 1u);
  }
  EXPECT_TRUE(Events(database(), "events2").list("a").items.empty());
}

TEST_P(EventsTest, streams_are_listed_by_name_with_the_time_of_the_newest_append) {
  for (const View stream : {"b", "a/2", "a-1", "a"}) events().append(stream, 1);
  const UnixMs first_ms = clock().now_ms();
  advance(milliseconds(5));
  events().append("a", 2);
  Texts names;
  ListOptions options{.limit = 3};
  do {
    const Listing<EventStream> page = events().streams(options);
    for (const EventStream& stream : page.items) {
      names.push_back(stream.name);
      EXPECT_EQ(stream.appended_at_ms, stream.name == "a" ? first_ms + 5 : first_ms);
    }
    options.cursor = page.cursor;
  } while (!options.cursor.empty());
  EXPECT_EQ(names, (Texts{"a", "a-1", "a/2", "b"}));
  EXPECT_EQ(events().streams({.prefix = "a/"}).items.size(), 1u);
}

TEST_P(EventsTest, a_stream_that_was_never_appended_to_is_empty) {
  EXPECT_FALSE(events().last_id("s"));
  EXPECT_TRUE(events().list("s").items.empty());
  EXPECT_TRUE(events().list_by_time("s").items.empty());
  EXPECT_TRUE(events().streams().items.empty());
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 0u);
  EXPECT_FALSE(events().erase("s"));
}

TEST_P(EventsTest, pages_of_a_list_are_complete_in_both_directions) {
  const std::vector<EventId> ids = append_numbers(25);
  for (const bool reverse : {false, true}) {
    std::vector<EventId> listed;
    EventListOptions options{.limit = 7, .reverse = reverse};
    int pages = 0;
    do {
      const Listing<Event> page = events().list("s", options);
      for (const Event& event : page.items) listed.push_back(event.id);
      options.cursor = page.cursor;
      ++pages;
    } while (!options.cursor.empty());
    EXPECT_EQ(pages, 4);
    if (reverse) std::reverse(listed.begin(), listed.end());
    EXPECT_EQ(listed, ids);
  }
}

TEST_P(EventsTest, a_list_between_two_ids_leaves_both_out) {
  const std::vector<EventId> ids = append_numbers(6);
  for (const bool reverse : {false, true}) {
    Texts texts;
    EventListOptions options{.after = ids[1], .before = ids[5], .limit = 2, .reverse = reverse};
    do {
      const Listing<Event> page = events().list("s", options);
      for (const Bytes& text : texts_of(page.items)) texts.push_back(text);
      options.cursor = page.cursor;
    } while (!options.cursor.empty());
    EXPECT_EQ(texts, reverse ? (Texts{"4", "3", "2"}) : (Texts{"2", "3", "4"}));
  }
  EXPECT_TRUE(events().list("s", {.after = ids[3], .before = ids[3]}).items.empty());
}

TEST_P(EventsTest, a_list_by_time_has_the_events_from_one_instant_to_before_another) {
  const UnixMs begin_ms = clock().now_ms();
  for (int i = 0; i < 10; ++i) {
    events().append("s", i);
    advance(milliseconds(10));
  }
  const auto between = [&](std::optional<UnixMs> since, std::optional<UnixMs> before) {
    if (since) *since += begin_ms;
    if (before) *before += begin_ms;
    return texts_of(events().list_by_time("s", {.since_ms = since, .before_ms = before}).items);
  };
  EXPECT_EQ(between(30, 50), (Texts{"3", "4"}));
  EXPECT_EQ(between(31, 51), (Texts{"4", "5"}));
  EXPECT_EQ(between(std::nullopt, 15), (Texts{"0", "1"}));
  EXPECT_EQ(between(85, std::nullopt), Texts{"9"});
  EXPECT_EQ(between(std::nullopt, std::nullopt).size(), 10u);
  EXPECT_TRUE(between(50, 50).empty());
  EXPECT_TRUE(between(50, 30).empty());
}

TEST_P(EventsTest, a_list_by_time_is_right_when_clocks_disagree) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  const UnixMs begin_ms = clock().now_ms();
  std::map<UnixMs, Texts> expected;
  for (int i = 0; i < 12; ++i) {
    // A store's time does not run backwards while it is open: another process, with another clock, goes on.
    const UnixMs time_ms = begin_ms + i * 1'000 + (i % 3 == 0 ? 30'000 : 0);
    clock().set_now_ms(time_ms);
    reopen();
    const EventId id = events().append("s", i);
    EXPECT_EQ(events().get("s", id)->time_ms, time_ms);
    expected[time_ms].push_back(std::to_string(i));
  }
  Texts flat;
  for (const auto& [time_ms, texts] : expected) flat.insert(flat.end(), texts.begin(), texts.end());
  for (const bool reverse : {false, true}) {
    Texts texts;
    EventTimeOptions by_time{.limit = 3, .reverse = reverse};
    do {
      const Listing<Event> page = events().list_by_time("s", by_time);
      for (const Bytes& text : texts_of(page.items)) texts.push_back(text);
      by_time.cursor = page.cursor;
    } while (!by_time.cursor.empty());
    if (reverse) std::reverse(texts.begin(), texts.end());
    EXPECT_EQ(texts, flat);
  }
}

TEST_P(EventsTest, lists_refuse_a_limit_out_of_bounds_and_a_cursor_they_never_gave) {
  EXPECT_EQ(code_of([&] { events().list("s", {.limit = 0}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().list("s", {.limit = 1'001}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().list("s", {.cursor = "no"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().list("s", {.after = "no"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { events().list_by_time("s", {.limit = 0}); }), Code::invalid_argument);
}

// ---- Consumers

TEST_P(EventsTest, a_consumer_reads_the_same_batch_until_it_commits) {
  const std::vector<EventId> ids = append_numbers(5);
  EXPECT_EQ(texts_of(events().read("s", "c", 2)), (Texts{"0", "1"}));
  EXPECT_EQ(texts_of(events().read("s", "c", 2)), (Texts{"0", "1"}));
  EXPECT_FALSE(events().consumer("s", "c"));
  EXPECT_TRUE(events().commit("s", "c", ids[1]));
  EXPECT_EQ(texts_of(events().read("s", "c")), (Texts{"2", "3", "4"}));
  EXPECT_TRUE(events().commit("s", "c", ids[4]));
  EXPECT_TRUE(events().read("s", "c").empty());
  EXPECT_EQ(texts_of(events().read("s", "other", 1)), Texts{"0"}) << "consumers have offsets of their own";
}

TEST_P(EventsTest, an_offset_moves_backwards_only_when_asked_to) {
  const std::vector<EventId> ids = append_numbers(3);
  EXPECT_TRUE(events().commit("s", "c", ids[1]));
  EXPECT_FALSE(events().commit("s", "c", ids[0]));
  EXPECT_EQ(events().consumer("s", "c")->offset, ids[1]);
  EXPECT_TRUE(events().commit("s", "c", ids[1]));
  EXPECT_TRUE(events().commit("s", "c", ids[0], true));
  EXPECT_EQ(texts_of(events().read("s", "c")), (Texts{"1", "2"}));
}

TEST_P(EventsTest, lag_counts_what_is_behind_the_offset) {
  const std::vector<EventId> ids = append_numbers(5);
  EXPECT_EQ(events().lag("s", "c"), 5u);
  events().commit("s", "c", ids[1]);
  EXPECT_EQ(events().lag("s", "c"), 3u);
  events().commit("s", "c", ids[4]);
  EXPECT_EQ(events().lag("s", "c"), 0u);
}

TEST_P(EventsTest, consumers_are_listed_by_name_and_erased) {
  const EventId id = events().append("s", 1);
  events().hold("s", "b");
  events().commit("s", "a", id);
  events().commit("s/2", "c", id);
  const std::vector<EventConsumer> consumers = events().consumers("s").items;
  ASSERT_EQ(consumers.size(), 2u);
  EXPECT_EQ(consumers[0].name, "a");
  EXPECT_EQ(consumers[0].offset, id);
  EXPECT_FALSE(consumers[0].holds);
  EXPECT_EQ(consumers[1].name, "b");
  EXPECT_EQ(consumers[1].offset, "");
  EXPECT_TRUE(consumers[1].holds);
  EXPECT_TRUE(events().erase_consumer("s", "b"));
  EXPECT_FALSE(events().erase_consumer("s", "b"));
  EXPECT_EQ(events().consumers("s").items.size(), 1u);
}

TEST_P(EventsTest, an_offset_is_committed_with_what_was_made_of_the_events_or_not_at_all) {
  append_numbers(3);
  const auto consume = [&](bool fails) {
    const std::vector<Event> batch = events().read("s", "c", 2);
    database().transact([&](Transaction& transaction) {
      events().append(transaction, "copies", static_cast<int>(batch.size()));
      EXPECT_TRUE(events().commit(transaction, "s", "c", batch.back().id));
      if (fails) throw std::runtime_error("no");
    });
  };
  EXPECT_THROW(consume(true), std::runtime_error);
  EXPECT_FALSE(events().consumer("s", "c"));
  consume(false);
  consume(false);
  EXPECT_EQ(all("copies"), (Texts{"2", "1"}));
}

// ---- Subscriptions

TEST_P(EventsTest, a_subscription_gives_what_is_there_and_then_what_comes) {
  append_numbers(3);
  EventSubscription subscription = events().subscribe("s");
  EXPECT_EQ(next(subscription, 3), (Texts{"0", "1", "2"}));
  EXPECT_FALSE(subscription.next(clock().steady_now()));
  auto waiting = std::async(std::launch::async, [&] { return next(subscription, 2); });
  events().append("other", "not this");
  events().append("s", large('x'));
  events().append("s", 4);
  const Texts texts = waiting.get();
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_EQ(texts[0].size(), 300'002u);
  EXPECT_EQ(texts[1], "4");
  EXPECT_EQ(subscription.position(), events().last_id("s"));
}

TEST_P(EventsTest, a_subscription_goes_on_behind_an_id) {
  const std::vector<EventId> ids = append_numbers(250);
  EventSubscription first = events().subscribe("s", ids[9]);
  EXPECT_EQ(first.position(), ids[9]);
  EXPECT_EQ(next(first, 1), Texts{"10"});
  EventSubscription second = events().subscribe("s", first.position());
  EXPECT_EQ(next(second, 239).back(), "249");
  EXPECT_FALSE(second.next(clock().steady_now()));
  EXPECT_EQ(code_of([&] { events().subscribe("s", "no id"); }), Code::invalid_argument);
}

TEST_P(EventsTest, a_subscription_may_begin_before_the_first_commit) {
  EventSubscription subscription = events().subscribe("s");
  EXPECT_FALSE(subscription.next(clock().steady_now()));
  append_numbers(2);
  EXPECT_EQ(next(subscription, 2), (Texts{"0", "1"}));
}

TEST_P(EventsTest, cancel_ends_a_waiting_subscription) {
  append_numbers(1);
  EventSubscription subscription = events().subscribe("s");
  EXPECT_EQ(next(subscription, 1).size(), 1u);
  auto waiting = std::async(std::launch::async, [&] { return next(subscription, 1); });
  subscription.cancel();
  EXPECT_TRUE(waiting.get().empty());
  append_numbers(1);
  EXPECT_FALSE(subscription.next(in(seconds(1'000))));
}

TEST_P(EventsTest, a_subscription_passes_over_what_was_pruned) {
  append_numbers(150);
  EventSubscription subscription = events().subscribe("s");
  EXPECT_EQ(next(subscription, 1), Texts{"0"});
  events().prune("s", {.max_count = 10});
  const Texts texts = next(subscription, 109);
  EXPECT_EQ(texts.front(), "1") << "was read already";
  EXPECT_EQ(texts[98], "99");
  EXPECT_EQ(texts[99], "140");
  EXPECT_EQ(texts.back(), "149");
}

TEST_P(EventsTest, a_subscription_says_so_when_the_database_was_dropped) {
  append_numbers(2);
  EventSubscription subscription = events().subscribe("s");
  EXPECT_EQ(next(subscription, 2).size(), 2u);
  store()->drop("app");
  append_numbers(1);
  EXPECT_EQ(code_of([&] { next(subscription, 1); }), Code::history_changed);
}

// ---- Retention

TEST_P(EventsTest, what_is_too_old_or_too_much_is_pruned_oldest_first) {
  for (int i = 0; i < 10; ++i) {
    events().append("s", i);
    advance(hours(1));
  }
  // The newest one is an hour old.
  EXPECT_EQ(events().prune("s", {}), 0u);
  EXPECT_EQ(events().prune("s", {.max_age = hours(9)}), 1u);
  EXPECT_EQ(events().prune("s", {.max_age = hours(9)}), 0u);
  EXPECT_EQ(events().prune("s", {.max_count = 7}), 2u);
  EXPECT_EQ(all().front(), "3");
  EXPECT_EQ(events().prune("s", {.max_age = hours(4), .max_count = 5}), 3u);
  EXPECT_EQ(all(), (Texts{"6", "7", "8", "9"}));
  EXPECT_EQ(texts_of(events().list_by_time("s").items), all());
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 4u);
  EXPECT_TRUE(all().empty());
  EXPECT_EQ(code_of([&] { events().prune("s", {.max_age = milliseconds(-1)}); }), Code::invalid_argument);
}

TEST_P(EventsTest, an_age_is_exceeded_a_millisecond_after_it_was_reached) {
  append_numbers(1);
  advance(milliseconds(10));
  EXPECT_EQ(events().prune("s", {.max_age = milliseconds(10)}), 0u);
  advance(milliseconds(1));
  EXPECT_EQ(events().prune("s", {.max_age = milliseconds(10)}), 1u);
}

TEST_P(EventsTest, nothing_behind_the_offset_of_a_consumer_that_holds_is_pruned) {
  const std::vector<EventId> ids = append_numbers(10);
  events().hold("s", "slow");
  events().commit("s", "careless", ids[0]);
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 0u);
  events().commit("s", "slow", ids[3]);
  events().hold("s", "fast");
  events().commit("s", "fast", ids[6]);
  EXPECT_EQ(events().prune("s", {.max_count = 5}), 4u);
  EXPECT_EQ(texts_of(events().read("s", "slow", 1)), Texts{"4"});
  events().hold("s", "slow", false);
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 3u);
  events().erase_consumer("s", "fast");
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 3u);
}

TEST_P(EventsTest, a_hold_that_comes_while_a_prune_runs_is_respected) {
  append_numbers(3);
  int runs = 0;
  const std::uint64_t pruned = database().transact([&](Transaction& transaction) {
    const std::uint64_t count = events().prune(transaction, "s", {.max_count = 0});
    if (++runs == 1) std::thread([&] { events().hold("s", "c"); }).join();
    return count;
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(pruned, 0u);
  EXPECT_EQ(all().size(), 3u);
}

TEST_P(EventsTest, two_prunes_at_once_do_not_count_an_event_twice) {
  append_numbers(3);
  int runs = 0;
  const std::uint64_t pruned = database().transact([&](Transaction& transaction) {
    const std::uint64_t count = events().prune(transaction, "s", {.max_count = 1});
    if (++runs == 1) std::thread([&] { EXPECT_EQ(events().prune("s", {.max_count = 2}), 1u); }).join();
    return count;
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(pruned, 1u);
}

TEST_P(EventsTest, an_append_while_a_stream_is_erased_begins_it_anew) {
  append_numbers(3);
  const auto appending = [&] { events().append("s", "again"); };
  in_threads(2, [&](std::size_t worker) { worker == 0 ? appending() : void(events().erase("s")); });
  const bool is_there = !all().empty();
  EXPECT_EQ(events().streams().items.size(), is_there ? 1u : 0u) << "events of a stream that is not listed";
}

TEST_P(EventsTest, a_prune_is_bounded_in_each_commit_and_complete_in_all) {
  for (int i = 0; i < 3; ++i) events().append_many("s", std::vector<Payload>(500, Payload(i)));
  const Position before = database().position();
  EXPECT_EQ(events().prune("s", {.max_count = 10}), 1'490u);
  std::map<Seq, std::size_t> erasures;
  for (const Change& change : database().changes(before, Range::all(), 10'000).items)
    ++erasures[change.version];
  EXPECT_GE(erasures.size(), 3u);
  for (const auto& [seq, count] : erasures) EXPECT_LE(count, 1'000u);
  EXPECT_EQ(all().size(), 10u);
}

TEST_P(EventsTest, large_payloads_go_with_their_events) {
  for (int i = 0; i < 3; ++i) events().append("s", large('x'));
  database().transact(
      [&](Transaction& transaction) { EXPECT_EQ(events().prune(transaction, "s", {.max_count = 2}), 1u); });
  EXPECT_EQ(all().size(), 2u);
  EXPECT_EQ(events().prune("s", {.max_count = 0}), 2u);
  EXPECT_EQ(stored_entries(), 1u) << "the name of the stream";
}

TEST_P(EventsTest, a_stored_retention_is_what_prune_goes_by) {
  const EventRetention retention{.max_age = hours(24 * 90), .max_count = 3};
  EXPECT_FALSE(events().retention("s"));
  events().set_retention("s", retention);
  events().set_retention("t", EventRetention{.max_count = UINT64_MAX});
  EXPECT_EQ(events().retention("s"), retention);
  EXPECT_FALSE(events().retention("t")->max_age);
  append_numbers(5, "s");
  append_numbers(5, "t");
  append_numbers(5, "u");
  EXPECT_EQ(events().prune("u"), 0u);
  EXPECT_EQ(events().prune_all(), 2u);
  EXPECT_EQ(all("s").size(), 3u);
  advance(hours(24 * 91));
  EXPECT_EQ(events().prune("s"), 3u);
  events().set_retention("s", std::nullopt);
  EXPECT_FALSE(events().retention("s"));
}

TEST_P(EventsTest, erase_leaves_nothing_of_a_stream) {
  append_numbers(3);
  events().append("s", large('x'));
  events().hold("s", "c");
  events().set_retention("s", EventRetention{.max_count = 1});
  events().append("t", 1);
  EXPECT_TRUE(events().erase("s"));
  EXPECT_FALSE(events().erase("s"));
  EXPECT_EQ(events().streams().items.size(), 1u);
  EXPECT_EQ(stored_entries(), 3u) << "one event of the other stream";
}

// ---- Many at once

TEST_P(EventsTest, sixteen_writers_of_one_stream_lose_nothing_and_a_subscriber_sees_each_once_in_order) {
  const std::size_t each = many() / 20;
  std::vector<std::vector<EventId>> ids(16);
  EventSubscription subscription = events().subscribe("s");
  auto seen = std::async(std::launch::async, [&] {
    std::vector<Event> given;
    while (given.size() < 16 * each) {
      std::optional<Event> event = subscription.next(in(seconds(100'000)));
      if (!event) break;
      given.push_back(std::move(*event));
    }
    return given;
  });
  in_threads(16, [&](std::size_t writer) {
    Events events = this->events();
    for (std::size_t i = 0; i < each; ++i) {
      const Payload payload(std::to_string(writer) + " " + std::to_string(i));
      if (i % 4 != 0) {
        ids[writer].push_back(events.append("s", payload));
      } else {
        database().transact([&](Transaction& transaction) { events.append(transaction, "s", payload); });
      }
    }
  });
  const std::vector<Event> events_seen = seen.get();
  ASSERT_EQ(events_seen.size(), 16 * each);
  std::set<Bytes> payloads;
  std::map<Bytes, EventId> id_of;
  for (std::size_t i = 0; i < events_seen.size(); ++i) {
    EXPECT_LT(i == 0 ? EventId() : events_seen[i - 1].id, events_seen[i].id);
    payloads.insert(events_seen[i].payload.text());
    id_of[events_seen[i].payload.text()] = events_seen[i].id;
  }
  EXPECT_EQ(payloads.size(), 16 * each) << "an event was lost or given twice";
  std::set<EventId> unique;
  for (std::size_t writer = 0; writer < 16; ++writer) {
    EXPECT_TRUE(std::is_sorted(ids[writer].begin(), ids[writer].end()));
    unique.insert(ids[writer].begin(), ids[writer].end());
    std::size_t at = 0;
    for (std::size_t i = 0; i < each; ++i) {
      const Bytes text = "\"" + std::to_string(writer) + " " + std::to_string(i) + "\"";
      if (i % 4 == 0) continue;
      EXPECT_EQ(id_of[text], ids[writer][at++]) << "the id that append() gave is the event's";
    }
  }
  EXPECT_EQ(unique.size(), 16 * (each - (each + 3) / 4));
}

TEST_P(EventsTest, prunes_at_once_count_every_event_once_while_writers_go_on) {
  const std::size_t each = many() / 10;
  append_numbers(static_cast<int>(each));
  std::atomic<std::uint64_t> pruned{0};
  in_threads(6, [&](std::size_t worker) {
    Events events = this->events();
    if (worker % 2 == 0) {
      for (std::size_t i = 0; i < each; ++i) events.append("s", "more");
    } else {
      for (int i = 0; i < 5; ++i) pruned += events.prune("s", {.max_count = 10});
    }
  });
  pruned += events().prune("s", {.max_count = 10});
  EXPECT_EQ(pruned, 4 * each - 10);
  EXPECT_EQ(all().size(), 10u);
}

TEST_P(EventsTest, a_consumer_that_holds_misses_nothing_while_the_stream_is_pruned) {
  const std::size_t each = many() / 10;
  events().hold("s", "c");
  std::vector<Bytes> seen;
  std::atomic<bool> is_done{false};
  in_threads(3, [&](std::size_t worker) {
    Events events = this->events();
    if (worker == 0) {
      for (std::size_t i = 0; i < each; ++i) events.append("s", i);
    } else if (worker == 1) {
      while (!is_done) events.prune("s", {.max_count = 0});
    } else {
      while (seen.size() < each) {
        for (const Event& event : events.read("s", "c", 7)) {
          seen.push_back(event.payload.text());
          events.commit("s", "c", event.id);
        }
      }
      is_done = true;
    }
  });
  ASSERT_EQ(seen.size(), each);
  for (std::size_t i = 0; i < each; ++i) EXPECT_EQ(seen[i], std::to_string(i));
}

TEST(EventSubscriptions, lose_no_event_that_comes_between_the_last_page_and_the_wait) {
  TestWorld world;
  const std::shared_ptr<Store> writing = world.open();
  Events writer(writing->database("db"));
  std::atomic<bool> is_armed{false};
  const std::shared_ptr<Store> reading = world.open([&](SharedBackend& backend) {
    backend.after_call = [&](View call, View) {
      if (call == "read" && is_armed.exchange(false)) writer.append("s", 2);
    };
  });
  writer.append("s", 1);
  EventSubscription subscription = Events(reading->database("db")).subscribe("s");
  is_armed = true;
  EXPECT_EQ(subscription.next(world.now())->payload, Payload(1));
  std::optional<Event> second;
  const auto until = std::chrono::steady_clock::now() + seconds(20);
  while (!second && std::chrono::steady_clock::now() < until) {
    second = subscription.next(world.now());
    std::this_thread::yield();
  }
  ASSERT_TRUE(second) << "it was lost";
  EXPECT_EQ(second->payload, Payload(2));
}

}  // namespace
}  // namespace holdfast
