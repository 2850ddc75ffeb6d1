// The crash suites themselves: they pass a store that is right, and find each fault that such stores have.
#include "tests/faults/crash_suite.h"

#include <gtest/gtest.h>

#include "tests/faults/log_store.h"

namespace holdfast::faults {
namespace {

constexpr Scenario kWorking[] = {Scenario::commits, Scenario::groups, Scenario::administer,
                                 Scenario::opening};
constexpr Fault kFaults[] = {Fault::failure, Fault::power_loss, Fault::kill};
constexpr std::uint64_t kLives = 60;

/// What the suites say of a store; "" if they find nothing.
std::string verdict(LogStoreFault fault) {
  const CrashTarget target = log_store_target(fault);
  try {
    for (const Scenario scenario : kWorking) {
      for (const Fault kind : kFaults) {
        CrashCase which;
        which.scenario = scenario;
        which.fault = kind;
        sweep(target, which);
      }
    }
    for (std::uint64_t seed = 1; seed <= kLives; ++seed) run_life(target, seed);
  } catch (const CrashFailure& failure) {
    return failure.what();
  }
  return "";
}

TEST(CrashSuite, PassesAStoreThatIsRight) { EXPECT_EQ(verdict(LogStoreFault::none), ""); }

TEST(CrashSuite, FindsAnAnswerBeforeTheSync) { EXPECT_NE(verdict(LogStoreFault::answers_before_sync), ""); }

TEST(CrashSuite, FindsACommitThatIsSeenBeforeItIsDurable) {
  EXPECT_NE(verdict(LogStoreFault::shows_before_sync), "");
}

TEST(CrashSuite, FindsBeliefInASecondSync) { EXPECT_NE(verdict(LogStoreFault::believes_second_sync), ""); }

TEST(CrashSuite, FindsAMissingFolderSync) { EXPECT_NE(verdict(LogStoreFault::forgets_folder_sync), ""); }

TEST(CrashSuite, FindsATornTailThatIsAccepted) { EXPECT_NE(verdict(LogStoreFault::checks_no_sums), ""); }

TEST(CrashSuite, FindsTrustInWhatAFailedSyncLeftInThePageCache) {
  EXPECT_NE(verdict(LogStoreFault::trusts_page_cache), "");
}

TEST(CrashSuite, FindsARetryThatIsAppliedTwice) { EXPECT_NE(verdict(LogStoreFault::forgets_sessions), ""); }

TEST(CrashCase, TextNamesTheWholeCase) {
  for (std::uint64_t seed = 1; seed < 100; ++seed) {
    const CrashCase which = random_case(log_store_target(LogStoreFault::none), seed);
    const auto parsed = CrashCase::parse(which.text());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->text(), which.text());
  }
  EXPECT_FALSE(CrashCase::parse("commits/power"));
  EXPECT_FALSE(CrashCase::parse("commits/lightning/direct/durable/1/1"));
}

}  // namespace
}  // namespace holdfast::faults
