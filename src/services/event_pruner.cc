#include "holdfast/event_pruner.h"

#include <utility>

#include "holdfast/error.h"
#include "holdfast/events.h"
#include "services/keys.h"
#include "services/store_rounds.h"

namespace holdfast {

EventPruner::EventPruner(std::shared_ptr<Store> store, EventPrunerOptions options) {
  if (options.interval.count() < 1) {
    throw Error(Code::invalid_argument, "the interval of an event pruner is at least 1 ms");
  }
  for (const Bytes& prefix : options.prefixes) validate_service_prefix(prefix);
  StoreRounds::Options rounds;
  rounds.interval = options.interval;
  rounds.clock = options.clock ? std::move(options.clock) : system_clock();
  rounds.on_error = std::move(options.on_error);
  rounds.visit = [store, prefixes = std::move(options.prefixes)](const Bytes& database,
                                                                 const std::stop_token& stop) {
    for (const Bytes& prefix : prefixes) {
      if (stop.stop_requested()) return;
      Events(store->database(database), prefix).prune_all(stop);
    }
  };
  rounds_ = std::make_unique<StoreRounds>(store, std::move(rounds));
}

EventPruner::~EventPruner() = default;

}  // namespace holdfast
