#include "holdfast/pikodb_import.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/services/tables_fixture.h"

namespace holdfast {
namespace {

using nlohmann::json;

/// A table file as PikoDB 1.0.1 writes it, to the byte: no white space, members in the order d v t x n.
struct PikodbText {
  Bytes text = "[";
  PikodbText& add(const Bytes& key, const Bytes& value, int version = 1, const Bytes& time = "1700000000000",
                  const Bytes& expiry = "null", const Bytes& dictionary = "") {
    if (text.size() > 1) text += ',';
    text += "[" + json(key).dump() + ",{\"d\":" + value + ",\"v\":" + std::to_string(version) +
            ",\"t\":" + time + ",\"x\":" + expiry +
            (dictionary.empty() ? "" : ",\"n\":" + json(dictionary).dump()) + "}]";
    return *this;
  }
  Bytes end() const { return text + "]"; }
};

class PikodbImportTest : public TablesFixture {
 protected:
  void write_file(const std::string& name, const Bytes& content) {
    std::ofstream(folder_.path() + "/" + name, std::ios::binary) << content;
  }
  Bytes read_file(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(folder_.path() + "/" + name, std::ios::binary).rdbuf();
    return text.str();
  }
  PikodbReport import(const PikodbImportOptions& options = {}) {
    Tables handle = tables();
    return import_pikodb(handle, folder_.path(), options);
  }
  const std::string& folder() const { return folder_.path(); }
  static std::string joined(const PikodbFileReport& file) {
    std::string text;
    for (const std::string& problem : file.problems) text += problem + "\n";
    return text;
  }

 private:
  testing_support::TemporaryFolder folder_;
};
HOLDFAST_ON_EVERY_TARGET(PikodbImportTest);

TEST_P(PikodbImportTest, a_sound_folder_is_imported_with_versions_times_expiries_and_order) {
  const Bytes smallest = PikodbText().add("k1", "7").end();
  ASSERT_EQ(smallest.size(), 49u);
  ASSERT_EQ(PikodbText().add("k1", "7", 1, "1700000000000", "1999999999999").end().size(), 58u);
  write_file("single", smallest);
  write_file("users", PikodbText()
                          .add("zoë", "{\"b\":1.50,\"a\":[null,\"é\\n\"]}", 3, "1600000000001")
                          .add("anna", "null", 1, "1600000000002", "1999999999999")
                          .add("__proto__", "\"\\ud800\"", 2, "1600000000003")
                          .end());
  write_file("empty", "[]");
  const PikodbReport report = import();
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(report.imported, 4u);
  EXPECT_EQ(report.kept + report.expired + report.unreadable, 0u);
  for (const PikodbFileReport& file : report.files) EXPECT_EQ(joined(file), "");

  EXPECT_EQ(names(), (std::vector<Bytes>{"empty", "single", "users"}));
  EXPECT_EQ(pairs_of("single"), (Pairs{{"k1", "7"}}));
  EXPECT_TRUE(pairs_of("empty").empty());
  EXPECT_EQ(
      pairs_of("users"),
      (Pairs{{"zoë", "{\"b\":1.50,\"a\":[null,\"é\\n\"]}"}, {"anna", "null"}, {"__proto__", "\"\\ud800\""}}));
  const std::optional<TableRecord> zoe = tables().get("users", "zoë");
  EXPECT_EQ(zoe->version, 3u);
  EXPECT_EQ(zoe->written_at_ms, 1'600'000'000'001);
  EXPECT_FALSE(zoe->expires_at_ms);
  EXPECT_EQ(tables().get("users", "anna")->expires_at_ms, 1'999'999'999'999);
  EXPECT_EQ(tables().write("users", "zoë", 1), 4u) << "versions go on";
}

TEST_P(PikodbImportTest, the_folder_is_only_read) {
  write_file("damaged", "this is no table");
  write_file("users", PikodbText().add("a", "1", 1, "1600000000000", "5").end());
  import();
  EXPECT_EQ(read_file("damaged"), "this is no table");
  EXPECT_EQ(read_file("users"), PikodbText().add("a", "1", 1, "1600000000000", "5").end());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder()), {}), 2);
}

TEST_P(PikodbImportTest, expired_records_are_left_out_and_counted) {
  const auto in = [&](int ms) { return std::to_string(now() + ms); };
  write_file("t", PikodbText()
                      .add("past", "1", 1, "1600000000000", in(-1))
                      .add("now", "2", 1, "1600000000000", in(0))
                      .add("future", "3", 1, "1600000000000", in(10))
                      .end());
  const PikodbReport report = import();
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(report.expired, 1u);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"now", "2"}, {"future", "3"}}));
  advance(std::chrono::milliseconds(11));
  EXPECT_TRUE(pairs_of("t").empty());
}

TEST_P(PikodbImportTest, records_of_dictionaries_are_imported_with_their_long_names) {
  write_file(
      "t", PikodbText()
               .add("a", "{\"s\":\"outside\",\"t\":[{\"t\":21.50}],\"x\":1}", 1, "1600000000000", "null", "d")
               .add("b", "{\"sensor\":\"plain\",\"s\":1}")
               .add("c", "{\"n\":\"Anna\"}", 1, "1600000000000", "null", "i")
               .end());
  const PikodbDictionaries dictionaries = parse_pikodb_dictionaries(
      "{\"d\":{\"deflate\":{\"sensor\":\"s\",\"temperature\":\"t\"}},\"i\":{\"inflate\":{\"n\":\"name\"}}}");
  const PikodbReport report = import({.dictionaries = dictionaries});
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(pairs_of("t"),
            (Pairs{{"a", "{\"sensor\":\"outside\",\"temperature\":[{\"temperature\":21.50}],\"x\":1}"},
                   {"b", "{\"sensor\":\"plain\",\"s\":1}"},
                   {"c", "{\"name\":\"Anna\"}"}}));
  EXPECT_EQ(tables().get("t", "a")->dictionary, "d");
  EXPECT_EQ(tables().get("t", "b")->dictionary, "");
  EXPECT_EQ(tables().list_dictionaries().items, (std::vector<Bytes>{"d", "i"}));
  EXPECT_EQ(tables().get_dictionary("i"), deflate({{"name", "n"}}));
}

TEST_P(PikodbImportTest, records_of_an_unknown_dictionary_wait_for_a_run_that_knows_it) {
  write_file("t", PikodbText()
                      .add("a", "{\"s\":1}", 1, "1600000000000", "null", "d")
                      .add("b", "2")
                      .add("c", "{\"s\":3}", 1, "1600000000000", "null", "d")
                      .end());
  const PikodbReport first = import();
  EXPECT_FALSE(first.is_complete());
  EXPECT_EQ(first.unreadable, 2u);
  EXPECT_EQ(joined(first.files.at(0)), "2 records are left out, since the dictionary \"d\" was not given\n");
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "2"}}));
  const PikodbReport second = import({.dictionaries = {{"d", {false, {{"sensor", "s"}}}}}});
  EXPECT_TRUE(second.is_complete());
  EXPECT_EQ(second.imported, 2u);
  EXPECT_EQ(second.kept, 1u);
  EXPECT_EQ(text_of("t", "c"), "{\"sensor\":3}");
}

TEST_P(PikodbImportTest, short_names_are_kept_if_that_is_asked_for) {
  write_file("t", PikodbText().add("a", "{\"s\":1}", 1, "1600000000000", "null", "d").end());
  EXPECT_TRUE(import({.keep_short_names = true}).is_complete());
  EXPECT_EQ(text_of("t", "a"), "{\"s\":1}");
  EXPECT_EQ(tables().get("t", "a")->dictionary, "");
}

TEST_P(PikodbImportTest, records_of_a_dictionary_that_is_not_one_to_one_are_stored_in_full) {
  write_file("t", PikodbText().add("a", "{\"x\":1}", 1, "1600000000000", "null", "d").end());
  EXPECT_TRUE(import({.dictionaries = {{"d", {false, {{"a", "x"}, {"b", "x"}}}}}}).is_complete());
  EXPECT_EQ(text_of("t", "a"), "{\"b\":1}");
  EXPECT_TRUE(tables().list_dictionaries().items.empty());
}

TEST_P(PikodbImportTest, running_it_again_changes_nothing) {
  write_file("t", PikodbText().add("b", "1").add("a", "{\"s\":1}", 1, "1600000000000", "null", "d").end());
  write_file("empty", "[]");
  const PikodbImportOptions options{.dictionaries = {{"d", {false, {{"sensor", "s"}}}}}};
  import(options);
  const Digest before = database().digest();
  const Position position = database().position();
  const PikodbReport report = import(options);
  EXPECT_EQ(report.imported, 0u);
  EXPECT_EQ(report.kept, 2u);
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(database().digest(), before);
  EXPECT_EQ(database().position(), position);
}

TEST_P(PikodbImportTest, what_was_written_since_is_kept_and_what_pikodb_changed_is_imported) {
  write_file("t", PikodbText().add("a", "1").add("b", "1").end());
  import();
  tables().write("t", "a", "ours");
  write_file("t", PikodbText().add("a", "2", 2, "1700000000000").add("b", "2", 2, "1700000000001").end());
  const PikodbReport report = import();
  EXPECT_EQ(report.kept, 1u);
  EXPECT_EQ(report.imported, 1u);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"a", "\"ours\""}, {"b", "2"}}));
}

TEST_P(PikodbImportTest, an_interrupted_import_goes_on_where_it_ended) {
  PikodbText text;
  for (int i = 0; i < 600; ++i) text.add("key" + std::to_string(600 - i), std::to_string(i));
  write_file("t", text.end());
  const auto stop = [](const PikodbProgress& progress) {
    if (progress.records_done >= 250) throw std::runtime_error("stop");
  };
  EXPECT_THROW(import({.progress = stop}), std::runtime_error);
  EXPECT_EQ(tables().table_size("t"), 250u);
  const PikodbReport report = import();
  EXPECT_EQ(report.kept, 250u);
  EXPECT_EQ(report.imported, 350u);
  const Pairs pairs = pairs_of("t");
  ASSERT_EQ(pairs.size(), 600u);
  for (std::size_t i = 0; i < 600; ++i) EXPECT_EQ(pairs[i].second, std::to_string(i));
}

TEST_P(PikodbImportTest, progress_tells_files_and_records) {
  PikodbText text;
  for (int i = 0; i < 300; ++i) text.add("key" + std::to_string(i), "1");
  write_file("a", text.end());
  write_file("b", PikodbText().add("key", "1").end());
  write_file("c.txt", "foreign");
  std::string heard;
  import({.progress = [&](const PikodbProgress& progress) {
    heard += progress.file + " " + std::to_string(progress.records_done) + "/" +
             std::to_string(progress.records) + " " + std::to_string(progress.files_done) + "/" +
             std::to_string(progress.files) + "; ";
  }});
  EXPECT_EQ(heard, "a 250/300 0/3; a 300/300 0/3; b 1/1 1/3; c.txt 0/0 2/3; ");
}

TEST_P(PikodbImportTest, of_a_damaged_file_everything_readable_is_imported_and_the_rest_is_named) {
  const Bytes sound =
      PikodbText().add("secret1", "\"v1\"").add("secret2", "\"v2\"").add("secret3", "\"v3\"").end();
  Bytes flipped = sound;
  flipped[sound.find("\"v2\"")] = '}';
  write_file("cut", sound.substr(0, sound.size() - 20));
  write_file("flipped", flipped);
  write_file("marked", "\xEF\xBB\xBF" + sound);
  write_file("odd", "[7,null,[\"k\"],[\"\",{\"d\":1,\"v\":1,\"t\":1,\"x\":null}]," + sound.substr(1));
  const PikodbReport report = import();
  EXPECT_FALSE(report.is_complete());
  EXPECT_EQ(pairs_of("cut"), (Pairs{{"secret1", "\"v1\""}, {"secret2", "\"v2\""}}));
  EXPECT_EQ(pairs_of("flipped"), (Pairs{{"secret1", "\"v1\""}, {"secret3", "\"v3\""}}));
  EXPECT_EQ(pairs_of("marked").size(), 3u);
  EXPECT_EQ(pairs_of("odd").size(), 3u);
  EXPECT_EQ(report.files.at(3).unreadable, 4u);
  EXPECT_EQ(report.unreadable, 6u);
  for (const PikodbFileReport& file : report.files) {
    EXPECT_TRUE(file.is_table);
    EXPECT_FALSE(file.problems.empty()) << file.file;
    EXPECT_EQ(joined(file).find("secret"), std::string::npos) << "keys are not for reports";
    EXPECT_EQ(joined(file).find("v2"), std::string::npos) << "nor are values";
  }
}

TEST_P(PikodbImportTest, files_that_are_no_tables_are_named_and_left_out) {
  const std::vector<std::string> foreign = {"notes.txt", "object", "spaces", "numbers", "back\\slash", "CON"};
  write_file("notes.txt", "hello");
  write_file("object", "{}");
  write_file("spaces", "   ");
  write_file("numbers", "[1,2,3]");
  write_file("back\\slash", "[]");
  write_file("CON", "[]");
  std::filesystem::create_symlink("nowhere", folder() + "/unreadable");
  std::filesystem::create_directory(folder() + "/folder");
  const PikodbReport report = import();
  EXPECT_EQ(report.files.size(), foreign.size() + 1);
  for (const PikodbFileReport& file : report.files) {
    EXPECT_FALSE(file.is_table) << file.file;
    EXPECT_FALSE(file.passed_over) << file.file;
    EXPECT_FALSE(file.problems.empty()) << file.file;
  }
  EXPECT_FALSE(report.is_complete());
  EXPECT_TRUE(names().empty());
}

TEST_P(PikodbImportTest, a_file_of_0_bytes_is_an_empty_table_and_is_named) {
  write_file("t", "");
  const PikodbReport report = import();
  EXPECT_TRUE(report.is_complete());
  EXPECT_NE(joined(report.files.at(0)).find("0 bytes"), std::string::npos);
  EXPECT_EQ(names(), (std::vector<Bytes>{"t"}));
}

TEST_P(PikodbImportTest, case_004_dot_files_and_tmp_files_are_passed_over) {
  write_file(".hidden", PikodbText().add("a", "1").end());
  write_file("x.tmp", "half a ta");
  const PikodbReport report = import();
  ASSERT_EQ(report.files.size(), 2u);
  for (const PikodbFileReport& file : report.files) {
    EXPECT_TRUE(file.passed_over) << file.file;
    EXPECT_FALSE(file.problems.empty()) << file.file;
  }
  EXPECT_TRUE(report.is_complete());
  EXPECT_TRUE(names().empty());
}

TEST_P(PikodbImportTest, z06_a_whole_table_whose_name_ends_in_tmp_is_imported) {
  write_file("x.tmp", PikodbText().add("a", "1").end());
  const PikodbReport report = import();
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(pairs_of("x.tmp"), (Pairs{{"a", "1"}}));
}

TEST_P(PikodbImportTest, z05_what_interrupted_writes_left_behind_is_no_table) {
  write_file("users", PikodbText().add("a", "1").end());
  write_file("users.tmp.1700000000000.x7k2p", PikodbText().add("a", "2").end());
  write_file("users.tmp.1700000000001.", "[[\"a\",{\"d\":3");
  write_file("orders.tmp.1700000000002.ab12", PikodbText().add("o", "1").end());
  const PikodbReport report = import();
  EXPECT_TRUE(report.is_complete());
  EXPECT_EQ(names(), (std::vector<Bytes>{"users"}));
  EXPECT_EQ(pairs_of("users"), (Pairs{{"a", "1"}}));
  EXPECT_NE(joined(report.files.at(0)).find("rename it"), std::string::npos) << "the only copy of orders";
  EXPECT_EQ(joined(report.files.at(2)).find("rename it"), std::string::npos);
}

TEST_P(PikodbImportTest, values_of_any_size_are_imported) {
  write_file("t", PikodbText().add("large", "\"" + Bytes(3'000'000, 'x') + "\"").add("small", "1").end());
  EXPECT_TRUE(import().is_complete());
  EXPECT_EQ(tables().get("t", "large")->value.size_bytes(), 3'000'002u);
  EXPECT_EQ(text_of("t", "small"), "1");
}

TEST_P(PikodbImportTest, a_value_nested_beyond_the_limit_is_named) {
  write_file("t", PikodbText().add("deep", Bytes(2'000, '[') + Bytes(2'000, ']')).add("b", "1").end());
  const PikodbReport report = import();
  EXPECT_EQ(report.unreadable, 1u);
  EXPECT_NE(joined(report.files.at(0)).find("nested"), std::string::npos);
  EXPECT_EQ(pairs_of("t"), (Pairs{{"b", "1"}}));
}

TEST_P(PikodbImportTest, a_folder_that_is_not_there_is_an_error) {
  Tables handle = tables();
  EXPECT_EQ(code_of([&] { import_pikodb(handle, folder() + "/none"); }), Code::not_found);
}

TEST(PikodbDictionaries, ARefusedTextSaysWhatIsExpected) {
  for (const View text :
       {"", "[]", "{\"d\":{}}", "{\"d\":{\"deflate\":{},\"inflate\":{}}}", "{\"d\":{\"other\":{}}}",
        "{\"d\":{\"deflate\":{\"a\":1}}}", "{} x", "{\"\xff\":{\"deflate\":{}}}"}) {
    try {
      parse_pikodb_dictionaries(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_NE(std::string(error.what()).find("deflate"), std::string::npos);
    }
  }
}

TEST(PikodbDictionaries, TheOrderOfTheNamesIsKept) {
  const PikodbDictionaries read =
      parse_pikodb_dictionaries("{\"d\":{\"deflate\":{\"z\":\"x\",\"a\":\"x\"}}}");
  EXPECT_EQ(read.at("d").names, (std::vector<std::pair<Bytes, Bytes>>{{"z", "x"}, {"a", "x"}}));
  EXPECT_FALSE(read.at("d").is_inflate);
}

}  // namespace
}  // namespace holdfast
