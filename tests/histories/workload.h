// Threads that use one database in every way there is, and write down what they did and saw.
#pragma once

#include <cstddef>
#include <cstdint>

#include "histories/history.h"
#include "holdfast/store.h"
#include "holdfast/types.h"

namespace holdfast::histories {

struct Workload {
  std::uint64_t seed = 1;
  std::size_t threads = 8;
  std::size_t operations = 10'000;  ///< of all threads together
  std::size_t watches = 2;
  Bytes database = "history";  ///< must be empty
  /// Whether operations may end in `unavailable`: they did nothing then and are left out of the history,
  /// which shows it if they did.
  bool may_be_unavailable = false;
};

/// Runs it to the end. Commits whose outcome stays unknown have no place in a history that is checked: they
/// throw.
History run(Store& store, const Workload& workload);

}  // namespace holdfast::histories
