#include "services/blake2b.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// The hashes are those that b2sum -l 256 gives.

TEST(Blake2b, has_the_hashes_of_the_reference) {
  EXPECT_EQ(blake2b_hex(""), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  EXPECT_EQ(blake2b_hex("abc"), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(blake2b_hex(Bytes(1'000'000, 'a')),
            "0741850f36cba4259628355d1073e24ddb9ca0e1bfac36fd39ae5dc2101e23a4");
}

TEST(Blake2b, does_not_depend_on_how_the_bytes_come) {
  const Bytes bytes(1'000, 'x');
  for (const std::size_t piece : {1u, 127u, 128u, 129u, 999u}) {
    Blake2b hash;
    hash.add("");
    for (std::size_t at = 0; at < bytes.size(); at += piece) hash.add(View(bytes).substr(at, piece));
    EXPECT_EQ(hash.hex(), blake2b_hex(bytes)) << piece;
  }
}

}  // namespace
}  // namespace holdfast
