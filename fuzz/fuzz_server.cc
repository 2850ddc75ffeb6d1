// What a client may send to the server, through the real connection, router and handlers, on a store in
// memory: nothing may crash it or be answered by 500.
//
// An even first byte: the rest is what comes over the wire. An odd one: the input is made into a request that
// is well-formed HTTP, so that routes and handlers see most of it.
#include <atomic>
#include <boost/beast/_experimental/test/stream.hpp>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "contract/percent.h"
#include "server/http/connection.h"
#include "server/router.h"
#include "server/routes.h"
#include "server/server.h"

namespace holdfast::server {

using FuzzStream = boost::beast::test::stream;

template <>
struct StreamOperations<FuzzStream> {
  template <class F>
  static void handshake(FuzzStream& stream, F done) {
    asio::post(stream.get_executor(), [done = std::move(done)] { done({}); });
  }
  template <class F>
  static void shutdown(FuzzStream&, F done) {
    done(asio::error::make_error_code(asio::error::eof));
  }
  static void cancel(FuzzStream& stream) { stream.close(); }
  static void close(FuzzStream& stream) { stream.close(); }
  static bool has_gone(FuzzStream&) { return false; }
};

namespace {

/// Runs tasks at once, but for streams and uploads: these wait for what the connection does next.
class FuzzExecutor final : public Executor {
 public:
  void run(std::function<void()> task) override { task(); }
  bool run_long(std::function<void()> task) override {
    ++running_;
    threads_.emplace_back([this, task = std::move(task)] {
      task();
      --running_;
    });
    return true;
  }
  bool is_busy() const { return running_ > 0; }
  /// Frees what has run; nothing is running.
  void join() { threads_.clear(); }

 private:
  std::atomic<int> running_{0};
  std::vector<std::jthread> threads_;
};

class World {
 public:
  World() : opened_(open_store("memory:?sweeper=false", {})) {
    state_.store = opened_.store;
    state_.metrics = opened_.metrics;
    state_.store_name = opened_.name;
    state_.environment = Environment{}.completed();
    state_.http = &shared_.counters;
    state_.requests = &router_.metrics();
    auto executor = std::make_unique<FuzzExecutor>();
    executor_ = executor.get();
    shared_.executor = std::move(executor);
  }

  const std::vector<Route>& routes() const { return router_.routes(); }

  /// `ends`: the answer is no stream of events.
  std::string answer(const std::string& bytes, bool ends) {
    Loop loop(shared_);
    FuzzStream client(loop.context);
    {
      FuzzStream stream(loop.context);
      stream.connect(client);
      stream.append(bytes);
      client.close_remote();
      std::make_shared<Connection<FuzzStream>>(loop, std::move(stream), "127.0.0.1")->start();
    }
    const auto is_busy = [&] { return executor_->is_busy() || loop.answers_due > 0; };
    // An upload ends with what the client has sent; a stream of events ends when the client goes.
    loop.context.poll();
    for (int turns = 0; is_busy() && (ends || turns < 200); ++turns) {
      std::this_thread::yield();
      loop.context.poll();
    }
    client.close();
    loop.context.poll();
    loop.abort();
    while (is_busy()) {
      std::this_thread::yield();
      loop.context.poll();
    }
    executor_->join();
    loop.context.poll();
    return std::string(client.str());
  }

 private:
  OpenStore opened_;
  ServerState state_;
  Router router_{state_, all_routes(), nullptr};
  HttpShared shared_{HttpLimits{}, router_, Environment{}};
  FuzzExecutor* executor_ = nullptr;  ///< of shared_
};

/// Takes words off the input.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  std::size_t number() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string text() {
    const std::size_t size = std::min<std::size_t>(number(), rest_.size());
    const std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  std::string rest() { return std::string(rest_); }

 private:
  View rest_;
};

std::string request_of(Input& input, const Route& route) {
  std::string target;
  for (std::size_t i = 0; i < route.pattern.size(); ++i) {
    if (route.pattern[i] == '{') {
      target += percent_encoded(input.text());
      i = route.pattern.find('}', i);
    } else {
      target += route.pattern[i];
    }
  }
  std::string fields;
  for (const Parameter& parameter : route.parameters) {
    if (input.number() % 4 != 0) continue;
    if (parameter.is_header) {
      std::string value = input.text();
      std::replace_if(
          value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
      fields += parameter.name + ": " + value + "\r\n";
    } else {
      target += (target.find('?') == std::string::npos ? '?' : '&') + parameter.name + "=" +
                percent_encoded(input.text());
    }
  }
  const std::string body = input.rest();
  return route.method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace
}  // namespace holdfast::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::server;
  static std::unique_ptr<World> world;
  static int inputs = 0;
  // A new store now and then, so that what one input wrote does not stay for ever.
  if (inputs++ % 2'000 == 0) world = std::make_unique<World>();
  Input input(data, size);
  const bool is_made = input.number() % 2 == 1;
  const std::vector<Route>& routes = world->routes();
  const Route* route = is_made ? &routes[input.number() % routes.size()] : nullptr;
  const std::string request = is_made ? request_of(input, *route) : input.rest();
  const std::string answer = world->answer(request, is_made && !route->is_event_stream);
  const bool is_wrong = answer.find("HTTP/1.1 500") == 0 || (is_made && !answer.starts_with("HTTP/1.1 "));
  if (is_wrong) {
    std::cerr << request << "\n---\n" << answer << "\n";
    std::abort();
  }
  return 0;
}
