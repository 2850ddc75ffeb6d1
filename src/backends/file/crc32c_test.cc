#include "backends/file/crc32c.h"

#include <gtest/gtest.h>

#include "holdfast/environment.h"

namespace holdfast::file {
namespace {

TEST(Crc32c, GivesTheNumbersOfRfc3720) {
  EXPECT_EQ(crc32c(Bytes(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(Bytes(32, '\xFF')), 0x62A8AB43u);
  Bytes ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  EXPECT_EQ(crc32c(ascending), 0x46DD794Eu);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Crc32c, PortableFormAgreesForEveryLength) {
  Bytes data;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(crc32c(data), crc32c_portable(data)) << "length " << i;
    data.push_back(static_cast<char>(i * 37 + 11));
  }
}

TEST(Crc32c, GoesOnFromWhatCameBefore) {
  const Bytes text = "held fast by whatever rock there is";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(crc32c(View(text).substr(cut), crc32c(View(text).substr(0, cut))), crc32c(text));
    EXPECT_EQ(crc32c_portable(View(text).substr(cut), crc32c_portable(View(text).substr(0, cut))),
              crc32c(text));
  }
}

}  // namespace
}  // namespace holdfast::file
