#include "backends/redis/pool.h"

#include <algorithm>

namespace holdfast::redis {
namespace {

constexpr std::chrono::seconds kTrustedFor{5};
/// A connection may be cut while it is being made; a server that is away for longer is the caller's to know.
constexpr int kAttempts = 5;
constexpr std::int64_t kFirstBackOffMs = 10;
constexpr std::int64_t kLongestBackOffMs = 1'000;

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
  for (int attempt = 1;; ++attempt) {
    wait_for_turn(deadline);
    try {
      auto connection = std::make_unique<Connection>(address_, environment_.clock, deadline);
      const std::lock_guard lock(mutex_);
      failures_ = 0;
      next_attempt_ = {};
      return connection;
    } catch (const Error& error) {
      back_off();
      const bool may_pass = error.code() == Code::unavailable && attempt < kAttempts;
      if (!may_pass || environment_.clock->steady_now() >= deadline) throw;
    }
  }
}

void Pool::wait_for_turn(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const Deadline until = std::min(next_attempt_, deadline);
  while (environment_.clock->steady_now() < until) environment_.clock->wait_until(changed_, lock, until);
}

void Pool::back_off() {
  const std::lock_guard lock(mutex_);
  const std::int64_t most_ms =
      std::min(kLongestBackOffMs, kFirstBackOffMs << std::min<std::size_t>(failures_, 10));
  ++failures_;
  const auto wait_ms = most_ms / 2 + static_cast<std::int64_t>(environment_.random->next() %
                                                               static_cast<std::uint64_t>(most_ms));
  next_attempt_ = environment_.clock->steady_now() + std::chrono::milliseconds(wait_ms);
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
