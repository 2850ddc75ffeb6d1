// The HTTP core over real sockets: what is no HTTP, what is too much of it, and what comes too slowly.
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEntry = "/v1/databases/db/entries/key";

TEST(Http, KeepsAConnectionForManyRequests) {
  TestServer server;
  HttpConnection connection(server.port());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(connection.request("PUT", kEntry, std::to_string(i)).status, 200);
    EXPECT_EQ(connection.request("GET", kEntry).body, std::to_string(i));
  }
  EXPECT_EQ(server.server().open_connections(), 1u);
}

TEST(Http, AnswersPipelinedRequestsInTheirOrder) {
  TestServer server;
  HttpConnection connection(server.port());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += request_text("PUT", "/v1/databases/db/entries/k" + std::to_string(i), std::to_string(i));
  }
  for (int i = 0; i < 50; ++i) all += request_text("GET", "/v1/databases/db/entries/k" + std::to_string(i));
  connection.send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(connection.receive().status, 200);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(connection.receive().body, std::to_string(i));
}

TEST(Http, TakesARequestByteByByte) {
  TestServer server;
  HttpConnection connection(server.port());
  for (const char c : request_text("PUT", kEntry, "slow")) connection.send(std::string(1, c));
  EXPECT_EQ(connection.receive().status, 200);
  EXPECT_EQ(connection.request("GET", kEntry).body, "slow");
}

TEST(Http, TakesChunkedBodies) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(std::string("PUT ") + kEntry +
                  " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 200);
  EXPECT_EQ(connection.request("GET", kEntry).body, "hello, world");
}

TEST(Http, LeavesTheBodyOutForHead) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.request("PUT", kEntry, "12345");
  const HttpAnswer answer = connection.request("HEAD", kEntry);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-length"), "5");
  EXPECT_EQ(connection.request("GET", kEntry).body, "12345") << "the connection is still in step";
}

TEST(Http, SaysContinueToAClientThatWaitsForIt) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(std::string("PUT ") + kEntry +
                  " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 100);
  connection.send("hello");
  EXPECT_EQ(connection.receive().status, 200);
}

TEST(Http, RefusesWithoutContinueWhatItWouldRefuseAnyway) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(
      "PUT /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 404);
  EXPECT_TRUE(connection.is_closed_by_server());
}

TEST(Http, ServesHttp10) {
  TestServer server;
  {
    HttpConnection connection(server.port());
    connection.send("GET /healthz HTTP/1.0\r\n\r\n");
    EXPECT_EQ(connection.receive().status, 200);
    EXPECT_TRUE(connection.is_closed_by_server());
  }
  HttpConnection connection(server.port());
  for (int i = 0; i < 2; ++i) {
    connection.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(connection.receive().headers.at("connection"), "keep-alive");
  }
}

TEST(Http, ClosesWhenAskedTo) {
  TestServer server;
  HttpConnection connection(server.port());
  EXPECT_EQ(connection.request("GET", "/healthz", "", {{"Connection", "close"}}).headers.at("connection"),
            "close");
  EXPECT_TRUE(connection.is_closed_by_server());
}

TEST(Http, GivesEachRequestAnIdOrKeepsTheClients) {
  TestServer server;
  HttpConnection connection(server.port());
  const std::string first = connection.request("GET", "/healthz").headers.at("x-request-id");
  const std::string second = connection.request("GET", "/healthz").headers.at("x-request-id");
  EXPECT_EQ(first.size(), 16u);
  EXPECT_NE(first, second);
  EXPECT_EQ(
      connection.request("GET", "/healthz", "", {{"X-Request-Id", "mine-1"}}).headers.at("x-request-id"),
      "mine-1");
  EXPECT_NE(
      connection.request("GET", "/healthz", "", {{"X-Request-Id", "a b<c>"}}).headers.at("x-request-id"),
      "a b<c>");
  const HttpAnswer missing = connection.request("GET", "/nowhere", "", {{"X-Request-Id", "mine-2"}});
  EXPECT_EQ(missing.json().at("error").at("request_id"), "mine-2");
}

class NoHttp : public testing::TestWithParam<std::pair<const char*, int>> {};

TEST_P(NoHttp, IsRefusedWithAStatusAndTheConnectionCloses) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(GetParam().first);
  connection.finish_sending();
  const HttpAnswer answer = connection.receive();
  EXPECT_EQ(answer.status, GetParam().second) << answer.body;
  EXPECT_FALSE(answer.code().empty());
  EXPECT_TRUE(connection.is_closed_by_server());
  EXPECT_EQ(server.get("/healthz").status, 200) << "the server goes on";
}

INSTANTIATE_TEST_SUITE_P(
    Requests, NoHttp,
    testing::Values(
        std::pair{"nonsense\r\n\r\n", 400}, std::pair{"GET / HTTP/2.0\r\n\r\n", 400},
        std::pair{"\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n", 400},
        std::pair{"GET /healthz HTTP/1.1\r\n\r\n", 400},
        std::pair{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
        std::pair{
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            400},
        std::pair{"PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  400},
        std::pair{"PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                  400},
        std::pair{"PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                  "99999999999999999999\r\n\r\n",
                  400},
        std::pair{
            "PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
            501},
        std::pair{"PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                  "chunked\r\n\r\nzz\r\n",
                  400},
        std::pair{"PUT /v1/databases/d/entries/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: "
                  "magic\r\n\r\n",
                  417},
        std::pair{"GET http://elsewhere/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400},
        std::pair{"CONNECT elsewhere:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405}));

TEST(HttpLimits, RefuseAHeadThatIsTooLarge) {
  server::ServerConfig config;
  config.limits.header_bytes = 2'048;
  TestServer server("memory:", config);
  EXPECT_EQ(server.get("/healthz", {{"X-Long", std::string(4'000, 'x')}}).status, 431);
  HttpConnection connection(server.port());
  connection.send("GET /" + std::string(100'000, 'x'));
  EXPECT_EQ(connection.receive().status, 431);
}

TEST(HttpLimits, RefuseABodyThatIsTooLargeBeforeItIsRead) {
  TestServer server;
  HttpConnection announced(server.port());
  announced.send(std::string("PUT ") + kEntry +
                 " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n");
  const HttpAnswer answer = announced.receive();
  EXPECT_EQ(answer.status, 413);
  EXPECT_NE(answer.message().find("1048576"), std::string::npos);

  HttpConnection chunked(server.port());
  chunked.send(std::string("PUT ") + kEntry +
               " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (int i = 0; i < 17; ++i) chunked.send(chunk);
  EXPECT_EQ(chunked.receive().status, 413);
  EXPECT_EQ(server.request("PUT", kEntry, std::string(1'048'576, 'x')).status, 200);
}

TEST(HttpLimits, HoldForTheMemoryOfAllBodiesTogether) {
  server::ServerConfig config;
  config.limits.buffered_bytes = 1'500'000;
  TestServer server("memory:", config);
  HttpConnection first(server.port());
  first.send(std::string("PUT ") + kEntry +
             " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
  // Its memory is taken before the client is told to go on.
  EXPECT_EQ(first.receive().status, 100);
  const HttpAnswer second = server.request("PUT", kEntry, std::string(1'000'000, 'y'));
  EXPECT_EQ(second.status, 503);
  EXPECT_EQ(second.code(), "unavailable");
  first.send(std::string(1'000'000, 'x'));
  EXPECT_EQ(first.receive().status, 200);
  EXPECT_EQ(server.request("PUT", kEntry, std::string(1'000'000, 'y')).status, 200);
}

TEST(HttpLimits, GiveTheSlotOfAnIdleConnectionToANewOne) {
  server::ServerConfig config;
  config.io_threads = 1;
  config.limits.connections = 2;
  TestServer server("memory:", config);
  HttpConnection oldest(server.port());
  EXPECT_EQ(oldest.request("GET", "/healthz").status, 200);
  HttpConnection second(server.port());
  EXPECT_EQ(second.request("GET", "/healthz").status, 200);
  HttpConnection third(server.port());
  EXPECT_EQ(third.request("GET", "/healthz").status, 200);
  EXPECT_TRUE(oldest.is_closed_by_server());
  EXPECT_EQ(second.request("GET", "/healthz").status, 200);
}

TEST(HttpLimits, TurnConnectionsAwayWhenAllAreBusy) {
  server::ServerConfig config;
  config.limits.connections = 1;
  TestServer server("memory:", config);
  HttpConnection busy(server.port());
  busy.send("GET /healthz HTTP/1.1\r\n");
  HttpConnection refused(server.port());
  EXPECT_TRUE(refused.is_closed_by_server());
  busy.send("Host: localhost\r\n\r\n");
  EXPECT_EQ(busy.receive().status, 200);
}

server::ServerConfig impatient() {
  server::ServerConfig config;
  config.limits.request_timeout = 300ms;
  config.limits.idle_timeout = 300ms;
  return config;
}

TEST(SlowClients, AreClosedWhenTheyAskNothing) {
  TestServer server("memory:", impatient());
  HttpConnection connection(server.port());
  EXPECT_EQ(connection.request("GET", "/healthz").status, 200);
  EXPECT_TRUE(connection.is_closed_by_server());
}

TEST(SlowClients, AreToldWhenAHeadDoesNotCome) {
  TestServer server("memory:", impatient());
  HttpConnection connection(server.port());
  connection.send("GET /healthz HTTP/1.1\r\nX-Slow: ");
  EXPECT_EQ(connection.receive().status, 408);
  EXPECT_TRUE(connection.is_closed_by_server());
}

TEST(SlowClients, AreToldWhenABodyDoesNotComeHoweverItDribbles) {
  TestServer server("memory:", impatient());
  HttpConnection connection(server.port());
  connection.send(std::string("PUT ") + kEntry +
                  " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
  std::thread dribble([&] {
    for (int i = 0; i < 100 && connection.try_send("x") == 1; ++i) std::this_thread::sleep_for(20ms);
  });
  EXPECT_EQ(connection.receive().status, 408);
  dribble.join();
}

TEST(SlowClients, WhoDoNotReadAreCutAndHoldNobody) {
  TestServer server("memory:", impatient());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(
        server.request("PUT", "/v1/databases/db/entries/k" + std::to_string(i), std::string(1'000'000, 'x'))
            .status,
        200);
  }
  std::vector<std::unique_ptr<HttpConnection>> deaf;
  for (int i = 0; i < 8; ++i) {
    deaf.push_back(std::make_unique<HttpConnection>(server.port(), 4'096));
    deaf.back()->send(request_text("GET", "/v1/databases/db/entries?limit=1000"));
  }
  EXPECT_EQ(server.get("/healthz").status, 200);
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (server.server().open_connections() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(server.server().open_connections(), 0u);
}

TEST(Drain, ClosesIdleConnectionsAndAcceptsNoMore) {
  TestServer server;
  HttpConnection idle(server.port());
  EXPECT_EQ(idle.request("GET", "/healthz").status, 200);
  EXPECT_TRUE(server.server().drain(10s));
  EXPECT_TRUE(idle.is_closed_by_server());
  EXPECT_THROW(HttpConnection(server.port()), std::runtime_error);
}

TEST(Drain, LetsARequestThatHasBegunFinish) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(std::string("PUT ") + kEntry + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n" +
                  "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 100);
  std::thread drainer([&] { EXPECT_TRUE(server.server().drain(10s)); });
  connection.send("hello");
  const HttpAnswer answer = connection.receive();
  drainer.join();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(server.store().database("db").get("key")->value, "hello");
}

TEST(Drain, GivesUpWhenItsTimeIsOver) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(std::string("PUT ") + kEntry + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n" +
                  "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 100);
  EXPECT_FALSE(server.server().drain(50ms));
  server.server().cut();
  EXPECT_TRUE(connection.is_closed_by_server());
}

TEST(HttpServer, RefusesToListenWhereItMustNot) {
  const auto code_of = [](const std::string& listen) {
    server::ServerConfig config;
    config.listen = listen;
    const server::OpenStore opened = server::open_store("memory:", {});
    try {
      const server::Server server(config, {}, opened, {}, nullptr);
    } catch (const Error& error) {
      return std::string(name(error.code())) + ": " + error.what();
    }
    return std::string("listens");
  };
  EXPECT_EQ(code_of("127.0.0.1:0"), "listens");
  EXPECT_NE(code_of("0.0.0.0:0").find("loopback only"), std::string::npos);
  EXPECT_NE(code_of("[::]:0").find("loopback only"), std::string::npos);
  TestServer taken;
  EXPECT_NE(code_of("127.0.0.1:" + std::to_string(taken.port())).find("already_exists"), std::string::npos);
}

TEST(HttpLimits, HoldForTheMemoryOfLargeAnswersTogether) {
  server::ServerConfig config;
  config.limits.buffered_bytes = 30'000'000;
  TestServer server("memory:", config);
  const std::string target = "/v1/databases/db/kv/large";
  EXPECT_EQ(server.request("PUT", target, Bytes(20'000'000, 'x')).status, 200);
  HttpAnswer answer;
  {
    // So small that the answer cannot be sent until somebody reads it.
    HttpConnection slow(server.port(), 4'096);
    slow.send(request_text("GET", target));
    slow.receive_until("\r\n\r\n");
    answer = server.get(target);
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.code(), "unavailable");
    EXPECT_EQ(server.get("/v1/databases/db/digest").status, 200) << "small answers are not counted";
    slow.receive_bytes(20'000'000);
  }
  for (int i = 0; i < 10'000 && answer.status != 200; ++i) answer = server.get(target);
  EXPECT_EQ(answer.status, 200) << "the memory of an answer that was sent is free again";
}

}  // namespace
}  // namespace holdfast::testing_support
