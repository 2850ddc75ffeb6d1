#include "migrate/pikodb_file.h"

#include <gtest/gtest.h>

#include "migrate/json_scan.h"

namespace holdfast {
namespace {

/// "key=value@offset" of every record.
std::string records_of(const PikodbFile& file) {
  std::string text;
  for (const PikodbRecord& record : file.records) {
    text += record.key + "=" + Bytes(record.value) + "@" + std::to_string(record.offset) + " ";
  }
  return text;
}

std::string first_problem(const PikodbFile& file) {
  const std::vector<std::string> listed = file.problems.listed();
  return listed.empty() ? "none" : listed.front();
}

/// A record as PikoDB writes it.
Bytes record(const Bytes& key, const Bytes& value) {
  return "[\"" + key + "\",{\"d\":" + value + ",\"v\":1,\"t\":1700000000000,\"x\":null}]";
}

TEST(PikodbFile, ReadsWhatPikodbWrites) {
  const Bytes text = "[[\"k1\",{\"d\":7,\"v\":1,\"t\":1700000000000,\"x\":null}]]";
  ASSERT_EQ(text.size(), 49u);
  const PikodbFile file = parse_pikodb_file(text);
  EXPECT_TRUE(file.is_table);
  EXPECT_EQ(first_problem(file), "none");
  ASSERT_EQ(file.records.size(), 1u);
  EXPECT_EQ(file.records[0].key, "k1");
  EXPECT_EQ(file.records[0].value, "7");
  EXPECT_EQ(file.records[0].version, 1u);
  EXPECT_EQ(file.records[0].written_at_ms, 1'700'000'000'000);
  EXPECT_FALSE(file.records[0].expires_at_ms);
  EXPECT_EQ(file.records[0].dictionary, "");
}

TEST(PikodbFile, ReadsExpiryVersionAndDictionary) {
  const Bytes text =
      "[[\"k\",{\"d\":{\"s\":1},\"v\":12,\"t\":1700000000000,\"x\":1999999999999,\"n\":\"sensors\"}]]";
  const PikodbFile file = parse_pikodb_file(text);
  ASSERT_EQ(file.records.size(), 1u);
  EXPECT_EQ(file.records[0].version, 12u);
  EXPECT_EQ(file.records[0].expires_at_ms, 1'999'999'999'999);
  EXPECT_EQ(file.records[0].dictionary, "sensors");
}

TEST(PikodbFile, AnEmptyTableIsTwoBytesOrNone) {
  EXPECT_TRUE(parse_pikodb_file("[]").is_table);
  EXPECT_EQ(first_problem(parse_pikodb_file("[]")), "none");
  EXPECT_TRUE(parse_pikodb_file("").is_table);
  EXPECT_NE(first_problem(parse_pikodb_file("")), "none");
}

TEST(PikodbFile, ExpiriesArePikodbs) {
  const auto expiry_of = [](const Bytes& x) {
    const Bytes text = "[[\"k\",{\"d\":1,\"v\":1,\"t\":1,\"x\":" + x + "}]]";
    return parse_pikodb_file(text).records.at(0).expires_at_ms;
  };
  EXPECT_EQ(expiry_of("5"), 5);
  EXPECT_EQ(expiry_of("-5"), -5);
  EXPECT_EQ(expiry_of("5.9"), 5) << "at 5 it is there, at 6 it is not";
  EXPECT_EQ(expiry_of("\"5\""), 5) << "text is compared as a number";
  EXPECT_EQ(expiry_of("1.7e12"), 1'700'000'000'000);
  EXPECT_EQ(expiry_of("-1e300"), -9'007'199'254'740'992);
  for (const Bytes never : {"null", "0", "\"\"", "\"x\"", "1e300", "false", "{}", "[]"}) {
    EXPECT_EQ(expiry_of(never), std::nullopt) << never;
  }
}

TEST(PikodbFile, TheLastOfARepeatedKeyCountsAtThePlaceOfTheFirst) {
  const Bytes text = "[" + record("a", "1") + "," + record("b", "2") + "," + record("a", "3") + "]";
  const PikodbFile file = parse_pikodb_file(text);
  ASSERT_EQ(file.records.size(), 2u);
  EXPECT_EQ(file.records[0].key + Bytes(file.records[0].value), "a3");
  EXPECT_EQ(file.records[1].key, "b");
}

TEST(PikodbFile, WhatIsNoArrayIsNoTable) {
  for (const View text : {"{}", "null", "5", "\"text\"", "hello", "   "}) {
    const PikodbFile file = parse_pikodb_file(text);
    EXPECT_FALSE(file.is_table) << text;
    EXPECT_NE(first_problem(file), "none") << text;
  }
  EXPECT_FALSE(parse_pikodb_file("[1,2,3]").is_table) << "an array without one record is somebody else's";
}

TEST(PikodbFile, ABadRecordCostsItselfOnly) {
  for (const Bytes bad :
       {"7", "null", "[]", "[\"k\"]", "[\"k\",null]", "[\"k\",5]", "[7,{\"d\":1,\"v\":1,\"t\":1,\"x\":null}]",
        "[\"k\",{}]", "[\"k\",{\"v\":1,\"t\":1,\"x\":null}]", "[\"k\",{\"d\":1,\"v\":\"x\",\"t\":1}]",
        "[\"k\",{\"d\":1,\"v\":0}]", "[\"k\",{\"d\":1,\"t\":null}]", "[\"\\ud800\",{\"d\":1}]"}) {
    const Bytes text = "[" + record("a", "1") + "," + bad + "," + record("b", "2") + "]";
    const PikodbFile file = parse_pikodb_file(text);
    EXPECT_EQ(file.records.size(), 2u) << bad;
    EXPECT_EQ(file.unreadable, 1u) << bad;
    EXPECT_TRUE(first_problem(file).starts_with("record 2 at byte 48: ")) << first_problem(file);
  }
}

TEST(PikodbFile, MissingVersionAndTimeAreMadeUp) {
  const PikodbFile file = parse_pikodb_file("[[\"k\",{\"d\":1,\"other\":2}]]");
  ASSERT_EQ(file.records.size(), 1u);
  EXPECT_EQ(file.records[0].version, 1u);
  EXPECT_FALSE(file.records[0].written_at_ms);
}

TEST(PikodbFile, EveryCutOfAFileGivesTheRecordsBeforeIt) {
  const Bytes text =
      "[" + record("a", "{\"x\":[1]}") + "," + record("b", "\"],[\"") + "," + record("c", "[]") + "]";
  std::size_t records = 0;
  for (std::size_t size = 1; size < text.size(); ++size) {
    const Bytes cut = text.substr(0, size);
    const PikodbFile file = parse_pikodb_file(cut);
    EXPECT_GE(file.records.size(), records) << size;
    records = file.records.size();
    EXPECT_NE(first_problem(file), "none") << size;
    EXPECT_TRUE(first_problem(file).starts_with("byte " + std::to_string(size) + ": "))
        << first_problem(file);
  }
  EXPECT_EQ(records, 3u) << "all but the closing bracket";
}

TEST(PikodbFile, WhatLiesBehindADamagedPlaceIsFound) {
  const Bytes sound = "[" + record("a", "1") + "," + record("b", "2") + "," + record("c", "3") + "]";
  for (const std::size_t at :
       {std::size_t{53}, std::size_t{54}, std::size_t{56}, std::size_t{58}, std::size_t{62}}) {
    Bytes text = sound;
    text[at] = '\x01';
    const PikodbFile file = parse_pikodb_file(text);
    EXPECT_EQ(records_of(file), "a=1@1 c=3@95 ") << at;
    EXPECT_EQ(file.unreadable, 1u);
    EXPECT_TRUE(first_problem(file).ends_with("; bytes 48 to 94 were lost")) << first_problem(file);
  }
}

TEST(PikodbFile, NoPartOfAValueIsTakenForARecord) {
  const Bytes text = "[[\"a\",{\"d\":[{\"q\":1},[[{}],[\"k\",{\"d\":1}]]],\x01 broken";
  EXPECT_EQ(parse_pikodb_file(text).records.size(), 0u);
}

TEST(PikodbFile, ARecordThatIsNoUtf8IsLostAlone) {
  const Bytes text = "[" + record("a", "\"\xff\"") + "," + record("b", "\"é\"") + "]";
  const PikodbFile file = parse_pikodb_file(text);
  ASSERT_EQ(file.records.size(), 1u);
  EXPECT_EQ(file.records[0].value, "\"é\"");
  EXPECT_EQ(file.unreadable, 1u);
}

TEST(PikodbFile, AByteOrderMarkAndATailArePassedOver) {
  const PikodbFile marked = parse_pikodb_file("\xEF\xBB\xBF[" + record("a", "1") + "]");
  EXPECT_EQ(marked.records.size(), 1u);
  EXPECT_NE(first_problem(marked), "none");
  const Bytes text = "[" + record("a", "1") + "]" + "[[";
  EXPECT_EQ(parse_pikodb_file(text).records.size(), 1u);
  EXPECT_NE(first_problem(parse_pikodb_file(text)), "none");
  EXPECT_EQ(first_problem(parse_pikodb_file("[" + record("a", "1") + "]\n")), "none");
}

TEST(PikodbFile, ProblemsAreListedUpToTwenty) {
  Bytes text = "[" + record("a", "1");
  for (int i = 0; i < 30; ++i) text += ",7";
  const std::vector<std::string> listed = parse_pikodb_file(text + "]").problems.listed();
  ASSERT_EQ(listed.size(), 20u);
  EXPECT_EQ(listed.back(), "and 11 more");
}

TEST(InflatePikodbValue, RenamesMembersAtEveryDepthAndNothingElse) {
  const PikodbDictionary deflate{false, {{"sensor", "s"}, {"temperature", "t"}}};
  EXPECT_EQ(inflate_pikodb_value("{\"s\":\"s\",\"t\":[{\"s\":1.50},\"t\"],\"other\":{\"t\":null}}", deflate),
            "{\"sensor\":\"s\",\"temperature\":[{\"sensor\":1.50},\"t\"],\"other\":{\"temperature\":null}}");
  const PikodbDictionary inflate{true, {{"s", "sensor"}}};
  EXPECT_EQ(inflate_pikodb_value("{\"s\":1}", inflate), "{\"sensor\":1}");
  for (const View text : {"null", "1e400", "\"s\"", "[]", "{}"}) {
    EXPECT_EQ(inflate_pikodb_value(text, deflate), text);
  }
}

TEST(InflatePikodbValue, DoesWithDictionariesThatAreNotOneToOneWhatPikodbDoes) {
  EXPECT_EQ(inflate_pikodb_value("{\"x\":1}", {false, {{"a", "x"}, {"b", "x"}}}), "{\"b\":1}");
  EXPECT_EQ(inflate_pikodb_value("{\"x\":1,\"y\":2}", {true, {{"x", "a"}, {"y", "a"}}}), "{\"a\":2}");
  EXPECT_EQ(inflate_pikodb_value("{\"s\":1,\"sensor\":2}", {false, {{"sensor", "s"}}}), "{\"sensor\":2}");
  EXPECT_EQ(inflate_pikodb_value("{\"s\":1}", {true, {{"s", ""}}}), "{\"s\":1}");
}

TEST(InflatePikodbValue, KnowsItsOwnNamesOnly) {
  const PikodbDictionary dictionary{false, {{"sensor", "s"}}};
  const View text = "{\"constructor\":1,\"toString\":2,\"__proto__\":3}";
  EXPECT_EQ(inflate_pikodb_value(text, dictionary), text);
}

TEST(InflatePikodbValue, RefusesWhatIsNestedTooDeeply) {
  const Bytes deep = Bytes(100'000, '[') + Bytes(100'000, ']');
  EXPECT_THROW(inflate_pikodb_value(deep, {}), JsonFault);
}

}  // namespace
}  // namespace holdfast
