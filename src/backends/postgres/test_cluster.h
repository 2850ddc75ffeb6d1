// A real PostgreSQL server of a test's own, on a socket in a folder of its own: it is killed, restarted and
// promoted without disturbing anybody.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::postgres {

class TestFolder;

class TestCluster {
 public:
  /// Makes a cluster with these lines in its configuration, and starts it. All clusters of a program have the
  /// same system identifier.
  explicit TestCluster(const std::vector<std::string>& settings = {}, int port = 5432);
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  /// A streaming standby of this server, started and connected to it.
  std::unique_ptr<TestCluster> standby();

  /// The URL of a store on it. Of several servers it is the primary that is meant.
  std::string url(const std::string& options = "") const { return url_of({this}, options); }
  static std::string url_of(const std::vector<const TestCluster*>& servers, const std::string& options = "");

  /// Waits until it answers.
  void start();
  /// Orderly, but without waiting for clients.
  void stop();
  /// As a power cut would: kill -9 of all its processes at once.
  void kill();
  /// A standby becomes a primary.
  void promote();

  /// The first column of every row, as text. Throws if the server refuses.
  std::vector<std::string> sql(const std::string& text) const;
  const std::string& folder() const;
  /// Changes a setting of the running server.
  void configure(const std::string& name, const std::string& value);

 private:
  struct Standby {};
  TestCluster(Standby, const TestCluster& primary);
  std::string cluster() const { return folder() + "/cluster"; }
  std::string log() const { return folder() + "/log"; }
  std::string connection_text() const;

  std::unique_ptr<TestFolder> folder_;
  const int port_ = 5432;
  pid_t process_ = -1;
};

/// A real PgBouncer in transaction mode in front of a cluster, or of another one later.
class TestPooler {
 public:
  explicit TestPooler(const TestCluster& cluster);
  ~TestPooler();
  TestPooler(const TestPooler&) = delete;
  TestPooler& operator=(const TestPooler&) = delete;

  std::string url(const std::string& options = "") const;
  /// Its clients keep their connections.
  void lead_to(const TestCluster& cluster);

 private:
  void configure(const TestCluster& cluster) const;

  std::unique_ptr<TestFolder> folder_;
  pid_t process_ = -1;
};

/// So that the server may read it: its user is not root.
void give_to_server_user(const std::string& path);

/// Waits until `condition()` is true; fails the test after a minute.
bool eventually(const std::function<bool()>& condition);

}  // namespace holdfast::postgres
