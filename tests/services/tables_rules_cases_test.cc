// The cases 71 to 132 of those that PikoDB is tested with: dictionaries, the rules for names, keys and
// values, and durable writes. Many of the originals configure a dictionary that no write names; here each of
// them is written once without it and once with it.
#include <array>
#include <type_traits>

#include "tests/services/tables_fixture.h"

namespace holdfast {
namespace {

using nlohmann::json;

const Bytes kLongName(256, 'n');

class TablesRulesCases : public TablesFixture {
 protected:
  /// Without and with the dictionary "sensors".
  void expect_same(const Payload& value) {
    tables().write("plain", "key", value);
    tables().write("short", "key", value, {.dictionary = "sensors"});
    EXPECT_EQ(tables().get("plain", "key")->value, value);
    EXPECT_EQ(tables().get("short", "key")->value, value);
  }
  void add_sensors() { tables().add_dictionary("sensors", deflate({{"sensor", "s"}, {"temperature", "t"}})); }
  Bytes stored_text(View table, View key) {
    return database().get("tables/row/" + Bytes(table) + "/" + Bytes(key))->value;
  }
  std::string why_name_is_refused(View name) {
    return message_of([&] { tables().write(name, "key", 1); });
  }
  std::string why_key_is_refused(View key) {
    return message_of([&] { tables().write("t", key, 1); });
  }
};
HOLDFAST_ON_EVERY_TARGET(TablesRulesCases);

// ---- Dictionary compression

TEST_P(TablesRulesCases, case_071_an_object_under_a_deflate_dictionary_is_read_back) {
  add_sensors();
  expect_same(json{{"sensor", "outside"}, {"temperature", 21.5}});
}

TEST_P(TablesRulesCases, case_072_an_object_under_an_inflate_dictionary_is_read_back) {
  tables().add_dictionary("sensors", inflate({{"s", "sensor"}, {"t", "temperature"}}));
  expect_same(json{{"sensor", "outside"}, {"temperature", 21.5}});
  EXPECT_NE(stored_text("short", "key").find("\"s\":\"outside\""), Bytes::npos);
}

TEST_P(TablesRulesCases, case_073_what_is_stored_beside_a_value_has_short_names) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 1'000});
  const Bytes text = stored_text("t", "key");
  for (const View name : {"\"v\"", "\"t\"", "\"x\""}) EXPECT_NE(text.find(name), Bytes::npos) << text;
  for (const View word : {"version", "timestamp", "expiration"})
    EXPECT_EQ(text.find(word), Bytes::npos) << text;
}

TEST_P(TablesRulesCases, case_074_a_dictionary_of_twelve_names_makes_a_record_shorter) {
  std::map<Bytes, Bytes> names;
  json value;
  for (char letter = 'a'; letter <= 'l'; ++letter) {
    names.emplace("a_rather_long_name_" + Bytes(1, letter), Bytes(1, letter));
    value["a_rather_long_name_" + Bytes(1, letter)] = {{"a_rather_long_name_a", 1}};
  }
  tables().add_dictionary("sensors", deflate(names));
  expect_same(value);
  EXPECT_LT(stored_text("short", "key").size(), stored_text("plain", "key").size() / 2);
}

TEST_P(TablesRulesCases, case_075_a_deeply_nested_object_is_read_back) {
  add_sensors();
  expect_same(
      Payload::parse("{\"sensor\":{\"sensor\":{\"temperature\":[{\"sensor\":[[{\"temperature\":null}]]}]}},"
                     "\"other\":{\"s\":1}}"));
}

TEST_P(TablesRulesCases, case_076_an_array_of_objects_is_read_back) {
  add_sensors();
  expect_same(json::array({{{"sensor", 1}}, {{"temperature", 2}}, {{"sensor", 3}, {"x", 4}}}));
}

TEST_P(TablesRulesCases, case_077_a_record_is_equal_in_a_second_session_with_the_same_dictionary) {
  add_sensors();
  const Payload value(json{{"sensor", 1}, {"temperature", 2}});
  tables().write("t", "key", value, {.dictionary = "sensors"});
  restart();
  add_sensors();
  EXPECT_EQ(tables().get("t", "key")->value, value);
}

TEST_P(TablesRulesCases, case_078_members_that_the_dictionary_does_not_have_stay) {
  add_sensors();
  expect_same(json{{"sensor", 1}, {"unknown", 2}, {"sensors", 3}});
}

TEST_P(TablesRulesCases, case_079_null_members_stay_and_absent_ones_stay_absent) {
  add_sensors();
  expect_same(json{{"sensor", nullptr}, {"other", nullptr}});
  EXPECT_FALSE(tables().get("short", "key")->value.json().contains("temperature"));
}

TEST_P(TablesRulesCases, case_080_texts_numbers_and_booleans_are_read_back) {
  add_sensors();
  for (const std::string text : {"\"sensor\"", "\"a \\\"sensor\\\": b\"", "12.50", "true", "false", "null"}) {
    expect_same(Payload::parse(text));
  }
}

TEST_P(TablesRulesCases, case_081_hundred_concurrent_writes_are_equal) {
  add_sensors();
  in_threads(10, [this](std::size_t thread) {
    for (std::size_t i = 0; i < 10; ++i) {
      const std::string key = std::to_string(10 * thread + i);
      const Bytes dictionary = i % 2 == 0 ? "sensors" : "";
      EXPECT_EQ(tables().write("t", key, json{{"sensor", key}}, {.dictionary = dictionary}), 1u);
    }
  });
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i);
    EXPECT_EQ(text_of("t", key), "{\"sensor\":\"" + key + "\"}");
  }
}

TEST_P(TablesRulesCases, case_082_a_dictionary_without_a_mapping_is_refused) {
  EXPECT_EQ(message_of([&] { tables().add_dictionary("d", {}); }),
            "Dictionary must provide either deflate or inflate mapping");
}

TEST_P(TablesRulesCases, case_083_a_dictionary_with_both_mappings_is_refused) {
  const std::map<Bytes, Bytes> names;
  EXPECT_EQ(message_of([&] { tables().add_dictionary("d", {names, names}); }),
            "Dictionary should provide only one of deflate or inflate (not both). The inverse will be "
            "auto-generated.");
}

TEST_P(TablesRulesCases, case_084_cleanup_expired_works_on_records_of_a_dictionary) {
  add_sensors();
  tables().write("t", "a", json{{"sensor", 1}}, {.expires_at_ms = now() - 1, .dictionary = "sensors"});
  tables().write("t", "b", json{{"sensor", 2}}, {.dictionary = "sensors"});
  EXPECT_EQ(tables().cleanup_expired("t"), 1u);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "{\"sensor\":2}"}}));
}

TEST_P(TablesRulesCases, case_085_everything_works_without_a_dictionary) {
  tables().write("t", "key", json{{"sensor", 1}, {"s", 2}});
  EXPECT_EQ(tables().get("t", "key")->value.json(), (json{{"sensor", 1}, {"s", 2}}));
  EXPECT_TRUE(tables().list_dictionaries().items.empty());
}

// ---- Table names, through write

TEST_P(TablesRulesCases, case_086_an_empty_name_is_refused) {
  EXPECT_EQ(why_name_is_refused(""), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases,
       case_087_a_number_is_no_name_for_the_compiler_and_bytes_that_are_no_text_are_refused) {
  static_assert(!std::is_convertible_v<int, View>);
  EXPECT_EQ(why_name_is_refused("\xff\xfe"), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases, case_088_a_slash_is_refused) {
  EXPECT_EQ(why_name_is_refused("a/b"), "Table name must not contain path separators");
}

TEST_P(TablesRulesCases, case_089_a_backslash_is_refused) {
  EXPECT_EQ(why_name_is_refused("a\\b"), "Table name must not contain path separators");
}

TEST_P(TablesRulesCases, case_090_two_dots_are_refused_alone_and_inside) {
  EXPECT_EQ(why_name_is_refused(".."), "Table name must not contain \"..\"");
  EXPECT_EQ(why_name_is_refused("a..b"), "Table name must not contain \"..\"");
}

TEST_P(TablesRulesCases, case_091_a_leading_dot_is_refused) {
  EXPECT_EQ(why_name_is_refused(".hidden"), "Table name must not start with \".\"");
}

TEST_P(TablesRulesCases, case_092_a_null_byte_is_refused) {
  EXPECT_EQ(why_name_is_refused(View("a\0b", 3)), "Table name must not contain null bytes");
}

TEST_P(TablesRulesCases, case_093_256_characters_are_refused) {
  EXPECT_EQ(why_name_is_refused(kLongName), "Table name must not exceed 255 characters");
}

TEST_P(TablesRulesCases, case_094_names_of_devices_are_refused_by_their_name) {
  for (const Bytes name : {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1", "com9", "Lpt9", "nul"}) {
    EXPECT_EQ(why_name_is_refused(name), "Table name \"" + name + "\" is reserved by the filesystem");
  }
}

TEST_P(TablesRulesCases, case_095_ordinary_names_are_accepted) {
  for (const Bytes& name :
       {Bytes("users"), Bytes("my-table"), Bytes("table_name"), Bytes("table123"), Bytes("MyTable"),
        Bytes(200, 'a'), Bytes("con.txt"), Bytes("COM0"), Bytes("a.")}) {
    EXPECT_EQ(tables().write(name, "key", 1), 1u);
    EXPECT_EQ(text_of(name, "key"), "1");
  }
}

// ---- Keys, through write

TEST_P(TablesRulesCases, case_096_an_undefined_key_which_is_a_view_of_nothing_is_refused) {
  EXPECT_EQ(why_key_is_refused(View()), "Key must be defined");
}

TEST_P(TablesRulesCases, case_097_null_has_no_counterpart_but_a_view_of_nothing_of_no_length) {
  EXPECT_EQ(why_key_is_refused(View(nullptr, 0)), "Key must be defined");
}

TEST_P(TablesRulesCases,
       case_098_a_number_is_no_key_for_the_compiler_and_bytes_that_are_no_text_are_refused) {
  static_assert(!std::is_convertible_v<double, View>);
  EXPECT_EQ(why_key_is_refused("\xc3"), "Key must be a string");
  EXPECT_EQ(why_key_is_refused("\xed\xa0\x80"), "Key must be a string") << "half of a surrogate pair";
}

TEST_P(TablesRulesCases, case_099_an_empty_key_is_refused) {
  EXPECT_EQ(why_key_is_refused(""), "Key must not be empty");
}

TEST_P(TablesRulesCases, case_100_1025_characters_are_refused) {
  EXPECT_EQ(why_key_is_refused(Bytes(1'025, 'k')), "Key must not exceed 1024 characters");
}

TEST_P(TablesRulesCases, case_101_a_null_byte_in_a_key_is_refused) {
  EXPECT_EQ(why_key_is_refused(View("a\0b", 3)), "Key must not contain null bytes");
}

TEST_P(TablesRulesCases, case_102_ordinary_keys_are_accepted) {
  for (const Bytes& key : {Bytes("key"), Bytes("my-key"), Bytes("my_key"), Bytes("my.key..x"),
                           Bytes("user:1:name"), Bytes(1'024, 'k'), Bytes("!@#$%^&*()"), Bytes("a/b\\c"),
                           Bytes(" "), Bytes("\n"), Bytes("__proto__"), Bytes("constructor")}) {
    EXPECT_EQ(tables().write("t", key, 1), 1u);
    EXPECT_EQ(tables().get("t", key)->key, key);
  }
  EXPECT_EQ(tables().table_size("t"), 12u);
}

// ---- Values

TEST_P(TablesRulesCases,
       case_103_undefined_has_no_counterpart_an_empty_text_is_refused_and_a_default_payload_is_null) {
  EXPECT_EQ(code_of([] { Payload::parse(""); }), Code::invalid_argument);
  tables().write("t", "key", Payload());
  EXPECT_EQ(text_of("t", "key"), "null");
}

TEST_P(TablesRulesCases, case_104_a_circular_object_cannot_be_made_and_one_nested_too_deeply_is_refused) {
  const auto nested = [](std::size_t depth) { return Bytes(depth, '[') + Bytes(depth, ']'); };
  EXPECT_EQ(code_of([&] { Payload::parse(nested(limits::kPayloadDepth + 1)); }), Code::invalid_argument);
  tables().write("t", "key", Payload::parse(nested(limits::kPayloadDepth)));
  EXPECT_EQ(text_of("t", "key"), nested(limits::kPayloadDepth));
}

TEST_P(TablesRulesCases, case_105_a_function_is_no_payload_for_the_compiler_and_raw_bytes_are_refused) {
  static_assert(!std::is_constructible_v<Payload, void (*)()>);
  const std::string why = message_of([&] { tables().write("t", "key", Payload::bytes("code")); });
  EXPECT_TRUE(why.starts_with("Value must be JSON-serializable: ")) << why;
  EXPECT_FALSE(tables().get("t", "key"));
}

TEST_P(TablesRulesCases, case_106_a_symbol_has_no_counterpart_and_text_that_is_no_unicode_is_refused) {
  EXPECT_EQ(code_of([] { Payload(std::string("\xff")); }), Code::invalid_argument);
  EXPECT_EQ(code_of([] { Payload::parse("\"\xff\""); }), Code::invalid_argument);
}

TEST_P(TablesRulesCases, case_107_null_is_a_value) {
  tables().write("t", "key", nullptr);
  ASSERT_TRUE(tables().get("t", "key"));
  EXPECT_EQ(tables().get("t", "key")->value.json(), nullptr);
  EXPECT_EQ(tables().table_size("t"), 1u);
}

TEST_P(TablesRulesCases, case_108_values_of_all_types_are_accepted) {
  for (const std::string text :
       {"\"text\"", "42", "true", "false", "null", "[1,2]", "{\"a\":1}", "[1,\"two\",null,{\"three\":3}]"}) {
    tables().write("t", "key", Payload::parse(text));
    EXPECT_EQ(text_of("t", "key"), text);
  }
}

// ---- The rules in other methods

TEST_P(TablesRulesCases, case_109_get_refuses_names) {
  EXPECT_EQ(message_of([&] { tables().get("", "key"); }), "Table name must be a non-empty string");
  EXPECT_EQ(message_of([&] { tables().get("../etc/passwd", "key"); }),
            "Table name must not contain path separators");
  EXPECT_EQ(message_of([&] { tables().get(""); }), "Table name must be a non-empty string");
  EXPECT_EQ(message_of([&] { tables().list(""); }), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases, case_110_get_refuses_an_empty_key) {
  EXPECT_EQ(message_of([&] { tables().get("t", ""); }), "Key must not be empty");
}

TEST_P(TablesRulesCases, case_111_erase_refuses_names) {
  EXPECT_EQ(message_of([&] { tables().erase("", "key"); }), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases, case_112_erase_refuses_an_empty_key) {
  EXPECT_EQ(message_of([&] { tables().erase("t", ""); }), "Key must not be empty");
}

TEST_P(TablesRulesCases, case_113_table_size_refuses_names) {
  EXPECT_EQ(message_of([&] { tables().table_size(""); }), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases, case_114_cleanup_expired_refuses_names) {
  EXPECT_EQ(message_of([&] { tables().cleanup_expired(""); }), "Table name must be a non-empty string");
}

TEST_P(TablesRulesCases, case_115_erase_table_refuses_names) {
  EXPECT_EQ(message_of([&] { tables().erase_table(""); }), "Table name must be a non-empty string");
}

// ---- Several dictionaries

TEST_P(TablesRulesCases, case_116_two_tables_with_a_dictionary_each) {
  add_sensors();
  tables().add_dictionary("users", deflate({{"name", "n"}}));
  tables().write("a", "key", json{{"sensor", 1}, {"name", 2}}, {.dictionary = "sensors"});
  tables().write("b", "key", json{{"sensor", 1}, {"name", 2}}, {.dictionary = "users"});
  EXPECT_EQ(text_of("a", "key"), "{\"name\":2,\"sensor\":1}");
  EXPECT_EQ(text_of("b", "key"), "{\"name\":2,\"sensor\":1}");
  EXPECT_EQ(tables().get("a", "key")->dictionary, "sensors");
  EXPECT_EQ(tables().get("b", "key")->dictionary, "users");
}

TEST_P(TablesRulesCases, case_117_one_record_without_and_one_with_the_dictionary) {
  add_sensors();
  tables().write("t", "plain", json{{"sensor", 1}});
  tables().write("t", "short", json{{"sensor", 1}}, {.dictionary = "sensors"});
  EXPECT_EQ(pairs_of("t"), (Pairs{{"plain", "{\"sensor\":1}"}, {"short", "{\"sensor\":1}"}}));
}

TEST_P(TablesRulesCases, case_118_an_unknown_dictionary_is_refused_and_the_known_ones_are_named) {
  const auto write = [&] { tables().write("t", "key", 1, {.dictionary = "nonExistent"}); };
  EXPECT_EQ(message_of(write), "Dictionary \"nonExistent\" not found. Available dictionaries: none");
  add_sensors();
  tables().add_dictionary("users", deflate({{"name", "n"}}));
  EXPECT_EQ(message_of(write),
            "Dictionary \"nonExistent\" not found. Available dictionaries: sensors, users");
  EXPECT_FALSE(tables().get("t", "key"));
}

TEST_P(TablesRulesCases, case_119_a_dictionary_is_added_at_run_time) {
  EXPECT_TRUE(tables().list_dictionaries().items.empty());
  add_sensors();
  EXPECT_EQ(tables().list_dictionaries().items, (std::vector<Bytes>{"sensors"}));
  tables().write("t", "key", json{{"sensor", 1}}, {.dictionary = "sensors"});
  EXPECT_EQ(text_of("t", "key"), "{\"sensor\":1}");
}

TEST_P(TablesRulesCases, case_120_a_removed_dictionary_is_not_listed_and_the_other_is) {
  add_sensors();
  tables().add_dictionary("users", deflate({{"name", "n"}}));
  EXPECT_TRUE(tables().remove_dictionary("sensors"));
  EXPECT_FALSE(tables().remove_dictionary("sensors"));
  EXPECT_EQ(tables().list_dictionaries().items, (std::vector<Bytes>{"users"}));
}

TEST_P(TablesRulesCases, case_121_adding_under_a_known_name_replaces_and_older_records_stay_equal) {
  add_sensors();
  tables().write("t", "before", json{{"sensor", 1}, {"temperature", 2}}, {.dictionary = "sensors"});
  tables().add_dictionary("sensors", deflate({{"sensor", "t"}, {"temperature", "s"}}));
  tables().write("t", "after", json{{"sensor", 1}, {"temperature", 2}}, {.dictionary = "sensors"});
  EXPECT_EQ(text_of("t", "before"), "{\"sensor\":1,\"temperature\":2}");
  EXPECT_EQ(text_of("t", "after"), "{\"sensor\":1,\"temperature\":2}");
}

TEST_P(TablesRulesCases, case_122_a_compressed_record_is_equal_in_a_second_session) {
  add_sensors();
  tables().write("t", "key", json{{"sensor", 1}}, {.dictionary = "sensors"});
  restart();
  EXPECT_EQ(text_of("t", "key"), "{\"sensor\":1}");
}

TEST_P(TablesRulesCases, case_123_plain_compressed_and_plain_in_one_table) {
  add_sensors();
  const std::array<Bytes, 3> dictionaries{"", "sensors", ""};
  for (std::size_t i = 0; i < 3; ++i) {
    tables().write("t", std::to_string(i), json{{"sensor", i}}, {.dictionary = dictionaries[i]});
  }
  EXPECT_EQ(pairs_of("t"),
            (Pairs{{"0", "{\"sensor\":0}"}, {"1", "{\"sensor\":1}"}, {"2", "{\"sensor\":2}"}}));
}

TEST_P(TablesRulesCases, case_124_three_dictionaries_are_listed) {
  for (const View name : {"c", "a", "b"}) tables().add_dictionary(name, deflate({{"name", "n"}}));
  EXPECT_EQ(tables().list_dictionaries().items, (std::vector<Bytes>{"a", "b", "c"}));
}

TEST_P(TablesRulesCases, case_125_four_concurrent_writes_with_two_dictionaries) {
  add_sensors();
  tables().add_dictionary("users", deflate({{"sensor", "t"}}));
  in_threads(4, [this](std::size_t thread) {
    const Bytes dictionary = thread % 2 == 0 ? "sensors" : "users";
    tables().write("t", std::to_string(thread), json{{"sensor", thread}}, {.dictionary = dictionary});
  });
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(text_of("t", std::to_string(i)), "{\"sensor\":" + std::to_string(i) + "}");
  }
}

// ---- Durable writes: an option of the store, so that the targets are the cases' variants

TEST_P(TablesRulesCases, case_126_a_write_that_is_durable_where_the_store_is) {
  EXPECT_EQ(tables().write("t", "key", json{{"a", 1}}), 1u);
  EXPECT_EQ(text_of("t", "key"), "{\"a\":1}");
}

TEST_P(TablesRulesCases, case_127_three_values_are_read_by_a_second_session) {
  for (const View key : {"a", "b", "c"}) tables().write("t", key, key);
  restart();
  EXPECT_EQ(pairs_of("t"), (Pairs{{"a", "\"a\""}, {"b", "\"b\""}, {"c", "\"c\""}}));
}

TEST_P(TablesRulesCases, case_128_a_store_that_is_not_durable_answers_the_same) {
  const std::shared_ptr<Store> other = Store::open("memory:");
  for (Tables each : {tables(), Tables(other->database("app"))}) {
    EXPECT_EQ(each.write("t", "key", 1), 1u);
    EXPECT_EQ(each.get("t", "key")->value.text(), "1");
  }
}

TEST_P(TablesRulesCases, case_129_a_store_of_which_nothing_is_said_answers_the_same) {
  testing_support::TemporaryFolder folder;
  const std::shared_ptr<Store> other = Store::open("file://" + folder.path());
  for (Tables each : {tables(), Tables(other->database("app"))}) {
    EXPECT_EQ(each.write("t", "key", 1), 1u);
    EXPECT_EQ(each.get("t", "key")->value.text(), "1");
  }
}

TEST_P(TablesRulesCases, case_130_a_dictionary_on_a_durable_store) {
  add_sensors();
  expect_same(json{{"sensor", 1}});
  restart();
  EXPECT_EQ(text_of("short", "key"), "{\"sensor\":1}");
}

TEST_P(TablesRulesCases, case_131_an_expiry_on_a_durable_store) {
  tables().write("t", "key", 1, {.expires_at_ms = now() + 60'000});
  restart();
  EXPECT_EQ(text_of("t", "key"), "1");
}

TEST_P(TablesRulesCases, case_132_ten_concurrent_durable_writes_are_all_readable) {
  in_threads(10, [this](std::size_t thread) { tables().write("t", std::to_string(thread), thread); });
  restart();
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(text_of("t", std::to_string(i)), std::to_string(i));
}

}  // namespace
}  // namespace holdfast
