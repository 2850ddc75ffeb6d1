#include "holdfast/records.h"

#include <algorithm>
#include <atomic>

#include "tests/services/service_test.h"

namespace holdfast {

struct Person {
  std::string name;
  int age = 0;
};

void to_json(nlohmann::json& json, const Person& person) {
  json = {{"name", person.name}, {"age", person.age}};
}
void from_json(const nlohmann::json& json, Person& person) {
  json.at("name").get_to(person.name);
  json.at("age").get_to(person.age);
}

namespace {

using std::chrono::milliseconds;
using Pairs = std::vector<std::pair<Bytes, Payload>>;

class RecordsTest : public ServiceTest {
 protected:
  Records records() { return Records(database()); }
  std::string text_of(View key) {
    const std::optional<Record> record = records().get(key);
    return record ? record->value.text() : "nothing";
  }
  std::vector<Bytes> keys_of(const RecordListOptions& options) {
    std::vector<Bytes> keys;
    for (const Record& record : records().list(options).items) keys.push_back(record.key);
    return keys;
  }
};

HOLDFAST_ON_EVERY_TARGET(RecordsTest);

TEST_P(RecordsTest, gives_back_what_was_put) {
  const Payload values[] = {Payload(nullptr),   Payload(0),
                            Payload(false),     Payload(""),
                            Payload("true"),    Payload::parse("{\"b\": 1.10, \"a\": [null]}"),
                            Payload::bytes(""), Payload::bytes(Bytes("\0\1\xff{", 4))};
  for (const Payload& value : values) {
    records().put("key", value);
    EXPECT_EQ(records().get("key")->value, value);
  }
}

TEST_P(RecordsTest, what_was_put_is_there_when_the_store_is_opened_again) {
  if (!outlives_process()) GTEST_SKIP() << "kept in memory";
  records().put("key", 1);
  records().put("key", 2);
  const Record before = *records().get("key");
  reopen();
  const Record after = *records().get("key");
  EXPECT_EQ(after.value, before.value);
  EXPECT_EQ(after.version, 2u);
  EXPECT_EQ(after.created_at_ms, before.created_at_ms);
}

TEST_P(RecordsTest, an_unknown_key_is_nothing) {
  EXPECT_FALSE(records().get("unknown"));
  EXPECT_FALSE(records().erase("unknown"));
  EXPECT_FALSE(records().erase("unknown", {.only_if_version = 1}));
}

TEST_P(RecordsTest, versions_of_a_key_count_from_one) {
  EXPECT_EQ(records().put("a", 1), 1u);
  EXPECT_EQ(records().put("a", 1), 2u);
  EXPECT_EQ(records().put("b", 1), 1u);
  EXPECT_EQ(records().put("a", 2), 3u);
  EXPECT_EQ(records().get("a")->version, 3u);
}

TEST_P(RecordsTest, an_erased_record_begins_again) {
  records().put("a", 1);
  records().put("a", 2);
  EXPECT_TRUE(records().erase("a"));
  EXPECT_FALSE(records().get("a"));
  advance(milliseconds(5));
  EXPECT_EQ(records().put("a", 3), 1u);
  EXPECT_EQ(records().get("a")->created_at_ms, clock().now_ms());
}

TEST_P(RecordsTest, knows_when_it_was_created_and_updated) {
  const UnixMs begin_ms = clock().now_ms();
  records().put("a", 1);
  EXPECT_EQ(records().get("a")->created_at_ms, begin_ms);
  EXPECT_EQ(records().get("a")->updated_at_ms, begin_ms);
  advance(milliseconds(7));
  records().put("a", 2);
  EXPECT_EQ(records().get("a")->created_at_ms, begin_ms);
  EXPECT_EQ(records().get("a")->updated_at_ms, begin_ms + 7);
}

TEST_P(RecordsTest, every_byte_may_stand_in_a_key) {
  Bytes key;
  for (int i = 0; i < 256; ++i) key += static_cast<char>(i);
  records().put(key, 1);
  records().put(Bytes(1'024, '/'), 2);
  EXPECT_EQ(text_of(key), "1");
  EXPECT_EQ(text_of(Bytes(1'024, '/')), "2");
  EXPECT_EQ(records().list().items.size(), 2u);
}

TEST_P(RecordsTest, keys_out_of_their_limits_are_refused) {
  EXPECT_EQ(code_of([&] { records().put("", 1); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { records().get(Bytes(1'025, 'k')); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { Records(database(), "!records"); }), Code::invalid_argument);
}

TEST_P(RecordsTest, only_if_absent_puts_once) {
  EXPECT_EQ(records().put("a", 1, {.only_if_absent = true}), 1u);
  EXPECT_EQ(records().put("a", 2, {.only_if_absent = true}), std::nullopt);
  EXPECT_EQ(text_of("a"), "1");
}

TEST_P(RecordsTest, only_if_version_puts_on_what_was_read_and_nothing_newer) {
  records().put("a", 1);
  EXPECT_EQ(records().put("a", 2, {.only_if_version = 1}), 2u);
  EXPECT_EQ(records().put("a", 3, {.only_if_version = 1}), std::nullopt);
  EXPECT_EQ(records().put("unknown", 3, {.only_if_version = 1}), std::nullopt);
  EXPECT_EQ(records().put("unknown", 3, {.only_if_version = 0}), std::nullopt);
  EXPECT_EQ(text_of("a"), "2");
}

TEST_P(RecordsTest, only_if_version_erases_what_was_read_and_nothing_newer) {
  records().put("a", 1);
  records().put("a", 2);
  EXPECT_FALSE(records().erase("a", {.only_if_version = 1}));
  EXPECT_EQ(text_of("a"), "2");
  EXPECT_TRUE(records().erase("a", {.only_if_version = 2}));
  EXPECT_EQ(text_of("a"), "nothing");
}

TEST_P(RecordsTest, many_are_put_in_one_commit) {
  records().put("b", 0);
  const Seq before = database().position().seq;
  records().put_many(Pairs{{"a", 1}, {"b", 2}, {"c", 3}});
  EXPECT_EQ(database().position().seq, before + 1);
  EXPECT_EQ(records().get("a")->version, 1u);
  EXPECT_EQ(records().get("b")->version, 2u);
  EXPECT_EQ(text_of("c"), "3");
}

TEST_P(RecordsTest, many_are_put_all_or_none) {
  EXPECT_EQ(code_of([&] { records().put_many(Pairs{{"a", 1}, {"", 2}}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { records().put_many(Pairs(501, {"a", 1})); }), Code::invalid_argument);
  EXPECT_EQ(text_of("a"), "nothing");
}

TEST_P(RecordsTest, the_last_one_of_a_key_counts_in_put_many) {
  records().put_many(Pairs{{"a", Payload::bytes(Bytes(300'000, 'x'))}, {"b", 1}, {"a", 2}});
  EXPECT_EQ(text_of("a"), "2");
  EXPECT_EQ(records().get("a")->version, 1u);
  EXPECT_EQ(stored_entries(), 2u);
}

TEST_P(RecordsTest, sixteen_writers_of_one_record_lose_nothing) {
  const std::size_t each = many() / 20;
  in_threads(16, [&](std::size_t) {
    Records records = this->records();
    for (std::size_t i = 0; i < each; ++i) {
      database().transact([&](Transaction& transaction) {
        const std::optional<Record> record = records.get(transaction, "count");
        records.put(transaction, "count", record ? record->value.json().get<int>() + 1 : 1);
      });
    }
  });
  EXPECT_EQ(text_of("count"), std::to_string(16 * each));
  EXPECT_EQ(records().get("count")->version, 16 * each);
}

TEST_P(RecordsTest, of_sixteen_writers_on_one_version_one_wins) {
  records().put("a", 0);
  for (std::uint64_t version = 1; version <= 5; ++version) {
    std::atomic<int> winners = 0;
    in_threads(16, [&](std::size_t thread) {
      if (records().put("a", thread, {.only_if_version = version})) ++winners;
    });
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(records().get("a")->version, version + 1);
  }
}

TEST_P(RecordsTest, list_gives_what_starts_with_a_prefix_in_byte_order) {
  for (const View key : {"users", "user/2", "user-1", "user/1", "use", "\xff"}) records().put(key, 1);
  EXPECT_EQ(keys_of({.prefix = "user"}), (std::vector<Bytes>{"user-1", "user/1", "user/2", "users"}));
}

TEST_P(RecordsTest, a_list_counts_what_its_filter_lets_through) {
  const std::size_t count = many();
  Pairs pairs;
  for (std::size_t i = 0; i < count; ++i) {
    pairs.emplace_back(std::to_string(10'000 + i), i);
    if (pairs.size() < 500 && i + 1 < count) continue;
    records().put_many(pairs);
    pairs.clear();
  }
  for (const bool reverse : {false, true}) {
    std::vector<Bytes> keys;
    RecordListOptions options{
        .filter = [](const Record& record) { return record.value.json().get<int>() % 7 == 0; },
        .limit = 5,
        .reverse = reverse};
    do {
      const Listing<Record> page = records().list(options);
      EXPECT_TRUE(page.items.size() == 5 || page.cursor.empty());
      for (const Record& record : page.items) keys.push_back(record.key);
      options.cursor = page.cursor;
    } while (!options.cursor.empty());
    EXPECT_EQ(keys.size(), (count + 6) / 7);
    EXPECT_TRUE(reverse ? std::is_sorted(keys.rbegin(), keys.rend())
                        : std::is_sorted(keys.begin(), keys.end()));
  }
}

TEST_P(RecordsTest, a_filter_sees_the_whole_record) {
  records().put("a", 1);
  advance(milliseconds(10));
  const UnixMs since_ms = clock().now_ms();
  records().put("b", 1);
  records().put("c", 1);
  records().put("c", 2);
  EXPECT_EQ(keys_of({.filter = [&](const Record& record) { return record.updated_at_ms >= since_ms; }}),
            (std::vector<Bytes>{"b", "c"}));
  EXPECT_EQ(keys_of({.filter = [](const Record& record) { return record.version == 2; }}),
            (std::vector<Bytes>{"c"}));
  EXPECT_EQ(keys_of({.filter = [](const Record& record) { return record.key > "a"; }, .limit = 1}),
            (std::vector<Bytes>{"b"}));
}

TEST_P(RecordsTest, a_list_refuses_a_cursor_it_never_gave_and_a_limit_out_of_bounds) {
  EXPECT_EQ(code_of([&] { records().list({.cursor = "no cursor"}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { records().list({.limit = 0}); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { records().list({.limit = 1'001}); }), Code::invalid_argument);
}

TEST_P(RecordsTest, what_a_filter_throws_reaches_the_caller) {
  records().put("a", 1);
  EXPECT_THROW(records().list({.filter = [](const Record&) -> bool { throw std::runtime_error("no"); }}),
               std::runtime_error);
}

TEST_P(RecordsTest, services_with_other_prefixes_do_not_see_one_another) {
  Records other(database(), "records2");
  records().put("key", 1);
  EXPECT_FALSE(other.get("key"));
  EXPECT_TRUE(other.list().items.empty());
}

TEST_P(RecordsTest, large_values_are_kept_and_replaced_without_a_trace) {
  const Payload large = Payload(Bytes(3'000'000, 'x'));
  records().put("key", large);
  EXPECT_EQ(records().get("key")->value, large);
  EXPECT_EQ(records().list().items.at(0).value, large);
  EXPECT_EQ(records().put("key", 1), 2u);
  EXPECT_EQ(stored_entries(), 1u);
  records().put("key", large);
  EXPECT_TRUE(records().erase("key"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(RecordsTest, a_large_record_whose_bytes_are_missing_is_damage) {
  records().put("key", Payload(Bytes(300'000, 'x')));
  const Bytes text = database().get("records/record/key")->value;
  records().erase("key");
  database().put("records/record/key", text);
  EXPECT_EQ(code_of([&] { records().get("key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { records().list(); }), Code::corruption);
}

TEST_P(RecordsTest, a_value_above_the_limit_is_refused) {
  EXPECT_EQ(code_of([&] { records().put("key", Payload::bytes(Bytes((64u << 20) + 1, 'x'))); }),
            Code::invalid_argument);
}

TEST_P(RecordsTest, changes_in_a_transaction_are_one_commit_or_none) {
  records().put("b", 1);
  database().transact([&](Transaction& transaction) {
    Records records = this->records();
    EXPECT_EQ(records.put(transaction, "a", Payload(Bytes(300'000, 'x'))), 1u);
    EXPECT_EQ(records.put(transaction, "a", Payload(Bytes(300'000, 'y'))), 2u);
    records.put_many(transaction, Pairs{{"c", 1}, {"d", 2}});
    EXPECT_TRUE(records.erase(transaction, "b"));
    EXPECT_FALSE(records.erase(transaction, "b"));
    EXPECT_EQ(records.get(transaction, "a")->value.text().at(1), 'y');
    EXPECT_TRUE(this->records().get("b")) << "not before the commit";
  });
  EXPECT_EQ(keys_of({}), (std::vector<Bytes>{"a", "c", "d"}));
  EXPECT_EQ(records().get("a")->version, 2u);
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    records().erase(transaction, "a");
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(records().get("a")->value.size_bytes(), 300'002u);
}

TEST_P(RecordsTest, a_typed_view_reads_and_writes_values_of_a_type) {
  TypedRecords<Person> people = records().typed<Person>();
  EXPECT_EQ(people.put("ada", {"Ada", 36}), 1u);
  people.put_many(std::vector<std::pair<Bytes, Person>>{{"bob", {"Bob", 5}}, {"eve", {"Eve", 40}}});
  EXPECT_EQ(people.get("ada")->value.name, "Ada");
  EXPECT_EQ(people.get("ada")->version, 1u);
  EXPECT_FALSE(people.get("unknown"));
  EXPECT_EQ(text_of("bob"), R"({"age":5,"name":"Bob"})");
  const auto adults =
      people.list({.filter = [](const TypedRecord<Person>& person) { return person.value.age > 17; }});
  ASSERT_EQ(adults.items.size(), 2u);
  EXPECT_EQ(adults.items[0].value.name, "Ada");
  EXPECT_EQ(adults.items[1].value.name, "Eve");
  EXPECT_TRUE(people.erase("eve"));
  database().transact([&](Transaction& transaction) {
    Person ada = people.get(transaction, "ada")->value;
    ++ada.age;
    people.put(transaction, "ada", ada, {.only_if_version = 1});
  });
  EXPECT_EQ(people.get("ada")->value.age, 37);
}

TEST_P(RecordsTest, a_typed_view_refuses_records_of_another_form) {
  records().put("number", 7);
  records().put("bytes", Payload::bytes("raw"));
  const TypedRecords<Person> people = records().typed<Person>();
  EXPECT_EQ(code_of([&] { people.get("number"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { people.get("bytes"); }), Code::invalid_argument);
  EXPECT_EQ(code_of([&] { people.list(); }), Code::invalid_argument);
}

TEST_P(RecordsTest, a_page_of_many_ends_by_bytes_and_is_complete_in_all) {
  std::vector<Bytes> keys;
  for (int i = 0; i < 4; ++i) keys.push_back("key " + std::to_string(i));
  for (const Bytes& key : keys) {
    if (key != keys[1]) records().put(key, Payload(Bytes(5'000'000, 'x')));
  }
  const auto page = records().get_page(keys);
  ASSERT_EQ(page.size(), 3u);
  EXPECT_EQ(page[0]->key, keys[0]);
  EXPECT_EQ(page[0]->version, 1u);
  EXPECT_FALSE(page[1]);
  EXPECT_EQ(page[2]->value.size_bytes(), 5'000'002u);
  EXPECT_EQ(records().get_page(std::span(keys).subspan(3)).size(), 1u);
}

}  // namespace
}  // namespace holdfast
