#include "services/name_dictionary.h"

#include <gtest/gtest.h>

#include <random>

#include "holdfast/error.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

NameDictionary deflating(std::map<Bytes, Bytes> names) {
  return NameDictionary(TableDictionary{std::move(names), std::nullopt});
}

TEST(NameDictionary, ShortensNamesAndNothingElse) {
  const NameDictionary dictionary = deflating({{"sensor", "s"}});
  EXPECT_EQ(dictionary.deflate("{\"sensor\":\"sensor\",\"a\":[\"sensor\",{\"sensor\":1.50}]}"),
            "{\"s\":\"sensor\",\"a\":[\"sensor\",{\"s\":1.50}]}");
  EXPECT_EQ(dictionary.deflate("\"sensor\""), "\"sensor\"");
  EXPECT_EQ(dictionary.deflate("{\"a\":\"\\\"sensor\\\":1\"}"), "{\"a\":\"\\\"sensor\\\":1\"}");
}

TEST(NameDictionary, EscapesNamesThatWouldBeMistaken) {
  const NameDictionary dictionary = deflating({{"sensor", "s"}});
  EXPECT_EQ(dictionary.deflate("{\"s\":1,\"sensor\":2,\"~x\":3}"), "{\"~s\":1,\"s\":2,\"~~x\":3}");
}

TEST(NameDictionary, TakesNamesThatNeedEscapes) {
  const NameDictionary dictionary = deflating({{"a \"b\"", "\\"}});
  EXPECT_EQ(dictionary.deflate("{\"a \\\"b\\\"\":1}"), "{\"\\\\\":1}");
  EXPECT_EQ(dictionary.inflate("{\"\\\\\":1}"), "{\"a \\\"b\\\"\":1}");
}

TEST(NameDictionary, GivesBackWhateverItWasGiven) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  const std::vector<Bytes> names = {"a",   "b", "s",      "~",    "~a",      "~s",
                                    "~~s", "",  "sensor", "\\\"", "\\u0061", ":"};
  const NameDictionary dictionary =
      deflating({{"sensor", "s"}, {"a", "b"}, {"b", "a"}, {"~", "t"}, {"x", "\""}});
  const std::function<Bytes(int)> document = [&](int depth) -> Bytes {
    switch (random() % (depth == 0 ? 2 : 4)) {
      case 0:
        return "1.0";
      case 1:
        return "\"" + names[random() % names.size()] + "\"";
      case 2:
        return "[" + document(depth - 1) + "," + document(depth - 1) + "]";
      default: {
        Bytes text = "{";
        for (std::size_t i = random() % 4; i > 0; --i) {
          text += "\"" + names[random() % names.size()] + "\":" + document(depth - 1) + (i > 1 ? "," : "");
        }
        return text + "}";
      }
    }
  };
  for (int i = 0; i < 2'000; ++i) {
    const Bytes text = document(4);
    EXPECT_EQ(dictionary.inflate(dictionary.deflate(text)), text);
  }
}

TEST(NameDictionary, IsTheSameHoweverItIsGiven) {
  const NameDictionary inflating(
      TableDictionary{std::nullopt, std::map<Bytes, Bytes>{{"s", "sensor"}, {"t", "a"}}});
  EXPECT_EQ(inflating.text(), deflating({{"a", "t"}, {"sensor", "s"}}).text());
  EXPECT_EQ(NameDictionary::parse(inflating.text())->text(), inflating.text());
  EXPECT_EQ(deflating({}).text(), "{}");
}

TEST(NameDictionary, DoesNotReadWhatItHasNotWritten) {
  for (const View text : {"", "[]", "{\"a\":1}", "{\"a\":\"x\"", "{\"a\":\"x\",\"b\":\"x\"}"}) {
    EXPECT_THROW(NameDictionary::parse(text), Error) << text;
  }
}

}  // namespace
}  // namespace holdfast
