// The program as its users meet it: every command, and what it says to input that is wrong.

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "cli/command_tree.h"
#include "e2e/cli_fixture.h"
#include "holdfast/objects.h"
#include "holdfast/store.h"

namespace holdfast::e2e {
namespace {

// --- The frame ---

TEST_F(Cli, PrintsItsVersion) { EXPECT_TRUE(output({"--version"}).starts_with("holdfast 0.")); }

TEST_F(Cli, HelpsWithEveryCommandAndGivesAnExample) {
  const cli::CommandTree tree = cli::command_tree();
  for (const cli::Command& command : tree.commands) {
    std::vector<std::string> words;
    std::istringstream split(command.path);
    for (std::string word; split >> word;) words.push_back(word);
    words.push_back("--help");
    const std::string help = output(words);
    EXPECT_TRUE(help.starts_with("holdfast " + command.path)) << help;
    EXPECT_NE(help.find("\nexamples:\n"), std::string::npos) << command.path;
    EXPECT_FALSE(command.summary.ends_with('.')) << command.path;
  }
}

TEST_F(Cli, ListsItsCommandsAndExitCodesInTheGeneralHelp) {
  const std::string help = output({"--help"});
  for (const cli::ExitCodeRow& row : cli::exit_codes()) {
    EXPECT_NE(help.find(std::to_string(row.exit_code)), std::string::npos);
    EXPECT_NE(help.find(row.name), std::string::npos) << row.name;
  }
  for (const std::string& word : cli::command_tree().words_after("")) {
    EXPECT_NE(help.find("\n  " + word), std::string::npos) << word;
  }
}

TEST_F(Cli, PrintsTheHelpAsAnErrorWhenNothingIsAskedFor) {
  expect_usage(run({}), "commands:");
  expect_usage(run({"db"}), "scan");
}

TEST_F(Cli, NamesTheNearestCommandAndOption) {
  expect_usage(run({"db", "scna"}), "unknown command \"scna\" of db; did you mean \"scan\"?");
  expect_usage(run({"dbb", "scan"}), "did you mean \"db\"?");
  expect_usage(run({"db", "scan", "--limt", "3"}), "did you mean \"--limit\"?");
  expect_usage(run({"--jsn", "db", "ls"}), "did you mean \"--json\"?");
}

TEST_F(Cli, ListsTheCommandsWhereNoneIsNear) {
  expect_usage(run({"db", "explode"}), "unknown command \"explode\" of db; known are: get, put");
}

TEST_F(Cli, HelpsAlsoWhereHelpIsAskedForInAWord) {
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"help", "db"}).out, run({"db", "--help"}).out);
  EXPECT_EQ(run({"help", "db", "scan"}).out, run({"db", "scan", "--help"}).out);
  EXPECT_EQ(run({"help", "db"}).exit, 0);
}

TEST_F(Cli, SaysWhichOptionLacksItsValue) { expect_usage(run({"--store"}), "--store needs a value"); }

TEST_F(Cli, SaysWhichArgumentIsMissingOrTooMuch) {
  expect_usage(run({"db", "get"}), "KEY is missing");
  expect_usage(run({"db", "put", "a", "b", "c"}), "takes no further argument");
  expect_usage(run({"db", "scan", "--limit", "many"}), "--limit must be a number");
  expect_usage(run({"db", "scan", "--limit", "-1"}), "--limit must be a number");
  expect_usage(run({"db", "put", "a", "b", "--ttl", "soon"}), "--ttl must be a time such as");
  expect_usage(run({"db", "put", "a", "b", "--ttl", "99999999999999999999d"}),
               "--ttl must be a time such as");
  expect_usage(run({"db", "scan", "--limit", "1", "--limit", "2"}), "--limit");
  expect_usage(run({"completion", "powershell"}), "known are: bash, zsh");
}

TEST_F(Cli, AsksForStoreAndDatabaseWhereTheyAreNotNamed) {
  settings_.erase("HOLDFAST_DB");
  expect_usage(run({"db", "scan"}), "--db NAME or set HOLDFAST_DB");
  settings_.erase("HOLDFAST_STORE");
  expect_usage(run({"db", "ls"}), "--store URL or set HOLDFAST_STORE");
}

TEST_F(Cli, MakesNoStoreWhereTheCommandLineMakesNoSense) {
  const std::string store = "sqlite:" + path("unmade.db");
  settings_.erase("HOLDFAST_DB");
  expect_usage(run({"--store", store, "kv", "get", "a"}), "which database?");
  for (const char* service : {"kv", "records"}) {
    const std::string verb = std::string(service) == "kv" ? "set" : "put";
    expect_error(run({"--store", store, "--db", "db", service, verb, "a", "--file", path("missing")}),
                 Code::not_found, "cannot read");
  }
  EXPECT_FALSE(std::filesystem::exists(path("unmade.db")));
}

TEST_F(Cli, TakesSharedOptionsBeforeAndBehindTheCommand) {
  output({"--db", "other", "db", "put", "a", "1"});
  EXPECT_EQ(output({"db", "get", "a", "--db=other"}), "1");
  EXPECT_EQ(output({"--store=sqlite:store.db", "db", "get", "a", "--db", "other"}), "1");
}

TEST_F(Cli, TakesTheUrlFromAFile) {
  output({"db", "put", "a", "1"});
  settings_.erase("HOLDFAST_STORE");
  write_file("url", "sqlite:store.db\n");
  EXPECT_EQ(output({"db", "get", "a", "--store", "@url"}), "1");
  settings_["HOLDFAST_STORE"] = "@url";
  EXPECT_EQ(output({"db", "get", "a"}), "1");
  expect_error(run({"db", "ls", "--store", "@nowhere"}), Code::not_found, "cannot read \"nowhere\"");
}

TEST_F(Cli, SaysWhatIsWrongWithAStoreUrl) {
  expect_error(run({"db", "ls", "--store", "sqllite:store.db"}), Code::invalid_argument,
               "did you mean \"sqlite\"?");
  expect_error(run({"db", "ls", "--store", "sqlite:nowhere/store.db"}), Code::not_found, "");
  write_file("text.db", std::string(5'000, 'x'));
  expect_error(run({"db", "ls", "--store", "sqlite:text.db"}), Code::corruption, "");
}

TEST_F(Cli, RepeatsNoPasswordOfAUrl) {
  const Ended ended = run({"db", "ls", "--store", "postgres://user:sesame@host/name"});
  EXPECT_NE(ended.exit, 0);
  EXPECT_EQ(ended.err.find("sesame"), std::string::npos) << ended.err;
}

TEST_F(Cli, ReportsErrorsAsJsonWhereAskedTo) {
  const Ended ended = run({"db", "get", "nothing", "--json"});
  EXPECT_EQ(ended.exit, cli::exit_code(Code::not_found));
  const Json error = Json::parse(ended.err);
  EXPECT_EQ(error["error"], "not_found");
  EXPECT_EQ(error["exit_code"], ended.exit);
}

TEST_F(Cli, LetsAWordOfACommandBeAnArgumentToo) {
  output({"db", "put", "get", "scan"});
  EXPECT_EQ(output({"db", "get", "get"}), "scan");
  EXPECT_EQ(run({"db", "get", "db"}).exit, cli::exit_code(Code::not_found));
}

TEST_F(Cli, AlignsTablesAndUsesColourOnATerminalOnly) {
  output({"db", "put", "a", "1"});
  output({"db", "put", "longer", "2"});
  const auto on_terminal = [&](const std::string& variables) {
    const std::string command = "cd " + folder_.path() + " && TERM=xterm HOLDFAST_STORE=sqlite:store.db " +
                                variables + " HOLDFAST_DB=agents script -qec '" + HOLDFAST_PROGRAM +
                                " db scan --keys-only' /dev/null > shown < /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return file("shown");
  };
  const std::string plain = on_terminal("NO_COLOR=1");
  EXPECT_EQ(plain.substr(0, plain.find('\r')), "key     version  expires_at_ms");
  EXPECT_NE(plain.find("\r\na             1  "), std::string::npos) << plain;
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  EXPECT_NE(on_terminal("").find("\x1b[1mkey"), std::string::npos);
  EXPECT_EQ(output({"db", "scan", "--keys-only"}), "a\t1\t\nlonger\t2\t\n");
}

// --- db get, put, delete, scan, watch ---

TEST_F(Cli, GivesBackTheBytesOfAValue) {
  std::string bytes = "line\n\xFF tail";
  bytes += '\0';
  write_file("value", bytes);
  output({"db", "put", "key", "--file", "value"});
  EXPECT_EQ(output({"db", "get", "key"}), bytes);
  output({"db", "put", "piped", "--file", "-"}, bytes);
  EXPECT_EQ(output({"db", "get", "piped"}), bytes);
}

TEST_F(Cli, KeepsAnEmptyValue) {
  output({"db", "put", "key", ""});
  EXPECT_EQ(rows({"db", "get", "key"}).at(0)["value"], "");
}

TEST_F(Cli, PrintsBytesThatAreNoTextInBase64) {
  output({"db", "put", "key", "--file", "-"}, "\xFF\xFE");
  EXPECT_EQ(rows({"db", "get", "key"}).at(0)["value64"], "//4=");
  EXPECT_EQ(output({"db", "scan"}).find("\\xff\\xfe") != std::string::npos, true);
}

TEST_F(Cli, TakesKeysAndValuesInBase64) {
  output({"db", "put", "--base64", "AP8=", "//4="});
  EXPECT_EQ(output({"db", "get", "--base64", "AP8="}), "//4=");
  EXPECT_EQ(rows({"db", "scan", "--base64"}).at(0)["key64"], "AP8=");
  expect_usage(run({"db", "get", "--base64", "AP8"}), "base64, with padding");
  EXPECT_EQ(output({"db", "delete", "--base64", "AP8="}), "deleted\t1\n");
}

TEST_F(Cli, ReadsSeveralKeysAndSaysHowManyAreMissing) {
  output({"db", "put", "a", "1"});
  const Ended ended = run({"db", "get", "a", "b", "c"});
  EXPECT_NE(ended.out.find("a\t1\t\t1"), std::string::npos) << ended.out;
  expect_error(ended, Code::not_found, "2 of 3 keys");
}

TEST_F(Cli, PutsOnlyWhereTheConditionHolds) {
  const std::uint64_t version = rows({"db", "put", "key", "1", "--if-absent"}).at(0)["version"];
  expect_error(run({"db", "put", "key", "2", "--if-absent"}), Code::conflict, "nothing was changed");
  output({"db", "put", "key", "2", "--if-version", std::to_string(version)});
  expect_error(run({"db", "put", "key", "3", "--if-version", std::to_string(version)}), Code::conflict, "");
  expect_error(run({"db", "delete", "key", "--if-version", std::to_string(version)}), Code::conflict, "");
  EXPECT_EQ(output({"db", "get", "key"}), "2");
}

TEST_F(Cli, RefusesAValueFromNowhereOrTwice) {
  expect_usage(run({"db", "put", "key"}), "give the value as VALUE, or by --file");
  expect_usage(run({"db", "put", "key", "value", "--file", "value"}),
               "give the value as VALUE, or by --file");
  expect_error(run({"db", "put", "key", "--file", "nowhere"}), Code::not_found, "cannot read \"nowhere\"");
  expect_usage(run({"db", "put", "key", "--file", "-"}, std::string(1'048'577, 'x')),
               "more than 1048576 bytes");
}

TEST_F(Cli, RefusesKeysThatTheContractRefuses) {
  expect_error(run({"db", "put", "", "1"}), Code::invalid_argument, "key");
  expect_error(run({"db", "put", std::string(2'049, 'k'), "1"}), Code::invalid_argument, "2048");
  expect_error(run({"db", "put", "!mine", "1"}), Code::invalid_argument, "");
  expect_error(run({"db", "ls", "--db", "x", "--store", "sqlite:store.db?cache=1"}), Code::invalid_argument,
               "");
}

TEST_F(Cli, LetsEntriesExpire) {
  const auto before = system_clock()->now_ms();
  output({"db", "put", "key", "1", "--ttl", "2h"});
  const std::int64_t expires_at_ms = rows({"db", "get", "key"}).at(0)["expires_at_ms"];
  EXPECT_GE(expires_at_ms, before + 7'200'000);
  EXPECT_LE(expires_at_ms, system_clock()->now_ms() + 7'200'000);
  output({"db", "put", "gone", "1", "--ttl", "1ms"});
  while (run({"db", "get", "gone"}).exit == 0) {
  }
  EXPECT_EQ(run({"db", "get", "gone"}).exit, cli::exit_code(Code::not_found));
}

TEST_F(Cli, DeletesKeysAndPrefixes) {
  for (const char* key : {"a/1", "a/2", "b/1", "c"}) output({"db", "put", key, "x"});
  EXPECT_EQ(rows({"db", "delete", "c", "nothing"}).at(0)["deleted"], 1);
  expect_error(run({"db", "delete", "c"}), Code::not_found, "no such entry");
  expect_usage(run({"db", "delete", "--prefix", "a/"}), "--yes");
  EXPECT_EQ(rows({"db", "delete", "--prefix", "a/", "--yes"}).at(0)["deleted"], 2);
  EXPECT_EQ(output({"db", "scan", "--keys-only"}).substr(0, 3), "b/1");
  expect_usage(run({"db", "delete"}), "give KEY... or --prefix");
}

TEST_F(Cli, ScansRangesInBothDirections) {
  for (const char* key : {"a", "b", "c", "d"}) output({"db", "put", key, key});
  const auto keys = [&](std::vector<std::string> words) {
    std::string joined;
    words.insert(words.begin(), {"db", "scan"});
    for (const Json& row : rows(words)) joined += row["key"].get<std::string>();
    return joined;
  };
  EXPECT_EQ(keys({}), "abcd");
  EXPECT_EQ(keys({"--from", "b", "--to", "d"}), "bc");
  EXPECT_EQ(keys({"--reverse", "--limit", "3"}), "dcb");
  EXPECT_EQ(keys({"c"}), "c");
  EXPECT_EQ(keys({"--from", "z"}), "");
  EXPECT_FALSE(rows({"db", "scan", "--keys-only"}).at(0).contains("value"));
}

TEST_F(Cli, ScansBeyondOnePage) {
  auto store = Store::open("sqlite:" + path("store.db"));
  Batch batch;
  for (int i = 0; i < 1'999; ++i) batch.writes.push_back(Write::put("key" + std::to_string(10'000 + i), "x"));
  store->database("agents").commit(batch);
  store->close();
  EXPECT_EQ(rows({"db", "scan", "--limit", "0"}).size(), 1'999u);
  EXPECT_EQ(rows({"db", "scan", "--limit", "0", "--reverse"}).back()["key"], "key10000");
  EXPECT_EQ(rows({"db", "scan", "--limit", "1500"}).size(), 1'500u);
  EXPECT_EQ(rows({"db", "scan"}).size(), 100u);
}

TEST_F(Cli, WatchesChangesUntilItIsInterrupted) {
  output({"db", "put", "a", "1"});
  Program watch = start({"db", "watch", "--since", "0"});
  EXPECT_TRUE(watch.wait_for_output("\ta\tput\t1\n"));
  output({"db", "put", "b", "2"});
  EXPECT_TRUE(watch.wait_for_output("\tb\tput\t2\n")) << watch.out_so_far();
  output({"db", "delete", "b"});
  EXPECT_TRUE(watch.wait_for_output("\tb\terased\t\n")) << watch.out_so_far();
  watch.send(SIGINT);
  EXPECT_EQ(watch.wait().exit, cli::kExitInterrupted);
}

TEST_F(Cli, WatchesAGivenNumberOfChangesInARange) {
  for (const char* key : {"a", "b1", "b2", "b3"}) output({"db", "put", key, "x"});
  const std::vector<Json> changes = rows({"db", "watch", "b", "--since", "0", "--count", "2"});
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0]["key"], "b1");
}

TEST_F(Cli, EndsQuietlyWhenNobodyReadsItsOutput) {
  output({"db", "put", "key", "value"});
  const std::string command = "HOLDFAST_STORE=sqlite:" + path("store.db") + " HOLDFAST_DB=agents " +
                              HOLDFAST_PROGRAM + " db scan > /dev/full 2> " + path("err");
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), cli::kExitInterrupted);
}

// --- db ls, stat, digest, compact, check, repair, drop, views ---

TEST_F(Cli, ListsDatabases) {
  output({"db", "put", "a", "1", "--db", "one"});
  output({"db", "put", "a", "1", "--db", "two"});
  output({"db", "put", "a", "2", "--db", "two"});
  const std::vector<Json> databases = rows({"db", "ls"});
  ASSERT_EQ(databases.size(), 2u);
  EXPECT_EQ(databases[1]["database"], "two");
  EXPECT_EQ(databases[1]["seq"], 2);
  EXPECT_EQ(databases[1]["state"], "open");
  EXPECT_EQ(rows({"db", "ls", "on"}).size(), 1u);
}

TEST_F(Cli, CountsWhatADatabaseHolds) {
  output({"db", "put", "key", "value"});
  output({"db", "put", "other", "12", "--ttl", "1h"});
  {
    auto store = Store::open("sqlite:" + path("store.db"));
    bool is_given = false;
    store->objects("agents").put([&] { return std::exchange(is_given, true) ? Bytes() : Bytes(1'000, 'o'); });
  }
  const Json stat = rows({"db", "stat"}).at(0);
  EXPECT_EQ(stat["entries"], 2);
  EXPECT_EQ(stat["expiring"], 1);
  EXPECT_EQ(stat["key_bytes"], 8);
  EXPECT_EQ(stat["value_bytes"], 7);
  EXPECT_EQ(stat["objects"], 1);
  EXPECT_EQ(stat["object_bytes"], 1'000);
}

TEST_F(Cli, GivesEqualDigestsForEqualDataInDifferentStores) {
  for (const char* url : {"sqlite:store.db", "file:folder"}) {
    output({"db", "put", "a", "1", "--store", url});
    output({"db", "put", "b", "2", "--store", url});
  }
  output({"db", "put", "b", "2", "--store", "file:folder"});
  const Json one = rows({"db", "digest"}).at(0);
  EXPECT_EQ(one["digest"].get<std::string>().size(), 32u);
  EXPECT_EQ(rows({"db", "digest", "--store", "file:folder"}).at(0)["digest"], one["digest"]);
  output({"db", "put", "b", "3", "--store", "file:folder"});
  EXPECT_NE(rows({"db", "digest", "--store", "file:folder"}).at(0)["digest"], one["digest"]);
}

TEST_F(Cli, TrimsTheChangeLog) {
  for (int i = 0; i < 5; ++i) output({"db", "put", "key", "x"});
  EXPECT_EQ(rows({"db", "compact", "--before", "3"}).at(0)["log_begins_after"], 3);
  EXPECT_GE(rows({"db", "compact"}).at(0)["log_begins_after"], 5);
}

TEST_F(Cli, ChecksAStoreAndSaysWhatIsWrong) {
  output({"db", "put", "key", std::string(50'000, 'x')});
  EXPECT_EQ(rows({"db", "check"}).back()["entries"], 1);
  {
    std::fstream stream(path("store.db"), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(4'096 * 3);
    stream << std::string(4'096, '\xEE');
  }
  const Ended ended = run({"db", "check"});
  EXPECT_NE(ended.exit, 0);
  EXPECT_NE(ended.out + ended.err, "");
  expect_error(run({"db", "check", "--store", "memory:"}), Code::capability_missing, "memory:");
}

TEST_F(Cli, RepairsWhatCanBeRepaired) {
  output({"db", "put", "key", "value", "--store", "file:folder"});
  expect_usage(run({"db", "repair", "--store", "file:folder"}), "--yes");
  const std::vector<Json> report = rows({"db", "repair", "--yes", "--store", "file:folder"});
  EXPECT_EQ(report.back()["entries"], 1);
  EXPECT_EQ(output({"db", "get", "key", "--store", "file:folder"}), "value");
  expect_error(run({"db", "repair", "--yes"}), Code::capability_missing, "sqlite:");
}

TEST_F(Cli, DropsADatabaseOnlyWhenItIsToldYes) {
  output({"db", "put", "key", "value"});
  expect_usage(run({"db", "drop"}), "--yes");
  EXPECT_EQ(output({"db", "get", "key"}), "value");
  EXPECT_EQ(rows({"db", "drop", "--yes"}).at(0)["dropped"], "agents");
  EXPECT_TRUE(rows({"db", "ls"}).empty());
  expect_error(run({"db", "drop", "--yes"}), Code::not_found, "agents");
}

TEST_F(Cli, PrintsViewsThatSqliteUnderstands) {
  output({"db", "put", "app/user/1", R"({"name":"O'Hara","age":30,"score":1.5,"at":{"city":"Rome"}})"});
  output({"db", "put", "app/user/2", R"({"name":"Bo","age":7,"score":2,"key":"k"})"});
  output({"db", "put", "app/user/3", "no document"});
  output({"db", "put", "app/\u00fcber/1", R"({"n":12})"});
  output({"db", "put", "plain", "text"});
  const std::string sql = output({"db", "views"});
  write_file("views.sql", sql +
                              "SELECT key, name, age + 1, score, at_city, value_key FROM \"agents/app/user\" "
                              "ORDER BY key;\nSELECT key, n * 2 FROM \"agents/app/\u00fcber\";\nSELECT key, "
                              "value FROM agents;\n");
  const std::string command =
      "cd " + folder_.path() + " && sqlite3 -readonly store.db < views.sql > views.out 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(file("views.out"), "1|O'Hara|31|1.5|Rome|\n2|Bo|8|2.0||k\n3|||||\n1|24\nplain|text\n");
}

TEST_F(Cli, PrintsViewsThatPostgresqlUnderstands) {
  const char* server = std::getenv("HOLDFAST_TEST_POSTGRES");
  ASSERT_NE(server, nullptr) << "eval \"$(scripts/test-servers start)\"";
  const testing_support::TemporaryFolder unique;
  const std::string schema = std::filesystem::path(unique.path()).filename().string();
  const std::string url = server;
  settings_["HOLDFAST_STORE"] = url + (url.find('?') == std::string::npos ? "?" : "&") + "schema=" + schema;
  output({"db", "put", "app/user/1", R"({"name":"O'Hara","age":30,"score":1.5,"at":{"city":"Rome"}})"});
  output({"db", "put", "app/user/2", R"({"name":"Bo","age":7,"score":2,"key":"k"})"});
  output({"db", "put", "app/user/3", "no document"});
  output({"db", "put", "app/\u00fcber/1", R"({"n":12})"});
  output({"db", "put", "plain", "text"});
  const std::string sql = output({"db", "views", "--dialect", "postgresql"});
  write_file(
      "views.sql",
      sql +
          "SELECT key, name, age + 1, score, at_city, value_key FROM \"agents/app/user\" ORDER BY key;\n"
          "SELECT key, n * 2 FROM \"agents/app/\u00fcber\";\nSELECT key, value FROM agents;\n");
  const std::string command = "cd " + folder_.path() + " && PGOPTIONS='-c search_path=" + schema +
                              "' psql '" + url + "' -q -At -v ON_ERROR_STOP=1 -f views.sql > views.out 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(file("views.out"), "1|O'Hara|31|1.5|Rome|\n2|Bo|8|2||k\n3|||||\n1|24\nplain|text\n");
}

TEST_F(Cli, ListsStoreUrls) { EXPECT_NE(output({"urls"}).find("sqlite:"), std::string::npos); }

// --- What is generated ---

TEST_F(Cli, CompletesCommandsOptionsAndChoicesInBash) {
  write_file("completion", output({"completion", "bash"}));
  const auto complete = [&](const std::string& words) {
    write_file("complete.sh",
               "source " + path("completion") + "\nCOMP_WORDS=(" + words +
                   ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_holdfast\necho \"${COMPREPLY[*]}\"\n");
    EXPECT_EQ(std::system(("bash " + path("complete.sh") + " > " + path("completed")).c_str()), 0);
    const std::string completed = file("completed");
    return completed.substr(0, completed.find('\n'));
  };
  EXPECT_EQ(complete("holdfast d s ''").find("error"), std::string::npos);
  EXPECT_EQ(complete("holdfast db sc"), "scan");
  EXPECT_EQ(complete("holdfast --db agents db dig"), "digest");
  EXPECT_EQ(complete("holdfast db scan --rev"), "--reverse");
  EXPECT_EQ(complete("holdfast completion z"), "zsh");
}

TEST_F(Cli, CompletesCommandsInZsh) {
  write_file("completion", output({"completion", "zsh"}));
  // A terminal of its own, since zsh completes only what is typed.
  write_file("complete.zsh",
             "zmodload zsh/zpty\n"
             "zpty shell \"PS1='> ' zsh -f -i\"\n"
             "zpty -w shell 'source " +
                 path("completion") +
                 "; echo rea''dy'\n"
                 "zpty -r -m shell out '*ready*'\n"
                 "zpty -w -n shell $'holdfast db sc\\t'\n"
                 "zpty -r -m shell out '*db scan*'\n"
                 "zpty -d shell\n");
  EXPECT_EQ(std::system(("timeout 60 zsh -f " + path("complete.zsh")).c_str()), 0);
}

TEST_F(Cli, HasAManualThatIsCurrent) {
  std::ifstream stream(HOLDFAST_MANUAL);
  const std::string manual{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(output({"manual"}), manual) << "run scripts/cli-manual";
}

}  // namespace
}  // namespace holdfast::e2e
