// What the engine adds to a backend. Two questions, each answered within one run, in interleaved rounds:
//
//   overhead   get and put of one thread through Database, against the same calls on a bare memory backend
//   durable    puts of 1, 2, 4, 16 and 64 threads through Database on the file backend: rate, batches per
//              group, and how often threads went to sleep
//
//     engine_bench [overhead] [durable] [--folder=DIR] [--rounds=N]
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backends/memory/memory_backend.h"
#include "holdfast/layers.h"
#include "holdfast/open.h"
#include "holdfast/store.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kKeys = 10'000;
const Bytes kValue(100, 'v');

std::vector<Bytes> make_keys() {
  std::vector<Bytes> keys;
  for (int i = 0; i < kKeys; ++i) {
    Bytes key = "record/000000000000";
    const Bytes digits = std::to_string((i * 7919) % kKeys);
    key.replace(key.size() - digits.size(), digits.size(), digits);
    keys.push_back(std::move(key));
  }
  return keys;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Nanoseconds of this thread's processor time that one call of `operation` takes, over `count` calls: the
/// overhead is computing, and other programs of the machine shall not count.
template <class F>
double time_ns(int count, F&& operation) {
  const auto now_ns = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
  };
  const double begin = now_ns();
  for (int i = 0; i < count; ++i) operation(i);
  return (now_ns() - begin) / count;
}

void bench_overhead(int rounds) {
  const std::vector<Bytes> keys = make_keys();
  const Environment environment = Environment{}.completed();
  auto bare = memory_backend(environment);
  StoreOptions options;
  options.sweeper = false;
  auto store = Store::open(memory_backend(environment), options);
  Database db = store->database("bench");

  std::uint64_t number = 0;
  const auto bare_put = [&](int i) {
    Group group;
    group.database = "bench";
    group.session = {1, 1};
    group.number = ++number;
    group.now_ms = environment.clock->now_ms();
    group.batches.emplace_back();
    group.batches.back().writes.push_back(Write::put(keys[static_cast<std::size_t>(i % kKeys)], kValue));
    bare->commit({&group, 1});
  };
  const auto bare_get = [&](int i) {
    const View key = keys[static_cast<std::size_t>(i % kKeys)];
    const ReadAnswer answer = bare->read("bench", {.gets = {&key, 1}, .now_ms = environment.clock->now_ms()});
    if (!answer.gets[0]) std::abort();
  };
  const auto put = [&](int i) { db.put(keys[static_cast<std::size_t>(i % kKeys)], kValue); };
  const auto get = [&](int i) {
    if (!db.get(keys[static_cast<std::size_t>(i % kKeys)])) std::abort();
  };
  const auto transact = [&](int i) {
    db.transact([&](Transaction& t) {
      const Bytes& key = keys[static_cast<std::size_t>(i % kKeys)];
      t.put(key, t.get(key)->value);
    });
  };

  time_ns(kKeys, bare_put);
  time_ns(kKeys, put);
  std::vector<double> gets, puts, bare_gets, bare_puts, transacts, more_get, more_put;
  for (int round = 0; round < rounds; ++round) {
    bare_gets.push_back(time_ns(5'000, bare_get));
    gets.push_back(time_ns(5'000, get));
    bare_puts.push_back(time_ns(5'000, bare_put));
    puts.push_back(time_ns(5'000, put));
    transacts.push_back(time_ns(5'000, transact));
    more_get.push_back(gets.back() - bare_gets.back());
    more_put.push_back(puts.back() - bare_puts.back());
  }
  std::printf("overhead, 1 thread, memory, medians of %d rounds in ns\n", rounds);
  std::printf("  get       bare %6.0f  engine %6.0f  more %6.0f\n", median(bare_gets), median(gets),
              median(more_get));
  std::printf("  put       bare %6.0f  engine %6.0f  more %6.0f\n", median(bare_puts), median(puts),
              median(more_put));
  std::printf("  transact (get, put)    engine %6.0f\n", median(transacts));
}

long sleeps() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw;
}

/// Counts groups and batches on their way down.
class Counting final : public Backend {
 public:
  explicit Counting(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> batches{0};

  const Traits& traits() const override { return inner_->traits(); }
  std::size_t lane(View database) const override { return inner_->lane(database); }
  ReadAnswer read(View database, const ReadRequest& request) override {
    return inner_->read(database, request);
  }
  void commit(std::span<Group> groups) override {
    ++calls;
    for (const Group& group : groups) batches += group.batches.size();
    inner_->commit(groups);
  }
  Changes changes(View database, const ChangesRequest& request) override {
    return inner_->changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    inner_->compact(database, before, deadline);
  }
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    return inner_->fence(database, expected, next, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    return inner_->databases(prefix, after, limit, deadline);
  }
  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    return inner_->drop(database, history, deadline);
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    return inner_->expired(now_ms, limit, deadline);
  }
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    return inner_->wait(cursors, deadline);
  }
  void wake() override { inner_->wake(); }

 private:
  const std::unique_ptr<Backend> inner_;
};

struct Rate {
  double puts_per_second = 0;
  double batches_per_group = 0;
  double sleeps_per_put = 0;
};

Rate run_threads(Database& db, Counting& counting, int threads, const std::vector<Bytes>& keys) {
  std::atomic<bool> is_done = false;
  std::atomic<std::uint64_t> puts = 0;
  const std::uint64_t calls = counting.calls;
  const std::uint64_t batches = counting.batches;
  const long slept = sleeps();
  const auto begin = Clock::now();
  std::vector<std::thread> workers;
  for (int worker = 0; worker < threads; ++worker) {
    workers.emplace_back([&, worker] {
      std::uint64_t mine = 0;
      for (std::size_t i = static_cast<std::size_t>(worker) * 131; !is_done; ++i, ++mine) {
        db.put(keys[i % keys.size()], kValue);
      }
      puts += mine;
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  is_done = true;
  for (std::thread& worker : workers) worker.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto count = static_cast<double>(puts.load());
  return {count / seconds,
          static_cast<double>(counting.batches - batches) / static_cast<double>(counting.calls - calls),
          static_cast<double>(sleeps() - slept) / count};
}

void bench_threads(const std::string& url, int rounds) {
  const std::vector<Bytes> keys = make_keys();
  StoreOptions options;
  options.sweeper = false;
  auto counting = std::make_unique<Counting>(open_backend(url, {}));
  Counting& counts = *counting;
  auto store = Store::open(std::move(counting), options);
  Database db = store->database("bench");
  const std::vector<int> thread_counts{1, 2, 4, 16, 64};
  std::vector<std::vector<Rate>> rates(thread_counts.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < thread_counts.size(); ++i) {
      rates[i].push_back(run_threads(db, counts, thread_counts[i], keys));
    }
  }
  std::printf("%s: puts by threads, medians of %d rounds\n", url.substr(0, url.find(':')).c_str(), rounds);
  for (std::size_t i = 0; i < thread_counts.size(); ++i) {
    const auto of = [&](double Rate::* member) {
      std::vector<double> values;
      for (const Rate& rate : rates[i]) values.push_back(rate.*member);
      return median(values);
    };
    std::printf("  T%-3d %9.0f puts/s  %6.1f batches per call  %5.2f sleeps per put\n", thread_counts[i],
                of(&Rate::puts_per_second), of(&Rate::batches_per_group), of(&Rate::sleeps_per_put));
  }
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  bool overhead = false;
  bool durable = false;
  int rounds = 5;
  std::string folder = std::filesystem::temp_directory_path() / "holdfast_engine_bench";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "overhead") overhead = true;
    if (argument == "durable") durable = true;
    if (argument.starts_with("--folder=")) folder = argument.substr(9);
    if (argument.starts_with("--rounds=")) rounds = std::stoi(argument.substr(9));
  }
  if (!overhead && !durable) overhead = durable = true;
  if (overhead) holdfast::bench_overhead(20 * rounds);
  if (durable) {
    holdfast::bench_threads("memory:", rounds);
    std::filesystem::remove_all(folder);
    holdfast::bench_threads("file://" + folder, rounds);
    std::filesystem::remove_all(folder);
  }
  return 0;
}
