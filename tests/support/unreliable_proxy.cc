#include "support/unreliable_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <system_error>

namespace holdfast::testing_support {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;
constexpr std::uint64_t kStallMs = 40;
constexpr std::uint64_t kParkMs = 60;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

sockaddr_in local(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int tcp_socket() {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) fail("socket");
  const int yes = 1;
  ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return made;
}

bool send_all(int to, const char* bytes, std::size_t count) {
  while (count != 0) {
    const ssize_t sent = ::send(to, bytes, count, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes += sent;
    count -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

/// Two sockets with a thread for each way. A thread ends both ways by shutting the sockets down; they are
/// closed when both threads have ended.
struct UnreliableProxy::Connection {
  Connection(int the_client, int the_server) : client(the_client), server(the_server) {}
  ~Connection() {
    for (std::thread* each : {&up, &down}) {
      if (each->joinable()) each->join();
    }
    ::close(client);
    ::close(server);
  }
  void end() const {
    ::shutdown(client, SHUT_RDWR);
    ::shutdown(server, SHUT_RDWR);
  }

  const int client;
  const int server;
  std::atomic<bool> parked{false};  ///< the client is gone, and its last bytes are still to come
  std::atomic<int> ways{2};         ///< that have not ended
  std::thread up;
  std::thread down;
};

UnreliableProxy::UnreliableProxy(const std::string& server, std::uint64_t seed)
    : server_port_(static_cast<std::uint16_t>(std::stoul(server.substr(server.rfind(':') + 1)))),
      random_(seeded_random(seed)) {
  listener_ = tcp_socket();
  sockaddr_in address = local(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) != 0) fail("bind");
  if (::listen(listener_, 128) != 0) fail("listen");
  if (::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  acceptor_ = std::thread([this] { accept(); });
}

UnreliableProxy::~UnreliableProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stop_.notify_all();
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  for (const auto& connection : connections_) connection->end();
  connections_.clear();
}

void UnreliableProxy::trouble(std::uint64_t one_of) {
  const std::lock_guard lock(mutex_);
  one_of_ = one_of;
}

void UnreliableProxy::fail_at(std::uint64_t step, Fault fault) {
  const std::lock_guard lock(mutex_);
  steps_left_ = step;
  planned_ = fault;
  has_failed_ = false;
}

void UnreliableProxy::accept() {
  while (!stopped_) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) {
      if (stopped_) return;
      continue;
    }
    const int yes = 1;
    ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const int server = tcp_socket();
    const sockaddr_in address = local(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(client);
      ::close(server);
      continue;
    }
    remove_finished();
    Connection& made = *connections_.emplace_back(std::make_unique<Connection>(client, server));
    made.up = std::thread([this, &made] { pump(made, Way::to_server); });
    made.down = std::thread([this, &made] { pump(made, Way::to_client); });
  }
}

void UnreliableProxy::remove_finished() {
  std::erase_if(connections_, [](const auto& connection) { return connection->ways == 0; });
}

void UnreliableProxy::pump(Connection& connection, Way way) {
  const int from = way == Way::to_server ? connection.client : connection.server;
  std::array<char, kReadBytes> bytes{};
  for (;;) {
    const ssize_t count = ::recv(from, bytes.data(), bytes.size(), 0);
    if (count <= 0) break;
    if (way == Way::to_client && connection.parked) continue;
    if (!pass(connection, way, bytes.data(), static_cast<std::size_t>(count))) break;
  }
  // What is parked needs the server's side for a while longer.
  if (way == Way::to_server || !connection.parked) connection.end();
  --connection.ways;
}

bool UnreliableProxy::pass(Connection& connection, Way way, const char* bytes, std::size_t count) {
  const int to = way == Way::to_server ? connection.server : connection.client;
  const std::optional<Fault> fault = next_fault(way);
  if (!fault) return send_all(to, bytes, count);
  if (*fault != Fault::stall) ++cuts_;
  switch (*fault) {
    case Fault::cut_before:
      return false;
    case Fault::cut_after:
      send_all(to, bytes, count);
      return false;
    case Fault::halve:
      send_all(to, bytes, count / 2);
      return false;
    case Fault::park:
      connection.parked = true;
      ::shutdown(connection.client, SHUT_RDWR);
      pause(kParkMs);
      send_all(to, bytes, count);
      // The server answers nobody, and reads the end only after the bytes.
      ::shutdown(connection.server, SHUT_WR);
      pause(kParkMs);
      return false;
    case Fault::stall:
      pause(kStallMs);
      return send_all(to, bytes, count);
  }
  return false;
}

std::optional<UnreliableProxy::Fault> UnreliableProxy::next_fault(Way way) {
  const std::lock_guard lock(mutex_);
  std::optional<Fault> fault;
  if (steps_left_ != 0 && --steps_left_ == 0) {
    has_failed_ = true;
    fault = planned_;
  } else if (one_of_ != 0 && random_->next() % one_of_ == 0) {
    fault = static_cast<Fault>(random_->next() % kFaults);
  }
  // An answer cannot be parked for anybody.
  if (fault == Fault::park && way == Way::to_client) fault = Fault::cut_before;
  return fault;
}

void UnreliableProxy::pause(std::uint64_t limit_ms) {
  std::unique_lock lock(mutex_);
  const std::chrono::milliseconds time(1 + random_->next() % limit_ms);
  stop_.wait_for(lock, time, [this] { return stopped_.load(); });
}

}  // namespace holdfast::testing_support
