// §8.4: wakes who waits for commits. One connection to each node that is needed is subscribed to the channels
// of the databases that are waited for (sharded ones, which a single server has too); whoever is woken reads
// the heads of those that were heard of. What is committed before a node has confirmed a subscription is
// found by reading the head afterwards. Thread-safe.
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

#include "backends/redis/nodes.h"
#include "holdfast/backend.h"

namespace holdfast::redis {

class Waiting {
 public:
  /// Which of these cursors, by their indices, are behind.
  using Behind = std::function<std::vector<std::size_t>(std::span<const Cursor>, std::span<const std::size_t>,
                                                        Deadline)>;

  Waiting(Nodes& nodes, std::shared_ptr<Clock> clock, Behind behind);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// Where the commits of a database are heard of.
  struct Place {
    std::string channel;
    std::size_t tag = 0;
  };
  /// `places` has one for each cursor.
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, std::span<const Place> places,
                                Deadline deadline);
  void wake();

 private:
  struct Channel {
    std::uint64_t events = 0;  ///< notifications, and subscriptions that were confirmed
    std::size_t waiters = 0;
    std::size_t tag = 0;
    Pool* heard_at = nullptr;  ///< who was asked to tell of it
    bool confirmed = false;
    Deadline used_at = {};
  };

  using Connections = std::map<Pool*, std::unique_ptr<Connection>>;

  void listen();
  /// Takes what has arrived, and waits for more.
  void listen_once(Connections& connections);
  void take_all(Connection& connection);
  void take_message(const redisReply& reply);
  /// Tells the nodes which channels are wanted, and which no more.
  void subscribe(Connections& connections);
  void pause(std::chrono::milliseconds length);
  void lose(Connections& connections, Pool* node);
  void signal();

  Nodes& nodes_;
  const std::shared_ptr<Clock> clock_;
  const Behind behind_;
  int signal_ = -1;  ///< an eventfd: something has changed for the listener

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Channel, std::less<>> channels_;
  std::vector<std::string> to_subscribe_;
  bool closing_ = false;
  std::uint64_t wakes_ = 0;
  std::size_t waiting_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
  std::thread listener_;      ///< from the first wait on
};

}  // namespace holdfast::redis
