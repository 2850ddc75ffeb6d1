#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/schema.h"
#include "backends/sqlite/test_store.h"
#include "environment/queued_file_lock.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::sqlite {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

/// The error that `call` throws.
template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {Code::internal, "no error"};
}

class SqliteBackend : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_.file();
  std::shared_ptr<Clock> clock_ = system_clock();
  Deadline soon() { return clock_->steady_now() + 20s; }

  void execute(const char* sql) {
    Connection connection(path_, OpenMode::create, clock_);
    connection.execute(sql, "testing");
  }
  std::int64_t integer(const char* sql) {
    Connection connection(path_, OpenMode::look, clock_);
    return connection.integer(sql, "testing");
  }
  std::string text(const char* sql) {
    Connection connection(path_, OpenMode::look, clock_);
    return connection.text(sql, "testing");
  }
  /// Waits until `condition` holds: for the work of the maintenance thread.
  template <class Condition>
  bool eventually(Condition&& condition) {
    for (const Deadline end = soon(); clock_->steady_now() < end; std::this_thread::sleep_for(1ms)) {
      if (condition()) return true;
    }
    return false;
  }
};

TEST_F(SqliteBackend, KeepsWhatWasCommittedWhenItIsOpenedAgain) {
  Position before;
  {
    const auto store = open_store(path_);
    Client client(*store, "db");
    ASSERT_EQ(client.put("key", "value").outcomes.at(0).seq, 1u);
    before = client.position();
  }
  const auto store = open_store(path_);
  Client client(*store, "db");
  EXPECT_EQ(client.get("key"), (Entry{"key", "value", 1, {}}));
  EXPECT_EQ(client.position(), before);
}

TEST_F(SqliteBackend, GivesBackValuesOfAllKindsAndSizesUnchanged) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  std::vector<Bytes> values = {
      "", "true", "\"\"", Bytes("\0a\0", 3), "\xFF\xFE", "gr\xC3\xBC\xC3\x9F", "12345678\0"};
  for (const std::size_t size : {7u, 8u, 9u, 1023u, 1024u, 1025u, 5000u, 1u << 20}) {
    values.emplace_back(size, 'x');
    values.emplace_back(size, '\x80');
  }
  for (const Bytes& value : values) {
    ASSERT_FALSE(client.put("key", value).error);
    EXPECT_EQ(client.get("key")->value, value);
  }
}

TEST_F(SqliteBackend, ReplacesAndErasesLargeValuesWithoutLeavingThemBehind) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("a", Bytes(2000, 'x'));
  client.put("a", Bytes(3000, 'y'));
  client.put("b", Bytes(2000, 'x'));
  client.put("b", "small");
  client.put("c", Bytes(2000, 'x'));
  client.commit({{{}, {Write::erase("c")}}});
  client.put("d", Bytes(2000, 'x'), client.now_ms);
  client.commit({{{}, {Write::reap("d")}}});
  EXPECT_EQ(client.get("a")->value, Bytes(3000, 'y'));
  EXPECT_EQ(client.get("b")->value, "small");
  EXPECT_EQ(client.get("c"), std::nullopt);
  EXPECT_EQ(integer("SELECT count(*) FROM body"), 1);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, OrdersKeysAsUnsignedBytes) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  const std::vector<Bytes> keys = {Bytes(1, '\0'), "a",    Bytes("a\0", 2), "a-", "a/", "b",
                                   "\x7F",         "\x80", "\xFF"};
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) client.put(*key, "v");
  std::vector<Bytes> found;
  for (const Entry& entry : client.scan(Range::all()).entries) found.push_back(entry.key);
  EXPECT_EQ(found, keys);
  std::vector<Bytes> reversed;
  for (const Entry& entry : client.scan(Range::all(), {.reverse = true}).entries)
    reversed.push_back(entry.key);
  EXPECT_EQ(reversed, std::vector<Bytes>(keys.rbegin(), keys.rend()));
}

TEST_F(SqliteBackend, CommitsTheOtherGroupsOfACallWhenOneCannotBe) {
  const auto store = open_store(path_);
  Client one(*store, "one");
  Client two(*store, "two");
  Client three(*store, "three");
  std::vector<Group> groups = {one.group({{{}, {Write::put("a", "1")}}}),
                               two.group({{{}, {Write::put("a", "1")}}}),
                               three.group({{{}, {Write::put("a", "1")}}})};
  groups[1].history = 77;
  store->commit(groups);
  EXPECT_EQ(groups[0].outcomes.at(0).seq, 1u);
  ASSERT_TRUE(groups[1].error);
  EXPECT_EQ(groups[1].error->code(), Code::history_changed);
  EXPECT_EQ(groups[2].outcomes.at(0).seq, 1u);
  EXPECT_EQ(store->databases("", "", 10, {}), (std::vector<Bytes>{"one", "three"}));
}

TEST_F(SqliteBackend, LeavesNothingOfAGroupThatTheDiskCannotHoldAndCommitsItsNeighbours) {
  const auto store = open_store(path_);
  Client small(*store, "small");
  Client large(*store, "large");
  small.put("a", "0");
  large.put("a", "0");
  // A disk that is full for the second group only is out of a test's reach; a trigger stands for it.
  execute(
      "CREATE TRIGGER full BEFORE INSERT ON body WHEN length(new.bytes) = 5000 BEGIN SELECT RAISE(ABORT, "
      "''); END");
  std::vector<Group> groups = {
      small.group({{{}, {Write::put("a", "1")}}}),
      large.group(
          {{{}, {Write::put("a", "1")}}, {{}, {Write::put("b", "1"), Write::put("c", Bytes(5000, 'x'))}}})};
  store->commit(groups);
  EXPECT_EQ(groups[0].outcomes.at(0).seq, 2u);
  ASSERT_TRUE(groups[1].error);
  EXPECT_EQ(small.get("a")->value, "1");
  EXPECT_EQ(large.get("a")->value, "0");
  EXPECT_EQ(large.position().seq, 1u);
}

TEST_F(SqliteBackend, JudgesTheBatchesOfAGroupOnTheStateBeforeIt) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("a", "1");
  const Group group = client.commit({{{Check::has_version("a", 1)}, {Write::put("b", "2")}},
                                     {{}, {Write::put("a", "3")}},
                                     {{Check::has_version("a", 1)}, {Write::put("c", "4")}},
                                     {{Check::absent("b")}, {Write::put("d", "5")}}});
  EXPECT_EQ(group.outcomes, (std::vector<Outcome>{{2, {}}, {3, {}}, {4, {}}, {5, {}}}));
}

TEST_F(SqliteBackend, WritesNothingOfABatchWhoseLastCheckFails) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("a", "1");
  client.put("old", "1", client.now_ms);
  client.put("large", Bytes(2000, 'x'));
  const std::vector<std::pair<Check, Write>> failing = {
      {Check::has_version("a", 9), Write::put("a", "2")},
      {Check::absent("a"), Write::put("a", "2")},
      {Check::has_version("a", 9), Write::erase("a")},
      {Check::has_version("old", 2), Write::put("old", "2")},
      {Check::has_version("old", 2), Write::erase("old")},
      {Check::absent("large"), Write::put("large", "2")}};
  for (const auto& [check, write] : failing) {
    const Group group = client.commit({{{Check::has_version("a", 1), check}, {Write::put("b", "2"), write}}});
    EXPECT_EQ(group.outcomes, (std::vector<Outcome>{{0, 1}}));
  }
  const std::vector<std::pair<Check, Write>> holding = {
      {Check::has_version("a", 1), Write::put("a", "2")},
      {Check::absent("old"), Write::put("old", "2")},
      {Check::has_version("large", 3), Write::put("large", "2")},
      {Check::has_version("large", 6), Write::put("large", Bytes(2000, 'y'))},
      {Check::has_version("large", 7), Write::erase("large")},
      {Check::has_version("a", 4), Write::erase("a")}};
  for (const auto& [check, write] : holding) {
    EXPECT_TRUE(client.commit({{{check}, {write}}}).outcomes.at(0).committed());
  }
  EXPECT_EQ(client.scan(Range::all()).entries.size(), 1u);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, ReadsTheNewDatabaseAfterOneOfItsNameWasDropped) {
  const auto store = open_store(path_);
  const auto other = open_store(path_);
  Client client(*store, "db");
  client.put("key", "old");
  Client reader(*other, "db", 2);
  EXPECT_EQ(reader.get("key")->value, "old");
  store->drop("db", client.position().history, soon());
  EXPECT_EQ(reader.get("key"), std::nullopt);
  Client again(*store, "db", 3);
  again.put("another", "database");
  EXPECT_EQ(reader.get("key"), std::nullopt);
  EXPECT_EQ(reader.get("another")->value, "database");
}

TEST_F(SqliteBackend, AnswersARetryWithWhatIsRecorded) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  Group group = client.group({{{}, {Write::put("a", "1")}},
                              {{Check::has_version("a", 9)}, {Write::put("b", "1")}},
                              {{}, {Write::put_stamped("s/", "", "1")}}});
  store->commit({&group, 1});
  Group retry = group;
  retry.retry = true;
  store->commit({&retry, 1});
  EXPECT_EQ(retry.outcomes, group.outcomes);
  EXPECT_EQ(retry.outcomes, (std::vector<Outcome>{{1, {}}, {0, 0}, {2, {}}}));
  EXPECT_EQ(retry.at, group.at);
  EXPECT_EQ(client.scan(Range::prefix("s/")).entries.size(), 1u);
}

TEST_F(SqliteBackend, KeepsTenThousandSessionsAndNoneOlderThanAnHourBeyondThem) {
  const auto store = open_store(path_);
  UnixMs now_ms = 1'700'000'000'000;
  std::vector<std::unique_ptr<Client>> clients;
  constexpr std::size_t kClients = limits::kSessions + 2;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>(*store, "db", i + 1));
    Client& client = *clients.back();
    // The last two come two hours after all others.
    client.now_ms = now_ms + (i < limits::kSessions ? 0 : 2 * 3'600'000);
  }
  // One group per call and 10,000 syncs would take minutes.
  Connection connection(path_, OpenMode::write, clock_);
  clients[0]->put("k", "v");
  connection.execute(
      "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
      "INSERT INTO session SELECT id, CAST(printf('%016d', i) AS BLOB), 1, 1, x'01', history, seq, time "
      "FROM db, n",
      "testing");
  connection.execute("UPDATE db SET sessions = 10000", "testing");
  clients[kClients - 2]->put("k", "v");
  clients[kClients - 1]->put("k", "v");
  EXPECT_EQ(integer("SELECT count(*) FROM session"), 9'999) << "and the one that committed last";
  EXPECT_EQ(integer("SELECT sessions FROM db"), 10'000);
  EXPECT_EQ(integer("SELECT count(*) FROM session WHERE used_at > 1700000000000"), 1);
}

TEST_F(SqliteBackend, KeepsTheRecordOfEverySessionWhoeverCommittedLast) {
  const auto store = open_store(path_);
  Client one(*store, "db", 1);
  Client two(*store, "db", 2);
  const Group first = one.put("a", "1");
  const Group second = two.put("b", "2");
  EXPECT_EQ(integer("SELECT count(*) FROM session"), 1);
  for (const Group* group : {&first, &second, &first}) {
    Group again = *group;
    again.retry = true;
    store->commit({&again, 1});
    EXPECT_EQ(again.at, group->at);
    EXPECT_EQ(again.outcomes, group->outcomes);
  }
  one.put("c", "3");
  EXPECT_EQ(integer("SELECT count(*) FROM session"), 1);
  EXPECT_EQ(integer("SELECT sessions FROM db"), 2);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, NeverReusesTheNumberOfADroppedDatabaseAndFreesItsRows) {
  const auto store = open_store(path_);
  Client first(*store, "db");
  for (int i = 0; i < 30; ++i) first.put("key" + std::to_string(i), Bytes(2000, 'x'), 5);
  const Position before = first.position();
  EXPECT_FALSE(store->drop("db", before.history + 1, soon()));
  EXPECT_TRUE(store->drop("db", before.history, soon()));
  EXPECT_EQ(first.position(), Position{});
  EXPECT_TRUE(store->expired(1'000, 10, soon()).items.empty());
  Client second(*store, "db", 2);
  second.put("new", "v");
  EXPECT_NE(second.position().history, before.history);
  EXPECT_EQ(second.scan(Range::all()).entries.size(), 1u);
  EXPECT_TRUE(eventually([&] { return integer("SELECT count(*) FROM dropped") == 0; }));
  EXPECT_EQ(integer("SELECT count(*) FROM entry"), 1);
  EXPECT_EQ(integer("SELECT count(*) FROM body"), 0);
  EXPECT_EQ(integer("SELECT count(*) FROM session"), 0);
  EXPECT_EQ(integer("SELECT id FROM db"), 2);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, FreesWhatADropLeftWhenTheStoreIsOpenedAgain) {
  {
    const auto store = open_store(path_);
    Client client(*store, "db");
    client.put("key", "v");
  }
  execute("INSERT INTO dropped SELECT id FROM db; DELETE FROM db");
  const auto store = open_store(path_);
  EXPECT_TRUE(eventually([&] { return integer("SELECT count(*) FROM entry") == 0; }));
}

TEST_F(SqliteBackend, CompactsTheChangeLogInManySteps) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  for (int i = 0; i < 500; ++i) client.put("key", "v");
  store->compact("db", 450, soon());
  EXPECT_EQ(integer("SELECT count(*) FROM log"), 50);
  ChangesRequest request;
  request.since = {client.position().history, 449};
  EXPECT_EQ(error_of([&] { store->changes("db", request); }).code(), Code::compacted);
  request.since.seq = 450;
  EXPECT_EQ(store->changes("db", request).items.size(), 1u);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, CopiesTheLogIntoTheFileBesideTheWriters) {
  const auto store = open_store(path_, {{"checkpoint_size_bytes", "65536"}});
  Client client(*store, "db");
  for (int i = 0; i < 20; ++i) client.put("key" + std::to_string(i), Bytes(20'000, 'x'));
  EXPECT_TRUE(eventually([&] { return std::filesystem::file_size(path_) > 300'000; }));
}

TEST_F(SqliteBackend, CutsTheLogOffWhenAReaderHasLetItGrow) {
  const auto store = open_store(path_, {{"checkpoint_size_bytes", "65536"}, {"log_limit_bytes", "262144"}});
  Client client(*store, "db");
  client.put("key", "v");
  {
    Connection reader(path_, OpenMode::look, clock_);
    reader.execute("BEGIN", "testing");
    reader.integer("SELECT count(*) FROM db", "testing");
    for (int i = 0; i < 40; ++i) client.put("key" + std::to_string(i), Bytes(20'000, 'x'));
    EXPECT_GT(std::filesystem::file_size(path_ + "-wal"), 262'144u);
    reader.rollback();
  }
  EXPECT_TRUE(eventually([&] {
    return std::filesystem::file_size(path_ + "-wal") < 262'144 ||
           (client.put("key", Bytes(20'000, 'x')), false);
  }));
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(SqliteBackend, CopiesTheLogAndRemovesItWhenTheLastStoreIsClosed) {
  {
    const auto store = open_store(path_);
    Client client(*store, "db");
    client.put("key", "v");
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal"));
}

TEST_F(SqliteBackend, ReadsWhileAnotherConnectionHoldsTheWriteLock) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("key", "v");
  Connection foreign(path_, OpenMode::write, clock_);
  foreign.execute("BEGIN IMMEDIATE", "testing");
  EXPECT_EQ(client.get("key")->value, "v");
  foreign.rollback();
}

TEST_F(SqliteBackend, GivesUpAtTheDeadlineWhileAnotherProgramWrites) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("key", "v");
  Connection foreign(path_, OpenMode::write, clock_);
  foreign.execute("BEGIN IMMEDIATE", "testing");
  Group group = client.group({{{}, {Write::put("key", "w")}}});
  group.deadline = clock_->steady_now() + 50ms;
  store->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(group.error->retry(), Retry::backoff);
  EXPECT_LT(clock_->steady_now(), group.deadline + 1s);
  foreign.rollback();
  EXPECT_EQ(client.get("key")->value, "v");
}

TEST_F(SqliteBackend, GivesUpAtTheDeadlineWhileAnotherStoreHasTheTurn) {
  const auto store = open_store(path_);
  Client client(*store, "db");
  client.put("key", "v");
  QueuedFileLock other(path_ + "-writer", clock_);
  ASSERT_TRUE(other.acquire(soon()));
  Group group = client.group({{{}, {Write::put("key", "w")}}});
  group.deadline = clock_->steady_now() + 50ms;
  store->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  other.release();
  EXPECT_FALSE(client.put("key", "x").error);
}

TEST_F(SqliteBackend, WakesAWaiterForACommitOfAnotherStore) {
  const auto store = open_store(path_);
  const auto other = open_store(path_);
  Client client(*store, "db");
  client.put("key", "v");
  const std::vector<Cursor> cursors = {{"quiet", {}}, {"db", client.position()}};
  std::vector<std::size_t> woken;
  std::thread waiter([&] { woken = other->wait(cursors, soon()); });
  client.put("key", "w");
  waiter.join();
  EXPECT_EQ(woken, std::vector<std::size_t>{1});
}

TEST_F(SqliteBackend, EndsAWaitWhenItIsWoken) {
  const auto store = open_store(path_);
  store->wake();
  EXPECT_TRUE(store->wait({}, soon()).empty());
  std::thread waiter([&] { EXPECT_TRUE(store->wait({}, soon()).empty()); });
  store->wake();
  waiter.join();
}

TEST_F(SqliteBackend, ShowsPeopleKeysAndValuesAsText) {
  const auto store = open_store(path_);
  Client client(*store, "agents");
  client.put("users/j\xC3\xB6rg", "{\"name\":\"J\xC3\xB6rg\"}");
  EXPECT_EQ(text("SELECT database || ' ' || key || ' ' || value FROM readable"),
            "agents users/j\xC3\xB6rg {\"name\":\"J\xC3\xB6rg\"}");
  for (const Bytes& key : {Bytes("\xE4\xB8"
                                 "a"),
                           Bytes("a\0b", 3), Bytes("\x80"), Bytes("\xC0\x80")}) {
    client.commit({{{}, {Write::put(key, Bytes(2000, 'x'))}}});
    EXPECT_EQ(text("SELECT substr(key, 1, 2) FROM readable WHERE length(value) = 2000"), "x'");
    client.commit({{{}, {Write::erase(key)}}});
  }
}

// --- what every connection is told

TEST_F(SqliteBackend, CommitsAreSyncedAndForeignKeysHold) {
  open_store(path_);
  Connection connection(path_, OpenMode::write, system_clock());
  configure(connection, 1 << 20);
  EXPECT_EQ(connection.text("PRAGMA journal_mode", "testing"), "wal");
  EXPECT_EQ(connection.text("PRAGMA synchronous", "testing"), "2");
  EXPECT_EQ(connection.text("PRAGMA foreign_keys", "testing"), "1");
}

// --- what is refused

TEST_F(SqliteBackend, SaysWhereToKeepAStoreThatIsNotKept) {
  const Error error = error_of([] { open_store(":memory:"); });
  EXPECT_EQ(error.code(), Code::invalid_argument);
  EXPECT_NE(std::string(error.what()).find("memory:"), std::string::npos);
}

TEST_F(SqliteBackend, DoesNotCreateAFolder) {
  EXPECT_EQ(error_of([&] { open_store(folder_.file("missing/app.db")); }).code(), Code::not_found);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("missing")));
}

TEST_F(SqliteBackend, RefusesANetworkFileSystem) {
  const auto files = SimulatedFileSystem::make({});
  files->create_folder("/data");
  files->set_network(true);
  Environment environment;
  environment.files = files;
  const Error error = error_of([&] { open_store("/data/app.db", {}, environment); });
  EXPECT_EQ(error.code(), Code::capability_missing);
  EXPECT_NE(std::string(error.what()).find("network file system"), std::string::npos);
}

TEST_F(SqliteBackend, RefusesAFileThatIsNoDatabaseAndLeavesItAlone) {
  std::ofstream(path_) << std::string(5000, 'x');
  const Error error = error_of([&] { open_store(path_); });
  EXPECT_EQ(error.code(), Code::corruption);
  EXPECT_NE(std::string(error.what()).find("no SQLite database"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path_), 5000u);
  EXPECT_FALSE(std::filesystem::exists(path_ + "-writer"));
}

TEST_F(SqliteBackend, RefusesTheDatabaseOfAnotherProgramAndLeavesItAlone) {
  execute("CREATE TABLE other(x)");
  EXPECT_EQ(error_of([&] { open_store(path_); }).code(), Code::invalid_argument);
  EXPECT_EQ(text("PRAGMA journal_mode"), "delete");
  EXPECT_FALSE(std::filesystem::exists(path_ + "-writer"));
}

TEST_F(SqliteBackend, RefusesALayoutThatIsNewerThanItself) {
  open_store(path_);
  execute("PRAGMA user_version = 2");
  const Error error = error_of([&] { open_store(path_); });
  EXPECT_EQ(error.code(), Code::capability_missing);
  EXPECT_NE(std::string(error.what()).find("newer version"), std::string::npos);
}

TEST_F(SqliteBackend, RefusesAFolder) {
  EXPECT_EQ(error_of([&] { open_store(folder_.path()); }).code(), Code::permission_denied);
}

TEST_F(SqliteBackend, TakesAnEmptyFileForANewStore) {
  std::ofstream(path_).flush();
  const auto store = open_store(path_);
  Client client(*store, "db");
  EXPECT_FALSE(client.put("key", "v").error);
}

TEST_F(SqliteBackend, RemovesTheFileAndAllBesideIt) {
  open_store(path_);
  sqlite_factory().remove(url_of(path_), {});
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace holdfast::sqlite
