// Every command there is, by one table: once with input that is right, and with each kind of input that is
// wrong. A command without a row fails a test here.

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "cli/command_tree.h"
#include "e2e/cli_fixture.h"
#include "e2e/task_engines.h"

namespace holdfast::e2e {
namespace {

using Words = std::vector<std::string>;

/// What a command works on.
enum class Needs : std::uint8_t {
  nothing,
  store,     ///< --store
  database,  ///< and --db
  url,       ///< a store that is the first argument
};

/// How a command is used rightly, and one thing that is wrong with what it is asked for.
struct Case {
  std::string path;
  Needs needs = Needs::database;
  Words words = {};                ///< behind the command's name
  std::string says = {};           ///< part of what it prints with --json
  std::string wrong = {};          ///< a use that cannot succeed, its words with spaces in between
  Code code = Code::not_found;     ///< what that is
  std::string complains = {};      ///< part of the message
  std::string input = {};          ///< for the standard input
  std::vector<Words> before = {};  ///< commands that make what it needs
  bool is_endless = false;         ///< runs until Ctrl-C
  bool prints_bytes = false;       ///< the bytes themselves, with --json too
};

const std::string kEvent = "0000000000000001-0000";
const std::string kTask = "019a8b2c3d4e0123456789abcdef0123";
/// In place of a command: an engine has run all tasks of a type until they are dead.
const std::string kEngine = "(task engine)";

std::vector<Case> cases() {
  const std::vector<Words> kv = {{"kv", "set", "k", "1"}};
  const std::vector<Words> record = {{"records", "put", "k", "{\"a\":1}"}};
  const std::vector<Words> index = {{"records", "put", "k", "{\"a\":1}"}, {"records", "index", "i", "/a"}};
  const std::vector<Words> event = {{"events", "append", "s", "1"}};
  const std::vector<Words> blob = {{"blobs", "put", "k", "file"}};
  const std::vector<Words> table = {{"tables", "write", "t", "k", "1"}};
  const std::vector<Words> dictionary = {{"tables", "dictionary", "add", "d", "{\"age\":\"a\"}"}};
  const std::vector<Words> sent = {{"queue", "send", "q", "1"}};
  const std::vector<Words> leased = {{"queue", "send", "q", "1"}, {"queue", "receive", "q"}};
  const std::vector<Words> dead = {{"queue", "settings", "set", "q", "--max-attempts", "1"},
                                   {"queue", "send", "q", "1"},
                                   {"queue", "receive", "q"},
                                   {"queue", "fail", "q", "$id", "$token", "broken"}};
  const std::vector<Words> schedule = {{"schedules", "put", "s", "q", "1", "--every", "1h"}};
  const std::vector<Words> task = {{"tasks", "add", "t", "1"}};
  const std::vector<Words> dead_task = {{"tasks", "add", "t", "1"}, {kEngine, "t"}};
  const std::vector<Words> entry = {{"db", "put", "k", "1"}};
  const std::vector<Words> dump = {{"db", "put", "k", "1"}, {"dump", "--output", "dump.jsonl"}};
  const std::vector<Words> on_file = {{"db", "put", "k", "1", "--store", "file:folder"}};
  using enum Needs;
  using enum Code;
  return {
      {.path = "kv get",
       .words = {"k"},
       .says = "\"value\":1",
       .wrong = "none",
       .complains = "",
       .before = kv},
      {.path = "kv set",
       .words = {"k", "1"},
       .wrong = "k 1 --if-version 9",
       .code = conflict,
       .complains = "nothing was changed"},
      {.path = "kv delete", .words = {"k"}, .says = "\"deleted\":1", .wrong = "none", .before = kv},
      {.path = "kv list",
       .words = {},
       .says = "\"key\":\"k\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .complains = "prefix",
       .before = kv},
      {.path = "kv increment",
       .words = {"n"},
       .says = "\"value\":1",
       .wrong = "k",
       .code = invalid_argument,
       .complains = "number",
       .before = {{"kv", "set", "k", "text"}}},
      {.path = "kv expire", .words = {"k", "--ttl", "1h"}, .wrong = "none --never", .before = kv},
      {.path = "records get",
       .words = {"k"},
       .says = "\"value\":{\"a\":1}",
       .wrong = "none",
       .before = record},
      {.path = "records put",
       .words = {"k", "1"},
       .says = "\"version\":1",
       .wrong = "k 1 --if-version 9",
       .code = conflict,
       .complains = "nothing was changed"},
      {.path = "records delete", .words = {"k"}, .wrong = "none", .before = record},
      {.path = "records list",
       .says = "\"key\":\"k\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = record},
      {.path = "records find",
       .words = {"i", "--equals", "1"},
       .says = "\"key\":\"k\"",
       .wrong = "none",
       .complains = "index",
       .before = index},
      {.path = "records index",
       .words = {"i", "/a"},
       .wrong = "i a",
       .code = invalid_argument,
       .complains = "JSON pointer",
       .before = record},
      {.path = "records indexes",
       .says = "\"index\":\"i\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = index},
      {.path = "records unindex", .words = {"i"}, .wrong = "none", .complains = "index", .before = index},
      {.path = "events append",
       .words = {"s", "1"},
       .says = "\"id\":",
       .wrong = "s 1 --prefix !mine",
       .code = invalid_argument},
      {.path = "events list",
       .words = {"s"},
       .says = "\"payload\":1",
       .wrong = "s --after x",
       .code = invalid_argument,
       .complains = "hexadecimal",
       .before = event},
      {.path = "events follow",
       .words = {"s", "--all"},
       .says = "\"payload\":1",
       .wrong = "s --after x",
       .code = invalid_argument,
       .before = event,
       .is_endless = true},
      {.path = "events streams",
       .says = "\"stream\":\"s\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = event},
      {.path = "events consumers",
       .words = {"s"},
       .says = "\"consumer\":\"c\"",
       .wrong = "s --prefix !mine",
       .code = invalid_argument,
       .before = {{"events", "append", "s", "1"}, {"events", "read", "s", "c", "--commit"}}},
      {.path = "events read",
       .words = {"s", "c"},
       .says = "\"payload\":1",
       .wrong = "s c --prefix !mine",
       .code = invalid_argument,
       .before = event},
      {.path = "events commit",
       .words = {"s", "c", kEvent},
       .wrong = "s c 1",
       .code = invalid_argument,
       .complains = "hexadecimal",
       .before = event},
      {.path = "events prune",
       .words = {"s", "--max-count", "0"},
       .says = "\"removed\":",
       .wrong = "s --max-count 1 --prefix !mine",
       .code = invalid_argument,
       .before = event},
      {.path = "events delete", .words = {"s", "--yes"}, .wrong = "none --yes", .before = event},
      {.path = "blobs put",
       .words = {"k", "file"},
       .says = "\"size_bytes\":5",
       .wrong = "k none",
       .complains = "none"},
      {.path = "blobs get",
       .words = {"k"},
       .says = "bytes",
       .wrong = "none",
       .before = blob,
       .prints_bytes = true},
      {.path = "blobs stat", .words = {"k"}, .says = "\"size_bytes\":5", .wrong = "none", .before = blob},
      {.path = "blobs list",
       .says = "\"key\":\"k\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = blob},
      {.path = "blobs delete", .words = {"k"}, .says = "\"deleted\":1", .wrong = "none", .before = blob},
      {.path = "blobs rename", .words = {"k", "l"}, .wrong = "none l", .before = blob},
      {.path = "blobs copy",
       .words = {"k", "l"},
       .says = "\"size_bytes\":5",
       .wrong = "none l",
       .before = blob},
      {.path = "blobs verify", .words = {"k"}, .says = "\"hash\":", .wrong = "none", .before = blob},
      {.path = "tables get", .words = {"t", "k"}, .says = "\"value\":1", .wrong = "t none", .before = table},
      {.path = "tables write",
       .words = {"t", "k", "1"},
       .says = "\"version\":1",
       .wrong = "t k 1 --if-version 9",
       .code = conflict,
       .complains = ""},
      {.path = "tables delete", .words = {"t", "k"}, .wrong = "t none", .before = table},
      {.path = "tables list",
       .words = {"t"},
       .says = "\"key\":\"k\"",
       .wrong = "t --prefix !mine",
       .code = invalid_argument,
       .before = table},
      {.path = "tables ls",
       .says = "\"table\":\"t\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = table},
      {.path = "tables drop",
       .words = {"t", "--yes"},
       .wrong = "t --yes --prefix !mine",
       .code = invalid_argument,
       .before = table},
      {.path = "tables cleanup",
       .says = "\"removed\":0",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = table},
      {.path = "tables dictionary add",
       .words = {"d", "{\"age\":\"a\"}"},
       .wrong = "d {\"age\":1}",
       .code = invalid_argument,
       .complains = "JSON object"},
      {.path = "tables dictionary get",
       .words = {"d"},
       .says = "{\"dictionary\":\"d\",\"names\":{\"age\":\"a\"}}",
       .wrong = "none",
       .complains = "dictionary",
       .before = dictionary},
      {.path = "tables dictionary list",
       .says = "\"dictionary\":\"d\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = dictionary},
      {.path = "tables dictionary remove",
       .words = {"d"},
       .wrong = "none",
       .complains = "dictionary",
       .before = dictionary},
      {.path = "queue send",
       .words = {"q", "{\"a\":1}", "--delay", "1m", "--unique-key", "u"},
       .says = "\"is_new\":true",
       .wrong = "q 1 --priority 10",
       .code = invalid_argument,
       .complains = "priority"},
      {.path = "queue receive",
       .words = {"q", "--wait", "1m"},
       .says = "\"body\":1",
       .wrong = "q --limit 251",
       .code = invalid_argument,
       .complains = "250",
       .before = sent},
      {.path = "queue complete",
       .words = {"q", "$id", "$token", "{\"done\":true}"},
       .wrong = "q 0000000000000001-0009 $token",
       .code = conflict,
       .complains = "lease",
       .before = leased},
      {.path = "queue fail",
       .words = {"q", "$id", "$token", "broken", "--retry-in", "1m"},
       .says = "\"state\":\"delayed\"",
       .wrong = "q 0000000000000001-0009 $token broken",
       .code = conflict,
       .complains = "lease",
       .before = leased},
      {.path = "queue extend",
       .words = {"q", "$id", "$token", "--lease", "1m", "--percent", "50", "--log", "half"},
       .says = "\"token\":",
       .wrong = "q 0000000000000001-0009 $token --lease 1m",
       .code = conflict,
       .complains = "lease",
       .before = leased},
      {.path = "queue release",
       .words = {"q", "$id", "$token", "--delay", "1m"},
       .wrong = "q 0000000000000001-0009 $token",
       .code = conflict,
       .complains = "lease",
       .before = leased},
      {.path = "queue cancel",
       .words = {"q", "$id"},
       .wrong = "q 0000000000000001-0009",
       .complains = "no such job",
       .before = sent},
      {.path = "queue peek",
       .words = {"q"},
       .says = "\"body\":1",
       .wrong = "q --limit 1001",
       .code = invalid_argument,
       .before = sent},
      {.path = "queue get",
       .words = {"q", "$id"},
       .says = "\"state\":\"leased\"",
       .wrong = "q 0000000000000001-0009",
       .complains = "no such job",
       .before = leased},
      {.path = "queue list",
       .words = {"q", "--state", "dead"},
       .says = "\"text\":\"broken\"",
       .wrong = "q --prefix !mine",
       .code = invalid_argument,
       .before = dead},
      {.path = "queue ls",
       .says = "\"queue\":\"q\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = sent},
      {.path = "queue stats",
       .words = {"q"},
       .says = "\"ready\":1",
       .wrong = "q --prefix !mine",
       .code = invalid_argument,
       .before = sent},
      {.path = "queue pause", .words = {"q"}, .wrong = "q --prefix !mine", .code = invalid_argument},
      {.path = "queue resume", .words = {"q"}, .wrong = "q --prefix !mine", .code = invalid_argument},
      {.path = "queue purge",
       .words = {"q", "--yes"},
       .says = "\"removed\":1",
       .wrong = "q --yes --prefix !mine",
       .code = invalid_argument,
       .before = sent},
      {.path = "queue settings get",
       .words = {"q"},
       .says = "\"max_attempts\":1",
       .wrong = "q --prefix !mine",
       .code = invalid_argument,
       .before = dead},
      {.path = "queue settings set",
       .words = {"q", "--lease", "1m", "--backoff", "0", "--weight", "ann=2"},
       .wrong = "q --max-attempts 0",
       .code = invalid_argument},
      {.path = "queue dead list",
       .words = {"q", "--reason", "max_attempts"},
       .says = "\"text\":\"broken\"",
       .wrong = "q --prefix !mine",
       .code = invalid_argument,
       .before = dead},
      {.path = "queue dead requeue",
       .words = {"q", "$id"},
       .says = "\"requeued\":1",
       .wrong = "q 0000000000000001-0009",
       .complains = "dead letter",
       .before = dead},
      {.path = "queue dead delete",
       .words = {"q", "$id"},
       .wrong = "q 0000000000000001-0009",
       .complains = "dead letter",
       .before = dead},
      {.path = "queue dead purge",
       .words = {"q", "--yes", "--since", "2020-01-01T00:00:00Z"},
       .says = "\"removed\":1",
       .wrong = "q --yes --prefix !mine",
       .code = invalid_argument,
       .before = dead},
      {.path = "schedules put",
       .words = {"s", "q", "1", "--cron", "30 9 * * MON", "--time-zone", "Europe/Berlin"},
       .says = "\"next_at_ms\":",
       .wrong = "s q --cron never",
       .code = invalid_argument,
       .complains = "cron"},
      {.path = "schedules get",
       .words = {"s"},
       .says = "\"every_ms\":3600000",
       .wrong = "none",
       .complains = "schedule",
       .before = schedule},
      {.path = "schedules list",
       .says = "\"schedule\":\"s\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = schedule},
      {.path = "schedules delete", .words = {"s"}, .wrong = "none", .before = schedule},
      {.path = "schedules pause", .words = {"s"}, .wrong = "none", .before = schedule},
      {.path = "schedules resume", .words = {"s"}, .wrong = "none", .before = schedule},
      {.path = "schedules ticks",
       .words = {"s", "--count", "2", "--after", "2026-01-31T09:30:00Z"},
       .says = "{\"at_ms\":1769853600000}",
       .wrong = "none",
       .complains = "schedule",
       .before = schedule},
      {.path = "schedules run",
       .says = "\"sent\":0",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = schedule},
      {.path = "tasks add",
       .words = {"t", "{\"a\":1}", "--delay", "1m", "--unique-key", "u"},
       .says = "\"is_new\":true",
       .wrong = "t 1 --previous 7",
       .code = invalid_argument,
       .complains = "id of a task"},
      {.path = "tasks get",
       .words = {"$id"},
       .says = "\"result\":\"failed\"",
       .wrong = kTask,
       .complains = "no such task",
       .before = dead_task},
      {.path = "tasks list",
       .words = {"--type", "t"},
       .says = "\"state\":\"waiting\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = task},
      {.path = "tasks types",
       .says = "\"type\":\"t\"",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = task},
      {.path = "tasks stats",
       .says = "\"dead\":1",
       .wrong = "--prefix !mine",
       .code = invalid_argument,
       .before = dead_task},
      {.path = "tasks history",
       .words = {"$id"},
       .says = "\"error\":\"broken\"",
       .wrong = "7",
       .code = invalid_argument,
       .complains = "id of a task",
       .before = dead_task},
      {.path = "tasks sessions", .wrong = "--prefix !mine", .code = invalid_argument},
      {.path = "tasks cancel", .words = {"$id"}, .wrong = kTask, .complains = "no such task", .before = task},
      {.path = "tasks revive",
       .words = {"$id"},
       .says = "\"revived\":1",
       .wrong = kTask,
       .complains = "no such task",
       .before = dead_task},
      {.path = "tasks delete",
       .words = {"$id"},
       .wrong = kTask,
       .complains = "no such task",
       .before = dead_task},
      {.path = "tasks trim",
       .words = {"--max-attempts", "1"},
       .says = "\"removed\":1",
       .wrong = "--max-age 1d --prefix !mine",
       .code = invalid_argument,
       .before = dead_task},
      {.path = "import pikodb", .words = {"piko"}, .says = "\"", .wrong = "none", .complains = "none"},
      {.path = "import jsonl",
       .words = {"lines"},
       .says = "\"imported\":2",
       .wrong = "lines --key /none",
       .code = invalid_argument,
       .complains = "line 1: "},
      {.path = "import csv",
       .words = {"rows"},
       .says = "\"imported\":1",
       .wrong = "rows --key none",
       .code = invalid_argument,
       .complains = "line 1: "},
      {.path = "db get", .words = {"k"}, .says = "\"value\":\"1\"", .wrong = "none", .before = entry},
      {.path = "db put",
       .words = {"k", "1"},
       .says = "\"version\":1",
       .wrong = "k 1 --if-version 9",
       .code = conflict,
       .complains = "nothing was changed"},
      {.path = "db delete", .words = {"k"}, .says = "\"deleted\":1", .wrong = "none", .before = entry},
      {.path = "db scan",
       .says = "\"key\":\"k\"",
       .wrong = "--db !mine",
       .code = invalid_argument,
       .complains = "engine",
       .before = entry},
      {.path = "db watch",
       .words = {"--since", "0"},
       .says = "\"key\":\"k\"",
       .wrong = "--db !mine",
       .code = invalid_argument,
       .before = entry,
       .is_endless = true},
      {.path = "db ls",
       .needs = store,
       .says = "\"database\":\"agents\"",
       .wrong = "--store sqlite:none/store.db",
       .before = entry},
      {.path = "db stat", .says = "\"entries\":1", .wrong = "--db none", .before = entry},
      {.path = "db digest", .says = "\"digest\":", .wrong = "--db none", .before = entry},
      {.path = "db compact", .says = "\"log_begins_after\":", .wrong = "--db none", .before = entry},
      {.path = "db check",
       .needs = store,
       .says = "\"problems\":0",
       .wrong = "--store memory:",
       .code = capability_missing,
       .before = entry},
      {.path = "db repair",
       .needs = store,
       .words = {"--yes", "--store", "file:folder"},
       .says = "\"entries\":1",
       .wrong = "--yes",
       .code = capability_missing,
       .before = on_file},
      {.path = "db drop",
       .words = {"--yes"},
       .says = "\"dropped\":\"agents\"",
       .wrong = "--yes --db none",
       .complains = "none",
       .before = entry},
      {.path = "db views",
       .says = "CREATE TEMP VIEW",
       .wrong = "--db none",
       .complains = "none",
       .before = entry},
      {.path = "dump",
       .says = "\"holdfast_dump\":1",
       .wrong = "--db none",
       .complains = "none",
       .before = entry},
      {.path = "load",
       .needs = store,
       .words = {"dump.jsonl", "--db", "copy"},
       .says = "\"outcome\":\"loaded\"",
       .wrong = "lines",
       .code = invalid_argument,
       .complains = "line 1: ",
       .before = dump},
      {.path = "copy",
       .needs = url,
       .words = {"sqlite:store.db", "file:folder"},
       .says = "\"outcome\":\"copied\"",
       .wrong = "sqlite:store.db file:folder --db none",
       .complains = "none",
       .before = entry},
      {.path = "serve",
       .needs = store,
       .words = {"--listen", "127.0.0.1:0"},
       .says = "http://127.0.0.1:",
       .wrong = "--listen nowhere",
       .code = invalid_argument,
       .complains = "ADDRESS:PORT",
       .is_endless = true,
       .prints_bytes = true},
      {.path = "token",
       .needs = nothing,
       .words = {"ci", "read:*"},
       .says = "\"token\":\"hf_",
       .wrong = "ci everything",
       .code = invalid_argument},
      {.path = "bench",
       .needs = url,
       .words = {"memory:", "--time", "10ms"},
       .says = "\"operation\":\"get\"",
       .wrong = "sqlite:none/store.db",
       .complains = ""},
      {.path = "conformance",
       .needs = url,
       .words = {"memory:", "--filter", "s1_1"},
       .says = "\"failed\":0",
       .wrong = "sqlite:none/store.db"},
      {.path = "urls", .needs = nothing, .says = "sqlite:"},
      {.path = "completion", .needs = nothing, .words = {"bash"}, .says = "_holdfast"},
      {.path = "manual", .needs = nothing, .says = "# The command line"},
  };
}

Words words_of(const std::string& text) {
  Words words;
  std::istringstream split(text);
  for (std::string word; split >> word;) words.push_back(word);
  return words;
}

Words joined(const std::string& path, const Words& more) {
  Words words = words_of(path);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

class EveryCommand : public Cli, public testing::WithParamInterface<Case> {
 protected:
  EveryCommand() {
    write_file("file", "bytes");
    write_file("rows", "a,b\n1,2\n");
    write_file("lines", "{\"a\":1}\n{\"a\":2}\n");
    std::filesystem::create_directory(path("piko"));
    write_file("piko/users", R"([["anna",{"d":{"age":41},"v":3,"t":1700000000000,"x":null}]])");
  }

  const Case& row() const { return GetParam(); }
  const cli::Command& command() const { return *tree_.find(row().path); }
  Words right(const Words& more = {}) const {
    Words words = joined(row().path, row().words);
    words.insert(words.end(), more.begin(), more.end());
    return filled_in(std::move(words));
  }
  Words wrong() const { return filled_in(joined(row().path, words_of(row().wrong))); }
  void prepare() {
    for (const Words& words : row().before) {
      if (words.front() == kEngine) {
        fail_all_tasks(path("store.db"), words.at(1));
        continue;
      }
      if (words.front() != "queue" && words.front() != "tasks") {
        output(words);
        continue;
      }
      for (const Json& printed : rows(filled_in(words))) found_.update(printed);
    }
  }
  /// "$id" is the id that was printed last when what the command needs was made.
  Words filled_in(Words words) const {
    for (std::string& word : words) {
      if (word.starts_with('$') && found_.contains(word.substr(1))) word = found_[word.substr(1)];
    }
    return words;
  }
  static void expect_objects(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_TRUE(Json::parse(line).is_object()) << line;
  }

 private:
  const cli::CommandTree tree_ = cli::command_tree();
  Json found_ = Json::object();
};

TEST_P(EveryCommand, DoesWhatItIsAskedForAndSaysSoInJson) {
  prepare();
  Program program = start(right({"--json"}), row().input);
  if (row().is_endless) {
    EXPECT_TRUE(program.wait_for_output(row().says)) << program.err_so_far();
    program.send(SIGINT);
  }
  const Ended ended = program.wait();
  const bool ends_as_wished = row().path == "serve" || !row().is_endless;
  EXPECT_EQ(ended.exit, ends_as_wished ? cli::kExitSuccess : cli::kExitInterrupted) << ended.err;
  EXPECT_NE(ended.out.find(row().says), std::string::npos) << ended.out;
  if (!row().prints_bytes) expect_objects(ended.out);
}

TEST_P(EveryCommand, SaysWhatIsWrongWithWhatItIsAskedFor) {
  if (row().wrong.empty()) {
    EXPECT_EQ(row().needs, Needs::nothing) << "what needs a store can fail";
    return;
  }
  prepare();
  const Ended plain = run(wrong(), row().input);
  expect_error(plain, row().code, row().complains);
  EXPECT_NE(plain.err.find(cli::advice(row().code)), std::string::npos) << plain.err;
  const Ended in_json = run(
      [&] {
        Words words = wrong();
        words.push_back("--json");
        return words;
      }(),
      row().input);
  EXPECT_EQ(in_json.exit, plain.exit);
  const Json error = Json::parse(in_json.err);
  EXPECT_EQ(error["error"], name(row().code));
  EXPECT_EQ(error["exit_code"], plain.exit);
}

TEST_P(EveryCommand, RefusesArgumentsThatItDoesNotHave) {
  expect_usage(run(right({"--no-such-option"})), "unknown option of " + row().path);
  bool takes_many = false;
  std::size_t most = 0;
  for (const cli::Argument& argument : command().arguments) {
    takes_many = takes_many || (!argument.is_option() && argument.repeated);
    most += argument.is_option() ? 0 : 1;
  }
  if (!takes_many) {
    expect_usage(run(joined(row().path, Words(most + 1, "bash"))), "takes no further argument");
  }
  for (const cli::Argument& argument : command().arguments) {
    if (!argument.required) continue;
    expect_usage(run(words_of(row().path)), argument.name.substr(0, argument.name.find("...")));
    break;
  }
}

TEST_P(EveryCommand, RefusesValuesThatAnOptionCannotHave) {
  for (const cli::Argument& argument : command().arguments) {
    using Kind = cli::Argument::Kind;
    if (!argument.is_option()) continue;
    if (argument.kind == Kind::flag) {
      expect_usage(run(right({argument.name + "=nonsense"})), argument.name + " takes no value");
    } else {
      expect_usage(run(right({argument.name})), argument.name);
    }
    if (argument.kind == Kind::number || argument.kind == Kind::integer || argument.kind == Kind::duration ||
        argument.kind == Kind::instant) {
      expect_usage(run(joined(row().path, {argument.name, "x"})), "");
      EXPECT_NE(run(right({argument.name + "=x"})).exit, 0) << argument.name;
    }
  }
}

TEST_P(EveryCommand, SaysWhatIsWrongWithTheStoreAndTheDatabase) {
  if (row().needs == Needs::nothing) return;
  prepare();
  Words bad_url = right({"--store", "nonsense:x"});
  Words no_url = row().needs == Needs::url ? words_of(row().path) : right();
  if (row().needs == Needs::url) {
    bad_url = right();
    *std::ranges::find(bad_url, row().words.front()) = "nonsense:x";
  }
  if (std::ranges::count(bad_url, "--store") < 2) {
    expect_error(run(bad_url), Code::invalid_argument, "known are: memory");
  }
  const Program::Settings all = settings_;
  if (row().needs == Needs::database) {
    settings_.erase("HOLDFAST_DB");
    expect_usage(run(right()), "--db NAME or set HOLDFAST_DB");
    settings_ = all;
    // A dump names its source, which a database of the engine's never is.
    expect_error(run(right({"--db", "!mine"})),
                 row().path == "dump" ? Code::not_found : Code::invalid_argument, "");
    expect_error(run(right({"--db", std::string(300, 'd')})), Code::invalid_argument, "200");
  }
  settings_.erase("HOLDFAST_STORE");
  if (std::ranges::count(no_url, "--store") == 0 && row().path != "serve") expect_usage(run(no_url), "");
}

TEST_P(EveryCommand, RefusesNamesThatAreTooLong) {
  static const std::set<std::string> kNames = {"KEY",   "KEY...", "FROM",     "STREAM", "TABLE",
                                               "INDEX", "QUEUE",  "SCHEDULE", "TYPE"};
  const auto& arguments = command().arguments;
  const auto first = std::ranges::find_if(arguments, [](const auto& each) { return !each.is_option(); });
  if (first == arguments.end() || !kNames.contains(first->name)) return;
  prepare();
  Words words = right();
  const std::size_t at = words_of(row().path).size();
  if (words.size() == at) words.emplace_back();
  words[at] = std::string(3'000, 'k');
  const Ended ended = run(words);
  if (row().path == "records find" || row().path == "records unindex") {
    return expect_error(ended, Code::not_found, "index");
  }
  expect_error(ended, Code::invalid_argument, row().path.starts_with("tables") ? "characters" : "bytes");
}

void PrintTo(const Case& row, std::ostream* out) { *out << row.path; }

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.path;
  std::ranges::replace(name, ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Commands, EveryCommand, testing::ValuesIn(cases()), test_name);

TEST(Commands, HaveARowInTheTableEach) {
  std::set<std::string> known;
  for (const cli::Command& command : cli::command_tree().commands) known.insert(command.path);
  std::set<std::string> tested;
  for (const Case& row : cases()) EXPECT_TRUE(tested.insert(row.path).second) << row.path;
  EXPECT_EQ(tested, known);
}

TEST(Commands, TakeNoSecretsOnTheCommandLine) {
  for (const cli::Command& command : cli::command_tree().commands) {
    for (const cli::Argument& argument : command.arguments) {
      for (const char* word : {"password", "secret", "token", "credential", "tls-key"}) {
        if (argument.name.find(word) == std::string::npos) continue;
        EXPECT_TRUE(argument.name.ends_with("-file")) << command.path << " " << argument.name;
      }
    }
  }
}

// --- Ctrl-C in what takes long ---

class Interrupting : public Cli {
 protected:
  void expect_interrupted(Program& program, const std::string& part) {
    program.send(SIGINT);
    const Ended ended = program.wait();
    EXPECT_EQ(ended.exit, cli::kExitInterrupted) << ended.err;
    EXPECT_NE(ended.err.find("interrupted"), std::string::npos) << ended.err;
    EXPECT_NE(ended.err.find(part), std::string::npos) << ended.err;
  }
  /// Ends an import, which has to say how many rows are there and what to give to go on; how many.
  std::size_t expect_skip(Program& program, const std::string& prefix) {
    program.send(SIGINT);
    const Ended ended = program.wait();
    EXPECT_EQ(ended.exit, cli::kExitInterrupted) << ended.err;
    const std::size_t stored = rows({"records", "list", "--limit", "0", "--prefix", prefix}).size();
    const std::string count = std::to_string(stored);
    EXPECT_NE(
        ended.err.find("interrupted: " + count + " records were imported; go on with --skip " + count + "\n"),
        std::string::npos)
        << ended.err;
    return stored;
  }
  /// Waits while the program runs; false if it ended or a minute passed before.
  static bool wait_until(Program& program, const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (program.runs() && std::chrono::steady_clock::now() < end) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  /// Entries of which a slow store takes minutes.
  void fill() {
    std::string lines;
    for (int i = 0; i < 20'000; ++i) lines += "{\"a\":" + std::to_string(i) + "}\n";
    output({"import", "jsonl"}, lines);
  }
  const std::string slow_ =
      "faulty+sqlite:store.db?faulty_delay_per_mille=1000&faulty_max_delay_ms=2000&sweeper=false";
};

TEST_F(Interrupting, AnImportSaysHowMuchIsThere) {
  std::string lines;
  for (int i = 0; i < 1'000; ++i) lines += "{\"a\":" + std::to_string(i) + "}\n";
  Program jsonl = start_piped({"import", "jsonl"});
  jsonl.feed(lines);
  const std::size_t stored = expect_skip(jsonl, "records");
  EXPECT_GT(stored, 0u);
  // The whole input once more, behind what is there.
  output({"import", "jsonl", "--skip", std::to_string(stored)}, lines);
  EXPECT_EQ(rows({"records", "list", "--limit", "0"}).size(), 1'000u);
}

TEST_F(Interrupting, AnImportStoresTheRowsItHasRead) {
  Program csv = start_piped({"import", "csv"});
  csv.feed("a,b\n1,2\n");
  csv.feed("3,4\n5,");
  EXPECT_EQ(expect_skip(csv, "records"), 2u) << "half a row is none";
}

TEST_F(Interrupting, AnUploadLeavesNothingBehind) {
  Program upload = start_piped({"blobs", "put", "k"});
  upload.feed(std::string(3'000'000, 'b'));
  expect_interrupted(upload, "");
  expect_error(run({"blobs", "get", "k"}), Code::not_found, "");
}

TEST_F(Interrupting, ADumpSaysHowToGoOn) {
  fill();
  Program dump = start({"dump", "--output", "dump.jsonl", "--store", slow_});
  EXPECT_TRUE(wait_until(dump, [&] { return std::filesystem::exists(path("dump.jsonl")); }));
  expect_interrupted(dump, "holdfast dump --output dump.jsonl --resume");
  EXPECT_EQ(file("dump.jsonl").find("\"end\""), std::string::npos);
}

TEST_F(Interrupting, ACopySaysThatTheSameCommandGoesOn) {
  fill();
  Program copy = start({"copy", slow_, "sqlite:copy.db"});
  EXPECT_TRUE(wait_until(copy, [&] { return !run({"db", "ls", "--store", "sqlite:copy.db"}).out.empty(); }));
  expect_interrupted(copy, "the same command goes on with it");
  EXPECT_EQ(rows({"db", "ls", "--store", "sqlite:copy.db"}).at(0)["state"], "being loaded");
  output({"copy", "sqlite:store.db", "sqlite:copy.db"});
}

TEST_F(Interrupting, ABenchmarkLeavesNothingBehind) {
  output({"db", "put", "k", "1"});
  Program bench = start({"bench", "sqlite:store.db", "--time", "1h"});
  EXPECT_TRUE(wait_until(bench, [&] { return rows({"db", "ls"}).size() == 2; }));
  expect_interrupted(bench, "");
  EXPECT_EQ(rows({"db", "ls"}).size(), 1u);
}

TEST_F(Interrupting, TheConformanceSuiteEndsAfterItsCase) {
  Program suite =
      start({"conformance", "faulty+memory:?faulty_delay_per_mille=1000&faulty_max_delay_ms=50", "--json"});
  EXPECT_TRUE(suite.wait_for_output("s1_"));
  expect_interrupted(suite, "");
}

TEST_F(Interrupting, AnIndexIsGoneOnWithByTheSameCommand) {
  fill();
  Program index = start({"records", "index", "i", "/a", "--store", slow_});
  EXPECT_TRUE(wait_until(index, [&] { return !rows({"records", "indexes"}).empty(); }));
  expect_interrupted(index, "the same command goes on with it");
  output({"records", "index", "i", "/a"});
  EXPECT_EQ(rows({"records", "find", "i", "--equals", "7"}).size(), 1u);
}

TEST_F(Interrupting, ARepairIsGoneOnWithByTheSameCommand) {
  output({"db", "put", "key", "value", "--store", "file:folder"});
  // Nothing of the store's, so that it is put aside, and it never gives a byte.
  const std::string stray = path("folder/stray");
  ASSERT_EQ(mkfifo(stray.c_str(), 0600), 0);
  Program repair = start({"db", "repair", "--yes", "--store", "file:folder"});
  EXPECT_TRUE(wait_until(repair, [&] {
    const std::filesystem::directory_iterator files(path("folder"));
    return std::any_of(begin(files), end(files), [](const auto& file) { return file.is_directory(); });
  })) << "it has begun to write";
  expect_interrupted(repair, "the same command goes on with it");
  std::filesystem::remove(stray);
  std::ofstream(stray) << "stray";
  output({"db", "repair", "--yes", "--store", "file:folder"});
  EXPECT_FALSE(std::filesystem::exists(stray));
  EXPECT_EQ(output({"db", "get", "key", "--store", "file:folder"}), "value");
}

}  // namespace
}  // namespace holdfast::e2e
