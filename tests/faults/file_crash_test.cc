// The file backend through every crash that the simulated disk knows. HOLDFAST_CRASH replays one case and
// HOLDFAST_SEED one life; HOLDFAST_SEEDS says how many random ones there are, and HOLDFAST_STRIDE=n lets only
// every n-th call fail.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/faults/crash_suite.h"
#include "tests/faults/file_target.h"
#include "tests/support/settings.h"

namespace holdfast::faults {
namespace {

constexpr std::uint64_t kUsualSeeds = 1500;

struct SweepParameter {
  Scenario scenario;
  Fault fault;
  bool direct_io;
  bool durable;
};

CrashCase case_of(const SweepParameter& parameter) {
  CrashCase which;
  which.scenario = parameter.scenario;
  which.fault = parameter.fault;
  which.direct_io = parameter.direct_io;
  which.durable = parameter.durable;
  return which;
}

std::vector<SweepParameter> all_sweeps() {
  std::vector<SweepParameter> all;
  for (const Scenario scenario : {Scenario::commits, Scenario::groups, Scenario::checkpoint,
                                  Scenario::administer, Scenario::opening, Scenario::repair}) {
    if (scenario == Scenario::repair && !file_target().repair) continue;
    for (const Fault fault : {Fault::failure, Fault::power_loss, Fault::kill}) {
      for (const bool direct_io : {true, false}) all.push_back({scenario, fault, direct_io, true});
    }
  }
  // Stores that are not durable may lose what was acknowledged, and must say so.
  for (const Scenario scenario : {Scenario::commits, Scenario::groups, Scenario::checkpoint}) {
    for (const Fault fault : {Fault::power_loss, Fault::kill}) all.push_back({scenario, fault, true, false});
  }
  return all;
}

std::string sweep_name(const testing::TestParamInfo<SweepParameter>& info) {
  std::string name = case_of(info.param).text();
  name.resize(name.find("/0/"));
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

class FileCrash : public testing::TestWithParam<SweepParameter> {};

TEST_P(FileCrash, keeps_every_acknowledged_commit_whichever_call_it_is) {
  const std::size_t stride = std::max<std::size_t>(1, testing_support::setting("HOLDFAST_STRIDE", 1));
  const std::size_t calls = sweep(file_target(), case_of(GetParam()), stride);
  RecordProperty("calls", static_cast<int>(calls));
  EXPECT_GT(calls, 5u);
}

INSTANTIATE_TEST_SUITE_P(All, FileCrash, testing::ValuesIn(all_sweeps()), sweep_name);

// What the suites have found before.
TEST(FileCrashes, found_before_are_found_no_more) {
  for (const char* text : {
           // A store that was not durable and was killed left its log in the system's memory alone; the next
           // process closed the store without having synced it.
           "commits/kill/direct/buffered/1/1",
           // Repair took a checkpoint that could not be opened just then for a damaged one.
           "repair/failure/direct/durable/7/1",
       }) {
    const auto which = CrashCase::parse(text);
    ASSERT_TRUE(which) << text;
    run_case(file_target(), *which);
  }
}

TEST(FileCrashes, random_cases_keep_every_acknowledged_commit) {
  if (const auto replayed = case_to_replay()) {
    run_case(file_target(), *replayed);
    return;
  }
  const std::uint64_t seeds = seeds_to_run(kUsualSeeds);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    run_case(file_target(), random_case(file_target(), seed));
}

TEST(FileCrashes, random_lives_keep_every_acknowledged_commit) {
  if (const auto seed = testing_support::setting("HOLDFAST_SEED")) {
    run_life(file_target(), *seed);
    return;
  }
  const std::uint64_t seeds = seeds_to_run(kUsualSeeds);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) run_life(file_target(), seed);
}

}  // namespace
}  // namespace holdfast::faults
