// Schedules over real sockets, and the server that runs them.
#include "holdfast/schedules.h"

#include <gtest/gtest.h>

#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

const std::string kSchedules = "/v1/databases/db/schedules";
const std::string kReport = kSchedules + "/report%2F1";

HttpAnswer set_schedule(TestServer& server, const std::string& target, const json& body) {
  return server.request("PUT", target, body.dump(), kJson);
}

server::ServerConfig without_runner() {
  server::ServerConfig config;
  config.schedule_interval = std::chrono::milliseconds(0);
  return config;
}

TEST(ScheduleRoutes, AScheduleIsSetListedPausedAndErased) {
  TestServer server("memory:", without_runner());
  const json weekly = {
      {"queue", "mail"}, {"value", {{"n", 1}}}, {"cron", "30 9 * * MON"}, {"time_zone", "Europe/Berlin"},
      {"kind", "k"},     {"missed", "skip"},    {"grace_ms", 5}};
  EXPECT_EQ(set_schedule(server, kReport, weekly).json(), json({{"set", true}}));
  json found = server.get(kReport).json();
  EXPECT_EQ(found["name"], "report/1");
  EXPECT_FALSE(found["next_at_ms"].is_null());
  for (const auto& [name, value] : weekly.items()) EXPECT_EQ(found[name], value) << name;
  EXPECT_EQ(server.get(kSchedules).json()["items"], json::array({found}));
  EXPECT_EQ(server.get(kSchedules + "?prefix=x").json()["items"], json::array());

  EXPECT_EQ(server.request("POST", kReport + "/pause").json(), json({{"paused", true}}));
  EXPECT_EQ(server.get(kReport).json()["is_paused"], true);
  EXPECT_FALSE(server.get(kReport).json().contains("next_at_ms"));
  EXPECT_EQ(server.request("POST", kReport + "/resume").json(), json({{"resumed", true}}));
  EXPECT_EQ(server.request("DELETE", kReport).json(), json({{"erased", true}}));
  EXPECT_EQ(server.request("DELETE", kReport).json(), json({{"erased", false}}));
  EXPECT_EQ(server.get(kReport).status, 404);
}

TEST(ScheduleRoutes, AreRefusedWithoutTicksOrQueue) {
  TestServer server("memory:", without_runner());
  EXPECT_EQ(set_schedule(server, kReport, {{"queue", "mail"}}).status, 400);
  EXPECT_EQ(set_schedule(server, kReport, {{"cron", "@daily"}}).status, 400);
  EXPECT_EQ(set_schedule(server, kReport, {{"queue", "mail"}, {"cron", "never"}}).status, 400);
  EXPECT_EQ(set_schedule(server, kReport, {{"queue", "mail"}, {"cron", "@daily"}, {"missed", "some"}}).status,
            400);
  EXPECT_EQ(server.get(kSchedules).json()["items"], json::array());
}

TEST(ScheduleRoutes, TicksCanBeSeenBeforehand) {
  TestServer server("memory:", without_runner());
  const json answer = server
                          .post("/v1/databases/db/schedule-preview",
                                {{"every_ms", 60'000}, {"anchor_ms", 5}, {"after_ms", 5}, {"count", 2}})
                          .json();
  EXPECT_EQ(answer["ticks"], json({60'005, 120'005}));
  set_schedule(server, kReport, {{"queue", "mail"}, {"every_ms", 60'000}});
  EXPECT_EQ(server.get(kReport + "/ticks?count=1&after_ms=0").json()["ticks"], json({60'000}));
  EXPECT_EQ(server.get(kReport + "/ticks?count=1001").status, 400);
  EXPECT_EQ(server.get(kSchedules + "/none/ticks").status, 404);
}

TEST(ScheduleRoutes, TheServerSendsTheJobsOfTicks) {
  server::ServerConfig config;
  config.schedule_interval = std::chrono::milliseconds(1);
  TestServer server("memory:", config);
  EXPECT_EQ(set_schedule(server, kReport, {{"queue", "mail"}, {"value", 7}, {"every_ms", 1'000}}).status,
            200);
  const json jobs =
      server.post("/v1/databases/db/queues/mail/receive", {{"wait_ms", 60'000}}).json()["items"];
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["value"], 7);
  EXPECT_EQ(jobs[0]["run_at_ms"].get<std::int64_t>() % 1'000, 0);
}

TEST(ScheduleRoutes, AServerThatIsToldSoRunsNone) {
  TestServer server("memory:", without_runner());
  set_schedule(server, kReport, {{"queue", "mail"}, {"every_ms", 1'000}, {"missed", "all"}});
  const UnixMs first_ms = server.get(kReport).json()["next_at_ms"];
  std::size_t sent = 0;
  while (sent < 2) sent += Schedules(server.store().database("db")).run_due().sent;
  const UnixMs last_ms = server.get(kReport).json()["last_at_ms"];
  EXPECT_EQ(static_cast<std::size_t>((last_ms - first_ms) / 1'000) + 1, sent) << "each tick was sent by hand";
}

}  // namespace
}  // namespace holdfast::testing_support
