// Layers: backends that wrap backends. They compose in code through these functions, or in a store's URL as
// prefixes of the scheme, outermost first: "metered+per_database+sqlite:///data/databases".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

/// Opens the inner store of one logical database. `place` is a surrogate id in hexadecimal, never the
/// database's name.
using OpenPlace = std::function<std::unique_ptr<Backend>(const std::string& place)>;
/// Frees what a dropped database's inner store occupied.
using RemovePlace = std::function<void(const std::string& place)>;

/// One inner store per logical database. `catalog` maps names to places and is itself a backend of the same
/// kind. At most `open_limit` inner stores are kept open.
std::unique_ptr<Backend> per_database(std::unique_ptr<Backend> catalog, OpenPlace open_place,
                                      RemovePlace remove_place, const Environment& environment,
                                      std::size_t open_limit = 256);

/// Explicit bindings: each logical database in the store that it is bound to, all others in `otherwise`.
/// Several may be bound to one store, also to `otherwise`.
std::unique_ptr<Backend> bound_databases(std::map<Bytes, std::shared_ptr<Backend>> bindings,
                                         std::shared_ptr<Backend> otherwise, const Environment& environment);

/// How often (in parts of 1,000) and how a `faulty` layer fails calls; everything follows from `seed`.
struct Faults {
  std::uint64_t seed = 1;
  int error_per_mille = 0;        ///< fails before the call is passed on
  int delay_per_mille = 0;        ///< waits up to max_delay before passing it on
  int lost_answer_per_mille = 0;  ///< passes a commit on and then reports unknown_outcome
  int parked_copy_per_mille =
      0;  ///< reports unknown_outcome and passes the commit on later, after other commits
  std::chrono::milliseconds max_delay{5};
};
std::unique_ptr<Backend> faulty(std::unique_ptr<Backend> inner, Faults faults,
                                const Environment& environment);

/// What one operation of a metered backend has cost so far.
struct CallMetrics {
  std::uint64_t calls = 0;
  std::uint64_t errors = 0;
  std::uint64_t total_ns = 0;
  /// Calls by duration: bucket 0 counts those below 1 us, bucket i those below 2^i us, the last all others.
  std::vector<std::uint64_t> histogram_us;
};

/// Counters that one or more metered layers add to. Thread-safe; a call costs a few atomic additions.
class Metrics {
 public:
  struct Counters;
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// By operation: "read", "commit", "changes", "compact", "fence", "databases", "drop", "expired", "wait".
  std::map<std::string, CallMetrics> calls() const;
  /// Bare counts: "groups", "groups_failed", "batches", "batches_committed", "batches_conflicted",
  /// "entries_read", "bytes_read", "bytes_written" (keys and values).
  std::map<std::string, std::uint64_t> counts() const;
  /// Both as Prometheus text exposition (version 0.0.4), all names beginning with "holdfast_".
  std::string prometheus() const;

  Counters& counters() { return *counters_; }

 private:
  std::unique_ptr<Counters> counters_;
};

/// Counts and times every call into `metrics`.
std::unique_ptr<Backend> metered(std::unique_ptr<Backend> inner, const Environment& environment,
                                 std::shared_ptr<Metrics> metrics);

}  // namespace holdfast
