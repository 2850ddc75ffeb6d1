#include "holdfast/open.h"

#include <gtest/gtest.h>

#include "holdfast/maintenance.h"
#include "holdfast/store.h"
#include "open/registry.h"
#include "tests/support/simulated_file_system.h"
#include "tests/support/targets.h"

namespace holdfast {
namespace {

std::string refusal(View url) {
  try {
    open_backend(url);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  ADD_FAILURE() << "opened";
  return "";
}

TEST(OpenBackend, OpensWhatTheSchemeNames) { EXPECT_EQ(open_backend("memory:")->traits().name, "memory"); }

TEST(OpenBackend, NamesTheNearestScheme) {
  EXPECT_EQ(refusal("memroy:"), "unknown scheme \"memroy\" in the store URL; did you mean \"memory\"?");
}

TEST(OpenBackend, ListsTheSchemesIfNoneIsNear) {
  EXPECT_NE(refusal("carrierpigeon:").find("known are: memory"), std::string::npos);
  EXPECT_EQ(refusal("carrierpigeon:").find("carrierpigeon"), std::string::npos);
}

TEST(OpenBackend, NamesTheNearestOption) {
  EXPECT_EQ(refusal("memory:?timeout=5"),
            "unknown option of memory:; known are: clock_skew_limit_ms, timeout_ms, sweeper");
  EXPECT_EQ(refusal("memory:?timeout_m=5"),
            "unknown option \"timeout_m\" of memory:; did you mean \"timeout_ms\"?");
}

TEST(OpenBackend, JudgesTheOptionsOfAStore) {
  EXPECT_NE(refusal("memory:?timeout_ms=0").find("must lie between 1 and"), std::string::npos);
  EXPECT_NO_THROW(open_backend("memory:?timeout_ms=5&sweeper=false&clock_skew_limit_ms=0"));
}

TEST(OpenBackend, RefusesAHostWhereThereIsNone) {
  EXPECT_NE(refusal("memory://data/app").find("memory:///absolute/path"), std::string::npos);
}

TEST(OpenBackend, BuildsTheLayersOfTheUrl) {
  const auto metrics = std::make_shared<Metrics>();
  const auto backend =
      open_backend("metered+faulty+memory:?faulty_error_per_mille=1000&faulty_seed=7", {}, metrics);
  EXPECT_THROW(backend->read("agents", {}), Error);
  EXPECT_EQ(metrics->calls().at("read").errors, 1u);
  const auto outside = open_backend("faulty+metered+memory:?faulty_error_per_mille=1000", {}, metrics);
  EXPECT_THROW(outside->read("agents", {}), Error);
  EXPECT_EQ(metrics->calls().at("read").calls, 1u);
}

TEST(OpenBackend, NamesTheNearestLayer) {
  EXPECT_EQ(refusal("meterd+memory:"),
            "unknown layer \"meterd\" in the store URL; did you mean \"metered\"?");
}

TEST(OpenBackend, RefusesALayerTwice) {
  EXPECT_NE(refusal("metered+faulty+metered+memory:").find("given twice"), std::string::npos);
}

TEST(OpenBackend, KnowsOnlyTheOptionsOfTheLayersThatAreThere) {
  EXPECT_NE(refusal("memory:?faulty_seed=1").find("unknown option"), std::string::npos);
  EXPECT_EQ(refusal("faulty+memory:?faulty_sed=1"),
            "unknown option \"faulty_sed\" of memory:; did you mean \"faulty_seed\"?");
}

TEST(OpenBackend, DescribesEveryOptionOfAUrl) {
  const std::string text = describe_urls();
  for (const char* part : {"memory:", "timeout_ms=NUMBER", "[30000]", "sweeper=true|false"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

TEST(StoreOpen, TakesAUrl) {
  const auto store = Store::open("memory:");
  store->database("agents").put("k", "v");
  EXPECT_EQ(store->database("agents").get("k")->value, "v");
}

TEST(StoreOpen, GivesTheBackendTheEnvironmentOfTheOptions) {
  const auto files = SimulatedFileSystem::make({});
  StoreOptions options;
  options.environment.files = files;
  options.sweeper = false;
  // On the machine's own files nobody can make this folder.
  const auto store = Store::open("file:///proc/holdfast", options);
  store->database("agents").put("k", "v");
  EXPECT_FALSE(files->paths().empty());
}

TEST(StoreOpen, LetsTheUrlWinOverTheCodeAndTheCodeOverTheDefaults) {
  StoreOptions code;
  code.timeout = std::chrono::milliseconds(7);
  code.sweeper = false;
  const StoreOptions plain = with_url(code, plan(Url::parse("memory:")));
  EXPECT_EQ(plain.timeout.count(), 7);
  EXPECT_FALSE(plain.sweeper);
  EXPECT_EQ(plain.clock_skew_limit.count(), limits::kClockSkewLimitMs);

  const StoreOptions url =
      with_url(code, plan(Url::parse("memory:?timeout_ms=9&sweeper=true&clock_skew_limit_ms=0")));
  EXPECT_EQ(url.timeout.count(), 9);
  EXPECT_TRUE(url.sweeper);
  EXPECT_EQ(url.clock_skew_limit.count(), 0);
}

TEST(Maintenance, ChecksTheStoreOfEachDatabaseAndTheirCatalog) {
  for (const std::string backend : {"sqlite", "file"}) {
    const testing_support::TemporaryFolder folder;
    const std::string url = "per_database+" + backend + "://" + folder.path() + "/databases";
    {
      const auto store = Store::open(url);
      for (const char* name : {"a", "b"}) store->database(name).put("k", "v");
    }
    const CheckReport report = check_store(url);
    EXPECT_TRUE(report.ok());
    EXPECT_GE(report.databases, 3u) << backend;
    EXPECT_GE(report.entries, 4u) << backend << ": each database's entry, and their rows in the catalog";
  }
}

TEST(Maintenance, SaysWhenAKindOfStoreCannotBeChecked) {
  for (const auto& call : {check_store, repair_store}) {
    try {
      call("memory:", {});
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::capability_missing);
    }
  }
}

}  // namespace
}  // namespace holdfast
