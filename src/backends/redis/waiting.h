// §8.4: wakes who waits for commits. One connection is subscribed to the channels of the databases that are
// waited for; whoever is woken reads the heads of those that were heard of. What is committed before the
// server has confirmed a subscription is found by reading the head afterwards. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "backends/redis/pool.h"
#include "holdfast/backend.h"

namespace holdfast::redis {

class Waiting {
 public:
  /// Which of these cursors, by their indices, are behind.
  using Behind = std::function<std::vector<std::size_t>(std::span<const Cursor>, std::span<const std::size_t>,
                                                        Deadline)>;

  Waiting(Pool& pool, std::shared_ptr<Clock> clock, Behind behind);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// `channels` has one for each cursor.
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, std::span<const std::string> channels,
                                Deadline deadline);
  void wake();

 private:
  struct Channel {
    std::uint64_t events = 0;  ///< notifications, and subscriptions that were confirmed
    std::size_t waiters = 0;
    bool confirmed = false;
    Deadline used_at = {};
  };

  void listen();
  void listen_on(Connection& connection);
  void take_message(const redisReply& reply);
  /// The channels that the connection should be told of, and is.
  Request changed_subscriptions();
  void signal();

  Pool& pool_;
  const std::shared_ptr<Clock> clock_;
  const Behind behind_;
  int signal_ = -1;  ///< an eventfd: something has changed for the listener

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Channel, std::less<>> channels_;
  std::vector<std::string> to_subscribe_;
  bool connected_ = false;
  bool closing_ = false;
  std::uint64_t wakes_ = 0;
  std::size_t waiting_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
  std::thread listener_;      ///< from the first wait on
};

}  // namespace holdfast::redis
