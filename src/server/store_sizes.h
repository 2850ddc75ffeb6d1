// How much lies in each database of a store, for /metrics: counted in rounds by a thread of its own, so that
// a scrape costs no reads.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "holdfast/environment.h"
#include "holdfast/store.h"
#include "services/database_sizes.h"
#include "services/store_rounds.h"

namespace holdfast::server {

/// A database is read again only if it has changed, and as a whole no more than a twentieth of the time.
/// Thread-safe.
class StoreSizes {
 public:
  using OnError = std::function<void(const Bytes& database, const std::exception& error)>;

  /// From one round to the next: `interval`.
  StoreSizes(std::shared_ptr<Store> store, std::chrono::milliseconds interval, std::shared_ptr<Clock> clock,
             OnError on_error);

  /// Sums over the store, and the figures of its largest databases as far as `may_read` says yes. Empty
  /// before the first round is over.
  std::string prometheus(const std::function<bool(View database)>& may_read) const;

 private:
  struct Counted {
    DatabaseSizes sizes;
    Position at;
    Deadline due;  ///< not to be read again before
    std::uint64_t bytes() const { return sizes.key_bytes + sizes.value_bytes + sizes.object_bytes; }
  };

  void visit(const Bytes& database, const std::stop_token& stop);
  void end_round();

  const std::shared_ptr<Store> store_;
  const std::shared_ptr<Clock> clock_;
  mutable std::mutex mutex_;
  std::map<Bytes, Counted> counted_;
  bool is_ready_ = false;
  /// What the round that is under way has met; only of its thread.
  std::set<Bytes> met_;
  std::optional<StoreRounds> rounds_;
};

}  // namespace holdfast::server
