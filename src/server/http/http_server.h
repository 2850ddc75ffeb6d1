// The HTTP/1.1 core: sockets, limits, TLS, event streams. It knows nothing of stores; what it serves is a
// Handler. The HTTP library (Boost.Beast) is included by this folder's .cc files alone.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/environment.h"
#include "server/http/message.h"

namespace holdfast::server {

struct HttpLimits {
  std::size_t connections = 1'024;
  std::size_t header_bytes = 16'384;
  /// Of all request bodies that are being buffered, and all response bodies of more than 256 KiB that are
  /// being sent, at one time.
  std::size_t buffered_bytes = 256u << 20;
  /// Event streams and uploads, each of which takes a thread.
  std::size_t streams = 256;
  /// For a request's head, and for each further 256 KiB of a body, in either direction.
  std::chrono::milliseconds request_timeout{30'000};
  /// Between two requests of one connection.
  std::chrono::milliseconds idle_timeout{75'000};
};

struct HttpOptions {
  std::string address = "127.0.0.1";  ///< an IP address
  std::uint16_t port = 0;             ///< 0: any that is free
  std::string tls_certificate_pem;    ///< the chain; empty: no TLS
  std::string tls_key_pem;
  std::size_t io_threads = 2;
  std::size_t worker_threads = 64;
  HttpLimits limits;
};

/// What the core has counted. Read with load(relaxed).
struct HttpCounters {
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_refused{0};
  std::atomic<std::size_t> connections_open{0};
  std::atomic<std::size_t> streams_open{0};
  std::atomic<std::size_t> buffered_bytes{0};
};

class HttpServer {
 public:
  /// Listens when it returns. Throws invalid_argument for an address, a certificate or a key that is none,
  /// permission_denied or already_exists for an address that it may not have, or somebody else has.
  /// `handler` outlives the server.
  HttpServer(HttpOptions options, Handler& handler, const Environment& environment);
  /// Cuts what is left, and waits for handlers that run.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  const HttpCounters& counters() const;
  /// Accepts no more, lets requests that have begun finish, ends event streams and closes idle connections.
  /// Returns when no connection is left or `limit` is over: false then.
  bool drain(std::chrono::milliseconds limit);
  /// Closes every connection, whatever it is doing; further ones are not accepted.
  void cut();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::server
