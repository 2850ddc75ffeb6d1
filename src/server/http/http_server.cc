#include "server/http/http_server.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <thread>
#include <vector>

#include "server/http/loop.h"

namespace holdfast::server {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

/// How long accepting pauses when it failed, for want of descriptors as a rule.
constexpr std::chrono::milliseconds kAcceptPause{100};

asio::ip::tcp::endpoint endpoint_of(const HttpOptions& options) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    throw Error(Code::invalid_argument,
                "the address to listen on is an IP address such as 127.0.0.1 or ::, and a port");
  }
  return {address, options.port};
}

std::unique_ptr<asio::ssl::context> tls_context(const HttpOptions& options) {
  if (options.tls_certificate_pem.empty() && options.tls_key_pem.empty()) return nullptr;
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression);
  boost::system::error_code error;
  context->use_certificate_chain(asio::buffer(options.tls_certificate_pem), error);
  if (error)
    throw Error(Code::invalid_argument,
                "the TLS certificate is not a chain in PEM, which begins with -----BEGIN CERTIFICATE-----: " +
                    error.message());
  context->use_private_key(asio::buffer(options.tls_key_pem), asio::ssl::context::pem, error);
  if (error) {
    throw Error(Code::invalid_argument,
                "the TLS key is not a private key in PEM that fits the certificate: " + error.message());
  }
  return context;
}

[[noreturn]] void throw_listen_error(const HttpOptions& options, const boost::system::error_code& error) {
  const std::string what = "cannot listen on " + options.address + " port " + std::to_string(options.port) +
                           ": " + error.message();
  if (error == asio::error::address_in_use) throw Error(Code::already_exists, what + "; choose another port");
  if (error == asio::error::access_denied) throw Error(Code::permission_denied, what);
  throw Error(Code::invalid_argument, what);
}

}  // namespace

struct HttpServer::Impl {
  Impl(HttpOptions http_options, Handler& handler, const Environment& environment)
      : options(std::move(http_options)),
        shared(options.limits, handler, environment),
        tls(tls_context(options)) {
    for (std::size_t i = 0; i < std::max<std::size_t>(options.io_threads, 1); ++i) {
      loops.push_back(std::make_unique<Loop>(shared));
    }
    acceptor.emplace(loops.front()->context);
    pause.emplace(loops.front()->context);
    const tcp::endpoint endpoint = endpoint_of(options);
    boost::system::error_code error;
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(tcp::acceptor::max_listen_connections, error);
    if (error) throw_listen_error(options, error);
    port = acceptor->local_endpoint().port();

    shared.executor = std::make_unique<ThreadExecutor>(std::max<std::size_t>(options.worker_threads, 1),
                                                       options.limits.streams);
    accept();
    for (const auto& loop : loops) threads.emplace_back([&context = loop->context] { context.run(); });
  }

  ~Impl() {
    // Once every loop has let go of its connections nothing new comes to the executor.
    cut();
    // Handlers that run post their responses to the loops, so they have to be over before the loops are.
    shared.executor.reset();
    await_answers();
    for (const auto& loop : loops) loop->context.stop();
    for (std::thread& thread : threads) thread.join();
    acceptor.reset();
    pause.reset();
  }

  void cut() {
    std::latch aborted(static_cast<std::ptrdiff_t>(loops.size()));
    for (const auto& loop : loops) {
      asio::post(loop->context, [this, &aborted, &loop = *loop] {
        if (&loop == loops.front().get()) stop_accepting();
        loop.abort();
        aborted.count_down();
      });
    }
    aborted.wait();
  }

  void await_answers() {
    std::latch answered(static_cast<std::ptrdiff_t>(loops.size()));
    for (const auto& loop : loops) {
      asio::post(loop->context, [&answered, &loop = *loop] {
        loop.when_all_is_answered([&answered] { answered.count_down(); });
      });
    }
    answered.wait();
  }

  void accept() {
    Loop& loop = *loops[next_loop++ % loops.size()];
    acceptor->async_accept(loop.context, [this, &loop](boost::system::error_code error, tcp::socket socket) {
      if (!acceptor->is_open()) return;
      if (error) {
        pause->expires_after(kAcceptPause);
        return pause->async_wait([this](boost::system::error_code cancelled) {
          if (!cancelled && acceptor->is_open()) accept();
        });
      }
      shared.counters.connections_accepted.fetch_add(1, std::memory_order_relaxed);
      asio::post(loop.context,
                 [this, &loop, socket = std::move(socket)]() mutable { begin(loop, std::move(socket)); });
      accept();
    });
  }

  void begin(Loop& loop, tcp::socket socket) {
    if (loop.is_draining) return;
    const auto open = shared.counters.connections_open.load(std::memory_order_relaxed);
    if (open >= options.limits.connections && !loop.evict_idle()) {
      shared.counters.connections_refused.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    boost::system::error_code error;
    socket.set_option(tcp::no_delay(true), error);
    const tcp::endpoint remote = socket.remote_endpoint(error);
    if (error) return;
    std::string peer = remote.address().to_string();
    if (tls) return start_tls_connection(loop, std::move(socket), std::move(peer), *tls);
    start_plain_connection(loop, std::move(socket), std::move(peer));
  }

  void stop_accepting() {
    boost::system::error_code ignored;
    acceptor->close(ignored);
    pause->cancel();
  }

  const HttpOptions options;
  HttpShared shared;
  const std::unique_ptr<asio::ssl::context> tls;
  std::vector<std::unique_ptr<Loop>> loops;
  std::optional<tcp::acceptor> acceptor;
  std::optional<asio::steady_timer> pause;
  std::uint16_t port = 0;
  std::size_t next_loop = 0;
  std::vector<std::thread> threads;
};

HttpServer::HttpServer(HttpOptions options, Handler& handler, const Environment& environment)
    : impl_(std::make_unique<Impl>(std::move(options), handler, environment)) {}
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return impl_->port; }
const HttpCounters& HttpServer::counters() const { return impl_->shared.counters; }

void HttpServer::cut() { impl_->cut(); }

bool HttpServer::drain(std::chrono::milliseconds limit) {
  for (const auto& loop : impl_->loops) {
    asio::post(loop->context, [this, &loop = *loop] {
      if (&loop == impl_->loops.front().get()) impl_->stop_accepting();
      loop.drain();
    });
  }
  std::mutex mutex;
  std::condition_variable condition;
  std::unique_lock lock(mutex);
  Clock& clock = *impl_->shared.environment.clock;
  const Deadline end = clock.steady_now() + limit;
  while (impl_->shared.counters.connections_open.load(std::memory_order_relaxed) != 0) {
    if (clock.steady_now() >= end) return false;
    condition.wait_for(lock, std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace holdfast::server
