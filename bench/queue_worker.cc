// A process of scripts/bench-queues: sends jobs to a queue that other processes share, takes what is there
// and completes it, in batches. Says "ready" when its first jobs are done; from then on answers each line of
// its input with how many it has done and the seconds of a clock, and ends with its input.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/queue.h"
#include "holdfast/store.h"

namespace {

/// 100 bytes of JSON.
const std::string kBody = "{\"text\":\"" + std::string(89, 'x') + "\"}";

struct Progress {
  std::atomic<std::int64_t> sent = 0;
  std::atomic<std::int64_t> done = 0;
};

/// Sends while this process has sent no more than `ahead` jobs more than it has done: what waits stays
/// bounded though the processes are not equally fast.
void live(holdfast::Queue queue, std::size_t batch, std::int64_t ahead, Progress& progress,
          const std::stop_token& stop) {
  const std::vector<holdfast::NewJob> jobs(batch, {holdfast::Payload::parse(kBody), {}});
  while (!stop.stop_requested()) {
    if (progress.sent - progress.done < ahead) {
      queue.send_many(jobs);
      progress.sent += static_cast<std::int64_t>(batch);
    }
    const std::vector<holdfast::Delivery> got = queue.receive(batch);
    if (got.empty()) continue;
    for (const bool is_done : queue.complete_many(got)) progress.done += is_done ? 1 : 0;
  }
}

int work(const std::string& url, const std::string& name, std::size_t batch, std::size_t threads,
         std::int64_t ahead) {
  using Clock = std::chrono::steady_clock;
  const auto store = holdfast::Store::open(url);
  const holdfast::Queue queue(store->database("bench"), name);
  Progress progress;
  std::vector<std::jthread> running;
  for (std::size_t i = 0; i < threads; ++i) {
    running.emplace_back([&](const std::stop_token& stop) {
      try {
        live(queue, batch, ahead, progress, stop);
      } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        std::_Exit(1);
      }
    });
  }
  while (progress.done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::int64_t done = progress.done;
    const std::chrono::duration<double> now = Clock::now().time_since_epoch();
    std::cout << done << ' ' << std::fixed << now.count() << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "queue_worker STORE QUEUE BATCH THREADS AHEAD\n";
    return 2;
  }
  try {
    return work(argv[1], argv[2], std::stoul(argv[3]), std::stoul(argv[4]), std::stol(argv[5]));
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
