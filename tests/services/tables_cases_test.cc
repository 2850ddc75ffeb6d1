// The cases 1 to 70 of those that PikoDB is tested with: the number of each is in its name. Where the
// original case speaks of a file, ours speaks of the entries of the database; where it looks at the clock of
// the machine, ours moves the clock.
#include <algorithm>
#include <atomic>
#include <set>

#include "tests/services/tables_fixture.h"

namespace holdfast {
namespace {

using nlohmann::json;
using std::chrono::hours;
using std::chrono::milliseconds;

class TablesCases : public TablesFixture {};
HOLDFAST_ON_EVERY_TARGET(TablesCases);

// ---- Initialization

TEST_P(TablesCases, case_001_a_database_is_there_once_it_was_opened) {
  EXPECT_EQ(tables().database().name(), "app");
  EXPECT_EQ(tables().database().position(), Position());
}

TEST_P(TablesCases, case_002_a_new_database_lists_no_tables) { EXPECT_TRUE(names().empty()); }

TEST_P(TablesCases, case_003_a_second_session_reads_what_the_first_wrote) {
  tables().write("users", "anna", json{{"age", 41}});
  restart();
  EXPECT_EQ(text_of("users", "anna"), "{\"age\":41}");
}

TEST_P(TablesCases, case_004_what_else_is_in_the_database_is_no_table) {
  database().put("notes.txt", "text");
  database().put(".hidden", "text");
  database().put("tables.tmp", "text");
  EXPECT_TRUE(names().empty());
}

// ---- Writing

TEST_P(TablesCases, case_005_an_object_is_written_and_read_back) {
  EXPECT_EQ(tables().write("users", "anna", json{{"name", "Anna"}, {"age", 41}}), 1u);
  EXPECT_EQ(tables().get("users", "anna")->value.json(), (json{{"name", "Anna"}, {"age", 41}}));
}

TEST_P(TablesCases, case_006_values_of_every_type_are_read_back) {
  const std::vector<std::string> texts = {"\"text\"", "42", "true", "[1,2,3]", "{\"a\":1}", "null"};
  for (const std::string& text : texts) tables().write("types", text, Payload::parse(text));
  for (const std::string& text : texts) EXPECT_EQ(text_of("types", text), text);
}

TEST_P(TablesCases, case_007_a_deeply_nested_object_is_read_back_a_date_being_its_text) {
  const std::string text =
      "{\"a\":{\"b\":{\"c\":{\"d\":[1,{\"e\":\"2024-01-01T00:00:00.000Z\"}]}}},\"f\":[[[[]]]]}";
  tables().write("nested", "key", Payload::parse(text));
  EXPECT_EQ(text_of("nested", "key"), text);
}

TEST_P(TablesCases, case_008_of_three_writes_to_a_key_the_last_is_read) {
  for (const int value : {1, 2, 3}) tables().write("t", "key", value);
  EXPECT_EQ(text_of("t", "key"), "3");
}

TEST_P(TablesCases, case_009_after_a_write_the_stored_entry_has_the_key_and_the_text_of_the_value) {
  tables().write("users", "anna", "some value");
  const Page page = database().scan(Range::prefix("tables/row/users/"));
  ASSERT_EQ(page.entries.size(), 1u);
  EXPECT_TRUE(page.entries[0].key.ends_with("/anna"));
  EXPECT_NE(page.entries[0].value.find("\"some value\""), Bytes::npos);
}

TEST_P(TablesCases, case_010_hundred_concurrent_writes_of_different_keys_are_all_readable) {
  in_threads(10, [this](std::size_t thread) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(tables().write("t", std::to_string(thread) + "-" + std::to_string(i), i), 1u);
    }
  });
  EXPECT_EQ(tables().get("t").size(), 100u);
}

TEST_P(TablesCases, case_011_fifty_concurrent_writes_to_fifty_tables_are_all_readable) {
  in_threads(10, [this](std::size_t thread) {
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(tables().write("table" + std::to_string(5 * thread + i), "key", i), 1u);
    }
  });
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(text_of("table" + std::to_string(i), "key"), std::to_string(i % 5));
  }
}

TEST_P(TablesCases, case_012_a_large_object_is_read_back) {
  json value{{"text", std::string(100'000, 'x')}, {"items", json::array()}};
  for (int i = 0; i < 1'000; ++i)
    value["items"].push_back({{"id", i}, {"nested", {{"deep", {{"value", i}}}}}});
  tables().write("t", "large", value);
  EXPECT_EQ(tables().get("t", "large")->value.json(), value);
}

TEST_P(TablesCases, case_013_empty_text_array_and_object_are_read_back) {
  for (const std::string text : {"\"\"", "[]", "{}"}) {
    tables().write("t", text, Payload::parse(text));
    EXPECT_EQ(text_of("t", text), text);
  }
}

TEST_P(TablesCases, case_014_keys_and_values_of_many_scripts_are_read_back) {
  for (const std::string key : {"ключ", "鍵", "مفتاح", "🔑🗝", "e\u0301"}) {
    tables().write("t", key, key + " \U0001F600");
    EXPECT_EQ(text_of("t", key), "\"" + key + " \U0001F600\"");
  }
  EXPECT_EQ(tables().table_size("t"), 5u);
}

// ---- Reading

TEST_P(TablesCases, case_015_an_existing_key_gives_its_value) {
  tables().write("t", "key", "value");
  EXPECT_EQ(text_of("t", "key"), "\"value\"");
}

TEST_P(TablesCases, case_016_a_missing_key_gives_nothing) {
  tables().write("t", "key", "value");
  EXPECT_FALSE(tables().get("t", "other"));
  EXPECT_FALSE(tables().get("unknown", "key"));
}

TEST_P(TablesCases, case_017_a_whole_unknown_table_is_empty) { EXPECT_TRUE(tables().get("unknown").empty()); }

TEST_P(TablesCases, case_018_a_whole_table_gives_all_pairs) {
  tables().write("t", "b", 1);
  tables().write("t", "c", 2);
  tables().write("t", "a", 3);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "1"}, {"c", "2"}, {"a", "3"}}));
}

TEST_P(TablesCases, case_019_a_second_session_reads_one_key_and_all) {
  tables().write("t", "b", 1);
  tables().write("t", "c", 2);
  tables().write("t", "a", 3);
  restart();
  EXPECT_EQ(text_of("t", "c"), "2");
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "1"}, {"c", "2"}, {"a", "3"}}));
}

TEST_P(TablesCases, case_020_two_hundred_concurrent_reads_give_valid_values) {
  for (int i = 0; i < 20; ++i) tables().write("t", std::to_string(i), i);
  in_threads(10, [this](std::size_t) {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(text_of("t", std::to_string(i)), std::to_string(i));
  });
}

TEST_P(TablesCases, case_021_fifty_writes_and_fifty_reads_at_once) {
  in_threads(10, [this](std::size_t thread) {
    for (int i = 0; i < 10; ++i) {
      const std::string key = std::to_string(i);
      if (thread % 2 == 0) {
        EXPECT_GE(tables().write("t", key, key), 1u);
      } else {
        const std::string read = text_of("t", key);
        EXPECT_TRUE(read == "nothing" || read == "\"" + key + "\"") << read;
      }
    }
  });
}

// ---- Deleting

TEST_P(TablesCases, case_022_an_erased_key_is_gone_and_the_others_remain) {
  for (const View key : {"a", "b", "c"}) tables().write("t", key, 1);
  EXPECT_TRUE(tables().erase("t", "b"));
  EXPECT_EQ(pairs_of("t"), (Pairs{{"a", "1"}, {"c", "1"}}));
}

TEST_P(TablesCases, case_023_erasing_a_missing_key_is_false) {
  tables().write("t", "key", 1);
  EXPECT_FALSE(tables().erase("t", "other"));
}

TEST_P(TablesCases, case_024_erasing_in_an_unknown_table_is_false) {
  EXPECT_FALSE(tables().erase("unknown", "key"));
}

TEST_P(TablesCases, case_025_a_second_session_sees_what_was_erased) {
  tables().write("t", "a", 1);
  tables().write("t", "b", 2);
  tables().erase("t", "a");
  restart();
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "2"}}));
}

TEST_P(TablesCases, case_026_of_fifty_keys_exactly_those_erased_at_once_are_gone) {
  for (int i = 0; i < 50; ++i) tables().write("t", std::to_string(i), i);
  in_threads(5, [this](std::size_t thread) {
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_TRUE(tables().erase("t", std::to_string(2 * (5 * thread + i))));
    }
  });
  const Pairs left = pairs_of("t");
  ASSERT_EQ(left.size(), 25u);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(left[static_cast<std::size_t>(i)].first, std::to_string(2 * i + 1));
}

TEST_P(TablesCases, case_027_an_erased_key_can_be_written_again) {
  tables().write("t", "key", "old");
  tables().erase("t", "key");
  tables().write("t", "key", "new");
  EXPECT_EQ(text_of("t", "key"), "\"new\"");
}

TEST_P(TablesCases, case_028_erasing_without_a_name_or_a_key_is_refused) {
  EXPECT_EQ(message_of([&] { tables().erase("", "key"); }), "Table name must be a non-empty string");
  EXPECT_EQ(message_of([&] { tables().erase("t", ""); }), "Key must not be empty");
  EXPECT_EQ(message_of([&] { tables().erase("t", View()); }), "Key must be defined");
}

// ---- Table management

TEST_P(TablesCases, case_029_the_size_follows_writes_and_erasures) {
  EXPECT_EQ(tables().table_size("t"), 0u);
  tables().write("t", "a", 1);
  EXPECT_EQ(tables().table_size("t"), 1u);
  tables().write("t", "b", 1);
  EXPECT_EQ(tables().table_size("t"), 2u);
  tables().erase("t", "a");
  EXPECT_EQ(tables().table_size("t"), 1u);
}

TEST_P(TablesCases, case_030_written_tables_are_listed_and_no_others) {
  for (const View table : {"users", "orders", "logs"}) tables().write(table, "key", 1);
  EXPECT_EQ(names(), (std::vector<Bytes>{"logs", "orders", "users"}));
}

TEST_P(TablesCases, case_031_an_erased_table_is_empty_and_takes_no_room) {
  tables().write("t", "a", 1);
  tables().write("t", "b", 1, {.expires_at_ms = now() + 1'000});
  EXPECT_TRUE(tables().erase_table("t"));
  EXPECT_EQ(tables().table_size("t"), 0u);
  EXPECT_TRUE(tables().get("t").empty());
  EXPECT_EQ(stored_entries(), 0u);
}

TEST_P(TablesCases, case_032_erasing_an_unknown_table_is_true) {
  EXPECT_TRUE(tables().erase_table("unknown"));
}

TEST_P(TablesCases, case_033_twenty_tables_made_at_once_are_listed_and_have_one_record_each) {
  in_threads(10, [this](std::size_t thread) {
    tables().write("table" + std::to_string(thread), "key", 1);
    tables().write("table" + std::to_string(10 + thread), "key", 1);
  });
  EXPECT_EQ(names().size(), 20u);
  in_threads(10, [this](std::size_t thread) {
    EXPECT_EQ(tables().table_size("table" + std::to_string(thread)), 1u);
    EXPECT_EQ(tables().table_size("table" + std::to_string(10 + thread)), 1u);
  });
}

TEST_P(TablesCases, case_034_names_of_digits_hyphens_underscores_and_capitals_work) {
  const std::vector<Bytes> given = {"123table", "UPPER", "_table", "my-table"};
  for (const Bytes& name : given) EXPECT_EQ(tables().write(name, "key", 1), 1u);
  EXPECT_EQ(names(), given);
}

// ---- Persistence and recovery

TEST_P(TablesCases, case_035_a_second_session_has_all_tables_and_sizes) {
  tables().write("a", "1", "a1");
  tables().write("a", "2", "a2");
  tables().write("b", "1", "b1");
  tables().write("c", "1", "c1");
  tables().write("c", "2", "c2");
  restart();
  EXPECT_EQ(pairs_of("a"), (Pairs{{"1", "\"a1\""}, {"2", "\"a2\""}}));
  EXPECT_EQ(text_of("b", "1"), "\"b1\"");
  EXPECT_EQ(text_of("c", "2"), "\"c2\"");
  EXPECT_EQ(tables().table_size("a"), 2u);
  EXPECT_EQ(tables().table_size("b"), 1u);
  EXPECT_EQ(tables().table_size("c"), 2u);
}

TEST_P(TablesCases, case_036_a_store_with_a_damaged_record_opens_and_says_so_where_it_is_read) {
  tables().write("t", "damaged", 1);
  tables().write("t", "sound", 2);
  database().put("tables/row/t/damaged", "this is no JSON");
  restart();
  EXPECT_EQ(code_of([&] { tables().get("t", "damaged"); }), Code::corruption);
  EXPECT_EQ(text_of("t", "sound"), "2");
}

TEST_P(TablesCases, case_037_a_table_without_content_is_empty) {
  EXPECT_TRUE(tables().create_table("t"));
  EXPECT_FALSE(tables().create_table("t"));
  restart();
  EXPECT_EQ(names(), (std::vector<Bytes>{"t"}));
  EXPECT_TRUE(tables().get("t").empty());
  EXPECT_EQ(tables().table_size("t"), 0u);
}

TEST_P(TablesCases, case_038_a_third_session_sees_what_the_second_changed) {
  tables().write("t", "key", 1);
  restart();
  EXPECT_EQ(text_of("t", "key"), "1");
  tables().write("t", "key", 2);
  restart();
  EXPECT_EQ(text_of("t", "key"), "2");
}

TEST_P(TablesCases, case_039_a_value_is_equal_in_five_sessions) {
  tables().write("t", "key", json{{"a", {1, 2, 3}}});
  for (int session = 0; session < 5; ++session) {
    restart();
    EXPECT_EQ(text_of("t", "key"), "{\"a\":[1,2,3]}");
  }
}

// ---- Errors

TEST_P(TablesCases, case_040_a_write_answers_a_version_or_throws_and_never_crashes) {
  EXPECT_EQ(tables().write("t", "key", 1), 1u);
  Tables held = tables();
  store()->close();
  EXPECT_EQ(code_of([&] { held.write("t", "key", 2); }), Code::closed);
}

TEST_P(TablesCases, case_041_the_longest_key_with_a_value_of_half_a_million_characters) {
  const std::string key(1'024, 'k');
  tables().write("t", key, std::string(500'000, 'v'));
  EXPECT_EQ(tables().get("t", key)->value.json().get<std::string>(), std::string(500'000, 'v'));
}

TEST_P(TablesCases, case_042_a_key_and_a_value_of_several_scripts) {
  const std::string text = "Ünïcödé 中文 العربية עברית 🚀";
  tables().write("t", text, text);
  EXPECT_EQ(text_of("t", text), "\"" + text + "\"");
}

TEST_P(TablesCases, case_043_fifty_concurrent_reads_and_writes_of_one_key) {
  in_threads(10, [this](std::size_t thread) {
    for (int i = 0; i < 5; ++i) {
      if (thread % 2 == 0) {
        EXPECT_GE(tables().write("t", "key", "text"), 1u);
      } else {
        const std::string read = text_of("t", "key");
        EXPECT_TRUE(read == "nothing" || read == "\"text\"") << read;
      }
    }
  });
  EXPECT_EQ(tables().get("t", "key")->version, 25u);
}

// ---- Performance: what is done is the same, the time it takes is for the benchmarks

TEST_P(TablesCases, case_044_a_thousand_concurrent_writes) {
  const std::size_t each = many() / 10;
  in_threads(10, [&](std::size_t thread) {
    for (std::size_t i = 0; i < each; ++i) tables().write("t", std::to_string(thread * each + i), i);
  });
  EXPECT_EQ(tables().table_size("t"), 10 * each);
  for (std::size_t i = 0; i < 10 * each; i += 17)
    EXPECT_EQ(text_of("t", std::to_string(i)), std::to_string(i % each));
}

TEST_P(TablesCases, case_045_many_mixed_operations_on_a_hundred_keys) {
  for (int key = 0; key < 100; ++key) tables().write("t", std::to_string(key), 0);
  for (std::size_t i = 0; i < many() / 2; ++i) {
    const std::string key = std::to_string(i * 37 % 100);
    if (i % 3 == 0) {
      EXPECT_TRUE(tables().get("t", key));
    } else if (i % 3 == 1) {
      tables().write("t", key, i);
    } else {
      EXPECT_TRUE(tables().erase("t", key));
      tables().write("t", key, i);
    }
  }
  EXPECT_EQ(tables().table_size("t"), 100u);
}

TEST_P(TablesCases, case_046_a_thousand_records_are_counted_and_read) {
  for (std::size_t i = 0; i < many(); ++i) tables().write("t", std::to_string(i), i);
  EXPECT_EQ(tables().table_size("t"), many());
  EXPECT_EQ(tables().get("t").size(), many());
  for (std::size_t i = 0; i < 50; ++i) EXPECT_TRUE(tables().get("t", std::to_string(i * 31 % many())));
}

TEST_P(TablesCases, case_047_a_second_session_reads_a_thousand_records) {
  for (std::size_t i = 0; i < many(); ++i) tables().write("t", std::to_string(i), i);
  restart();
  for (std::size_t i = 0; i < 100; ++i) {
    const std::size_t key = i * 7 % many();
    EXPECT_EQ(text_of("t", std::to_string(key)), std::to_string(key));
  }
}

// ---- Flush and close: nothing has to be flushed, a write that was answered is there

TEST_P(TablesCases, case_048_three_tables_are_there_without_a_flush) {
  for (const View table : {"a", "b", "c"}) tables().write(table, "key", 1);
  Tables other(store()->database("app"));
  EXPECT_EQ(other.list_tables().items.size(), 3u);
}

TEST_P(TablesCases, case_049_two_records_are_read_after_a_close) {
  tables().write("t", "a", 1);
  tables().write("t", "b", 2);
  restart();
  EXPECT_EQ(pairs_of("t"), (Pairs{{"a", "1"}, {"b", "2"}}));
}

TEST_P(TablesCases, case_050_two_closes_are_harmless) {
  tables().write("t", "key", 1);
  store()->close();
  store()->close();
}

TEST_P(TablesCases, case_051_five_concurrent_cleanups_of_ten_tables_harm_nothing) {
  for (int i = 0; i < 10; ++i) tables().write("table" + std::to_string(i), "key", i);
  in_threads(5, [this](std::size_t) { EXPECT_EQ(tables().cleanup_all_expired(), 0u); });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(text_of("table" + std::to_string(i), "key"), std::to_string(i));
}

// ---- Atomicity

TEST_P(TablesCases, case_052_a_read_at_once_with_a_write_gives_nothing_or_the_whole_object) {
  const json value{{"a", std::string(1'000, 'a')}, {"b", {1, 2, 3}}};
  in_threads(2, [&](std::size_t thread) {
    if (thread == 0) {
      EXPECT_EQ(tables().write("t", "key", value), 1u);
    } else if (const auto record = tables().get("t", "key")) {
      EXPECT_EQ(record->value.json(), value);
    }
  });
}

TEST_P(TablesCases, case_053_a_read_at_once_with_an_erasure_gives_the_whole_object_or_nothing) {
  const json value{{"a", std::string(1'000, 'a')}, {"b", {1, 2, 3}}};
  tables().write("t", "key", value);
  in_threads(2, [&](std::size_t thread) {
    if (thread == 0) {
      EXPECT_TRUE(tables().erase("t", "key"));
    } else if (const auto record = tables().get("t", "key")) {
      EXPECT_EQ(record->value.json(), value);
    }
  });
}

TEST_P(TablesCases,
       case_054_hundred_concurrent_increments_give_1_to_100_unprotected_and_100_in_transactions) {
  tables().write("t", "loose", 0);
  tables().write("t", "exact", 0);
  in_threads(10, [this](std::size_t) {
    for (int i = 0; i < 10; ++i) {
      Tables handle = tables();
      handle.write("t", "loose", handle.get("t", "loose")->value.json().get<int>() + 1);
      database().transact([&](Transaction& transaction) {
        const int count = handle.get(transaction, "t", "exact")->value.json().get<int>();
        handle.write(transaction, "t", "exact", count + 1);
      });
    }
  });
  const int loose = std::stoi(text_of("t", "loose"));
  EXPECT_GE(loose, 1);
  EXPECT_LE(loose, 100);
  EXPECT_EQ(text_of("t", "exact"), "100");
}

// ---- Expiry

TEST_P(TablesCases, case_055_a_record_that_expires_in_an_hour_is_readable) {
  EXPECT_EQ(tables().write("t", "key", 1, {.expires_at_ms = now() + 3'600'000}), 1u);
  EXPECT_EQ(text_of("t", "key"), "1");
  EXPECT_EQ(tables().get("t", "key")->expires_at_ms, now() + 3'600'000);
}

TEST_P(TablesCases, case_056_a_record_without_expiry_is_readable) {
  tables().write("t", "key", 1);
  advance(hours(24 * 365 * 50));
  EXPECT_EQ(text_of("t", "key"), "1");
  EXPECT_FALSE(tables().get("t", "key")->expires_at_ms);
}

TEST_P(TablesCases, case_057_a_record_that_expired_a_second_ago_is_nothing) {
  EXPECT_EQ(tables().write("t", "key", 1, {.expires_at_ms = now() - 1'000}), 1u);
  EXPECT_FALSE(tables().get("t", "key"));
}

TEST_P(TablesCases, case_058_a_whole_table_gives_the_live_pairs_only) {
  tables().write("t", "a", 1, {.expires_at_ms = now() - 1'000});
  tables().write("t", "b", 2);
  tables().write("t", "c", 3, {.expires_at_ms = now() - 1});
  EXPECT_FALSE(tables().get("t", "a"));
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "2"}}));
}

TEST_P(TablesCases, case_059_the_size_counts_live_records_only) {
  tables().write("t", "a", 1, {.expires_at_ms = now() - 1'000});
  tables().write("t", "b", 1, {.expires_at_ms = now() - 1'000});
  tables().write("t", "c", 1, {.expires_at_ms = now() + 1'000});
  tables().write("t", "d", 1);
  EXPECT_EQ(tables().table_size("t"), 2u);
}

TEST_P(TablesCases, case_060_an_expiry_at_the_time_of_writing_has_passed_ten_milliseconds_later) {
  tables().write("t", "key", 1, {.expires_at_ms = now()});
  advance(milliseconds(10));
  EXPECT_FALSE(tables().get("t", "key"));
}

TEST_P(TablesCases, case_061_expiries_hold_in_a_second_session) {
  tables().write("t", "future", 1, {.expires_at_ms = now() + 3'600'000});
  tables().write("t", "past", 1, {.expires_at_ms = now() - 1'000});
  restart();
  EXPECT_TRUE(tables().get("t", "future"));
  EXPECT_FALSE(tables().get("t", "past"));
}

TEST_P(TablesCases, case_062_cleanup_expired_removes_three_and_leaves_one) {
  for (const View key : {"a", "b", "c"}) tables().write("t", key, 1, {.expires_at_ms = now() + 5});
  tables().write("t", "d", 1);
  advance(milliseconds(6));
  EXPECT_EQ(tables().cleanup_expired("t"), 3u);
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"d", "1"}}));
}

TEST_P(TablesCases, case_063_cleanup_all_expired_removes_three_of_three_tables) {
  tables().write("a", "1", 1, {.expires_at_ms = now() - 1});
  tables().write("a", "2", 1);
  tables().write("b", "1", 1, {.expires_at_ms = now() - 1});
  tables().write("c", "1", 1, {.expires_at_ms = now() - 1});
  tables().write("c", "2", 1);
  EXPECT_EQ(tables().cleanup_all_expired(), 3u);
  EXPECT_EQ(tables().table_size("a"), 1u);
  EXPECT_EQ(tables().table_size("b"), 0u);
  EXPECT_EQ(tables().table_size("c"), 1u);
}

TEST_P(TablesCases, case_064_cleanup_expired_of_an_unknown_table_gives_0) {
  EXPECT_EQ(tables().cleanup_expired("unknown"), 0u);
}

TEST_P(TablesCases, case_065_cleanup_expired_with_nothing_expired_gives_0) {
  tables().write("t", "a", 1, {.expires_at_ms = now() + 1'000});
  tables().write("t", "b", 1);
  EXPECT_EQ(tables().cleanup_expired("t"), 0u);
  EXPECT_EQ(tables().table_size("t"), 2u);
}

TEST_P(TablesCases, case_066_fifty_concurrent_writes_half_of_them_expired) {
  in_threads(10, [this](std::size_t thread) {
    for (std::size_t i = 0; i < 5; ++i) {
      const std::size_t number = 5 * thread + i;
      const UnixMs expires_at_ms = number % 2 == 0 ? now() - 1'000 : now() + 3'600'000;
      tables().write("t", std::to_string(number), number, {.expires_at_ms = expires_at_ms});
    }
  });
  in_threads(10, [this](std::size_t thread) {
    for (std::size_t i = 0; i < 5; ++i) {
      const std::size_t number = 5 * thread + i;
      EXPECT_EQ(text_of("t", std::to_string(number)), number % 2 == 0 ? "nothing" : std::to_string(number));
    }
  });
  EXPECT_EQ(tables().table_size("t"), 25u);
}

TEST_P(TablesCases, case_067_a_later_expiry_of_a_second_write_replaces_the_first) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 10});
  tables().write("t", "key", 2, {.expires_at_ms = now() + 1'000});
  advance(milliseconds(20));
  EXPECT_EQ(text_of("t", "key"), "2");
}

TEST_P(TablesCases, case_068_an_expiry_ten_years_ahead_works) {
  const UnixMs expires_at_ms = now() + 10ll * 365 * 24 * 3600 * 1000;
  tables().write("t", "key", 1, {.expires_at_ms = expires_at_ms});
  EXPECT_EQ(text_of("t", "key"), "1");
  clock().set_now_ms(expires_at_ms + 1);
  EXPECT_EQ(text_of("t", "key"), "nothing");
}

TEST_P(TablesCases, case_069_erasing_a_live_key_is_true_and_an_expired_one_false) {
  tables().write("t", "live", 1, {.expires_at_ms = now() + 1'000});
  tables().write("t", "expired", 1, {.expires_at_ms = now() - 1'000});
  EXPECT_TRUE(tables().erase("t", "live"));
  EXPECT_FALSE(tables().erase("t", "expired"));
  EXPECT_EQ(tables().table_size("t"), 0u);
}

TEST_P(TablesCases, case_070_many_expired_and_few_live_records_are_counted) {
  const std::size_t live = many() / 20;
  for (std::size_t i = 0; i < many(); ++i) {
    tables().write("t", std::to_string(i), i, {.expires_at_ms = i < live ? now() + 1'000 : now() - 1'000});
  }
  EXPECT_EQ(tables().table_size("t"), live);
}

}  // namespace
}  // namespace holdfast
