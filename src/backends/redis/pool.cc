#include "backends/redis/pool.h"

namespace holdfast::redis {
namespace {

constexpr std::chrono::seconds kTrustedFor{5};

}  // namespace

Pool::Lease Pool::take(Deadline deadline) {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(mutex_);
    while (in_use_ >= most_) {
      if (environment_.clock->steady_now() >= deadline) {
        throw Error(Code::timeout, "all " + std::to_string(most_) +
                                       " connections to the Redis server stayed in use; raise the option "
                                       "connections");
      }
      environment_.clock->wait_until(changed_, lock, deadline);
    }
    ++in_use_;
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  try {
    if (connection && connection->stream().is_stale()) connection.reset();
    const Deadline now = environment_.clock->steady_now();
    if (connection && now - connection->used_at > kTrustedFor) connection->refresh(deadline);
    if (!connection) connection = connect(deadline);
  } catch (...) {
    leave();
    throw;
  }
  return {*this, std::move(connection)};
}

std::unique_ptr<Connection> Pool::connect(Deadline deadline) {
  return back_off_.run(deadline,
                       [&] { return std::make_unique<Connection>(address_, environment_.clock, deadline); });
}

void Pool::close_idle() {
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
  if (connection->is_broken()) connection.reset();
  const std::lock_guard lock(mutex_);
  if (connection) {
    connection->used_at = environment_.clock->steady_now();
    idle_.push_back(std::move(connection));
  }
  --in_use_;
  changed_.notify_all();
}

void Pool::leave() {
  const std::lock_guard lock(mutex_);
  --in_use_;
  changed_.notify_all();
}

}  // namespace holdfast::redis
