// What a user's batch may say twice, and what the engine makes of it before anything is sent.
#pragma once

#include <cstddef>
#include <optional>

#include "holdfast/types.h"

namespace holdfast {

/// Removes every write that a later write of the same key makes superfluous.
void keep_last_writes(Batch& batch);

/// The first check that cannot hold together with an earlier one, in whatever state the database is.
std::optional<std::size_t> contradicted_check(const Batch& batch);

}  // namespace holdfast
