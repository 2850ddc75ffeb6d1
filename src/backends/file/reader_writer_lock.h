// A lock for data that is read all the time and changed in short bursts.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace holdfast::file {

/// Many readers or one writer; for std::shared_lock and std::unique_lock. Readers count themselves in cache
/// lines of their own, so that they do not slow one another down. Whoever has to wait spins for a few
/// microseconds and then sleeps.
///
/// A writer that waits keeps new readers out, and a reader that writers have made sleep several times goes
/// before the next writer, so neither starves. Not recursive: a thread that holds the lock in either way must
/// not take it again. The thread that took it must release it.
class ReaderWriterLock {
 public:
  ReaderWriterLock() = default;
  ReaderWriterLock(const ReaderWriterLock&) = delete;
  ReaderWriterLock& operator=(const ReaderWriterLock&) = delete;

  void lock();
  bool try_lock();
  void unlock();
  void lock_shared();
  bool try_lock_shared();
  void unlock_shared();

 private:
  static constexpr std::size_t kSlots = 8;
  static constexpr std::size_t kCacheLineBytes = 64;

  struct alignas(kCacheLineBytes) Slot {
    std::atomic<std::uint32_t> readers{0};
  };

  /// What a writer is doing, in the low bits of phase_; the bits above count writers, so that a reader that
  /// has slept notices that its writer has gone even if the next one is there already.
  static constexpr std::uint32_t kOpen = 0;    ///< nobody writes: readers may enter
  static constexpr std::uint32_t kClosed = 1;  ///< a writer waits for the readers inside, or writes
  static constexpr std::uint32_t kSleeping =
      2;  ///< the same, and it sleeps until told that a reader has left
  static constexpr std::uint32_t kStateMask = 3;
  static constexpr std::uint32_t kOneWriter = 4;

  Slot& slot_of_this_thread();
  bool enter(Slot& slot);
  void leave(Slot& slot);
  bool empty() const;
  void sleep_while_closed();
  void drain();
  std::uint32_t state() const { return phase_.load(std::memory_order_seq_cst) & kStateMask; }
  void set_state(std::uint32_t state);

  std::array<Slot, kSlots> slots_;
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> phase_{kOpen};
  std::atomic<std::uint32_t> spinning_{0};    ///< readers that wait without sleeping
  std::atomic<std::uint32_t> departures_{0};  ///< counts wake-ups of a sleeping writer
  std::atomic<std::uint32_t> impatient_{0};   ///< readers that go before the next writer
  std::mutex writers_;
};

}  // namespace holdfast::file
