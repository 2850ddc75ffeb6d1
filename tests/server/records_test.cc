// The service records over real sockets.
#include "holdfast/records.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

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
  const HttpAnswer no_json = server.get("/v1/databases/db/records?path=%2Fage&equals=x");
  EXPECT_EQ(no_json.status, 400);
  EXPECT_NE(no_json.message().find("\"equals\" is JSON"), std::string::npos) << no_json.body;
}

TEST(RecordRoutes, FilterDocumentsWithNumbersThatNoValueStandsFor) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", "/v1/databases/db/records/huge", R"({"age": 1e999})", kJson).status, 200);
  EXPECT_EQ(
      server.request("PUT", "/v1/databases/db/records/beside", R"({"n": 1e999, "age": 36.0})", kJson).status,
      200);
  const HttpAnswer answer = server.get("/v1/databases/db/records?path=%2Fage&equals=36");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(answer.body.find("beside"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.body.find("huge"), std::string::npos) << answer.body;
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

TEST(RecordRoutes, GetManyByTheirKeys) {
  TestServer server;
  server.request("PUT", kRecord, "1.50", kJson);
  const json found = server.post("/v1/databases/db/records-get", {{"keys", {"none", "users/ada"}}}).json();
  EXPECT_TRUE(found["items"][0].is_null());
  EXPECT_EQ(found["items"][1]["key"], "users/ada");
  EXPECT_EQ(found["items"][1]["version"], 1);
  EXPECT_FALSE(found.contains("left"));
}

TEST(RecordIndexRoutes, DeclareListAndDrop) {
  TestServer server;
  const std::string all = "/v1/databases/db/record-indexes";
  EXPECT_EQ(server.get(all).json(), json::parse(R"({"items": []})"));
  EXPECT_EQ(server.get(all + "/by_age").status, 404);
  const json declared = {{"name", "by_age"}, {"path", "/age"}, {"unique", false}, {"state", "ready"}};
  EXPECT_EQ(server.request("PUT", all + "/by_age", R"({"path": "/age"})", kJson).json(), declared);
  EXPECT_EQ(server.request("PUT", all + "/by_age", R"({"path": "/age"})", kJson).json(), declared);
  EXPECT_EQ(server.request("PUT", all + "/by_age", R"({"path": "/size"})", kJson).status, 409);
  EXPECT_EQ(server.request("PUT", all + "/wrong", R"({"path": "age"})", kJson).status, 400);
  EXPECT_EQ(server.request("PUT", all + "/wrong", R"({"path": "/age", "uniqe": true})", kJson).status, 400);
  EXPECT_EQ(server.get(all).json()["items"], json::array({declared}));
  EXPECT_EQ(server.get(all + "/by_age").json(), declared);
  EXPECT_EQ(server.request("DELETE", all + "/by_age").json(), json({{"dropped", true}}));
  EXPECT_EQ(server.request("DELETE", all + "/by_age").json(), json({{"dropped", false}}));
  EXPECT_EQ(server.get(all + "/by_age/records").status, 404);
}

TEST(RecordIndexRoutes, GoOnByThemselvesWithABuildThatTheLastServerLeft) {
  // As a server leaves it that is stopped before it has built anything.
  server::OpenStore opened = server::open_store("memory:", {});
  Records records(opened.store->database("db"));
  for (int i = 0; i < 1'000; ++i) records.put(std::to_string(i), json{{"age", i % 50}});
  opened.store->database("db").put(
      "records/indexes",
      R"({"next_id":2,"indexes":[{"id":1,"name":"by_age","path":"/age","unique":false,"state":"building"}]})");
  TestServer server(std::move(opened), {});
  const std::string index = "/v1/databases/db/record-indexes/by_age";
  while (server.get(index).json()["state"] != "ready") std::this_thread::yield();
  EXPECT_EQ(server.get(index + "/records?equals=7").json()["items"].size(), 20u);
}

TEST(RecordIndexRoutes, FindByEqualityRangeAndPrefixPageByPage) {
  TestServer server;
  const std::string index = "/v1/databases/db/record-indexes/by_age";
  const std::string names = "/v1/databases/db/record-indexes/by_name";
  json records = json::array();
  for (int i = 0; i < 300; ++i) {
    records.push_back({{"key", std::to_string(1'000 + i)},
                       {"value", {{"age", i % 30}, {"name", "name " + std::to_string(i)}}}});
  }
  // Half of them are there before the indexes are: those are built in the background.
  const auto put = [&](int begin) {
    json half = json::array();
    for (int i = begin; i < begin + 150; ++i) half.push_back(records[static_cast<std::size_t>(i)]);
    EXPECT_EQ(server.post("/v1/databases/db/records", {{"records", half}}).status, 200);
  };
  put(0);
  server.request("PUT", index, R"({"path": "/age"})", kJson);
  server.request("PUT", names, R"({"path": "/name", "unique": true})", kJson);
  put(150);
  for (const std::string& each : {index, names}) {
    for (int i = 0; i < 10'000 && server.get(each).json()["state"] == "building"; ++i) {
      std::this_thread::yield();
    }
    ASSERT_EQ(server.get(each).json()["state"], "ready");
  }
  EXPECT_EQ(server.get(index + "/records?equals=7").json()["items"].size(), 10u);
  EXPECT_EQ(server.get(index + "/records?equals=%227%22").json()["items"].size(), 0u)
      << "a string is no number";
  EXPECT_EQ(server.get(index + "/records?at_least=28&limit=1000").json()["items"].size(), 20u);
  EXPECT_EQ(server.get(index + "/records?above=28&limit=1000").json()["items"].size(), 10u);
  EXPECT_EQ(server.get(index + "/records?above=5&below=8&limit=1000").json()["items"].size(), 20u);
  EXPECT_EQ(server.get(index + "/records?above=5&at_most=8&limit=1000").json()["items"].size(), 30u);
  EXPECT_EQ(server.get(names + "/records?starts_with=name%2029&limit=1000").json()["items"].size(), 11u);
  std::vector<int> ages;
  std::string cursor;
  do {
    const json page =
        server.get(index + "/records?reverse=true&limit=70" + (cursor.empty() ? "" : "&cursor=" + cursor))
            .json();
    for (const json& item : page["items"]) ages.push_back(item["value"]["age"].get<int>());
    cursor = page.value("cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(ages.size(), 300u);
  EXPECT_TRUE(std::is_sorted(ages.rbegin(), ages.rend()));
  EXPECT_EQ(server.get(index + "/records?equals=x").status, 400);
  EXPECT_EQ(server.get(index + "/records?cursor=AAAA").status, 400);
  const HttpAnswer taken =
      server.request("PUT", "/v1/databases/db/records/new", R"({"name": "name 7"})", kJson);
  EXPECT_EQ(taken.status, 409);
  EXPECT_EQ(taken.code(), "already_exists");
}

}  // namespace
}  // namespace holdfast::testing_support
