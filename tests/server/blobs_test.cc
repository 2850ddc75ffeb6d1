// The service blobs over real sockets: streams in both directions, and ranges.
#include <gtest/gtest.h>

#include <thread>

#include "holdfast/open.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kBlob = "/v1/databases/db/blobs/photos/1.jpg";

/// Bytes in which every place differs from its neighbours'.
Bytes pattern(std::size_t size) {
  Bytes bytes(size, '\0');
  std::uint32_t state = 7;
  for (char& c : bytes) {
    state = state * 1'664'525 + 1'013'904'223;
    c = static_cast<char>(state >> 24);
  }
  return bytes;
}

TEST(BlobRoutes, GoThereAndBackWithTypeHashAndMetadata) {
  TestServer server;
  const Bytes bytes = pattern(300'000);
  const HttpAnswer put = server.request(
      "PUT", kBlob, bytes, {{"Content-Type", "image/jpeg"}, {"Holdfast-Metadata", R"({"by":"anna"})"}});
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(put.json()["size_bytes"], 300'000);
  const HttpAnswer got = server.get(kBlob);
  EXPECT_EQ(got.body, bytes);
  EXPECT_EQ(got.headers.at("content-type"), "image/jpeg");
  EXPECT_EQ(got.headers.at("holdfast-hash"), put.json()["hash"].get<std::string>());
  EXPECT_EQ(got.headers.at("x-content-type-options"), "nosniff");
  const json info = server.get("/v1/databases/db/blob-info/photos/1.jpg").json();
  EXPECT_EQ(info["metadata"], json({{"by", "anna"}}));
  EXPECT_EQ(server.get("/v1/databases/db/blobs").json()["items"][0]["key"], "photos/1.jpg");
  EXPECT_EQ(server.request("HEAD", kBlob).headers.at("content-length"), "300000");
  EXPECT_EQ(server.request("DELETE", kBlob).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kBlob).status, 404);
}

TEST(BlobRoutes, MoveCopyAndVerify) {
  TestServer server;
  const HeaderList type = {{"Content-Type", "image/jpeg"}};
  const json put = server.request("PUT", kBlob, pattern(300'000), type).json();
  const std::string db = "/v1/databases/db";
  EXPECT_EQ(server.request("POST", db + "/blob-verify/photos/1.jpg").json(), put);
  EXPECT_EQ(server.post(db + "/blob-copy/photos/1.jpg", {{"to", "photos/2.jpg"}}).json(), put);
  EXPECT_EQ(server.get(kBlob).body, pattern(300'000));
  EXPECT_EQ(server.post(db + "/blob-rename/photos/2.jpg", {{"to", "photos/3.jpg"}}).json(),
            json({{"renamed", true}}));
  EXPECT_EQ(server.get(db + "/blobs/photos/2.jpg").status, 404);
  const HttpAnswer moved = server.get(db + "/blobs/photos/3.jpg");
  EXPECT_EQ(moved.body, pattern(300'000));
  EXPECT_EQ(moved.headers.at("content-type"), "image/jpeg");

  for (const char* route : {"/blob-copy/none", "/blob-rename/none"}) {
    EXPECT_EQ(server.post(db + route, {{"to", "x"}}).status, 404) << route;
    EXPECT_EQ(server.post(db + route, {{"to", ""}}).status, 400) << route;
    EXPECT_EQ(server.post(db + route, json::object()).status, 400) << route;
  }
  EXPECT_EQ(server.request("POST", db + "/blob-verify/none").status, 404);
}

TEST(BlobRoutes, SayThatTheBytesOfABlobAreNotThoseThatWerePut) {
  auto backend = open_backend("memory:");
  Backend& beneath = *backend;
  server::OpenStore opened;
  StoreOptions options;
  options.sweeper = false;
  opened.store = Store::open(std::move(backend), options);
  opened.metrics = std::make_shared<Metrics>();
  TestServer server(std::move(opened), {});
  server.request("PUT", kBlob, "bytes");
  // A byte turns beneath the engine.
  const Scan pieces{Range::prefix("!object/data/")};
  const std::shared_ptr<Clock> clock = Environment{}.completed().clock;
  ReadRequest request{.scans = {&pieces, 1}, .now_ms = clock->now_ms()};
  request.deadline = clock->steady_now() + 30s;
  const ReadAnswer answer = beneath.read("db", request);
  ASSERT_EQ(answer.pages.front().entries.size(), 1u);
  Group group;
  group.database = "db";
  group.history = answer.at.history;
  group.session = {5, 5};
  group.number = 1;
  group.now_ms = clock->now_ms();
  group.deadline = request.deadline;
  group.batches.push_back({{}, {Write::put(answer.pages.front().entries[0].key, "bytez")}});
  beneath.commit({&group, 1});
  ASSERT_FALSE(group.error);
  const HttpAnswer verified = server.request("POST", "/v1/databases/db/blob-verify/photos/1.jpg");
  EXPECT_EQ(verified.status, 500);
  EXPECT_EQ(verified.code(), "corruption");
}

TEST(BlobRoutes, TakeAndGiveMoreThanIsEverInMemory) {
  server::ServerConfig config;
  config.limits.buffered_bytes = 1u << 20;
  TestServer server("memory:", config);
  const Bytes bytes = pattern(40'000'000);
  EXPECT_EQ(server.request("PUT", kBlob, bytes).status, 200);
  EXPECT_TRUE(server.get(kBlob).body == bytes);
}

TEST(BlobRoutes, TakeBodiesOfUnknownSize) {
  TestServer server;
  HttpConnection connection(server.port());
  connection.send(
      std::string("PUT ") + kBlob +
      " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.receive().status, 100);
  const Bytes bytes = pattern(100'000);
  for (int i = 0; i < 5; ++i) connection.send("186a0\r\n" + bytes + "\r\n");
  connection.send("0\r\n\r\n");
  EXPECT_EQ(connection.receive().json()["size_bytes"], 500'000);
  EXPECT_EQ(connection.request("GET", kBlob).body.size(), 500'000u) << "the connection goes on";
  EXPECT_EQ(connection.request("PUT", "/v1/databases/db/blobs/empty", "").status, 200);
  EXPECT_EQ(connection.request("GET", "/v1/databases/db/blobs/empty").body, "");
}

TEST(BlobRoutes, GiveRanges) {
  TestServer server;
  const Bytes bytes = pattern(10'000);
  server.request("PUT", kBlob, bytes);
  const auto range = [&](const std::string& field, const HeaderList& more = {}) {
    HeaderList headers = {{"Range", field}};
    headers.insert(headers.end(), more.begin(), more.end());
    return server.get(kBlob, headers);
  };
  EXPECT_EQ(range("bytes=0-0").body, bytes.substr(0, 1));
  EXPECT_EQ(range("bytes=100-199").body, bytes.substr(100, 100));
  EXPECT_EQ(range("bytes=100-199").headers.at("content-range"), "bytes 100-199/10000");
  EXPECT_EQ(range("bytes=9990-").body, bytes.substr(9'990));
  EXPECT_EQ(range("bytes=9990-99999").status, 206);
  EXPECT_EQ(range("bytes=-10").body, bytes.substr(9'990));
  EXPECT_EQ(range("bytes=-99999").body, bytes);
  for (const char* beyond :
       {"bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=18446744073709551615-"}) {
    EXPECT_EQ(range(beyond).status, 416) << beyond;
    EXPECT_EQ(range(beyond).headers.at("content-range"), "bytes */10000");
  }
  for (const char* whole : {"bytes=", "bytes=-", "bytes=a-b", "bytes=5-1", "bytes=0-1,5-6", "lines=0-1",
                            "bytes=99999999999999999999-", "bytes=1-2-3"}) {
    EXPECT_EQ(range(whole).status, 200) << whole;
    EXPECT_EQ(range(whole).body, bytes) << whole;
  }
  const std::string etag = server.get(kBlob).headers.at("etag");
  EXPECT_EQ(range("bytes=0-0", {{"If-Range", etag}}).status, 206);
  EXPECT_EQ(range("bytes=0-0", {{"If-Range", "\"other\""}}).status, 200);
  EXPECT_EQ(server.get(kBlob, {{"If-None-Match", etag}}).status, 304);
}

TEST(BlobRoutes, PutUnderConditions) {
  TestServer server;
  EXPECT_EQ(server.request("PUT", kBlob, "1", {{"If-None-Match", "*"}}).status, 200);
  EXPECT_EQ(server.request("PUT", kBlob, "2", {{"If-None-Match", "*"}}).status, 412);
  const std::string etag = server.get(kBlob).headers.at("etag");
  EXPECT_EQ(server.request("PUT", kBlob, "3", {{"If-Match", etag}}).status, 200);
  EXPECT_EQ(server.request("PUT", kBlob, "4", {{"If-Match", etag}}).status, 412);
  EXPECT_EQ(server.request("DELETE", kBlob, "", {{"If-Match", etag}}).status, 412);
  EXPECT_EQ(server.request("PUT", kBlob, "5", {{"Holdfast-Hash", std::string(64, '0')}}).status, 400);
  EXPECT_EQ(server.request("PUT", kBlob, "5", {{"Holdfast-Metadata", "{"}}).status, 400);
  EXPECT_EQ(server.request("PUT", kBlob, "5", {{"Holdfast-Metadata", "[]"}}).status, 400);
  EXPECT_EQ(server.get(kBlob).body, "3");
}

TEST(BlobRoutes, LeaveNothingOfAnUploadThatBreaks) {
  TestServer server;
  server.request("PUT", kBlob, "old");
  {
    HttpConnection connection(server.port());
    connection.send(
        std::string("PUT ") + kBlob +
        " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(connection.receive().status, 100);
    connection.send(std::string(500'000, 'x'));
  }
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (server.server().open_connections() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(server.get(kBlob).body, "old");
  EXPECT_EQ(server.get("/v1/databases/db/blobs").json()["items"].size(), 1u);
}

TEST(BlobRoutes, SlowUploadsAreCutAndHoldNobody) {
  server::ServerConfig config;
  config.limits.request_timeout = 300ms;
  config.limits.streams = 4;
  TestServer server("memory:", config);
  std::vector<std::unique_ptr<HttpConnection>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<HttpConnection>(server.port()));
    slow.back()->send(
        std::string("PUT ") + kBlob +
        " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(slow.back()->receive().status, 100);
  }
  EXPECT_EQ(server.request("PUT", "/v1/databases/db/entries/k", "v").status, 200);
  int status = 0;
  for (int i = 0; i < 400 && status != 200; ++i) {
    status = server.request("PUT", kBlob, "fast").status;
    EXPECT_TRUE(status == 200 || status == 503) << status;
    if (status != 200) std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(status, 200);
}

}  // namespace
}  // namespace holdfast::testing_support
