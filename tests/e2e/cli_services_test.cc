// holdfast kv, events ...: the services, and what measures and proves a store.

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "e2e/cli_fixture.h"

namespace holdfast::e2e {
namespace {

class CliServices : public Cli {};

// --- kv ---

TEST_F(CliServices, KeepsDocumentsStringsAndBytesInKv) {
  output({"kv", "set", "number", "1.10"});
  output({"kv", "set", "string", "hello"});
  output({"kv", "set", "digits", "12", "--string"});
  output({"kv", "set", "bytes", "--bytes", "--file", "-"}, "\xFF\x01");
  output({"kv", "set", "document", "--file", "-"}, "{ \"a\" : [1, 2] }");
  EXPECT_EQ(output({"kv", "get", "number"}), "1.10");
  EXPECT_EQ(output({"kv", "get", "string"}), "\"hello\"");
  EXPECT_EQ(output({"kv", "get", "digits"}), "\"12\"");
  EXPECT_EQ(output({"kv", "get", "bytes"}), "\xFF\x01");
  EXPECT_EQ(output({"kv", "get", "document"}), "{\"a\":[1,2]}");
  EXPECT_EQ(rows({"kv", "get", "document"}).at(0)["value"]["a"][1], 2);
  EXPECT_EQ(rows({"kv", "get", "bytes"}).at(0)["value64"], "/wE=");
}

TEST_F(CliServices, SetsInKvOnlyWhereTheConditionHolds) {
  output({"kv", "set", "key", "1", "--if-absent"});
  expect_error(run({"kv", "set", "key", "2", "--if-absent"}), Code::conflict, "nothing was changed");
  const std::uint64_t version = rows({"kv", "get", "key"}).at(0)["version"];
  output({"kv", "set", "key", "3", "--if-version", std::to_string(version)});
  expect_error(run({"kv", "set", "key", "4", "--if-version", std::to_string(version)}), Code::conflict, "");
  EXPECT_EQ(output({"kv", "get", "key"}), "3");
}

TEST_F(CliServices, CountsExpiresListsAndDeletesInKv) {
  EXPECT_EQ(rows({"kv", "increment", "visits"}).at(0)["value"], 1);
  EXPECT_EQ(rows({"kv", "increment", "visits", "--by", "-3"}).at(0)["value"], -2);
  output({"kv", "set", "text", "hello", "--ttl", "1h"});
  expect_error(run({"kv", "increment", "text"}), Code::invalid_argument, "");
  EXPECT_FALSE(rows({"kv", "get", "text"}).at(0)["expires_at_ms"].is_null());
  output({"kv", "expire", "text", "--never"});
  EXPECT_TRUE(rows({"kv", "get", "text"}).at(0)["expires_at_ms"].is_null());
  expect_error(run({"kv", "expire", "nothing", "--ttl", "1s"}), Code::not_found, "");
  expect_usage(run({"kv", "expire", "text"}), "--ttl TIME or --never");
  EXPECT_EQ(rows({"kv", "list"}).size(), 2u);
  EXPECT_EQ(rows({"kv", "list", "t"}).at(0)["key"], "text");
  EXPECT_EQ(rows({"kv", "list", "--reverse", "--limit", "1"}).at(0)["key"], "visits");
  EXPECT_EQ(rows({"kv", "delete", "text", "nothing"}).at(0)["deleted"], 1);
  expect_error(run({"kv", "get", "text"}), Code::not_found, "");
  expect_error(run({"kv", "get", "text", "visits"}), Code::not_found, "1 of 2");
}

TEST_F(CliServices, KeepsKvOfDifferentPrefixesApart) {
  output({"kv", "set", "key", "1", "--prefix", "one"});
  expect_error(run({"kv", "get", "key"}), Code::not_found, "");
  EXPECT_EQ(output({"kv", "get", "key", "--prefix", "one"}), "1");
  expect_error(run({"kv", "get", "key", "--prefix", "!mine"}), Code::invalid_argument, "");
  expect_error(run({"kv", "set", std::string(1'025, 'k'), "1"}), Code::invalid_argument, "1024");
}

TEST_F(CliServices, ListsMoreThanOnePage) {
  for (int i = 0; i < 3; ++i) output({"kv", "set", "key" + std::to_string(i), "1"});
  EXPECT_EQ(rows({"kv", "list", "--limit", "2"}).size(), 2u);
  EXPECT_EQ(rows({"kv", "list", "--limit", "0"}).size(), 3u);
}

// --- events ---

TEST_F(CliServices, AppendsListsAndReadsEvents) {
  const std::string first = rows({"events", "append", "orders", "{\"item\":1}"}).at(0)["id"];
  const std::string second = rows({"events", "append", "orders", "{\"item\":2}"}).at(0)["id"];
  EXPECT_LT(first, second);
  EXPECT_EQ(rows({"events", "list", "orders"}).at(1)["payload"]["item"], 2);
  EXPECT_EQ(rows({"events", "list", "orders", "--after", first}).size(), 1u);
  EXPECT_EQ(rows({"events", "list", "orders", "--reverse", "--limit", "1"}).at(0)["id"], second);
  EXPECT_EQ(rows({"events", "streams"}).at(0)["stream"], "orders");
  expect_error(run({"events", "list", "orders", "--after", "nonsense"}), Code::invalid_argument, "");
}

TEST_F(CliServices, MovesAConsumerBehindWhatItHasRead) {
  for (int i = 0; i < 3; ++i) output({"events", "append", "orders", std::to_string(i)});
  EXPECT_EQ(rows({"events", "read", "orders", "billing", "--limit", "2"}).size(), 2u);
  EXPECT_EQ(rows({"events", "read", "orders", "billing", "--limit", "2", "--commit"}).size(), 2u);
  const std::vector<Json> rest = rows({"events", "read", "orders", "billing"});
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0]["payload"], 2);
  EXPECT_EQ(rows({"events", "consumers", "orders"}).at(0)["lag"], 1);
  const std::string first = rows({"events", "list", "orders"}).at(0)["id"];
  expect_error(run({"events", "commit", "orders", "billing", first}), Code::conflict, "--backwards");
  output({"events", "commit", "orders", "billing", first, "--backwards"});
  EXPECT_EQ(rows({"events", "consumers", "orders"}).at(0)["lag"], 2);
}

TEST_F(CliServices, FollowsAStreamUntilItIsInterrupted) {
  output({"events", "append", "orders", "1"});
  Program follow = start({"events", "follow", "orders", "--all"});
  EXPECT_TRUE(follow.wait_for_output("\t1\n"));
  output({"events", "append", "orders", "2"});
  EXPECT_TRUE(follow.wait_for_output("\t2\n"));
  follow.send(SIGINT);
  EXPECT_EQ(follow.wait().exit, cli::kExitInterrupted);
  EXPECT_EQ(rows({"events", "follow", "orders", "--all", "--count", "1"}).size(), 1u);
}

TEST_F(CliServices, PrunesAndDeletesStreams) {
  for (int i = 0; i < 5; ++i) output({"events", "append", "orders", std::to_string(i)});
  EXPECT_EQ(rows({"events", "prune", "orders", "--max-count", "2"}).at(0)["removed"], 3);
  expect_usage(run({"events", "delete", "orders"}), "--yes");
  output({"events", "delete", "orders", "--yes"});
  EXPECT_TRUE(rows({"events", "list", "orders"}).empty());
  expect_error(run({"events", "delete", "orders", "--yes"}), Code::not_found, "stream");
}

// --- queue, schedules ---

TEST_F(CliServices, TakesAJobThroughItsLife) {
  const std::string id = rows({"queue", "send", "mail", "{\"to\":\"ann\"}", "--kind", "welcome"}).at(0)["id"];
  EXPECT_EQ(rows({"queue", "peek", "mail"}).at(0)["id"], id);
  const Json first = rows({"queue", "receive", "mail"}).at(0);
  EXPECT_EQ(first["body"]["to"], "ann");
  EXPECT_TRUE(rows({"queue", "receive", "mail"}).empty());
  const std::string token =
      rows({"queue", "extend", "mail", id, first["token"], "--percent", "40", "--log", "started"})
          .at(0)["token"];
  expect_error(run({"queue", "complete", "mail", id, first["token"]}), Code::conflict, "lease");
  EXPECT_EQ(rows({"queue", "get", "mail", id}).at(0)["log"][0]["text"], "started");
  expect_usage(run({"queue", "extend", "mail", id, token, "--percent", "101"}), "0 to 100");
  EXPECT_EQ(rows({"queue", "fail", "mail", id, token, "no route", "--retry-in", "0"}).at(0)["state"],
            "ready");
  const Json second = rows({"queue", "receive", "mail"}).at(0);
  EXPECT_EQ(second["attempt"], 2);
  output({"queue", "settings", "set", "mail", "--keep-completed", "1h"});
  output({"queue", "complete", "mail", id, second["token"], "{\"sent\":true}"});
  const Json done = rows({"queue", "list", "mail", "--state", "completed"}).at(0);
  EXPECT_EQ(done["result"]["sent"], true);
  EXPECT_EQ(done["errors"][0]["text"], "no route");
  EXPECT_EQ(rows({"queue", "stats", "mail"}).at(0)["completed"], 1);
}

TEST_F(CliServices, SendsABodyFromTheStandardInputAndAtAnInstant) {
  output({"queue", "send", "mail", "--file", "-", "--run-at", "2100-01-31T09:30:00.250Z"}, "{ \"a\" : 1 }");
  const Json job = rows({"queue", "list", "mail", "--state", "delayed"}).at(0);
  EXPECT_EQ(job["body"]["a"], 1);
  EXPECT_EQ(job["run_at_ms"], 4'105'071'000'250);
  for (const char* nonsense :
       {"tomorrow", "2100-02-30T09:30:00Z", "2100-01-31T09:30:00", "2100-01-31T24:00:00Z"}) {
    expect_usage(run({"queue", "send", "mail", "1", "--run-at", nonsense}), "2026-01-31T09:30:00Z");
  }
  expect_error(run({"queue", "send", "mail", "1", "--run-at", "1", "--delay", "1s"}), Code::invalid_argument,
               "");
}

TEST_F(CliServices, KeepsSettingsOfQueuesThatAreNotGiven) {
  output(
      {"queue", "settings", "set", "mail", "--max-attempts", "9", "--weight", "ann=3", "--weight", "ben=2"});
  output({"queue", "settings", "set", "mail", "--backoff-factor", "1.5"});
  const Json set = rows({"queue", "settings", "get", "mail"}).at(0);
  EXPECT_EQ(set["max_attempts"], 9);
  EXPECT_EQ(set["backoff_factor"], 1.5);
  EXPECT_EQ(set["weights"], Json::parse(R"({"ann":3,"ben":2})"));
  output({"queue", "settings", "set", "mail", "--reset"});
  EXPECT_EQ(rows({"queue", "settings", "get", "mail"}).at(0)["max_attempts"], 5);
  expect_usage(run({"queue", "settings", "set", "mail", "--weight", "ann"}), "TENANT=NUMBER");
  expect_usage(run({"queue", "settings", "set", "mail", "--backoff-factor", "much"}), "number");
}

TEST_F(CliServices, SendsAJobBehindOthersThatItWaitsFor) {
  const std::string id = rows({"queue", "send", "pages", "join", "--child", "{\"n\":1}", "--child", "two",
                               "--child-kind", "page", "--child-failure", "die"})
                             .at(0)["id"];
  const Json blocked = rows({"queue", "list", "pages", "--state", "blocked"}).at(0);
  EXPECT_EQ(blocked["id"], id);
  EXPECT_EQ(blocked["child_failure"], "die");
  EXPECT_EQ(blocked["waits_for"], blocked["children"]);
  EXPECT_EQ(rows({"queue", "stats", "pages"}).at(0)["blocked"], 1);
  const std::vector<Json> parts = rows({"queue", "receive", "pages", "--limit", "5"});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0]["body"], Json({{"n", 1}}));
  EXPECT_EQ(parts[1]["body"], "two");
  EXPECT_EQ(rows({"queue", "get", "pages", parts[1]["id"]}).at(0)["parent"], id);
  for (const Json& part : parts) {
    EXPECT_EQ(part["kind"], "page");
    output({"queue", "complete", "pages", part["id"], part["token"]});
  }
  const Json join = rows({"queue", "receive", "pages"}).at(0);
  EXPECT_EQ(join["id"], id);
  EXPECT_EQ(join["children"], blocked["children"]);
}

TEST_F(CliServices, RequeuesAndPurgesDeadLetters) {
  for (const char* kind : {"a", "b"}) {
    output({"queue", "send", "mail", "1", "--kind", kind});
    const Json job = rows({"queue", "receive", "mail"}).at(0);
    output({"queue", "fail", "mail", job["id"], job["token"], "--permanent"});
  }
  EXPECT_EQ(rows({"queue", "dead", "list", "mail", "--kind", "b"}).size(), 1u);
  EXPECT_EQ(rows({"queue", "dead", "requeue", "mail", "--kind", "b"}).at(0)["requeued"], 1);
  expect_usage(run({"queue", "dead", "purge", "mail"}), "--yes");
  EXPECT_EQ(rows({"queue", "dead", "purge", "mail", "--yes"}).at(0)["removed"], 1);
  output({"queue", "pause", "mail"});
  EXPECT_TRUE(rows({"queue", "receive", "mail"}).empty());
  output({"queue", "resume", "mail"});
  EXPECT_EQ(rows({"queue", "receive", "mail"}).at(0)["kind"], "b");
}

TEST_F(CliServices, PreviewsPausesAndRunsSchedules) {
  const std::vector<Json> ticks = rows({"schedules", "ticks", "--cron", "30 9 * * MON", "--time-zone",
                                        "Europe/Berlin", "--count", "2", "--after", "2026-01-01T00:00:00Z"});
  ASSERT_EQ(ticks.size(), 2u);
  EXPECT_EQ(ticks[0]["at_ms"], 1'767'601'800'000);
  output({"schedules", "put", "often", "mail", "{\"n\":1}", "--every", "1s", "--kind", "tick"});
  output({"schedules", "pause", "often"});
  EXPECT_EQ(rows({"schedules", "list"}).at(0)["is_paused"], true);
  output({"schedules", "resume", "often"});
  while (rows({"schedules", "run"}).at(0)["sent"] == 0) {
  }
  EXPECT_EQ(rows({"queue", "receive", "mail"}).at(0)["kind"], "tick");
  expect_usage(run({"schedules", "ticks"}), "--cron or --every");
  expect_usage(run({"schedules", "put", "often", "mail", "--every", "1s", "--cron", "@daily"}), "--cron or");
}

// --- tables, import pikodb ---

TEST_F(CliServices, WritesReadsAndListsTables) {
  EXPECT_EQ(rows({"tables", "write", "users", "anna", "{\"age\":41}"}).at(0)["version"], 1);
  EXPECT_EQ(rows({"tables", "write", "users", "anna", "{\"age\":42}"}).at(0)["version"], 2);
  output({"tables", "write", "users", "ben", "\"b\"", "--ttl", "1h"});
  EXPECT_EQ(output({"tables", "get", "users", "anna"}), "{\"age\":42}");
  EXPECT_FALSE(rows({"tables", "get", "users", "ben"}).at(0)["expires_at_ms"].is_null());
  EXPECT_EQ(rows({"tables", "list", "users"}).size(), 2u);
  EXPECT_EQ(rows({"tables", "list", "users", "b"}).at(0)["key"], "ben");
  EXPECT_EQ(rows({"tables", "ls"}).at(0)["records"], 2);
  expect_error(run({"tables", "write", "users", "anna", "1", "--if-version", "1"}), Code::conflict, "");
  expect_error(run({"tables", "delete", "users", "anna", "--if-version", "1"}), Code::conflict, "");
  output({"tables", "delete", "users", "anna"});
  expect_error(run({"tables", "delete", "users", "anna"}), Code::not_found, "");
  expect_error(run({"tables", "get", "users", "anna"}), Code::not_found, "");
  expect_error(run({"tables", "write", "a/b", "key", "1"}), Code::invalid_argument, "");
  output({"tables", "dictionary", "add", "person", "--file", "-", "--inflate"}, R"({"a":"age"})");
  EXPECT_EQ(output({"tables", "dictionary", "get", "person"}), "{\"age\":\"a\"}\n");
  output({"tables", "write", "users", "cleo", "{\"age\":43}", "--dictionary", "person"});
  output({"tables", "dictionary", "remove", "person"});
  EXPECT_TRUE(rows({"tables", "dictionary", "list"}).empty());
  EXPECT_EQ(output({"tables", "get", "users", "cleo"}), "{\"age\":43}");
  expect_error(run({"tables", "write", "users", "dan", "{}", "--dictionary", "person"}),
               Code::invalid_argument, "not found");
  expect_usage(run({"tables", "dictionary", "add", "person"}), "NAMES");
  expect_usage(run({"tables", "dictionary"}), "remove");
  expect_usage(run({"tables", "dictionary", "gte"}), "did you mean \"get\"?");
  EXPECT_EQ(rows({"tables", "cleanup"}).at(0)["removed"], 0);
  expect_usage(run({"tables", "drop", "users"}), "--yes");
  output({"tables", "drop", "users", "--yes"});
  EXPECT_TRUE(rows({"tables", "ls"}).empty());
}

TEST_F(CliServices, TakesOverAPikodbFolderAndSaysWhatItCouldNotRead) {
  std::filesystem::create_directory(path("piko"));
  write_file("piko/users", R"([["anna",{"d":{"age":41},"v":3,"t":1700000000000,"x":null}]])");
  write_file("piko/broken", R"([["ben",{"d":)");
  const Ended ended = run({"import", "pikodb", "piko", "--json"});
  EXPECT_EQ(ended.exit, cli::kExitNo);
  EXPECT_NE(ended.err.find("broken: "), std::string::npos) << ended.err;
  const Json anna = rows({"tables", "get", "users", "anna"}).at(0);
  EXPECT_EQ(anna["version"], 3);
  EXPECT_EQ(anna["value"]["age"], 41);
  std::filesystem::remove(path("piko/broken"));
  EXPECT_EQ(rows({"import", "pikodb", "piko"}).at(0)["kept"], 1);
}

TEST_F(CliServices, RefusesAPikodbFolderThatIsNotThere) {
  expect_error(run({"import", "pikodb", "nowhere"}), Code::not_found, "nowhere");
  expect_usage(run({"import", "pikodb"}), "FOLDER is missing");
}

// --- serve ---

TEST_F(CliServices, ServesUntilItIsInterrupted) {
  Program serve = start({"serve", "--listen", "127.0.0.1:0"});
  ASSERT_TRUE(serve.wait_for_output("/v1/databases/demo/watch")) << serve.err_so_far();
  const std::string out = serve.out_so_far();
  const std::size_t at = out.find("http://");
  const std::string url = out.substr(at, out.find('\n', at) - at);
  const std::string command =
      "curl -s -X PUT -d hello " + url + "/v1/databases/agents/entries/greeting > " + path("answer");
  EXPECT_EQ(std::system(command.c_str()), 0);
  serve.send(SIGINT);
  EXPECT_EQ(serve.wait().exit, 0);
  EXPECT_EQ(output({"db", "get", "greeting"}), "hello");
}

TEST_F(CliServices, RefusesSettingsThatMakeNoSense) {
  expect_usage(run({"serve", "--worker-thread", "3"}), "did you mean \"--worker-threads\"?");
  expect_error(run({"serve", "--listen", "nowhere"}), Code::invalid_argument, "");
  write_file("holdfast.toml", "[server]\nworker_thread = 3\n");
  expect_error(run({"serve"}), Code::invalid_argument, "worker_threads");
}

TEST_F(CliServices, MakesTokens) {
  const Json token = rows({"token", "ci", "read:*"}).at(0);
  EXPECT_NE(token["token"], "");
  EXPECT_NE(token["line"].get<std::string>().find("ci"), std::string::npos);
  EXPECT_EQ(token["line"].get<std::string>().find(token["token"].get<std::string>()), std::string::npos);
  expect_error(run({"token", "ci", "everything"}), Code::invalid_argument, "");
}

// --- bench and conformance ---

TEST_F(CliServices, MeasuresAStoreAndLeavesNothingBehind) {
  output({"db", "put", "key", "value"});
  const std::vector<Json> measured = rows({"bench", "--time", "50ms", "--threads", "2"});
  ASSERT_EQ(measured.size(), 4u);
  for (const Json& row : measured) {
    EXPECT_GT(row["operations"], 0) << row;
    EXPECT_LE(row["p50_us"], row["p99_us"]) << row;
  }
  EXPECT_EQ(rows({"db", "ls"}).size(), 1u);
  EXPECT_EQ(rows({"bench", "memory:", "--time", "10ms"}).size(), 4u);
  expect_usage(run({"bench", "--threads", "0"}), "--threads must be 1 to 256");
  expect_usage(run({"bench", "--time", "0s"}), "--time must be a time");
}

TEST_F(CliServices, ProvesAStoreByTheConformanceSuite) {
  const std::vector<Json> results = rows({"conformance", "sqlite://{}/store.db", "--filter", "s4_1"});
  ASSERT_GE(results.size(), 2u);
  EXPECT_EQ(results.back()["failed"], 0);
  EXPECT_EQ(results.back()["passed"], results.size() - 1);
  expect_usage(run({"conformance", "memory:", "--filter", "no such case"}), "no case has such a name");
  output({"db", "put", "key", "value"});
  expect_error(run({"conformance", "sqlite:store.db", "--filter", "s4_1"}), Code::already_exists,
               "not empty");
}

TEST_F(CliServices, FailsTheConformanceSuiteWithAStoreThatBreaksItsPromises) {
  const Ended ended =
      run({"conformance", "faulty+memory:?faulty_error_per_mille=100&faulty_seed=3", "--filter", "s2_"});
  EXPECT_EQ(ended.exit, cli::kExitNo);
  EXPECT_NE(ended.out.find("failed "), std::string::npos) << ended.out;
}

}  // namespace
}  // namespace holdfast::e2e
