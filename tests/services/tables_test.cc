// What the tables service does beyond the cases that PikoDB is tested with: its hazards Z1 to Z15, each
// repaired; versions and conditions, transactions, expiry to the millisecond, the order of a table, erased
// tables.
#include <atomic>
#include <limits>
#include <stdexcept>

#include "tests/services/tables_fixture.h"

namespace holdfast {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;

class TablesTest : public TablesFixture {
 protected:
  std::size_t changes_of(const std::function<void()>& call) {
    const Position before = database().position();
    call();
    return database().changes(before, Range::all()).items.size();
  }
};
HOLDFAST_ON_EVERY_TARGET(TablesTest);

// ---- The hazards

TEST_P(TablesTest, z01_what_is_stored_is_what_was_given_at_the_write) {
  json value{{"a", 1}};
  tables().write("t", "key", value);
  value["a"] = 2;
  std::optional<TableRecord> read = tables().get("t", "key");
  read->value = Payload(3);
  EXPECT_EQ(text_of("t", "key"), "{\"a\":1}");
  restart();
  EXPECT_EQ(text_of("t", "key"), "{\"a\":1}");
}

TEST_P(TablesTest, z01_the_text_of_a_value_is_not_retyped) {
  for (const std::string text : {"1.10", "1e2", "-0", "12345678901234567890123", "\"\\u0041\"",
                                 "{\"b\":1,\"a\":2,\"b\":3}", "\"\\ud800\"", "\"true\""}) {
    tables().write("t", "key", Payload::parse(text));
    EXPECT_EQ(text_of("t", "key"), text);
  }
}

TEST_P(TablesTest, z02_a_write_as_the_first_thing_of_a_session_keeps_what_is_there) {
  tables().write("t", "old", 1);
  restart();
  tables().write("t", "new", 2);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"old", "1"}, {"new", "2"}}));
}

TEST_P(TablesTest, z03_a_damaged_record_is_an_error_and_is_not_overwritten_by_reading) {
  tables().write("t", "damaged", 1);
  tables().write("t", "sound", 2);
  database().put("tables/row/t/damaged", "{\"v\":1,\"t\":");
  EXPECT_EQ(code_of([&] { tables().get("t", "damaged"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { tables().get("t"); }), Code::corruption);
  EXPECT_EQ(text_of("t", "sound"), "2");
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
  EXPECT_EQ(database().get("tables/row/t/damaged")->value, "{\"v\":1,\"t\":");
}

TEST_P(TablesTest, z04_a_write_that_fails_leaves_nothing) {
  const auto write_and_fail = [&] {
    database().transact([&](Transaction& transaction) {
      tables().write(transaction, "t", "key", 1);
      EXPECT_TRUE(tables().get(transaction, "t", "key"));
      throw std::runtime_error("no");
    });
  };
  EXPECT_THROW(write_and_fail(), std::runtime_error);
  EXPECT_FALSE(tables().get("t", "key"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesTest, z05_what_an_interrupted_write_leaves_is_no_table) {
  const auto write_and_fail = [&] {
    database().transact([&](Transaction& transaction) {
      tables().write(transaction, "t", "key", std::string(600'000, 'x'));
      throw std::runtime_error("no");
    });
  };
  EXPECT_THROW(write_and_fail(), std::runtime_error);
  EXPECT_TRUE(names().empty());
  advance(hours(25));
  store()->sweep();
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesTest, z06_tables_may_be_named_like_temporary_files) {
  const std::vector<Bytes> given = {"users.tmp", "users.tmp.1700000000000.abc123", "x.lock"};
  for (const Bytes& name : given) tables().write(name, "key", name);
  restart();
  EXPECT_EQ(names(), given);
  for (const Bytes& name : given) EXPECT_EQ(text_of(name, "key"), "\"" + name + "\"");
}

TEST_P(TablesTest, z07_reading_creates_nothing) {
  tables().get("t", "key");
  tables().get("t");
  tables().list("t");
  tables().table_size("t");
  tables().erase("t", "key");
  tables().cleanup_expired("t");
  tables().cleanup_all_expired();
  tables().erase_table("t");
  tables().list_tables();
  tables().list_dictionaries();
  tables().get_dictionary("d");
  tables().remove_dictionary("d");
  EXPECT_EQ(database().position(), Position());
}

TEST_P(TablesTest, z08_what_was_answered_is_there_without_a_close) {
  tables().write("t", "key", 1);
  // The first store stays open, so that no close can have written anything.
  const std::shared_ptr<Store> other = GetParam().shared ? open() : store();
  const std::optional<TableRecord> record = Tables(other->database("app")).get("t", "key");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->value.text(), "1");
}

TEST_P(TablesTest, z09_sixteen_writers_of_one_table_lose_nothing) {
  const std::size_t each = many() / 20;
  in_threads(16, [&](std::size_t thread) {
    for (std::size_t i = 0; i < each; ++i) {
      tables().write("t", std::to_string(thread) + "/" + std::to_string(i), i);
      tables().write("t", "shared", i);
    }
  });
  restart();
  EXPECT_EQ(tables().table_size("t"), 16 * each + 1);
  EXPECT_EQ(tables().get("t", "shared")->version, 16 * each);
}

TEST_P(TablesTest, z09_erasing_a_table_at_once_with_writes_leaves_it_whole_or_gone) {
  in_threads(4, [&](std::size_t thread) {
    for (std::size_t i = 0; i < many() / 20; ++i) {
      if (thread == 0) {
        tables().erase_table("t");
      } else {
        tables().write("t", std::to_string(thread), i);
      }
    }
  });
  tables().erase_table("t");
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesTest, z10_names_and_keys_of_every_accepted_length_are_stored_and_given_back) {
  Bytes name;
  for (int i = 0; i < 255; ++i) name += "表";
  Bytes key;
  for (int i = 0; i < 1'023; ++i) key += "鍵";
  tables().write(name, key + "a", 1);
  tables().write(name, key + "b", 2);
  tables().write(name, Bytes(1'024, '~'), 3);
  EXPECT_EQ(names(), (std::vector<Bytes>{name}));
  EXPECT_EQ(text_of(name, key + "a"), "1");
  EXPECT_EQ(text_of(name, key + "b"), "2");
  EXPECT_EQ(pairs_of(name), (Pairs{{key + "a", "1"}, {key + "b", "2"}, {Bytes(1'024, '~'), "3"}}));
  EXPECT_EQ(tables().list(name).items.size(), 3u);
  EXPECT_TRUE(tables().erase(name, key + "a"));
  EXPECT_FALSE(tables().get(name, key + "a"));
  EXPECT_TRUE(tables().get(name, key + "b"));
}

TEST_P(TablesTest, z10_lengths_are_counted_in_utf16_units) {
  Bytes emoji;
  for (int i = 0; i < 512; ++i) emoji += "😀";
  EXPECT_EQ(tables().write("t", emoji, 1), 1u);
  EXPECT_EQ(text_of("t", emoji), "1");
  EXPECT_EQ(message_of([&] { tables().write("t", emoji + "😀", 1); }), "Key must not exceed 1024 characters");
}

TEST_P(TablesTest, z11_an_entry_of_an_unknown_layout_is_refused) {
  tables().write("t", "key", 1);
  database().put("tables/table/t", "{\"format\":99}");
  EXPECT_EQ(code_of([&] { tables().get("t", "key"); }), Code::corruption);
  EXPECT_EQ(code_of([&] { tables().write("t", "key", 2); }), Code::corruption);
}

TEST_P(TablesTest, z12_a_dictionary_is_in_the_database) {
  tables().add_dictionary("d", deflate({{"sensor", "s"}}));
  tables().write("t", "key", json{{"sensor", 1}}, {.dictionary = "d"});
  restart();
  EXPECT_EQ(tables().get_dictionary("d"), deflate({{"sensor", "s"}}));
  EXPECT_EQ(text_of("t", "key"), "{\"sensor\":1}");
  EXPECT_EQ(tables().write("t", "other", json{{"sensor", 2}}, {.dictionary = "d"}), 1u);
}

TEST_P(TablesTest, z12_records_outlive_the_name_of_their_dictionary) {
  tables().add_dictionary("d", deflate({{"sensor", "s"}}));
  tables().write("t", "first", json{{"sensor", 1}}, {.dictionary = "d"});
  tables().add_dictionary("d", deflate({{"other", "s"}}));
  tables().write("t", "second", json{{"other", 2}}, {.dictionary = "d"});
  EXPECT_TRUE(tables().remove_dictionary("d"));
  restart();
  EXPECT_FALSE(tables().get_dictionary("d"));
  EXPECT_EQ(pairs_of("t"), (Pairs{{"first", "{\"sensor\":1}"}, {"second", "{\"other\":2}"}}));
}

TEST_P(TablesTest, z12_adding_an_equal_dictionary_changes_nothing) {
  tables().add_dictionary("d", deflate({{"sensor", "s"}, {"value", "v"}}));
  EXPECT_EQ(changes_of([&] { tables().add_dictionary("d", inflate({{"v", "value"}, {"s", "sensor"}})); }),
            0u);
}

TEST_P(TablesTest, z12_maps_that_are_not_one_to_one_are_refused) {
  const auto why = [&](const TableDictionary& dictionary) {
    return message_of([&] { tables().add_dictionary("d", dictionary); });
  };
  const std::string not_one_to_one = "Dictionary must be one-to-one: two names are mapped to the same name";
  EXPECT_EQ(why(deflate({{"a", "x"}, {"b", "x"}})), not_one_to_one);
  EXPECT_EQ(why(inflate({{"x", "a"}, {"y", "a"}})), not_one_to_one);
  EXPECT_EQ(why(deflate({{"a", ""}})), "Dictionary names must not be empty");
  EXPECT_EQ(why(deflate({{"", "a"}})), "Dictionary names must not be empty");
  EXPECT_EQ(why(deflate({{"a", "\xff"}})), "Dictionary names must be strings");
  EXPECT_NE(why(deflate({{"a", "~a"}})), "no error");
  EXPECT_TRUE(tables().list_dictionaries().items.empty());
}

TEST_P(TablesTest, z12_members_that_look_like_short_names_come_back_as_they_were) {
  tables().add_dictionary("d", deflate({{"sensor", "s"}, {"temperature", "t"}, {"a", "b"}, {"b", "a"}}));
  for (const std::string text :
       {"{\"sensor\":1,\"s\":2}", "{\"s\":2,\"sensor\":1}", "{\"s\":5}", "{\"~s\":1,\"~~s\":2,\"~\":3}",
        "{\"a\":1,\"b\":2}", "{\"constructor\":1,\"toString\":2,\"__proto__\":3}", "{\"1\":1,\"0\":2}",
        "{\"\":0,\"s\\u0065nsor\":1}", "{\"sensor\":1,\"sensor\":2}", "[{\"t\":{\"s\":\"sensor\"}}]"}) {
    tables().write("t", "key", Payload::parse(text), {.dictionary = "d"});
    EXPECT_EQ(text_of("t", "key"), text);
  }
}

TEST_P(TablesTest, z13_absent_is_an_answer_and_failure_is_an_error) {
  EXPECT_FALSE(tables().get("t", "key"));
  EXPECT_TRUE(tables().get("t").empty());
  Tables held = tables();
  store()->close();
  EXPECT_EQ(code_of([&] { held.get("t", "key"); }), Code::closed);
  EXPECT_EQ(code_of([&] { held.get("t"); }), Code::closed);
  EXPECT_EQ(code_of([&] { held.table_size("t"); }), Code::closed);
  EXPECT_EQ(code_of([&] { held.erase("t", "key"); }), Code::closed);
}

TEST_P(TablesTest, z14_what_belongs_to_others_is_left_alone) {
  database().put("tablesque", "1");
  database().put("other/row/t/key", "2");
  Tables others(database(), "other tables");
  others.write("t", "key", 3);
  tables().write("t", "key", 4);
  tables().erase_table("t");
  tables().cleanup_all_expired();
  EXPECT_TRUE(database().get("tablesque"));
  EXPECT_TRUE(database().get("other/row/t/key"));
  EXPECT_EQ(others.get("t", "key")->value.text(), "3");
}

TEST_P(TablesTest, z15_a_write_changes_one_entry_however_large_the_table_is) {
  tables().write("t", "first", 1);
  for (std::size_t i = 0; i < many() / 10; ++i) tables().write("t", std::to_string(i), i);
  EXPECT_EQ(changes_of([&] { tables().write("t", "first", 2); }), 1u);
  EXPECT_EQ(changes_of([&] { tables().write("t", "new", 2); }), 1u);
  EXPECT_EQ(changes_of([&] { tables().erase("t", "new"); }), 1u);
}

// ---- Versions and conditions

TEST_P(TablesTest, versions_count_the_writes_of_a_record_from_1_on) {
  const UnixMs first_ms = now();
  EXPECT_EQ(tables().write("t", "key", 1), 1u);
  advance(milliseconds(7));
  EXPECT_EQ(tables().write("t", "key", 1), 2u);
  EXPECT_EQ(tables().write("t", "key", 1), 3u);
  EXPECT_EQ(tables().get("t", "key")->version, 3u);
  EXPECT_EQ(tables().get("t", "key")->written_at_ms, first_ms + 7);
  EXPECT_EQ(tables().write("t", "other", 1), 1u);
}

TEST_P(TablesTest, the_version_begins_again_after_an_erasure) {
  tables().write("t", "key", 1);
  tables().write("t", "key", 1);
  tables().erase("t", "key");
  EXPECT_EQ(tables().write("t", "key", 1), 1u);
}

TEST_P(TablesTest, a_write_over_an_expired_record_that_nobody_has_met_goes_on_counting) {
  tables().write("t", "first", 0);
  tables().write("t", "key", 1);
  tables().write("t", "key", 2, {.expires_at_ms = now() + 5});
  tables().write("t", "last", 0);
  advance(milliseconds(6));
  EXPECT_EQ(tables().write("t", "key", 3), 3u);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"first", "0"}, {"key", "3"}, {"last", "0"}})) << "and keeps its place";
}

TEST_P(TablesTest, the_version_begins_again_after_an_expired_record_was_cleaned_up) {
  const std::vector<std::pair<std::string, std::function<void()>>> cleanups = {
      {"get", [&] { EXPECT_FALSE(tables().get("t", "key")); }},
      {"whole table", [&] { EXPECT_TRUE(tables().get("t").empty()); }},
      {"size", [&] { EXPECT_EQ(tables().table_size("t"), 0u); }},
      {"erase", [&] { EXPECT_FALSE(tables().erase("t", "key")); }},
      {"cleanup", [&] { EXPECT_EQ(tables().cleanup_expired("t"), 1u); }},
      {"cleanup of all", [&] { EXPECT_EQ(tables().cleanup_all_expired(), 1u); }},
      {"cleanup in a transaction", [&] {
         database().transact([&](Transaction& t) { EXPECT_EQ(tables().cleanup_expired(t, "t", 10), 1u); });
       }}};
  for (const auto& [what, clean] : cleanups) {
    tables().write("t", "key", 1, {.expires_at_ms = now() + 5});
    EXPECT_EQ(tables().write("t", "key", 1, {.expires_at_ms = now() + 5}), 2u) << what;
    advance(milliseconds(6));
    clean();
    EXPECT_EQ(tables().write("t", "key", 1), 1u) << what;
    tables().erase("t", "key");
  }
}

TEST_P(TablesTest, a_conditional_write_needs_the_version_that_was_read) {
  EXPECT_EQ(tables().write_if("t", "key", 1, "a"), std::nullopt);
  EXPECT_EQ(tables().write_if("t", "key", 0, "a"), 1u);
  EXPECT_EQ(tables().write_if("t", "key", 0, "b"), std::nullopt);
  EXPECT_EQ(tables().write_if("t", "key", 2, "b"), std::nullopt);
  EXPECT_EQ(tables().write_if("t", "key", 1, "b"), 2u);
  EXPECT_EQ(text_of("t", "key"), "\"b\"");
}

TEST_P(TablesTest, a_conditional_write_takes_an_expired_record_for_none) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 5});
  advance(milliseconds(6));
  EXPECT_EQ(tables().write_if("t", "key", 1, 2), std::nullopt);
  EXPECT_EQ(tables().write_if("t", "key", 0, 2), 2u) << "nobody has met the expired one: the count goes on";
}

TEST_P(TablesTest, of_sixteen_writers_under_one_condition_one_wins) {
  tables().write("t", "key", "start");
  std::atomic<int> winners{0};
  in_threads(16, [&](std::size_t thread) {
    if (tables().write_if("t", "key", 1, thread)) ++winners;
  });
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(tables().get("t", "key")->version, 2u);
}

TEST_P(TablesTest, a_conditional_erasure_needs_the_version_that_was_read) {
  tables().write("t", "key", 1);
  EXPECT_FALSE(tables().erase_if("t", "key", 2));
  EXPECT_FALSE(tables().erase_if("t", "key", 0));
  EXPECT_TRUE(tables().erase_if("t", "key", 1));
  EXPECT_FALSE(tables().erase_if("t", "key", 1));
}

// ---- Expiry

TEST_P(TablesTest, a_record_is_there_at_the_millisecond_of_its_expiry_and_gone_after_it) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 10});
  advance(milliseconds(10));
  EXPECT_EQ(text_of("t", "key"), "1");
  EXPECT_EQ(tables().table_size("t"), 1u);
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
  advance(milliseconds(1));
  EXPECT_EQ(tables().cleanup_expired("t"), 1u);
  EXPECT_EQ(text_of("t", "key"), "nothing");
}

TEST_P(TablesTest, zero_and_the_end_of_time_mean_never) {
  for (const UnixMs never : {UnixMs{0}, std::numeric_limits<UnixMs>::max()}) {
    tables().write("t", "key", 1, {.expires_at_ms = never});
    EXPECT_FALSE(tables().get("t", "key")->expires_at_ms);
  }
}

TEST_P(TablesTest, a_negative_expiry_has_passed) {
  for (const UnixMs past : {UnixMs{-1}, std::numeric_limits<UnixMs>::min()}) {
    tables().write("t", "key", 1, {.expires_at_ms = past});
    EXPECT_FALSE(tables().get("t", "key"));
  }
}

TEST_P(TablesTest, a_write_that_names_no_expiry_ends_it) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 5});
  tables().write("t", "key", 2);
  advance(hours(1));
  EXPECT_EQ(text_of("t", "key"), "2");
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
}

TEST_P(TablesTest, the_sweeper_leaves_nothing_of_an_expired_record_after_a_day) {
  tables().write("t", "key", std::string(300'000, 'x'), {.expires_at_ms = now() + 5});
  advance(milliseconds(6));
  store()->sweep();
  EXPECT_EQ(stored_entries(), 2u) << "the table and the mark";
  advance(hours(24));
  store()->sweep();
  EXPECT_EQ(stored_entries(), 1u) << "the table";
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
}

TEST_P(TablesTest, a_read_in_a_transaction_cleans_nothing_up) {
  tables().write("t", "key", 1, {.expires_at_ms = now() - 1});
  const std::size_t changes = changes_of([&] {
    database().transact([&](Transaction& transaction) {
      EXPECT_FALSE(tables().get(transaction, "t", "key"));
      EXPECT_TRUE(tables().get(transaction, "t").empty());
    });
  });
  EXPECT_EQ(changes, 0u);
}

TEST_P(TablesTest, a_cleanup_in_a_transaction_removes_no_more_than_it_is_told) {
  for (int i = 0; i < 5; ++i) tables().write("t", std::to_string(i), i, {.expires_at_ms = now() - 1});
  EXPECT_EQ(database().transact([&](Transaction& t) { return tables().cleanup_expired(t, "t", 3); }), 3u);
  EXPECT_EQ(tables().cleanup_expired("t"), 2u);
}

// ---- The order of a table, and lists

TEST_P(TablesTest, a_whole_table_is_in_the_order_of_insertion) {
  for (const View key : {"z", "m", "a", "k"}) tables().write("t", key, 1);
  tables().write("t", "m", 2);
  tables().erase("t", "a");
  tables().write("t", "a", 3);
  restart();
  tables().write("t", "b", 4);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"z", "1"}, {"m", "2"}, {"k", "1"}, {"a", "3"}, {"b", "4"}}));
}

TEST_P(TablesTest, records_of_one_transaction_are_in_the_order_of_its_writes) {
  database().transact([&](Transaction& transaction) {
    Tables handle = tables();
    for (const View key : {"z", "m", "a", "k"}) handle.write(transaction, "t", key, 1);
  });
  EXPECT_EQ(pairs_of("t"), (Pairs{{"z", "1"}, {"m", "1"}, {"a", "1"}, {"k", "1"}}));
}

TEST_P(TablesTest, a_copy_of_a_table_in_another_database_keeps_its_order_for_what_is_inserted_then) {
  for (int i = 9; i >= 0; --i) tables().write("t", std::to_string(i), i, {.expires_at_ms = now() + 5});
  for (int i = 0; i < 10; ++i) tables().write("t", "c", i);
  Database copy = store()->database("copy");
  copy.transact([&](Transaction& transaction) {
    for (const Entry& entry : database().scan(Range::all()).entries) {
      transaction.put(entry.key, entry.value, entry.expires_at_ms);
    }
  });
  Tables copied(copy);
  copied.write("t", "b", 1);
  copied.write("t", "a", 1);
  std::string order;
  for (const TableRecord& record : copied.get("t")) order += record.key;
  EXPECT_EQ(order, "9876543210cba");
}

TEST_P(TablesTest, a_whole_table_of_more_than_one_page_is_complete) {
  if (!GetParam().cheap) GTEST_SKIP() << "commits are too dear";
  constexpr std::size_t kRecords = 12'000;
  Tables handle = tables();
  for (std::size_t i = 0; i < kRecords;) {
    database().transact([&](Transaction& transaction) {
      for (const std::size_t end = i + 500; i < end; ++i) {
        handle.write(transaction, "t", std::to_string(kRecords - i), i);
      }
    });
  }
  const std::vector<TableRecord> records = handle.get("t");
  ASSERT_EQ(records.size(), kRecords);
  for (std::size_t i = 0; i < kRecords; ++i) ASSERT_EQ(records[i].key, std::to_string(kRecords - i));
  EXPECT_EQ(handle.table_size("t"), kRecords);
  EXPECT_TRUE(handle.erase_table("t"));
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesTest, a_list_gives_records_by_key_page_by_page) {
  for (const View key : {"b", "d", "a", "c", "x/1", "x/2"}) tables().write("t", key, 1);
  tables().write("t", "bb", 1, {.expires_at_ms = now() - 1});
  std::string keys;
  ListOptions options{.limit = 2};
  int pages = 0;
  do {
    const Listing<TableRecord> page = tables().list("t", options);
    for (const TableRecord& record : page.items) keys += record.key + " ";
    options.cursor = page.cursor;
    ++pages;
  } while (!options.cursor.empty());
  EXPECT_EQ(keys, "a b c d x/1 x/2 ");
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(tables().list("t", {.prefix = "x/"}).items.size(), 2u);
  EXPECT_EQ(tables().list("t", {.reverse = true}).items.front().key, "x/2");
}

TEST_P(TablesTest, tables_and_dictionaries_are_listed_page_by_page) {
  for (const View name : {"b", "a", "c"}) {
    tables().write(name, "key", 1);
    tables().add_dictionary(name, deflate({{name == "a" ? "x" : "y", "z"}}));
  }
  tables().erase_table("b");
  const Listing<Bytes> first = tables().list_tables({.limit = 1});
  EXPECT_EQ(first.items, (std::vector<Bytes>{"a"}));
  EXPECT_EQ(tables().list_tables({.cursor = first.cursor}).items, (std::vector<Bytes>{"c"}));
  const Listing<Bytes> dictionaries = tables().list_dictionaries({.limit = 2});
  EXPECT_EQ(dictionaries.items, (std::vector<Bytes>{"a", "b"}));
  EXPECT_EQ(tables().list_dictionaries({.cursor = dictionaries.cursor}).items, (std::vector<Bytes>{"c"}));
}

// ---- Transactions, erased tables, large values, restored records

TEST_P(TablesTest, changes_of_one_transaction_are_one_commit) {
  tables().write("a", "key", 1);
  const Seq before = database().position().seq;
  database().transact([&](Transaction& transaction) {
    EXPECT_TRUE(tables().erase(transaction, "a", "key"));
    EXPECT_EQ(tables().write(transaction, "b", "key", 1), 1u);
    EXPECT_EQ(tables().write(transaction, "b", "key", 2), 2u);
    EXPECT_EQ(tables().write_if(transaction, "b", "key", 1, 3), std::nullopt);
    EXPECT_EQ(tables().get(transaction, "b").size(), 1u);
    tables().add_dictionary(transaction, "d", deflate({{"a", "b"}}));
    EXPECT_EQ(tables().write(transaction, "c", "key", json{{"a", 1}}, {.dictionary = "d"}), 1u);
    EXPECT_EQ(tables().get(transaction, "c", "key")->value.text(), "{\"a\":1}");
    transaction.put("other", "entry");
  });
  EXPECT_EQ(database().position().seq, before + 1);
  EXPECT_FALSE(tables().get("a", "key"));
  EXPECT_EQ(text_of("b", "key"), "2");
  EXPECT_EQ(text_of("c", "key"), "{\"a\":1}");
}

class TableForms : public TablesTest {
 protected:
  void SetUp() override {
    TablesTest::SetUp();
    tables().add_dictionary("old", deflate({{"a", "b"}}));
    for (const View key : {"to erase", "to erase too", "to restore", "newer"}) tables().write("t", key, 1);
    for (const View table : {"clean 1", "clean 2", "clean 3"}) {
      for (const View key : {"x", "y"}) tables().write(table, key, 1, {.expires_at_ms = now() - 1});
    }
    tables().write("to drop", "key", 1);
  }
  static TableRecord record(View key, std::uint64_t version, UnixMs written_at_ms) {
    return {.key = Bytes(key),
            .value = "restored",
            .version = version,
            .written_at_ms = written_at_ms,
            .expires_at_ms = {},
            .dictionary = {}};
  }
  /// Every form with a transaction, once.
  void change(Transaction& transaction) {
    const Tables tables = this->tables();
    EXPECT_EQ(tables.write(transaction, "t", "written", 1), 1u);
    EXPECT_EQ(tables.write_if(transaction, "t", "written", 1, 2), 2u);
    tables.restore(transaction, "t", record("to restore", 7, 100));
    EXPECT_TRUE(tables.restore_if_newer(transaction, "t", record("older", 8, 100)));
    EXPECT_FALSE(tables.restore_if_newer(transaction, "t", record("newer", 9, 100)));
    EXPECT_TRUE(tables.create_table(transaction, "made"));
    EXPECT_FALSE(tables.create_table(transaction, "t"));
    EXPECT_TRUE(tables.erase(transaction, "t", "to erase"));
    EXPECT_FALSE(tables.erase_if(transaction, "t", "to erase too", 2));
    EXPECT_TRUE(tables.erase_if(transaction, "t", "to erase too", 1));
    EXPECT_EQ(tables.cleanup_expired(transaction, "clean 1", 1), 1u);
    EXPECT_EQ(tables.cleanup_all_expired(transaction, 2), 2u)
        << "the other one of the first, one of the next";
    EXPECT_TRUE(tables.erase_table(transaction, "to drop"));
    tables.add_dictionary(transaction, "new", deflate({{"a", "c"}}));
    EXPECT_TRUE(tables.remove_dictionary(transaction, "old"));
    EXPECT_FALSE(tables.remove_dictionary(transaction, "none"));
  }
};

HOLDFAST_ON_EVERY_TARGET(TableForms);

TEST_P(TableForms, all_of_one_transaction_are_committed_together) {
  const Seq before = database().position().seq;
  database().transact([&](Transaction& transaction) { change(transaction); });
  EXPECT_EQ(database().position().seq, before + 1);
  EXPECT_EQ(
      pairs_of("t"),
      (Pairs{{"to restore", "\"restored\""}, {"newer", "1"}, {"written", "2"}, {"older", "\"restored\""}}));
  EXPECT_EQ(tables().get("t", "to restore")->version, 7u);
  EXPECT_EQ(tables().get("t", "older")->version, 8u);
  EXPECT_EQ(names(), (std::vector<Bytes>{"clean 1", "clean 2", "clean 3", "made", "t"}));
  EXPECT_EQ(tables().list_dictionaries().items, std::vector<Bytes>{"new"});
  EXPECT_EQ(tables().cleanup_all_expired(), 3u);
}

TEST_P(TableForms, a_transaction_that_is_thrown_away_leaves_nothing_of_them) {
  const Seq before = database().position().seq;
  EXPECT_THROW(database().transact([&](Transaction& transaction) {
    change(transaction);
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(database().position().seq, before);
  EXPECT_EQ(pairs_of("t"),
            (Pairs{{"to erase", "1"}, {"to erase too", "1"}, {"to restore", "1"}, {"newer", "1"}}));
  EXPECT_EQ(names(), (std::vector<Bytes>{"clean 1", "clean 2", "clean 3", "t", "to drop"}));
  EXPECT_EQ(tables().list_dictionaries().items, std::vector<Bytes>{"old"});
  EXPECT_EQ(tables().cleanup_all_expired(), 6u);
}

TEST_P(TableForms, a_cleanup_of_all_in_a_transaction_passes_over_erased_tables) {
  database().transact([&](Transaction& transaction) { tables().erase_table(transaction, "clean 2"); });
  EXPECT_EQ(database().transact([&](Transaction& t) { return tables().cleanup_all_expired(t); }), 4u);
  EXPECT_EQ(database().transact([&](Transaction& t) { return tables().cleanup_all_expired(t); }), 0u);
}

TEST_P(TablesTest, a_table_that_a_transaction_erases_is_gone_at_once_and_freed_by_a_cleanup) {
  for (const View key : {"a", "b", "c"}) tables().write("t", key, 1, {.expires_at_ms = now() + 1'000});
  EXPECT_TRUE(database().transact([&](Transaction& t) { return tables().erase_table(t, "t"); }));
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(tables().get("t").empty());
  EXPECT_TRUE(tables().list("t").items.empty());
  EXPECT_FALSE(tables().get("t", "a"));
  EXPECT_FALSE(tables().erase("t", "a"));
  EXPECT_EQ(tables().table_size("t"), 0u);
  EXPECT_EQ(tables().cleanup_all_expired(), 0u);
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesTest, a_table_that_is_written_after_it_was_erased_begins_anew) {
  tables().write("t", "a", 1, {.expires_at_ms = now() + 1'000});
  tables().write("t", "a", 1, {.expires_at_ms = now() + 1'000});
  tables().write("t", "b", 1);
  database().transact([&](Transaction& transaction) {
    tables().erase_table(transaction, "t");
    EXPECT_EQ(tables().write(transaction, "t", "a", 2), 1u);
  });
  EXPECT_EQ(pairs_of("t"), (Pairs{{"a", "2"}}));
  EXPECT_EQ(tables().list("t").items.size(), 1u);
  EXPECT_EQ(tables().table_size("t"), 1u);
  EXPECT_FALSE(tables().get("t", "b"));
  database().transact([&](Transaction& transaction) { tables().erase_table(transaction, "t"); });
  tables().write("t", "c", 3);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"c", "3"}}));
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
  EXPECT_EQ(stored_entries(), 2u) << "the table and its row";
  EXPECT_EQ(pairs_of("t"), (Pairs{{"c", "3"}}));
}

TEST_P(TablesTest, large_values_lie_beside_their_rows_and_go_with_them) {
  const Payload large(std::string(700'000, 'x'));
  tables().add_dictionary("d", deflate({{"sensor", "s"}}));
  const std::uint64_t before = stored_entries();
  tables().write("t", "a", large);
  tables().write("t", "b", json{{"sensor", std::string(700'000, 'y')}}, {.dictionary = "d"});
  EXPECT_EQ(tables().get("t", "a")->value, large);
  EXPECT_EQ(tables().get("t").size(), 2u);
  EXPECT_EQ(tables().list("t").items.at(1).value.json().at("sensor").get<std::string>().size(), 700'000u);
  tables().write("t", "a", 1);
  EXPECT_TRUE(tables().erase("t", "b"));
  EXPECT_EQ(stored_entries(), before + 2) << "the table and one row";
  tables().write("t", "a", large);
  tables().erase_table("t");
  EXPECT_EQ(stored_entries(), before);
}

TEST_P(TablesTest, a_restored_record_is_as_it_was) {
  tables().add_dictionary("d", deflate({{"sensor", "s"}}));
  const TableRecord record{"key", json{{"sensor", 1}}, 17, 1'600'000'000'000, now() + 1'000, "d"};
  tables().write("t", "first", 1);
  tables().restore("t", record);
  const std::optional<TableRecord> read = tables().get("t", "key");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->value, record.value);
  EXPECT_EQ(read->version, 17u);
  EXPECT_EQ(read->written_at_ms, 1'600'000'000'000);
  EXPECT_EQ(read->expires_at_ms, record.expires_at_ms);
  EXPECT_EQ(read->dictionary, "d");
  EXPECT_EQ(tables().write("t", "key", 1), 18u);
}

TEST_P(TablesTest, a_record_is_restored_over_an_older_one_only_if_that_is_asked_for) {
  const auto record = [](UnixMs written_at_ms) {
    return TableRecord{"key", written_at_ms, 1, written_at_ms, {}, {}};
  };
  EXPECT_TRUE(tables().restore_if_newer("t", record(10)));
  EXPECT_FALSE(tables().restore_if_newer("t", record(10)));
  EXPECT_FALSE(tables().restore_if_newer("t", record(9)));
  EXPECT_TRUE(tables().restore_if_newer("t", record(11)));
  EXPECT_EQ(text_of("t", "key"), "11");
  tables().restore("t", record(5));
  EXPECT_EQ(text_of("t", "key"), "5");
}

TEST_P(TablesTest, a_restored_record_needs_a_version) {
  EXPECT_EQ(code_of([&] { tables().restore("t", {"key", 1, 0, 1, {}, {}}); }), Code::invalid_argument);
}

}  // namespace
}  // namespace holdfast
