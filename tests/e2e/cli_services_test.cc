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
