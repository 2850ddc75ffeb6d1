// An HTTP client for tests, which says exactly what it is told to: requests that no library would send too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/server.h"
#include "server/tokens.h"

namespace holdfast::testing_support {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;

  nlohmann::json json() const { return nlohmann::json::parse(body); }
  /// "code" of an error's body.
  std::string code() const { return json().at("error").at("code").get<std::string>(); }
  std::string message() const { return json().at("error").at("message").get<std::string>(); }
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;
/// Of a body that is JSON.
inline const HeaderList kJson = {{"Content-Type", "application/json"}};

/// One connection. Throws std::runtime_error when it breaks or nothing comes for 20 seconds.
class HttpConnection {
 public:
  explicit HttpConnection(std::uint16_t port, int receive_buffer_bytes = 0);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  void send(const std::string& bytes);
  /// Sends as much as the other side takes at once.
  std::size_t try_send(const std::string& bytes);
  void finish_sending();
  /// The next response; `is_head`: it has no body whatever it says.
  HttpAnswer receive(bool is_head = false);
  /// Up to and with `mark`.
  std::string receive_until(const std::string& mark);
  std::string receive_bytes(std::size_t size);
  /// Waits for what comes next: true if it is the end, false if it is more bytes.
  bool is_closed_by_server();

  HttpAnswer request(const std::string& method, const std::string& target, const std::string& body = "",
                     const HeaderList& headers = {});

 private:
  bool fill();

  int socket_ = -1;
  std::string buffer_;
};

std::string request_text(const std::string& method, const std::string& target, const std::string& body = "",
                         const HeaderList& headers = {});

/// A server on a port of its own, with a store in memory unless told otherwise.
class TestServer {
 public:
  explicit TestServer(const std::string& store_url = "memory:", server::ServerConfig config = {},
                      const std::string& token_file_text = "");
  TestServer(server::OpenStore opened, server::ServerConfig config, const std::string& token_file_text = "");
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::uint16_t port() const { return server_->port(); }
  Store& store() { return *opened_.store; }
  server::Server& server() { return *server_; }

  /// One request on a connection of its own.
  HttpAnswer request(const std::string& method, const std::string& target, const std::string& body = "",
                     const HeaderList& headers = {});
  HttpAnswer get(const std::string& target, const HeaderList& headers = {}) {
    return request("GET", target, "", headers);
  }
  HttpAnswer post(const std::string& target, const nlohmann::json& body) {
    return request("POST", target, body.dump(), {{"Content-Type", "application/json"}});
  }

 private:
  server::OpenStore opened_;
  std::unique_ptr<server::Server> server_;
};

}  // namespace holdfast::testing_support
