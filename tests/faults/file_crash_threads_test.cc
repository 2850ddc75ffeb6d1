// Crashes of the file backend with a reader and all lanes at work: what the thread sanitizer should look at.
#include <gtest/gtest.h>

#include "tests/faults/crash_suite.h"
#include "tests/faults/file_target.h"

namespace holdfast::faults {
namespace {

constexpr std::uint64_t kUsualSeeds = 100;

TEST(FileCrashThreads, groups_over_all_lanes_are_kept_whenever_the_power_goes) {
  const std::uint64_t seeds = seeds_to_run(kUsualSeeds);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CrashCase which;
    which.scenario = seed % 2 == 0 ? Scenario::groups : Scenario::checkpoint;
    which.call = 1 + seed % 23;
    which.seed = seed;
    run_case(file_target(), which);
  }
}

}  // namespace
}  // namespace holdfast::faults
