// Layouts that no library has yet, reached by lists of migrations that begin with this library's own.
#include "backends/sqlite/schema.h"

#include <gtest/gtest.h>

#include "backends/sqlite/failing_disk.h"
#include "backends/sqlite/test_store.h"

namespace holdfast::sqlite {
namespace {

constexpr std::int64_t kSmallCacheBytes = 1 << 20;
/// Says which steps were taken, and how often: `step` is the row's place in the order.
constexpr const char* kSecondLayout = "CREATE TABLE taken(step INTEGER); INSERT INTO taken VALUES(2)";
constexpr const char* kThirdLayout =
    "ALTER TABLE db ADD COLUMN note TEXT; UPDATE db SET note = 'of ' || name; INSERT INTO taken VALUES(3)";
/// Fails after it has done something.
constexpr const char* kBrokenLayout = "INSERT INTO taken VALUES(30); INSERT INTO nowhere VALUES(1)";

class Layouts : public testing::Test {
 protected:
  using List = std::vector<const char*>;

  /// The library's layouts and further ones.
  static List with(List further) {
    List list(library_migrations().begin(), library_migrations().end());
    list.insert(list.end(), further.begin(), further.end());
    return list;
  }
  void prepare(const List& migrations) {
    prepare_file(path_, migrations, Environment{}.completed(), kSmallCacheBytes);
  }
  void write_with_this_library() {
    const auto store = open_store(path_);
    Client client(*store, "db");
    ASSERT_FALSE(client.put("key", "value").error);
  }
  std::string text(const char* sql) {
    Connection connection(path_, OpenMode::look, system_clock());
    return connection.text(sql, "testing");
  }
  std::string layout() { return text("PRAGMA user_version"); }
  std::string taken() { return text("SELECT group_concat(step) FROM taken"); }

  static std::string newest(const List& migrations) { return std::to_string(migrations.size()); }

  TemporaryFolder folder_;
  std::string path_ = folder_.file();
};

TEST_F(Layouts, AreReachedInOrderWhateverTheFileHasAlready) {
  const List list = with({kSecondLayout, kThirdLayout});
  prepare(list);
  EXPECT_EQ(layout(), newest(list));
  EXPECT_EQ(taken(), "2,3");
  EXPECT_EQ(text("PRAGMA journal_mode"), "wal");

  path_ = folder_.file("one-step-at-a-time.db");
  prepare(with({}));
  prepare(with({kSecondLayout}));
  EXPECT_EQ(taken(), "2");
  prepare(list);
  EXPECT_EQ(layout(), newest(list));
  EXPECT_EQ(taken(), "2,3");
}

TEST_F(Layouts, KeepWhatEarlierOnesHold) {
  write_with_this_library();
  prepare(with({kSecondLayout, kThirdLayout}));
  EXPECT_EQ(text("SELECT d.note || ': ' || CAST(e.key AS TEXT) || '=' || e.value "
                 "FROM entry e JOIN db d ON d.id = e.db"),
            "of db: key=value");
}

TEST_F(Layouts, AreNotReachedTwice) {
  const List list = with({kSecondLayout});
  prepare(list);
  prepare(list);
  EXPECT_EQ(taken(), "2");
  Connection connection(path_, OpenMode::write, system_clock());
  migrate(connection, list);
  EXPECT_FALSE(connection.in_transaction());
  EXPECT_EQ(taken(), "2");
}

TEST_F(Layouts, AFailedStepLeavesTheOneBeforeItAndIsTakenByALaterOpen) {
  write_with_this_library();
  const List broken = with({kSecondLayout, kBrokenLayout, kThirdLayout});
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      prepare(broken);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      const std::string step = "layout " + std::to_string(library_migrations().size() + 2);
      EXPECT_NE(std::string(error.what()).find(step), std::string::npos) << error.what();
    }
    EXPECT_EQ(layout(), newest(with({kSecondLayout})));
    EXPECT_EQ(taken(), "2") << "nothing of the step that failed";
  }
  const List mended = with({kSecondLayout, kThirdLayout});
  prepare(mended);
  EXPECT_EQ(layout(), newest(mended));
  EXPECT_EQ(taken(), "2,3");
}

TEST_F(Layouts, AFirstStepThatFailsLeavesAFileThatIsStillEmpty) {
  EXPECT_THROW(prepare({"CREATE TABLE half(x); INSERT INTO nowhere VALUES(1)"}), Error);
  write_with_this_library();
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(Layouts, NewerThanTheLibrarysAreRefusedAndLeftAlone) {
  write_with_this_library();
  const List newer = with({kSecondLayout});
  prepare(newer);
  const std::string known = std::to_string(library_migrations().size());
  try {
    open_store(path_);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.code(), Code::capability_missing);
    EXPECT_NE(message.find("layout version " + newest(newer)), std::string::npos) << message;
    EXPECT_NE(message.find("up to " + known), std::string::npos) << message;
  }
  EXPECT_THROW(check_store(path_), Error);
  EXPECT_EQ(layout(), newest(newer));
  EXPECT_EQ(taken(), "2");
}

// Every write and sync of the migration fails once: the file then has a layout of the list, whole.
TEST_F(Layouts, ADiskThatFailsAtAnyMomentLeavesOneOfThemWhole) {
  constexpr int kMostWritesOfAMigration = 500;
  const List list = with({kSecondLayout, kThirdLayout});
  int failures = 0;
  bool failed = true;
  for (int calls = 0; failed && calls < kMostWritesOfAMigration; ++calls) {
    SCOPED_TRACE("after " + std::to_string(calls) + " calls");
    path_ = folder_.file("app" + std::to_string(calls) + ".db");
    write_with_this_library();
    {
      FailingDisk disk;
      disk.fail_after(calls, 1, SQLITE_IOERR_WRITE);
      try {
        prepare(list);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::unavailable) << error.what();
        ++failures;
      }
      failed = disk.has_failed();
    }
    const std::size_t reached = std::stoul(layout());
    const std::size_t first = library_migrations().size();
    ASSERT_GE(reached, first);
    if (reached > first) {
      EXPECT_EQ(taken(), reached == first + 1 ? "2" : "2,3");
    }
    prepare(list);
    EXPECT_EQ(layout(), newest(list));
    EXPECT_EQ(taken(), "2,3");
    EXPECT_EQ(text("SELECT value FROM entry"), "value");
  }
  EXPECT_FALSE(failed) << "a migration makes more than " << kMostWritesOfAMigration << " calls";
  EXPECT_GT(failures, 2);
}

}  // namespace
}  // namespace holdfast::sqlite
