// The program, started and stopped as a user does it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>

#include "support/targets.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

std::string read_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// `holdfast serve` or `holdfast token` in a folder of its own, with an environment that holds nothing of
/// ours.
class Program {
 public:
  Program(const std::string& folder, std::vector<std::string> arguments,
          const std::vector<std::string>& variables = {})
      : folder_(folder) {
    std::array<int, 2> out{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(out[1], 1);
      const int log = ::open((folder + "/stderr").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
      ::dup2(log, 2);
      if (::chdir(folder.c_str()) != 0) ::_exit(99);
      arguments.insert(arguments.begin(), HOLDFAST_PROGRAM);
      std::vector<char*> words;
      for (std::string& argument : arguments) words.push_back(argument.data());
      words.push_back(nullptr);
      std::vector<std::string> copies = variables;
      std::vector<char*> environment;
      for (std::string& variable : copies) environment.push_back(variable.data());
      environment.push_back(nullptr);
      ::execve(HOLDFAST_PROGRAM, words.data(), environment.data());
      ::_exit(98);
    }
    ::close(out[1]);
    out_ = out[0];
  }
  ~Program() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    ::close(out_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// What it prints up to and with `mark`, or to its end.
  std::string read_until(const std::string& mark) {
    std::string text;
    char c = 0;
    while (text.find(mark) == std::string::npos && ::read(out_, &c, 1) == 1) text += c;
    return text;
  }
  std::uint16_t port() {
    greeting_ = read_until("/watch\n");
    const std::size_t at = greeting_.find("127.0.0.1:");
    if (at == std::string::npos) throw std::runtime_error("it does not listen: " + greeting_ + errors());
    return static_cast<std::uint16_t>(std::stoi(greeting_.substr(at + 10)));
  }
  const std::string& greeting() const { return greeting_; }
  std::string errors() const { return read_text(folder_ + "/stderr"); }
  void signal(int number) const { ::kill(process_, number); }
  int wait() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1'000 + WTERMSIG(status);
  }

 private:
  std::string folder_;
  pid_t process_ = -1;
  int out_ = -1;
  std::string greeting_;
};

HttpAnswer ask(std::uint16_t port, const std::string& method, const std::string& target,
               const std::string& body = "", const HeaderList& headers = {}) {
  HttpConnection connection(port);
  return connection.request(method, target, body, headers);
}

TEST(Serve, StoresWhatItIsGivenAndStopsCleanly) {
  const TemporaryFolder folder;
  for (const int number : {SIGTERM, SIGINT}) {
    Program program(folder.path(), {"serve", "--store", "sqlite:store.db", "--listen", "127.0.0.1:0"});
    const std::uint16_t port = program.port();
    EXPECT_NE(program.greeting().find("loopback only"), std::string::npos);
    if (number == SIGTERM) {
      EXPECT_EQ(ask(port, "PUT", "/v1/databases/demo/entries/k", "v").status, 200);
    } else {
      EXPECT_EQ(ask(port, "GET", "/v1/databases/demo/entries/k").body, "v") << "it was kept";
    }
    program.signal(number);
    EXPECT_EQ(program.wait(), 0);
    std::istringstream lines(program.errors());
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const auto json = nlohmann::json::parse(line);
      EXPECT_TRUE(json.contains("time") && json.contains("level") && json.contains("message")) << line;
      EXPECT_EQ(line.find("/demo/"), std::string::npos) << "no names in the log";
    }
    EXPECT_GE(count, 4);
  }
}

TEST(Serve, FinishesTheRequestInFlightAndASecondSignalCutsIt) {
  const TemporaryFolder folder;
  for (const bool is_patient : {true, false}) {
    Program program(folder.path(), {"serve", "--store=memory:", "--listen=127.0.0.1:0"});
    HttpConnection connection(program.port());
    connection.send(
        "PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: "
        "100-continue\r\n\r\n");
    EXPECT_EQ(connection.receive().status, 100);
    program.signal(SIGTERM);
    if (is_patient) {
      connection.send("v");
      EXPECT_EQ(connection.receive().status, 200);
      EXPECT_EQ(program.wait(), 0);
    } else {
      // Signals of one kind that wait are one; so another kind.
      program.signal(SIGINT);
      EXPECT_TRUE(connection.is_closed_by_server());
      EXPECT_EQ(program.wait(), 1);
    }
  }
}

TEST(Serve, TakesFlagsBeforeVariablesBeforeTheFile) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/holdfast.toml")
      << "store = \"sqlite:file.db\"\n[server]\nlisten = \"127.0.0.1:0\"\n";
  {
    Program program(folder.path(), {"serve"});
    program.port();
    EXPECT_NE(program.greeting().find("sqlite:file.db"), std::string::npos) << program.greeting();
  }
  {
    Program program(folder.path(), {"serve"}, {"HOLDFAST_STORE=sqlite:variable.db"});
    program.port();
    EXPECT_NE(program.greeting().find("sqlite:variable.db"), std::string::npos);
  }
  Program program(folder.path(), {"serve", "--store", "sqlite:flag.db"},
                  {"HOLDFAST_STORE=sqlite:variable.db"});
  program.port();
  EXPECT_NE(program.greeting().find("sqlite:flag.db"), std::string::npos);
}

TEST(Serve, KeepsDatabasesWhereTheFileBindsThem) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/holdfast.toml") << "store = \"sqlite:rest.db\"\n"
                                                     "[databases.jobs]\nstore = \"sqlite:jobs.db\"\n"
                                                     "[server]\nlisten = \"127.0.0.1:0\"\n";
  Program program(folder.path(), {"serve"});
  const std::uint16_t port = program.port();
  EXPECT_NE(program.greeting().find("sqlite:rest.db and 1 bound database at"), std::string::npos)
      << program.greeting();
  for (const char* name : {"jobs", "other"}) {
    EXPECT_EQ(ask(port, "PUT", std::string("/v1/databases/") + name + "/entries/k", "v").status, 200);
  }
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
  const auto databases = [&](const char* file) {
    return Store::open("sqlite://" + folder.path() + "/" + file)->databases();
  };
  EXPECT_EQ(databases("jobs.db"), (std::vector<Bytes>{"jobs"}));
  EXPECT_EQ(databases("rest.db"), (std::vector<Bytes>{"other"}));
}

TEST(Serve, MakesTokensAndReadsThemAgainOnHangup) {
  const TemporaryFolder folder;
  const auto make = [&](const std::string& name) {
    Program program(folder.path(), {"token", name, "write:*"});
    const std::string line = program.read_until("\n");
    EXPECT_EQ(program.wait(), 0);
    const std::string said = program.errors();
    return std::pair(line,
                     said.substr(said.find("hf_"), said.find('\n', said.find("hf_")) - said.find("hf_")));
  };
  const auto [first_line, first] = make("first");
  const auto [second_line, second] = make("second");
  std::ofstream(folder.path() + "/tokens") << first_line;
  Program program(folder.path(),
                  {"serve", "--store", "memory:", "--listen", "127.0.0.1:0", "--token-file", "tokens"});
  const std::uint16_t port = program.port();
  const auto status = [&](const std::string& secret) {
    return ask(port, "GET", "/v1/databases", "", {{"Authorization", "Bearer " + secret}}).status;
  };
  EXPECT_EQ(status(first), 200);
  EXPECT_EQ(status(second), 401);
  std::ofstream(folder.path() + "/tokens") << second_line;
  program.signal(SIGHUP);
  for (int i = 0; i < 1'000 && status(second) != 200; ++i) ::usleep(5'000);
  EXPECT_EQ(status(second), 200);
  EXPECT_EQ(status(first), 401);
}

TEST(Serve, RefusesWhatItCannotServeAndSaysWhy) {
  const TemporaryFolder folder;
  const auto refusal = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "serve");
    Program program(folder.path(), std::move(arguments));
    program.read_until("\n\n\n");
    EXPECT_GE(program.wait(), 2);
    return program.errors();
  };
  std::ofstream(folder.path() + "/wrong.toml") << "[server]\nlisten = \"127.0.0.1:0\"\nworker_thread = 7\n";
  EXPECT_NE(refusal({"--config", "wrong.toml"})
                .find("line 3: unknown key \"worker_thread\" of [server]; did you mean "
                      "\"worker_threads\"?"),
            std::string::npos);
  EXPECT_NE(refusal({"--stor", "memory:"}).find("did you mean \"--store\""), std::string::npos);
  EXPECT_NE(refusal({"--store", "memry:"}).find("memory"), std::string::npos);
  EXPECT_NE(refusal({"--listen", "0.0.0.0:0", "--store", "memory:"}).find("loopback only"),
            std::string::npos);
  EXPECT_NE(refusal({"--token-file", "none", "--store", "memory:"}).find("none"), std::string::npos);
  EXPECT_NE(refusal({"--config", "none.toml"}).find("none.toml"), std::string::npos);
  EXPECT_NE(refusal({"--io-threads", "0"}).find("between 1 and 256"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::testing_support
