// Event streams over real sockets: Server-Sent Events and WebSockets.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "tests/server/client.h"
#include "tests/server/event_stream.h"
#include "tests/server/web_socket.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kWatch = "/v1/databases/db/watch";

TEST(Watch, TellsOfEveryChangeInItsRange) {
  TestServer server;
  server.store().database("db").put("first", "makes the database");
  EventStream stream(server.port(), std::string(kWatch) + "?prefix=a%2F");
  EXPECT_NE(stream.head().find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_EQ(stream.next().name, "position");
  server.store().database("db").put("b/1", "not in the range");
  server.store().database("db").put("a/1", "v");
  const StreamEvent event = stream.next();
  EXPECT_EQ(event.name, "change");
  EXPECT_EQ(event.data["keys"], json::parse(R"([{"key":"a/1"}])"));
  EXPECT_EQ(event.data["everything"], false);
  EXPECT_EQ(event.data["position"], event.id);
}

TEST(Watch, ResumesWithoutALossWhereItLeftOff) {
  TestServer server;
  Database database = server.store().database("db");
  database.put("first", "makes the database");
  std::string id;
  {
    EventStream stream(server.port(), kWatch);
    id = stream.next().id;
    database.put("k0", "v");
    id = stream.next().id;
  }
  for (int i = 1; i <= 20; ++i) database.put("k" + std::to_string(i), "v");
  for (const bool by_header : {false, true}) {
    EventStream stream(server.port(), by_header ? kWatch : kWatch + ("?since=" + id),
                       by_header ? HeaderList{{"Last-Event-ID", id}} : HeaderList{});
    EXPECT_EQ(stream.next().id, id);
    std::size_t keys = 0;
    while (keys < 20) keys += stream.next().data["keys"].size();
    EXPECT_EQ(keys, 20u);
  }
}

TEST(Watch, SaysThatAnythingMayHaveChangedWhenTheDatabaseComesIntoBeing) {
  TestServer server;
  EventStream stream(server.port(), kWatch);
  EXPECT_EQ(stream.next().id, "0000000000000000-0");
  server.store().database("db").put("k", "v");
  EXPECT_EQ(stream.next().data["everything"], true);
}

TEST(Watch, SaysThatAnythingMayHaveChangedInAnotherHistory) {
  TestServer server;
  server.store().database("db").put("k", "v");
  EventStream stream(server.port(), std::string(kWatch) + "?since=00000000000000aa-1");
  EXPECT_EQ(stream.next().name, "position");
  EXPECT_EQ(stream.next().data["everything"], true);
}

TEST(Watch, EndsItsThreadWhenTheClientGoes) {
  server::ServerConfig config;
  config.limits.streams = 2;
  TestServer server("memory:", config);
  for (int round = 0; round < 10; ++round) {
    auto first = std::make_unique<EventStream>(server.port(), kWatch);
    auto second = std::make_unique<EventStream>(server.port(), kWatch);
    EXPECT_EQ(second->next().name, "position");
    const HttpAnswer refused = server.get(kWatch);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.headers.at("retry-after"), "1");
    first.reset();
    second.reset();
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (server.get("/metrics").body.find("holdfast_http_streams 0") == std::string::npos &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(5ms);
    }
  }
}

TEST(Watch, EndsCleanlyWhenTheServerStops) {
  TestServer server;
  EventStream stream(server.port(), kWatch);
  EXPECT_EQ(stream.next().name, "position");
  EXPECT_TRUE(server.server().drain(10s));
  EXPECT_TRUE(stream.ends());
}

TEST(Watch, SurvivesClientsThatReadNothing) {
  server::ServerConfig config;
  config.limits.request_timeout = 300ms;
  TestServer server("memory:", config);
  Database database = server.store().database("db");
  database.put("first", "makes the database");
  HttpConnection deaf(server.port(), 4'096);
  deaf.send(request_text("GET", kWatch));
  deaf.receive_until("event: position");
  EXPECT_EQ(server.server().open_connections(), 1u);
  // Always the same keys, and as many as a hint holds, so that each event is as large as it can be.
  Batch batch;
  for (int k = 0; k < 60; ++k)
    batch.writes.push_back(Write::put(std::to_string(k) + std::string(2'000, 'k'), "v"));
  // A watch of our own says when a commit has reached the watchers, so that commits do not run ahead of them.
  Watch pace = database.watch(Range::all(), database.position());
  const auto until = std::chrono::steady_clock::now() + 20s;
  do {
    database.commit(batch);
    pace.next(std::chrono::steady_clock::now() + 1s);
  } while (server.server().open_connections() > 0 && std::chrono::steady_clock::now() < until);
  EXPECT_EQ(server.server().open_connections(), 0u);
}

TEST(WatchByWebSocket, TellsOfChangesAndResumes) {
  TestServer server;
  server.store().database("db").put("first", "makes the database");
  std::string id;
  {
    WebSocket socket(server.port(), kWatch);
    ASSERT_EQ(socket.answer().status, 101);
    EXPECT_EQ(socket.answer().headers.at("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(socket.receive_json()["event"], "position");
    server.store().database("db").put("k1", "v");
    const json change = socket.receive_json();
    EXPECT_EQ(change["event"], "change");
    EXPECT_EQ(change["data"]["keys"], json::parse(R"([{"key":"k1"}])"));
    id = change["id"];
  }
  server.store().database("db").put("k2", "v");
  WebSocket socket(server.port(), kWatch + ("?since=" + id));
  EXPECT_EQ(socket.receive_json()["id"], id);
  EXPECT_EQ(socket.receive_json()["data"]["keys"], json::parse(R"([{"key":"k2"}])"));
}

TEST(WatchByWebSocket, AnswersPingAndClose) {
  TestServer server;
  WebSocket socket(server.port(), kWatch);
  socket.receive();
  socket.send(9, "are you there");
  const auto pong = socket.receive();
  EXPECT_EQ(pong.first, 10);
  EXPECT_EQ(pong.second, "are you there");
  socket.send(8, std::string("\x03\xe8", 2));
  EXPECT_EQ(socket.receive().first, 8);
  EXPECT_TRUE(socket.is_closed_by_server());
}

TEST(WatchByWebSocket, EndsOnFramesThatAreNone) {
  TestServer server;
  for (const std::string& bytes : {std::string(14, '\xff'), std::string("\x81\x05hello"),
                                   std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14)}) {
    WebSocket socket(server.port(), kWatch);
    socket.receive();
    socket.send_raw(bytes);
    while (!socket.is_closed_by_server()) socket.receive();
  }
  EXPECT_EQ(server.get("/healthz").status, 200);
}

TEST(WatchByWebSocket, SaysGoodbyeWhenTheServerStops) {
  TestServer server;
  WebSocket socket(server.port(), kWatch);
  socket.receive();
  std::thread drainer([&] { EXPECT_TRUE(server.server().drain(10s)); });
  const auto close = socket.receive();
  EXPECT_EQ(close.first, 8);
  EXPECT_EQ(close.second.substr(0, 2), std::string("\x03\xe9", 2)) << "1001, going away";
  socket.send(8, std::string("\x03\xe9", 2));
  drainer.join();
}

TEST(WatchByWebSocket, IsRefusedLikeAnyRequest) {
  TestServer server;
  EXPECT_EQ(WebSocket(server.port(), std::string(kWatch) + "?since=x").answer().status, 400);
  EXPECT_EQ(WebSocket(server.port(), kWatch, {{"Origin", "https://evil.example"}}).answer().status, 403);
  EXPECT_EQ(WebSocket(server.port(), "/healthz").answer().status, 200) << "which no upgrade is offered for";
}

}  // namespace
}  // namespace holdfast::testing_support
