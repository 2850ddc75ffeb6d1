#include "holdfast/lifecycle.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "engine/engine_test_support.h"
#include "holdfast/blobs.h"
#include "holdfast/events.h"
#include "holdfast/kv.h"
#include "holdfast/records.h"
#include "tests/services/service_test.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Collects what it is told.
class Listener {
 public:
  LifecycleHandler handler() {
    return [this](const LifecycleEvent& event) {
      const std::scoped_lock lock(mutex_);
      told_.push_back(event);
      changed_.notify_all();
    };
  }
  /// All up to the first one that `is_last`.
  std::vector<LifecycleEvent> until(const std::function<bool(const LifecycleEvent&)>& is_last) {
    std::unique_lock lock(mutex_);
    const bool came =
        changed_.wait_for(lock, std::chrono::minutes(1), [&] { return std::ranges::any_of(told_, is_last); });
    EXPECT_TRUE(came) << "what was waited for was never told";
    return told_;
  }
  std::vector<LifecycleEvent> until_type(View type) {
    return until([&](const LifecycleEvent& event) { return event.type == type; });
  }
  /// All up to the setting of the key "end", which is not among them.
  std::vector<LifecycleEvent> until_end() {
    std::vector<LifecycleEvent> told =
        until([](const LifecycleEvent& event) { return event.type == "kv:set" && event.key == "end"; });
    std::erase_if(told, [](const LifecycleEvent& event) { return event.key == "end"; });
    return told;
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex_);
    return told_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<LifecycleEvent> told_;
};

std::vector<Bytes> types_of(const std::vector<LifecycleEvent>& told) {
  std::vector<Bytes> types;
  for (const LifecycleEvent& event : told) types.push_back(event.type);
  return types;
}

/// A sum per type.
std::map<Bytes, std::uint64_t> counts_of(const std::vector<LifecycleEvent>& told) {
  std::map<Bytes, std::uint64_t> counts;
  for (const LifecycleEvent& event : told)
    counts[event.type] += event.type == "event:prune" ? event.count : 1;
  return counts;
}

class LifecycleTest : public ServiceTest {
 protected:
  Kv kv() { return Kv(database()); }
  Events events() { return Events(database()); }
  void set_end() { kv().set("end", true); }
};

HOLDFAST_ON_EVERY_TARGET(LifecycleTest);

TEST_P(LifecycleTest, tells_what_was_set_and_deleted) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  kv().set("greeting", "hello");
  std::vector<LifecycleEvent> told = listener.until_type("kv:set");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].prefix, "kv");
  EXPECT_EQ(told[0].key, "greeting");
  EXPECT_EQ(told[0].payload->text(), "\"hello\"");
  EXPECT_EQ(told[0].version, kv().get("greeting")->version);
  EXPECT_EQ(told[0].seq, told[0].version);
  kv().erase("greeting");
  told = listener.until_type("kv:delete");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].key, "greeting");
  EXPECT_FALSE(told[1].payload);
  EXPECT_EQ(told[1].seq, database().position().seq);
}

TEST_P(LifecycleTest, tells_what_was_appended_and_pruned) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("event:*", listener.handler());
  const EventId id = events().append("orders/new", 7);
  std::vector<LifecycleEvent> told = listener.until_type("event:append");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].prefix, "events");
  EXPECT_EQ(told[0].stream, "orders/new");
  EXPECT_EQ(told[0].id, id);
  EXPECT_EQ(told[0].payload->text(), "7");
  EXPECT_EQ(told[0].count, 0u);
  events().prune("orders/new", {.max_count = 0});
  told = listener.until_type("event:prune");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].stream, "orders/new");
  EXPECT_EQ(told[1].count, 1u);
}

TEST_P(LifecycleTest, tells_which_records_were_put_and_deleted) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  Records records(database());
  records.put("ada", 36);
  listener.until_type("record:put");
  records.put("ada", Payload(Bytes(300'000, 'x')));
  listener.until([](const LifecycleEvent& event) { return event.version == 2; });
  records.erase("ada");
  const std::vector<LifecycleEvent> told = listener.until_type("record:delete");
  ASSERT_EQ(types_of(told), (std::vector<Bytes>{"record:put", "record:put", "record:delete"}));
  for (const LifecycleEvent& event : told) {
    EXPECT_EQ(event.prefix, "records");
    EXPECT_EQ(event.key, "ada");
  }
  EXPECT_EQ(told[0].version, 1u);
  EXPECT_EQ(told[0].payload, Payload(36));
  EXPECT_EQ(told[1].version, 2u) << "the version of the record, not of the entry";
  EXPECT_EQ(told[1].payload->size_bytes(), 300'002u);
}

TEST_P(LifecycleTest, tells_which_blobs_were_put_and_deleted) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("blob:*", listener.handler());
  Blobs blobs(database());
  blobs.put("photos/1.jpg", Bytes(3'000'000, 'x'));
  std::vector<LifecycleEvent> told = listener.until_type("blob:put");
  ASSERT_EQ(told.size(), 1u) << "an upload is told when it is complete";
  EXPECT_EQ(told[0].prefix, "blobs");
  EXPECT_EQ(told[0].key, "photos/1.jpg");
  EXPECT_EQ(told[0].size_bytes, 3'000'000u);
  EXPECT_EQ(told[0].version, blobs.stat("photos/1.jpg")->version);
  blobs.erase("photos/1.jpg");
  told = listener.until_type("blob:delete");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].key, "photos/1.jpg");
}

TEST_P(LifecycleTest, a_prune_is_one_event_for_each_commit_and_counts_each_event_once) {
  for (int i = 0; i < 3; ++i) events().append_many("s", std::vector<Payload>(500, Payload(i)));
  events().append("t", 1);
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  database().transact([&](Transaction& transaction) {
    events().prune(transaction, "s", {.max_count = 1'499});
    events().prune(transaction, "t", {.max_count = 0});
  });
  events().prune("s", {.max_count = 0});
  set_end();
  std::map<Bytes, std::uint64_t> counts;
  std::set<std::pair<Bytes, Seq>> commits;
  for (const LifecycleEvent& event : listener.until_end()) {
    ASSERT_EQ(event.type, "event:prune");
    counts[event.stream] += event.count;
    EXPECT_TRUE(commits.emplace(event.stream, event.seq).second);
  }
  EXPECT_EQ(counts["s"], 1'500u);
  EXPECT_EQ(counts["t"], 1u);
}

TEST_P(LifecycleTest, large_payloads_are_told_whole) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  const Payload large(Bytes(300'000, 'x'));
  kv().set("key", large);
  events().append("s", large);
  set_end();
  const std::vector<LifecycleEvent> told = listener.until_end();
  ASSERT_EQ(types_of(told), (std::vector<Bytes>{"kv:set", "event:append"}));
  EXPECT_EQ(told[0].payload, large);
  EXPECT_EQ(told[1].payload, large);
}

TEST_P(LifecycleTest, changes_of_all_services_are_told_in_the_order_of_their_commits) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  std::vector<Bytes> expected;
  for (int i = 0; i < 20; ++i) {
    kv().set("key " + std::to_string(i), i);
    events().append("s", i);
    expected.insert(expected.end(), {"kv:set", "event:append"});
  }
  database().transact([&](Transaction& transaction) {
    kv().set(transaction, "both", 1);
    events().append(transaction, "s", 20);
  });
  set_end();
  const std::vector<LifecycleEvent> told = listener.until_end();
  expected.insert(expected.end(), {"event:append", "kv:set"});
  EXPECT_EQ(types_of(told), expected);
  EXPECT_TRUE(std::ranges::is_sorted(told, {}, &LifecycleEvent::seq));
  EXPECT_EQ(told[40].seq, told[41].seq) << "one commit";
}

TEST_P(LifecycleTest, patterns_choose_types) {
  Lifecycle lifecycle(database());
  Listener all, of_kv, of_deletions;
  const LifecycleSubscription subscriptions[] = {lifecycle.on("kv:*", of_kv.handler()),
                                                 lifecycle.on("kv:delete", of_deletions.handler()),
                                                 lifecycle.on("*", all.handler())};
  kv().set("a", 1);
  all.until_type("kv:set");
  kv().erase("a");
  events().append("s", 1);
  set_end();
  EXPECT_EQ(types_of(all.until_end()), (std::vector<Bytes>{"kv:set", "kv:delete", "event:append"}));
  EXPECT_EQ(types_of(of_kv.until_end()), (std::vector<Bytes>{"kv:set", "kv:delete"}));
  EXPECT_EQ(types_of(of_deletions.until_type("kv:delete")), std::vector<Bytes>{"kv:delete"});
}

TEST_P(LifecycleTest, the_pattern_of_all_hears_of_every_type) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  Records records(database());
  Blobs blobs(database());
  kv().set("k", 1);
  records.put("r", 1);
  blobs.put("b", "bytes");
  events().append("s", 1);
  for (const View type : {"kv:set", "record:put", "blob:put", "event:append"}) listener.until_type(type);
  kv().erase("k");
  records.erase("r");
  blobs.erase("b");
  events().prune("s", {.max_count = 0});
  for (const View type : {"kv:delete", "record:delete", "blob:delete"}) listener.until_type(type);
  EXPECT_EQ(types_of(listener.until_type("event:prune")).size(), 8u);
}

TEST_P(LifecycleTest, an_unknown_pattern_is_refused) {
  Lifecycle lifecycle(database());
  for (const View pattern : {"", "kv", "kv:", "kv:get", "kv:s*", "**", "nothing:*", "blob:upload:progress"}) {
    EXPECT_EQ(code_of([&] { auto ignored = lifecycle.on(pattern, [](const LifecycleEvent&) {}); }),
              Code::invalid_argument)
        << pattern;
  }
  EXPECT_EQ(code_of([&] { Lifecycle(database(), {.kv = {"!kv"}}); }), Code::invalid_argument);
}

TEST_P(LifecycleTest, only_services_of_the_given_prefixes_are_told_about) {
  Lifecycle lifecycle(database(), {.kv = {"kv", "cache"}, .events = {}});
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  Kv(database(), "cache").set("a", 1);
  Kv(database(), "kv2").set("b", 1);
  events().append("s", 1);
  database().put("raw", "entry");
  set_end();
  const std::vector<LifecycleEvent> told = listener.until_end();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].prefix, "cache");
  EXPECT_EQ(told[0].key, "a");
}

TEST_P(LifecycleTest, a_handler_that_was_removed_hears_nothing_more) {
  Lifecycle lifecycle(database());
  Listener stays, removed, destroyed;
  const LifecycleSubscription subscription = lifecycle.on("*", stays.handler());
  LifecycleSubscription by_call = lifecycle.on("*", removed.handler());
  std::optional<LifecycleSubscription> by_destruction = lifecycle.on("*", destroyed.handler());
  LifecycleSubscription moved = std::move(*by_destruction);
  kv().set("first", 1);
  removed.until_type("kv:set");
  destroyed.until_type("kv:set");
  by_call.remove();
  by_call.remove();
  {
    const LifecycleSubscription ends = std::move(moved);
  }
  kv().set("second", 1);
  set_end();
  EXPECT_EQ(stays.until_end().size(), 2u);
  EXPECT_EQ(removed.count(), 1u);
  EXPECT_EQ(destroyed.count(), 1u);
}

TEST_P(LifecycleTest, a_handler_may_remove_itself) {
  Lifecycle lifecycle(database());
  Listener stays;
  LifecycleSubscription once;
  std::atomic<int> calls{0};
  once = lifecycle.on("*", [&](const LifecycleEvent&) {
    ++calls;
    once.remove();
  });
  const LifecycleSubscription subscription = lifecycle.on("*", stays.handler());
  kv().set("a", 1);
  kv().set("b", 1);
  set_end();
  stays.until_end();
  EXPECT_EQ(calls, 1);
}

TEST_P(LifecycleTest, remove_waits_for_the_handler_that_runs_and_writers_do_not) {
  Lifecycle lifecycle(database());
  std::promise<void> has_begun, may_end;
  std::atomic<bool> has_ended{false};
  LifecycleSubscription slow = lifecycle.on("kv:set", [&](const LifecycleEvent&) {
    has_begun.set_value();
    may_end.get_future().wait();
    has_ended = true;
  });
  kv().set("a", 1);
  has_begun.get_future().wait();
  events().append("s", "a writer is not held up");
  auto removal = std::async(std::launch::async, [&] {
    slow.remove();
    return has_ended.load();
  });
  EXPECT_EQ(removal.wait_for(milliseconds(1)), std::future_status::timeout);
  may_end.set_value();
  EXPECT_TRUE(removal.get()) << "remove() came back while the handler ran";
}

TEST_P(LifecycleTest, a_handler_that_throws_harms_nobody_and_is_reported) {
  std::mutex mutex;
  std::vector<std::string> errors;
  LifecycleOptions options;
  options.on_error = [&](const std::exception& error, bool is_last) {
    EXPECT_FALSE(is_last);
    const std::scoped_lock lock(mutex);
    errors.emplace_back(error.what());
    throw std::runtime_error("from the callback itself");
  };
  Lifecycle lifecycle(database(), options);
  Listener listener;
  const LifecycleSubscription throwing[] = {
      lifecycle.on("*", [](const LifecycleEvent& event) { throw std::runtime_error("no " + event.key); }),
      lifecycle.on("kv:set", [](const LifecycleEvent&) { throw 7; })};
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  kv().set("a", 1);
  kv().set("b", 1);
  set_end();
  EXPECT_EQ(listener.until_end().size(), 2u);
  EXPECT_EQ(kv().get("a")->value, Payload(1));
  const std::scoped_lock lock(mutex);
  ASSERT_EQ(errors.size(), 6u);
  EXPECT_EQ(errors[0], "no a");
  EXPECT_NE(errors[1].find("no std::exception"), std::string::npos);
  EXPECT_EQ(errors[2], "no b");
}

TEST_P(LifecycleTest, what_was_not_committed_is_not_told) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    kv().set(transaction, "a", 1);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  set_end();
  EXPECT_TRUE(listener.until_end().empty());
}

TEST_P(LifecycleTest, an_entry_that_expires_is_deleted_when_it_is_swept) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  kv().set("session", 1, {.ttl = milliseconds(10)});
  listener.until_type("kv:set");
  advance(milliseconds(10));
  store()->sweep();
  const std::vector<LifecycleEvent> told = listener.until_type("kv:delete");
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[1].key, "session");
}

TEST_P(LifecycleTest, of_a_key_that_changes_often_the_newest_value_is_told_last_and_none_twice) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  in_threads(4, [&](std::size_t) {
    for (std::size_t i = 0; i < many() / 10; ++i) kv().increment("count");
  });
  set_end();
  const std::vector<LifecycleEvent> told = listener.until_end();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().payload, Payload(4 * (many() / 10)));
  EXPECT_TRUE(std::ranges::is_sorted(told, std::ranges::less_equal(), &LifecycleEvent::seq) ||
              told.size() == 1);
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_LT(told[i - 1].seq, told[i].seq);
}

TEST_P(LifecycleTest, sixteen_writers_are_told_of_each_event_once_in_order) {
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  const std::size_t each = many() / 20;
  in_threads(16, [&](std::size_t writer) {
    for (std::size_t i = 0; i < each; ++i) {
      const Bytes name = std::to_string(writer) + " " + std::to_string(i);
      if (i % 2 == 0) {
        events().append("s", name);
      } else {
        kv().set(name, name);
      }
    }
  });
  set_end();
  const std::vector<LifecycleEvent> told = listener.until_end();
  EXPECT_EQ(told.size(), 16 * each);
  std::set<Bytes> names;
  for (std::size_t i = 0; i < told.size(); ++i) {
    names.insert(told[i].payload->text());
    EXPECT_LT(i == 0 ? 0 : told[i - 1].seq, told[i].seq);
  }
  EXPECT_EQ(names.size(), 16 * each);
}

TEST_P(LifecycleTest, commits_of_another_process_are_told) {
  if (!GetParam().shared) GTEST_SKIP() << "for one process";
  Lifecycle lifecycle(database());
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  const std::shared_ptr<Store> other = open();
  Kv(other->database("app")).set("a", 1);
  Events(other->database("app")).append("s", 2);
  Kv(other->database("another")).set("b", 1);
  set_end();
  EXPECT_EQ(types_of(listener.until_end()), (std::vector<Bytes>{"kv:set", "event:append"}));
}

TEST_P(LifecycleTest, goes_on_when_the_database_is_dropped) {
  kv().set("a", 1);
  std::promise<Code> code;
  LifecycleOptions options;
  options.on_error = [&](const std::exception& error, bool is_last) {
    EXPECT_FALSE(is_last);
    code.set_value(dynamic_cast<const Error&>(error).code());
  };
  Lifecycle lifecycle(database(), options);
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  store()->drop("app");
  kv().set("lost, maybe", 1);
  EXPECT_EQ(code.get_future().get(), Code::history_changed);
  set_end();
  listener.until_end();
}

TEST_P(LifecycleTest, may_outlive_its_store_and_be_outlived_by_its_subscriptions) {
  std::promise<bool> was_last;
  LifecycleOptions options;
  options.on_error = [&](const std::exception&, bool is_last) { was_last.set_value(is_last); };
  LifecycleSubscription subscription;
  {
    Lifecycle lifecycle(database(), options);
    subscription = lifecycle.on("*", [](const LifecycleEvent&) {});
    store()->close();
    EXPECT_TRUE(was_last.get_future().get());
  }
  subscription.remove();
}

// ---- Going on later

using Told = std::tuple<Seq, Bytes, Bytes>;

std::vector<Told> summary_of(const std::vector<LifecycleEvent>& events) {
  std::vector<Told> told;
  for (const LifecycleEvent& event : events) {
    told.emplace_back(event.seq, event.type, event.type == "event:append" ? event.id : event.key);
  }
  return told;
}

TEST_P(LifecycleTest, goes_on_behind_any_event_without_a_gap_or_a_repeat) {
  Bytes begin;
  std::vector<LifecycleEvent> all;
  {
    Lifecycle lifecycle(database());
    begin = lifecycle.token();
    Listener listener;
    const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
    kv().set("first", 1);
    database().transact([&](Transaction& transaction) {
      kv().set(transaction, "a/b", 1);
      kv().set(transaction, Bytes("a\0\xff", 3), 2);
      events().append(transaction, "s", 3);
      events().append(transaction, "s", 4);
      Records(database()).put(transaction, "r", 5);
    });
    kv().set("last", 1);
    set_end();
    all = listener.until_end();
  }
  ASSERT_EQ(all.size(), 7u);
  std::vector<Bytes> places{begin};
  for (const LifecycleEvent& event : all) places.push_back(event.token);
  for (std::size_t i = 0; i < places.size(); ++i) {
    LifecycleOptions options;
    options.after = places[i];
    Lifecycle lifecycle(database(), options);
    EXPECT_EQ(lifecycle.token(), places[i]);
    Listener listener;
    const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
    std::vector<Told> expected = summary_of(all);
    expected.erase(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(summary_of(listener.until_end()), expected) << i;
  }
}

TEST_P(LifecycleTest, who_began_before_the_first_commit_goes_on_with_it) {
  const Bytes begin = Lifecycle(database()).token();
  kv().set("first", 1);
  set_end();
  LifecycleOptions options;
  options.after = begin;
  Lifecycle lifecycle(database(), options);
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  EXPECT_EQ(types_of(listener.until_end()), std::vector<Bytes>{"kv:set"});
}

TEST_P(LifecycleTest, what_is_no_token_is_refused) {
  const Bytes good = Lifecycle(database()).token();
  for (const Bytes& token : {Bytes("x"), good + "!", good.substr(1), "0" + good, good.substr(0, 33),
                             Bytes("0000000000000000-0000000000000000-")}) {
    LifecycleOptions options;
    options.after = token;
    EXPECT_EQ(code_of([&] { const Lifecycle lifecycle(database(), options); }), Code::invalid_argument)
        << token;
  }
}

// ---- On a store whose calls fail, and in several processes

TEST(LifecycleFailures, what_could_not_be_read_is_told_later_each_once) {
  TestWorld world;
  std::atomic<int> failures{0};
  std::atomic<int> reads{0};
  const std::shared_ptr<Store> listening = world.open([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      // Every other read of values fails, also in the middle of a page.
      if (call == "read" && ++reads % 2 == 0 && failures.fetch_sub(1) > 0) {
        throw Error(Code::unavailable, "not now");
      }
    };
  });
  const std::shared_ptr<Store> writing = world.open();
  Kv kv(writing->database("db"));
  kv.set("before", 1);
  std::atomic<int> errors{0};
  LifecycleOptions options;
  options.on_error = [&](const std::exception&, bool is_last) {
    EXPECT_FALSE(is_last);
    ++errors;
  };
  Lifecycle lifecycle(listening->database("db"), options);
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  failures = 3;
  std::vector<std::pair<Bytes, Payload>> entries;
  for (int i = 0; i < 200; ++i) entries.emplace_back("key " + std::to_string(i), i);
  kv.set_many(entries);
  // The next look is due with the next commit.
  for (int i = 0; failures > 0; ++i) {
    kv.set("again", i);
    std::this_thread::yield();
  }
  kv.set("end", 1);
  std::map<Bytes, int> told;
  for (const LifecycleEvent& event : listener.until_end()) {
    if (event.key != "again") ++told[event.key];
  }
  EXPECT_GT(errors, 0);
  EXPECT_EQ(told.size(), 200u);
  for (const auto& [key, count] : told) EXPECT_EQ(count, 1) << key;
}

TEST(LifecycleFailures, an_entry_that_cannot_be_read_is_reported_and_passed_over) {
  TestWorld world;
  const std::shared_ptr<Store> store = world.open();
  Database database = store->database("db");
  std::promise<Code> code;
  LifecycleOptions options;
  options.on_error = [&](const std::exception& error, bool) {
    code.set_value(dynamic_cast<const Error&>(error).code());
  };
  Lifecycle lifecycle(database, options);
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  database.put("events/log/s/0000000000000001-0000", "no event");
  Kv(database).set("end", 1);
  EXPECT_TRUE(listener.until_end().empty());
  EXPECT_EQ(code.get_future().get(), Code::corruption);
}

TEST(LifecycleFailures, a_handler_that_is_behind_hears_of_deletions_and_prunes_once) {
  TestWorld world;
  const std::shared_ptr<Store> store = world.open();
  Database database = store->database("db");
  Kv kv(database);
  Events events(database);
  Lifecycle lifecycle(database);
  std::promise<void> has_begun, may_go_on;
  Listener listener;
  std::atomic<bool> is_first{true};
  const LifecycleSubscription waiting = lifecycle.on("*", [&](const LifecycleEvent&) {
    if (!is_first.exchange(false)) return;
    has_begun.set_value();
    may_go_on.get_future().wait();
  });
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  kv.set("first", 1);
  has_begun.get_future().wait();
  // More than one page of the change log: keys that are gone are listed at their older changes too.
  kv.set("gone", 1);
  events.append("s", 1);
  for (int i = 0; i < 3'000; ++i) kv.set("key " + std::to_string(i), i);
  kv.erase("gone");
  events.prune("s", {.max_count = 0});
  kv.set("end", 1);
  may_go_on.set_value();
  std::map<Bytes, std::uint64_t> counts = counts_of(listener.until_end());
  EXPECT_EQ(counts["kv:set"], 3'001u);
  EXPECT_EQ(counts["kv:delete"], 1u);
  EXPECT_EQ(counts["event:prune"], 1u);
  EXPECT_EQ(counts["event:append"], 0u);
}

TEST(LifecycleFailures, processes_on_one_memory_backend_hear_of_one_another) {
  TestWorld world;
  const std::shared_ptr<Store> listening = world.open();
  const std::shared_ptr<Store> writing = world.open();
  Lifecycle lifecycle(listening->database("db"));
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("kv:*", listener.handler());
  Kv(writing->database("db")).set("the first commit of all", 1);
  EXPECT_EQ(listener.until_type("kv:set").size(), 1u);
}

TEST(LifecycleFailures, a_token_that_the_change_log_no_longer_reaches_is_reported) {
  TestWorld world;
  const std::shared_ptr<Store> store = world.open();
  Database database = store->database("db");
  Kv kv(database);
  kv.set("first", 1);
  const Bytes begin = Lifecycle(database).token();
  kv.set("missed", 1);
  database.compact(database.position().seq);
  std::promise<Code> code;
  LifecycleOptions options;
  options.after = begin;
  options.on_error = [&](const std::exception& error, bool is_last) {
    EXPECT_FALSE(is_last);
    code.set_value(dynamic_cast<const Error&>(error).code());
  };
  Lifecycle lifecycle(database, options);
  Listener listener;
  const LifecycleSubscription subscription = lifecycle.on("*", listener.handler());
  EXPECT_EQ(code.get_future().get(), Code::compacted);
  kv.set("end", 1);
  EXPECT_TRUE(listener.until_end().empty()) << "it goes on with what comes";
}

}  // namespace
}  // namespace holdfast
