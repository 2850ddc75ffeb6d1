// Job queues over real sockets, as a worker that has only HTTP sees them.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "holdfast/queue.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

const std::string kQueue = "/v1/databases/db/queues/mail%2F1";

json receive(TestServer& server, json body = json::object()) {
  return server.post(kQueue + "/receive", body).json()["items"];
}

json lease_of(const json& job) { return {{"id", job["id"]}, {"token", job["token"]}}; }

json with(json object, const json& more) {
  object.update(more);
  return object;
}

TEST(QueueRoutes, AJobIsSentTakenAndDone) {
  TestServer server;
  const HttpAnswer sent =
      server.request("POST", kQueue + "/jobs",
                     R"({"value": {"n": 1.0}, "kind": "k", "ordering_key": "o", "tenant": "t"})", kJson);
  EXPECT_EQ(sent.status, 200) << sent.body;
  EXPECT_EQ(sent.json()["is_new"], true);
  const HttpAnswer taken = server.post(kQueue + "/receive", {{"limit", 10}});
  EXPECT_NE(taken.body.find("{\"n\":1.0}"), std::string::npos) << taken.body;
  const json job = taken.json()["items"][0];
  EXPECT_EQ(job["id"], sent.json()["id"]);
  EXPECT_EQ(job["kind"], "k");
  EXPECT_EQ(job["attempt"], 1);
  EXPECT_EQ(job["ordering_key"], "o");
  EXPECT_EQ(job["tenant"], "t");
  EXPECT_EQ(receive(server).size(), 0u);
  EXPECT_EQ(server.post(kQueue + "/complete", lease_of(job)).json(), json({{"completed", true}}));
  const HttpAnswer late = server.post(kQueue + "/complete", lease_of(job));
  EXPECT_EQ(late.status, 409);
  EXPECT_EQ(late.code(), "conflict");
  EXPECT_EQ(server.get(kQueue + "/jobs/" + job["id"].get<std::string>()).status, 404);
}

TEST(QueueRoutes, AJobOfABatchWaitsForThoseThatNameItAsTheirParent) {
  TestServer server;
  const json batch = {{{"value", 1}, {"parent", 2}},
                      {{"value", 2}, {"parent", 2}},
                      {{"value", "join"}, {"child_failure", "die"}}};
  const json sent = server.post(kQueue + "/jobs/batch", {{"jobs", batch}}).json()["jobs"];
  const json children = {sent[0]["id"], sent[1]["id"]};
  const std::string join = kQueue + "/jobs/" + sent[2]["id"].get<std::string>();
  EXPECT_EQ(server.get(kQueue).json()["blocked"], 1);
  const json blocked = server.get(kQueue + "/jobs?state=blocked").json()["items"][0];
  EXPECT_EQ(blocked["waits_for"], children);
  EXPECT_EQ(blocked["child_failure"], "die");
  EXPECT_EQ(server.get(kQueue + "/jobs/" + sent[0]["id"].get<std::string>()).json()["parent"], sent[2]["id"]);
  for (const json& job : receive(server, {{"limit", 5}})) {
    EXPECT_EQ(server.get(join).json()["state"], "blocked");
    server.post(kQueue + "/complete", lease_of(job));
  }
  const json jobs = receive(server);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["value"], "join");
  EXPECT_EQ(jobs[0]["children"], children);
}

TEST(QueueRoutes, WhatIsNoParentIsRefused) {
  TestServer server;
  EXPECT_EQ(server.post(kQueue + "/jobs", {{"value", 1}, {"parent", 0}}).status, 400);
  EXPECT_EQ(server.post(kQueue + "/jobs", {{"value", 1}, {"child_failure", "hope"}}).status, 400);
  EXPECT_EQ(server.get(kQueue).json()["ready"], 0);
}

TEST(QueueRoutes, JobsOfABatchKeepTheirOrderAndUniqueKeysHold) {
  TestServer server;
  const json sent = server
                        .post(kQueue + "/jobs/batch", {{"jobs",
                                                        {{{"value", 1}},
                                                         {{"bytes_base64", "/w=="}, {"unique_key", "u"}},
                                                         {{"value", 3}, {"unique_key", "u"}}}}})
                        .json()["jobs"];
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[2]["is_new"], false);
  EXPECT_EQ(sent[2]["id"], sent[1]["id"]);
  const json jobs = receive(server, {{"limit", 3}});
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0]["value"], 1);
  EXPECT_EQ(jobs[1]["bytes_base64"], "/w==");
  const json done = server
                        .post(kQueue + "/complete-many",
                              {{"leases", {lease_of(jobs[0]), lease_of(jobs[0]), lease_of(jobs[1])}}})
                        .json()["completed"];
  EXPECT_EQ(done, json({true, false, true}));
}

TEST(QueueRoutes, AFailureCanBeRetriedGivenBackOrFinal) {
  TestServer server;
  server.post(kQueue + "/jobs", {{"value", 1}, {"kind", "k"}});
  json job = receive(server)[0];
  EXPECT_EQ(server.post(kQueue + "/release", lease_of(job)).json(), json({{"released", true}}));
  job = receive(server)[0];
  EXPECT_EQ(job["attempt"], 1);
  EXPECT_EQ(server.post(kQueue + "/fail", with(lease_of(job), {{"error", "no"}, {"retry_in_ms", 0}}))
                .json()["state"],
            "ready");
  job = receive(server)[0];
  EXPECT_EQ(job["attempt"], 2);
  EXPECT_EQ(server.post(kQueue + "/fail", with(lease_of(job), {{"error", "never"}, {"is_permanent", true}}))
                .json()["state"],
            "dead");
  const json dead = server.get(kQueue + "/dead?kind=k&reason=permanent").json()["items"];
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0]["errors"][0]["text"], "no");
  EXPECT_EQ(dead[0]["errors"][1]["text"], "never");
  EXPECT_EQ(server.get(kQueue + "/dead?kind=other").json()["items"].size(), 0u);
  const std::string letter = kQueue + "/dead/" + job["id"].get<std::string>();
  EXPECT_EQ(server.request("POST", letter + "/requeue").json(), json({{"requeued", true}}));
  EXPECT_EQ(server.request("POST", letter + "/requeue").json(), json({{"requeued", false}}));
  job = receive(server)[0];
  server.post(kQueue + "/fail", with(lease_of(job), {{"is_permanent", true}}));
  EXPECT_EQ(server.post(kQueue + "/requeue-dead", {{"kind", "other"}}).json()["requeued"], 0);
  EXPECT_EQ(server.post(kQueue + "/requeue-dead", json::object()).json()["requeued"], 1);
  job = receive(server)[0];
  server.post(kQueue + "/fail", with(lease_of(job), {{"is_permanent", true}}));
  EXPECT_EQ(server.post(kQueue + "/purge-dead", {{"before_ms", 1}}).json()["purged"], 0);
  EXPECT_EQ(server.request("DELETE", letter).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kQueue).json()["dead"], 0);
}

TEST(QueueRoutes, ALeaseIsExtendedWithProgressAndLines) {
  TestServer server;
  server.post(kQueue + "/jobs", {{"value", 1}});
  const json job = receive(server, {{"lease_ms", 60'000}})[0];
  const std::string token =
      server
          .post(kQueue + "/extend",
                with(lease_of(job), {{"lease_ms", 120'000}, {"progress", 0.5}, {"log", {"half"}}}))
          .json()["token"];
  EXPECT_NE(token, job["token"].get<std::string>());
  EXPECT_EQ(server.post(kQueue + "/extend", with(lease_of(job), {{"progress", 1}})).status, 409);
  const json seen = server.get(kQueue + "/jobs/" + job["id"].get<std::string>()).json();
  EXPECT_EQ(seen["state"], "leased");
  EXPECT_EQ(seen["progress"], 0.5);
  EXPECT_EQ(seen["log"][0]["text"], "half");
  EXPECT_GT(seen["run_at_ms"], job["lease_ends_at_ms"]);
  EXPECT_EQ(server.post(kQueue + "/complete", {{"id", job["id"]}, {"token", token}}).status, 200);
  EXPECT_EQ(server.post(kQueue + "/extend", lease_of(job)).status, 400);
}

TEST(QueueRoutes, SettingsAreReadAndSetAndResultsKept) {
  TestServer server;
  json settings = server.get(kQueue + "/settings").json();
  EXPECT_EQ(settings["max_attempts"], 5);
  settings["keep_completed_ms"] = 60'000;
  settings["backoff_factor"] = 1.5;
  settings["weights"] = {{"a", 3}, {"b", 2}};
  EXPECT_EQ(server.request("PUT", kQueue + "/settings", settings.dump(), kJson).status, 200);
  EXPECT_EQ(server.get(kQueue + "/settings").json(), settings);
  settings["max_attempts"] = 0;
  EXPECT_EQ(server.request("PUT", kQueue + "/settings", settings.dump(), kJson).status, 400);
  server.post(kQueue + "/jobs", {{"value", 1}});
  const json job = receive(server)[0];
  server.post(kQueue + "/complete", with(lease_of(job), {{"value", {{"sum", 7}}}}));
  const json done = server.get(kQueue + "/jobs?state=completed").json()["items"];
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0]["result"]["value"]["sum"], 7);
  EXPECT_EQ(done[0]["value"], 1);
}

TEST(QueueRoutes, AQueueIsLookedAtPausedAndPurged) {
  TestServer server;
  const std::string id = server.post(kQueue + "/jobs", {{"value", 1}}).json()["id"];
  server.post(kQueue + "/jobs", {{"value", 2}, {"delay_ms", 60'000}});
  EXPECT_EQ(server.get("/v1/databases/db/queues").json()["items"][0]["name"], "mail/1");
  EXPECT_EQ(server.get("/v1/databases/db/queues?after=mail%2F1").json()["items"].size(), 0u);
  const json stats = server.get(kQueue).json();
  EXPECT_EQ(stats["ready"], 1);
  EXPECT_EQ(stats["delayed"], 1);
  EXPECT_EQ(server.get(kQueue + "/jobs").json()["items"][0]["id"], id);
  EXPECT_EQ(server.get(kQueue + "/jobs?state=nonsense").status, 400);
  EXPECT_EQ(server.request("POST", kQueue + "/pause").json(), json({{"is_paused", true}}));
  EXPECT_EQ(receive(server).size(), 0u);
  EXPECT_EQ(server.get(kQueue).json()["is_paused"], true);
  EXPECT_EQ(server.request("POST", kQueue + "/resume").json(), json({{"is_paused", false}}));
  EXPECT_EQ(server.request("DELETE", kQueue + "/jobs/" + id).json(), json({{"cancelled", true}}));
  EXPECT_EQ(server.request("DELETE", kQueue + "/jobs/" + id).json(), json({{"cancelled", false}}));
  EXPECT_EQ(server.request("POST", kQueue + "/purge").json(), json({{"purged", 1}}));
}

TEST(QueueRoutes, AReceiveThatWaitsIsAnsweredByTheJobThatComes) {
  TestServer server;
  HttpConnection waiting(server.port());
  const std::string body = R"({"wait_ms": 15000})";
  waiting.send(request_text("POST", kQueue + "/receive", body, kJson));
  server.post(kQueue + "/jobs", {{"value", 1}});
  EXPECT_EQ(waiting.receive().json()["items"][0]["value"], 1);
  // And with none when nothing comes.
  EXPECT_EQ(receive(server, {{"wait_ms", 20}}).size(), 0u);
  EXPECT_EQ(server.post(kQueue + "/receive", {{"wait_ms", 60'001}}).status, 400);
}

TEST(QueueRoutes, ManyWaitAtOnceAndEachJobIsGivenOnce) {
  TestServer server;
  constexpr int kWorkers = 100;
  std::mutex mutex;
  std::multiset<int> seen;
  std::vector<std::thread> workers;
  std::atomic<int> left = 200;
  for (int i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      HttpConnection connection(server.port());
      while (left > 0) {
        const json jobs =
            connection.request("POST", kQueue + "/receive", R"({"wait_ms": 200, "limit": 2})", kJson)
                .json()["items"];
        for (const json& job : jobs) {
          EXPECT_EQ(connection.request("POST", kQueue + "/complete", lease_of(job).dump(), kJson).status,
                    200);
          --left;
          const std::scoped_lock lock(mutex);
          seen.insert(job["value"].get<int>());
        }
      }
    });
  }
  for (int i = 0; i < 200; ++i) server.post(kQueue + "/jobs", {{"value", i}});
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(seen.size(), 200u);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 200u);
}

/// Returns when one request waits for jobs.
void until_one_waits(TestServer& server) {
  while (server.get("/metrics").body.find("holdfast_http_waiting 1") == std::string::npos) {
  }
}

TEST(QueueRoutes, AJobIsGivenBackWhoseReceiverHasGone) {
  TestServer server;
  auto gone = std::make_unique<HttpConnection>(server.port());
  gone->send(request_text("POST", kQueue + "/receive", R"({"wait_ms": 60000})", kJson));
  until_one_waits(server);
  gone.reset();
  server.post(kQueue + "/jobs", {{"value", 1}});
  const json jobs = receive(server, {{"wait_ms", 60'000}});
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["attempt"], 1);
}

TEST(QueueRoutes, ThoseThatWaitAreAnsweredWhenTheServerEnds) {
  auto server = std::make_unique<TestServer>();
  HttpConnection waiting(server->port());
  waiting.send(request_text("POST", kQueue + "/receive", R"({"wait_ms": 60000})", kJson));
  until_one_waits(*server);
  EXPECT_TRUE(server->server().drain(std::chrono::seconds(10)));
  EXPECT_EQ(waiting.receive().json()["items"].size(), 0u);
}

}  // namespace
}  // namespace holdfast::testing_support
