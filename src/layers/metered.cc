#include "layers/metered.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <exception>

#include "contract/forwarding.h"

namespace holdfast {
namespace {

std::size_t index_of(Operation operation) { return static_cast<std::size_t>(operation); }
std::size_t index_of(Count count) { return static_cast<std::size_t>(count); }

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "%.9g", seconds);
  return {text.data(), static_cast<std::size_t>(size)};
}

void count_entries(Metrics::Counters& counters, const ReadAnswer& answer) {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  const auto count = [&](const Entry& entry) {
    ++entries;
    bytes += entry.key.size() + entry.value.size();
  };
  for (const std::optional<Entry>& entry : answer.gets) {
    if (entry) count(*entry);
  }
  for (const Page& page : answer.pages) {
    for (const Entry& entry : page.entries) count(entry);
  }
  if (entries == 0) return;
  counters.add(Count::entries_read, entries);
  counters.add(Count::bytes_read, bytes);
}

void count_group(Metrics::Counters& counters, const Group& group) {
  counters.add(Count::groups, 1);
  counters.add(Count::batches, group.batches.size());
  if (group.error) return counters.add(Count::groups_failed, 1);
  std::uint64_t committed = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < group.outcomes.size(); ++i) {
    if (!group.outcomes[i].committed()) continue;
    ++committed;
    for (const Write& write : group.batches[i].writes) {
      bytes += write.key.size() + write.suffix.size() + write.value.size();
    }
  }
  if (committed != 0) {
    counters.add(Count::batches_committed, committed);
    counters.add(Count::bytes_written, bytes);
  }
  if (committed != group.outcomes.size()) {
    counters.add(Count::batches_conflicted, group.outcomes.size() - committed);
  }
}

class MeteredBackend final : public ForwardingBackend {
 public:
  MeteredBackend(std::unique_ptr<Backend> inner, const Environment& environment,
                 std::shared_ptr<Metrics> metrics)
      : ForwardingBackend(std::move(inner)),
        environment_(environment.completed()),
        metrics_(metrics ? std::move(metrics) : std::make_shared<Metrics>()),
        counters_(metrics_->counters()) {}

  ReadAnswer read(View database, const ReadRequest& request) override {
    const CallTimer timer(*this, Operation::read);
    ReadAnswer answer = inner().read(database, request);
    count_entries(counters_, answer);
    return answer;
  }

  void commit(std::span<Group> groups) override {
    const Deadline begin = environment_.clock->steady_now();
    inner().commit(groups);
    bool failed = false;
    for (const Group& group : groups) {
      failed = failed || group.error;
      count_group(counters_, group);
    }
    counters_.add(Operation::commit, elapsed_ns(begin), failed);
  }

  Changes changes(View database, const ChangesRequest& request) override {
    const CallTimer timer(*this, Operation::changes);
    return inner().changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    const CallTimer timer(*this, Operation::compact);
    inner().compact(database, before, deadline);
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    const CallTimer timer(*this, Operation::fence);
    return inner().fence(database, expected, next, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    const CallTimer timer(*this, Operation::databases);
    return inner().databases(prefix, after, limit, deadline);
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    const CallTimer timer(*this, Operation::drop);
    return inner().drop(database, history, deadline);
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    const CallTimer timer(*this, Operation::expired);
    return inner().expired(now_ms, limit, deadline);
  }
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    const CallTimer timer(*this, Operation::wait);
    return inner().wait(cursors, deadline);
  }

 private:
  /// Counts a call on every way out of it.
  class CallTimer {
   public:
    CallTimer(MeteredBackend& metered, Operation operation)
        : metered_(metered), operation_(operation), begin_(metered.environment_.clock->steady_now()) {}
    ~CallTimer() {
      metered_.counters_.add(operation_, metered_.elapsed_ns(begin_), std::uncaught_exceptions() > uncaught_);
    }
    CallTimer(const CallTimer&) = delete;
    CallTimer& operator=(const CallTimer&) = delete;

   private:
    MeteredBackend& metered_;
    const Operation operation_;
    const Deadline begin_;
    const int uncaught_ = std::uncaught_exceptions();
  };

  std::uint64_t elapsed_ns(Deadline begin) const {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(environment_.clock->steady_now() - begin)
            .count());
  }

  const Environment environment_;
  const std::shared_ptr<Metrics> metrics_;
  Metrics::Counters& counters_;
};

}  // namespace

std::size_t histogram_bucket(std::uint64_t elapsed_ns) {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(elapsed_ns / 1000)),
                               kHistogramBuckets - 1);
}

void Metrics::Counters::add(Operation operation, std::uint64_t elapsed_ns, bool failed) {
  Call& call = calls[index_of(operation)];
  call.histogram_us[histogram_bucket(elapsed_ns)].fetch_add(1, std::memory_order_relaxed);
  call.total_ns.fetch_add(elapsed_ns, std::memory_order_relaxed);
  if (failed) call.errors.fetch_add(1, std::memory_order_relaxed);
}

void Metrics::Counters::add(Count count, std::uint64_t number) {
  counts[index_of(count)].fetch_add(number, std::memory_order_relaxed);
}

Metrics::Metrics() : counters_(std::make_unique<Counters>()) {}
Metrics::~Metrics() = default;

std::map<std::string, CallMetrics> Metrics::calls() const {
  std::map<std::string, CallMetrics> result;
  for (std::size_t i = 0; i < kOperations.size(); ++i) {
    const Counters::Call& call = counters_->calls[i];
    CallMetrics metrics;
    metrics.errors = call.errors.load(std::memory_order_relaxed);
    metrics.total_ns = call.total_ns.load(std::memory_order_relaxed);
    for (const auto& bucket : call.histogram_us) {
      metrics.histogram_us.push_back(bucket.load(std::memory_order_relaxed));
      metrics.calls += metrics.histogram_us.back();
    }
    result.emplace(kOperations[i], std::move(metrics));
  }
  return result;
}

std::map<std::string, std::uint64_t> Metrics::counts() const {
  std::map<std::string, std::uint64_t> result;
  for (std::size_t i = 0; i < kCounts.size(); ++i) {
    result.emplace(kCounts[i], counters_->counts[i].load(std::memory_order_relaxed));
  }
  return result;
}

std::string Metrics::prometheus() const {
  const std::map<std::string, CallMetrics> by_operation = calls();
  std::string text =
      "# HELP holdfast_call_seconds Duration of storage calls.\n"
      "# TYPE holdfast_call_seconds histogram\n";
  for (const auto& [operation, metrics] : by_operation) {
    const std::string label = "{operation=\"" + operation + "\"";
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < metrics.histogram_us.size(); ++i) {
      below += metrics.histogram_us[i];
      const bool is_last = i + 1 == metrics.histogram_us.size();
      const double bound = static_cast<double>(std::uint64_t{1} << i) / 1e6;
      text += "holdfast_call_seconds_bucket" + label + ",le=\"" + (is_last ? "+Inf" : seconds_text(bound)) +
              "\"} " + std::to_string(below) + "\n";
    }
    text += "holdfast_call_seconds_sum" + label + "} " +
            seconds_text(static_cast<double>(metrics.total_ns) / 1e9) + "\n";
    text += "holdfast_call_seconds_count" + label + "} " + std::to_string(metrics.calls) + "\n";
  }
  text +=
      "# HELP holdfast_call_errors_total Storage calls that failed.\n"
      "# TYPE holdfast_call_errors_total counter\n";
  for (const auto& [operation, metrics] : by_operation) {
    text += "holdfast_call_errors_total{operation=\"" + operation + "\"} " + std::to_string(metrics.errors) +
            "\n";
  }
  for (const auto& [count, number] : counts()) {
    text += "# TYPE holdfast_" + count + "_total counter\nholdfast_" + count + "_total " +
            std::to_string(number) + "\n";
  }
  return text;
}

std::unique_ptr<Backend> metered(std::unique_ptr<Backend> inner, const Environment& environment,
                                 std::shared_ptr<Metrics> metrics) {
  return std::make_unique<MeteredBackend>(std::move(inner), environment, std::move(metrics));
}

}  // namespace holdfast
