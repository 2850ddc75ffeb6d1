// A connection of bytes to a server, plain or TLS, whose every call ends by a deadline. Not thread-safe.
#pragma once

#include <memory>

#include "backends/redis/address.h"
#include "holdfast/environment.h"

namespace holdfast::redis {

class Stream {
 public:
  virtual ~Stream() = default;
  /// All functions throw unavailable when the connection is lost, and timeout.
  virtual void send(View bytes, Deadline deadline) = 0;
  /// At least one byte.
  virtual std::size_t receive(char* bytes, std::size_t most, Deadline deadline) = 0;
  /// Whether bytes that have arrived are waiting in this process: poll() on descriptor() does not see them.
  virtual bool has_buffered() const = 0;
  /// Whether the other side has hung up, or has said something that nobody asked for. Costs one system call.
  virtual bool is_stale() const = 0;
  virtual int descriptor() const = 0;
};

/// Connects, within the deadline; resolving a name may take longer.
std::unique_ptr<Stream> connect(const Address& address, const std::shared_ptr<Clock>& clock,
                                Deadline deadline);

}  // namespace holdfast::redis
