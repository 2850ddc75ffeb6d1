#include "backends/postgres/pool.h"

#include <algorithm>

namespace holdfast::postgres {

Pool::Lease Pool::take(Deadline deadline, Look look) {
  std::vector<std::unique_ptr<Connection>> gone;  // closed without the lock
  std::unique_lock lock(mutex_);
  const Deadline give_up = std::min(deadline, clock_->steady_now() + settings_.pool_timeout);
  while (true) {
    const Deadline now = clock_->steady_now();
    while (!idle_.empty() && (now - idle_.front().since > settings_.pool_idle)) {
      gone.push_back(std::move(idle_.front().connection));
      idle_.erase(idle_.begin());
    }
    if (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back().connection);
      idle_.pop_back();
      ++out_;
      lock.unlock();
      if (now - connection->made_at() <= settings_.pool_lifetime &&
          (look == Look::never || !connection->looks_dead())) {
        return {*this, std::move(connection)};
      }
      connection.reset();
      lock.lock();
      --out_;
      continue;
    }
    if (out_ < limit_) break;
    if (now >= give_up) {
      throw Error(Code::unavailable, "all " + std::to_string(limit_) + " PostgreSQL connections for " +
                                         kind_ + " were busy for too long; raise the option " + option_ +
                                         ", or ask for less at once");
    }
    clock_->wait_until(returned_, lock, give_up);
  }
  ++out_;
  lock.unlock();
  try {
    return {*this, back_off_.run(give_up,
                                 [&] { return std::make_unique<Connection>(settings_, clock_, deadline); })};
  } catch (...) {
    lock.lock();
    --out_;
    returned_.notify_one();
    throw;
  }
}

void Pool::put_back(std::unique_ptr<Connection> connection) {
  // take() looks whether the server has closed it.
  if (!connection->is_idle() || connection->is_laden()) connection.reset();
  const std::lock_guard lock(mutex_);
  --out_;
  if (connection) idle_.push_back({std::move(connection), clock_->steady_now()});
  returned_.notify_one();
}

std::size_t Pool::size() {
  const std::lock_guard lock(mutex_);
  return idle_.size() + out_;
}

}  // namespace holdfast::postgres
