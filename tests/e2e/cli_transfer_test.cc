// holdfast dump, load and copy, also when they are killed in the middle.

#include <signal.h>

#include <random>
#include <thread>

#include "e2e/cli_fixture.h"
#include "holdfast/objects.h"
#include "holdfast/store.h"

namespace holdfast::e2e {
namespace {

class CliTransfer : public Cli {
 protected:
  void fill(const std::string& url, const Bytes& name, int entries) {
    auto store = Store::open(url);
    Database database = store->database(name);
    for (int i = 0; i < entries;) {
      Batch batch;
      for (int k = 0; k < 500 && i < entries; ++k, ++i) {
        Bytes value = "value " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 50), 'v');
        if (i % 9 == 0) value += '\xFF';
        batch.writes.push_back(Write::put("key/" + std::to_string(i), value));
      }
      database.commit(std::move(batch));
    }
    bool is_given = false;
    store->objects(name).put([&] { return std::exchange(is_given, true) ? Bytes() : Bytes(3'000'000, 'o'); });
  }

  std::string digest(const std::string& url, const std::string& name = "agents") {
    return rows({"db", "digest", "--store", url, "--db", name}).at(0)["digest"];
  }

  const std::string source_ = "sqlite:" + path("store.db");
  const std::string target_ = "file:" + path("target");
};

TEST_F(CliTransfer, DumpsAndLoadsThroughAPipe) {
  fill(source_, "agents", 1'000);
  const std::string dump = output({"dump"});
  EXPECT_EQ(dump.substr(0, 19), "{\"holdfast_dump\":1,");
  const std::vector<Json> loaded = {Json::parse(output({"load", "--store", target_, "--json"}, dump))};
  EXPECT_EQ(loaded[0]["database"], "agents");
  EXPECT_EQ(loaded[0]["digest"], digest(source_));
  EXPECT_EQ(digest(target_), digest(source_));
  EXPECT_EQ(output({"db", "get", "key/9", "--store", target_}), output({"db", "get", "key/9"}));
}

TEST_F(CliTransfer, DumpsIntoANewFileOnly) {
  fill(source_, "agents", 10);
  EXPECT_EQ(rows({"dump", "--output", "dump.jsonl"}).at(0)["outcome"], "dumped");
  const std::string first = file("dump.jsonl");
  expect_error(run({"dump", "--output", "dump.jsonl"}), Code::already_exists, "--force");
  EXPECT_EQ(file("dump.jsonl"), first);
  output({"dump", "--output", "dump.jsonl", "--force"});
  EXPECT_NE(file("dump.jsonl"), first);
  EXPECT_EQ(rows({"dump", "--output", "dump.jsonl", "--resume"}).at(0)["outcome"], "was there already");
  expect_usage(run({"dump", "--resume"}), "name it with --output");
  expect_error(run({"dump", "--output", "nowhere/dump.jsonl"}), Code::not_found, "cannot write");
  expect_error(run({"dump", "--db", "nothing"}), Code::not_found, "nothing");
}

TEST_F(CliTransfer, GoesOnWithADumpThatWasCutInTheMiddleOfALine) {
  fill(source_, "agents", 2'000);
  const std::string whole = output({"dump"});
  for (const std::size_t size : {whole.size() / 3, whole.size() / 2, whole.size() - 5}) {
    write_file("dump.jsonl", whole.substr(0, size));
    output({"db", "put", "key/7", "changed " + std::to_string(size)});
    output({"dump", "--output", "dump.jsonl", "--resume"});
    const std::string name = "after " + std::to_string(size);
    output({"load", "dump.jsonl", "--store", target_, "--db", name});
    EXPECT_EQ(digest(target_, name), digest(source_));
  }
}

TEST_F(CliTransfer, LoadsUnderAnotherName) {
  fill(source_, "agents", 10);
  output({"dump", "--output", "dump.jsonl"});
  output({"load", "dump.jsonl", "--db", "others"});
  EXPECT_EQ(digest(source_, "others"), digest(source_));
  expect_error(run({"load", "dump.jsonl", "--db", "!mine"}), Code::invalid_argument, "engine");
}

TEST_F(CliTransfer, StopsAtTheLineThatMakesNoSenseAndGoesOnWhenItIsRepaired) {
  fill(source_, "agents", 3'000);
  const std::string whole = output({"dump"});
  std::size_t at = 0;
  for (int line = 1; line < 2'500; ++line) at = whole.find('\n', at) + 1;
  std::string damaged = whole;
  damaged[at] = '<';
  write_file("dump.jsonl", damaged);
  expect_error(run({"load", "dump.jsonl", "--store", target_}), Code::invalid_argument,
               "line 2500: this is not JSON");
  EXPECT_EQ(rows({"db", "ls", "--store", target_}).at(0)["state"], "being loaded");
  expect_error(run({"db", "scan", "--store", target_}), Code::unavailable, "");
  write_file("dump.jsonl", whole);
  EXPECT_EQ(rows({"load", "dump.jsonl", "--store", target_}).at(0)["outcome"], "went on and done");
  EXPECT_EQ(digest(target_), digest(source_));
}

TEST_F(CliTransfer, GivesUpAnUnfinishedLoad) {
  fill(source_, "agents", 10);
  std::string dump = output({"dump"});
  dump.resize(dump.size() - 2);
  EXPECT_NE(run({"load", "--store", target_}, dump).exit, 0);
  output({"db", "drop", "--yes", "--store", target_});
  EXPECT_TRUE(rows({"db", "ls", "--store", target_}).empty());
}

TEST_F(CliTransfer, LoadsAHandMadeDumpWithoutALastNewline) {
  expect_error(run({"load", "--store", target_}, ""), Code::invalid_argument, "the dump is empty");
  fill(source_, "agents", 1);
  std::string dump = output({"dump"});
  dump.pop_back();
  output({"load", "--store", target_}, dump);
  expect_error(run({"load", "--store", target_}, std::string(17 << 20, 'x')), Code::invalid_argument,
               "line 1: it has more");
}

TEST_F(CliTransfer, CopiesAllDatabasesAndLeavesAloneWhatIsThere) {
  fill(source_, "agents", 100);
  fill(source_, "tools/one", 50);
  const Ended first = run({"copy", source_, target_, "--db", "agents"});
  EXPECT_EQ(first.exit, 0);
  EXPECT_EQ(first.err, "") << "a progress bar is for terminals";
  output({"db", "drop", "--yes", "--store", target_});
  const std::vector<Json> copied = rows({"copy", source_, target_});
  ASSERT_EQ(copied.size(), 2u);
  EXPECT_EQ(copied[1]["outcome"], "copied");
  EXPECT_EQ(digest(target_, "tools/one"), digest(source_, "tools/one"));
  EXPECT_EQ(rows({"copy", source_, target_}).at(0)["outcome"], "was there already");
  output({"db", "put", "key/1", "other", "--store", target_});
  expect_error(run({"copy", source_, target_}), Code::already_exists, "agents");
}

TEST_F(CliTransfer, CopiesOneDatabaseUnderAnotherName) {
  fill(source_, "agents", 100);
  output({"copy", source_, source_, "--db", "agents", "--as", "copy"});
  EXPECT_EQ(digest(source_, "copy"), digest(source_));
  write_file("url", target_ + "\n");
  output({"copy", source_, "@url", "--db", "agents", "--as", "renamed"});
  EXPECT_EQ(digest(target_, "renamed"), digest(source_));
  expect_usage(run({"copy", source_, source_}), "the same");
  expect_usage(run({"copy", source_, target_, "--as", "copy"}), "--as goes with --db");
  expect_usage(run({"copy", source_}), "TARGET is missing");
}

TEST_F(CliTransfer, GoesOnAfterEveryKillInTheMiddleOfALoad) {
  fill(source_, "agents", 20'000);
  output({"dump", "--output", "dump.jsonl"});
  std::mt19937_64 random(1);
  int kills = 0;
  for (bool is_done = false; !is_done;) {
    Program program = start({"load", "dump.jsonl", "--store", target_});
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 60 + 10 * kills));
    program.send(SIGKILL);
    const Ended ended = program.wait();
    is_done = ended.signal == 0;
    EXPECT_TRUE(!is_done || ended.exit == 0) << ended.err;
    kills += is_done ? 0 : 1;
    ASSERT_LT(kills, 1'000);
  }
  EXPECT_GT(kills, 0);
  EXPECT_EQ(digest(target_), digest(source_));
}

TEST_F(CliTransfer, GoesOnAfterEveryKillInTheMiddleOfACopyWhileTheSourceChanges) {
  fill(source_, "agents", 20'000);
  std::mt19937_64 random(2);
  int kills = 0;
  for (bool is_done = false; !is_done;) {
    Program program = start({"copy", source_, target_, "--db", "agents"});
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 60 + 10 * kills));
    program.send(SIGKILL);
    const Ended ended = program.wait();
    is_done = ended.signal == 0;
    if (is_done) {
      EXPECT_EQ(ended.exit, 0) << ended.err;
      break;
    }
    ++kills;
    // It may have been killed between its end and its exit.
    const std::vector<Json> databases = rows({"db", "ls", "--store", target_});
    is_done = !databases.empty() && databases[0]["state"] == "open";
    if (is_done) break;
    output({"db", "put", "key/" + std::to_string(random() % 25'000), "changed"});
    run({"db", "delete", "key/" + std::to_string(random() % 20'000)});
    ASSERT_LT(kills, 1'000);
  }
  EXPECT_GT(kills, 0);
  EXPECT_EQ(digest(target_), digest(source_));
}

TEST_F(CliTransfer, SaysHowToGoOnAfterCtrlC) {
  fill(source_, "agents", 20'000);
  output({"dump", "--output", "dump.jsonl"});
  const std::string dump = file("dump.jsonl");
  // It cannot have been complete: the rest of the dump is still ours.
  Program program = start_piped({"load", "--store", target_});
  program.feed(dump.substr(0, dump.size() - 1'000));
  program.send(SIGINT);
  const Ended ended = program.wait();
  EXPECT_EQ(ended.exit, cli::kExitInterrupted);
  EXPECT_NE(ended.err.find("the same command goes on with it"), std::string::npos) << ended.err;
  EXPECT_EQ(rows({"db", "ls", "--store", target_}).at(0)["state"], "being loaded");
  EXPECT_EQ(rows({"load", "dump.jsonl", "--store", target_}).at(0)["outcome"], "went on and done");
  EXPECT_EQ(digest(target_), digest(source_));
}

}  // namespace
}  // namespace holdfast::e2e
