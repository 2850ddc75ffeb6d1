// Connections to one server, kept and shared by threads. Thread-safe.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/redis/connection.h"
#include "environment/back_off.h"

namespace holdfast::redis {

class Pool {
 public:
  Pool(Address address, const Environment& environment, std::size_t most)
      : address_(std::move(address)),
        environment_(environment),
        most_(most),
        back_off_(environment.clock, environment.random) {}

  /// Gives its connection back, or closes it if it is broken.
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Connection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_));
    }
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Connection* operator->() { return connection_.get(); }
    Connection& operator*() { return *connection_; }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  /// A connection that was there a moment ago, or a new one; one that was idle for long has asked again who
  /// the server is. Throws unavailable, and timeout when all connections stay in use.
  Lease take(Deadline deadline);
  /// One beside the pool's, for somebody who keeps it.
  std::unique_ptr<Connection> connect(Deadline deadline);
  void close_idle();
  const Address& address() const { return address_; }

 private:
  void give_back(std::unique_ptr<Connection> connection);
  void leave();

  const Address address_;
  const Environment environment_;
  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::size_t in_use_ = 0;
  BackOff back_off_;
};

}  // namespace holdfast::redis
