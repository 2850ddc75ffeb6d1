// Measures ours against peers: in one process, in interleaved rounds, as the median of the ratios of each
// round, because the machine's speed drifts more between minutes than most differences are large.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench {

/// Latencies in buckets of about 3 %.
class Histogram {
 public:
  void add(std::uint64_t ns);
  void merge(const Histogram& other);
  double percentile_us(double percent) const;

 private:
  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(64 * 32);
  std::uint64_t count_ = 0;
};

struct Sample {
  std::uint64_t operations = 0;
  double seconds = 0;
  Histogram latency;
  double per_second() const { return static_cast<double>(operations) / seconds; }
};

/// Calls `call(thread)` in `threads` threads until `duration` has passed. One call counts as
/// `operations_per_call`. Fast calls are timed one in sixteen, so that the clock is not what is measured.
Sample measure(std::size_t threads, std::chrono::milliseconds duration, std::size_t operations_per_call,
               const std::function<void(std::size_t thread)>& call);

/// One side of a comparison. Its state lives as long as the case.
struct Contender {
  std::string name;
  std::function<Sample(std::chrono::milliseconds)> run;
};

/// `ours` against each peer. `at_least` and `aim` are ratios of ours to the peer (by rate; more is better).
struct Peer {
  Contender contender;
  std::optional<double> at_least;
  std::optional<double> aim;
};
struct Case {
  std::string name;  ///< "file: durable put, 16 threads"
  Contender ours;
  std::vector<Peer> peers;
};

/// A case is built when its turn comes and destroyed after it, so that cases do not share the machine.
struct PlannedCase {
  std::string name;
  std::function<Case()> build;
};

/// A quantity that is no rate against a peer: the time to open, nanoseconds added to a call. Less is better.
struct Quantity {
  std::string name;
  std::string unit;
  std::function<double()> measure;  ///< called once a round
  std::optional<double> at_most;
  std::optional<double> aim;
};

struct Suite {
  std::vector<PlannedCase> cases;
  std::vector<Quantity> quantities;
};

struct RunOptions {
  std::size_t rounds = 5;
  std::chrono::milliseconds round{1'000};
  std::string filter;  ///< only what has this in its name
  std::string folder;  ///< results.json, results.md and results.svg go here
};

/// Runs the suite, prints a table as it goes, and writes the files. Whether everything reached its
/// `at_least`.
bool run(const Suite& suite, const RunOptions& options, std::ostream& out);

// Who measures what; each in the file of its name.
void add_file_cases(Suite& suite);
void add_sqlite_cases(Suite& suite);
void add_postgres_cases(Suite& suite);  ///< none without HOLDFAST_TEST_POSTGRES
void add_redis_cases(Suite& suite);     ///< starts servers of its own; none where redis-server is not there
void add_engine_cases(Suite& suite);
void add_service_cases(Suite& suite);
void add_queue_cases(Suite& suite);

/// A fresh folder on the disk that is measured (HOLDFAST_BENCH_FOLDER, else build/bench/data), removed at the
/// end.
class BenchFolder {
 public:
  explicit BenchFolder(const std::string& name);
  ~BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// 16 bytes, in the order of the numbers; and 100 bytes that look like a document.
std::string key_of(std::uint64_t number);
std::string value_of(std::uint64_t number);

/// Fast and different per thread.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  std::uint64_t below(std::uint64_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % bound;
  }

 private:
  std::uint64_t state_;
};

}  // namespace holdfast::bench
