#include "backends/file/reader_writer_lock.h"

#include <thread>

namespace holdfast::file {

namespace {

// About two microseconds: longer than a group takes to be applied, shorter than going to sleep and back.
constexpr int kSpins = 100;
// A reader lets this many writers go first before it keeps the next one out. Were it less patient, writers
// would wait all the time for readers that have been woken but have no processor yet.
constexpr int kPatience = 4;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ReaderWriterLock::Slot& ReaderWriterLock::slot_of_this_thread() {
  // The address of a thread's own variable tells threads apart without any shared state.
  thread_local char here;
  const auto id = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&here));
  return slots_[static_cast<std::size_t>((id * 0x9E3779B97F4A7C15u) >> 61) % kSlots];
}

// A reader first counts itself and then looks for a writer; a writer first announces itself and then looks
// for readers. All four are sequentially consistent, so at least one of the two sees the other.
bool ReaderWriterLock::enter(Slot& slot) {
  slot.readers.fetch_add(1, std::memory_order_seq_cst);
  if (state() == kOpen) return true;
  leave(slot);
  return false;
}

void ReaderWriterLock::leave(Slot& slot) {
  slot.readers.fetch_sub(1, std::memory_order_seq_cst);
  if (state() == kSleeping) {
    departures_.fetch_add(1, std::memory_order_seq_cst);
    departures_.notify_all();
  }
}

bool ReaderWriterLock::empty() const {
  for (const Slot& slot : slots_) {
    if (slot.readers.load(std::memory_order_seq_cst) != 0) return false;
  }
  return true;
}

void ReaderWriterLock::lock_shared() {
  Slot& slot = slot_of_this_thread();
  if (enter(slot)) return;
  spinning_.fetch_add(1, std::memory_order_relaxed);
  bool entered = false;
  for (int spin = 0; spin < kSpins && !entered; ++spin) {
    pause();
    entered = state() == kOpen && enter(slot);
  }
  spinning_.fetch_sub(1, std::memory_order_relaxed);
  if (entered) return;
  for (int sleep = 0; sleep < kPatience; ++sleep) {
    sleep_while_closed();
    if (enter(slot)) return;
  }
  impatient_.fetch_add(1, std::memory_order_seq_cst);
  while (!enter(slot)) sleep_while_closed();
  if (impatient_.fetch_sub(1, std::memory_order_seq_cst) == 1) impatient_.notify_all();
}

void ReaderWriterLock::sleep_while_closed() {
  const std::uint32_t phase = phase_.load(std::memory_order_seq_cst);
  if ((phase & kStateMask) != kOpen) phase_.wait(phase, std::memory_order_seq_cst);
}

bool ReaderWriterLock::try_lock_shared() { return enter(slot_of_this_thread()); }

void ReaderWriterLock::unlock_shared() { leave(slot_of_this_thread()); }

// Only the one writer calls it.
void ReaderWriterLock::set_state(std::uint32_t state) {
  phase_.store((phase_.load(std::memory_order_relaxed) & ~kStateMask) | state, std::memory_order_seq_cst);
}

void ReaderWriterLock::drain() {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (empty()) return;
    pause();
  }
  set_state(kSleeping);
  while (true) {
    const std::uint32_t departures = departures_.load(std::memory_order_seq_cst);
    if (empty()) return;
    departures_.wait(departures, std::memory_order_seq_cst);
  }
}

void ReaderWriterLock::lock() {
  writers_.lock();
  // Readers that spin are awake and in within a moment; without this, a writer that comes back at once would
  // always be faster than they are.
  for (int spin = 0; spin < kSpins && spinning_.load(std::memory_order_relaxed) != 0; ++spin) pause();
  while (true) {
    const std::uint32_t impatient = impatient_.load(std::memory_order_seq_cst);
    if (impatient == 0) break;
    impatient_.wait(impatient, std::memory_order_seq_cst);
  }
  set_state(kClosed);
  drain();
}

bool ReaderWriterLock::try_lock() {
  if (!writers_.try_lock()) return false;
  set_state(kClosed);
  if (empty()) return true;
  unlock();
  return false;
}

void ReaderWriterLock::unlock() {
  phase_.store((phase_.load(std::memory_order_relaxed) & ~kStateMask) + kOneWriter,
               std::memory_order_seq_cst);
  phase_.notify_all();
  writers_.unlock();
}

}  // namespace holdfast::file
