// A network that fails: a proxy in front of a real server that cuts, halves, delays and parks what goes
// through.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "holdfast/environment.h"

namespace holdfast::testing_support {

/// Listens on a port of 127.0.0.1 and connects every client to the server. What one read brings is a step; it
/// meets at most one fault. Thread-safe.
class UnreliableProxy {
 public:
  enum class Fault : std::uint8_t {
    cut_before,  ///< the connection ends, and the bytes are lost
    cut_after,   ///< the bytes arrive, then the connection ends: an answer to them is lost
    halve,       ///< the first half arrives, then the connection ends
    park,        ///< the client's connection ends, and its bytes reach the server some time later
    stall,       ///< nothing goes this way for a while, then all goes on
  };
  static constexpr std::size_t kFaults = 5;

  /// `server` is "127.0.0.1:PORT".
  UnreliableProxy(const std::string& server, std::uint64_t seed);
  /// Ends all connections.
  ~UnreliableProxy();
  UnreliableProxy(const UnreliableProxy&) = delete;
  UnreliableProxy& operator=(const UnreliableProxy&) = delete;

  /// "127.0.0.1:PORT", for clients.
  const std::string& address() const { return address_; }
  /// From now on one step of so many meets a fault, which and when by the seed; 0 for none.
  void trouble(std::uint64_t one_of);
  /// The `step`-th step from now on, counted from 1 over all connections and both ways, meets this fault.
  void fail_at(std::uint64_t step, Fault fault);
  /// Whether there were that many steps.
  bool has_failed() const { return has_failed_.load(); }
  /// Connections that ended by a fault.
  std::uint64_t cuts() const { return cuts_.load(); }

 private:
  struct Connection;
  enum class Way : std::uint8_t { to_server, to_client };

  void accept();
  void pump(Connection& connection, Way way);
  /// False when the way ends here.
  bool pass(Connection& connection, Way way, const char* bytes, std::size_t count);
  std::optional<Fault> next_fault(Way way);
  void pause(std::uint64_t limit_ms);
  void remove_finished();

  std::uint16_t server_port_ = 0;
  std::string address_;
  int listener_ = -1;
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> cuts_{0};
  std::atomic<bool> has_failed_{false};

  std::mutex mutex_;
  std::condition_variable stop_;
  std::shared_ptr<Random> random_;
  std::uint64_t one_of_ = 0;
  std::uint64_t steps_left_ = 0;
  Fault planned_ = Fault::cut_before;
  std::list<std::unique_ptr<Connection>> connections_;
  std::thread acceptor_;
};

}  // namespace holdfast::testing_support
