// The store that the fuzz targets damage, and whose parts their seeds are made of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backends/file/file_backend.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::fuzz {

Url store_url();
Environment environment_on(const std::shared_ptr<SimulatedFileSystem>& files);
std::unique_ptr<FileStore> open_store(const Environment& environment);

/// A disk with a closed store that has seen everything a store can see: checkpoints of every lane and logs
/// behind them, with puts, erases, large values, expiries, failed checks, fences, an import, a compaction and
/// a drop.
std::shared_ptr<SimulatedFileSystem> intact_store();

}  // namespace holdfast::fuzz
