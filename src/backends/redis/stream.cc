#include "backends/redis/stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backends/redis/tls.h"

namespace holdfast::redis {
namespace {

[[noreturn]] void fail(const Address& address, const std::string& what) {
  throw Error(Code::unavailable, "the Redis server at " + address.text() + ": " + what);
}

[[noreturn]] void fail(const Address& address, const char* what, int error) {
  fail(address, std::string(what) + ": " + std::strerror(error));
}

class Socket final : public Stream {
 public:
  Socket(int descriptor, const Address& address, std::shared_ptr<Clock> clock)
      : descriptor_(descriptor), address_(address), clock_(std::move(clock)) {}
  ~Socket() override { ::close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void finish_connecting(Deadline deadline) {
    wait_for(POLLOUT, deadline);
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) fail(address_, "connecting failed", error);
    const int one = 1;
    if (!address_.host.empty()) {
      ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
      ::setsockopt(descriptor_, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
  }

  void send(View bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_for(POLLOUT, deadline);
      } else if (errno != EINTR) {
        fail(address_, "the connection was lost", errno);
      }
    }
  }

  std::size_t receive(char* bytes, std::size_t most, Deadline deadline) override {
    while (true) {
      const ssize_t received = ::recv(descriptor_, bytes, most, 0);
      if (received > 0) return static_cast<std::size_t>(received);
      if (received == 0) fail(address_, "it closed the connection");
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_for(POLLIN, deadline);
      } else if (errno != EINTR) {
        fail(address_, "the connection was lost", errno);
      }
    }
  }

  bool has_buffered() const override { return false; }
  bool is_stale() const override {
    char byte = 0;
    const ssize_t received = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return received >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }
  int descriptor() const override { return descriptor_; }

 private:
  void wait_for(short events, Deadline deadline) {
    while (true) {
      const Deadline now = clock_->steady_now();
      if (now >= deadline) {
        throw Error(Code::timeout, "the Redis server at " + address_.text() + " did not answer in time");
      }
      // In slices: an injected clock does not move with the machine's.
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now).count() + 1;
      pollfd ready{descriptor_, events, 0};
      if (::poll(&ready, 1, static_cast<int>(std::min<std::int64_t>(left, 200))) > 0) return;
    }
  }

  const int descriptor_;
  const Address address_;
  const std::shared_ptr<Clock> clock_;
};

/// Starts to connect, or -1 with errno.
int start_connecting(int family, const sockaddr* to, socklen_t size) {
  const int descriptor = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (::connect(descriptor, to, size) == 0 || errno == EINPROGRESS) return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

std::unique_ptr<Socket> connect_local(const Address& address, const std::shared_ptr<Clock>& clock,
                                      Deadline deadline) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address.socket_path.size() >= sizeof(to.sun_path)) {
    throw Error(Code::invalid_argument,
                "the path of a socket has at most " + std::to_string(sizeof(to.sun_path) - 1) + " bytes");
  }
  std::copy(address.socket_path.begin(), address.socket_path.end(), to.sun_path);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what the socket API asks for.
  const int descriptor = start_connecting(AF_UNIX, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  if (descriptor < 0) fail(address, "connecting failed", errno);
  auto socket = std::make_unique<Socket>(descriptor, address, clock);
  socket->finish_connecting(deadline);
  return socket;
}

std::unique_ptr<Socket> connect_host(const Address& address, const std::shared_ptr<Clock>& clock,
                                     Deadline deadline) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int problem = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &wanted, &found);
  if (problem != 0) fail(address, std::string("the name cannot be resolved: ") + ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int descriptor = start_connecting(one->ai_family, one->ai_addr, one->ai_addrlen);
    if (descriptor < 0) {
      if (one->ai_next == nullptr) fail(address, "connecting failed", errno);
      continue;
    }
    auto socket = std::make_unique<Socket>(descriptor, address, clock);
    try {
      socket->finish_connecting(deadline);
      return socket;
    } catch (const Error& error) {
      if (one->ai_next == nullptr || error.code() == Code::timeout) throw;
    }
  }
  fail(address, "connecting failed");
}

}  // namespace

std::unique_ptr<Stream> connect(const Address& address, const std::shared_ptr<Clock>& clock,
                                Deadline deadline) {
  std::unique_ptr<Stream> socket =
      address.host.empty() ? connect_local(address, clock, deadline) : connect_host(address, clock, deadline);
  return address.tls ? secured(std::move(socket), address, deadline) : std::move(socket);
}

}  // namespace holdfast::redis
