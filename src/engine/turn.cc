#include "engine/turn.h"

#include <algorithm>

namespace holdfast {

bool Turn::take(Clock& clock, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  tickets_.push_back(ticket);
  is_taken_.store(true, std::memory_order_release);
  while (tickets_.front() != ticket) {
    if (clock.steady_now() >= deadline) {
      std::erase(tickets_, ticket);
      return false;
    }
    clock.wait_until(condition_, lock, deadline);
  }
  return true;
}

void Turn::give_back() {
  {
    const std::scoped_lock lock(mutex_);
    tickets_.pop_front();
    is_taken_.store(!tickets_.empty(), std::memory_order_release);
  }
  condition_.notify_all();
}

}  // namespace holdfast
