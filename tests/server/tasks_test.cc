// Tasks over real sockets, and engines that run them beside the server.
#include "holdfast/tasks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "holdfast/task_engine.h"
#include "tests/server/client.h"
#include "tests/support/failing_tasks.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

const std::string kDatabase = "/v1/databases/db";
const std::string kTasks = kDatabase + "/tasks";
const std::string kNoTask(32, '0');

std::string add_task(TestServer& server, const json& task) {
  const json answer = server.post(kTasks, task).json();
  EXPECT_EQ(answer.value("is_new", false), true) << answer;
  return answer.value("id", "");
}

std::vector<std::string> ids_of(const json& listing) {
  std::vector<std::string> ids;
  for (const json& task : listing["items"]) ids.push_back(task["id"]);
  return ids;
}

Tasks tasks_of(TestServer& server) { return Tasks(server.store().database("db")); }

TEST(TaskRoutes, ATaskIsAddedSeenAndCancelled) {
  TestServer server;
  const std::string id =
      add_task(server, {{"type", "prove"}, {"value", {{"set", 7}}}, {"unique_key", "set-7"}});
  EXPECT_EQ(server.post(kTasks, {{"type", "prove"}, {"unique_key", "set-7"}}).json(),
            json({{"is_new", false}}));
  const json task = server.get(kTasks + "/" + id).json();
  EXPECT_EQ(task["id"], id);
  EXPECT_EQ(task["type"], "prove");
  EXPECT_EQ(task["state"], "waiting");
  EXPECT_EQ(task["value"], json({{"set", 7}}));
  EXPECT_EQ(task["unique_key"], "set-7");
  EXPECT_EQ(task["attempts"], 0);
  EXPECT_FALSE(task.contains("session"));
  EXPECT_EQ(server.get(kTasks).json()["items"], json::array({task}));

  EXPECT_EQ(server.request("DELETE", kTasks + "/" + id).json(), json({{"cancelled", true}}));
  EXPECT_EQ(server.request("DELETE", kTasks + "/" + id).json(), json({{"cancelled", false}}));
  EXPECT_EQ(server.get(kTasks + "/" + id).status, 404);
  add_task(server, {{"type", "prove"}, {"unique_key", "set-7"}});
}

TEST(TaskRoutes, ABodyIsADocumentAsItWasGivenOrBytesOrNull) {
  TestServer server;
  const auto text_of_task = [&](const std::string& id) { return server.get(kTasks + "/" + id).body; };
  const HttpAnswer added = server.request("POST", kTasks, R"({"type": "t", "value": 1.10})", kJson);
  EXPECT_NE(text_of_task(added.json()["id"]).find("\"value\":1.10"), std::string::npos);
  const std::string bytes = add_task(server, {{"type", "t"}, {"bytes_base64", "/wE="}});
  EXPECT_EQ(server.get(kTasks + "/" + bytes).json()["bytes_base64"], "/wE=");
  const std::string nothing = add_task(server, {{"type", "t"}});
  EXPECT_TRUE(server.get(kTasks + "/" + nothing).json().at("value").is_null());
}

TEST(TaskRoutes, TasksAreListedByStateAndTypeInPages) {
  TestServer server;
  const std::string late = add_task(server, {{"type", "b/1"}, {"delay_ms", 7'200'000}});
  const std::string soon = add_task(server, {{"type", "b/1"}, {"delay_ms", 3'600'000}});
  const std::string other = add_task(server, {{"type", "a"}, {"previous", soon}});
  using Ids = std::vector<std::string>;
  EXPECT_EQ(ids_of(server.get(kTasks).json()), (Ids{other, soon, late}));
  EXPECT_EQ(ids_of(server.get(kTasks + "?type=b%2F1&reverse=true").json()), (Ids{late, soon}));
  EXPECT_EQ(ids_of(server.get(kTasks + "?state=dead").json()), Ids{});
  EXPECT_EQ(server.get(kTasks + "/" + other).json()["previous"], soon);
  const json first = server.get(kTasks + "?limit=2").json();
  EXPECT_EQ(ids_of(first), (Ids{other, soon}));
  const std::string cursor = first["cursor"];
  EXPECT_EQ(ids_of(server.get(kTasks + "?limit=2&cursor=" + cursor).json()), (Ids{late}));
  EXPECT_EQ(server.get(kDatabase + "/task-types").json()["items"],
            json::parse(R"([{"type":"a","waiting":1,"running":0,"dead":0},
                            {"type":"b/1","waiting":2,"running":0,"dead":0}])"));
  EXPECT_EQ(server.get(kDatabase + "/task-stats").json(),
            json::parse(R"({"waiting":3,"running":0,"dead":0})"));
}

TEST(TaskRoutes, ADeadTaskShowsItsAttemptsAndIsRevivedOrErased) {
  TestServer server;
  const std::string id = add_task(server, {{"type", "prove"}, {"unique_key", "k"}});
  const std::string dead = kDatabase + "/dead-tasks/" + id;
  fail_all_tasks(tasks_of(server), "prove");
  const json task = server.get(kTasks + "/" + id).json();
  EXPECT_EQ(task["state"], "dead");
  EXPECT_EQ(task["error"], "broken");
  EXPECT_TRUE(task.contains("died_at_ms"));
  EXPECT_EQ(server.get(kTasks + "?state=dead").json()["items"], json::array({task}));
  const json attempts = server.get(kTasks + "/" + id + "/history").json()["items"];
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_EQ(attempts[1]["number"], 2);
  EXPECT_EQ(attempts[1]["result"], "failed");
  EXPECT_EQ(attempts[1]["error"], "broken");
  EXPECT_EQ(server.get(kDatabase + "/task-history").json()["items"], attempts);

  const std::string holder = add_task(server, {{"type", "prove"}, {"unique_key", "k"}});
  EXPECT_EQ(server.request("POST", dead + "/revive").status, 409);
  server.request("DELETE", kTasks + "/" + holder);
  EXPECT_EQ(server.request("POST", dead + "/revive").json(), json({{"revived", true}}));
  EXPECT_EQ(server.request("POST", dead + "/revive").json(), json({{"revived", false}}));
  EXPECT_EQ(server.get(kTasks + "/" + id).json()["retries"], 0);
  EXPECT_EQ(server.request("DELETE", dead).json(), json({{"erased", false}}));
  fail_all_tasks(tasks_of(server), "prove");
  EXPECT_EQ(server.request("DELETE", dead).json(), json({{"erased", true}}));
  EXPECT_EQ(server.get(kTasks + "/" + id).status, 404);
  EXPECT_EQ(server.get(kTasks + "/" + id + "/history").json()["items"].size(), 4u);
}

TEST(TaskRoutes, WhatRunsHasASession) {
  TestServer server;
  const std::string id = add_task(server, {{"type", "prove"}});
  std::atomic<bool> is_over = false;
  const auto work = [&](TaskWork&) {
    while (!is_over) std::this_thread::yield();
    return true;
  };
  TaskEngine engine(Tasks(server.store().database("db")), {{.name = "prove", .run = work}});
  while (engine.metrics().running == 0) std::this_thread::yield();
  const json task = server.get(kTasks + "?state=running").json()["items"].at(0);
  EXPECT_EQ(task["id"], id);
  EXPECT_EQ(task["session"], engine.session());
  EXPECT_TRUE(task.contains("started_at_ms"));
  const json sessions = server.get(kDatabase + "/task-sessions").json()["items"];
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0]["id"], engine.session());
  EXPECT_EQ(sessions[0]["is_over"], false);
  EXPECT_GT(sessions[0]["lease_ends_at_ms"], sessions[0]["started_at_ms"]);
  is_over = true;
  EXPECT_TRUE(engine.stop(std::chrono::minutes(1)));
  EXPECT_EQ(server.get(kTasks + "/" + id).status, 404);
  EXPECT_EQ(server.get(kTasks + "/" + id + "/history").json()["items"].at(0)["result"], "done");
  EXPECT_EQ(server.get(kDatabase + "/task-sessions").json()["items"], json::array());
}

TEST(TaskRoutes, OldAttemptsAreTrimmed) {
  TestServer server;
  add_task(server, {{"type", "prove"}});
  fail_all_tasks(tasks_of(server), "prove");
  const std::string trim = kDatabase + "/task-history/trim";
  EXPECT_EQ(server.post(trim, {{"max_age_ms", 86'400'000}}).json(), json({{"removed", 0}}));
  EXPECT_EQ(server.post(trim, {{"max_attempts", 1}}).json(), json({{"removed", 1}}));
  const json left = server.get(kDatabase + "/task-history").json()["items"];
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0]["number"], 2);
}

TEST(TaskRoutes, AreRefusedWhatIsNoTask) {
  TestServer server;
  const std::string id = add_task(server, {{"type", "t"}});
  EXPECT_EQ(server.post(kTasks, {{"value", 1}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", ""}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", 7}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", std::string(101, 't')}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"value", 1}, {"bytes_base64", ""}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"bytes_base64", "?"}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"value", std::string(70'000, 'x')}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"unique_key", std::string(401, 'k')}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"delay_ms", -1}}).status, 400);
  EXPECT_EQ(server.post(kTasks, {{"type", "t"}, {"previous", "7"}}).status, 400);
  for (const std::string wrong : {"7", "019A8B2C3D4E0123456789ABCDEF0123", "%FF"}) {
    EXPECT_EQ(server.get(kTasks + "/" + wrong).status, 400) << wrong;
    EXPECT_EQ(server.get(kTasks + "/" + wrong + "/history").status, 400) << wrong;
    EXPECT_EQ(server.request("DELETE", kTasks + "/" + wrong).status, 400) << wrong;
    EXPECT_EQ(server.request("POST", kDatabase + "/dead-tasks/" + wrong + "/revive").status, 400) << wrong;
    EXPECT_EQ(server.request("DELETE", kDatabase + "/dead-tasks/" + wrong).status, 400) << wrong;
  }
  EXPECT_EQ(server.get(kTasks + "/" + kNoTask).status, 404);
  EXPECT_EQ(server.get(kTasks + "?state=done").status, 400);
  EXPECT_EQ(server.get(kTasks + "?type=").status, 400);
  EXPECT_EQ(server.get(kTasks + "?limit=1001").status, 400);
  EXPECT_EQ(server.post(kDatabase + "/task-history/trim", json::object()).status, 400);
  EXPECT_EQ(server.post(kDatabase + "/task-history/trim", {{"max_age_ms", -1}}).status, 400);
  EXPECT_EQ(ids_of(server.get(kTasks).json()), (std::vector<std::string>{id}));
}

}  // namespace
}  // namespace holdfast::testing_support
