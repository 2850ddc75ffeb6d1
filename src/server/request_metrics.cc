#include "server/request_metrics.h"

#include <algorithm>
#include <cstdio>

namespace holdfast::server {
namespace {

std::string seconds(double value) {
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.9g", value);
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

RequestMetrics::RequestMetrics(const std::vector<Route>& routes) : routes_(routes.size() + 1) {
  for (std::size_t i = 0; i < routes.size(); ++i) {
    routes_[i].method = routes[i].method;
    routes_[i].pattern = routes[i].pattern;
  }
  routes_.back().method = "ANY";
  routes_.back().pattern = "none";
}

void RequestMetrics::count(const Exchange& exchange) {
  // A request that was refused before it was planned has no label.
  const bool is_planned = exchange.plan.label[0] != '\0';
  Counters& counters =
      routes_[is_planned ? std::min(exchange.plan.route, routes_.size() - 1) : routes_.size() - 1];
  const auto digit = static_cast<std::size_t>(std::clamp(exchange.status / 100, 0, 5));
  counters.by_class[digit].fetch_add(1, std::memory_order_relaxed);
  const auto elapsed_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(exchange.duration.count(), 0));
  const auto bound = std::lower_bound(kBoundsUs.begin(), kBoundsUs.end(), elapsed_ns / 1000);
  counters.buckets[static_cast<std::size_t>(bound - kBoundsUs.begin())].fetch_add(1,
                                                                                  std::memory_order_relaxed);
  counters.total_ns.fetch_add(elapsed_ns, std::memory_order_relaxed);
  received_bytes_.fetch_add(exchange.received_bytes, std::memory_order_relaxed);
  sent_bytes_.fetch_add(exchange.sent_bytes, std::memory_order_relaxed);
  if (exchange.cut) cut_.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t RequestMetrics::requests() const {
  std::uint64_t sum = 0;
  for (const Counters& counters : routes_) {
    for (const auto& count : counters.by_class) sum += count.load(std::memory_order_relaxed);
  }
  return sum;
}

std::string RequestMetrics::prometheus() const {
  std::string requests =
      "# HELP holdfast_http_requests_total Requests answered, by route and first digit of the status.\n"
      "# TYPE holdfast_http_requests_total counter\n";
  std::string latencies =
      "# HELP holdfast_http_request_seconds From a request's head to the last byte of its response.\n"
      "# TYPE holdfast_http_request_seconds histogram\n";
  for (const Counters& counters : routes_) {
    const std::string label = "method=\"" + counters.method + "\",route=\"" + counters.pattern + "\"";
    std::uint64_t answered = 0;
    for (std::size_t digit = 1; digit < counters.by_class.size(); ++digit) {
      const std::uint64_t count = counters.by_class[digit].load(std::memory_order_relaxed);
      if (count == 0) continue;
      answered += count;
      requests += "holdfast_http_requests_total{" + label + ",status=\"" + std::to_string(digit) + "xx\"} " +
                  std::to_string(count) + "\n";
    }
    if (answered == 0) continue;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < counters.buckets.size(); ++i) {
      below += counters.buckets[i].load(std::memory_order_relaxed);
      const std::string bound =
          i < kBoundsUs.size() ? seconds(static_cast<double>(kBoundsUs[i]) / 1e6) : std::string("+Inf");
      latencies += "holdfast_http_request_seconds_bucket{" + label + ",le=\"" + bound + "\"} " +
                   std::to_string(below) + "\n";
    }
    const double total = static_cast<double>(counters.total_ns.load(std::memory_order_relaxed)) / 1e9;
    latencies += "holdfast_http_request_seconds_sum{" + label + "} " + seconds(total) + "\n";
    latencies += "holdfast_http_request_seconds_count{" + label + "} " + std::to_string(below) + "\n";
  }
  const auto counter = [](const char* name, const char* help, const std::atomic<std::uint64_t>& value) {
    return std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " counter\n" + name + " " +
           std::to_string(value.load(std::memory_order_relaxed)) + "\n";
  };
  return requests + latencies +
         counter("holdfast_http_received_bytes_total", "Bytes of requests.", received_bytes_) +
         counter("holdfast_http_sent_bytes_total", "Bytes of responses.", sent_bytes_) +
         counter("holdfast_http_cut_total", "Requests whose connection broke before the response was out.",
                 cut_);
}

}  // namespace holdfast::server
