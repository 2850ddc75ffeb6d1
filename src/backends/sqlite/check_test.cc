#include "backends/sqlite/check.h"

#include <gtest/gtest.h>

#include <fstream>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/test_store.h"

namespace holdfast::sqlite {
namespace {

/// A sound file with entries of all kinds, and what a check says after `damage` was done to it.
class StoreCheck : public testing::Test {
 protected:
  void SetUp() override {
    const auto store = open_store(path_);
    Client client(*store, "db");
    client.put("a", "small");
    client.put("b", Bytes(2000, 'x'));
    client.put("c", "due", client.now_ms + 1);
    client.commit({{{}, {Write::erase("a")}}});
    client.put("d", "small");
    store->compact("db", 2, {});
  }
  CheckReport after(const std::string& damage) {
    {
      Connection connection(path_, OpenMode::write, system_clock());
      connection.execute(damage.c_str(), "damaging");
    }
    return check_store(path_);
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.file();
};

TEST_F(StoreCheck, FindsNothingWrongWithASoundFileAndCountsWhatIsThere) {
  const CheckReport report = check_store(path_);
  EXPECT_TRUE(report.ok()) << report.problems.at(0);
  EXPECT_EQ(report.databases, 1u);
  EXPECT_EQ(report.entries, 3u);
  EXPECT_EQ(report.commits, 5u);
}

TEST_F(StoreCheck, ChangesNothing) {
  const auto bytes = [this] {
    std::ifstream file(path_, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const std::string before = bytes();
  check_store(path_);
  EXPECT_EQ(bytes(), before);
}

TEST_F(StoreCheck, ReportsEachBrokenRule) {
  const std::vector<std::string> damages = {
      "UPDATE db SET floor = 9",
      "UPDATE entry SET version = 9 WHERE key = x'62'",
      "UPDATE entry SET version = 4 WHERE key = x'63'",
      "UPDATE entry SET key = CAST('a' AS TEXT) WHERE key = x'64'",
      "UPDATE entry SET value = NULL WHERE key = x'64'",
      "UPDATE db SET seq = 4, floor = 4",
      "UPDATE db SET sessions = 2",
      "INSERT INTO body(bytes) VALUES ('orphan')",
      "UPDATE entry SET value = NULL, body = (SELECT id FROM body) WHERE key = x'64'",
      "UPDATE entry SET db = 7 WHERE key = x'64'",
      "UPDATE log SET db = 7",
      "INSERT INTO dropped(id) SELECT id FROM db",
      "DELETE FROM log WHERE last = 5",
      "UPDATE log SET keys = substr(keys, 1, length(keys) - 1) WHERE last = 5",
      "UPDATE log SET last = 6 WHERE last = 5",
      "PRAGMA foreign_keys = OFF; DELETE FROM body",
  };
  Bytes sound;
  {
    std::ifstream file(path_, std::ios::binary);
    sound.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (const std::string& damage : damages) {
    EXPECT_FALSE(after(damage).ok()) << damage;
    std::filesystem::remove(path_ + "-wal");
    std::filesystem::remove(path_ + "-shm");
    std::ofstream(path_, std::ios::binary) << sound;
  }
}

TEST_F(StoreCheck, ReportsAPageThatWasOverwritten) {
  {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096 * 3);
    file << std::string(4096, '\x5A');
  }
  try {
    EXPECT_FALSE(check_store(path_).ok());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::corruption);
  }
}

TEST_F(StoreCheck, NeverNamesKeysOrValues) {
  for (const std::string& problem : after("UPDATE log SET last = 6 WHERE last = 5").problems) {
    EXPECT_EQ(problem.find("small"), std::string::npos);
  }
}

}  // namespace
}  // namespace holdfast::sqlite
