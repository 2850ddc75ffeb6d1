// Commits that no thread of the server waits for, on a store whose commits a test can hold back.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "engine/scripted_backend.h"
#include "server/http/http_server.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using namespace std::chrono_literals;

constexpr const char* kKnown = "/v1/databases/db/entries/known";

std::string entry(int i) { return "/v1/databases/db/entries/k" + std::to_string(i); }

class Commits : public testing::Test {
 protected:
  /// `before_read` is there before the server, whose own threads read, too.
  explicit Commits(server::ServerConfig config = {},
                   std::function<void(const ReadRequest&)> before_read = nullptr) {
    auto scripted = std::make_unique<ScriptedBackend>(Environment{}.completed());
    backend = scripted.get();
    backend->before_read = std::move(before_read);
    StoreOptions options;
    options.sweeper = false;
    server::OpenStore opened;
    opened.store = Store::open(std::move(scripted), options);
    opened.metrics = std::make_shared<Metrics>();
    server.emplace(std::move(opened), config);
    database().put("known", "");
  }
  ~Commits() override {
    if (server) backend->release();
  }

  Database database() { return server->store().database("db"); }
  /// As many connections, each with a PUT that is under way. Only one of them is in the call that is held.
  std::vector<std::unique_ptr<HttpConnection>> hold_puts(int count) {
    const std::size_t before = backend->calls().size();
    backend->hold();
    std::vector<std::unique_ptr<HttpConnection>> connections;
    for (int i = 0; i < count; ++i) {
      connections.push_back(std::make_unique<HttpConnection>(server->port()));
      connections.back()->send(request_text("PUT", entry(i), std::to_string(i)));
      if (i == 0) backend->wait_for_calls(before + 1);
    }
    return connections;
  }

  /// Has somebody else change an entry before each of the next `count` commits.
  void overtake(int count, const std::string& key = "known", const std::string& value = "other") {
    for (int i = 0; i < count; ++i) {
      backend->script([this, key, value](ScriptedBackend& scripted, std::span<Group> groups) {
        Group other;
        other.database = "db";
        other.session = {5, 5};
        other.number = ++overtakers_;
        other.history = groups[0].history;
        other.now_ms = groups[0].now_ms;
        other.batches.push_back({{}, {Write::put(key, value)}});
        scripted.inner().commit({&other, 1});
        EXPECT_FALSE(other.error);
        scripted.inner().commit(groups);
      });
    }
  }

  ScriptedBackend* backend = nullptr;
  std::optional<TestServer> server;

 private:
  std::uint64_t overtakers_ = 0;
};

class CommitsOfOneWorker : public Commits {
 protected:
  static server::ServerConfig config() {
    server::ServerConfig config;
    config.worker_threads = 1;
    return config;
  }
  CommitsOfOneWorker() : Commits(config()) {}

  /// On a connection of its own, without waiting for the answer.
  void send(const std::string& method, const std::string& target, const std::string& body,
            const HeaderList& headers = kJson) {
    sent_.push_back(std::make_unique<HttpConnection>(server->port()));
    sent_.back()->send(request_text(method, target, body, headers));
  }
  /// Of all that was sent while the backend held commits back: the worker answers others meanwhile.
  void release_and_expect_success() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(server->get("/v1/databases/db/entries").status, 200) << "the worker is free";
    }
    backend->release();
    for (auto& connection : sent_) {
      const HttpAnswer answer = connection->receive();
      EXPECT_EQ(answer.status, 200) << answer.body;
    }
  }

 private:
  std::vector<std::unique_ptr<HttpConnection>> sent_;
};

TEST_F(CommitsOfOneWorker, ManyRequestsAreUnderWayAndShareAGroup) {
  auto connections = hold_puts(20);
  // Answered by the one worker while all of them wait.
  EXPECT_EQ(server->get("/v1/databases/db/entries").status, 200);
  EXPECT_EQ(server->get(entry(0)).status, 404);
  std::this_thread::sleep_for(50ms);
  backend->release();
  for (auto& connection : connections) EXPECT_EQ(connection->receive().status, 200);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(server->get(entry(i)).body, std::to_string(i));
  EXPECT_LE(backend->calls().size(), 5u);
}

TEST_F(CommitsOfOneWorker, AreMadeByEveryRouteThatNeedsNoRead) {
  backend->hold();
  send("PUT", entry(1), "v", {});
  send("PUT", entry(2), "v", {{"If-None-Match", "*"}});
  send("DELETE", kKnown, "", {{"If-Match", "*"}});
  send("POST", "/v1/databases/db/commit", R"({"writes":[{"type":"put","key":"b","value":"v"}]})", kJson);
  send("POST", "/v1/databases/db/events/s", "1", kJson);
  release_and_expect_success();
  EXPECT_FALSE(database().get("known"));
  EXPECT_TRUE(database().get("b"));
}

TEST_F(CommitsOfOneWorker, OfKvAndRecordsOccupyTheWorkerOnlyWhileTheyRead) {
  const std::string kv = "/v1/databases/db/kv";
  const std::string records = "/v1/databases/db/records";
  server->request("PUT", kv + "/gone", "1", kJson);
  server->request("PUT", records + "/gone", "1", kJson);
  backend->hold();
  send("PUT", kv + "/a", "1");
  send("POST", kv + "/n", R"({"increment":2})");
  send("DELETE", kv + "/gone", "");
  send("POST", kv, R"({"entries":[{"key":"b","value":3}]})");
  send("PUT", records + "/a", "4");
  send("DELETE", records + "/gone", "");
  send("POST", records, R"({"records":[{"key":"b","value":5}]})");
  release_and_expect_success();
  EXPECT_EQ(server->get(kv + "/a").body, "1");
  EXPECT_EQ(server->get(kv + "/n").body, "2");
  EXPECT_EQ(server->get(kv + "/b").body, "3");
  EXPECT_EQ(server->get(kv + "/gone").status, 404);
  EXPECT_EQ(server->get(records + "/a").body, "4");
  EXPECT_EQ(server->get(records + "/b").body, "5");
  EXPECT_EQ(server->get(records + "/gone").status, 404);
}

TEST_F(CommitsOfOneWorker, OfTablesAndConsumersOccupyTheWorkerOnlyWhileTheyRead) {
  const std::string tables = "/v1/databases/db/tables";
  const std::string records = tables + "/t/records";
  const std::string consumers = "/v1/databases/db/events/s/consumers";
  const std::string dictionaries = "/v1/databases/db/dictionaries";
  const std::string names = R"({"deflate":{"name":"n"}})";
  for (const char* key : {"/gone", "/gone_too"}) {
    EXPECT_EQ(server->request("PUT", records + key, "1", kJson).status, 200);
  }
  EXPECT_EQ(server->request("PUT", dictionaries + "/gone", names, kJson).status, 200);
  EXPECT_EQ(server->request("POST", consumers + "/gone", R"({"holds":true})", kJson).status, 200);
  backend->hold();
  send("PUT", tables + "/empty", "");
  send("PUT", records + "/a", "1");
  HeaderList if_absent = kJson;
  if_absent.emplace_back("If-None-Match", "*");
  send("PUT", records + "/b", "2", if_absent);
  send("POST", records, R"({"records":[{"key":"c","value":3}]})");
  send("DELETE", records + "/gone", "");
  send("DELETE", records + "/gone_too", "", {{"If-Match", "\"1\""}});
  send("PUT", dictionaries + "/short", names);
  send("DELETE", dictionaries + "/gone", "");
  send("POST", consumers + "/c", R"({"holds":true})");
  send("DELETE", consumers + "/gone", "");
  send("PUT", "/v1/databases/db/events/s/retention", R"({"max_count":5})");
  release_and_expect_success();
  EXPECT_EQ(server->get(tables).json()["items"].size(), 2u);
  EXPECT_EQ(server->get(records + "/a").body, "1");
  EXPECT_EQ(server->get(records + "/b").body, "2");
  EXPECT_EQ(server->get(records + "/c").body, "3");
  EXPECT_EQ(server->get(records + "/gone").status, 404);
  EXPECT_EQ(server->get(records + "/gone_too").status, 404);
  EXPECT_EQ(server->get(dictionaries + "/short").status, 200);
  EXPECT_EQ(server->get(dictionaries + "/gone").status, 404);
  EXPECT_EQ(server->get(consumers + "/c").json()["holds"], true);
  EXPECT_EQ(server->get(consumers + "/gone").status, 404);
  EXPECT_EQ(server->get("/v1/databases/db/events/s/retention").json()["max_count"], 5);
}

TEST_F(Commits, ThatLoseAgainstOthersAreMadeAgainOnWhatIsThereThen) {
  overtake(3, "kv/n", "10");
  const HttpAnswer sum = server->request("POST", "/v1/databases/db/kv/n", R"({"increment":1})", kJson);
  EXPECT_EQ(sum.json()["value"], 11) << sum.body;
  overtake(3, "kv/n", "20");
  EXPECT_EQ(server->request("PUT", "/v1/databases/db/kv/n", "1", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(server->request("PUT", "/v1/databases/db/kv/n", "30", kJson).status, 200);
  EXPECT_EQ(server->get("/v1/databases/db/kv/n").body, "30");
}

TEST_F(Commits, ADrainWaitsForThem) {
  // The one that is in the call is certain to have been read.
  const auto connection = std::move(hold_puts(1).front());
  EXPECT_FALSE(server->server().drain(50ms));
  backend->release();
  const HttpAnswer answer = connection->receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(connection->is_closed_by_server());
  EXPECT_TRUE(server->server().drain(10s));
}

TEST_F(Commits, AreMadeAlsoForClientsThatGoMeanwhile) {
  auto connections = hold_puts(3);
  server->get("/healthz");
  connections.clear();
  backend->release();
  for (int i = 0; i < 3; ++i) {
    while (!database().get("k" + std::to_string(i))) std::this_thread::yield();
  }
  EXPECT_EQ(server->get("/healthz").status, 200);
}

TEST_F(Commits, AreWaitedForByTheEndOfTheServer) {
  auto connections = hold_puts(3);
  std::thread end([&] { server.reset(); });
  EXPECT_TRUE(connections[1]->is_closed_by_server());
  backend->release();
  end.join();
}

class CommitsOfHastyRequests : public Commits {
 protected:
  static server::ServerConfig config() {
    server::ServerConfig config;
    config.limits.request_timeout = 300ms;
    return config;
  }
  CommitsOfHastyRequests() : Commits(config()) {}
};

TEST_F(CommitsOfHastyRequests, AreAnsweredAtTheDeadlineOfTheRequestWhateverTheStoreDoes) {
  auto connections = hold_puts(2);
  const HttpAnswer sent = connections[0]->receive();
  EXPECT_EQ(sent.code(), "timeout");
  EXPECT_EQ(sent.json()["error"]["retry"], "unknown_outcome");
  const HttpAnswer queued = connections[1]->receive();
  EXPECT_EQ(queued.code(), "timeout");
  EXPECT_EQ(queued.json()["error"]["retry"], "backoff");
  backend->release();
  EXPECT_EQ(connections[1]->request("PUT", entry(7), "v").status, 200) << "the connection goes on";
}

TEST_F(Commits, OfWhateverVersionIsThereGoOnWhenItChangesMeanwhile) {
  overtake(3);
  const HttpAnswer answer = server->request("PUT", kKnown, "mine", {{"If-Match", "*"}});
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(database().get("known")->value, "mine");
  overtake(100);
  const HttpAnswer refused = server->request("PUT", kKnown, "mine", {{"If-Match", "*"}});
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "conflict");
}

class CommitsOfOneIoThread : public Commits {
 protected:
  /// Holds the second read of the entry "known".
  struct HeldRead {
    std::atomic<int> reads = 0;
    std::latch has_begun{1};
    std::latch may_go_on{1};

    void operator()(const ReadRequest& request) {
      const bool is_of_known = !request.gets.empty() && request.gets[0] == "known";
      if (!is_of_known || ++reads != 2) return;
      has_begun.count_down();
      may_go_on.wait();
    }
  };

  static server::ServerConfig config() {
    server::ServerConfig config;
    config.io_threads = 1;
    return config;
  }
  CommitsOfOneIoThread() : CommitsOfOneIoThread(std::make_shared<HeldRead>()) {}
  explicit CommitsOfOneIoThread(const std::shared_ptr<HeldRead>& read)
      : Commits(config(), [read](const ReadRequest& request) { (*read)(request); }), held_read(read) {}

  const std::shared_ptr<HeldRead> held_read;
};

TEST_F(CommitsOfOneIoThread, ThatReadAgainDoSoOnAWorker) {
  overtake(1);
  HttpConnection connection(server->port());
  connection.send(request_text("PUT", kKnown, "mine", {{"If-Match", "*"}}));
  held_read->has_begun.wait();
  EXPECT_EQ(server->get("/healthz").status, 200);
  held_read->may_go_on.count_down();
  EXPECT_EQ(connection.receive().status, 200);
}

TEST_F(Commits, ThatTheStoreRefusesAreAnsweredWithItsError) {
  backend->script(fail_with(Error(Code::unavailable, "frozen")));
  const HttpAnswer answer = server->request("PUT", entry(1), "v");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "unavailable");
  const std::string key(3'000, 'k');
  EXPECT_EQ(server->request("PUT", "/v1/databases/db/entries/" + key, "v").status, 400);
  EXPECT_EQ(server->request("PUT", "/v1/databases/db/entries/!pin", "v").status, 400);
}

/// Answers each request as the test says.
class LaterHandler final : public server::Handler {
 public:
  explicit LaterHandler(std::function<void(server::Respond)> later) : later_(std::move(later)) {}
  server::Plan plan(const server::Request&) noexcept override {
    server::Plan plan;
    plan.label = "later";
    plan.run = [this](server::Request&) {
      server::Response response;
      response.later = later_;
      return response;
    };
    return plan;
  }
  server::Response refusal(int status, View message, View) noexcept override {
    server::Response response;
    response.status = status;
    response.body = message;
    return response;
  }
  void finished(const server::Exchange&) noexcept override { finished_.count_down(); }
  /// A client has the last byte of its answer before the server says that the exchange is over.
  void wait_for_all_finished() { finished_.wait(); }

  static constexpr int kRequests = 10;

 private:
  std::function<void(server::Respond)> later_;
  std::latch finished_{kRequests};
};

TEST(AnswersThatComeLater, AreGivenByAnyThread) {
  std::vector<std::thread> threads;
  LaterHandler handler([&](const server::Respond& respond) {
    threads.emplace_back([respond] {
      respond([] {
        server::Response response;
        response.body = "here";
        return response;
      });
    });
  });
  server::HttpServer http({}, handler, {});
  HttpConnection connection(http.port());
  for (int i = 0; i < LaterHandler::kRequests; ++i) EXPECT_EQ(connection.request("GET", "/").body, "here");
  for (std::thread& thread : threads) thread.join();
  handler.wait_for_all_finished();
}

TEST(AnswersThatComeLater, AreErrorsIfTheyAreForgotten) {
  LaterHandler handler([](const server::Respond&) {});
  server::HttpServer http({}, handler, {});
  EXPECT_EQ(HttpConnection(http.port()).request("GET", "/").status, 500);
}

}  // namespace
}  // namespace holdfast::testing_support
