// A real Redis server of a test's own, on a socket in a folder of its own: it is killed, restarted and
// reconfigured without disturbing anybody.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "backends/redis/connection.h"

namespace holdfast::redis {

class TestServer {
 public:
  /// Starts it with these arguments besides where it is.
  explicit TestServer(std::vector<std::string> arguments = {"--appendonly", "no"});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/socket"; }
  /// The URL of a store on it, with these options behind it: "prefix=a:&connections=2".
  std::string url(const std::string& options = "") const;
  pid_t process() const { return process_; }

  /// Waits until it answers.
  void start();
  /// As a power cut of the process would: kill -9.
  void kill();
  /// Orderly.
  void stop();

  /// What a command answers, in a connection of its own; error replies too.
  Reply command(const std::vector<std::string>& words);
  /// The answer as text.
  std::string answer(const std::vector<std::string>& words) { return std::string(text_of(*command(words))); }
  /// The number behind `field:` of INFO.
  std::int64_t info_number(const std::string& field);

 private:
  void end_with(int signal);

  const std::vector<std::string> arguments_;
  std::string folder_;
  pid_t process_ = -1;
};

/// Makes the user "app", password "p w", with what docs/backends/redis.md says a store needs, and `more`.
void set_least_user(TestServer& server, const std::vector<std::string>& more = {});

}  // namespace holdfast::redis
