// What a change of a service's entry is for those who listen: one function for each service.
#pragma once

#include <optional>
#include <vector>

#include "holdfast/lifecycle.h"

namespace holdfast {

/// A changed entry of a service.
struct LifecycleChange {
  View key;                      ///< the part behind the source's keys
  const Entry* entry = nullptr;  ///< null: it was erased
};

/// The entries of one service that are worth telling about.
struct LifecycleSource {
  View service;  ///< what its types begin with: "kv"
  Bytes prefix;  ///< of the service
  Bytes keys;    ///< what the keys of the entries begin with
  /// Nothing if the entry is none to tell about, or has changed again, which is told later.
  std::optional<LifecycleEvent> (*tell)(const Database& database, const LifecycleChange& change);
};

/// Throws invalid_argument for what is no prefix.
std::vector<LifecycleSource> lifecycle_sources(const LifecycleOptions& options);

/// All types there are.
std::vector<View> lifecycle_types();

}  // namespace holdfast
