// Task engines in the process of the test, on the store that the program under test works with.
#pragma once

#include <memory>
#include <string>

#include "holdfast/open.h"
#include "holdfast/store.h"
#include "tests/support/failing_tasks.h"

namespace holdfast::e2e {

inline std::shared_ptr<Store> store_in(const std::string& store_file) {
  return Store::open(open_backend("sqlite:" + store_file));
}

/// In the store of a file; see testing_support::fail_all_tasks().
inline void fail_all_tasks(const std::string& store_file, const std::string& type) {
  testing_support::fail_all_tasks(Tasks(store_in(store_file)->database("agents")), type);
}

}  // namespace holdfast::e2e
