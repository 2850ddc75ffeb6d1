#include "harness.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "report.h"

namespace holdfast::bench {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::size_t kSubBuckets = 32;

std::uint64_t elapsed_ns(Steady::time_point from) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now() - from).count());
}

/// One thread's share: calls until told to stop.
void call_until(std::atomic<bool>& stop, std::size_t thread, const std::function<void(std::size_t)>& call,
                std::uint64_t& calls, Histogram& latency) {
  bool fast = false;
  while (!stop.load(std::memory_order_relaxed)) {
    const Steady::time_point from = Steady::now();
    call(thread);
    const std::uint64_t took_ns = elapsed_ns(from);
    latency.add(took_ns);
    ++calls;
    fast = took_ns < 10'000;
    for (int i = 0; fast && i < 15; ++i, ++calls) call(thread);
  }
}

}  // namespace

void Histogram::add(std::uint64_t ns) {
  const auto width = static_cast<std::size_t>(std::bit_width(ns | 1));
  const std::size_t shift = width > 6 ? width - 6 : 0;
  ++buckets_[std::min(buckets_.size() - 1, shift * kSubBuckets + (ns >> shift))];
  ++count_;
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

double Histogram::percentile_us(double percent) const {
  const auto rank = static_cast<std::uint64_t>(static_cast<double>(count_) * percent / 100.0);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen <= rank) continue;
    const std::size_t shift = i < 2 * kSubBuckets ? 0 : i / kSubBuckets - 1;
    return static_cast<double>((i - shift * kSubBuckets) << shift) / 1'000.0;
  }
  return 0;
}

Sample measure(std::size_t threads, std::chrono::milliseconds duration, std::size_t operations_per_call,
               const std::function<void(std::size_t)>& call) {
  std::atomic<bool> stop{false};
  std::vector<std::uint64_t> calls(threads * 16);  // a cache line apart
  std::vector<Histogram> latencies(threads);
  const Steady::time_point from = Steady::now();
  if (threads == 1) {
    std::thread timer([&] {
      std::this_thread::sleep_for(duration);
      stop = true;
    });
    call_until(stop, 0, call, calls[0], latencies[0]);
    timer.join();
  } else {
    std::vector<std::thread> workers;
    for (std::size_t i = 0; i < threads; ++i) {
      workers.emplace_back([&, i] { call_until(stop, i, call, calls[i * 16], latencies[i]); });
    }
    std::this_thread::sleep_for(duration);
    stop = true;
    for (std::thread& worker : workers) worker.join();
  }
  Sample sample;
  sample.seconds = static_cast<double>(elapsed_ns(from)) / 1e9;
  for (std::size_t i = 0; i < threads; ++i) {
    sample.operations += calls[i * 16] * operations_per_call;
    sample.latency.merge(latencies[i]);
  }
  return sample;
}

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Side summary(const std::string& name, const std::vector<Sample>& samples) {
  Histogram latency;
  std::vector<double> rates;
  for (const Sample& sample : samples) {
    latency.merge(sample.latency);
    rates.push_back(sample.per_second());
  }
  return {name, median(rates), latency.percentile_us(50), latency.percentile_us(99)};
}

std::vector<Row> run_case(const Case& planned, const RunOptions& options) {
  const std::size_t sides = planned.peers.size() + 1;
  const auto contender = [&](std::size_t side) -> const Contender& {
    return side == 0 ? planned.ours : planned.peers[side - 1].contender;
  };
  std::vector<std::vector<Sample>> samples(sides);
  for (std::size_t side = 0; side < sides; ++side) contender(side).run(options.round / 4);  // warm-up
  for (std::size_t round = 0; round < options.rounds; ++round) {
    for (std::size_t turn = 0; turn < sides; ++turn) {
      const std::size_t side = (turn + round) % sides;
      samples[side].push_back(contender(side).run(options.round));
    }
  }
  std::vector<Row> rows;
  for (std::size_t peer = 0; peer < planned.peers.size(); ++peer) {
    Row row;
    row.name = planned.name;
    row.ours = summary(planned.ours.name, samples[0]);
    row.peer = summary(planned.peers[peer].contender.name, samples[peer + 1]);
    for (std::size_t round = 0; round < options.rounds; ++round) {
      row.ratios.push_back(samples[0][round].per_second() / samples[peer + 1][round].per_second());
    }
    row.ratio = median(row.ratios);
    row.at_least = planned.peers[peer].at_least;
    row.aim = planned.peers[peer].aim;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

bool run(const Suite& suite, const RunOptions& options, std::ostream& out) {
  const auto wanted = [&](const std::string& name) { return name.find(options.filter) != std::string::npos; };
  Report report;
  for (const PlannedCase& planned : suite.cases) {
    if (!wanted(planned.name)) continue;
    for (Row& row : run_case(planned.build(), options)) {
      out << line_of(row) << std::endl;
      report.rows.push_back(std::move(row));
    }
  }
  for (const Quantity& quantity : suite.quantities) {
    if (!wanted(quantity.name)) continue;
    std::vector<double> values;
    for (std::size_t round = 0; round < options.rounds; ++round) values.push_back(quantity.measure());
    report.figures.push_back({quantity.name, quantity.unit, median(values), quantity.at_most, quantity.aim});
    out << line_of(report.figures.back()) << std::endl;
  }
  if (!options.folder.empty()) write_files(report, options.folder);
  return report.reached();
}

BenchFolder::BenchFolder(const std::string& name) {
  const char* folder = std::getenv("HOLDFAST_BENCH_FOLDER");
  path_ = (std::filesystem::absolute(folder == nullptr ? "build/bench/data" : folder) / name).string();
  std::filesystem::remove_all(path_);
  std::filesystem::create_directories(path_);
}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string key_of(std::uint64_t number) {
  char key[17];
  std::snprintf(key, sizeof key, "%016llu", static_cast<unsigned long long>(number));
  return key;
}

std::string value_of(std::uint64_t number) {
  std::string value = "{\"number\":" + std::to_string(number) + ",\"name\":\"";
  value.resize(98, static_cast<char>('a' + number % 26));
  return value + "\"}";
}

}  // namespace holdfast::bench
