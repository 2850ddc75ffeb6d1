// memory: the reference backend. Everything is a map under one lock, so that every rule of the contract can
// be seen in one file; the differential tests compare every other backend with it, answer by answer. Nothing
// outlives the object.
#pragma once

#include <memory>

#include "contract/url.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

/// A new, empty store. Thread-safe; calls never block on anything but one mutex, wait() excepted.
std::unique_ptr<Backend> memory_backend(const Environment& environment);

/// "memory:", without path and options.
BackendFactory memory_factory();

}  // namespace holdfast
