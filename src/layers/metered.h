// The counters behind Metrics. The layer itself is declared in holdfast/layers.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "holdfast/layers.h"

namespace holdfast {

inline constexpr std::array kOperations = {"read",      "commit", "changes", "compact", "fence",
                                           "databases", "drop",   "expired", "wait"};
enum class Operation : std::uint8_t { read, commit, changes, compact, fence, databases, drop, expired, wait };

inline constexpr std::array kCounts = {
    "groups",       "groups_failed", "batches",      "batches_committed", "batches_conflicted",
    "entries_read", "bytes_read",    "bytes_written"};
enum class Count : std::uint8_t {
  groups,
  groups_failed,
  batches,
  batches_committed,
  batches_conflicted,
  entries_read,
  bytes_read,
  bytes_written
};

/// Up to 2^25 us, half a minute; the last bucket counts what took longer.
inline constexpr std::size_t kHistogramBuckets = 27;

struct Metrics::Counters {
  // Each operation on lines of its own, so that readers and writers do not share one.
  struct alignas(64) Call {
    std::atomic<std::uint64_t> errors{0};
    std::atomic<std::uint64_t> total_ns{0};
    std::array<std::atomic<std::uint64_t>, kHistogramBuckets> histogram_us{};
  };
  std::array<Call, kOperations.size()> calls{};
  std::array<std::atomic<std::uint64_t>, kCounts.size()> counts{};

  void add(Operation operation, std::uint64_t elapsed_ns, bool failed);
  void add(Count count, std::uint64_t number);
};

/// The histogram's bucket of a duration.
std::size_t histogram_bucket(std::uint64_t elapsed_ns);

}  // namespace holdfast
