// The contract once more, written as plainly as it can be over std::map and sharing no code with the backends
// (not even the rules of src/contract/head.h), so that a misreading in one place shows as a difference. One
// lock, no speed.
#pragma once

#include <memory>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::differential {

/// Answers as the contract says. wait() returns at once: the programs of this suite run in one thread.
std::unique_ptr<Backend> model_backend(const Environment& environment);

}  // namespace holdfast::differential
