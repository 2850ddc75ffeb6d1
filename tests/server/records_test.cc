// The service records over real sockets.
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

const HeaderList kJson = {{"Content-Type", "application/json"}};
constexpr const char* kRecord = "/v1/databases/db/records/users/ada";

TEST(RecordRoutes, CountVersionsAndKeepTheText) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", kRecord, R"({"age": 36.0})", kJson).json(), json({{"version", 1}}));
  EXPECT_EQ(server.request("PUT", kRecord, R"({"age": 37.0})", kJson).headers.at("etag"), "\"2\"");
  const HttpAnswer got = server.get(kRecord);
  EXPECT_EQ(got.body, R"({"age":37.0})");
  EXPECT_EQ(got.headers.at("etag"), "\"2\"");
  EXPECT_TRUE(got.headers.contains("holdfast-created-at-ms"));
  EXPECT_EQ(server.request("DELETE", kRecord).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kRecord).status, 404);
}

TEST(RecordRoutes, PutAndEraseUnderConditions) {
  TestServer server;
  const auto put = [&](const std::string& field, const std::string& value) {
    HeaderList headers = kJson;
    headers.emplace_back(field, value);
    return server.request("PUT", kRecord, "1", headers).status;
  };
  EXPECT_EQ(put("If-Match", "\"1\""), 412);
  EXPECT_EQ(put("If-None-Match", "*"), 200);
  EXPECT_EQ(put("If-None-Match", "*"), 412);
  EXPECT_EQ(put("If-Match", "\"1\""), 200);
  EXPECT_EQ(put("If-Match", "\"1\""), 412);
  EXPECT_EQ(put("If-Match", "1"), 400);
  EXPECT_EQ(server.request("DELETE", kRecord, "", {{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(server.request("DELETE", kRecord, "", {{"If-Match", "\"2\""}}).status, 200);
}

TEST(RecordRoutes, ListByPrefixAndFilter) {
  TestServer server;
  json records = json::array();
  for (int i = 0; i < 30; ++i) {
    records.push_back(
        {{"key", "u/" + std::to_string(100 + i)}, {"value", {{"age", i % 3}, {"at", {{"city", "x"}}}}}});
  }
  EXPECT_EQ(server.post("/v1/databases/db/records", {{"records", records}}).json(), json({{"put", 30}}));
  std::size_t found = 0;
  std::string cursor;
  do {
    const json page = server
                          .get("/v1/databases/db/records?prefix=u%2F&path=%2Fage&equals=1&limit=3" +
                               (cursor.empty() ? "" : "&cursor=" + cursor))
                          .json();
    for (const json& item : page["items"]) EXPECT_EQ(item["value"]["age"], 1);
    found += page["items"].size();
    cursor = page.value("cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(found, 10u);
  EXPECT_EQ(server.get("/v1/databases/db/records?path=%2Fat%2Fcity&equals=%22x%22").json()["items"].size(),
            30u);
  EXPECT_EQ(server.get("/v1/databases/db/records?path=%2Fage%2Fno&equals=1").json()["items"].size(), 0u);
  server.request("PUT", "/v1/databases/db/records/list", "[1, 2]", kJson);
  EXPECT_EQ(server.get("/v1/databases/db/records?path=%2F1&equals=2").json()["items"].size(), 1u);
  for (const char* index : {"99999999999999999999999", "01", "-", "x"}) {
    EXPECT_EQ(
        server.get(std::string("/v1/databases/db/records?equals=2&path=%2F") + index).json()["items"].size(),
        0u);
  }
  EXPECT_EQ(server.get("/v1/databases/db/records?path=age&equals=1").status, 400);
  EXPECT_EQ(server.get("/v1/databases/db/records?path=%2Fage").status, 400);
  EXPECT_EQ(server.get("/v1/databases/db/records?path=%2Fage&equals=x").status, 400);
}

TEST(RecordRoutes, PutManyAllOrNothing) {
  TestServer server;
  const std::string wrong = R"({"records": [{"key": "a", "value": 1}, {"key": "", "value": 2}]})";
  EXPECT_EQ(server.request("POST", "/v1/databases/db/records", wrong, kJson).status, 400);
  EXPECT_EQ(server.get("/v1/databases/db/records").json()["items"].size(), 0u);
  const std::string right =
      R"({"records": [{"key": "a", "value": 1.50}, {"key": "b", "bytes_base64": "/w=="}]})";
  EXPECT_EQ(server.request("POST", "/v1/databases/db/records", right, kJson).status, 200);
  EXPECT_EQ(server.get("/v1/databases/db/records/a").body, "1.50");
  EXPECT_EQ(server.get("/v1/databases/db/records/b").body, "\xff");
}

TEST(RecordRoutes, LoseNoWriteOfManyWritersOnOneRecord) {
  TestServer server;
  server.request("PUT", kRecord, "0", kJson);
  std::vector<std::thread> writers;
  for (int w = 0; w < 16; ++w) {
    writers.emplace_back([&] {
      HttpConnection connection(server.port());
      for (int done = 0; done < 5;) {
        const HttpAnswer got = connection.request("GET", kRecord);
        HeaderList headers = kJson;
        headers.emplace_back("If-Match", got.headers.at("etag"));
        if (connection.request("PUT", kRecord, std::to_string(std::stoi(got.body) + 1), headers).status ==
            200)
          ++done;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(server.get(kRecord).body, "80");
}

}  // namespace
}  // namespace holdfast::testing_support
