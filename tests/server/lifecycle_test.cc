// Lifecycle events over real sockets.
#include <gtest/gtest.h>

#include <thread>

#include "holdfast/kv.h"
#include "holdfast/records.h"
#include "tests/server/client.h"
#include "tests/server/event_stream.h"
#include "tests/server/web_socket.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

constexpr const char* kLifecycle = "/v1/databases/db/lifecycle";

TEST(LifecycleRoute, TellsWhatHappensToTheServices) {
  TestServer server;
  EventStream stream(server.port(), kLifecycle);
  EXPECT_NE(stream.head().find("text/event-stream"), std::string::npos) << stream.head();
  EXPECT_EQ(stream.next().name, "begin");
  server.request("PUT", "/v1/databases/db/kv/greeting", "\"hello\"", kJson);
  const StreamEvent set = stream.next();
  EXPECT_EQ(set.name, "lifecycle");
  EXPECT_EQ(set.data["type"], "kv:set");
  EXPECT_EQ(set.data["key"], "greeting");
  EXPECT_EQ(set.data["value"], "hello");
  server.request("POST", "/v1/databases/db/events/s", "1.50", kJson);
  const StreamEvent append = stream.next();
  EXPECT_EQ(append.data["type"], "event:append");
  EXPECT_EQ(append.data["stream"], "s");
  EXPECT_FALSE(append.data["id"].get<std::string>().empty());
  server.request("PUT", "/v1/databases/db/blobs/b", "bytes");
  EXPECT_EQ(stream.next().data["size_bytes"], 5);
  server.request("DELETE", "/v1/databases/db/kv/greeting");
  const StreamEvent erased = stream.next();
  EXPECT_EQ(erased.data["type"], "kv:delete");
  EXPECT_FALSE(erased.data.contains("value"));
}

TEST(LifecycleRoute, ResumesBehindAnEventOfTheSameCommit) {
  TestServer server;
  std::string begin;
  std::string last;
  {
    EventStream stream(server.port(), std::string(kLifecycle) + "?types=kv:*");
    begin = stream.next().id;
    Kv(server.store().database("db"))
        .set_many(std::vector<std::pair<Bytes, Payload>>{{"a", 1}, {"b", 2}, {"c", 3}});
    EXPECT_EQ(stream.next().data["key"], "a");
    last = stream.next().id;
  }
  Records(server.store().database("db")).put("another service", 1);
  server.request("PUT", "/v1/databases/db/kv/d", "4", kJson);
  EventStream resumed(server.port(), std::string(kLifecycle) + "?types=kv:*", {{"Last-Event-ID", last}});
  EXPECT_EQ(resumed.next().id, last);
  EXPECT_EQ(resumed.next().data["key"], "c");
  EXPECT_EQ(resumed.next().data["key"], "d");
  EventStream all(server.port(), std::string(kLifecycle) + "?after=" + begin);
  all.next();
  for (const char* key : {"a", "b", "c", "another service", "d"}) EXPECT_EQ(all.next().data["key"], key);
}

TEST(LifecycleByWebSocket, TellsWhatHappensAndResumes) {
  TestServer server;
  const std::string target = std::string(kLifecycle) + "?types=kv:*";
  std::string last;
  {
    WebSocket socket(server.port(), target);
    ASSERT_EQ(socket.answer().status, 101) << socket.answer().body;
    const json begin = socket.receive_json();
    EXPECT_EQ(begin["event"], "begin");
    server.request("PUT", "/v1/databases/db/records/r", "1", kJson);
    server.request("PUT", "/v1/databases/db/kv/a", "\"hello\"", kJson);
    const json set = socket.receive_json();
    EXPECT_EQ(set["event"], "lifecycle");
    EXPECT_EQ(set["data"]["type"], "kv:set");
    EXPECT_EQ(set["data"]["key"], "a");
    EXPECT_EQ(set["data"]["value"], "hello");
    last = set["id"];
    EXPECT_NE(last, begin["id"].get<std::string>());
  }
  server.request("PUT", "/v1/databases/db/kv/b", "2", kJson);
  server.request("DELETE", "/v1/databases/db/kv/a");
  // As a browser's script does it, which cannot set header fields, and as others do.
  WebSocket by_query(server.port(), target + "&after=" + last);
  WebSocket by_header(server.port(), target, {{"Last-Event-ID", last}});
  for (WebSocket* socket : {&by_query, &by_header}) {
    EXPECT_EQ(socket->receive_json()["id"], last);
    EXPECT_EQ(socket->receive_json()["data"]["key"], "b");
    EXPECT_EQ(socket->receive_json()["data"]["type"], "kv:delete");
  }
}

TEST(LifecycleByWebSocket, SaysSoWhenEventsWereMissedAndEnds) {
  TestServer server;
  server.request("PUT", "/v1/databases/db/kv/a", "1", kJson);
  WebSocket before(server.port(), kLifecycle);
  const std::string begin = before.receive_json()["id"];
  server.store().drop("db");
  server.request("PUT", "/v1/databases/db/kv/a", "1", kJson);
  WebSocket resumed(server.port(), kLifecycle + ("?after=" + begin));
  resumed.receive_json();
  const json error = resumed.receive_json();
  EXPECT_EQ(error["event"], "error");
  EXPECT_EQ(error["data"]["code"], "history_changed");
  EXPECT_EQ(resumed.receive().first, 8);
  EXPECT_TRUE(resumed.is_closed_by_server());
}

TEST(LifecycleByWebSocket, RefusesBeforeTheUpgradeWhatIsNoTypeAndNoPlace) {
  TestServer server;
  EXPECT_EQ(WebSocket(server.port(), std::string(kLifecycle) + "?types=kv").answer().status, 400);
  EXPECT_EQ(WebSocket(server.port(), std::string(kLifecycle) + "?after=nonsense").answer().status, 400);
}

TEST(LifecycleByWebSocket, SaysGoodbyeWhenTheServerStops) {
  TestServer server;
  WebSocket socket(server.port(), kLifecycle);
  socket.receive_json();
  std::thread drain([&] { EXPECT_TRUE(server.server().drain(std::chrono::seconds(10))); });
  EXPECT_EQ(socket.receive().first, 8);
  socket.send(8, std::string("\x03\xe9", 2));
  EXPECT_TRUE(socket.is_closed_by_server());
  drain.join();
}

TEST(LifecycleRoute, RefusesWhatIsNoTypeAndNoPlace) {
  TestServer server;
  EXPECT_EQ(server.get(std::string(kLifecycle) + "?types=kv").status, 400);
  EXPECT_EQ(server.get(std::string(kLifecycle) + "?after=nonsense").status, 400);
}

TEST(LifecycleRoute, SaysSoWhenEventsWereMissed) {
  TestServer server;
  server.request("PUT", "/v1/databases/db/kv/a", "1", kJson);
  EventStream stream(server.port(), kLifecycle);
  const std::string begin = stream.next().id;
  server.store().drop("db");
  server.request("PUT", "/v1/databases/db/kv/a", "1", kJson);
  EventStream resumed(server.port(), std::string(kLifecycle) + "?after=" + begin);
  resumed.next();
  const StreamEvent error = resumed.next();
  EXPECT_EQ(error.name, "error");
  EXPECT_EQ(error.data["code"], "history_changed");
  EXPECT_TRUE(resumed.ends());
}

TEST(LifecycleRoute, EndsWithItsServerAndItsClients) {
  TestServer server;
  {
    EventStream gone(server.port(), kLifecycle);
    gone.next();
  }
  EventStream stays(server.port(), kLifecycle);
  stays.next();
  EXPECT_TRUE(server.server().drain(std::chrono::seconds(10)));
  EXPECT_TRUE(stays.ends());
}

}  // namespace
}  // namespace holdfast::testing_support
