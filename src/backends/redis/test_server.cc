#include "backends/redis/test_server.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace holdfast::redis {
namespace {

std::string new_folder() {
  static std::atomic<int> count{0};
  static const unsigned kRun = std::random_device{}();
  const auto folder = std::filesystem::temp_directory_path() /
                      ("holdfast_redis_" + std::to_string(getpid()) + "_" + std::to_string(kRun % 100'000) +
                       "_" + std::to_string(count++));
  std::filesystem::create_directories(folder);
  return folder.string();
}

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};

}  // namespace

TestServer::TestServer(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)), folder_(new_folder()) {
  start();
}

TestServer::~TestServer() {
  if (process_ > 0) end_with(SIGKILL);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string TestServer::url(const std::string& options) const {
  return "redis://" + socket() + (options.empty() ? "" : "?" + options);
}

void TestServer::start() {
  std::vector<std::string> words = {
      "redis-server", "--port", "0",         "--unixsocket",   socket(),      "--dir", folder_,
      "--save",       "",       "--logfile", folder_ + "/log", "--daemonize", "no"};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  if (posix_spawnp(&process_, "redis-server", nullptr, nullptr, pointers.data(), environ) != 0) {
    throw std::runtime_error("redis-server is not there; scripts/setup test");
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    try {
      const Reply reply = command({"PING"});
      if (text_of(*reply) == "PONG" || text_of(*reply).starts_with("NOAUTH")) return;
    } catch (const std::runtime_error&) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  throw std::runtime_error("redis-server does not start; see " + folder_ + "/log");
}

void TestServer::end_with(int signal) {
  ::kill(process_, signal);
  ::kill(process_, SIGCONT);
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  std::error_code ignored;
  std::filesystem::remove(socket(), ignored);
}

void TestServer::kill() { end_with(SIGKILL); }
void TestServer::stop() { end_with(SIGTERM); }

Reply TestServer::command(const std::vector<std::string>& words) {
  const std::unique_ptr<redisContext, FreeContext> context(redisConnectUnix(socket().c_str()));
  if (!context || context->err != 0) throw std::runtime_error("the test's server cannot be reached");
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  Reply reply(static_cast<redisReply*>(
      redisCommandArgv(context.get(), static_cast<int>(words.size()), texts.data(), sizes.data())));
  if (!reply) throw std::runtime_error("the test's server closed the connection");
  return reply;
}

void set_least_user(TestServer& server, const std::vector<std::string>& more) {
  std::vector<std::string> words = {
      "ACL",          "SETUSER",         "app",           "reset",       "on",
      ">p w",         "~hf:*",           "resetchannels", "&hf:*",       "-@all",
      "+auth",        "+select",         "+info",         "+config|get", "+function|load",
      "+fcall",       "+hmget",          "+hget",         "+hset",       "+hdel",
      "+zadd",        "+zrem",           "+zcard",        "+zrange",     "+zrangebyscore",
      "+zrangebylex", "+zrevrangebylex", "+xadd",         "+xrange",     "+xrevrange",
      "+xtrim",       "+unlink",         "+spublish",     "+ssubscribe", "+sunsubscribe",
      "+wait"};
  words.insert(words.end(), more.begin(), more.end());
  const std::string answer = server.answer(words);
  if (answer != "OK") throw std::runtime_error("ACL SETUSER: " + answer);
}

std::int64_t TestServer::info_number(const std::string& field) {
  const std::string info = answer({"INFO"});
  const std::size_t at = info.find("\n" + field + ":");
  return at == std::string::npos ? -1 : std::stoll(info.substr(at + field.size() + 2));
}

}  // namespace holdfast::redis
