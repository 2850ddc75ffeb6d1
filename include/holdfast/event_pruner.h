// Keeps event streams within their retention by itself:
//
//     holdfast::Events events(store->database("app"));
//     events.set_retention("orders", holdfast::EventRetention{.max_age = std::chrono::hours(24)});
//     holdfast::EventPruner pruner(store);
//
// prunes all streams of all databases of the store at once and then every minute. Any number of processes may
// do so for one store: they share the work, and each event is removed once. `holdfast serve` does it too.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/store.h"

namespace holdfast {

class StoreRounds;  // src/services/store_rounds.h

struct EventPrunerOptions {
  /// The prefixes of the Events services.
  std::vector<Bytes> prefixes = {"events"};
  /// From the end of one round to the beginning of the next; at least 1 ms.
  std::chrono::milliseconds interval = std::chrono::minutes(1);
  /// That of the store; the machine's if there is none.
  std::shared_ptr<Clock> clock = {};
  /// Hears of a database that could not be pruned, on the pruner's thread; it is tried again in the next
  /// round.
  std::function<void(const Bytes& database, const std::exception& error)> on_error = {};
};

/// Thread-safe. Costs a thread, and a read of each database in every round.
class EventPruner {
 public:
  /// Throws invalid_argument for an interval or a prefix that is none.
  explicit EventPruner(std::shared_ptr<Store> store, EventPrunerOptions options = {});
  /// Waits for the commit that is under way, at most.
  ~EventPruner();
  EventPruner(const EventPruner&) = delete;
  EventPruner& operator=(const EventPruner&) = delete;

 private:
  std::unique_ptr<StoreRounds> rounds_;
};

}  // namespace holdfast
