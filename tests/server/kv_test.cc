// The service kv over real sockets.
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kKey = "/v1/databases/db/kv/a/key";

TEST(KvRoutes, KeepADocumentsTextAndTellItFromBytes) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", kKey, "{ \"b\": 1.10, \"a\": 12345678901234567890123 }", kJson).status,
            200);
  HttpAnswer got = server.get(kKey);
  EXPECT_EQ(got.body, "{\"b\":1.10,\"a\":12345678901234567890123}");
  EXPECT_EQ(got.headers.at("content-type"), "application/json");
  EXPECT_EQ(server.request("PUT", kKey, "\xff raw").status, 200);
  got = server.get(kKey);
  EXPECT_EQ(got.body, "\xff raw");
  EXPECT_EQ(got.headers.at("content-type"), "application/octet-stream");
  EXPECT_EQ(server.request("PUT", kKey, "{", kJson).status, 400);
}

TEST(KvRoutes, SetUnderConditionsAndExpire) {
  TestServer server;
  HeaderList if_absent = kJson;
  if_absent.emplace_back("If-None-Match", "*");
  EXPECT_EQ(server.request("PUT", kKey, "1", if_absent).status, 200);
  EXPECT_EQ(server.request("PUT", kKey, "2", if_absent).status, 412);
  HeaderList if_match = kJson;
  if_match.emplace_back("If-Match", server.get(kKey).headers.at("etag"));
  EXPECT_EQ(server.request("PUT", kKey, "3", if_match).status, 200);
  EXPECT_EQ(server.request("PUT", kKey, "4", if_match).status, 412);
  EXPECT_EQ(server.request("PUT", std::string(kKey) + "?ttl_ms=3600000", "5", kJson).status, 200);
  EXPECT_TRUE(server.get(kKey).headers.contains("holdfast-expires-at-ms"));
  EXPECT_EQ(server.post(kKey, {{"ttl_ms", nullptr}}).status, 200);
  EXPECT_FALSE(server.get(kKey).headers.contains("holdfast-expires-at-ms"));
  EXPECT_EQ(server.request("DELETE", kKey).json(), json({{"erased", true}}));
  EXPECT_EQ(server.request("DELETE", kKey).json(), json({{"erased", false}}));
  EXPECT_EQ(server.get(kKey).status, 404);
  EXPECT_EQ(server.post(kKey, {{"ttl_ms", 1'000}}).status, 404);
}

TEST(KvRoutes, LoseNoIncrementOfManyClients) {
  TestServer server;
  std::vector<std::thread> clients;
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&] {
      for (int i = 0; i < 10; ++i) EXPECT_EQ(server.post(kKey, {{"increment", 2}}).status, 200);
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.get(kKey).body, "320");
  EXPECT_EQ(server.post(kKey, {{"increment", -320}}).json(), json({{"value", 0}}));
  EXPECT_EQ(server.post(kKey, {{"increment", 1.5}}).status, 400);
  EXPECT_EQ(server.post(kKey, {{"increment", 1}, {"ttl_ms", 1}}).status, 400);
}

TEST(KvRoutes, SetGetAndListMany) {
  TestServer server;
  const std::string body =
      R"({"entries": [{"key": "a", "value": 1.50}, {"key_base64": "/w==", "bytes_base64": "AAE="}, {"key": "b", "value": [1, {"x": "]"}]}]})";
  EXPECT_EQ(server.request("POST", "/v1/databases/db/kv", body, kJson).status, 200);
  EXPECT_EQ(server.get("/v1/databases/db/kv/a").body, "1.50");
  EXPECT_EQ(server.get("/v1/databases/db/kv/b").body, R"([1,{"x":"]"}])");
  const json many = server.post("/v1/databases/db/kv-get", {{"keys", {"b", "none", "a"}}}).json();
  EXPECT_EQ(many["items"][0]["value"], json::parse(R"([1,{"x":"]"}])"));
  EXPECT_TRUE(many["items"][1].is_null());
  const json first = server.get("/v1/databases/db/kv?limit=2").json();
  EXPECT_EQ(first["items"].size(), 2u);
  const json second =
      server.get("/v1/databases/db/kv?limit=2&cursor=" + first["cursor"].get<std::string>()).json();
  EXPECT_EQ(second["items"][0]["key_base64"], "/w==");
  EXPECT_EQ(second["items"][0]["bytes_base64"], "AAE=");
  EXPECT_FALSE(second.contains("cursor"));
  EXPECT_EQ(server.get("/v1/databases/db/kv?cursor=AAAA").status, 400);
  EXPECT_EQ(server.post("/v1/databases/db/kv", {{"entries", {{{"key", "c"}}}}}).status, 400);
}

TEST(KvRoutes, TakeAValueThatDoesNotFitAnEntry) {
  TestServer server;
  const std::string large = "\"" + std::string(5'000'000, 'x') + "\"";
  EXPECT_EQ(server.request("PUT", kKey, large, kJson).status, 200);
  EXPECT_EQ(server.get(kKey).body, large);
}

TEST(KvRoutes, GetManyEndsWhenTheAnswerIsLargeAndSaysWhatIsLeft) {
  TestServer server;
  const std::string large = "\"" + std::string(3'000'000, 'x') + "\"";
  json keys = json::array();
  for (int i = 0; i < 7; ++i) {
    keys.push_back(std::to_string(i));
    server.request("PUT", "/v1/databases/db/kv/" + std::to_string(i), large, kJson);
  }
  const json first = server.post("/v1/databases/db/kv-get", {{"keys", keys}}).json();
  EXPECT_EQ(first["items"].size(), 3u);
  EXPECT_EQ(first["left"], 4);
  keys.erase(keys.begin(), keys.begin() + 3);
  EXPECT_EQ(server.post("/v1/databases/db/kv-get", {{"keys", keys}}).json()["left"], 1);
}

}  // namespace
}  // namespace holdfast::testing_support
