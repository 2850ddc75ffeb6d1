// The file backend as the crash suites break it.
#pragma once

#include "tests/faults/crash_target.h"

namespace holdfast::faults {

/// With segments and checkpoints so small that a few dozen commits go through all that a log's life has.
CrashTarget file_target();

}  // namespace holdfast::faults
