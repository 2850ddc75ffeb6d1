// Looking after a store that nobody has open: reading every byte of it, and saving what can be saved of a
// damaged one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/types.h"

namespace holdfast {

/// What check_store() and repair_store() found. `problems` are sentences with file names and offsets; `lost`
/// says what repair could not save. The counts are of what could be read.
struct CheckReport {
  std::vector<std::string> problems;
  std::vector<std::string> lost;
  std::uint64_t databases = 0;
  std::uint64_t entries = 0;
  std::uint64_t commits = 0;
  bool ok() const { return problems.empty(); }
};

/// Reads all of the store that `url` names and changes nothing. The layers of the URL that keep no data
/// (metered, faulty) are passed over; under per_database the catalog and every inner store are read. Throws
/// what opening the store would throw, and capability_missing if this kind of store cannot be checked.
CheckReport check_store(View url, const Environment& environment = {});

/// Saves what can be saved. The store must not be open anywhere. Make a copy of its files first. Throws as
/// check_store() does.
CheckReport repair_store(View url, const Environment& environment = {});

}  // namespace holdfast
