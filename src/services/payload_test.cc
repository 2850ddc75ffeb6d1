#include "holdfast/payload.h"

#include <gtest/gtest.h>

#include "holdfast/error.h"

namespace holdfast {
namespace {

/// The code of the error that `call` throws.
template <class F>
std::optional<Code> code_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(Payload, keeps_the_text_of_a_document) {
  EXPECT_EQ(Payload::parse(" {\"b\" : 1.10,\n\"a\":[ ]} ").text(), "{\"b\":1.10,\"a\":[]}");
  EXPECT_EQ(Payload::parse("1e999").text(), "1e999");
  EXPECT_EQ(Payload::parse("\"\\ud800\"").text(), "\"\\ud800\"");
}

TEST(Payload, a_document_that_has_no_value_here_is_an_error_of_the_house) {
  EXPECT_EQ(code_of([] { Payload::parse("1e999").json(); }), Code::invalid_argument);
  EXPECT_EQ(code_of([] { Payload::parse("[\"\\ud800\"]").json(); }), Code::invalid_argument);
  EXPECT_EQ(code_of([] { Payload::bytes("1").json(); }), Code::invalid_argument);
}

}  // namespace
}  // namespace holdfast
