#include "support/targets.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace holdfast::testing_support {
namespace {

class Targets : public testing::Test {
 protected:
  void SetUp() override { setenv("HOLDFAST_TEST_SERVER", "server://user@host:1/there", 1); }
  void TearDown() override { unsetenv("HOLDFAST_TEST_SERVER"); }
};

TEST_F(Targets, StoreOfAFolderLiesInIt) {
  EXPECT_EQ(Target{"sqlite://{}/store.db"}.url("/tmp/a"), "sqlite:///tmp/a/store.db");
  EXPECT_EQ(Target{"memory:"}.url("/tmp/a"), "memory:");
}

TEST_F(Targets, StoreOfAServerIsNamedForTheFolder) {
  const Target target{"layer+server:{HOLDFAST_TEST_SERVER}?schema={name}"};
  EXPECT_EQ(target.url("/tmp/a_1"), "layer+server://user@host:1/there?schema=a_1");
  EXPECT_EQ(target.test_name(), "layer_server");
  EXPECT_EQ(Target{"redis:{HOLDFAST_TEST_SOME_CLUSTER}?prefix={name}"}.test_name(), "redis_cluster");
}

TEST_F(Targets, UrlOfAServerMayHaveOptions) {
  setenv("HOLDFAST_TEST_SERVER", "server://host?tls=true", 1);
  EXPECT_EQ(Target{"server:{HOLDFAST_TEST_SERVER}?schema={name}"}.url("/a"),
            "server://host?tls=true&schema=a");
}

TEST_F(Targets, ServerThatIsNotThereIsAnError) {
  unsetenv("HOLDFAST_TEST_SERVER");
  EXPECT_THROW(Target{"server:{HOLDFAST_TEST_SERVER}"}.url("/tmp/a"), std::runtime_error);
}

TEST_F(Targets, KeepDataUnlessTheyLiveInMemory) {
  EXPECT_FALSE(Target{"per_database+memory:"}.keeps_data());
  EXPECT_TRUE(Target{"file://{}?durable=false"}.keeps_data());
  EXPECT_TRUE(Target{"server:{HOLDFAST_TEST_SERVER}"}.keeps_data());
}

TEST_F(Targets, AreChosenByNameOrUrl) {
  setenv("HOLDFAST_TARGETS", "per_database_sqlite,memory:,file:///mnt/slow/{}", 1);
  const std::vector<Target> chosen = targets();
  unsetenv("HOLDFAST_TARGETS");
  ASSERT_EQ(chosen.size(), 3u);
  EXPECT_EQ(chosen[0].name, "per_database+sqlite://{}/databases");
  EXPECT_TRUE(chosen[1].cheap);
  EXPECT_EQ(chosen[2].name, "file:///mnt/slow/{}");
}

}  // namespace
}  // namespace holdfast::testing_support
