// Job queues: whole life cycles of jobs, send to completion, and what waits or is leased beside them.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness.h"
#include "holdfast/queue.h"
#include "holdfast/store.h"
#include "holdfast/worker.h"

namespace holdfast::bench {
namespace {

constexpr std::size_t kBatch = limits::kQueueBatch;

/// 100 bytes of JSON.
const Payload& document() {
  static const Payload made = Payload::parse("{\"text\":\"" + std::string(89, 'x') + "\"}");
  return made;
}

/// A queue in a store of its own, with jobs that wait and jobs that are leased.
class Side {
 public:
  Side(const std::string& scheme, const std::string& options, std::size_t waiting, std::size_t leased)
      : folder_("queue"),
        store_(Store::open(scheme + "://" + folder_.path() + "/store" + options)),
        queue_(store_->database("bench"), "jobs") {
    for (std::size_t i = 0; i < leased; i += kBatch) {
      queue_.send_many(jobs(kBatch));
      queue_.receive(kBatch, std::chrono::hours(24));
    }
    for (std::size_t i = 0; i < waiting; i += kBatch) queue_.send_many(jobs(kBatch));
  }

  void live(std::size_t count) {
    queue_.send_many(jobs(count));
    const std::vector<Delivery> got = queue_.receive(count);
    if (!got.empty()) queue_.complete_many(got);
  }
  void live_one() {
    queue_.send(document());
    for (const Delivery& job : queue_.receive(1)) queue_.complete(job);
  }
  /// Takes jobs and gives them back.
  void receive() {
    for (const Delivery& job : queue_.receive(1)) queue_.release(job);
  }

 private:
  static std::vector<NewJob> jobs(std::size_t count) { return std::vector<NewJob>(count, {document(), {}}); }

  BenchFolder folder_;
  std::shared_ptr<Store> store_;
  Queue queue_;
};

/// Microseconds for a life cycle, on a store that is made when it is first wanted.
class LifeCycle {
 public:
  LifeCycle(std::string scheme, std::size_t threads, bool in_batches)
      : scheme_(std::move(scheme)), threads_(threads), in_batches_(in_batches) {}

  double measure_us() {
    if (!side_) side_ = std::make_unique<Side>(scheme_, "", 0, 0);
    const Sample sample =
        measure(threads_, std::chrono::seconds(1), in_batches_ ? kBatch : 1,
                [&](std::size_t) { in_batches_ ? side_->live(kBatch) : side_->live_one(); });
    return 1e6 / sample.per_second();
  }

 private:
  std::string scheme_;
  std::size_t threads_;
  bool in_batches_;
  std::unique_ptr<Side> side_;
};

/// Microseconds from a send to the begin of its handler, by an idle worker of the same process; the median.
double latency_us() {
  using Steady = std::chrono::steady_clock;
  const BenchFolder folder("queue");
  const auto store = Store::open("file://" + folder.path() + "/store");
  Queue queue(store->database("bench"), "jobs");
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Steady::time_point> begun;
  const Worker worker(queue, {{"", [&](Work&) {
                                 const std::scoped_lock lock(mutex);
                                 begun = Steady::now();
                                 changed.notify_one();
                               }}});
  std::vector<double> latencies;
  for (const auto end = Steady::now() + std::chrono::seconds(1); Steady::now() < end;) {
    const auto sent = Steady::now();
    queue.send(document());
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun.has_value(); });
    latencies.push_back(std::chrono::duration<double, std::micro>(*std::exchange(begun, {}) - sent).count());
    lock.unlock();
    // The next one finds the worker idle.
    while (worker.metrics().completed < latencies.size())
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  const auto middle = latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() / 2);
  std::ranges::nth_element(latencies, middle);
  return *middle;
}

Contender receiver(const std::string& name, std::size_t waiting, std::size_t leased) {
  const auto side = std::make_shared<Side>("file", "?durable=false", waiting, leased);
  return {name, [side](std::chrono::milliseconds duration) {
            return measure(1, duration, 1, [&](std::size_t) { side->receive(); });
          }};
}

void add_life_cycle(Suite& suite, const std::string& name, const std::string& scheme, std::size_t threads,
                    bool in_batches, double at_least_per_second, double aim_per_second) {
  const auto cycle = std::make_shared<LifeCycle>(scheme, threads, in_batches);
  suite.quantities.push_back({"queue: a job on " + scheme + ":, " + name, "us",
                              [cycle] { return cycle->measure_us(); }, 1e6 / at_least_per_second,
                              1e6 / aim_per_second});
}

}  // namespace

void add_queue_cases(Suite& suite) {
  const std::string waiting = "queue: receive with 1,000,000 jobs waiting";
  suite.cases.push_back({waiting, [=] {
                           return Case{waiting,
                                       receiver("1,000,000", 1'000'000, 0),
                                       {{receiver("1,000", 1'000, 0), 0.8, std::nullopt}}};
                         }});
  const std::string leased = "queue: receive behind 100,000 leased jobs";
  suite.cases.push_back({leased, [=] {
                           return Case{leased,
                                       receiver("100,000", 1'000, 100'000),
                                       {{receiver("none", 1'000, 0), 0.8, std::nullopt}}};
                         }});
  add_life_cycle(suite, "batches of 250, 2 threads", "file", 2, true, 100'000, 200'000);
  add_life_cycle(suite, "one by one, 64 threads", "file", 64, false, 40'000, 80'000);
  suite.quantities.push_back(
      {"queue: from send to start on file:, an idle worker", "us", latency_us, 500, std::nullopt});
  add_life_cycle(suite, "batches of 250", "sqlite", 1, true, 8'000, 15'000);
}

}  // namespace holdfast::bench
