// What the engine adds to a backend: a call through Database against the same call on a bare memory backend.
// In processor time of one thread, since the overhead is computing, and other programs of the machine shall
// not count.
#include <time.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "backends/memory/memory_backend.h"
#include "harness.h"
#include "holdfast/store.h"

namespace holdfast::bench {
namespace {

constexpr std::size_t kKeys = 10'000;
constexpr int kCalls = 5'000;
constexpr int kPasses = 40;

double thread_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The same entries on a bare backend and in a store.
class Sides {
 public:
  Sides() {
    for (std::size_t i = 0; i < kKeys; ++i) keys_.push_back(key_of(i * 7919 % kKeys));
    for (std::size_t i = 0; i < kKeys; ++i) {
      bare_put(i);
      put(i);
    }
  }

  void bare_put(std::size_t i) {
    Group group;
    group.database = "bench";
    group.session = {1, 1};
    group.number = ++number_;
    group.now_ms = environment_.clock->now_ms();
    group.batches.emplace_back().writes.push_back(Write::put(key(i), value_));
    bare_->commit({&group, 1});
  }
  void put(std::size_t i) { database_.put(key(i), value_); }
  void bare_get(std::size_t i) {
    const View wanted = key(i);
    const ReadAnswer answer =
        bare_->read("bench", {.gets = {&wanted, 1}, .now_ms = environment_.clock->now_ms()});
    if (!answer.gets[0]) std::abort();
  }
  void get(std::size_t i) {
    if (!database_.get(key(i))) std::abort();
  }

 private:
  static StoreOptions without_sweeper() {
    StoreOptions options;
    options.sweeper = false;
    return options;
  }
  const std::string& key(std::size_t i) const { return keys_[i % kKeys]; }

  const Environment environment_ = Environment{}.completed();
  std::unique_ptr<Backend> bare_ = memory_backend(environment_);
  std::shared_ptr<Store> store_ = Store::open(memory_backend(environment_), without_sweeper());
  Database database_ = store_->database("bench");
  std::vector<std::string> keys_;
  const std::string value_ = value_of(1);
  std::uint64_t number_ = 0;
};

using Call = void (Sides::*)(std::size_t);

double ns_per_call(Sides& sides, Call call) {
  const double begin = thread_ns();
  for (std::size_t i = 0; i < kCalls; ++i) (sides.*call)(i);
  return (thread_ns() - begin) / kCalls;
}

/// In short passes by turns, so that neither side has a better time of it.
double added_ns(Call with_engine, Call bare) {
  Sides sides;
  double added = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    added -= ns_per_call(sides, bare);
    added += ns_per_call(sides, with_engine);
  }
  return added / kPasses;
}

}  // namespace

void add_engine_cases(Suite& suite) {
  suite.quantities.push_back(
      {"engine: added to a get", "ns", [] { return added_ns(&Sides::get, &Sides::bare_get); }, 400, 200});
  suite.quantities.push_back(
      {"engine: added to a put", "ns", [] { return added_ns(&Sides::put, &Sides::bare_put); }, 2'000, 1'000});
}

}  // namespace holdfast::bench
