#include "holdfast/kv.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "tests/services/service_test.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

class KvTest : public ServiceTest {
 protected:
  Kv kv() { return Kv(database()); }
  std::string text_of(View key) {
    const std::optional<KvEntry> entry = kv().get(key);
    return entry ? entry->value.text() : "nothing";
  }
};

HOLDFAST_ON_EVERY_TARGET(KvTest);

TEST_P(KvTest, gives_back_what_was_set) {
  const Payload values[] = {Payload(nullptr),   Payload(0),
                            Payload(false),     Payload(""),
                            Payload("true"),    Payload::parse("{\"b\": 1.10, \"a\": [null]}"),
                            Payload::bytes(""), Payload::bytes(Bytes("\0\1\xff{", 4))};
  for (const Payload& value : values) {
    kv().set("key", value);
    EXPECT_EQ(kv().get("key")->value, value);
  }
}

TEST_P(KvTest, what_was_set_is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  kv().set("key", "value");
  reopen();
  EXPECT_EQ(text_of("key"), "\"value\"");
}

TEST_P(KvTest, an_unknown_key_is_nothing) {
  EXPECT_FALSE(kv().get("unknown"));
  EXPECT_FALSE(kv().erase("unknown"));
  EXPECT_FALSE(kv().expire("unknown", milliseconds(1)));
}

TEST_P(KvTest, every_byte_may_stand_in_a_key) {
  Bytes key;
  for (int i = 0; i < 256; ++i) key += static_cast<char>(i);
  kv().set(key, 1);
  kv().set(Bytes(1'024, '/'), 2);
  EXPECT_EQ(text_of(key), "1");
  EXPECT_EQ(text_of(Bytes(1'024, '/')), "2");
}

TEST_P(KvTest, keys_out_of_their_limits_are_refused) {
  EXPECT_EQ(code_of([&] { kv().set("", 1); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().get(Bytes(1'025, 'k')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { Kv(database(), "!kv"); }), Code::invalid_argument);
}

TEST_P(KvTest, an_entry_is_gone_at_the_millisecond_its_time_to_live_ends) {
  kv().set("session", 1, {.ttl = milliseconds(1'000)});
  EXPECT_EQ(kv().get("session")->expires_at_ms, clock().now_ms() + 1'000);
  advance(milliseconds(999));
  EXPECT_EQ(text_of("session"), "1");
  advance(milliseconds(1));
  EXPECT_EQ(text_of("session"), "nothing");
  EXPECT_TRUE(kv().set("session", 2, {.only_if_absent = true}));
}

TEST_P(KvTest, a_set_without_time_to_live_ends_the_expiry) {
  kv().set("key", 1, {.ttl = milliseconds(10)});
  kv().set("key", 2);
  advance(milliseconds(10));
  EXPECT_EQ(text_of("key"), "2");
}

TEST_P(KvTest, a_time_to_live_below_a_millisecond_is_refused) {
  EXPECT_EQ(code_of([&] { kv().set("key", 1, {.ttl = milliseconds(0)}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().set("key", 1, {.ttl = milliseconds(-1)}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().set("key", 1, {.ttl = milliseconds(INT64_MAX)}); }), Code::invalid_argument);
  EXPECT_EQ(text_of("key"), "nothing");
}

TEST_P(KvTest, expire_sets_and_ends_an_expiry_and_keeps_the_value) {
  kv().set("key", "value");
  EXPECT_TRUE(kv().expire("key", milliseconds(5)));
  EXPECT_TRUE(kv().expire("key", std::nullopt));
  advance(milliseconds(5));
  EXPECT_EQ(text_of("key"), "\"value\"");
  EXPECT_TRUE(kv().expire("key", milliseconds(5)));
  advance(milliseconds(5));
  EXPECT_EQ(text_of("key"), "nothing");
}

TEST_P(KvTest, only_if_absent_sets_once) {
  EXPECT_TRUE(kv().set("lock", "a", {.only_if_absent = true}));
  EXPECT_FALSE(kv().set("lock", "b", {.only_if_absent = true}));
  EXPECT_EQ(text_of("lock"), "\"a\"");
}

TEST_P(KvTest, only_if_version_sets_what_was_read_and_nothing_newer) {
  kv().set("key", 1);
  const Seq version = kv().get("key")->version;
  EXPECT_TRUE(kv().set("key", 2, {.only_if_version = version}));
  EXPECT_FALSE(kv().set("key", 3, {.only_if_version = version}));
  EXPECT_FALSE(kv().set("unknown", 3, {.only_if_version = version}));
  EXPECT_EQ(text_of("key"), "2");
}

TEST_P(KvTest, many_are_read_in_one_snapshot_and_in_the_order_asked_for) {
  kv().set_many(std::vector<std::pair<Bytes, Payload>>{{"a", 1}, {"b", 2}});
  const std::vector<Bytes> keys = {"b", "unknown", "a", "b"};
  const auto found = kv().get_many(keys);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]->value.text(), "2");
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(found[2]->value.text(), "1");
  EXPECT_EQ(found[3]->value.text(), "2");
}

TEST_P(KvTest, many_are_set_all_or_none) {
  const std::vector<std::pair<Bytes, Payload>> entries = {{"a", 1}, {"", 2}};
  EXPECT_EQ(code_of([&] { kv().set_many(entries); }), Code::invalid_argument);
  EXPECT_EQ(text_of("a"), "nothing");
}

TEST_P(KvTest, the_last_one_of_a_key_counts_in_set_many) {
  const std::vector<std::pair<Bytes, Payload>> entries = {{"a", Payload::bytes(Bytes(300'000, 'x'))},
                                                          {"a", Payload::bytes(Bytes(300'000, 'y'))}};
  kv().set_many(entries);
  EXPECT_EQ(kv().get("a")->value, entries[1].second);
  kv().erase("a");
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(KvTest, increment_begins_at_nothing_and_goes_both_ways) {
  EXPECT_EQ(kv().increment("count"), 1);
  EXPECT_EQ(kv().increment("count", -5), -4);
  EXPECT_EQ(text_of("count"), "-4");
}

TEST_P(KvTest, increment_keeps_the_expiry) {
  kv().set("count", 1, {.ttl = milliseconds(10)});
  kv().increment("count");
  advance(milliseconds(10));
  EXPECT_EQ(text_of("count"), "nothing");
}

TEST_P(KvTest, increment_refuses_what_is_no_whole_number_and_what_does_not_fit) {
  kv().set("text", "7");
  kv().set("half", 0.5);
  kv().set("most", std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(code_of([&] { kv().increment("text"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().increment("half"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().increment("most"); }), Code::invalid_argument);
  EXPECT_EQ(text_of("most"), "9223372036854775807");
}

TEST_P(KvTest, sixteen_writers_of_one_counter_lose_nothing) {
  const std::size_t each = many() / 20;
  in_threads(16, [&](std::size_t) {
    Kv kv = this->kv();
    for (std::size_t i = 0; i < each; ++i) kv.increment("count");
  });
  EXPECT_EQ(text_of("count"), std::to_string(16 * each));
}

TEST_P(KvTest, list_gives_what_starts_with_a_prefix_in_byte_order) {
  for (const View key : {"users", "user/2", "user-1", "user/1", "use", "\xff"}) kv().set(key, 1);
  std::vector<Bytes> keys;
  for (const KvEntry& entry : kv().list({.prefix = "user"}).items) keys.push_back(entry.key);
  EXPECT_EQ(keys, (std::vector<Bytes>{"user-1", "user/1", "user/2", "users"}));
}

TEST_P(KvTest, pages_of_a_list_are_complete_in_both_directions) {
  for (int i = 10; i < 35; ++i) kv().set(std::to_string(i), i);
  for (const bool reverse : {false, true}) {
    std::vector<Bytes> keys;
    ListOptions options{.limit = 7, .reverse = reverse};
    int pages = 0;
    do {
      const Listing<KvEntry> page = kv().list(options);
      for (const KvEntry& entry : page.items) keys.push_back(entry.key);
      options.cursor = page.cursor;
      ++pages;
    } while (!options.cursor.empty());
    EXPECT_EQ(pages, 4);
    ASSERT_EQ(keys.size(), 25u);
    EXPECT_EQ(keys.front(), reverse ? "34" : "10");
    EXPECT_TRUE(reverse ? std::is_sorted(keys.rbegin(), keys.rend())
                        : std::is_sorted(keys.begin(), keys.end()));
  }
}

TEST_P(KvTest, a_list_refuses_a_cursor_it_never_gave_and_a_limit_out_of_bounds) {
  EXPECT_EQ(code_of([&] { kv().list({.cursor = "no cursor"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().list({.limit = 0}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { kv().list({.limit = 1'001}); }), Code::invalid_argument);
}

TEST_P(KvTest, services_with_other_prefixes_do_not_see_one_another) {
  Kv other(database(), "kv2");
  kv().set("key", 1);
  EXPECT_FALSE(other.get("key"));
  EXPECT_TRUE(other.list().items.empty());
}

TEST_P(KvTest, large_values_are_kept_and_replaced_without_a_trace) {
  const Payload large = Payload(Bytes(3'000'000, 'x'));
  kv().set("key", large);
  EXPECT_EQ(kv().get("key")->value, large);
  EXPECT_EQ(kv().list().items.at(0).value, large);
  kv().set("key", 1);
  EXPECT_EQ(stored_entries(), 1u);
  kv().set("key", large);
  EXPECT_TRUE(kv().erase("key"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(KvTest, a_large_value_expires_with_its_entry) {
  kv().set("key", Payload(Bytes(300'000, 'x')), {.ttl = milliseconds(10)});
  kv().expire("key", milliseconds(20));
  advance(milliseconds(19));
  EXPECT_EQ(kv().get("key")->value.size_bytes(), 300'002u);
  advance(milliseconds(1));
  EXPECT_FALSE(kv().get("key"));
  store()->sweep();
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(KvTest, a_large_value_whose_bytes_are_missing_is_damage) {
  kv().set("key", Payload(Bytes(300'000, 'x')));
  const Bytes text = database().get("kv/key")->value;
  kv().erase("key");
  database().put("kv/key", text);
  const std::vector<Bytes> keys = {"key"};
  EXPECT_EQ(code_of([&] { kv().get("key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { kv().get_many(keys); }), Code::corruption);
  EXPECT_EQ(code_of([&] { kv().list(); }), Code::corruption);
  EXPECT_EQ(code_of([&] { database().transact([&](Transaction& t) { kv().get(t, "key"); }); }),
            Code::corruption);
  EXPECT_TRUE(kv().set("key", 1)) << "and can be set again";
}

TEST_P(KvTest, sixteen_writers_of_one_large_value_leave_one_and_nothing_else) {
  in_threads(16, [&](std::size_t thread) {
    for (int i = 0; i < 3; ++i) {
      kv().set("key", Payload::bytes(Bytes(300'000, static_cast<char>('a' + thread))));
    }
  });
  EXPECT_EQ(kv().get("key")->value.size_bytes(), 300'000u);
  EXPECT_EQ(stored_entries(), 3u) << "the entry, the description of its object, and one piece";
}

TEST_P(KvTest, of_sixteen_large_values_that_are_set_if_absent_one_stays_and_nothing_else) {
  std::atomic<int> set{0};
  in_threads(16, [&](std::size_t) {
    if (kv().set("key", Payload::bytes(Bytes(300'000, 'x')), {.only_if_absent = true})) ++set;
  });
  EXPECT_EQ(set, 1);
  EXPECT_EQ(stored_entries(), 3u);
}

TEST_P(KvTest, a_value_above_the_limit_is_refused) {
  EXPECT_EQ(code_of([&] { kv().set("key", Payload::bytes(Bytes((64u << 20) + 1, 'x'))); }),
            Code::invalid_argument);
}

TEST_P(KvTest, changes_in_a_transaction_are_one_commit_or_none) {
  kv().set("b", 1);
  database().transact([&](Transaction& transaction) {
    Kv kv = this->kv();
    kv.set(transaction, "a", Payload(Bytes(300'000, 'x')));
    kv.set(transaction, "a", Payload(Bytes(300'000, 'y')));
    kv.erase(transaction, "b");
    EXPECT_EQ(kv.increment(transaction, "count"), 1);
    EXPECT_EQ(kv.increment(transaction, "count"), 2);
    EXPECT_EQ(kv.get(transaction, "a")->value.size_bytes(), 300'002u);
    EXPECT_TRUE(this->kv().get("b")) << "not before the commit";
  });
  EXPECT_EQ(text_of("count"), "2");
  EXPECT_FALSE(kv().get("b"));
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    kv().erase(transaction, "a");
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(kv().get("a")->value.size_bytes(), 300'002u);
}

class KvForms : public KvTest {
 protected:
  void SetUp() override {
    KvTest::SetUp();
    kv().set("to erase", 1);
    kv().set("to expire", 2);
    kv().set("count", 3);
  }
  /// Every form with a transaction, once.
  void change(Transaction& transaction) {
    const Kv kv = this->kv();
    EXPECT_TRUE(kv.set(transaction, "set", "small"));
    const std::pair<Bytes, Payload> many[] = {{"one of many", 1}, {"large", Payload(Bytes(300'000, 'x'))}};
    kv.set_many(transaction, many);
    EXPECT_TRUE(kv.erase(transaction, "to erase"));
    EXPECT_EQ(kv.increment(transaction, "count", 4), 7);
    EXPECT_TRUE(kv.expire(transaction, "to expire", std::chrono::milliseconds(500)));
    EXPECT_FALSE(kv.expire(transaction, "none", std::chrono::milliseconds(500)));
    EXPECT_TRUE(kv.get(transaction, "large"));
  }
};

HOLDFAST_ON_EVERY_TARGET(KvForms);

TEST_P(KvForms, all_of_one_transaction_are_committed_together) {
  database().transact([&](Transaction& transaction) { change(transaction); });
  const Seq last = database().position().seq;
  for (const View key : {"set", "one of many", "large", "count", "to expire"}) {
    EXPECT_EQ(kv().get(key)->version, last) << key;
  }
  EXPECT_EQ(text_of("set"), "\"small\"");
  EXPECT_EQ(text_of("one of many"), "1");
  EXPECT_EQ(kv().get("large")->value.size_bytes(), 300'002u);
  EXPECT_FALSE(kv().get("to erase"));
  EXPECT_EQ(text_of("count"), "7");
  EXPECT_EQ(kv().get("to expire")->expires_at_ms, clock().now_ms() + 500);
}

TEST_P(KvForms, a_transaction_that_is_thrown_away_leaves_nothing_of_them) {
  const std::uint64_t before = stored_entries();
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    change(transaction);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  advance(std::chrono::hours(25));
  store()->sweep();
  EXPECT_EQ(stored_entries(), before) << "what was uploaded is gone a day later";
  EXPECT_EQ(kv().list().items.size(), 3u);
  EXPECT_EQ(text_of("to erase"), "1");
  EXPECT_EQ(text_of("count"), "3");
  EXPECT_FALSE(kv().get("to expire")->expires_at_ms);
}

TEST_P(KvTest, a_page_of_many_ends_by_bytes_and_is_complete_in_all) {
  std::vector<Bytes> keys;
  for (int i = 0; i < 6; ++i) {
    keys.push_back("key " + std::to_string(i));
    if (i != 1) kv().set(keys.back(), Payload(Bytes(3'000'000, static_cast<char>('a' + i))));
  }
  std::size_t done = 0;
  std::vector<std::size_t> pages;
  while (done < keys.size()) {
    const auto page = kv().get_page(std::span(keys).subspan(done));
    ASSERT_FALSE(page.empty());
    for (const auto& entry : page) {
      EXPECT_EQ(entry.has_value(), done != 1);
      EXPECT_EQ(entry ? entry->value : Payload(), kv().get(keys[done]).value_or(KvEntry{}).value);
      ++done;
    }
    pages.push_back(page.size());
  }
  EXPECT_EQ(pages, (std::vector<std::size_t>{4, 2}));
}

}  // namespace
}  // namespace holdfast
