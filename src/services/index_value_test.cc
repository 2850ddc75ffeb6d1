#include "services/index_value.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "holdfast/error.h"
#include "services/json_text.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

Bytes value(View json) { return index_value(json).value(); }
Bytes suffix(View value) { return index_segment(value) + "key"; }

TEST(IndexValue, orders_types_numbers_and_strings) {
  const View ascending[] = {"null",
                            "false",
                            "true",
                            "-1e300",
                            "-9007199254740993",
                            "-9007199254740992",
                            "-10",
                            "-9.5",
                            "-1.25",
                            "-1.2",
                            "-1",
                            "-0.001",
                            "-1e-300",
                            "0",
                            "1e-300",
                            "0.0009",
                            "0.001",
                            "0.1",
                            "1",
                            "1.2",
                            "1.25",
                            "2",
                            "10",
                            "9007199254740992",
                            "9007199254740993",
                            "18446744073709551615",
                            "18446744073709551616",
                            "1e300",
                            "1e301",
                            "\"\"",
                            R"("\u0000")",
                            R"("\u0000\u0000")",
                            R"("\u0000a")",
                            R"("\u0001")",
                            "\"!\"",
                            "\"/\"",
                            "\"A\"",
                            "\"a\"",
                            R"("a\u0000")",
                            "\"a!\"",
                            "\"aa\"",
                            "\"b\"",
                            "\"\xc3\xa9\"",
                            "\"\xf0\x9f\x98\x80\""};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LT(suffix(value(ascending[i - 1])), suffix(value(ascending[i])))
        << ascending[i - 1] << " < " << ascending[i];
  }
}

TEST(IndexValue, numbers_are_equal_however_they_are_written) {
  for (const View one : {"1", "1.0", "1.00e0", "10e-1", "0.1E1", "0.01e+2", "1e00"}) {
    EXPECT_EQ(value(one), value("1")) << one;
  }
  for (const View zero : {"0", "-0", "0.00", "0e5", "-0.0E-7", "0e99999999999999999999"}) {
    EXPECT_EQ(value(zero), value("0")) << zero;
  }
  EXPECT_EQ(value("-120"), value("-1.2e2"));
  EXPECT_EQ(value(R"("\u0061")"), value("\"a\""));
}

TEST(IndexValue, has_no_arrays_objects_and_numbers_beyond_all_measure) {
  for (const View none :
       {"[]", "{}", "[1]", R"({"a":1})", "1e30001", "-1e99999999999999999999", "1e-99999999999999999999"}) {
    EXPECT_FALSE(index_value(none)) << none;
  }
  EXPECT_TRUE(index_value("1e29999"));
}

TEST(IndexValue, a_segment_ends_where_it_ends) {
  const Bytes long_text = json_string(Bytes(1'000, '/'));
  const Bytes with_zeros = json_string(Bytes(400, '\0'));
  for (const Bytes& json : {Bytes("null"), Bytes("-1.5"), Bytes(R"("a\u0000/b~")"), long_text, with_zeros}) {
    const Bytes segment = index_segment(value(json));
    EXPECT_EQ(index_segment_size(segment + Bytes("\0/key\0~", 7)), segment.size());
    EXPECT_EQ(is_cut_segment(segment), is_cut(value(json)));
    EXPECT_LE(segment.size(), kIndexedBytes + 35);
  }
  EXPECT_THROW(index_segment_size("6text"), Error);
  EXPECT_THROW(index_segment_size(View("6text\0~12/", 10)), Error);
}

TEST(IndexValue, long_values_that_differ_have_segments_that_differ) {
  const Bytes begin(kIndexedBytes, 'x');
  EXPECT_NE(index_segment(value(json_string(begin + "a"))), index_segment(value(json_string(begin + "b"))));
  EXPECT_NE(index_segment(value(Bytes(400, '1') + "1")), index_segment(value(Bytes(400, '1') + "2")));
}

/// Values that share long beginnings, with zero bytes where they are cut.
Bytes random_value(std::mt19937_64& random) {
  const auto kind = random() % 10;
  if (kind == 0) return value(random() % 2 == 0 ? "null" : "true");
  if (kind == 1) return value(std::to_string(static_cast<int>(random() % 7) - 3));
  const std::size_t size = kind < 4 ? random() % 4 : kIndexedBytes - 6 + random() % 8;
  Bytes text(size, 'm');
  for (std::size_t i = size < 8 ? 0 : size - 8; i < size; ++i) {
    text[i] = Bytes("\0\1/mz\x7f", 6)[random() % 6];
  }
  return index_value_of_prefix(text);
}

TEST(IndexRange, contains_what_lies_between_its_bounds_and_has_it_among_its_suffixes) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  std::vector<Bytes> values;
  for (int i = 0; i < 400; ++i) values.push_back(random_value(random));
  for (int run = 0; run < 1'000; ++run) {
    const IndexBound lower{random_value(random), random() % 2 == 0};
    const IndexBound upper{random_value(random), random() % 2 == 0};
    const IndexRange range(lower, upper);
    for (const Bytes& one : values) {
      const bool is_in = (lower.after ? one > lower.value : one >= lower.value) &&
                         (upper.after ? one <= upper.value : one < upper.value);
      EXPECT_EQ(range.contains(one), is_in);
      const bool is_among = range.suffixes().contains(suffix(one));
      EXPECT_TRUE(is_cut(one) ? is_among || !is_in : is_among == is_in);
    }
  }
}

TEST(IndexRange, of_a_prefix_contains_what_begins_with_it) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  for (int run = 0; run < 20'000; ++run) {
    const Bytes one = random_value(random);
    Bytes prefix = random_value(random);
    if (one.front() != '6' || prefix.front() != '6') continue;
    if (random() % 2 == 0) prefix = one.substr(0, 1 + random() % one.size());
    if (prefix.ends_with('\0')) continue;  // half an escape
    const IndexRange range({prefix, false}, {Range::prefix(prefix).end, false});
    EXPECT_EQ(range.contains(one), one.starts_with(prefix));
    const bool is_among = range.suffixes().contains(suffix(one));
    EXPECT_TRUE(is_cut(one) ? is_among || !one.starts_with(prefix) : is_among == one.starts_with(prefix));
  }
}

TEST(IndexRange, of_one_value_has_the_suffixes_of_no_other) {
  std::mt19937_64 random(1);
  for (int run = 0; run < 20'000; ++run) {
    const Bytes a = random_value(random);
    const Bytes b = random_value(random);
    EXPECT_EQ(IndexRange::equal_to(a).suffixes().contains(suffix(b)), a == b);
    EXPECT_EQ(IndexRange::equal_to(a).contains(b), a == b);
  }
}

TEST(IndexRange, of_a_type_contains_that_type) {
  const View texts[] = {"null", "false", "true", "-1", "0", "1", "\"\"", "\"z\""};
  const int types[] = {0, 1, 1, 2, 2, 2, 3, 3};
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      const IndexRange range = IndexRange::of_type(value(texts[i]));
      EXPECT_EQ(range.contains(value(texts[j])), types[i] == types[j]);
      EXPECT_EQ(range.suffixes().contains(suffix(value(texts[j]))), types[i] == types[j]);
    }
  }
}

}  // namespace
}  // namespace holdfast
