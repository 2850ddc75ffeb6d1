// Indexes of records that are built after the request that declared them has been answered, and those that a
// server which has stopped left unfinished.
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
  /// Goes on with what is unfinished in a database.
  void resume(const Database& database);

 private:
  void forget_done();

  std::mutex mutex_;
  /// By database: each of these handles builds the indexes of its database.
  std::map<Bytes, Records> building_;
};

}  // namespace holdfast::server
