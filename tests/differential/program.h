// Random programs over the Backend interface: generated from a seed, run step by step on any backend with a
// transcript of every answer, and shrunk to the fewest steps that still make two backends differ.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::differential {

/// The databases of every program.
inline constexpr std::array kDatabases = {"alpha", "beta/1", "\xC3\xA9 % {x}"};

/// One call. Positions, versions and histories are written as references into what the run has seen so far,
/// so that a step means the same on every backend although each draws its own histories.
struct Step {
  enum class Kind : std::uint8_t {
    commit,
    retry,
    stale_group,
    read,
    changes,
    compact,
    drop,
    fence,
    databases,
    expired,
    clock
  };
  Kind kind = Kind::read;
  std::size_t database = 0;
  std::size_t session = 0;
  std::vector<Batch> batches;  ///< versions in checks: 0 stands for "the one read last", others as they are
  bool guess_history = false;  ///< send a history that is not the database's
  std::vector<Bytes> gets;
  std::vector<Scan> scans;
  std::vector<Check> checks;
  Seq lag = 0;  ///< changes and compact: how far behind the head
  std::size_t limit = 0;
  std::int64_t clock_by_ms = 0;
  Fence::State fence = Fence::State::open;
  bool with_token = false;
};

std::vector<Step> random_program(std::uint64_t seed, std::size_t steps);

/// A line per step: everything that the contract fixes about the answer, nothing that it leaves open.
std::vector<std::string> run(const std::vector<Step>& program, Backend& backend);

/// The fewest steps of `program` for which `fails` still holds (it holds for `program`).
std::vector<Step> shrink(std::vector<Step> program,
                         const std::function<bool(const std::vector<Step>&)>& fails);

std::string describe(const Step& step);

}  // namespace holdfast::differential
