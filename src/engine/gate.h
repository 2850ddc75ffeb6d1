// Counts the calls inside a store, so that close() can wait until the last one has left. Entering and leaving
// cost one atomic operation each on a cache line that few other threads use.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace holdfast {

class Gate {
 public:
  /// A call that is inside while it lives.
  class Pass {
   public:
    /// Throws closed.
    explicit Pass(Gate& gate);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Gate& gate_;
    std::atomic<std::int64_t>& inside_;
  };

  bool is_closed() const { return closed_.load(std::memory_order_acquire); }
  /// Lets nobody in any more.
  void close();
  /// Waits until nobody is inside. After close(), and not from inside.
  void drain();

 private:
  struct alignas(64) Slot {
    std::atomic<std::int64_t> inside{0};
  };

  Slot& slot_of_this_thread();
  void left();

  std::array<Slot, 16> slots_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::condition_variable emptied_;
};

}  // namespace holdfast
