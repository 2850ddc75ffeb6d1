#include "engine/gate.h"

#include <functional>
#include <thread>

#include "holdfast/error.h"

namespace holdfast {

Gate::Pass::Pass(Gate& gate) : gate_(gate), inside_(gate.slot_of_this_thread().inside) {
  // Sequentially consistent on both sides: either close() sees this call inside, or this call sees it closed.
  inside_.fetch_add(1);
  if (gate_.closed_.load()) {
    inside_.fetch_sub(1);
    gate_.left();
    throw Error(Code::closed, "the store is closed; open it again");
  }
}

Gate::Pass::~Pass() {
  inside_.fetch_sub(1);
  if (gate_.closed_.load()) gate_.left();
}

void Gate::close() { closed_.store(true); }

void Gate::drain() {
  std::unique_lock lock(mutex_);
  for (Slot& slot : slots_) {
    emptied_.wait(lock, [&] { return slot.inside.load() == 0; });
  }
}

Gate::Slot& Gate::slot_of_this_thread() {
  // Thread ids are addresses of thread blocks, whose low bits are equal: the multiplication spreads them.
  const std::uint64_t id = std::hash<std::thread::id>{}(std::this_thread::get_id());
  return slots_[(id * 0x9E3779B97F4A7C15u) >> 60];
}

void Gate::left() {
  const std::scoped_lock lock(mutex_);
  emptied_.notify_all();
}

}  // namespace holdfast
