// The routes of the store itself, over real sockets: what they do, and what they say to wrong inputs.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "holdfast/limits.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kEntry = "/v1/databases/db/entries/key";

TEST(Entries, GiveBackTheBytesThatWerePut) {
  TestServer server;
  Bytes all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const HttpAnswer put = server.request("PUT", kEntry, all, {{"Content-Type", "image/png"}});
  EXPECT_EQ(put.status, 200);
  EXPECT_EQ(put.json(), json({{"version", 1}}));
  EXPECT_EQ(put.headers.at("etag"), "\"1\"");
  const HttpAnswer got = server.get(kEntry);
  EXPECT_EQ(got.body, all);
  EXPECT_EQ(got.headers.at("etag"), "\"1\"");
  EXPECT_EQ(server.request("PUT", kEntry, "").status, 200);
  EXPECT_EQ(server.get(kEntry).body, "");
}

TEST(Entries, TakeKeysOfAnyBytes) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", "/v1/databases/agent%2F42/entries/a/b%2Fc/%00%ff%20+", "v").status, 200);
  const Bytes key("a/b/c/\0\xff +", 10);
  EXPECT_EQ(server.store().database("agent/42").get(key)->value, "v");
  EXPECT_EQ(server.get("/v1/databases/agent%2F42/entries/a/b%2Fc/%00%ff%20+").body, "v");
  const json page = server.get("/v1/databases/agent%2F42/entries").json();
  EXPECT_EQ(page["items"][0]["key_base64"], "YS9iL2MvAP8gKw==");
  EXPECT_EQ(page["items"][0]["value"], "v");
}

TEST(Entries, AreNotFoundAfterTheyWereDeleted) {
  TestServer server;
  EXPECT_EQ(server.get(kEntry).status, 404);
  server.request("PUT", kEntry, "v");
  EXPECT_EQ(server.request("DELETE", kEntry).status, 200);
  const HttpAnswer gone = server.get(kEntry);
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.code(), "not_found");
  EXPECT_EQ(server.request("DELETE", kEntry).status, 200);
}

TEST(Entries, AreWrittenOnlyIfTheVersionMatches) {
  TestServer server;
  const auto put = [&](const HeaderList& headers) { return server.request("PUT", kEntry, "v", headers); };
  EXPECT_EQ(put({{"If-Match", "*"}}).status, 412);
  EXPECT_EQ(put({{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(put({{"If-None-Match", "*"}}).headers.at("etag"), "\"1\"");
  EXPECT_EQ(put({{"If-None-Match", "*"}}).code(), "conflict");
  EXPECT_EQ(put({{"If-Match", "\"1\""}}).headers.at("etag"), "\"2\"");
  EXPECT_EQ(put({{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(put({{"If-Match", "*"}}).headers.at("etag"), "\"3\"");
  EXPECT_EQ(put({{"If-Match", "3"}}).status, 400);
  EXPECT_EQ(put({{"If-Match", "\"x\""}}).status, 400);
  EXPECT_EQ(put({{"If-None-Match", "\"3\""}}).status, 400);
  EXPECT_EQ(server.request("DELETE", kEntry, "", {{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(server.request("DELETE", kEntry, "", {{"If-Match", "\"3\""}}).status, 200);
}

TEST(Entries, AreNotSentAgainToWhoHasThem) {
  TestServer server;
  server.request("PUT", kEntry, "v");
  HttpConnection connection(server.port());
  const HttpAnswer same = connection.request("GET", kEntry, "", {{"If-None-Match", "\"1\""}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(connection.request("GET", kEntry, "", {{"If-None-Match", "\"2\""}}).body, "v");
}

TEST(Entries, Expire) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", std::string(kEntry) + "?expires_at_ms=1", "v").status, 200);
  EXPECT_EQ(server.get(kEntry).status, 404);
  EXPECT_EQ(server.request("PUT", std::string(kEntry) + "?ttl_ms=3600000", "v").status, 200);
  EXPECT_GT(std::stoll(server.get(kEntry).headers.at("holdfast-expires-at-ms")), 1'700'000'000'000);
  EXPECT_EQ(server.request("PUT", std::string(kEntry) + "?ttl_ms=0", "v").status, 400);
  EXPECT_EQ(server.request("PUT", std::string(kEntry) + "?ttl_ms=9223372036854775807", "v").status, 400);
  EXPECT_EQ(server.request("PUT", std::string(kEntry) + "?ttl_ms=1&expires_at_ms=1", "v").status, 400);
}

TEST(Scan, PagesThroughARangeBothWays) {
  TestServer server;
  for (int i = 0; i < 25; ++i) {
    server.request("PUT", "/v1/databases/db/entries/p/" + std::to_string(100 + i), std::to_string(i));
  }
  server.request("PUT", "/v1/databases/db/entries/q", "other");
  for (const std::string direction : {"", "&reverse=true"}) {
    std::vector<std::string> keys;
    std::string cursor;
    do {
      const json page = server
                            .get("/v1/databases/db/entries?prefix=p%2F&limit=10" + direction +
                                 (cursor.empty() ? "" : "&cursor=" + cursor))
                            .json();
      for (const json& item : page["items"]) keys.push_back(item["key"]);
      cursor = page.value("cursor", "");
    } while (!cursor.empty());
    ASSERT_EQ(keys.size(), 25u);
    EXPECT_EQ(keys.front(), direction.empty() ? "p/100" : "p/124");
    EXPECT_TRUE(direction.empty() ? std::is_sorted(keys.begin(), keys.end())
                                  : std::is_sorted(keys.rbegin(), keys.rend()));
  }
  const json keys_only = server.get("/v1/databases/db/entries?begin=p%2F124&end=q&keys_only=true").json();
  EXPECT_EQ(keys_only["items"], json::parse(R"([{"key":"p/124","version":25}])"));
  EXPECT_EQ(server.get("/v1/databases/db/entries?begin=q&encoding=base64").json()["items"][0]["value_base64"],
            "b3RoZXI=");
}

TEST(GetMany, ReadsOneSnapshotInTheOrderOfTheKeys) {
  TestServer server;
  server.request("PUT", "/v1/databases/db/entries/a", "1");
  server.request("PUT", "/v1/databases/db/entries/b", "\xff");
  const HttpAnswer answer = server.post("/v1/databases/db/get", {{"keys", {"b", "missing", "a"}}});
  EXPECT_EQ(answer.json()["items"], json::parse(R"([{"key":"b","value_base64":"/w==","version":2},null,
                                                    {"key":"a","value":"1","version":1}])"));
  EXPECT_EQ(server.post("/v1/databases/db/get", {{"keys_base64", {"YQ=="}}}).json()["items"][0]["key"], "a");
}

TEST(Commit, WritesAllOrNothing) {
  TestServer server;
  const HttpAnswer first =
      server.post("/v1/databases/db/commit",
                  {{"checks", {{{"type", "absent"}, {"key", "a"}}}},
                   {"writes",
                    {{{"type", "put"}, {"key", "a"}, {"value", "1"}},
                     {{"type", "put"}, {"key_base64", "/w=="}, {"value_base64", "AA=="}},
                     {{"type", "put_stamped"}, {"prefix", "log/"}, {"suffix", "/x"}, {"value", "e"}}}}});
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.json()["seq"], 1);
  EXPECT_EQ(server.store().database("db").get("\xff")->value, Bytes(1, '\0'));
  EXPECT_EQ(server.store().database("db").get("log/0000000000000001/x")->value, "e");

  const HttpAnswer second = server.post(
      "/v1/databases/db/commit",
      {{"checks", {{{"type", "version"}, {"key", "a"}, {"version", 1}}, {{"type", "absent"}, {"key", "a"}}}},
       {"writes", {{{"type", "erase"}, {"key", "a"}}}}});
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.code(), "conflict");
  EXPECT_TRUE(second.json()["error"].contains("failed_check"));
  EXPECT_EQ(server.get("/v1/databases/db/entries/a").body, "1");
}

TEST(Commit, JudgesWhetherARangeIsUnchanged) {
  TestServer server;
  server.request("PUT", "/v1/databases/db/entries/p/1", "1");
  const json page = server.get("/v1/databases/db/entries?prefix=p%2F").json();
  const std::string position = page["position"];
  const json check = {{"type", "unchanged"},
                      {"prefix", "p/"},
                      {"since", std::stoull(position.substr(17))},
                      {"read_time_ms", page["read_time_ms"]}};
  const json body = {{"checks", {check}}, {"writes", {{{"type", "put"}, {"key", "p/2"}, {"value", "2"}}}}};
  EXPECT_EQ(server.post("/v1/databases/db/commit", body).status, 200);
  EXPECT_EQ(server.post("/v1/databases/db/commit", body).status, 409) << "it has just been changed";
}

TEST(Databases, AreListedLookedAtAndDropped) {
  TestServer server;
  for (const char* name : {"a", "b%2F1", "b%2F2"}) {
    server.request("PUT", std::string("/v1/databases/") + name + "/entries/key", "value");
  }
  EXPECT_EQ(server.get("/v1/databases").json()["items"],
            json::parse(R"([{"name":"a"},{"name":"b/1"},{"name":"b/2"}])"));
  EXPECT_EQ(server.get("/v1/databases?prefix=b%2F&limit=1").json()["items"],
            json::parse(R"([{"name":"b/1"}])"));
  const std::string cursor = server.get("/v1/databases?prefix=b%2F&limit=1").json()["cursor"];
  EXPECT_EQ(server.get("/v1/databases?prefix=b%2F&limit=1&cursor=" + cursor).json()["items"],
            json::parse(R"([{"name":"b/2"}])"));
  const json stat = server.get("/v1/databases/a?count=true").json();
  EXPECT_EQ(stat["commits"], 1);
  EXPECT_EQ(stat["entries"], 1);
  EXPECT_EQ(stat["size_bytes"], 8);
  EXPECT_EQ(server.request("DELETE", "/v1/databases/a").status, 200);
  EXPECT_EQ(server.request("DELETE", "/v1/databases/a").status, 404);
  EXPECT_EQ(server.get("/v1/databases/a").json()["commits"], 0);
}

TEST(Databases, WithEqualDataHaveEqualDigests) {
  TestServer server;
  for (const char* name : {"a", "b"}) {
    server.request("PUT", std::string("/v1/databases/") + name + "/entries/key", "value");
  }
  server.request("PUT", "/v1/databases/c/entries/key", "other");
  const auto digest = [&](const std::string& name) {
    return server.get("/v1/databases/" + name + "/digest").json()["digest"];
  };
  EXPECT_EQ(digest("a"), digest("b"));
  EXPECT_NE(digest("a"), digest("c"));
}

TEST(Changes, AreReadPageByPage) {
  TestServer server;
  for (int i = 0; i < 5; ++i) server.request("PUT", "/v1/databases/db/entries/k" + std::to_string(i), "v");
  server.request("DELETE", "/v1/databases/db/entries/k0");
  json page = server.get("/v1/databases/db/changes?limit=3").json();
  EXPECT_EQ(page["items"].size(), 3u);
  EXPECT_FALSE(page["caught_up"]);
  const std::string through = page["through"];
  page = server.get("/v1/databases/db/changes?since=" + through).json();
  EXPECT_TRUE(page["caught_up"]);
  EXPECT_EQ(page["items"].back()["key"], "k0");
  EXPECT_TRUE(page["items"].back()["erased"]);
  server.request("DELETE", "/v1/databases/db");
  server.request("PUT", "/v1/databases/db/entries/new", "v");
  const HttpAnswer changed = server.get("/v1/databases/db/changes?since=" + through);
  EXPECT_EQ(changed.status, 409);
  EXPECT_EQ(changed.code(), "history_changed");
  EXPECT_EQ(changed.json()["error"]["position"].get<std::string>().substr(16), "-1");
}

TEST(Server, SaysHowItIs) {
  TestServer server;
  EXPECT_EQ(server.get("/healthz").json(), json({{"status", "ok"}}));
  EXPECT_EQ(server.get("/readyz").json(), json({{"status", "ready"}}));
  server.request("PUT", kEntry, "v");
  server.request("PUT", kEntry, "v", {{"If-None-Match", "*"}});
  server.get("/nowhere");
  const std::string metrics = server.get("/metrics").body;
  EXPECT_NE(
      metrics.find("holdfast_http_requests_total{method=\"PUT\",route=\"/v1/databases/{db}/entries/{key+}\","
                   "status=\"2xx\"} 1"),
      std::string::npos)
      << metrics;
  for (const char* line :
       {"status=\"4xx\"} 1", "route=\"none\"", "holdfast_http_request_seconds_bucket", "holdfast_databases 1",
        "holdfast_batches_conflicted_total 1", "holdfast_groups_total", "holdfast_http_connections "}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
  }
}

/// Of a gauge; nothing if it is not there.
std::optional<std::uint64_t> gauge_of(const std::string& metrics, const std::string& name) {
  const std::size_t at = metrics.find("\n" + name + " ");
  if (at == std::string::npos) return std::nullopt;
  return std::stoull(metrics.substr(at + name.size() + 2));
}

class ServerThatCountsOften : public testing::Test {
 protected:
  static server::ServerConfig config() {
    server::ServerConfig config;
    config.size_interval = std::chrono::milliseconds(1);
    return config;
  }
  /// The metrics as soon as they say so.
  std::string wait_for(const std::string& name, std::optional<std::uint64_t> value) {
    for (;;) {
      std::string metrics = server.get("/metrics").body;
      if (gauge_of(metrics, name) == value) return metrics;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  TestServer server{"memory:", config()};
};

TEST_F(ServerThatCountsOften, SaysHowMuchTheStoreAndItsDatabasesHold) {
  server.request("PUT", "/v1/databases/a/entries/key", "value");
  server.request("PUT", "/v1/databases/b/entries/key", "value");
  std::string metrics = wait_for("holdfast_store_entries", 2);
  EXPECT_EQ(gauge_of(metrics, "holdfast_store_bytes"), 16u);
  EXPECT_EQ(gauge_of(metrics, "holdfast_database_entries{database=\"a\"}"), 1u);
  EXPECT_EQ(gauge_of(metrics, "holdfast_database_bytes{database=\"a\"}"), 8u);
  EXPECT_EQ(gauge_of(metrics, "holdfast_store_object_bytes"), 0u);

  server.request("PUT", "/v1/databases/a/entries/other", "12345");
  metrics = wait_for("holdfast_store_entries", 3);
  EXPECT_EQ(gauge_of(metrics, "holdfast_database_bytes{database=\"a\"}"), 18u);
  EXPECT_EQ(gauge_of(metrics, "holdfast_database_bytes{database=\"b\"}"), 8u);

  server.request("PUT", "/v1/databases/b/blobs/large", std::string(3 << 20, 'x'));
  wait_for("holdfast_store_object_bytes", 3 << 20);
}

TEST_F(ServerThatCountsOften, ForgetsDatabasesThatAreGone) {
  server.request("PUT", "/v1/databases/a/entries/key", "value");
  wait_for("holdfast_database_entries{database=\"a\"}", 1);
  server.request("DELETE", "/v1/databases/a");
  EXPECT_EQ(gauge_of(wait_for("holdfast_database_entries{database=\"a\"}", {}), "holdfast_store_entries"),
            0u);
}

TEST(Server, DoesNotCountWhatItHoldsIfItIsToldSo) {
  server::ServerConfig config;
  config.size_interval = std::chrono::milliseconds(0);
  TestServer server("memory:", config);
  server.request("PUT", kEntry, "v");
  EXPECT_EQ(server.get("/metrics").body.find("holdfast_store_"), std::string::npos);
}

TEST(Server, TellsTheSizesOfDatabasesThatATokenMayReadOnly) {
  server::ServerConfig config;
  config.size_interval = std::chrono::milliseconds(1);
  const server::NewToken token = server::make_token("reader", "read:open", *system_random());
  TestServer server("memory:", config, token.line + "\n");
  server.store().database("open").put("k", "v");
  server.store().database("secret").put("k", "v");
  const HeaderList bearer = {{"Authorization", "Bearer " + token.secret}};
  std::string metrics;
  do {
    metrics = server.get("/metrics", bearer).body;
  } while (gauge_of(metrics, "holdfast_store_entries") != 2);
  EXPECT_EQ(gauge_of(metrics, "holdfast_database_entries{database=\"open\"}"), 1u);
  EXPECT_EQ(metrics.find("secret"), std::string::npos);
}

TEST(Server, ShowsAPageThatNoNameCanBreakOutOf) {
  TestServer server;
  server.request("PUT", "/v1/databases/%3Cscript%3E%22'%26/entries/k", "v");
  const HttpAnswer page = server.get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.headers.at("content-type").find("text/html"), std::string::npos);
  EXPECT_EQ(page.body.find("<script>"), std::string::npos);
  EXPECT_NE(page.body.find("&lt;script&gt;&quot;&#39;&amp;"), std::string::npos);
  EXPECT_NE(page.body.find("memory:"), std::string::npos);
}

struct WrongInput {
  const char* what;
  const char* method;
  std::string target;
  std::string body;
  int status;
  const char* in_message;
};

class Wrong : public testing::TestWithParam<WrongInput> {};

TEST_P(Wrong, IsRefusedWithACodeAndAReason) {
  TestServer server;
  const WrongInput& input = GetParam();
  const HttpAnswer answer = server.request(input.method, input.target, input.body);
  EXPECT_EQ(answer.status, input.status) << answer.body;
  const json error = answer.json().at("error");
  EXPECT_NE(error.at("message").get<std::string>().find(input.in_message), std::string::npos) << answer.body;
  EXPECT_TRUE(error.contains("code") && error.contains("retry") && error.contains("request_id"));
  EXPECT_EQ(server.get("/v1/databases").json()["items"].size(), 0u) << "nothing was written";
}

const std::string kCommit = "/v1/databases/db/commit";

INSTANTIATE_TEST_SUITE_P(
    Inputs, Wrong,
    testing::Values(
        WrongInput{"Path", "GET", "/v1/nothing", "", 404, "openapi"},
        WrongInput{"PathBelow", "GET", "/v1/databases/db/entires", "", 404, ""},
        WrongInput{"EmptyKey", "PUT", "/v1/databases/db/entries/", "v", 400, "key"},
        WrongInput{"EmptyName", "GET", "/v1/databases//entries/k", "", 400, "name"},
        WrongInput{"EngineName", "PUT", "/v1/databases/!store/entries/k", "v", 400, ""},
        WrongInput{"EngineKey", "PUT", "/v1/databases/db/entries/!k", "v", 400, "!"},
        WrongInput{"NameNotUtf8", "PUT", "/v1/databases/%ff/entries/k", "v", 400, "UTF-8"},
        WrongInput{"LongKey", "PUT", "/v1/databases/db/entries/" + std::string(2'049, 'k'), "v", 400, "2048"},
        WrongInput{"LongName", "PUT", "/v1/databases/" + std::string(201, 'd') + "/entries/k", "v", 400,
                   "200"},
        WrongInput{"BadPercent", "GET", "/v1/databases/%zz/entries/k", "", 400, "%25"},
        WrongInput{"CutPercent", "GET", "/v1/databases/db/entries/%4", "", 400, "%25"},
        WrongInput{"Method", "PATCH", "/v1/databases/db/entries/k", "", 405, "GET"},
        WrongInput{"UnknownMethod", "BREW", "/v1/databases", "", 405, "GET"},
        WrongInput{"QueryMisspelt", "GET", "/v1/databases/db/entries?limti=3", "", 400,
                   "did you mean \"limit\""},
        WrongInput{"QueryTwice", "GET", "/v1/databases/db/entries?limit=3&limit=4", "", 400, "twice"},
        WrongInput{"LimitZero", "GET", "/v1/databases/db/entries?limit=0", "", 400, "between 1 and 10000"},
        WrongInput{"LimitHuge", "GET", "/v1/databases/db/entries?limit=99999999999999999999", "", 400,
                   "limit"},
        WrongInput{"LimitText", "GET", "/v1/databases/db/entries?limit=ten", "", 400, "limit"},
        WrongInput{"FlagText", "GET", "/v1/databases/db/entries?reverse=maybe", "", 400, "true or false"},
        WrongInput{"TwoRanges", "GET", "/v1/databases/db/entries?prefix=a&begin=b", "", 400, "prefix"},
        WrongInput{"Cursor", "GET", "/v1/databases/db/entries?cursor=!!", "", 400, "cursor"},
        WrongInput{"Encoding", "GET", "/v1/databases/db/entries?encoding=hex", "", 400, "encoding"},
        WrongInput{"Position", "GET", "/v1/databases/db/changes?since=7", "", 400, "position"},
        WrongInput{"PositionSign", "GET", "/v1/databases/db/watch?since=00000000000000001--7", "", 400,
                   "position"},
        WrongInput{"NoJson", "POST", kCommit, "{", 400, "byte"},
        WrongInput{"NoBody", "POST", kCommit, "", 400, ""},
        WrongInput{"NotUtf8", "POST", kCommit, "{\"writes\":[\"\xff\"]}", 400, "byte"},
        WrongInput{"Array", "POST", kCommit, "[]", 400, "object"},
        WrongInput{"NoWrites", "POST", kCommit, "{}", 400, "writes"},
        WrongInput{"Member", "POST", kCommit, R"({"writse":[]})", 400, "did you mean \"writes\""},
        WrongInput{"WritesText", "POST", kCommit, R"({"writes":"x"})", 400, "array"},
        WrongInput{"WriteText", "POST", kCommit, R"({"writes":["x"]})", 400, "element 0"},
        WrongInput{"WriteType", "POST", kCommit, R"({"writes":[{"type":"reap","key":"k"}]})", 400,
                   "put_stamped"},
        WrongInput{"NoKey", "POST", kCommit, R"({"writes":[{"type":"put","value":"v"}]})", 400, "key_base64"},
        WrongInput{"KeyNumber", "POST", kCommit, R"({"writes":[{"type":"put","key":7,"value":"v"}]})", 400,
                   "string"},
        WrongInput{"KeyTwice", "POST", kCommit,
                   R"({"writes":[{"type":"erase","key":"k","key_base64":"aw=="}]})", 400, "twice"},
        WrongInput{"Base64", "POST", kCommit, R"({"writes":[{"type":"erase","key_base64":"k"}]})", 400,
                   "base64"},
        WrongInput{"NegativeVersion", "POST", kCommit,
                   R"({"checks":[{"type":"version","key":"k","version":-1}],"writes":[]})", 400,
                   "whole number"},
        WrongInput{"FractionalVersion", "POST", kCommit,
                   R"({"checks":[{"type":"version","key":"k","version":1.5}],"writes":[]})", 400,
                   "whole number"},
        WrongInput{"HugeNumber", "POST", kCommit,
                   R"({"checks":[{"type":"version","key":"k","version":1e999}]})", 400, ""},
        WrongInput{"Deep", "POST", kCommit, std::string(100'000, '['), 400, "nested"},
        WrongInput{"KeysBoth", "POST", "/v1/databases/db/get", R"({"keys":[],"keys_base64":[]})", 400,
                   "either"},
        WrongInput{"KeyNotText", "POST", "/v1/databases/db/get", R"({"keys":[null]})", 400, "string"}),
    [](const auto& instance) { return instance.param.what; });

const std::string kDb = "/v1/databases/db";

INSTANTIATE_TEST_SUITE_P(
    OfServices, Wrong,
    testing::Values(
        WrongInput{"KvTtlZero", "PUT", kDb + "/kv/k?ttl_ms=0", "v", 400, "at least 1 ms"},
        WrongInput{"KvTtlNegative", "PUT", kDb + "/kv/k?ttl_ms=-5", "v", 400, "at least 1 ms"},
        WrongInput{"KvTtlHuge", "PUT", kDb + "/kv/k?ttl_ms=99999999999999999", "v", 400, "end of time"},
        WrongInput{"KvTtlMisspelt", "PUT", kDb + "/kv/k?tl_ms=1", "v", 400, "did you mean \"ttl_ms\""},
        WrongInput{"KvLongKey", "PUT", kDb + "/kv/" + std::string(1'025, 'k'), "v", 400, "1024"},
        WrongInput{"KvIncrementFraction", "POST", kDb + "/kv/n", R"({"increment":1.5})", 400, "whole number"},
        WrongInput{"KvIncrementText", "POST", kDb + "/kv/n", R"({"increment":"1"})", 400, "whole number"},
        WrongInput{"KvIncrementHuge", "POST", kDb + "/kv/n", R"({"increment":99999999999999999999})", 400,
                   "64 bits"},
        WrongInput{"KvTwoChanges", "POST", kDb + "/kv/n", R"({"increment":1,"ttl_ms":3})", 400, "either"},
        WrongInput{"KvExpireNothing", "POST", kDb + "/kv/n", R"({"ttl_ms":3})", 404, "no such key"},
        WrongInput{"KvTwoValues", "POST", kDb + "/kv",
                   R"({"entries":[{"key":"a","value":1,"bytes_base64":"aa=="}]})", 400, "either"},
        WrongInput{"KvCursor", "GET", kDb + "/kv?cursor=!!", "", 400, "cursor"},
        WrongInput{"KvLimit", "GET", kDb + "/kv?limit=-1", "", 400, "between 1 and 1000"},
        WrongInput{"RecordsMisspelt", "POST", kDb + "/records", R"({"record":[]})", 400,
                   "did you mean \"records\""},
        WrongInput{"RecordsHalfAFilter", "GET", kDb + "/records?path=/a", "", 400, "both path and equals"},
        WrongInput{"RecordsPath", "GET", kDb + "/records?path=a&equals=1", "", 400, "JSON pointer"},
        WrongInput{"RecordsLimit", "GET", kDb + "/records?limit=0", "", 400, "between 1 and 1000"},
        WrongInput{"IndexPath", "PUT", kDb + "/record-indexes/i", R"({"path":"a"})", 400, "JSON pointer"},
        WrongInput{"IndexOfNothing", "GET", kDb + "/record-indexes/i/records?equals=1", "", 404,
                   "declare it first"},
        WrongInput{"IndexValue", "GET", kDb + "/record-indexes/i/records?equals=x", "", 400, "is JSON"},
        WrongInput{"EventId", "GET", kDb + "/events/s?after=x", "", 400, "id of an event"},
        WrongInput{"EventsOfNone", "POST", kDb + "/events/s/batch", R"({"events":[]})", 400, "at least 1"},
        WrongInput{"EventRetention", "PUT", kDb + "/events/s/retention", R"({"max_age_ms":-1})", 400,
                   "at least 0 ms"},
        WrongInput{"EventOffset", "POST", kDb + "/events/s/consumers/c", R"({"offset":7})", 400, "string"},
        WrongInput{"EventHold", "POST", kDb + "/events/s/consumers/c", R"({"holds":"yes"})", 400,
                   "neither true nor false"},
        WrongInput{"EventHoldAndNoWay", "POST", kDb + "/events/s/consumers/c",
                   R"({"holds":true,"backwards":1})", 400, "neither true nor false"},
        WrongInput{"BlobOfNothing", "GET", kDb + "/blobs/none", "", 404, "no such blob"},
        WrongInput{"BlobRename", "POST", kDb + "/blob-rename/none", R"({"to":7})", 400, "string"},
        WrongInput{"TableOfBytes", "PUT", kDb + "/tables/t/records/k", "raw", 400, "JSON-serializable"},
        WrongInput{"TableName", "PUT", kDb + "/tables/a%2Fb", "", 400, "path separators"},
        WrongInput{"DictionaryType", "PUT", kDb + "/dictionaries/d", R"({"deflate":{"a":1}})", 400, "string"},
        WrongInput{"DictionaryTwice", "PUT", kDb + "/dictionaries/d", R"({"deflate":{"a":"x","b":"x"}})", 400,
                   "one-to-one"},
        WrongInput{"LifecycleType", "GET", kDb + "/lifecycle?types=nonsense", "", 400, "record:put"}),
    [](const auto& instance) { return instance.param.what; });

TEST(WrongInputs, BeyondTheLimitsOfABatchNameTheLimit) {
  TestServer server;
  json many = json::array();
  for (int i = 0; i < 2'001; ++i) many.push_back({{"type", "erase"}, {"key", std::to_string(i)}});
  EXPECT_NE(server.post(kCommit, {{"writes", many}}).message().find("2000"), std::string::npos);
  json keys = json::array();
  for (int i = 0; i < 1'001; ++i) keys.push_back("k");
  EXPECT_NE(server.post("/v1/databases/db/get", {{"keys", keys}}).message().find("1000"), std::string::npos);
}

TEST(WrongInputs, OfAnotherTypeThanJsonAreUnsupported) {
  TestServer server;
  const HttpAnswer answer = server.request("POST", kCommit, "{}", {{"Content-Type", "text/plain"}});
  EXPECT_EQ(answer.status, 415);
}

TEST(WrongInputs, NameTheMethodsThatThereAre) {
  TestServer server;
  EXPECT_EQ(server.request("POST", "/healthz").headers.at("allow"), "GET, HEAD");
}

TEST(LocalServer, AnswersNoPageOfAnotherSite) {
  TestServer server;
  EXPECT_EQ(server.get("/healthz", {{"Host", "localhost:7411"}}).status, 200);
  EXPECT_EQ(server.get("/healthz", {{"Host", "127.0.0.1"}, {"Origin", "http://localhost:3000"}}).status, 200);
  EXPECT_EQ(server.get("/healthz", {{"Host", "[::1]:80"}}).status, 200);
  EXPECT_EQ(server.get("/healthz", {{"Host", "evil.example"}}).status, 403);
  EXPECT_EQ(server.get("/healthz", {{"Host", "127.0.0.1.evil.example"}}).status, 403);
  EXPECT_EQ(server.get("/healthz", {{"Origin", "https://evil.example"}}).status, 403);
  EXPECT_EQ(server.get("/healthz", {{"Origin", "null"}}).status, 403);
}

TEST(Concurrency, LosesNoWriteOfManyClients) {
  TestServer server;
  std::vector<std::thread> clients;
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, c] {
      HttpConnection connection(server.port());
      for (int i = 0; i < 50; ++i) {
        const std::string key = std::to_string(c) + "-" + std::to_string(i);
        if (connection.request("PUT", "/v1/databases/db/entries/" + key, key).status != 200) return;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.get("/v1/databases/db?count=true").json()["entries"], 800);
}

TEST(Concurrency, IncrementsByVersionLoseNothing) {
  TestServer server;
  server.request("PUT", kEntry, "0");
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      HttpConnection connection(server.port());
      for (int done = 0; done < 20;) {
        const HttpAnswer got = connection.request("GET", kEntry);
        const HttpAnswer put = connection.request("PUT", kEntry, std::to_string(std::stoi(got.body) + 1),
                                                  {{"If-Match", got.headers.at("etag")}});
        if (put.status == 200) ++done;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.get(kEntry).body, "160");
}

TEST(Api, EndsPagesOfLargeValuesByTheirBytes) {
  TestServer server;
  Database database = server.store().database("db");
  json keys = json::array();
  for (int i = 0; i < 20; ++i) {
    keys.push_back("key " + std::to_string(10 + i));
    database.put(keys.back().get<std::string>(), Bytes(1'000'000, 'x'));
  }
  for (const std::string path : {"/entries", "/changes"}) {
    std::size_t found = 0;
    std::string next;
    bool more = true;
    for (int pages = 0; more && pages < 20; ++pages) {
      const HttpAnswer page = server.get("/v1/databases/db" + path + "?limit=10000" + next);
      EXPECT_LT(page.body.size(), 9u << 20) << path;
      const json answer = page.json();
      found += answer["items"].size();
      more = path == "/entries" ? answer.contains("cursor") : !answer["caught_up"].get<bool>();
      next = path == "/entries" ? "&cursor=" + answer.value("cursor", "")
                                : "&since=" + answer["through"].get<std::string>();
    }
    EXPECT_EQ(found, 20u) << path;
  }
  const json some = server.post("/v1/databases/db/get", {{"keys", keys}}).json();
  EXPECT_EQ(some["items"].size() + some["left"].get<std::size_t>(), 20u);
  EXPECT_LE(some["items"].size(), 9u);
  EXPECT_EQ(some["items"][0]["key"], "key 10");
}

}  // namespace
}  // namespace holdfast::testing_support
