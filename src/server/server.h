// A store behind an HTTP address. serve() in serve.h is the program around it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "holdfast/layers.h"
#include "holdfast/store.h"
#include "server/config.h"
#include "server/request_log.h"
#include "server/tokens.h"

namespace holdfast::server {

/// A store that is open, with what it counts.
struct OpenStore {
  std::shared_ptr<Store> store;
  std::shared_ptr<Metrics> metrics;
  std::string name;  ///< for people: the URL without its options and credentials
};
/// Opens what `config` names, metered. Throws what holdfast::open_store() does.
OpenStore open_store(const Config& config, const Environment& environment);
/// The same for one store.
OpenStore open_store(View url, const Environment& environment);

class Server {
 public:
  /// Listens when it returns. Throws invalid_argument for an address that is not loopback where there are no
  /// tokens, and what HttpServer does. `log` may be null and outlives the server; the store stays open.
  Server(const ServerConfig& config, Tokens tokens, OpenStore store, const Environment& environment,
         RequestLog* log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  std::size_t open_connections() const;
  /// From the next request on. Throws invalid_argument if the server began with tokens and there would be
  /// none.
  void replace_tokens(Tokens tokens);
  /// Closes every connection, whatever it is doing.
  void cut();
  /// See HttpServer::drain. /readyz says no from here on.
  bool drain(std::chrono::milliseconds limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::server
