// The queues that requests work with: one handle of each, so that requests which receive at the same time
// share their claims.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "holdfast/queue.h"

namespace holdfast::server {

/// Thread-safe.
class QueueHandles {
 public:
  Queue get(const Database& database, View name, std::shared_ptr<Clock> clock) {
    const std::scoped_lock lock(mutex_);
    const std::pair<Bytes, Bytes> key(database.name(), name);
    if (const auto found = queues_.find(key); found != queues_.end()) return found->second;
    // What requests hold lives on.
    if (queues_.size() >= kMost) queues_.clear();
    return queues_.emplace(key, Queue(database, name, {.clock = std::move(clock)})).first->second;
  }

 private:
  static constexpr std::size_t kMost = 1'000;
  std::mutex mutex_;
  std::map<std::pair<Bytes, Bytes>, Queue> queues_;
};

}  // namespace holdfast::server
