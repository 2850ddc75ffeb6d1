// Lifecycle events over real sockets.
#include <gtest/gtest.h>

#include "holdfast/kv.h"
#include "holdfast/records.h"
#include "tests/server/client.h"
#include "tests/server/event_stream.h"

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
