#include "contract/validate.h"

#include <gtest/gtest.h>

#include <functional>

namespace holdfast {
namespace {

/// The message of the invalid_argument that `call` must throw.
std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "";
}

Batch batch_of(std::vector<Write> writes, std::vector<Check> checks = {}) {
  return {std::move(checks), std::move(writes)};
}

TEST(DatabaseName, IsOneToTwoHundredBytes) {
  EXPECT_NO_THROW(validate_database_name("a"));
  EXPECT_NO_THROW(validate_database_name(std::string(200, 'x')));
  EXPECT_EQ(refusal([] { validate_database_name(std::string(201, 'x')); }),
            "database name: 201 bytes, the maximum is 200");
  EXPECT_NE(refusal([] { validate_database_name(""); }), "");
}

TEST(DatabaseName, HasNoControlBytes) {
  EXPECT_NE(refusal([] { validate_database_name("a\nb"); }), "");
  EXPECT_NE(refusal([] { validate_database_name(View("a\0b", 3)); }), "");
  EXPECT_NO_THROW(validate_database_name("a b\x7F"));
}

TEST(DatabaseName, IsWellFormedUtf8) {
  for (const char* good :
       {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_NO_THROW(validate_database_name(good));
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE2\x82", "\xED\xA0\x80", "\xE0\x80\x80",
                          "\xF4\x90\x80\x80", "\xF0\x80\x80\x80", "\xF8\x88\x80\x80\x80", "a\xC3(b"}) {
    EXPECT_NE(refusal([&] { validate_database_name(bad); }), "");
  }
}

TEST(Key, IsOneToTwoThousandFortyEightBytesOfAnything) {
  EXPECT_NO_THROW(validate_key(View("\0", 1)));
  EXPECT_NO_THROW(validate_key("\xFF\x80"));
  EXPECT_NO_THROW(validate_key(std::string(2048, 'k')));
  EXPECT_EQ(refusal([] { validate_key(std::string(2049, 'k')); }), "key: 2049 bytes, the maximum is 2048");
  EXPECT_NE(refusal([] { validate_key(""); }), "");
}

TEST(Key, OfTheEngineIsForTheEngineAlone) {
  EXPECT_NE(refusal([] { validate_key("!sweeper"); }), "");
  EXPECT_NO_THROW(validate_key("!sweeper", true));
  EXPECT_NO_THROW(validate_key("a!"));
}

TEST(BatchLimits, AreChecksWritesValuesAndBytes) {
  const auto puts = [](std::size_t count) {
    std::vector<Write> writes;
    for (std::size_t i = 0; i < count; ++i) writes.push_back(Write::put("k" + std::to_string(i), ""));
    return writes;
  };
  EXPECT_NO_THROW(validate_batch(batch_of(puts(2000))));
  EXPECT_EQ(refusal([&] { validate_batch(batch_of(puts(2001))); }),
            "writes of a batch: 2001 writes, the maximum is 2000");
  EXPECT_NO_THROW(validate_batch(batch_of(puts(1), std::vector<Check>(2000, Check::absent("k")))));
  EXPECT_EQ(refusal([&] { validate_batch(batch_of(puts(1), std::vector<Check>(2001, Check::absent("k")))); }),
            "checks of a batch: 2001 checks, the maximum is 2000");
  EXPECT_NE(refusal([] { validate_batch({}); }), "");

  const std::string largest(limits::kValueBytes, 'v');
  EXPECT_NO_THROW(validate_batch(batch_of({Write::put("k", largest)})));
  EXPECT_NE(refusal([&] {
              validate_batch(batch_of({Write::put("k", largest + "v")}));
            }).find("value: 1048577 bytes"),
            std::string::npos);
  std::vector<Write> eight;
  for (int i = 0; i < 8; ++i) eight.push_back(Write::put("k" + std::to_string(i), largest));
  EXPECT_EQ(refusal([&] { validate_batch(batch_of(eight)); }),
            "keys and values of a batch: 8388624 bytes, the maximum is 8388608");
}

TEST(BatchLimits, AreExpiriesThatADoubleHoldsExactly) {
  const auto with_expiry = [](UnixMs expires_at_ms) {
    return batch_of({Write::put("k", "v", expires_at_ms)});
  };
  EXPECT_NO_THROW(validate_batch(with_expiry(-limits::kExpiresAtMs)));
  EXPECT_NO_THROW(validate_batch(with_expiry(limits::kExpiresAtMs)));
  for (const UnixMs wrong : {-limits::kExpiresAtMs - 1, limits::kExpiresAtMs + 1, INT64_MAX, INT64_MIN}) {
    EXPECT_NE(refusal([&] { validate_batch(with_expiry(wrong)); }).find(std::to_string(wrong)),
              std::string::npos);
  }
}

TEST(BatchLimits, CountTheStampOfAKey) {
  EXPECT_NO_THROW(
      validate_batch(batch_of({Write::put_stamped(std::string(2000, 'p'), std::string(32, 's'), "")})));
  EXPECT_NE(
      refusal([] {
        validate_batch(batch_of({Write::put_stamped(std::string(2000, 'p'), std::string(33, 's'), "")}));
      }),
      "");
}

TEST(BatchLimits, KeepTheEnginesKeysFromServices) {
  EXPECT_NE(refusal([] { validate_batch(batch_of({Write::put_stamped("!x/", "", "")})); }), "");
  EXPECT_NE(refusal([] { validate_batch(batch_of({Write::erase("!x")})); }), "");
  EXPECT_NE(refusal([] { validate_batch(batch_of({Write::put("a", "")}, {Check::absent("!x")})); }), "");
  EXPECT_NO_THROW(validate_batch(batch_of({Write::put_stamped("", "", "")})));
  EXPECT_NO_THROW(validate_batch(batch_of({Write::erase("!x")}), true));
}

TEST(BatchLimits, NeverPutKeysOrValuesIntoMessages) {
  const std::string message =
      refusal([] { validate_batch(batch_of({Write::put(std::string(3000, 'k') + "secret", "secret")})); });
  EXPECT_NE(message, "");
  EXPECT_EQ(message.find("secret"), std::string::npos);
}

TEST(ScanLimits, AreOneToTenThousandEntriesAndBoundsOfAKeyAndOne) {
  EXPECT_NO_THROW(validate_scan(Range::all(), {.limit = 1}));
  EXPECT_NO_THROW(validate_scan(Range::all(), {.limit = 10'000}));
  EXPECT_NE(refusal([] { validate_scan(Range::all(), {.limit = 0}); }), "");
  EXPECT_EQ(refusal([] { validate_scan(Range::all(), {.limit = 10'001}); }),
            "limit of a scan: 10001 entries, the maximum is 10000");
  EXPECT_NO_THROW(validate_scan({std::string(2049, 'a'), ""}, {}));
  EXPECT_NE(refusal([] { validate_scan({std::string(2050, 'a'), ""}, {}); }), "");
}

TEST(ReadLimits, AreAThousandKeys) {
  EXPECT_NO_THROW(validate_gets(1000));
  EXPECT_EQ(refusal([] { validate_gets(1001); }), "keys of one read: 1001 keys, the maximum is 1000");
}

TEST(ContentHash, IsEqualForEqualBatches) {
  const std::vector<Batch> batches = {batch_of({Write::put("a", "1", 5)}, {Check::absent("a")})};
  const std::vector<Batch> copy = batches;
  EXPECT_EQ(content_hash(batches), content_hash(copy));
}

// Records of sessions keep it: a group that is sent again by another version of the library has to be known.
TEST(ContentHash, StaysWhatItWas) {
  std::vector<Batch> batches;
  for (std::size_t i = 0; i < 100; ++i) {
    const Bytes key = "key/" + std::to_string(i);
    std::optional<UnixMs> expires_at_ms;
    if (i % 3 == 0) expires_at_ms = static_cast<UnixMs>(i);
    batches.push_back(
        batch_of({Write::put(key, Bytes(i * 21, 'v'), expires_at_ms)}, {Check::has_version(key, i + 1)}));
  }
  EXPECT_EQ(content_hash(batches), 14'364'189'230'819'302'870u);
}

TEST(ContentHash, CoversEveryFieldAndTheirBoundaries) {
  const std::vector<std::vector<Batch>> different = {
      {},
      {batch_of({})},
      {batch_of({Write::put("a", "1")})},
      {batch_of({Write::put("a1", "")})},
      {batch_of({Write::put("", "a1")})},
      {batch_of({Write::put("a", "1", 0)})},
      {batch_of({Write::put("a", "1", 5)})},
      {batch_of({Write::put_stamped("a", "", "1")})},
      {batch_of({Write::put_stamped("a", "1", "")})},
      {batch_of({Write::erase("a")})},
      {batch_of({Write::reap("a")})},
      {batch_of({Write::put("a", "1"), Write::erase("b")})},
      {batch_of({Write::put("a", "1")}), batch_of({Write::erase("b")})},
      {batch_of({Write::erase("b")}), batch_of({Write::put("a", "1")})},
      {batch_of({Write::put("a", "1")}, {Check::absent("a")})},
      {batch_of({Write::put("a", "1")}, {Check::has_version("a", 1)})},
      {batch_of({Write::put("a", "1")}, {Check::has_version("a", 2)})},
      {batch_of({Write::put("a", "1")}, {Check::unchanged({"a", ""}, 2, 0)})},
      {batch_of({Write::put("a", "1")}, {Check::unchanged({"a", "b"}, 2, 0)})},
      {batch_of({Write::put("a", "1")}, {Check::unchanged({"a", "b"}, 2, 1)})}};
  for (std::size_t i = 0; i < different.size(); ++i) {
    for (std::size_t j = i + 1; j < different.size(); ++j) {
      EXPECT_NE(content_hash(different[i]), content_hash(different[j])) << i << " and " << j;
    }
  }
  Batch imported = batch_of({Write::put("a", "1")});
  imported.writes[0].version = 7;
  EXPECT_NE(content_hash(std::vector<Batch>{imported}), content_hash(different[2]));
}

}  // namespace
}  // namespace holdfast
