// How much lies in a database, found out by reading all of it.
#pragma once

#include <cstdint>
#include <functional>

#include "holdfast/store.h"

namespace holdfast {

struct DatabaseSizes {
  std::uint64_t entries = 0;
  std::uint64_t expiring = 0;  ///< of the entries
  std::uint64_t key_bytes = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t largest_value_bytes = 0;
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t unfinished_uploads = 0;
};

/// Pages are read one after another: exact if nobody writes meanwhile. `before_page` may throw to end it.
DatabaseSizes sizes_of(const Database& database, const std::function<void()>& before_page);

}  // namespace holdfast
