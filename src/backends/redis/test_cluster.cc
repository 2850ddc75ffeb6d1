#include "backends/redis/test_cluster.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "backends/redis/nodes.h"

namespace holdfast::redis {
namespace {

constexpr std::size_t kSlots = 16384;

template <class Condition>
void wait_for(const char* what, Condition&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error(std::string("the test's cluster does not get there: ") + what);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void demand_ok(TestServer& server, const std::vector<std::string>& words) {
  const std::string answer = server.answer(words);
  if (answer != "OK") throw std::runtime_error(words[1] + ": " + answer);
}

std::string slot_of(const std::string& database) {
  return std::to_string(slot_of_tag(KeyNames::tag_text(KeyNames::tag_of(database))));
}

}  // namespace

std::string free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool is_bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!is_bound) throw std::runtime_error("no port is free");
  return std::to_string(ntohs(address.sin_port));
}

TestCluster::TestCluster(std::vector<std::string> arguments) {
  // A port may be taken between its choice and its use.
  for (int attempt = 1;; ++attempt) {
    try {
      start(arguments);
      break;
    } catch (const std::runtime_error&) {
      if (attempt == 3) throw;
    }
  }
  join();
}

void TestCluster::start(const std::vector<std::string>& arguments) {
  nodes_.clear();
  ports_.clear();
  for (std::size_t i = 0; i < 2 * kMasters; ++i) {
    ports_.push_back(free_port());
    std::vector<std::string> words = {"--port",
                                      ports_.back(),
                                      "--bind",
                                      "127.0.0.1",
                                      "--cluster-enabled",
                                      "yes",
                                      "--cluster-port",
                                      free_port(),
                                      "--cluster-node-timeout",
                                      "1000",
                                      "--cluster-replica-validity-factor",
                                      "0",
                                      "--repl-diskless-sync-delay",
                                      "0"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    nodes_.push_back(std::make_unique<TestServer>(words));
  }
}

void TestCluster::join() {
  for (std::size_t i = 0; i < kMasters; ++i) {
    demand_ok(node(i), {"CLUSTER", "ADDSLOTSRANGE", std::to_string(i * kSlots / kMasters),
                        std::to_string((i + 1) * kSlots / kMasters - 1)});
  }
  const std::string bus = [&] {
    const std::string answer =
        std::string(text_of(*elements_of(*node(0).command({"CONFIG", "GET", "cluster-port"}), 2)[1]));
    return answer;
  }();
  for (std::size_t i = 0; i < size(); ++i) {
    demand_ok(node(i), {"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    if (i > 0) demand_ok(node(i), {"CLUSTER", "MEET", "127.0.0.1", ports_[0], bus});
  }
  for (std::size_t i = 0; i < size(); ++i) {
    wait_for("all nodes know one another", [&] {
      return node(i).answer({"CLUSTER", "INFO"}).find("cluster_known_nodes:6") != std::string::npos;
    });
  }
  for (std::size_t i = 0; i < kMasters; ++i) {
    const std::string master = id(i);
    wait_for("a replica has its master",
             [&] { return node(kMasters + i).answer({"CLUSTER", "REPLICATE", master}) == "OK"; });
  }
  for (std::size_t i = 0; i < kMasters; ++i) {
    wait_for("a replica is in step", [&] {
      return node(kMasters + i).answer({"INFO", "replication"}).find("master_link_status:up") !=
             std::string::npos;
    });
  }
  wait_until_whole();
}

void TestCluster::wait_until_whole() {
  for (const auto& server : nodes_) {
    if (server->process() < 0) continue;
    wait_for("all slots are served", [&] {
      return server->answer({"CLUSTER", "INFO"}).find("cluster_state:ok") != std::string::npos;
    });
  }
}

std::string TestCluster::url(const std::string& options) const {
  return "redis://127.0.0.1:" + ports_[0] + ",127.0.0.1:" + ports_[1] + "?cluster=true" +
         (options.empty() ? "" : "&" + options);
}

bool TestCluster::is_master(std::size_t index) {
  return node(index).process() > 0 &&
         node(index).answer({"INFO", "replication"}).find("role:master") != std::string::npos;
}

std::size_t TestCluster::master_of(const std::string& database) {
  std::size_t found = 0;
  wait_for("a slot has a master", [&] {
    std::size_t masters = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!is_master(i)) continue;
      // Who keeps the slot answers; others name the one that does.
      const std::string key = "{" + KeyNames::tag_text(KeyNames::tag_of(database)) + "}";
      if (node(i).command({"GET", key})->type == REDIS_REPLY_ERROR) continue;
      found = i;
      ++masters;
    }
    return masters == 1;
  });
  return found;
}

void TestCluster::begin_move(const std::string& database, std::size_t from, std::size_t to) {
  const std::string slot = slot_of(database);
  demand_ok(node(to), {"CLUSTER", "SETSLOT", slot, "IMPORTING", id(from)});
  demand_ok(node(from), {"CLUSTER", "SETSLOT", slot, "MIGRATING", id(to)});
}

void TestCluster::move_key(const std::string& key, std::size_t from, std::size_t to) {
  demand_ok(node(from), {"MIGRATE", "127.0.0.1", ports_[to], key, "0", "10000"});
}

void TestCluster::end_move(const std::string& database, std::size_t from, std::size_t to,
                           std::chrono::milliseconds pause) {
  const std::string slot = slot_of(database);
  while (true) {
    const Reply keys = node(from).command({"CLUSTER", "GETKEYSINSLOT", slot, "1"});
    if (keys->elements == 0) break;
    move_key(std::string(text_of(*elements_of(*keys, 1)[0])), from, to);
    std::this_thread::sleep_for(pause);
  }
  demand_ok(node(to), {"CLUSTER", "SETSLOT", slot, "NODE", id(to)});
  demand_ok(node(from), {"CLUSTER", "SETSLOT", slot, "NODE", id(to)});
}

void TestCluster::move_slot(const std::string& database, std::size_t from, std::size_t to,
                            std::chrono::milliseconds pause) {
  begin_move(database, from, to);
  end_move(database, from, to, pause);
}

}  // namespace holdfast::redis
