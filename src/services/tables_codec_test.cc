#include "services/tables_codec.h"

#include <gtest/gtest.h>

#include "holdfast/error.h"
#include "services/tables_layout.h"

namespace holdfast::tables {
namespace {

TEST(TablesCodec, ARowIsReadableJson) {
  Row row;
  row.version = 3;
  row.written_at_ms = 1'700'000'000'000;
  row.place = {-17, 4};
  const StoredPayload value{Payload::Kind::json, "{\"a\":1}", {}, 7};
  EXPECT_EQ(row.text_with(value), "{\"v\":3,\"t\":1700000000000,\"o\":[-17,4],\"value\":{\"a\":1}}");
  row.expires_at_ms = -5;
  row.dictionary_id = "0123456789abcdef";
  row.generation = 2;
  row.whole_key = "a \"key\"";
  EXPECT_EQ(row.text_with(value),
            "{\"v\":3,\"t\":1700000000000,\"o\":[-17,4],\"x\":-5,\"n\":\"0123456789abcdef\",\"g\":2,"
            "\"k\":\"a \\\"key\\\"\",\"value\":{\"a\":1}}");
}

TEST(TablesCodec, ARowIsReadAsItWasWritten) {
  Row row;
  row.version = 3;
  row.written_at_ms = -1;
  row.place = {5, 6};
  row.expires_at_ms = 7;
  row.dictionary_id = "id";
  row.generation = 8;
  row.whole_key = "é\n\\";
  const Bytes text = row.text_with({Payload::Kind::json, {}, "0123", 300'000});
  const Row read = Row::parse(text);
  EXPECT_EQ(read.version, 3u);
  EXPECT_EQ(read.written_at_ms, -1);
  EXPECT_EQ(read.place, (Place{5, 6}));
  EXPECT_EQ(read.expires_at_ms, 7);
  EXPECT_EQ(read.dictionary_id, "id");
  EXPECT_EQ(read.generation, 8u);
  EXPECT_EQ(read.whole_key, "é\n\\");
  EXPECT_TRUE(read.is_object());
  EXPECT_EQ(read.stored().object, "0123");
  EXPECT_EQ(read.stored().size_bytes, 300'000u);
}

TEST(TablesCodec, MarksTablesAndDefinitionsAreReadAsTheyWereWritten) {
  const Mark mark = Mark::parse(Mark{3, {1, 2}, 5, 2}.text());
  EXPECT_EQ(mark.version, 3u);
  EXPECT_EQ(mark.place, (Place{1, 2}));
  EXPECT_EQ(mark.expires_at_ms, 5);
  EXPECT_EQ(mark.generation, 2u);
  for (const auto state : {TableEntry::State::live, TableEntry::State::mixed, TableEntry::State::erased}) {
    const TableEntry table = TableEntry::parse(TableEntry{4, 0xfedcba9876543210u, -9, state}.text());
    EXPECT_EQ(table.generation, 4u);
    EXPECT_EQ(table.history, 0xfedcba9876543210u);
    EXPECT_EQ(table.base, -9);
    EXPECT_EQ(table.state, state);
  }
  const Bytes text = DefinitionText{"a \"name\"", "{\"a\":\"b\"}"}.text();
  EXPECT_EQ(text, "{\"name\":\"a \\\"name\\\"\",\"deflate\":{\"a\":\"b\"}}");
  EXPECT_EQ(DefinitionText::parse(text).name, "a \"name\"");
  EXPECT_EQ(DefinitionText::parse(text).names, "{\"a\":\"b\"}");
}

TEST(TablesCodec, NoCutOfAnEntryIsReadAsOne) {
  const auto is_refused = [](const auto& parse) {
    try {
      parse();
    } catch (const Error& error) {
      return error.code() == Code::corruption;
    }
    return false;
  };
  Row row;
  row.whole_key = "key";
  row.expires_at_ms = 5;
  const Bytes row_text = row.text_with({Payload::Kind::json, "{\"a\":[1,2]}", {}, 11});
  const Bytes mark_text = Mark{3, {1, 2}, 5, 2}.text();
  const Bytes table_text = TableEntry{}.text();
  const std::size_t value_begins = row_text.find("\"value\"");
  for (std::size_t size = 0; size < value_begins + 8; ++size) {
    EXPECT_TRUE(is_refused([&] { Row::parse(View(row_text).substr(0, size)).stored(); })) << size;
  }
  for (std::size_t size = 0; size < mark_text.size(); ++size) {
    EXPECT_TRUE(is_refused([&] { Mark::parse(View(mark_text).substr(0, size)); })) << size;
  }
  for (std::size_t size = 0; size < table_text.size(); ++size) {
    EXPECT_TRUE(is_refused([&] { TableEntry::parse(View(table_text).substr(0, size)); })) << size;
  }
}

TEST(TablesLayout, LongKeysAreCutAndStayDifferentAndInUtf8) {
  const Bytes shortest(1'024, 'k');
  EXPECT_EQ(key_segment(shortest), shortest);
  const Bytes one = key_segment(Bytes(2'000, 'k') + "1");
  const Bytes two = key_segment(Bytes(2'000, 'k') + "2");
  EXPECT_NE(one, two);
  EXPECT_EQ(one.size(), 1'057u);
  EXPECT_TRUE(one.starts_with(Bytes(1'024, 'k') + "~"));
  Bytes wide = "k";
  while (wide.size() < 3'000) wide += "鍵";
  EXPECT_EQ(key_segment(wide).substr(1'021, 4), "鍵~") << "not cut within a character";
}

}  // namespace
}  // namespace holdfast::tables
