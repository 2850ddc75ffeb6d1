// Indexes of records that are built after the request that declared them has been answered.
#pragma once

#include <map>
#include <mutex>

#include "holdfast/records.h"

namespace holdfast::server {

/// Thread-safe.
class IndexBuilds {
 public:
  /// Declares an index; what is to be done for it is done until the store is closed.
  void declare(const Database& database, View name, View path, const RecordIndexOptions& options);

 private:
  std::mutex mutex_;
  /// By database: each of these handles builds the indexes of its database.
  std::map<Bytes, Records> building_;
};

}  // namespace holdfast::server
