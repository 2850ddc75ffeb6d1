#include "backends/sqlite/records.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

namespace holdfast::sqlite {
namespace {

using Commits = std::vector<std::pair<Seq, std::vector<Bytes>>>;

Commits commits_of(View row) {
  Commits commits;
  for_each_commit(row, [&](Seq seq, const std::vector<View>& keys) {
    commits.emplace_back(seq, std::vector<Bytes>(keys.begin(), keys.end()));
    return true;
  });
  return commits;
}

TEST(LogRows, GiveBackTheirCommitsWithSortedKeys) {
  LogRow row;
  std::vector<Bytes> first = {"b", "a", "b", Bytes("\0", 1)};
  std::vector<Bytes> second = {Bytes(2048, 'k')};
  row.append(7, first);
  EXPECT_FALSE(row.full());
  row.append(1'000'000, second);
  EXPECT_TRUE(row.full());
  EXPECT_EQ(row.last(), 1'000'000u);
  EXPECT_EQ(commits_of(row.bytes()),
            (Commits{{7, {Bytes("\0", 1), "a", "b"}}, {1'000'000, {Bytes(2048, 'k')}}}));
}

TEST(LogRows, BeginAnewWhenTheyAreCleared) {
  LogRow row;
  std::vector<Bytes> keys = {"a"};
  row.append(7, keys);
  row.clear();
  EXPECT_TRUE(row.empty());
  row.append(3, keys);
  EXPECT_EQ(commits_of(row.bytes()), (Commits{{3, {"a"}}}));
}

TEST(LogRows, StopWhenTheVisitorHasEnough) {
  LogRow row;
  std::vector<Bytes> keys = {"a"};
  row.append(1, keys);
  row.append(2, keys);
  int visits = 0;
  EXPECT_FALSE(for_each_commit(row.bytes(), [&](Seq, const std::vector<View>&) { return ++visits != 1; }));
  EXPECT_EQ(visits, 1);
}

TEST(LogRows, AreReportedWhenTheyAreCutOffOrGarbled) {
  LogRow row;
  std::vector<Bytes> keys = {"key", "other"};
  row.append(300, keys);
  for (std::size_t size = 1; size < row.bytes().size(); ++size) {
    EXPECT_THROW(commits_of(View(row.bytes()).substr(0, size)), Error) << size;
  }
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    Bytes garbled = row.bytes();
    garbled[random() % garbled.size()] = static_cast<char>(random());
    try {
      for (const auto& [seq, garbled_keys] : commits_of(garbled))
        EXPECT_LE(garbled_keys.size(), garbled.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::corruption);
    }
  }
}

TEST(LogRows, AreReportedWhenTheyCountBeyondTheLastNumber) {
  LogRow row;
  std::vector<Bytes> keys = {"key"};
  row.append(UINT64_MAX, keys);
  EXPECT_EQ(commits_of(row.bytes()).size(), 1u);
  EXPECT_THROW(commits_of(row.bytes() + Bytes("\x01\x00", 2)), Error);
}

TEST(Outcomes, ComeBackFromThePositionAfterTheGroup) {
  const std::vector<Outcome> outcomes = {{0, 3}, {11, {}}, {0, 0}, {12, {}}};
  EXPECT_EQ(decode_outcomes(encode_outcomes(outcomes), {5, 12}), outcomes);
}

TEST(Outcomes, OfAnImportHaveNoSeq) {
  const std::vector<Outcome> outcomes = {{0, {}}, {0, {}}};
  EXPECT_EQ(decode_outcomes(encode_outcomes(outcomes), {}), outcomes);
}

TEST(Outcomes, AreReportedWhenTheyCannotBe) {
  EXPECT_THROW(decode_outcomes("", {5, 12}), Error);
  EXPECT_THROW(decode_outcomes("\x03", {5, 2}), Error);           // more commits than there were
  EXPECT_THROW(decode_outcomes("\x01\x01\x01", {5, 12}), Error);  // a failed batch beyond the last
  EXPECT_THROW(decode_outcomes("\xFF\xFF\x7F", {5, 12}), Error);
}

TEST(Fences, ComeBackAsTheyWere) {
  Fence fence;
  fence.state = Fence::State::importing;
  fence.token = ~std::uint64_t{0};
  fence.place = Bytes("sqlite:///a b\0c", 15);
  fence.at = {~std::uint64_t{1}, 77};
  fence.time_ms = -5;
  EXPECT_EQ(decode_fence(*encode_fence(fence)), fence);
}

TEST(Fences, AreNotStoredWhileTheyAreOpen) { EXPECT_EQ(encode_fence({}), std::nullopt); }

TEST(Fences, AreReportedWhenTheyAreGarbled) {
  for (const View bytes : {"", "frozen", "frozen x 0 0 0 ", "thawed 1 0 0 0 ", "frozen 1 0 0"}) {
    EXPECT_THROW(decode_fence(bytes), Error) << bytes;
  }
}

TEST(Texts, AreUtf8WithoutNul) {
  for (const View text : {"", "plain", "12345678", "gr\xC3\xBC\xC3\x9F", "1234567\xE4\xB8\xAD",
                          "\xF0\x9F\x8C\x8A", "\xF4\x8F\xBF\xBF", "\x7F\x01"}) {
    EXPECT_TRUE(is_text(text)) << text;
  }
  for (const View bytes :
       {View("a\0b", 3), View("12345678\0", 9),
        View("1234\0"
             "5678",
             9),
        View("\x80"), View("\xC3"), View("\xC0\x80"), View("\xE0\x9F\xBF"), View("\xED\xA0\x80"),
        View("\xF4\x90\x80\x80"), View("\xF8\x88"), View("1234567\xE4\xB8"), View("\xFF")}) {
    EXPECT_FALSE(is_text(bytes)) << bytes;
  }
}

}  // namespace
}  // namespace holdfast::sqlite
