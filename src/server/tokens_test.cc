#include "server/tokens.h"

#include <gtest/gtest.h>

#include <set>

#include "holdfast/environment.h"
#include "holdfast/error.h"

namespace holdfast::server {
namespace {

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(Tokens::parse(text));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "accepted";
}

TEST(Tokens, AreFoundByTheirSecretAlone) {
  const auto random = seeded_random(1);
  const NewToken a = make_token("a", "read:*", *random);
  const NewToken b = make_token("b", "write:b%2C%20/,read:c", *random);
  const Tokens tokens = Tokens::parse("# comment\r\n\n  " + a.line + "\r\n\t" + b.line);
  EXPECT_EQ(tokens.size(), 2u);
  ASSERT_NE(tokens.find(a.secret), nullptr);
  EXPECT_EQ(tokens.find(a.secret)->name, "a");
  EXPECT_EQ(tokens.find(b.secret)->name, "b");
  EXPECT_EQ(tokens.find(""), nullptr);
  EXPECT_EQ(tokens.find(a.line), nullptr);
  EXPECT_TRUE(tokens.find(b.secret)->may_write("b, /x"));
  EXPECT_TRUE(tokens.find(b.secret)->may_read("b, /x"));
  EXPECT_TRUE(tokens.find(b.secret)->may_read("c2"));
  EXPECT_FALSE(tokens.find(b.secret)->may_write("c2"));
  EXPECT_FALSE(tokens.find(b.secret)->may_read("d"));
  EXPECT_TRUE(tokens.find(a.secret)->may_read("anything"));
}

TEST(Tokens, AreStoredAsHashes) {
  const NewToken token = make_token("a", "read:*", *seeded_random(1));
  EXPECT_EQ(token.line.find(token.secret.substr(3)), std::string::npos);
  EXPECT_EQ(token.secret.size(), 3u + 43u) << "256 bits";
}

TEST(Tokens, AreNeverMadeTwice) {
  std::set<std::string> secrets;
  for (int i = 0; i < 1'000; ++i) secrets.insert(make_token("a", "read:*", *system_random()).secret);
  EXPECT_EQ(secrets.size(), 1'000u);
}

TEST(Tokens, OfAFileWithAMistakeAreRefusedByLine) {
  const std::string hash = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(refusal("a " + hash + " read:*"), "accepted");
  EXPECT_EQ(refusal(""), "accepted");
  for (const std::string& line :
       {std::string("a"), "a " + hash, "a " + hash + " read:* more", "a " + hash.substr(7) + " read:*",
        "a " + hash + "a read:*", "a sha256:" + std::string(64, 'g') + " read:*", "a " + hash + " admin:*",
        "a " + hash + " read:", "a " + hash + " read:x*", "a " + hash + " read:x,", "a " + hash + " read:%2",
        std::string(65, 'a') + " " + hash + " read:*"}) {
    EXPECT_EQ(refusal("# first\n" + line).find("line 2"), 0u) << line;
  }
  EXPECT_NE(refusal("a " + hash + " read:*\nb " + hash + " read:*").find("line 2"), std::string::npos);
}

TEST(Tokens, AreNotMadeOfNonsense) {
  EXPECT_THROW(make_token("", "read:*", *seeded_random(1)), Error);
  EXPECT_THROW(make_token("a b", "read:*", *seeded_random(1)), Error);
  EXPECT_THROW(make_token("#a", "read:*", *seeded_random(1)), Error);
  EXPECT_THROW(make_token("a", "", *seeded_random(1)), Error);
  EXPECT_THROW(make_token("a", "read:a, read:b", *seeded_random(1)), Error);
}

}  // namespace
}  // namespace holdfast::server
