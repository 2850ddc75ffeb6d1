#include "services/json_pointer.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "holdfast/error.h"
#include "services/json_text.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

std::string at(View pointer, View document) {
  return Bytes(JsonPointer::parse(pointer).find(document).value_or("nothing"));
}

TEST(JsonPointer, finds_members_and_elements) {
  const View document = R"({"a":{"b":[10,"x",{"c":null}]},"":1,"d":true})";
  EXPECT_EQ(at("", document), document);
  EXPECT_EQ(at("/a/b/0", document), "10");
  EXPECT_EQ(at("/a/b/1", document), "\"x\"");
  EXPECT_EQ(at("/a/b/2/c", document), "null");
  EXPECT_EQ(at("/a/b", document), R"([10,"x",{"c":null}])");
  EXPECT_EQ(at("/", document), "1");
  EXPECT_EQ(at("/d", document), "true");
}

TEST(JsonPointer, finds_nothing_where_there_is_nothing) {
  for (const View pointer :
       {"/x", "/a/0", "/b/2", "/b/-", "/b/00", "/b/x", "/b/", "/c/d", "/b/0/0", "/e/0"}) {
    EXPECT_EQ(at(pointer, R"({"a":{},"b":[1,2],"c":"d","e":[]})"), "nothing") << pointer;
  }
}

TEST(JsonPointer, escapes_stand_for_what_they_stand_for) {
  EXPECT_EQ(at("/a~1b/~0c/~01", R"({"a/b":{"~c":{"~1":1}}})"), "1");
  EXPECT_EQ(at("/a\"b\n", R"({"a\"b\n":2})"), "2");
  EXPECT_EQ(at("/\xc3\xa9", R"({"\u00e9":3})"), "3");
}

TEST(JsonPointer, is_not_misled_by_strings) {
  EXPECT_EQ(at("/b", R"({"a":"}],\"b\":1,{\\","b":2})"), "2");
  EXPECT_EQ(at("/b", R"({"a":{"b":1,"x":["}"]},"b":2})"), "2");
}

TEST(JsonPointer, of_members_of_one_name_the_last_counts) {
  EXPECT_EQ(at("/a/b", R"({"a":{"b":1},"a":{"b":2,"b":3}})"), "3");
}

TEST(JsonPointer, refuses_what_is_no_pointer) {
  for (const View text : {"a", "a/b", "/~", "/~2", "/a~", "/~/0"}) {
    EXPECT_THROW(JsonPointer::parse(text), Error) << text;
  }
}

TEST(JsonPointer, agrees_with_a_parser_on_random_documents) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  const auto pick = [&](auto... choices) {
    const std::vector<Bytes> all{choices...};
    return all[random() % all.size()];
  };
  const std::function<nlohmann::json(int)> document = [&](int depth) -> nlohmann::json {
    const auto kind = random() % (depth == 0 ? 3 : 5);
    if (kind == 0) return static_cast<int>(random() % 10);
    if (kind == 1) return pick("", "a", "}", "\"", "\\", ",b");
    if (kind == 2) return nullptr;
    nlohmann::json out = kind == 3 ? nlohmann::json::object() : nlohmann::json::array();
    for (auto i = random() % 4; i > 0; --i) {
      if (kind == 3) {
        out[pick("a", "b", "0", "a/b", "\"", "~")] = document(depth - 1);
      } else {
        out.push_back(document(depth - 1));
      }
    }
    return out;
  };
  for (int run = 0; run < 2'000; ++run) {
    const nlohmann::json json = document(4);
    Bytes pointer;
    for (auto i = random() % 4; i > 0; --i) pointer += pick("/a", "/b", "/0", "/1", "/a~1b", "/\"", "/~0");
    const nlohmann::json::json_pointer reference(pointer);
    const bool is_there = json.contains(reference);
    EXPECT_EQ(at(pointer, json.dump()), is_there ? json.at(reference).dump() : "nothing");
  }
}

TEST(DecodedJsonString, decodes_every_escape) {
  EXPECT_EQ(decoded_json_string(R"("a\"\\\/\b\f\n\r\t")"), "a\"\\/\b\f\n\r\t");
  EXPECT_EQ(decoded_json_string(R"("\u0000\u0041\u00e9\u20AC\ud83d\ude00")"),
            Bytes("\0A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 11));
  EXPECT_EQ(decoded_json_string(R"("\ud83dx\ud83d\u0041\ude00")"),
            "\xed\xa0\xbdx\xed\xa0\xbd"
            "A\xed\xb8\x80");
}

TEST(DecodedJsonString, is_the_inverse_of_json_string) {
  Bytes text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "\xc3\xa9\xf0\x9f\x98\x80";
  EXPECT_EQ(decoded_json_string(json_string(text)), text);
}

}  // namespace
}  // namespace holdfast
