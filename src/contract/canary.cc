#include "contract/canary.h"

#ifdef HOLDFAST_CANARIES

#include <atomic>
#include <chrono>
#include <thread>

namespace holdfast {
namespace {
std::atomic<int> seeded{0};
int code(int number, char variant) { return number * 256 + variant; }
}  // namespace

bool canary(int number, char variant) {
  return seeded.load(std::memory_order_relaxed) == code(number, variant);
}
void seed_canary(int number, char variant) { seeded.store(number == 0 ? 0 : code(number, variant)); }

void canary_gap(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  lock.lock();
}

}  // namespace holdfast

#endif
