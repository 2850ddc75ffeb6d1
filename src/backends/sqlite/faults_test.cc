// What becomes of commits when the disk fails under them.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "backends/sqlite/failing_disk.h"
#include "backends/sqlite/test_store.h"

namespace holdfast::sqlite {
namespace {

constexpr int kMostCalls = 200;

class Faults : public testing::Test {
 protected:
  /// A group that touches every table.
  static std::vector<Batch> batches(View value) {
    return {{{Check::has_version("a", 1)}, {Write::put("a", value)}},
            {{}, {Write::put("large", Bytes(5'000, 'x')), Write::erase("b")}},
            {{Check::absent("a")}, {Write::put("never", "v")}},
            {{}, {Write::put_stamped("s/", "", value, 5)}}};
  }
  void demand_applied_once(Backend& store, Client& client, const Group& group) {
    EXPECT_EQ(group.outcomes, (std::vector<Outcome>{{3, {}}, {4, {}}, {0, 0}, {5, {}}}));
    EXPECT_EQ(client.position().seq, 5u);
    EXPECT_EQ(client.get("a")->value, "new");
    EXPECT_EQ(client.get("b"), std::nullopt);
    ChangesRequest request;
    request.since = {client.position().history, 2};
    EXPECT_EQ(store.changes("db", request).items.size(), 4u);
  }

  TemporaryFolder folder_;
};

// For every call to the disk that a commit makes, once and for good, as a full disk and as a broken one.
TEST_F(Faults, OfADiskNeverLoseACommitNorApplyItTwice) {
  for (const int result : {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC}) {
    for (const std::int64_t count : {std::int64_t{1}, INT64_MAX}) {
      bool failed = true;
      for (int calls = 0; failed && calls < kMostCalls; ++calls) {
        SCOPED_TRACE("result " + std::to_string(result) + ", " + std::to_string(count) + " failures after " +
                     std::to_string(calls) + " calls");
        const std::string path = folder_.file("app" + std::to_string(result) + "-" + std::to_string(count) +
                                              "-" + std::to_string(calls) + ".db");
        FailingDisk disk;
        {
          const auto store = open_store(path);
          Client client(*store, "db");
          client.put("a", "old");
          client.put("b", "old");
          Group group = client.group(batches("new"));
          disk.fail_after(calls, count, result);
          store->commit({&group, 1});
          failed = disk.has_failed();
          disk.fail_after(INT64_MAX, 0, SQLITE_OK);
          if (group.error) {
            EXPECT_EQ(group.error->code(), Code::unavailable);
            EXPECT_TRUE(group.outcomes.empty());
            const bool known = group.error->retry() == Retry::backoff;
            if (known) {
              EXPECT_EQ(client.position().seq, 2u);
            }
            group.retry = true;
            store->commit({&group, 1});
            ASSERT_FALSE(group.error) << group.error->what();
          }
          demand_applied_once(*store, client, group);
        }
        EXPECT_TRUE(check_store(path).ok());
        const auto store = open_store(path);
        Client client(*store, "db", 2);
        EXPECT_EQ(client.position().seq, 5u);
      }
      EXPECT_FALSE(failed) << "a commit makes more than " << kMostCalls << " calls";
    }
  }
}

TEST_F(Faults, OfACheckpointCostNothing) {
  FailingDisk disk;
  const std::string path = folder_.file();
  {
    const auto store = open_store(path, {{"checkpoint_size_bytes", "65536"}, {"log_limit_bytes", "65536"}});
    Client client(*store, "db");
    client.put("a", "v");
    // Every other call: some hit commits, others the thread that copies the log.
    std::uint64_t commits = 1;
    for (int i = 0; i < 60; ++i) {
      disk.fail_after(i % 7, 1, SQLITE_IOERR_WRITE);
      Group group = client.group({{{}, {Write::put("k" + std::to_string(i), Bytes(9'000, 'x'))}}});
      store->commit({&group, 1});
      disk.fail_after(INT64_MAX, 0, SQLITE_OK);
      if (group.error) {
        group.retry = true;
        store->commit({&group, 1});
      }
      ASSERT_FALSE(group.error) << group.error->what();
      EXPECT_EQ(group.outcomes.at(0).seq, ++commits);
    }
  }
  EXPECT_TRUE(check_store(path).ok());
  EXPECT_EQ(check_store(path).entries, 61u);
}

}  // namespace
}  // namespace holdfast::sqlite
