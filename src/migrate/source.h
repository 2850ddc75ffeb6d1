// The engine that a source is read with.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "holdfast/backend.h"

namespace holdfast::migrate {

/// Without a sweeper, so that reading a store writes nothing but the pin of its log. Throws
/// capability_missing for a backend that keeps objects where its entries do not show them.
std::shared_ptr<Engine> source_engine(std::shared_ptr<Backend> backend, const Environment& environment);

}  // namespace holdfast::migrate
