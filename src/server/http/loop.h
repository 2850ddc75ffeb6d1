// One thread that does I/O for its share of the connections. Internal to the HTTP core.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "holdfast/environment.h"
#include "server/http/executor.h"
#include "server/http/http_server.h"
#include "server/http/message.h"
#include "server/http/quick_requests.h"

namespace boost::asio::ssl {
class context;
}

namespace holdfast::server {

/// What all loops of a server share.
struct HttpShared {
  HttpShared(HttpLimits http_limits, Handler& http_handler, Environment an_environment);
  /// 16 hexadecimal digits, never twice in a process and hardly ever twice in a store.
  std::string next_request_id();

  const HttpLimits limits;
  Handler& handler;
  const Environment environment;
  HttpCounters counters;
  std::unique_ptr<Executor> executor;

 private:
  const std::uint64_t request_id_seed_;
  std::atomic<std::uint64_t> requests_{0};
};

/// A connection as its loop sees it. All calls on the loop's thread.
class ConnectionBase {
 public:
  virtual ~ConnectionBase() = default;
  virtual void start() = 0;
  /// Looks at its deadline.
  virtual void tick(Deadline now) = 0;
  /// No further request; at once if it waits for one.
  virtual void drain() = 0;
  virtual void abort() = 0;
  /// Whether it waits for a request of which nothing has come, and since when.
  virtual bool is_idle() const = 0;
  virtual Deadline idle_since() const = 0;
};

class Loop {
 public:
  explicit Loop(HttpShared& http_shared);
  ~Loop();

  Deadline now() const { return shared.environment.clock->steady_now(); }
  /// "Sun, 06 Nov 1994 08:49:37 GMT".
  const std::string& date() const { return date_; }

  void tick();
  void drain();
  void abort();
  /// Calls `then` once no answer is due any more; for when no request comes any more.
  void when_all_is_answered(std::function<void()> then);
  void answer_came();
  /// Closes the connection that has waited longest for a request; false if none waits.
  bool evict_idle();

  HttpShared& shared;
  QuickRequests quick_requests;
  std::unordered_set<ConnectionBase*> connections;
  bool is_draining = false;
  /// Requests that are answered later.
  std::size_t answers_due = 0;
  const std::shared_ptr<boost::asio::io_context> shared_context =
      std::make_shared<boost::asio::io_context>(1);
  boost::asio::io_context& context = *shared_context;

 private:
  void schedule();

  std::string date_;
  std::int64_t date_second_ = -1;
  std::function<void()> when_all_is_answered_;
  boost::asio::steady_timer timer_{context};
};

void start_plain_connection(Loop& loop, boost::asio::ip::tcp::socket socket, std::string peer);
void start_tls_connection(Loop& loop, boost::asio::ip::tcp::socket socket, std::string peer,
                          boost::asio::ssl::context& tls);

/// Whether the other end of a TCP socket has closed it, or the side of it that it sends by.
bool peer_has_gone(int socket);

}  // namespace holdfast::server
