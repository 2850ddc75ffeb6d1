#include "services/base64.h"

#include <gtest/gtest.h>

#include <map>

namespace holdfast {
namespace {

TEST(Base64, has_the_texts_of_rfc_4648) {
  const std::map<Bytes, Bytes> texts = {{"", ""},
                                        {"f", "Zg=="},
                                        {"fo", "Zm8="},
                                        {"foo", "Zm9v"},
                                        {"foob", "Zm9vYg=="},
                                        {"fooba", "Zm9vYmE="},
                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : texts) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
}

TEST(Base64, gives_back_every_byte) {
  Bytes bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
}

TEST(Base64, refuses_what_is_not_the_base64_of_anything) {
  for (const View text :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "====", "Z===", "Zg==Zg==", "Zm-_"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

}  // namespace
}  // namespace holdfast
