// holdfast tasks ...: what the commands say about tasks that real engines run.

#include <atomic>

#include "e2e/cli_fixture.h"
#include "e2e/task_engines.h"

namespace holdfast::e2e {
namespace {

const std::string kNoTask(32, '0');

class CliTasks : public Cli {
 protected:
  std::string add(const std::vector<std::string>& words) {
    std::vector<std::string> command = {"tasks", "add"};
    command.insert(command.end(), words.begin(), words.end());
    return rows(command).at(0)["id"];
  }
  void fail_all(const std::string& type) { fail_all_tasks(path("store.db"), type); }
};

TEST_F(CliTasks, AddsShowsAndCancels) {
  const std::string id = add({"prove", "{\"set\":7}", "--unique-key", "set-7"});
  const Json again = rows({"tasks", "add", "prove", "1", "--unique-key", "set-7"}).at(0);
  EXPECT_EQ(again["is_new"], false);
  EXPECT_TRUE(again["id"].is_null());
  const std::string later = add({"prove", "--delay", "1h", "--previous", id});
  const Json task = rows({"tasks", "get", id}).at(0);
  EXPECT_EQ(task["type"], "prove");
  EXPECT_EQ(task["state"], "waiting");
  EXPECT_EQ(task["body"]["set"], 7);
  EXPECT_EQ(task["unique_key"], "set-7");
  EXPECT_EQ(task["history"], Json::array());
  const Json delayed = rows({"tasks", "get", later}).at(0);
  EXPECT_EQ(delayed["previous"], id);
  EXPECT_TRUE(delayed["body"].is_null());
  EXPECT_EQ(delayed["due_at_ms"].get<UnixMs>() - delayed["added_at_ms"].get<UnixMs>(), 3'600'000);
  output({"tasks", "cancel", id});
  expect_error(run({"tasks", "get", id}), Code::not_found, "tasks history");
  expect_error(run({"tasks", "cancel", id}), Code::not_found, "waits or runs");
  EXPECT_EQ(rows({"tasks", "list"}).size(), 1u);
  EXPECT_EQ(rows({"tasks", "add", "prove", "1", "--unique-key", "set-7"}).at(0)["is_new"], true);
}

TEST_F(CliTasks, TakesBodiesAsTheyAreGiven) {
  EXPECT_EQ(rows({"tasks", "get", add({"t", "12", "--string"})}).at(0)["body"], "12");
  EXPECT_EQ(rows({"tasks", "get", add({"t", "1.10"})}).at(0)["body"].dump(), "1.1");
  write_file("body", "\xFF\x01");
  EXPECT_EQ(rows({"tasks", "get", add({"t", "--bytes", "--file", "body"})}).at(0)["body64"], "/wE=");
  write_file("large", std::string(limits::kTaskBodyBytes + 1, 'x'));
  expect_error(run({"tasks", "add", "t", "--bytes", "--file", "large"}), Code::invalid_argument, "65536");
}

TEST_F(CliTasks, ListsTypesAndTasksInTheOrderInWhichTheyAreDue) {
  const std::string late = add({"b/1", "--delay", "2h"});
  const std::string soon = add({"b/1", "--delay", "1h"});
  const std::string other = add({"a", "1"});
  const auto ids = [&](std::vector<std::string> words) {
    std::vector<std::string> found;
    for (const Json& task : rows(std::move(words))) found.push_back(task["id"]);
    return found;
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(ids({"tasks", "list"}), (Ids{other, soon, late}));
  EXPECT_EQ(ids({"tasks", "list", "--type", "b/1", "--reverse"}), (Ids{late, soon}));
  EXPECT_EQ(ids({"tasks", "list", "--limit", "1"}), (Ids{other}));
  EXPECT_EQ(output({"tasks", "types"}), "a\t1\t0\t0\nb/1\t2\t0\t0\n");
  EXPECT_EQ(rows({"tasks", "stats"}).at(0), Json::parse(R"({"waiting":3,"running":0,"dead":0})"));
}

TEST_F(CliTasks, ShowsWhatHasFailedForGoodAndRevivesIt) {
  const std::string id = add({"prove", "1"});
  fail_all("prove");
  const Json dead = rows({"tasks", "list", "--state", "dead"}).at(0);
  EXPECT_EQ(dead["id"], id);
  EXPECT_EQ(dead["error"], "broken");
  EXPECT_FALSE(dead["died_at_ms"].is_null());
  const Json history = rows({"tasks", "get", id}).at(0)["history"];
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[1]["number"], 2);
  EXPECT_EQ(history[1]["result"], "failed");
  EXPECT_EQ(history[1]["error"], "broken");
  expect_error(run({"tasks", "cancel", id}), Code::not_found, "");
  EXPECT_EQ(rows({"tasks", "revive", id}).at(0)["revived"], 1);
  const Json revived = rows({"tasks", "list"}).at(0);
  EXPECT_EQ(revived["id"], id);
  EXPECT_EQ(revived["retries"], 0);
  expect_error(run({"tasks", "revive", id}), Code::not_found, "dead");
}

TEST_F(CliTasks, RevivesAllDeadTasksButThoseWhoseUniqueKeyIsTaken) {
  const std::string keyed = add({"prove", "1", "--unique-key", "k"});
  add({"prove", "2"});
  add({"other", "3"});
  fail_all("prove");
  fail_all("other");
  add({"prove", "4", "--unique-key", "k"});
  expect_error(run({"tasks", "revive", keyed}), Code::already_exists, "unique key");
  EXPECT_EQ(rows({"tasks", "revive", "--type", "prove"}).at(0), Json::parse(R"({"revived":1,"left":1})"));
  EXPECT_EQ(rows({"tasks", "revive"}).at(0), Json::parse(R"({"revived":1,"left":1})"));
  output({"tasks", "delete", keyed});
  expect_error(run({"tasks", "delete", keyed}), Code::not_found, "dead");
  EXPECT_EQ(rows({"tasks", "history", keyed}).size(), 2u);
}

TEST_F(CliTasks, ShowsWhatRunsAndInWhichSession) {
  const std::string id = add({"prove", "1"});
  const std::shared_ptr<Store> store = store_in(path("store.db"));
  std::atomic<bool> is_over = false;
  const auto work = [&](TaskWork&) {
    while (!is_over) std::this_thread::yield();
    return true;
  };
  TaskEngine engine(Tasks(store->database("agents")), {{.name = "prove", .run = work}});
  while (engine.metrics().running == 0) std::this_thread::yield();
  const Json running = rows({"tasks", "list", "--state", "running"}).at(0);
  EXPECT_EQ(running["id"], id);
  EXPECT_EQ(running["session"], engine.session());
  EXPECT_FALSE(running["started_at_ms"].is_null());
  EXPECT_EQ(output({"tasks", "types"}), "prove\t0\t1\t0\n");
  const Json session = rows({"tasks", "sessions"}).at(0);
  EXPECT_EQ(session["id"], engine.session());
  EXPECT_EQ(session["is_over"], false);
  output({"tasks", "cancel", id});
  EXPECT_EQ(rows({"tasks", "stats"}).at(0)["running"], 0);
  is_over = true;
  EXPECT_TRUE(engine.stop(std::chrono::minutes(1)));
  EXPECT_TRUE(rows({"tasks", "sessions"}).empty());
}

TEST_F(CliTasks, ShowsAndTrimsTheHistoryOfAll) {
  const std::string first = add({"prove", "1"});
  fail_all("prove");
  const std::string second = add({"prove", "2"});
  fail_all("prove");
  EXPECT_EQ(rows({"tasks", "history"}).at(0)["task"], first);
  EXPECT_EQ(rows({"tasks", "history", "--reverse", "--limit", "1"}).at(0)["task"], second);
  EXPECT_EQ(rows({"tasks", "trim", "--max-age", "1d"}).at(0)["removed"], 0);
  EXPECT_EQ(rows({"tasks", "trim", "--max-attempts", "1"}).at(0)["removed"], 3);
  const std::vector<Json> left = rows({"tasks", "history"});
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0]["task"], second);
  EXPECT_EQ(left[0]["number"], 2);
}

TEST_F(CliTasks, SaysWhatIsWrongWithWhatItIsAskedFor) {
  expect_error(run({"tasks", "get", "7"}), Code::invalid_argument, "32");
  expect_error(run({"tasks", "history", "X"}), Code::invalid_argument, "32");
  EXPECT_TRUE(rows({"tasks", "history", kNoTask}).empty());
  expect_error(run({"tasks", "add", ""}), Code::invalid_argument, "type");
  expect_error(run({"tasks", "add", "t", "--previous", "7"}), Code::invalid_argument, "32");
  expect_error(run({"tasks", "add", "t", "--delay", "4000d"}), Code::invalid_argument, "ten years");
  expect_error(run({"tasks", "list", "--type", std::string(101, 't')}), Code::invalid_argument, "100");
  expect_usage(run({"tasks", "list", "--state", "done"}), "waiting");
  expect_usage(run({"tasks", "history", kNoTask, "--limit", "1"}), "without an ID");
  expect_usage(run({"tasks", "revive", kNoTask, "--type", "t"}), "not both");
  expect_usage(run({"tasks", "trim"}), "--max-age");
  expect_usage(run({"tasks", "trim", "--max-attempts", "0"}), "at least 1");
}

}  // namespace
}  // namespace holdfast::e2e
