// Whether the engine's grouping rule (§3.3) keeps its promise: batches that it lets into one group may be
// judged on the state before the group and applied as a set, and nobody can tell that from one after another.
#pragma once

#include <cstdint>

#include "holdfast/conformance.h"

namespace holdfast::conformance {

/// Tries random groups that follow from `seed`; the reason names the first difference.
Result check_interference(std::uint64_t seed, int groups);

}  // namespace holdfast::conformance
