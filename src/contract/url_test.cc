#include "contract/url.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string parse_message(View text) {
  return message_of([&] { Url::parse(text); });
}

bool contains(const std::string& text, View part) { return text.find(part) != std::string::npos; }

const std::vector<OptionSpec>& specs() {
  static const std::vector<OptionSpec> kSpecs = {
      {"durable", OptionSpec::Kind::boolean, "true", "wait for the disk"},
      {"lanes", OptionSpec::Kind::integer, "4", "parallel logs", 1, 64},
      {"label", OptionSpec::Kind::text, "", "for people"}};
  return kSpecs;
}

Options options(const std::map<std::string, std::string>& values) {
  return Options("file:", specs(), values);
}

TEST(UrlParse, ReadsTheSchemeAlone) {
  const Url url = Url::parse("memory:");
  EXPECT_EQ(url.scheme, "memory");
  EXPECT_TRUE(url.layers.empty());
  EXPECT_EQ(url.path, "");
  EXPECT_TRUE(url.options.empty());
}

TEST(UrlParse, ReadsLayersOutermostFirst) {
  const Url url = Url::parse("metered+per_database+sqlite:///data/dir");
  EXPECT_EQ(url.layers, (std::vector<std::string>{"metered", "per_database"}));
  EXPECT_EQ(url.scheme, "sqlite");
  EXPECT_EQ(url.path, "/data/dir");
}

TEST(UrlParse, TakesThreeSlashesAsAnAbsolutePath) {
  EXPECT_EQ(Url::parse("sqlite:///data/app.db").path, "/data/app.db");
  EXPECT_EQ(Url::parse("sqlite:/data/app.db").path, "/data/app.db");
}

TEST(UrlParse, TakesNoSlashAsARelativePath) { EXPECT_EQ(Url::parse("sqlite:app.db").path, "app.db"); }

TEST(UrlParse, KeepsTheAuthorityAsItWasWritten) {
  const Url url = Url::parse("postgres://us%40er:pw@host:5432/name");
  EXPECT_EQ(url.authority, "us%40er:pw@host:5432");
  EXPECT_EQ(url.path, "/name");
}

TEST(UrlParse, UndoesPercentEncodingInPathAndOptions) {
  const Url url = Url::parse("file:///a%20b/%C3%A4%3f?la%62el=1%262%3D%25");
  EXPECT_EQ(url.path, "/a b/\xC3\xA4?");
  EXPECT_EQ(url.options.at("label"), "1&2=%");
}

TEST(UrlParse, KeepsAPlusSign) { EXPECT_EQ(Url::parse("file:///a+b?label=c+d").options.at("label"), "c+d"); }

TEST(UrlParse, ReadsTheSchemeWithoutRegardToCase) { EXPECT_EQ(Url::parse("SQLite:x").scheme, "sqlite"); }

TEST(UrlParse, AcceptsAnEmptyOptionValueAndAnEmptyQuery) {
  EXPECT_EQ(Url::parse("file:x?label=").options.at("label"), "");
  EXPECT_TRUE(Url::parse("file:x?").options.empty());
}

TEST(UrlParse, RefusesATextWithoutAScheme) {
  EXPECT_TRUE(contains(parse_message("/data/app.db"), "begins with its scheme"));
  EXPECT_TRUE(contains(parse_message(""), "begins with its scheme"));
  EXPECT_TRUE(contains(parse_message(":x"), "begins with its scheme"));
  EXPECT_TRUE(contains(parse_message("metered+:x"), "begins with its scheme"));
}

TEST(UrlParse, SaysWhereAPercentSignIsBroken) {
  EXPECT_TRUE(contains(parse_message("file:a%2"), "at byte 7"));
  EXPECT_TRUE(contains(parse_message("file:///ab%zz"), "at byte 11"));
  EXPECT_TRUE(contains(parse_message("file:a?b=c%"), "at byte 11"));
}

TEST(UrlParse, RefusesNulBytesAndFragments) {
  EXPECT_TRUE(contains(parse_message("file:a%00b"), "NUL byte at byte 7"));
  EXPECT_TRUE(contains(parse_message("file:a#b"), "write %23"));
}

TEST(UrlParse, SaysWhichOptionIsMalformed) {
  EXPECT_TRUE(contains(parse_message("file:x?durable"), "option 1 of the store URL has no '='"));
  EXPECT_TRUE(contains(parse_message("file:x?a=1&=2"), "option 2 of the store URL has no name"));
  EXPECT_TRUE(contains(parse_message("file:x?a=1&&b=2"), "option 2 of the store URL is empty"));
  EXPECT_TRUE(contains(parse_message("file:x?a=1&b=2&a=3"), "option 3 of the store URL was given before"));
}

TEST(UrlParse, NeverRepeatsWhatCouldBeACredential) {
  for (const char* text :
       {"hunter2", "user:hunter2@host/%zz", "pg://user:hunter2%@host", "pg://h/?password=hunter2%",
        "pg://h/?hunter2", "pg://h/?a=hunter2&a=hunter2", "hunter2 is:mine", "pg://h/#hunter2"}) {
    try {
      Url::parse(text);
    } catch (const Error& error) {
      EXPECT_FALSE(contains(error.what(), "hunter2")) << error.what();
    }
  }
  EXPECT_FALSE(contains(message_of([] { options({{"lanes", "hunter2"}}); }), "hunter2"));
  EXPECT_FALSE(contains(message_of([] { options({{"durable", "hunter2"}}); }), "hunter2"));
  EXPECT_FALSE(contains(message_of([] { options({{"hunter2", "1"}}); }), "hunter2"));
}

TEST(UrlText, ParsesBackToTheSameUrl) {
  for (const char* text : {"memory:", "sqlite:app.db", "sqlite:///data/app.db", "file:////double",
                           "x://u:p%40@h:1/n?a=b", "a+b+c:%25%3F%23%26?x=%0Ay"}) {
    const Url url = Url::parse(text);
    EXPECT_EQ(Url::parse(url.text()), url) << url.text();
  }
}

TEST(UrlText, EncodesWhatHasAMeaningOfItsOwn) {
  Url url;
  url.layers = {"metered"};
  url.scheme = "file";
  url.path = "/a?b#c%d e";
  url.options["label"] = "1&2=3+4";
  EXPECT_EQ(url.text(), "metered+file:///a%3Fb%23c%25d%20e?label=1%262%3D3%2B4");
  EXPECT_EQ(Url::parse(url.text()), url);
}

TEST(OptionValues, FallBackToTheirDefaults) {
  const Options given = options({});
  EXPECT_TRUE(given.boolean("durable"));
  EXPECT_EQ(given.integer("lanes"), 4);
  EXPECT_EQ(given.text("label"), "");
}

TEST(OptionValues, AreReadByKind) {
  const Options given = options({{"durable", "0"}, {"lanes", "64"}, {"label", "x y"}});
  EXPECT_FALSE(given.boolean("durable"));
  EXPECT_EQ(given.integer("lanes"), 64);
  EXPECT_EQ(given.text("label"), "x y");
}

TEST(OptionValues, NameTheNearestKnownOption) {
  EXPECT_EQ(message_of([] { options({{"lains", "4"}}); }),
            "unknown option \"lains\" of file:; did you mean \"lanes\"?");
}

TEST(OptionValues, ListTheKnownOptionsIfNoneIsNear) {
  EXPECT_EQ(message_of([] { options({{"replication_factor", "4"}}); }),
            "unknown option of file:; known are: durable, lanes, label");
}

TEST(OptionValues, NameTheBoundsOfANumber) {
  EXPECT_EQ(message_of([] { options({{"lanes", "65"}}); }),
            "option \"lanes\" of file: is 65, it must lie between 1 and 64");
  EXPECT_EQ(message_of([] { options({{"lanes", "0"}}); }),
            "option \"lanes\" of file: is 0, it must lie between 1 and 64");
}

TEST(OptionValues, RefuseWhatIsNotANumberOrABoolean) {
  for (const char* text : {"", "4x", " 4", "+4", "0x4", "4.0", "99999999999999999999"}) {
    EXPECT_EQ(message_of([&] { options({{"lanes", text}}); }), "option \"lanes\" of file: is a whole number");
  }
  EXPECT_EQ(message_of([] { options({{"durable", "maybe"}}); }),
            "option \"durable\" of file: is true or false");
}

TEST(NearestWord, IsWithinAThirdOfTheLengthButAtLeastTwo) {
  const std::vector<std::string> known = {"sqlite", "memory", "file", "clock_skew_limit_ms"};
  EXPECT_EQ(nearest("sqllite", known), "sqlite");
  EXPECT_EQ(nearest("fiel", known), "file");
  EXPECT_EQ(nearest("mem", known), "");
  EXPECT_EQ(nearest("clock_skew_limit", known), "clock_skew_limit_ms");
  EXPECT_EQ(nearest("postgres", known), "");
}

TEST(NearestWord, IsNeverAWordThatSharesNothing) {
  const std::vector<std::string> known = {"s3"};
  EXPECT_EQ(nearest("pw", known), "");
  EXPECT_EQ(nearest("", known), "");
}

}  // namespace
}  // namespace holdfast
