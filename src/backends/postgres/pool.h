// Connections of one kind, made when they are needed and kept for a while. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "backends/postgres/connection.h"
#include "environment/back_off.h"

namespace holdfast::postgres {

class Pool {
 public:
  /// A connection for the life of this object, and back to the pool then unless it is broken.
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Connection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->put_back(std::move(connection_));
    }
    Connection& operator*() const { return *connection_; }
    Connection* operator->() const { return connection_.get(); }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  /// `kind` is for messages: "reads"; `option` is the one that makes the pool larger.
  Pool(const Settings& settings, std::size_t limit, const Environment& environment, std::string kind,
       std::string option)
      : settings_(settings),
        limit_(limit),
        clock_(environment.clock),
        kind_(std::move(kind)),
        option_(std::move(option)),
        back_off_(environment.clock, environment.random) {}

  /// What take() asks of a connection that was idle: one that the server has closed meanwhile is noticed by a
  /// system call, or else when it is used.
  enum class Look : std::uint8_t { first, never };

  /// Throws unavailable if none becomes free within the settings' pool_timeout, or if the server cannot be
  /// reached.
  Lease take(Deadline deadline, Look look = Look::first);
  /// Connections that are there, lent or not.
  std::size_t size();

 private:
  void put_back(std::unique_ptr<Connection> connection);

  struct Idle {
    std::unique_ptr<Connection> connection;
    Deadline since;
  };

  const Settings& settings_;
  const std::size_t limit_;
  const std::shared_ptr<Clock> clock_;
  const std::string kind_, option_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<Idle> idle_;  ///< the most recently used last
  std::size_t out_ = 0;
  BackOff back_off_;
};

}  // namespace holdfast::postgres
