// The line that says how far something has come.
#include "cli/output.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

namespace holdfast::cli {
namespace {

/// What goes back to the beginning of the line and clears it.
const std::string kClear = "\r\x1b[K";

class ProgressBarTest : public testing::Test {
 protected:
  /// What has been drawn since the last call.
  std::string drawn() {
    std::fflush(file_.get());
    const long end = std::ftell(file_.get());
    std::string text(static_cast<std::size_t>(end - begin_), ' ');
    std::fseek(file_.get(), begin_, SEEK_SET);
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), file_.get()), text.size());
    std::fseek(file_.get(), end, SEEK_SET);
    begin_ = end;
    return text;
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file_{std::tmpfile()};
  long begin_ = 0;
};

TEST_F(ProgressBarTest, HasABarThePartTheRateAndTheTimeLeft) {
  ProgressBar bar(file_.get(), true);
  bar.show("copying", 50, 200, 1'000);
  EXPECT_EQ(drawn(), kClear + "copying [" + std::string(7, '#') + std::string(23, '.') +
                         "] 25% 50 entries, 50/s, 0:03 left");
}

TEST_F(ProgressBarTest, GivesTheTimeLeftInMinutesAndSeconds) {
  ProgressBar bar(file_.get(), true);
  bar.show("copying", 10, 1'260, 1'000, "records");
  EXPECT_TRUE(drawn().ends_with("] 0% 10 records, 10/s, 2:05 left"));
}

TEST_F(ProgressBarTest, IsFullAtTheEndWithNothingLeft) {
  ProgressBar bar(file_.get(), true);
  const std::string full = kClear + "copying [" + std::string(30, '#') + "] 100% ";
  bar.show("copying", 200, 200, 4'000);
  EXPECT_EQ(drawn(), full + "200 entries, 50/s");
  // More than was counted before, because others went on writing.
  bar.show("copying", 220, 200, 4'400);
  EXPECT_EQ(drawn(), full + "220 entries, 50/s");
}

TEST_F(ProgressBarTest, CountsForTheRateOnlyWhatWasDoneMeanwhile) {
  ProgressBar bar(file_.get(), true);
  bar.show("copying", 150, 200, 1'000, "entries", 100);
  EXPECT_TRUE(drawn().ends_with("] 75% 150 entries, 50/s, 0:01 left"));
  // Less than there was before: what was copied has been erased at the source.
  bar.show("copying", 90, 200, 2'000, "entries", 100);
  EXPECT_TRUE(drawn().ends_with("] 45% 90 entries, 0/s"));
}

TEST_F(ProgressBarTest, IsDrawnAtOnceWhenTheTimeBeginsAnew) {
  ProgressBar bar(file_.get(), true);
  bar.show("counting", 1, 10, 5'000);
  EXPECT_NE(drawn(), "");
  bar.show("copying", 1, 10, 10);
  EXPECT_NE(drawn(), "");
}

TEST_F(ProgressBarTest, HasNoBarAndNoTimeLeftWhereTheTotalIsNotKnown) {
  ProgressBar bar(file_.get(), true);
  bar.show("importing:", 10, 0, 500, "records");
  EXPECT_EQ(drawn(), kClear + "importing: 10 records, 20/s");
}

TEST_F(ProgressBarTest, DoesNotGuessWhileNoTimeHasPassedOrNothingIsDone) {
  ProgressBar bar(file_.get(), true);
  bar.show("copying", 5, 10, 0);
  EXPECT_TRUE(drawn().ends_with("] 50% 5 entries, 0/s"));
  bar.show("copying", 0, 10, 1'000);
  EXPECT_TRUE(drawn().ends_with("] 0% 0 entries, 0/s"));
}

TEST_F(ProgressBarTest, IsDrawnTenTimesASecondAtMostAndAlwaysAtTheEnd) {
  ProgressBar bar(file_.get(), true);
  bar.show("copying", 1, 10, 1'000);
  EXPECT_NE(drawn(), "");
  bar.show("copying", 2, 10, 1'099);
  EXPECT_EQ(drawn(), "");
  bar.show("copying", 3, 10, 1'100);
  EXPECT_NE(drawn(), "");
  bar.show("copying", 10, 10, 1'101);
  EXPECT_NE(drawn(), "");
}

TEST_F(ProgressBarTest, IsWipedOnceAndLeavesNothingBehind) {
  {
    ProgressBar bar(file_.get(), true);
    bar.clear();
    EXPECT_EQ(drawn(), "");
    bar.show("copying", 1, 10, 1'000);
    drawn();
    bar.clear();
    EXPECT_EQ(drawn(), kClear);
    bar.clear();
    EXPECT_EQ(drawn(), "");
    bar.show("copying", 2, 10, 2'000);
    drawn();
  }
  EXPECT_EQ(drawn(), kClear);
}

TEST_F(ProgressBarTest, IsNothingWhereThereIsNoTerminal) {
  {
    ProgressBar bar(file_.get(), false);
    bar.show("copying", 1, 10, 1'000);
  }
  EXPECT_EQ(drawn(), "");
}

}  // namespace
}  // namespace holdfast::cli
