#include "layers/wait_hub.h"

#include <algorithm>

namespace holdfast {

/// A waiter for as long as it waits, however it stops.
class WaitHub::Registration {
 public:
  Registration(WaitHub& hub, std::span<const Cursor> cursors) : hub_(hub) {
    const std::lock_guard lock(hub_.mutex_);
    self_ = hub_.waiters_.emplace(hub_.waiters_.end());
    self_->wakes_seen = hub_.wakes_;
    for (std::size_t i = 0; i < cursors.size(); ++i) self_->cursors.emplace(cursors[i].database, i);
  }
  ~Registration() {
    const std::lock_guard lock(hub_.mutex_);
    hub_.waiters_.erase(self_);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  Waiter& waiter() { return *self_; }

 private:
  WaitHub& hub_;
  std::list<Waiter>::iterator self_;
};

std::vector<std::size_t> WaitHub::wait(std::span<const Cursor> cursors, Deadline deadline, const Look& look) {
  // Registered before the first look, so that no commit falls between the two.
  Registration registration(*this, cursors);
  Waiter& self = registration.waiter();
  std::vector<std::size_t> all(cursors.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;

  std::unique_lock lock(mutex_);
  self.to_look = all;
  Deadline look_again = Deadline::max();
  for (;;) {
    std::vector<std::size_t> indices;
    indices.swap(self.to_look);
    lock.unlock();
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    const Deadline began = clock_->steady_now();
    std::vector<std::size_t> ahead;
    bool is_certain = true;
    for (const std::size_t i : indices) {
      const std::optional<bool> is_ahead = look(cursors[i]);
      if (!is_ahead) is_certain = false;
      if (is_ahead.value_or(false)) ahead.push_back(i);
    }
    const Deadline ended = clock_->steady_now();
    if (!is_certain || (shared_by_processes_ && indices.size() == all.size())) {
      // Looking takes at most a fifth of the time, however many databases are watched.
      look_again = ended + std::max<Deadline::duration>(kLookEvery, 4 * (ended - began));
    }
    lock.lock();
    const bool is_over = wakes_ != self.wakes_seen || woken_early_ || ended >= deadline;
    if (!ahead.empty() || is_over) {
      woken_early_ = false;
      return ahead;
    }
    if (!self.to_look.empty()) continue;
    clock_->wait_until(condition_, lock, std::min(deadline, look_again));
    if (clock_->steady_now() >= look_again) {
      self.to_look = all;
      look_again = Deadline::max();
    }
  }
}

void WaitHub::changed(View database) {
  const std::lock_guard lock(mutex_);
  bool is_waited_for = false;
  for (Waiter& waiter : waiters_) {
    const auto [begin, end] = waiter.cursors.equal_range(database);
    for (auto at = begin; at != end; ++at) {
      waiter.to_look.push_back(at->second);
      is_waited_for = true;
    }
  }
  if (is_waited_for) condition_.notify_all();
}

void WaitHub::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  if (waiters_.empty()) woken_early_ = true;
  condition_.notify_all();
}

bool is_ahead(Backend& backend, const Cursor& cursor, Clock& clock, Deadline deadline) {
  ReadRequest request;
  request.now_ms = clock.now_ms();
  request.clock_skew_limit_ms = 0;
  request.deadline = deadline;
  try {
    const Position at = backend.read(cursor.database, request).at;
    return at.history != cursor.at.history || at.seq > cursor.at.seq;
  } catch (const Error& error) {
    if (error.code() != Code::moved) throw;
  }
  // It answers no reads any more, but it has a position.
  return !backend.wait({&cursor, 1}, clock.steady_now()).empty();
}

}  // namespace holdfast
