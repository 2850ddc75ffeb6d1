// A real cluster of a test's own: three masters with a replica each, on free ports of 127.0.0.1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/redis/test_server.h"

namespace holdfast::redis {

/// Of 127.0.0.1, a moment ago.
std::string free_port();

class TestCluster {
 public:
  static constexpr std::size_t kMasters = 3;

  /// Waits until it serves all slots and the replicas are in step. `arguments` go to every server.
  explicit TestCluster(std::vector<std::string> arguments = {"--appendonly", "no"});

  /// The URL of a store on it, naming the first two nodes, with these options behind it.
  std::string url(const std::string& options = "") const;
  /// Masters at first: 0 to 2; their replicas: 3 to 5, in the same order.
  TestServer& node(std::size_t index) { return *nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }
  std::string id(std::size_t index) { return node(index).answer({"CLUSTER", "MYID"}); }
  const std::string& port(std::size_t index) const { return ports_[index]; }
  /// The running master that has the slot of a database; waits until all running nodes agree.
  std::size_t master_of(const std::string& database);
  bool is_master(std::size_t index);
  /// Waits until every running node says that the cluster serves all slots.
  void wait_until_whole();
  /// The slot of a database begins to move: it is still `from` that has it, but keys may be on both sides.
  void begin_move(const std::string& database, std::size_t from, std::size_t to);
  void move_key(const std::string& key, std::size_t from, std::size_t to);
  /// Moves all keys that are left, and then the slot, `pause` between the steps.
  void end_move(const std::string& database, std::size_t from, std::size_t to,
                std::chrono::milliseconds pause = {});
  /// Moves the slot of a database with all of its keys, `pause` between the steps.
  void move_slot(const std::string& database, std::size_t from, std::size_t to,
                 std::chrono::milliseconds pause = {});

 private:
  void start(const std::vector<std::string>& arguments);
  void join();

  std::vector<std::string> ports_;
  std::vector<std::unique_ptr<TestServer>> nodes_;
};

}  // namespace holdfast::redis
