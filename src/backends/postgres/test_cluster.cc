#include "backends/postgres/test_cluster.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;

/// Where initdb and postgres are: the newest of Debian's, or what is in the path.
std::string programs() {
  std::string newest;
  int newest_version = 0;
  std::error_code ignored;
  for (const auto& each : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int version = std::atoi(each.path().filename().c_str());
    if (version > newest_version && fs::exists(each.path() / "bin/initdb")) {
      newest_version = version;
      newest = each.path() / "bin/";
    }
  }
  return newest;
}

/// The user who may run PostgreSQL, which refuses to be root.
const passwd* server_user() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  if (user == nullptr) throw std::runtime_error("there is no user postgres; scripts/setup test");
  return user;
}

pid_t spawn(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const passwd* user = server_user();
  const uid_t uid = user == nullptr ? 0 : user->pw_uid;
  const gid_t gid = user == nullptr ? 0 : user->pw_gid;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child > 0) return child;
  // Only what is safe after the fork of a program with threads.
  setsid();
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(out, 1);
  dup2(out, 2);
  if (user != nullptr && (setgroups(0, nullptr) != 0 || setgid(gid) != 0 || setuid(uid) != 0)) _exit(126);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

/// Runs a program to its end.
void run(const std::vector<std::string>& words, const std::string& log) {
  const pid_t child = spawn(words, log);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error(words[0] + " failed; see " + log);
}

/// What stands behind the name of a process in /proc: its state and its parent; nothing if it is gone.
std::string state_of(const fs::path& process) {
  std::ifstream in(process / "stat");
  std::string line;
  std::getline(in, line);
  const std::size_t at = line.rfind(')');
  return at == std::string::npos ? "" : line.substr(at + 2);
}

bool is_dead(pid_t process) {
  const std::string state = state_of("/proc/" + std::to_string(process));
  return state.empty() || state[0] == 'Z';
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& each : fs::directory_iterator("/proc")) {
    const int process = std::atoi(each.path().filename().c_str());
    const std::string state = process > 0 ? state_of(each.path()) : "";
    if (state.size() > 2 && std::atoi(state.c_str() + 2) == parent) children.push_back(process);
  }
  return children;
}

std::string encoded_path(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '/' ? std::string("%2F") : std::string(1, c);
  return out;
}

struct Close {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

}  // namespace

void give_to_server_user(const std::string& path) {
  const passwd* user = server_user();
  if (user != nullptr && chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) {
    throw std::runtime_error("chown of " + path + " failed");
  }
}

/// A folder of the server's user, removed at the end.
class TestFolder {
 public:
  TestFolder() : path_(place() + "/holdfast-pg-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder");
    give_to_server_user(path_);
  }
  ~TestFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  /// In memory where there is enough of it: what survives a kill of processes survives it there too, and a
  /// disk that others use takes seconds for each cluster.
  static std::string place() {
    constexpr std::uintmax_t kEnoughBytes = 1ull << 30;
    std::error_code failed;
    const fs::space_info space = fs::space("/dev/shm", failed);
    const bool is_fit = !failed && space.available >= kEnoughBytes;
    return is_fit ? "/dev/shm" : fs::temp_directory_path().string();
  }

  std::string path_;
};

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "waited for a minute";
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TestCluster::TestCluster(const std::vector<std::string>& settings, int port)
    : folder_(std::make_unique<TestFolder>()), port_(port) {
  // Made once, since initdb takes longer than most tests.
  static const TestFolder kTemplate;
  static const bool kIsMade = [] {
    run({programs() + "initdb", "-D", kTemplate.path() + "/cluster", "-U", "holdfast", "--auth=trust",
         "--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"},
        kTemplate.path() + "/log");
    return true;
  }();
  if (kIsMade) run({"cp", "-a", kTemplate.path() + "/cluster", cluster()}, log());
  std::ofstream out(cluster() + "/postgresql.conf", std::ios::app);
  out << "listen_addresses = ''\nshared_buffers = 16MB\nmax_connections = 60\nwal_level = replica\n"
         "recovery_init_sync_method = syncfs\ndynamic_shared_memory_type = mmap\n";
  for (const std::string& setting : settings) out << setting << "\n";
  out.close();
  start();
}

TestCluster::TestCluster(Standby, const TestCluster& primary)
    : folder_(std::make_unique<TestFolder>()), port_(primary.port_) {
  run({programs() + "pg_basebackup", "-h", primary.folder(), "-p", std::to_string(primary.port_), "-U",
       "holdfast", "-D", cluster(), "-R", "-X", "stream", "-c", "fast", "--no-sync"},
      log());
  start();
}

TestCluster::~TestCluster() {
  if (process_ > 0) kill();
}

const std::string& TestCluster::folder() const { return folder_->path(); }

std::unique_ptr<TestCluster> TestCluster::standby() {
  std::unique_ptr<TestCluster> other(new TestCluster(Standby{}, *this));
  eventually([&] { return !sql("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").empty(); });
  return other;
}

std::string TestCluster::url_of(const std::vector<const TestCluster*>& servers, const std::string& options) {
  std::string hosts;
  for (const TestCluster* server : servers)
    hosts +=
        (hosts.empty() ? "" : ",") + encoded_path(server->folder()) + ":" + std::to_string(server->port_);
  return "postgres://holdfast@" + hosts + "/postgres" + (options.empty() ? "" : "?" + options);
}

std::string TestCluster::connection_text() const {
  return "host='" + folder() + "' port=" + std::to_string(port_) +
         " user=holdfast dbname=postgres connect_timeout=10";
}

void TestCluster::start() {
  process_ =
      spawn({programs() + "postgres", "-D", cluster(), "-k", folder(), "-p", std::to_string(port_)}, log());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (PQping(connection_text().c_str()) != PQPING_OK) {
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_ || std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("postgres does not start; see " + log());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void TestCluster::stop() {
  ::kill(process_, SIGINT);
  int status = 0;
  waitpid(process_, &status, 0);
  process_ = -1;
}

void TestCluster::kill() {
  // A parent that stands still starts no children meanwhile.
  ::kill(process_, SIGSTOP);
  const std::vector<pid_t> children = children_of(process_);
  ::kill(process_, SIGKILL);
  for (const pid_t child : children) ::kill(child, SIGKILL);
  int status = 0;
  waitpid(process_, &status, 0);
  process_ = -1;
  eventually([&] { return std::all_of(children.begin(), children.end(), is_dead); });
}

void TestCluster::promote() { sql("SELECT pg_promote()"); }

std::vector<std::string> TestCluster::sql(const std::string& text) const {
  const std::unique_ptr<PGconn, Close> connection(PQconnectdb(connection_text().c_str()));
  const std::unique_ptr<PGresult, Clear> result(PQexec(connection.get(), text.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(PQerrorMessage(connection.get()));
  }
  std::vector<std::string> values;
  for (int row = 0; row < PQntuples(result.get()); ++row)
    values.emplace_back(PQgetvalue(result.get(), row, 0));
  return values;
}

void TestCluster::configure(const std::string& name, const std::string& value) {
  sql("ALTER SYSTEM SET " + name + " = '" + value + "'");
  sql("SELECT pg_reload_conf()");
  eventually([&] { return sql("SELECT current_setting('" + name + "')").front() == value; });
}

TestPooler::TestPooler(const TestCluster& cluster) : folder_(std::make_unique<TestFolder>()) {
  configure(cluster);
  process_ = spawn({"pgbouncer", "-q", folder_->path() + "/pgbouncer.ini"}, folder_->path() + "/out");
  const std::string text = "host='" + folder_->path() + "' port=6432 user=holdfast dbname=postgres";
  eventually([&] { return PQping(text.c_str()) == PQPING_OK; });
}

TestPooler::~TestPooler() {
  ::kill(process_, SIGKILL);
  int status = 0;
  waitpid(process_, &status, 0);
}

void TestPooler::configure(const TestCluster& cluster) const {
  std::ofstream(folder_->path() + "/users") << "\"holdfast\" \"\"\n";
  // Reopened for every configuration, which is read whole.
  std::ofstream out(folder_->path() + "/pgbouncer.ini", std::ios::trunc);
  out << "[databases]\npostgres = host=" << cluster.folder() << " port=5432\n[pgbouncer]\nlisten_addr =\n"
      << "listen_port = 6432\nunix_socket_dir = " << folder_->path()
      << "\nauth_type = trust\nauth_file = " << folder_->path()
      << "/users\npool_mode = transaction\nlogfile = " << folder_->path() << "/log\n";
}

void TestPooler::lead_to(const TestCluster& cluster) {
  configure(cluster);
  ::kill(process_, SIGHUP);
}

std::string TestPooler::url(const std::string& options) const {
  return "postgres://holdfast@" + encoded_path(folder_->path()) + ":6432/postgres?prepared_statements=false" +
         (options.empty() ? "" : "&" + options);
}

}  // namespace holdfast::postgres
