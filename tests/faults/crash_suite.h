// The crash suites: what a store does while a disk fails, the power goes or the process is killed, and what
// it must hold afterwards. Plain functions, so that a test and the runner of the canaries call the same ones.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/faults/crash_run.h"

namespace holdfast::faults {

enum class Scenario : std::uint8_t {
  commits,     ///< single commits to several databases
  groups,      ///< groups of several databases over several lanes, in parallel
  checkpoint,  ///< commits of so much data that checkpoints are taken beside them
  administer,  ///< compaction, fences, drops and databases created anew
  opening,     ///< recovery itself crashes, again and again
  repair,      ///< repair of a damaged store crashes
};
inline constexpr std::size_t kScenarios = 6;

/// One run, named by its text: "commits/power_loss/direct/durable/17/12345".
struct CrashCase {
  Scenario scenario = Scenario::commits;
  Fault fault = Fault::power_loss;
  bool direct_io = true;
  bool durable = true;
  std::uint64_t call = 0;  ///< the call at which the fault is, counted from the scenario's begin; 0: none
  std::uint64_t seed = 1;

  std::string text() const;
  static std::optional<CrashCase> parse(const std::string& text);
};

/// Runs one case. Returns whether its fault happened, that is, whether there were that many calls. Throws
/// CrashFailure with the case's text and the latest calls of the disk.
bool run_case(const CrashTarget& target, const CrashCase& which);

/// Runs a case once for every call that there is to fail, or with a stride for the first of each so many.
/// Returns how many calls it has gone through.
std::size_t sweep(const CrashTarget& target, CrashCase which, std::size_t stride = 1);

/// A random case, with all that makes a case, from a seed.
CrashCase random_case(const CrashTarget& target, std::uint64_t seed);

/// A life of several crashes of all kinds, by a seed.
void run_life(const CrashTarget& target, std::uint64_t seed);

/// HOLDFAST_SEEDS, or what is usual.
std::uint64_t seeds_to_run(std::uint64_t usual);
/// The case to replay, by HOLDFAST_CRASH.
std::optional<CrashCase> case_to_replay();

}  // namespace holdfast::faults
