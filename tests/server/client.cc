#include "tests/server/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace holdfast::testing_support {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

HttpConnection::HttpConnection(std::uint16_t port, int receive_buffer_bytes) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval timeout{20, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (receive_buffer_bytes != 0) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket_);
    throw std::runtime_error("cannot connect");
  }
}

HttpConnection::~HttpConnection() { ::close(socket_); }

void HttpConnection::send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t size = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) throw std::runtime_error("the server does not take more");
    sent += static_cast<std::size_t>(size);
  }
}

std::size_t HttpConnection::try_send(const std::string& bytes) {
  const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return size < 0 ? 0 : static_cast<std::size_t>(size);
}

void HttpConnection::finish_sending() { ::shutdown(socket_, SHUT_WR); }

bool HttpConnection::fill() {
  std::array<char, 65536> space;
  const ssize_t size = ::recv(socket_, space.data(), space.size(), 0);
  if (size < 0 && errno == ECONNRESET) return false;
  if (size < 0) throw std::runtime_error("nothing came in time");
  buffer_.append(space.data(), static_cast<std::size_t>(size));
  return size > 0;
}

std::string HttpConnection::receive_until(const std::string& mark) {
  std::size_t at = 0;
  while ((at = buffer_.find(mark)) == std::string::npos) {
    if (!fill()) throw std::runtime_error("the server closed the connection; before that: " + buffer_);
  }
  std::string text = buffer_.substr(0, at + mark.size());
  buffer_.erase(0, at + mark.size());
  return text;
}

std::string HttpConnection::receive_bytes(std::size_t size) {
  while (buffer_.size() < size) {
    if (!fill()) throw std::runtime_error("the server closed the connection within a body");
  }
  std::string text = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return text;
}

HttpAnswer HttpConnection::receive(bool is_head) {
  HttpAnswer answer;
  std::string head = receive_until("\r\n\r\n");
  if (!head.starts_with("HTTP/1.1 ")) throw std::runtime_error("no response: " + head);
  answer.status = std::stoi(head.substr(9, 3));
  std::size_t at = head.find("\r\n") + 2;
  while (at < head.size() - 2) {
    const std::size_t end = head.find("\r\n", at);
    const std::size_t colon = head.find(": ", at);
    answer.headers[lower(head.substr(at, colon - at))] = head.substr(colon + 2, end - colon - 2);
    at = end + 2;
  }
  if (is_head || answer.status == 304 || answer.status == 101 || answer.status == 100) return answer;
  if (answer.headers.contains("transfer-encoding")) {
    while (true) {
      const std::string line = receive_until("\r\n");
      const std::size_t size = std::stoul(line, nullptr, 16);
      answer.body += receive_bytes(size);
      receive_bytes(2);
      if (size == 0) return answer;
    }
  }
  answer.body = receive_bytes(std::stoul(answer.headers.at("content-length")));
  return answer;
}

bool HttpConnection::is_closed_by_server() {
  if (!buffer_.empty()) return false;
  return !fill();
}

std::string request_text(const std::string& method, const std::string& target, const std::string& body,
                         const HeaderList& headers) {
  std::string text = method + " " + target + " HTTP/1.1\r\n";
  bool has_host = false;
  for (const auto& [name, value] : headers) {
    text += name + ": " + value + "\r\n";
    has_host = has_host || name == "Host";
  }
  if (!has_host) text += "Host: localhost\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}

HttpAnswer HttpConnection::request(const std::string& method, const std::string& target,
                                   const std::string& body, const HeaderList& headers) {
  send(request_text(method, target, body, headers));
  return receive(method == "HEAD");
}

TestServer::TestServer(const std::string& store_url, server::ServerConfig config,
                       const std::string& token_file_text)
    : TestServer(server::open_store(store_url, {}), std::move(config), token_file_text) {}

TestServer::TestServer(server::OpenStore opened, server::ServerConfig config,
                       const std::string& token_file_text)
    : opened_(std::move(opened)) {
  config.listen = "127.0.0.1:0";
  server_ = std::make_unique<server::Server>(config, server::Tokens::parse(token_file_text), opened_,
                                             Environment{}, nullptr);
}

TestServer::~TestServer() {
  server_.reset();
  opened_.store->close();
}

HttpAnswer TestServer::request(const std::string& method, const std::string& target, const std::string& body,
                               const HeaderList& headers) {
  HttpConnection connection(port());
  return connection.request(method, target, body, headers);
}

}  // namespace holdfast::testing_support
