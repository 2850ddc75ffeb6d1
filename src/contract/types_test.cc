#include "holdfast/types.h"

#include <gtest/gtest.h>

#include "contract/answer.h"

namespace holdfast {
namespace {

TEST(PrefixRange, ContainsThePrefixAndEverythingThatStartsWithIt) {
  const Range range = Range::prefix("a/");
  EXPECT_TRUE(range.contains("a/"));
  EXPECT_TRUE(range.contains(std::string("a/\xFF\xFF")));
  EXPECT_FALSE(range.contains("a"));
  EXPECT_FALSE(range.contains("a0"));
  EXPECT_FALSE(range.contains("b"));
}

TEST(PrefixRange, EndsAboveBytesOf255) {
  EXPECT_EQ(Range::prefix("a\xFF").end, "b");
  EXPECT_TRUE(Range::prefix("a\xFF").contains("a\xFF\xFFz"));
  EXPECT_EQ(Range::prefix("\xFF\xFF").end, "");
  EXPECT_TRUE(Range::prefix("\xFF\xFF").contains("\xFF\xFF\x01"));
  EXPECT_FALSE(Range::prefix("\xFF\xFF").contains("\xFF"));
}

TEST(PrefixRange, OfNothingIsEverything) { EXPECT_EQ(Range::prefix(""), Range::all()); }

TEST(RangeBounds, AreUnsignedBytesWithAnExclusiveEnd) {
  const Range range{"\x7F", "\x80\x01"};
  EXPECT_TRUE(range.contains("\x7F"));
  EXPECT_TRUE(range.contains("\x80"));
  EXPECT_FALSE(range.contains("\x80\x01"));
  EXPECT_FALSE(range.contains("a"));
}

TEST(RangeBounds, ContainNothingIfTheEndIsNotAboveTheBegin) {
  const Range range{"b", "a"};
  EXPECT_FALSE(range.contains("a"));
  EXPECT_FALSE(range.contains("b"));
}

TEST(Stamp, IsSixteenLowerCaseHexadecimalDigitsThatSortAsNumbers) {
  EXPECT_EQ(stamp(0), "0000000000000000");
  EXPECT_EQ(stamp(0xabcdef), "0000000000abcdef");
  EXPECT_EQ(stamp(limits::kMaxSeq), "001fffffffffffff");
  EXPECT_LT(stamp(255), stamp(256));
}

TEST(Stamp, StandsBetweenPrefixAndSuffix) {
  EXPECT_EQ(written_key(Write::put_stamped("log/", "/a", "v"), 10), "log/000000000000000a/a");
  EXPECT_EQ(written_key(Write::put("log/", "v"), 10), "log/");
}

TEST(AnswerBudget, LetsTheFirstEntryThroughWhateverItsSize) {
  AnswerBudget budget;
  EXPECT_TRUE(budget.take(10, limits::kAnswerBytes));
  EXPECT_FALSE(budget.take(1, 0));
}

TEST(AnswerBudget, IsFilledToTheLastByte) {
  AnswerBudget budget;
  EXPECT_TRUE(budget.take(1, 0));
  EXPECT_FALSE(budget.take(0, limits::kAnswerBytes));
  EXPECT_TRUE(budget.take(0, limits::kAnswerBytes - 1));
  EXPECT_EQ(budget.taken_bytes(), limits::kAnswerBytes);
  EXPECT_FALSE(budget.take(1, 0));
}

}  // namespace
}  // namespace holdfast
