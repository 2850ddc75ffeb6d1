// What only a disk can break, as cases for the canaries of the file backend: the crash suites on a simulated
// disk, and a damaged byte on a real one.
#pragma once

#include <regex>
#include <vector>

#include "holdfast/conformance.h"

namespace holdfast::conformance {

/// Runs the cases whose name `wanted` finds.
std::vector<Result> run_on_disk(const std::regex& wanted);

}  // namespace holdfast::conformance
