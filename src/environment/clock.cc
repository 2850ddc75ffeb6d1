#include <time.h>

#include <algorithm>
#include <thread>

#include "holdfast/environment.h"

namespace holdfast {
namespace {

std::int64_t milliseconds_of(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

class SystemClock final : public Clock {
 public:
  UnixMs now_ms() override { return milliseconds_of(CLOCK_REALTIME); }
  Deadline steady_now() override { return std::chrono::steady_clock::now(); }
  std::int64_t boot_time_ms() override { return milliseconds_of(CLOCK_BOOTTIME); }
  void wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                  Deadline deadline) override {
    condition.wait_until(lock, deadline);
  }
};

// A default-constructed deadline means "the default timeout", so the manual clock never shows that instant.
constexpr std::chrono::hours kManualStart{1};

}  // namespace

std::shared_ptr<Clock> system_clock() { return std::make_shared<SystemClock>(); }

ManualClock::ManualClock(UnixMs start_ms) : now_ms_(start_ms) {}

UnixMs ManualClock::now_ms() {
  const std::lock_guard guard(mutex_);
  return now_ms_;
}

Deadline ManualClock::steady_now() {
  const std::lock_guard guard(mutex_);
  return Deadline(kManualStart + elapsed_);
}

std::int64_t ManualClock::boot_time_ms() {
  const std::lock_guard guard(mutex_);
  return elapsed_.count();
}

void ManualClock::wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                             Deadline deadline) {
  std::list<Waiter>::iterator self;
  {
    const std::lock_guard guard(mutex_);
    if (Deadline(kManualStart + elapsed_) >= deadline) return;
    self = waiters_.insert(waiters_.end(), {&condition, lock.mutex(), deadline});
  }
  condition.wait(lock);
  const std::lock_guard guard(mutex_);
  waiters_.erase(self);
}

void ManualClock::advance(std::chrono::milliseconds by) {
  std::unique_lock guard(mutex_);
  elapsed_ += by;
  now_ms_ += by.count();
  const Deadline now(kManualStart + elapsed_);
  for (Waiter& waiter : waiters_) waiter.woken = false;
  // A waiter holds its mutex from registering until it sleeps: only with that mutex held is a notification
  // sure to meet it asleep. It is only tried, because a waiter takes the two mutexes in the other order; and
  // the waiter cannot leave, nor its condition go away, while our own mutex is held.
  for (bool all_woken = false; !all_woken;) {
    all_woken = true;
    for (Waiter& waiter : waiters_) {
      if (waiter.woken || waiter.deadline > now) continue;
      if (waiter.mutex->try_lock()) {
        waiter.condition->notify_all();
        waiter.mutex->unlock();
        waiter.woken = true;
      } else {
        all_woken = false;
      }
    }
    if (all_woken) return;
    guard.unlock();
    std::this_thread::yield();
    guard.lock();
  }
}

void ManualClock::set_now_ms(UnixMs now_ms) {
  const std::lock_guard guard(mutex_);
  now_ms_ = now_ms;
}

std::size_t ManualClock::waiting() {
  const std::lock_guard guard(mutex_);
  const Deadline now(kManualStart + elapsed_);
  return static_cast<std::size_t>(
      std::ranges::count_if(waiters_, [&](const Waiter& waiter) { return waiter.deadline > now; }));
}

}  // namespace holdfast
