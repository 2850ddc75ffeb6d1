#include "holdfast/error.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace holdfast {
namespace {

struct Row {
  Code code;
  const char* name;
  Retry retry;
};

constexpr std::array kTable = {
    Row{Code::invalid_argument, "invalid_argument", Retry::never},
    Row{Code::not_found, "not_found", Retry::never},
    Row{Code::already_exists, "already_exists", Retry::never},
    Row{Code::conflict, "conflict", Retry::backoff},
    Row{Code::capability_missing, "capability_missing", Retry::never},
    Row{Code::unavailable, "unavailable", Retry::backoff},
    Row{Code::timeout, "timeout", Retry::backoff},
    Row{Code::corruption, "corruption", Retry::never},
    Row{Code::permission_denied, "permission_denied", Retry::never},
    Row{Code::compacted, "compacted", Retry::never},
    Row{Code::history_changed, "history_changed", Retry::now},
    Row{Code::session_conflict, "session_conflict", Retry::never},
    Row{Code::clock_skew, "clock_skew", Retry::never},
    Row{Code::moved, "moved", Retry::now},
    Row{Code::closed, "closed", Retry::never},
    Row{Code::internal, "internal", Retry::never},
};

TEST(ErrorCodes, HaveStableNamesAndTheRetryClassesOfTheContract) {
  ASSERT_EQ(kTable.size(), static_cast<std::size_t>(Code::internal) + 1);
  for (const Row& row : kTable) {
    EXPECT_STREQ(name(row.code), row.name);
    EXPECT_EQ(default_retry(row.code), row.retry) << row.name;
    EXPECT_EQ(Error(row.code, "x").retry(), row.retry) << row.name;
  }
}

TEST(ErrorCodes, HaveNamesForRetryClasses) {
  EXPECT_STREQ(name(Retry::never), "never");
  EXPECT_STREQ(name(Retry::now), "now");
  EXPECT_STREQ(name(Retry::backoff), "backoff");
  EXPECT_STREQ(name(Retry::unknown_outcome), "unknown_outcome");
}

TEST(Errors, CarryThePresentPositionWhenTheHistoryChanged) {
  const Error error = Error::history_changed("agents", {7, 12});
  EXPECT_EQ(error.code(), Code::history_changed);
  EXPECT_EQ(error.at(), (Position{7, 12}));
  EXPECT_NE(std::string(error.what()).find("\"agents\""), std::string::npos);
}

TEST(Errors, CarryThePlaceOfAMovedDatabaseOutsideTheMessage) {
  const Error error = Error::moved("agents", "postgres://user:secret@host/db");
  EXPECT_EQ(error.code(), Code::moved);
  EXPECT_EQ(error.place(), "postgres://user:secret@host/db");
  EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
}

TEST(Errors, KeepEverythingButTheRetryClassWhenTheOutcomeIsUnknown) {
  const Error error = Error::history_changed("agents", {7, 12}).with_unknown_outcome();
  EXPECT_EQ(error.code(), Code::history_changed);
  EXPECT_EQ(error.retry(), Retry::unknown_outcome);
  EXPECT_EQ(error.at(), (Position{7, 12}));
}

}  // namespace
}  // namespace holdfast
