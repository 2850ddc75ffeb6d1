#include "holdfast/config.h"

#include <gtest/gtest.h>

#include <fstream>

#include "holdfast/error.h"
#include "holdfast/maintenance.h"
#include "holdfast/open.h"
#include "tests/support/targets.h"

namespace holdfast {
namespace {

using testing_support::TemporaryFolder;

template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

std::string refusal_of(const std::string& text) {
  return message_of([&] { Config::parse(text, "holdfast.toml"); });
}

TEST(Config, BindsDatabasesToStores) {
  const Config config = Config::parse(R"(
store = "memory:"
[databases.scheduler]
store = "sqlite:a.db"
[databases."a/b c"]
store = "file:b"
[server]
listen = "127.0.0.1:0"
)",
                                      "holdfast.toml");
  EXPECT_EQ(config.store, "memory:");
  EXPECT_EQ(config.databases.size(), 2u);
  EXPECT_EQ(config.databases.at("scheduler"), "sqlite:a.db");
  EXPECT_EQ(config.databases.at("a/b c"), "file:b");
}

TEST(Config, RefusesWhatItDoesNotUnderstandNamingTheLineAndTheNearestKey) {
  EXPECT_EQ(refusal_of("stor = \"memory:\""),
            "holdfast.toml, line 1: unknown key \"stor\"; did you mean \"store\"?");
  EXPECT_NE(
      refusal_of("[databases.a]\nstroe = \"memory:\"").find("line 2: unknown key \"stroe\" of [databases.a]"),
      std::string::npos);
  EXPECT_NE(refusal_of("[databases]\na = \"memory:\"").find("line 2: this is a table: write [databases.a]"),
            std::string::npos);
  EXPECT_NE(refusal_of("databases = 5").find("write [databases.NAME]"), std::string::npos);
  EXPECT_NE(refusal_of("store = 5").find("\"store\" is text in quotes"), std::string::npos);
  EXPECT_NE(refusal_of("\n[databases.a]\n").find("line 2: [databases.a] has no \"store\""),
            std::string::npos);
  EXPECT_NE(refusal_of("store = [[[").find("this is not TOML"), std::string::npos);
}

TEST(Config, RefusesUrlsThatNameNoStore) {
  EXPECT_NE(refusal_of("store = \"memroy:\"").find("line 1: unknown scheme \"memroy\""), std::string::npos);
  EXPECT_NE(refusal_of("[databases.a]\nstore = \"sqlite:a?x=1\"").find("unknown option"), std::string::npos);
  EXPECT_NE(refusal_of("store = \"config:other.toml\"").find("not configurations"), std::string::npos);
  EXPECT_NE(refusal_of("[databases.\"!mine\"]\nstore = \"memory:\"").find("line 1"), std::string::npos);
}

TEST(Config, RefusesOptionsOfTheWholeStoreForOneDatabase) {
  const std::string message = refusal_of("[databases.a]\nstore = \"memory:?timeout_ms=5\"");
  EXPECT_NE(message.find("\"timeout_ms\" is an option of the whole store"), std::string::npos);
  Config config;
  config.store = "memory:";
  config.databases["a"] = "memory:?sweeper=false";
  EXPECT_NE(message_of([&] { open_backend(config); }).find("\"sweeper\""), std::string::npos);
}

TEST(Config, WithoutAStoreForTheOthersIsRefusedWhenItIsOpened) {
  Config config;
  config.databases["a"] = "memory:";
  EXPECT_NE(message_of([&] { open_backend(config); }).find("bound to none"), std::string::npos);
}

TEST(Config, NamesTheDatabaseWhoseStoreCannotBeOpened) {
  Config config;
  config.store = "memory:";
  config.databases["jobs"] = "sqlite:/nowhere/at/all/a.db";
  try {
    open_backend(config);
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_TRUE(std::string(error.what()).starts_with("the database \"jobs\": ")) << error.what();
  }
}

TEST(Config, OpensOneStoreOfAllThatAreNamed) {
  const TemporaryFolder folder;
  Config config;
  config.store = "sqlite://" + folder.path() + "/rest.db?timeout_ms=7000";
  // `file:` belongs to one opener: the two share it.
  config.databases["a"] = config.databases["b"] = "file://" + folder.path() + "/files";
  {
    const auto store = open_store(config);
    for (const char* name : {"a", "b", "c"}) store->database(name).put("k", name);
    EXPECT_EQ(store->databases().size(), 3u);
  }
  const auto files = Store::open("file://" + folder.path() + "/files");
  EXPECT_EQ(files->databases(), (std::vector<Bytes>{"a", "b"}));
  EXPECT_EQ(files->database("b").get("k")->value, "b");
}

TEST(Config, OfAFileIsAStoreWhereverAUrlIs) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/holdfast.toml";
  std::ofstream(path) << "store = \"sqlite://" << folder.path()
                      << "/rest.db\"\n[databases.jobs]\nstore = \"sqlite://" << folder.path()
                      << "/jobs.db\"\n";
  {
    const auto store = Store::open("config://" + path + "?timeout_ms=7000");
    store->database("jobs").put("k", "v");
    store->database("other").put("k", "v");
  }
  EXPECT_EQ(Store::open("sqlite://" + folder.path() + "/jobs.db")->databases(), (std::vector<Bytes>{"jobs"}));
  const CheckReport report = check_store("config://" + path);
  EXPECT_TRUE(report.ok());
  EXPECT_GE(report.databases, 2u);
  EXPECT_NE(message_of([] { open_backend("config:"); }).find("config:holdfast.toml"), std::string::npos);
}

TEST(Config, OfAFileTakesOptionsOfTheWholeStoreFromItsOwnUrl) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/holdfast.toml";
  std::ofstream(path) << "store = \"memory:?timeout_ms=5\"\n";
  EXPECT_NE(message_of([&] { open_backend("config://" + path); }).find("behind config:"), std::string::npos);
}

TEST(PiriPreset, LaysTheFourDatabasesOutAsPiriDoes) {
  const TemporaryFolder folder;
  const std::string data = folder.path() + "/piri data?";
  const Config config = Config::parse("[presets.piri]\ndata_dir = '" + data + "'\n", "holdfast.toml");
  {
    const auto store = open_store(config);
    for (const char* name : {"scheduler", "replicator", "aggregator", "egress_tracker", "mine"}) {
      store->database(name).put("k", "v");
    }
  }
  for (const char* file :
       {"pdp/state/state.db", "replicator/replicator.db", "aggregator/jobqueue/jobqueue.db",
        "egress_tracker/jobqueue/jobqueue.db", "holdfast.db"}) {
    EXPECT_TRUE(std::ifstream(data + "/" + file).good()) << file;
  }
}

TEST(PiriPreset, HasOneSchemaEachOfAServer) {
  const Config config = Config::preset("piri", "", "postgres://user@host/app?lanes=2");
  EXPECT_EQ(config.databases.size(), 4u);
  EXPECT_EQ(config.databases.at("egress_tracker"), "postgres://user@host/app?lanes=2&schema=egress_tracker");
  EXPECT_EQ(config.store, "postgres://user@host/app?lanes=2&schema=holdfast");
}

TEST(PiriPreset, MayBeBoundOtherwiseBesideIt) {
  const Config config = Config::parse(
      "store = \"memory:\"\n[presets.piri]\ndata_dir = \"d\"\n[databases.scheduler]\nstore = \"memory:\"\n",
      "holdfast.toml");
  EXPECT_EQ(config.store, "memory:");
  EXPECT_EQ(config.databases.at("scheduler"), "memory:");
  EXPECT_EQ(config.databases.at("replicator"), "sqlite:d/replicator/replicator.db");
}

TEST(PiriPreset, WantsOnePlaceForItsData) {
  EXPECT_NE(refusal_of("[presets.piri]\n").find("line 1: the preset piri wants either"), std::string::npos);
  EXPECT_NE(refusal_of("[presets.piri]\ndata_dir = \"d\"\nstore = \"memory:\"\n").find("either"),
            std::string::npos);
  EXPECT_NE(refusal_of("[presets.piry]\ndata_dir = \"d\"\n").find("did you mean \"piri\""),
            std::string::npos);
  EXPECT_NE(refusal_of("[presets.piri]\nstore = \"sqlite:d\"\n").find("unknown option"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
