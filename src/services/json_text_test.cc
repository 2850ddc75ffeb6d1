#include "services/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "holdfast/error.h"
#include "holdfast/payload.h"

namespace holdfast {
namespace {

/// The message, or what was accepted.
std::string refusal_of(View text) {
  try {
    return "accepted: " + minified_json(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
}

TEST(JsonText, loses_white_space_between_tokens_and_nothing_else) {
  EXPECT_EQ(minified_json(" { \"b\" : [ 1.10 , -0 , 1e5 ] ,\r\n\t\"a\":\"x  y\" } "),
            "{\"b\":[1.10,-0,1e5],\"a\":\"x  y\"}");
}

TEST(JsonText, keeps_numbers_words_and_members_as_they_were_given) {
  for (const View text : {"0", "-0", "1.10", "123456789012345678901234567890", "1E+2", "true", "false",
                          "null", "\"\"", "\"true\"", "{}", "[]", "[[],{}]", "{\"a\":1,\"a\":2}",
                          "\"\\u00e4\\/\"", "\"ä\"", "[null,{\"\":[]}]"}) {
    EXPECT_EQ(minified_json(text), text);
  }
}

TEST(JsonText, refuses_what_is_no_json_and_names_the_offset) {
  for (const View text :
       {"",        " ",        "{",     "[",     "}",   "]",         "[1,]",      "{\"a\":1,}",
        "{\"a\"}", "{\"a\":}", "{a:1}", "[1 2]", "01",  "1.",        ".5",        "1e",
        "+1",      "--1",      "tru",   "nulls", "\"",  "\"\\x\"",   "\"\\u12\"", "\"\\u12g4\"",
        "1 2",     "[}",       "{]",    "NaN",   "'a'", "{\"a\":1]", "[1}"}) {
    EXPECT_TRUE(refusal_of(text).find("at offset ") != std::string::npos) << text << ": " << refusal_of(text);
  }
  EXPECT_NE(refusal_of("[1,]").find("at offset 3"), std::string::npos);
  EXPECT_NE(refusal_of(View("\"a\0b\"", 5)).find("control character"), std::string::npos);
}

TEST(JsonText, refuses_text_that_is_not_utf8) {
  for (const View text : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xe0\x9f\x80\"", "\"\xed\xa0\x80\"",
                          "\"\xf4\x90\x80\x80\"", "\"\xe4\"", "\"\xf0\x8f\xbf\xbf\""}) {
    EXPECT_NE(refusal_of(text).find("UTF-8"), std::string::npos) << text;
  }
  EXPECT_TRUE(is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
}

TEST(JsonText, sees_what_has_to_be_escaped_wherever_it_stands) {
  for (std::size_t size = 1; size < 40; ++size) {
    EXPECT_EQ(plain_json_length(Bytes(size, 'a'), 0), size);
    for (std::size_t at = 0; at < size; ++at) {
      for (const char c : {'"', '\\', '\0', '\n', '\x1f'}) {
        Bytes text(size, '\x7f');
        text[at] = c;
        if (at + 1 < size) text[at + 1] = ' ';
        EXPECT_EQ(plain_json_length(text, 0), at) << size;
        EXPECT_EQ(plain_json_length(text, at), 0u);
        EXPECT_EQ(nlohmann::json::parse(json_string(text)).get<Bytes>(), text);
        EXPECT_EQ(minified_json(json_string(text)), json_string(text));
      }
    }
  }
  EXPECT_EQ(plain_json_length("\x20\x21\x23\x5b\x5d\x7e\x7f\x80\xff!", 0), 10u);
}

TEST(JsonText, names_the_offset_of_what_is_not_utf8) {
  EXPECT_NE(refusal_of("\"0123456789\xc3\xa4 \xff 0123456789\"").find("at offset 14"), std::string::npos);
}

TEST(JsonText, refuses_what_is_nested_too_deep) {
  const auto nested = [](std::size_t depth) { return Bytes(depth, '[') + Bytes(depth, ']'); };
  EXPECT_EQ(minified_json(nested(limits::kPayloadDepth)), nested(limits::kPayloadDepth));
  EXPECT_NE(refusal_of(nested(limits::kPayloadDepth + 1)).find("nested deeper than 500"), std::string::npos);
  EXPECT_NE(refusal_of(Bytes(1'000'000, '[')).find("nested deeper"), std::string::npos);
}

TEST(JsonText, writes_strings_that_read_back) {
  const Bytes text("a\"\\\n\t\1\x7f/ä€", 13);
  EXPECT_EQ(nlohmann::json::parse(json_string(text)).get<Bytes>(), text);
  EXPECT_THROW(json_string("\xff"), Error);
}

TEST(Payload, is_what_it_was_made_of) {
  EXPECT_EQ(Payload(7).text(), "7");
  EXPECT_EQ(Payload("true").text(), "\"true\"");
  EXPECT_EQ(Payload(nullptr).text(), "null");
  EXPECT_EQ(Payload(nlohmann::json{{"a", {1, 2}}}).json()["a"][1], 2);
  EXPECT_EQ(Payload::parse("{\"b\": 1.10, \"a\": 2}").text(), "{\"b\":1.10,\"a\":2}");
  EXPECT_FALSE(Payload::bytes("7") == Payload(7));
  EXPECT_THROW(Payload::bytes("7").json(), Error);
  EXPECT_THROW(Payload("\xff"), Error);
}

}  // namespace
}  // namespace holdfast
