// The service tables over real sockets.
#include <gtest/gtest.h>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kRecord = "/v1/databases/db/tables/users/records/anna";

TEST(TableRoutes, WriteReadAndErase) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", kRecord, R"({"age": 4.10})", kJson).json(), json({{"version", 1}}));
  EXPECT_EQ(server.request("PUT", kRecord, R"({"age": 4.20})", kJson).headers.at("etag"), "\"2\"");
  const HttpAnswer got = server.get(kRecord);
  EXPECT_EQ(got.body, R"({"age":4.20})");
  EXPECT_EQ(got.headers.at("etag"), "\"2\"");
  EXPECT_EQ(server.get("/v1/databases/db/tables").json()["items"], json::parse(R"([{"name":"users"}])"));
  EXPECT_EQ(server.get("/v1/databases/db/tables/users").json(), json({{"records", 1}}));
  const json page = server.get("/v1/databases/db/tables/users/records").json();
  EXPECT_EQ(page["items"][0]["key"], "anna");
  EXPECT_EQ(page["items"][0]["version"], 2);
  EXPECT_EQ(server.request("DELETE", kRecord).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kRecord).status, 404);
  EXPECT_EQ(server.request("DELETE", "/v1/databases/db/tables/users").status, 200);
  EXPECT_EQ(server.get("/v1/databases/db/tables").json()["items"].size(), 0u);
}

TEST(TableRoutes, WriteUnderConditionsAndExpiry) {
  TestServer server;
  HeaderList if_absent = kJson;
  if_absent.emplace_back("If-None-Match", "*");
  EXPECT_EQ(server.request("PUT", kRecord, "1", if_absent).status, 200);
  EXPECT_EQ(server.request("PUT", kRecord, "1", if_absent).status, 412);
  HeaderList if_match = kJson;
  if_match.emplace_back("If-Match", "\"1\"");
  EXPECT_EQ(server.request("PUT", kRecord, "2", if_match).status, 200);
  EXPECT_EQ(server.request("PUT", kRecord, "3", if_match).status, 412);
  EXPECT_EQ(server.request("DELETE", kRecord, "", {{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(server.request("PUT", std::string(kRecord) + "?expires_at_ms=1", "4", kJson).status, 200);
  EXPECT_EQ(server.get(kRecord).status, 404);
}

TEST(TableRoutes, RefuseWhatTablesDoNotTake) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", kRecord, "{", kJson).status, 400);
  EXPECT_EQ(server.request("PUT", kRecord, "raw bytes").status, 400);
  EXPECT_EQ(server.request("PUT", "/v1/databases/db/tables/..%2Fx/records/k", "1", kJson).status, 400);
  EXPECT_EQ(server.request("PUT", std::string(kRecord) + "?dictionary=none", "1", kJson).status, 400);
}

TEST(TableRoutes, KeepDictionaries) {
  TestServer server;
  const std::string dictionary = "/v1/databases/db/dictionaries/short";
  EXPECT_EQ(server.get(dictionary).status, 404);
  EXPECT_EQ(server.request("PUT", dictionary, R"({"deflate": {"name": "n", "age": "a"}})", kJson).status,
            200);
  EXPECT_EQ(
      server.request("PUT", std::string(kRecord) + "?dictionary=short", R"({"name": "Anna"})", kJson).status,
      200);
  EXPECT_EQ(server.get(kRecord).json(), json({{"name", "Anna"}}));
  EXPECT_EQ(server.get(dictionary).json(), json::parse(R"({"deflate":{"age":"a","name":"n"}})"));
  EXPECT_EQ(server.get("/v1/databases/db/dictionaries").json()["items"].size(), 1u);
  EXPECT_EQ(server.request("PUT", dictionary, R"({"deflate": {"a": "x", "b": "x"}})", kJson).status, 400);
  EXPECT_EQ(server.request("PUT", dictionary, R"({"deflate": 7})", kJson).status, 400);
  EXPECT_EQ(server.request("DELETE", dictionary).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(dictionary).status, 404);
}

TEST(TableRoutes, CleanUpWhatHasExpired) {
  TestServer server;
  for (const char* table : {"users", "carts"}) {
    const std::string record = "/v1/databases/db/tables/" + std::string(table) + "/records/";
    EXPECT_EQ(server.request("PUT", record + "gone?expires_at_ms=1", "1", kJson).status, 200);
    EXPECT_EQ(server.request("PUT", record + "here", "1", kJson).status, 200);
  }
  EXPECT_EQ(server.request("POST", "/v1/databases/db/tables/users/cleanup").json(), json({{"removed", 1}}));
  EXPECT_EQ(server.request("POST", "/v1/databases/db/tables-cleanup").json(), json({{"removed", 1}}));
  EXPECT_EQ(server.request("POST", "/v1/databases/db/tables-cleanup").json(), json({{"removed", 0}}));
  EXPECT_EQ(server.get("/v1/databases/db/tables/carts").json(), json({{"records", 1}}));
}

TEST(TableRoutes, WriteAndGetMany) {
  TestServer server;
  server.request("PUT", kRecord, "1", kJson);
  const std::string body = R"({"records": [{"key": "anna", "value": 2.50}, {"key": "ben", "value": [3]}]})";
  EXPECT_EQ(server.request("POST", "/v1/databases/db/tables/users/records", body, kJson).json(),
            json::parse(R"({"versions": [2, 1]})"));
  const HttpAnswer found =
      server.post("/v1/databases/db/tables/users/get", {{"keys", {"ben", "none", "anna"}}});
  EXPECT_EQ(found.json()["items"][0]["value"], json::array({3}));
  EXPECT_TRUE(found.json()["items"][1].is_null());
  EXPECT_NE(found.body.find("2.50"), std::string::npos) << found.body;
  const std::string wrong = R"({"records": [{"key": "cy", "value": 1}, {"key": "", "value": 2}]})";
  EXPECT_EQ(server.request("POST", "/v1/databases/db/tables/users/records", wrong, kJson).status, 400);
  EXPECT_EQ(server.get("/v1/databases/db/tables/users/records/cy").status, 404) << "all or nothing";
}

}  // namespace
}  // namespace holdfast::testing_support
