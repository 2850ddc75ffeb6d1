// The service events over real sockets.
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/client.h"
#include "tests/server/event_stream.h"
#include "tests/server/web_socket.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kStream = "/v1/databases/db/events/orders%2F1";

TEST(EventRoutes, AppendAndListInOrder) {
  TestServer server;
  const std::string first = server.request("POST", kStream, "{\"n\": 1.0}", kJson).json()["id"];
  const json ids = server
                       .request("POST", std::string(kStream) + "/batch",
                                R"({"events": [{"value": 2.0}, {"bytes_base64": "/w=="}]})", kJson)
                       .json()["ids"];
  EXPECT_LT(first, ids[0].get<std::string>());
  const HttpAnswer page = server.get(std::string(kStream) + "?limit=2");
  EXPECT_NE(page.body.find("{\"n\":1.0}"), std::string::npos) << page.body;
  EXPECT_EQ(page.json()["items"][1]["id"], ids[0]);
  const json rest =
      server.get(std::string(kStream) + "?limit=2&cursor=" + page.json()["cursor"].get<std::string>()).json();
  EXPECT_EQ(rest["items"][0]["bytes_base64"], "/w==");
  EXPECT_EQ(server.get(std::string(kStream) + "?reverse=true&limit=1").json()["items"][0]["id"], ids[1]);
  EXPECT_EQ(server.get(std::string(kStream) + "?after=" + first).json()["items"].size(), 2u);
  EXPECT_EQ(server.get(std::string(kStream) + "?since_ms=0").json()["items"].size(), 3u);
  EXPECT_EQ(server.get(std::string(kStream) + "?before_ms=1").json()["items"].size(), 0u);
  EXPECT_EQ(server.get(std::string(kStream) + "?before_ms=1&after=" + first).status, 400);
  EXPECT_EQ(server.get("/v1/databases/db/events").json()["items"][0]["name"], "orders/1");
  EXPECT_EQ(server.request("DELETE", kStream).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kStream).json()["items"].size(), 0u);
}

TEST(EventRoutes, SubscribeGivesWhatIsThereThenWhatComesAndResumes) {
  TestServer server;
  for (int i = 0; i < 5; ++i) server.request("POST", kStream, std::to_string(i), kJson);
  std::string last;
  {
    EventStream stream(server.port(), std::string(kStream) + "/subscribe");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(stream.next().data["value"], i);
    server.request("POST", kStream, "5", kJson);
    const StreamEvent event = stream.next();
    EXPECT_EQ(event.name, "event");
    EXPECT_EQ(event.data["value"], 5);
    last = event.id;
  }
  server.request("POST", kStream, "6", kJson);
  EventStream stream(server.port(), std::string(kStream) + "/subscribe", {{"Last-Event-ID", last}});
  EXPECT_EQ(stream.next().data["value"], 6);
  EXPECT_EQ(server.get(std::string(kStream) + "/subscribe?after=nonsense").status, 400);
}

TEST(EventsByWebSocket, SubscribeGivesWhatIsThereThenWhatComesAndResumes) {
  TestServer server;
  for (int i = 0; i < 5; ++i) server.request("POST", kStream, std::to_string(i), kJson);
  const std::string target = std::string(kStream) + "/subscribe";
  std::string last;
  {
    WebSocket socket(server.port(), target);
    ASSERT_EQ(socket.answer().status, 101) << socket.answer().body;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(socket.receive_json()["data"]["value"], i);
    server.request("POST", kStream, "5", kJson);
    const json event = socket.receive_json();
    EXPECT_EQ(event["event"], "event");
    EXPECT_EQ(event["data"]["value"], 5);
    last = event["id"];
  }
  server.request("POST", kStream, "6", kJson);
  // As a browser's script does it, which cannot set header fields, and as others do.
  WebSocket by_query(server.port(), target + "?after=" + last);
  WebSocket by_header(server.port(), target, {{"Last-Event-ID", last}});
  for (WebSocket* socket : {&by_query, &by_header}) EXPECT_EQ(socket->receive_json()["data"]["value"], 6);
  server.request("POST", kStream, "7", kJson);
  for (WebSocket* socket : {&by_query, &by_header}) EXPECT_EQ(socket->receive_json()["data"]["value"], 7);
  EXPECT_EQ(WebSocket(server.port(), target + "?after=nonsense").answer().status, 400);
}

TEST(EventRoutes, ManyAppendersLoseNothing) {
  TestServer server;
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      for (int i = 0; i < 25; ++i) EXPECT_EQ(server.request("POST", kStream, "1", kJson).status, 200);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.get(std::string(kStream) + "?limit=1000").json()["items"].size(), 200u);
}

TEST(EventRoutes, KeepThePlacesOfConsumers) {
  TestServer server;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i)
    ids.push_back(server.request("POST", kStream, std::to_string(i), kJson).json()["id"]);
  const std::string consumer = std::string(kStream) + "/consumers/mailer";
  EXPECT_EQ(server.get(consumer).status, 404);
  EXPECT_EQ(server.get(consumer + "/events").json()["items"].size(), 3u);
  EXPECT_EQ(server.post(consumer, {{"offset", ids[1]}, {"holds", true}}).json(), json({{"set", true}}));
  EXPECT_EQ(server.get(consumer + "/events").json()["items"].size(), 1u);
  const json state = server.get(consumer + "?lag=true").json();
  EXPECT_EQ(state, json({{"name", "mailer"}, {"offset", ids[1]}, {"holds", true}, {"lag", 1}}));
  EXPECT_EQ(server.post(consumer, {{"offset", ids[0]}}).json(), json({{"set", false}}));
  EXPECT_EQ(server.post(consumer, {{"offset", ids[0]}, {"backwards", true}}).json(), json({{"set", true}}));
  EXPECT_EQ(server.post(consumer, {{"offset", "x"}}).status, 400);
  EXPECT_EQ(server.post(consumer, json::object()).status, 400);
  EXPECT_EQ(server.get(std::string(kStream) + "/consumers").json()["items"].size(), 1u);
  EXPECT_EQ(server.request("DELETE", consumer).json(), json({{"erased", true}}));
}

TEST(EventRoutes, PruneByRetention) {
  TestServer server;
  for (int i = 0; i < 5; ++i) server.request("POST", kStream, std::to_string(i), kJson);
  EXPECT_EQ(server.get(std::string(kStream) + "/retention").json(), json::object());
  EXPECT_EQ(server.request("PUT", std::string(kStream) + "/retention", R"({"max_count": 2})", kJson).status,
            200);
  EXPECT_EQ(server.get(std::string(kStream) + "/retention").json(), json({{"max_count", 2}}));
  json pruned = server.request("POST", std::string(kStream) + "/prune").json();
  int oldest = 3;
  if (pruned["pruned"] == 0) {
    // The first round of the server's own pruner came in between; the next one is a minute away.
    for (int i = 5; i < 8; ++i) server.request("POST", kStream, std::to_string(i), kJson);
    pruned = server.request("POST", std::string(kStream) + "/prune").json();
    oldest = 6;
  }
  EXPECT_EQ(pruned, json({{"pruned", 3}}));
  EXPECT_EQ(server.get(kStream).json()["items"][0]["value"], oldest);
  EXPECT_EQ(server.request("PUT", std::string(kStream) + "/retention", "{}", kJson).status, 200);
  EXPECT_EQ(server.get(std::string(kStream) + "/retention").json(), json::object());
}

TEST(EventRoutes, PruneStreamsByThemselves) {
  server::ServerConfig config;
  config.prune_interval = std::chrono::milliseconds(1);
  TestServer server("memory:", config);
  for (int i = 0; i < 5; ++i) server.request("POST", kStream, std::to_string(i), kJson);
  server.request("PUT", std::string(kStream) + "/retention", R"({"max_count": 2})", kJson);
  std::size_t events = 5;
  for (int i = 0; i < 10'000 && events > 2; ++i) events = server.get(kStream).json()["items"].size();
  EXPECT_EQ(events, 2u);
}

}  // namespace
}  // namespace holdfast::testing_support
