#include "migrate/json_scan.h"

#include <gtest/gtest.h>

#include "migrate/text.h"

namespace holdfast {
namespace {

/// The offset of the fault, or -1.
int fault_of(View text) {
  try {
    JsonScanner scanner(text);
    scanner.value();
    return scanner.is_at_end() ? -1 : static_cast<int>(scanner.at());
  } catch (const JsonFault& fault) {
    return static_cast<int>(fault.offset);
  }
}

TEST(JsonScanner, TakesEveryKindOfValueAsItIsWritten) {
  for (const View text :
       {"null", "true", "false", "0", "-0", "1.50", "1E+2", "-1e-7", "\"\"", "\"a\\u0041\\n\"", "[]", "{}",
        "[1,[2,{\"a\":[]}],\"x\"]", "{\"a\":{\"b\":1},\"a\":2}"}) {
    EXPECT_EQ(JsonScanner(text).value(), text);
    EXPECT_EQ(fault_of(text), -1) << text;
  }
}

TEST(JsonScanner, PassesOverWhiteSpace) { EXPECT_EQ(fault_of(" [ 1 ,\n{ \"a\" : \t2 } ] \r"), -1); }

TEST(JsonScanner, GivesBackWhatADumpHasWrittenAsAString) {
  for (std::size_t size = 1; size < 24; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (const char c : {'"', '\\', '\n', '\x01', '\x7f', '/'}) {
        Bytes text(size, 'a');
        text[at] = c;
        const std::string written = migrate::json_string(text);
        EXPECT_EQ(JsonScanner(written).value(), written);
        EXPECT_EQ(json_string_content(written), text);
        EXPECT_EQ(written.find('\x7f'), std::string::npos) << "a terminal would not show it";
      }
    }
  }
}

TEST(JsonScanner, NeedsNoStackForNesting) {
  const Bytes deep = Bytes(1'000'000, '[') + Bytes(1'000'000, ']');
  EXPECT_EQ(JsonScanner(deep).value().size(), deep.size());
}

TEST(JsonScanner, SaysWhereTheTextIsNoJson) {
  const std::vector<std::pair<View, int>> faults = {
      {"", 0},        {"[1", 2},     {"[1 2]", 3},       {"{\"a\"}", 4},    {"{a:1}", 1},
      {"tru", 3},     {"01", 1},     {"1.", 2},          {"-", 1},          {"+1", 0},
      {"\"a", 2},     {"\"\n\"", 1}, {"]", 0},           {"{\"a\":1,}", 7}, {"[1,]", 3},
      {"\"\\x\"", 2}, {"1 1", 2},    {"\"\\u12g4\"", 5}, {"[1}", 2},        {"nul!", 0}};
  for (const auto& [text, offset] : faults) EXPECT_EQ(fault_of(text), offset) << text;
}

TEST(JsonStringContent, IsWhatTheEscapesStandFor) {
  EXPECT_EQ(json_string_content("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\""),
            "a\"\\/\b\f\n\r\té€😀");
  EXPECT_EQ(json_string_content("\"\\u0000\""), Bytes(1, '\0'));
}

TEST(JsonStringContent, IsNothingForHalfOfASurrogatePair) {
  for (const View text : {"\"\\ud800\"", "\"\\ude00\"", "\"\\ud800x\"", "\"\\ud800\\u0041\""}) {
    EXPECT_EQ(json_string_content(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace holdfast
