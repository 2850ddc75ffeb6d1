// The redis backend against plain commands by the same client on the same server, over its unix socket:
// groups of batches (one check and one put each) against as many SETs in one pipeline, reads against GET, and
// the engine's group commit against redis-benchmark.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend_side.h"
#include "backends/redis/connection.h"
#include "backends/redis/test_server.h"
#include "harness.h"
#include "holdfast/store.h"

namespace holdfast::bench {
namespace {

using redis::Arguments;
using redis::Connection;
using redis::Reply;
using redis::Request;
using redis::TestServer;

constexpr std::size_t kThreads = 64;

std::vector<std::string> settings(bool always) {
  if (!always) return {"--appendonly", "no"};
  return {"--appendonly", "yes", "--appendfsync", "always"};
}

/// One connection of the backend's client that says what anybody would say.
class Plain {
 public:
  explicit Plain(const TestServer& server)
      : environment_(Environment{}.completed()),
        connection_(address_of(server), environment_.clock, Deadline::max()) {}

  void put(const std::vector<std::size_t>& keys, const std::string& value) {
    Request request;
    for (const std::size_t index : keys) request.command(Arguments{"SET", key_text(index), value});
    for (const Reply& reply : connection_.call(request, Deadline::max())) {
      if (redis::is_error(*reply)) throw redis::error_of(*reply);
    }
  }
  std::string get(std::size_t index) {
    Request request;
    request.command(Arguments{"GET", key_text(index)});
    return std::string(redis::text_of(*connection_.call_one(request, Deadline::max())));
  }

 private:
  static redis::Address address_of(const TestServer& server) {
    redis::Address address;
    address.socket_path = server.socket();
    return address;
  }

  const Environment environment_;
  Connection connection_;
};

/// Both sides with the same entries.
struct Sides {
  explicit Sides(bool always) : server(settings(always)), plain(server), ours(server.url()) {
    fill(plain, ours);
  }
  TestServer server;
  Plain plain;
  BackendSide ours;
  Picker next;
};

Case group_case(const std::string& name, std::size_t size, bool always, double at_least) {
  const auto sides = std::make_shared<Sides>(always);
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [sides, &side, size](std::chrono::milliseconds duration) {
                       return measure(1, duration, size, [&](std::size_t) {
                         side.put(sides->next.keys(size), sides->next.value());
                       });
                     }};
  };
  return {name, contender("redis:", sides->ours), {{contender("pipelined SET", sides->plain), at_least, {}}}};
}

Case get_case(const std::string& name) {
  const auto sides = std::make_shared<Sides>(false);
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [sides, &side](std::chrono::milliseconds duration) {
                       return measure(1, duration, 1, [&](std::size_t) {
                         if (side.get(sides->next.key()).empty()) throw std::runtime_error("no value");
                       });
                     }};
  };
  return {name, contender("redis:", sides->ours), {{contender("GET", sides->plain), 0.85, {}}}};
}

/// Requests per second of SETs with redis-benchmark's own 50 connections, 16 in flight on each.
double redis_benchmark_rate(const TestServer& server, std::uint64_t requests) {
  const std::string command = "redis-benchmark -s " + server.socket() + " -t set -P 16 -d 100 -r 100000 -n " +
                              std::to_string(requests) + " --csv";
  FILE* output = ::popen(command.c_str(), "r");
  if (output == nullptr) throw std::runtime_error("redis-benchmark cannot be run");
  std::string text;
  char buffer[4096];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof(buffer), output)) > 0;) {
    text.append(buffer, count);
  }
  ::pclose(output);
  const std::size_t row = text.find("\"SET\",\"");
  if (row == std::string::npos) throw std::runtime_error("redis-benchmark answered: " + text);
  return std::stod(text.substr(row + 7));
}

/// What the engine's group commit makes of many callers.
Case engine_case(const std::string& name) {
  struct Engine {
    TestServer server{settings(false)};
    std::shared_ptr<Store> store = Store::open(server.url("sweeper=false"));
    std::vector<Dice> dice;
    double peer_rate = 100'000;
  };
  const auto engine = std::make_shared<Engine>();
  for (std::size_t thread = 0; thread < kThreads; ++thread) engine->dice.emplace_back(thread + 2);
  Contender ours{"redis:", [engine](std::chrono::milliseconds duration) {
                   return measure(kThreads, duration, 1, [&](std::size_t thread) {
                     const std::size_t key = engine->dice[thread].below(kKeys);
                     engine->store->database("bench").put(key_text(key), value_of(key));
                   });
                 }};
  Contender peer{"redis-benchmark -P 16 SET", [engine](std::chrono::milliseconds duration) {
                   const double seconds = std::chrono::duration<double>(duration).count();
                   Sample sample;
                   sample.operations = static_cast<std::uint64_t>(engine->peer_rate * seconds);
                   engine->peer_rate = redis_benchmark_rate(engine->server, sample.operations);
                   sample.seconds = static_cast<double>(sample.operations) / engine->peer_rate;
                   return sample;
                 }};
  return {name, std::move(ours), {{std::move(peer), {}, {}}}};
}

}  // namespace

void add_redis_cases(Suite& suite) {
  if (std::system("command -v redis-server redis-benchmark >/dev/null") != 0) {
    std::cerr
        << "redis: is left out, since redis-server or redis-benchmark is not there (scripts/setup test)\n";
    return;
  }
  struct Goal {
    std::size_t size;
    bool always;
    double at_least;
  };
  constexpr Goal kGoals[] = {{1, false, 0.5}, {100, false, 0.3}, {100, true, 0.45}};
  for (const Goal& goal : kGoals) {
    const std::string name =
        "redis: groups of " + std::to_string(goal.size) + (goal.always ? ", appendfsync always" : "");
    suite.cases.push_back({name, [=] { return group_case(name, goal.size, goal.always, goal.at_least); }});
  }
  const std::string get = "redis: get, 100k entries";
  suite.cases.push_back({get, [=] { return get_case(get); }});
  const std::string engine = "redis: put through the engine, 64 threads";
  suite.cases.push_back({engine, [=] { return engine_case(engine); }});
}

}  // namespace holdfast::bench
