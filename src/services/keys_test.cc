#include "services/keys.h"

#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <set>

#include "holdfast/error.h"

namespace holdfast {
namespace {

TEST(ServiceKeys, segments_are_readable_and_never_look_like_separators) {
  EXPECT_EQ(escaped_segment("user one"), "user one");
  EXPECT_EQ(escaped_segment(View("a/b%c\0\n\x7f", 8)), "a%2fb%25c%00%0a%7f");
}

TEST(ServiceKeys, every_text_comes_back_from_its_segment) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(unescaped_segment(escaped_segment(all)), all);
  EXPECT_EQ(unescaped_segment(""), "");
}

TEST(ServiceKeys, a_segment_that_was_never_written_is_corruption) {
  for (const View text : {"%", "%2", "%2g", "a%", "%2F", "%61", "a/b", "a\n", "\x7f"})
    EXPECT_THROW(unescaped_segment(text), Error) << text;
}

TEST(ServiceKeys, long_segments_are_cut_and_still_differ) {
  const Bytes most(kSegmentBytes, 'a');
  EXPECT_EQ(short_segment(most), most);
  std::set<Bytes> segments;
  for (const char last : {'a', 'b', 'c'}) {
    const Bytes segment = short_segment(most + last);
    EXPECT_EQ(segment.size(), kSegmentBytes);
    segments.insert(segment);
    segments.insert(short_segment(segment));  // a text that looks like a segment that was cut
  }
  EXPECT_EQ(segments.size(), 6u);
}

// A hash that is fast and nothing else lets anyone make texts that collide, and so read and replace what
// others have stored under theirs.
TEST(ServiceKeys, long_segments_that_were_made_to_collide_differ) {
  // XXH3 adds to one lane the product of the halves of (word ^ secret), and to its neighbour the word: with a
  // half that is zero only the sum of two words counts.
  constexpr std::size_t kStripeBytes = 64;
  std::uint64_t secrets[2];
  std::memcpy(secrets, XXH3_kSecret + 6 * sizeof(std::uint64_t), sizeof secrets);
  const auto made = [&](std::uint64_t difference) {
    Bytes text(10 * kStripeBytes, 'a');
    const std::uint64_t words[2] = {secrets[0] + (difference << 32), secrets[1] - (difference << 32)};
    std::memcpy(text.data() + 6 * kStripeBytes, &words[0], sizeof words[0]);
    std::memcpy(text.data() + 7 * kStripeBytes, &words[1], sizeof words[1]);
    return text;
  };
  const Bytes one = made(1);
  const Bytes other = made(2);
  ASSERT_NE(one, other);
  const XXH128_hash_t hash = XXH3_128bits(one.data(), one.size());
  const XXH128_hash_t other_hash = XXH3_128bits(other.data(), other.size());
  ASSERT_TRUE(XXH128_isEqual(hash, other_hash));
  EXPECT_NE(short_segment(one), short_segment(other));
}

TEST(ServiceKeys, numbers_sort_as_they_are) {
  const std::int64_t numbers[] = {INT64_MIN, -256, -1, 0, 1, 255, 256, INT64_MAX};
  for (std::size_t i = 0; i + 1 < std::size(numbers); ++i) {
    EXPECT_LT(signed_segment(numbers[i]), signed_segment(numbers[i + 1]));
    EXPECT_EQ(segment_signed(signed_segment(numbers[i])), numbers[i]);
  }
  EXPECT_EQ(number_segment(0xabc), "0000000000000abc");
  EXPECT_EQ(segment_number("0000000000000abc"), 0xabcu);
  for (const View text :
       {"abc", "0000000000000ABC", "0000000000000abg", "00000000000000abc", "-000000000000abc", ""})
    EXPECT_THROW(segment_number(text), Error) << text;
}

}  // namespace
}  // namespace holdfast
