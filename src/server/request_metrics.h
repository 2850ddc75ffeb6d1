// Counts and latencies of requests by route. A request costs a few atomic additions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "server/http/message.h"
#include "server/route.h"

namespace holdfast::server {

class RequestMetrics {
 public:
  explicit RequestMetrics(const std::vector<Route>& routes);

  void count(const Exchange& exchange);
  /// Prometheus text exposition (0.0.4). Routes that nobody asked for are left out.
  std::string prometheus() const;
  std::uint64_t requests() const;

 private:
  /// Upper bounds in microseconds; one bucket more for what is above all.
  static constexpr std::array<std::uint64_t, 15> kBoundsUs = {
      50,     100,    250,     500,     1'000,   2'500,     5'000,     10'000,
      25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000, 10'000'000};
  struct Counters {
    std::string method;
    std::string pattern;
    std::array<std::atomic<std::uint64_t>, 6> by_class{};  ///< by the status's first digit
    std::array<std::atomic<std::uint64_t>, kBoundsUs.size() + 1> buckets{};
    std::atomic<std::uint64_t> total_ns{0};
  };
  std::vector<Counters> routes_;  ///< the last one is what matched none
  std::atomic<std::uint64_t> received_bytes_{0};
  std::atomic<std::uint64_t> sent_bytes_{0};
  std::atomic<std::uint64_t> cut_{0};
};

}  // namespace holdfast::server
