#include "server/json.h"

#include <gtest/gtest.h>

#include "contract/percent.h"
#include "holdfast/environment.h"
#include "holdfast/error.h"
#include "server/http/head.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

TEST(Utf8, IsToldFromOtherBytes) {
  for (const char* text :
       {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x8a", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const char* bytes : {"\x80", "\xc3", "\xc0\x80", "\xe2\x82", "\xe0\x80\x80", "\xed\xa0\x80",
                            "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc3z"}) {
    EXPECT_FALSE(is_utf8(bytes)) << bytes;
  }
}

TEST(Utf8, AgreesWithWhatTheJsonLibraryTakes) {
  const auto random = seeded_random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const std::uint64_t number = random->next();
    for (std::size_t k = 0; k < 1 + number % 5; ++k) text += static_cast<char>(number >> (8 * (k + 1)));
    bool is_taken = true;
    try {
      static_cast<void>(Json(text).dump());
    } catch (const Json::exception&) {
      is_taken = false;
    }
    ASSERT_EQ(is_utf8(text), is_taken) << base64(text);
  }
}

TEST(Base64, GoesThereAndBack) {
  for (std::size_t size = 0; size < 100; ++size) {
    Bytes bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 37 + size);
    EXPECT_EQ(from_base64(base64(bytes), "x"), bytes);
    EXPECT_EQ(from_base64url(base64url(bytes), "x"), bytes);
  }
  for (const char* wrong : {"a", "ab", "abc", "ab==c", "a b=", "ab=", "====", "ab\n=="}) {
    EXPECT_THROW(from_base64(wrong, "x"), Error) << wrong;
  }
}

TEST(Percent, GoesThereAndBack) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(percent_decoded(percent_encoded(all), false), all);
  EXPECT_EQ(percent_decoded("a+b%2B", false), "a+b+");
  EXPECT_EQ(percent_decoded("a+b%2B", true), "a b+");
  for (const char* wrong : {"%", "%a", "%zz", "abc%2"}) EXPECT_FALSE(percent_decoded(wrong, false)) << wrong;
}

TEST(Positions, GoThereAndBack) {
  for (const Position& position : {Position{}, Position{1, 2}, Position{~0ull, (1ull << 53) - 1}}) {
    EXPECT_EQ(position_of(text_of(position)), position);
  }
  for (const char* wrong :
       {"", "-", "7", "0000000000000001-", "0000000000000001-x", "0000000000000001-1 ", "000000000000000g-1",
        "00000000000000001-1", "0000000000000001--1", "0000000000000001-99999999999999999999"}) {
    EXPECT_THROW(position_of(wrong), Error) << wrong;
  }
}

TEST(Nesting, IsBoundedWithoutBeingFooledByStrings) {
  EXPECT_FALSE(is_nested_too_deep(std::string(64, '[')));
  EXPECT_TRUE(is_nested_too_deep(std::string(65, '[')));
  EXPECT_FALSE(is_nested_too_deep("\"" + std::string(100, '[') + "\""));
  EXPECT_FALSE(is_nested_too_deep("\"\\\"" + std::string(100, '{') + "\""));
  EXPECT_TRUE(is_nested_too_deep("\"\\\\\"" + std::string(100, '{')));
}

TEST(ResponseHead, LetsNoValueBreakOutOfItsLine) {
  Response response;
  response.content_type = "text/plain\r\nX-Evil: 1";
  response.headers = {{"X-Good", "1"}, {"X-Bad", "1\nX-Evil: 1"}, {"X-\r\n\r\n", "body"}};
  const std::string head = response_head(response, "id", "date", {});
  EXPECT_EQ(head.find("Evil"), std::string::npos);
  EXPECT_NE(head.find("X-Good: 1\r\n"), std::string::npos);
  EXPECT_EQ(head.find("\r\n\r\n"), head.size() - 4);
}

TEST(Status, IsThereForEveryCodeAndCarriesItBack) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    const auto code = static_cast<Code>(i);
    const int status = http_status(code);
    EXPECT_GE(status, 400) << name(code);
    EXPECT_STRNE(reason(status), "Status") << status;
    const Response response = error_response(Error(code, "what happened"), "id-1");
    EXPECT_EQ(response.status, status);
    const Json error = Json::parse(response.body).at("error");
    EXPECT_EQ(error.at("code"), name(code));
    EXPECT_EQ(error.at("retry"), name(default_retry(code)));
    EXPECT_EQ(error.at("message"), "what happened");
    EXPECT_EQ(error.at("request_id"), "id-1");
  }
  EXPECT_EQ(http_status(Code::invalid_argument), 400);
  EXPECT_EQ(http_status(Code::unavailable), 503);
}

TEST(Status, TellsNobodyWhatAnUnexpectedErrorSaid) {
  const Response response = internal_error_response("secret detail", "id-1");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  EXPECT_EQ(response.error_message, "secret detail");
}

}  // namespace
}  // namespace holdfast::server
