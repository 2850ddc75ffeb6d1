// What is particular to PostgreSQL; the contract itself is proved by the conformance suite.
#include <sys/wait.h>

#include <iomanip>
#include <sstream>
#include <thread>

#include "backends/postgres/schema.h"
#include "backends/postgres/test_server.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/code_of.h"
#include "tests/support/range_checks.h"

namespace holdfast::postgres {
namespace {

using testing_support::code_of;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

Fence frozen() {
  Fence fence;
  fence.state = Fence::State::frozen;
  fence.token = 7;
  return fence;
}

/// Opens a role's door to everything that the schema's owner may do, or to less.
class Role {
 public:
  explicit Role(const std::vector<std::string>& settings = {}) {
    sql_("CREATE ROLE " + name_ + " LOGIN PASSWORD 'secret of the role'");
    for (const std::string& setting : settings) sql_("ALTER ROLE " + name_ + " SET " + setting);
  }
  ~Role() {
    sql_("DROP OWNED BY " + name_ + " CASCADE");
    sql_("DROP ROLE " + name_);
  }
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;
  const std::string& name() const { return name_; }

 private:
  const std::string name_ = unique_name();
  const Sql sql_;
};

TEST(PostgresBackend, says_what_the_server_promises) {
  const auto backend = open_store(unique_name());
  EXPECT_EQ(backend->traits().name, "postgres");
  EXPECT_EQ(backend->traits().durability, Durability::disk);
  EXPECT_TRUE(backend->traits().shared_by_processes);
  EXPECT_TRUE(backend->traits().keeps_acknowledged);
}

TEST(PostgresBackend, keeps_the_schema_in_readable_tables) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  TestClient client(*backend, environment(), "agents/42");
  client.commit({{}, {Write::put("text", "{\"a\":1}"), Write::put(View("\0\xff", 2), View("\x80", 1))}});
  const Sql sql;
  EXPECT_EQ(sql("SELECT database || '|' || key || '|' || value FROM " + schema + ".readable ORDER BY key"),
            (std::vector<std::string>{"agents/42|\\x00ff|\\x80", "agents/42|text|{\"a\":1}"}));
}

TEST(PostgresBackend, touches_nothing_outside_of_its_schema) {
  const Sql sql;
  const std::string outside =
      "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname NOT LIKE 'hf\\_%' AND n.nspname NOT LIKE 'holdfast\\_%' AND n.nspname NOT LIKE "
      "'pg\\_%' ORDER BY 1";
  const std::vector<std::string> before = sql(outside);
  const auto backend = open_store(unique_name());
  TestClient(*backend, environment(), "db").commit({{}, {Write::put("k", "v")}});
  EXPECT_EQ(sql(outside), before);
}

TEST(PostgresBackend, is_made_by_processes_that_start_at_once) {
  const std::string schema = unique_name();
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        open_store(schema);
        _exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        _exit(1);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST(PostgresBackend, refuses_a_schema_that_a_newer_library_has_made) {
  const std::string schema = unique_name();
  open_store(schema);
  Sql()("UPDATE " + schema + ".layout SET version = 99");
  EXPECT_EQ(code_of([&] { open_store(schema); }), Code::capability_missing);
}

/// Takes away what layout 3 has added.
void make_layout_2(const Sql& sql, const std::string& schema) {
  sql("DROP TRIGGER raise_epoch ON " + schema + ".database; DROP FUNCTION " + schema + ".raise_epoch");
  sql("ALTER TABLE " + schema + ".database DROP COLUMN epoch");
  sql("ALTER TABLE " + schema + ".commits DROP COLUMN epoch");
  sql("DELETE FROM " + schema + ".layout; INSERT INTO " + schema + ".layout VALUES (2)");
}

TEST(PostgresBackend, gives_the_tables_of_an_older_layout_what_is_new) {
  const std::string schema = unique_name();
  const Sql sql;
  const std::string columns =
      "SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(column_default, '') FROM "
      "information_schema.columns WHERE table_schema = '" +
      schema + "' ORDER BY 1";
  std::vector<std::string> current;
  {
    const auto backend = open_store(schema);
    current = sql(columns);
    for (const char* name : {"one", "other", "frozen"}) {
      TestClient client(*backend, environment(), name);
      for (const char* value : {"old", "older"}) client.put("k", value);
    }
    EXPECT_TRUE(backend->fence("frozen", {}, frozen(), Deadline::max()));
  }
  make_layout_2(sql, schema);
  const auto backend = open_store(schema);
  EXPECT_EQ(sql(columns), current);
  for (const char* name : {"one", "other"}) {
    TestClient client(*backend, environment(), name, 2);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(client.value("k"), "older");
    for (const char* value : {"new", "newer"}) EXPECT_FALSE(client.put("k", value).error);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(client.value("k"), "newer");
  }
  EXPECT_TRUE(TestClient(*backend, environment(), "frozen", 2).put("k", "new").error);
}

TEST(PostgresBackend, makes_the_functions_of_an_older_layout_anew) {
  const std::string schema = unique_name();
  {
    const auto backend = open_store(schema);
    TestClient(*backend, environment(), "db").commit({{}, {Write::put("k", "old")}});
  }
  const Sql sql;
  const std::string functions =
      "SELECT string_agg(oid::regprocedure || prosrc, ' ' ORDER BY oid::regprocedure::text) FROM pg_proc "
      "WHERE "
      "pronamespace = '" +
      schema + "'::regnamespace";
  const std::vector<std::string> current = sql(functions);
  // One has another body, one other parameters, one was not there yet.
  sql("CREATE OR REPLACE FUNCTION " + schema +
      ".evict_sessions(p_db bigint, p_newest bigint, p_time bigint) RETURNS void LANGUAGE sql AS ''");
  sql("DROP FUNCTION " + schema + ".trim_commits; CREATE FUNCTION " + schema +
      ".trim_commits(p_name text) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'");
  sql("DROP FUNCTION " + schema + ".put_group");
  make_layout_2(sql, schema);
  sql("UPDATE " + schema + ".layout SET version = 1");
  const auto backend = open_store(schema);
  EXPECT_EQ(sql(functions), current);
  EXPECT_EQ(sql("SELECT max(version) FROM " + schema + ".layout"),
            std::vector<std::string>{std::to_string(kLayoutVersion)});
  TestClient client(*backend, environment(), "db", 2);
  EXPECT_EQ(client.value("k"), "old");
  for (const char* value : {"new", "newer"}) EXPECT_FALSE(client.put("k", value).error);
  EXPECT_EQ(client.value("k"), "newer");
}

// If this fails, a function was changed: raise kLayoutVersion, so that schemas which are there get the new
// one, and put the new number and hash here.
TEST(PostgresBackend, has_a_layout_number_that_is_raised_with_every_change_of_a_function) {
  const std::string schema = unique_name();
  open_store(schema);
  const std::vector<std::string> hash = Sql()(
      "SELECT md5(replace(string_agg(proname || prosrc || array_to_string(proargnames, ','), ' ' ORDER "
      "BY proname), '" +
      schema + "', '')) FROM pg_proc WHERE pronamespace = '" + schema + "'::regnamespace");
  EXPECT_EQ(kLayoutVersion, 3);
  EXPECT_EQ(hash, std::vector<std::string>{"c5fb2d1780d12aeba9214bd575217f39"});
}

TEST(PostgresBackend, tells_databases_apart_whose_long_names_begin_alike) {
  const auto backend = open_store(unique_name());
  const Bytes one = Bytes(150, 'a') + "1";
  const Bytes other = Bytes(150, 'a') + "2";
  TestClient(*backend, environment(), one).commit({{}, {Write::put("k", "1")}});
  TestClient(*backend, environment(), other).commit({{}, {Write::put("k", "2")}});
  EXPECT_EQ(TestClient(*backend, environment(), one).value("k"), "1");
}

// ---- groups whose batches check what they write, which are judged and written in one statement

class PostgresCheckedPuts : public testing::Test {
 protected:
  PostgresCheckedPuts() {
    client_.put("a", "old");
    client_.put("b", "old");
    client_.put("dead", "old", environment().clock->now_ms() - 1);
  }
  static Batch batch(const Check& check) { return {{check}, {Write::put(check.key, "new")}}; }
  Group commit(std::vector<Batch> batches) {
    Group group = client_.group(std::move(batches));
    backend_->commit({&group, 1});
    return group;
  }

  const std::unique_ptr<Backend> backend_ = open_store(unique_name());
  TestClient client_{*backend_, environment(), "db"};
};

TEST_F(PostgresCheckedPuts, all_count_if_all_checks_hold) {
  const Group group = commit({batch(Check::has_version("a", 1)), batch(Check::absent("dead")),
                              batch(Check::has_version("b", 2)), batch(Check::absent("fresh"))});
  ASSERT_FALSE(group.error) << group.error->what();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(group.outcomes[i].seq, 4 + i);
  const ReadAnswer answer = client_.read({"a", "dead", "b", "fresh"});
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(answer.gets[i]->version, 4 + i);
    EXPECT_EQ(answer.gets[i]->value, "new");
  }
  const Changes changes = backend_->changes("db", {.since = {group.at.history, 3}});
  EXPECT_EQ(changes.items.size(), 4u);
}

TEST_F(PostgresCheckedPuts, of_batches_that_fail_leave_the_others_as_they_are) {
  for (const Check& wrong : {Check::has_version("b", 1), Check::absent("b"), Check::has_version("dead", 3),
                             Check::has_version("none", 7)}) {
    const Seq version = client_.read({"a"}).gets[0]->version;
    const Group group = commit({batch(Check::has_version("a", version)), batch(wrong),
                                batch(Check::absent("fresh" + std::to_string(version)))});
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_TRUE(group.outcomes[0].committed());
    EXPECT_EQ(group.outcomes[1].failed_check, 0u);
    EXPECT_EQ(group.outcomes[2].seq, group.outcomes[0].seq + 1);
    EXPECT_EQ(client_.read({"a"}).gets[0]->version, group.outcomes[0].seq);
  }
  EXPECT_EQ(client_.value("b"), "old");
  EXPECT_EQ(client_.value("none"), "(none)");
  EXPECT_EQ(client_.value("dead"), "(none)");
}

TEST_F(PostgresCheckedPuts, of_a_single_batch_count_if_the_check_holds) {
  Seq seq = client_.position().seq;
  for (const Check& right : {Check::has_version("a", 1), Check::absent("dead"), Check::absent("fresh")}) {
    const Group group = commit({batch(right)});
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes[0].seq, ++seq);
    EXPECT_EQ(client_.read({right.key}).gets[0]->version, seq);
  }
  for (const Check& wrong : {Check::has_version("b", 1), Check::absent("b"), Check::has_version("none", 7),
                             Check::has_version("none", 0)}) {
    const Group group = commit({batch(wrong)});
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes[0].failed_check, 0u);
  }
  EXPECT_EQ(client_.position().seq, seq);
  EXPECT_EQ(client_.value("b"), "old");
  EXPECT_EQ(client_.value("none"), "(none)");
}

TEST_F(PostgresCheckedPuts, may_be_beside_puts_without_checks) {
  const Group group = commit({batch(Check::has_version("a", 1)),
                              {{}, {Write::put("b", "new", 9'000'000'000'000)}},
                              {{}, {Write::put("c", "new")}}});
  ASSERT_FALSE(group.error) << group.error->what();
  const ReadAnswer answer = client_.read({"a", "b", "c"});
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(group.outcomes[i].seq, 4 + i);
    EXPECT_EQ(answer.gets[i]->version, 4 + i);
    EXPECT_EQ(answer.gets[i]->value, "new");
  }
  EXPECT_EQ(answer.gets[1]->expires_at_ms, 9'000'000'000'000);
}

TEST_F(PostgresCheckedPuts, that_all_demand_a_version_are_written_with_their_expiry) {
  Group group = client_.group({{{Check::has_version("a", 1)}, {Write::put("a", "new")}},
                               {{Check::has_version("b", 2)}, {Write::put("b", "new", 9'000'000'000'000)}}});
  backend_->commit({&group, 1});
  ASSERT_FALSE(group.error) << group.error->what();
  const ReadAnswer answer = client_.read({"a", "b"});
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(group.outcomes[i].seq, 4 + i);
    EXPECT_EQ(answer.gets[i]->version, 4 + i);
    EXPECT_EQ(answer.gets[i]->value, "new");
  }
  EXPECT_FALSE(answer.gets[0]->expires_at_ms);
  EXPECT_EQ(answer.gets[1]->expires_at_ms, 9'000'000'000'000);
  EXPECT_EQ(backend_->changes("db", {.since = {group.at.history, 3}}).items.size(), 2u);
}

TEST_F(PostgresCheckedPuts, that_all_demand_a_version_are_written_each_to_its_own_key) {
  constexpr std::size_t kKeys = 300;
  const auto key = [](std::size_t i) { return "key " + std::to_string(i * 7919 % kKeys); };
  std::vector<Batch> first, second;
  for (std::size_t i = 0; i < kKeys; ++i) first.push_back({{}, {Write::put(key(i), "old")}});
  const Group before = commit(std::move(first));
  ASSERT_FALSE(before.error) << before.error->what();
  // In another order than that of the keys, and than that of the rows.
  for (std::size_t i = kKeys; i-- > 0;) {
    const std::size_t which = i * 7 % kKeys;
    second.push_back({{Check::has_version(key(which), before.outcomes[which].seq)},
                      {Write::put(key(which), "of " + key(which))}});
  }
  const std::vector<Batch> batches = second;
  const Group group = commit(std::move(second));
  ASSERT_FALSE(group.error) << group.error->what();
  for (std::size_t i = 0; i < kKeys; ++i) {
    const Bytes& own = batches[i].writes[0].key;
    EXPECT_EQ(client_.value(own), "of " + own);
    EXPECT_EQ(client_.read({own}).gets[0]->version, group.outcomes[i].seq);
  }
}

TEST_F(PostgresCheckedPuts, that_all_demand_a_version_are_judged_one_by_one) {
  for (const Check& wrong :
       {Check::has_version("b", 1), Check::has_version("dead", 3), Check::has_version("none", 7)}) {
    // A check that has failed leaves the backend careful for a while.
    for (int i = 0; i < 20; ++i) client_.put("a", "old");
    const Seq version = client_.position().seq;
    const Group group = commit({batch(wrong), batch(Check::has_version("a", version))});
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes[0].failed_check, 0u);
    EXPECT_EQ(group.outcomes[1].seq, version + 1);
    EXPECT_EQ(client_.position().seq, version + 1);
  }
  EXPECT_EQ(client_.value("b"), "old");
  EXPECT_EQ(client_.value("none"), "(none)");
  EXPECT_EQ(client_.value("dead"), "(none)");
}

TEST(PostgresBackend, finds_the_keys_of_a_group_one_by_one_whatever_the_planner_knew_of_the_table) {
  const std::string schema = unique_name();
  const Sql sql;
  auto backend = open_store(schema, {{"lanes", "1"}});
  sql("VACUUM " + schema + ".entry");  // which is known to be empty then, while the plans are made
  TestClient client(*backend, environment(), "db");
  const std::vector<std::string> keys = {"a", "b"};
  Seq version = 0;
  const auto update = [&] {
    std::vector<Batch> batches;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Check check =
          version == 0 ? Check::absent(keys[i]) : Check::has_version(keys[i], version - 1 + i);
      batches.push_back({{check}, {Write::put(keys[i], "v")}});
    }
    Group group = client.group(std::move(batches));
    backend->commit({&group, 1});
    ASSERT_FALSE(group.error) << group.error->what();
    version = group.at.seq;
  };
  for (int i = 0; i < 3; ++i) update();
  sql("INSERT INTO " + schema +
      ".entry(db, key, version, value) SELECT d.id, convert_to('x' || n, 'UTF8'), 1, '' FROM " + schema +
      ".database d, generate_series(1, 20000) n");
  for (int i = 0; i < 20; ++i) update();
  backend.reset();  // the server counts what a connection has read when it ends, at the latest
  std::vector<std::string> fetched;
  for (int i = 0; i < 200 && (fetched.empty() || fetched[0] == "0"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    fetched = sql("SELECT coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE schemaname = '" + schema +
                  "' AND relname = 'entry'");
  }
  ASSERT_EQ(fetched.size(), 1u);
  EXPECT_GT(std::stoll(fetched[0]), 0);
  EXPECT_LT(std::stoll(fetched[0]), 1'000);
}

TEST_F(PostgresCheckedPuts, of_a_clock_that_is_behind_see_what_has_expired_by_the_head) {
  const UnixMs now_ms = environment().clock->now_ms();
  const Seq version = client_.put("soon", "old", now_ms + 10'000).outcomes[0].seq;
  Group ahead = client_.group({{{}, {Write::put("c", "c")}}});
  ahead.now_ms = now_ms + 20'000;
  backend_->commit({&ahead, 1});
  ASSERT_FALSE(ahead.error) << ahead.error->what();
  for (const std::size_t batches : {1u, 2u}) {
    std::vector<Batch> all = {batch(Check::has_version("soon", version))};
    if (batches == 2) all.push_back(batch(Check::has_version("a", 1)));
    const Group group = commit(all);
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes[0].failed_check, 0u) << batches;
    for (int i = 0; i < 20; ++i) client_.put("c", "c");
  }
}

/// A client that has committed before, so that its backend knows where.
class PostgresPuts : public testing::Test {
 protected:
  PostgresPuts() { client_.put("k", "v"); }
  /// The error of a put with everything as the client knew it before `change` went on elsewhere.
  template <class Change>
  Group put_after(const Change& change) {
    Group group = client_.group({{{}, {Write::put("k", "new")}}});
    change();
    backend_->commit({&group, 1});
    return group;
  }

  const std::string schema_ = unique_name();
  const std::unique_ptr<Backend> backend_ = open_store(schema_), other_ = open_store(schema_);
  TestClient client_{*backend_, environment(), "db"};
};

TEST_F(PostgresPuts, go_on_after_those_of_another_session) {
  for (std::uint64_t i = 1; i <= 3; ++i) {
    TestClient elsewhere(*other_, environment(), "db", 100 + i);
    const Group group = put_after([&] { elsewhere.put("k", "other"); });
    ASSERT_FALSE(group.error) << group.error->what();
    EXPECT_EQ(group.outcomes[0].seq, 1 + 2 * i);
    EXPECT_EQ(client_.value("k"), "new");
  }
}

TEST_F(PostgresPuts, are_refused_by_a_database_that_was_dropped_and_made_again) {
  const Group group = put_after([&] {
    TestClient elsewhere(*other_, environment(), "db", 2);
    elsewhere.drop();
    elsewhere.put("k", "other");
  });
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::history_changed);
  EXPECT_EQ(client_.value("k"), "other");
}

TEST_F(PostgresPuts, of_another_history_than_the_one_that_the_session_goes_on_in_are_refused) {
  for (const std::size_t batches : {1u, 2u}) {
    std::vector<Batch> all = {{{}, {Write::put("k", "late")}}};
    if (batches == 2) all.push_back({{Check::absent("fresh")}, {Write::put("fresh", "late")}});
    Group late = client_.group(std::move(all));
    late.number += 100;
    client_.drop();
    for (const char* value : {"1", "2"}) EXPECT_FALSE(client_.put("k", value).error);
    backend_->commit({&late, 1});
    ASSERT_TRUE(late.error);
    EXPECT_EQ(late.error->code(), Code::history_changed);
    EXPECT_EQ(client_.value("k"), "2");
  }
}

TEST_F(PostgresPuts, are_refused_by_a_database_that_was_frozen) {
  const Group group = put_after([&] { EXPECT_TRUE(other_->fence("db", {}, frozen(), client_.soon())); });
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(client_.value("k"), "v");
}

TEST_F(PostgresPuts, of_many_keys_are_refused_by_a_database_that_was_frozen) {
  client_.put("l", "v");
  Group group = client_.group({{{Check::has_version("k", 1)}, {Write::put("k", "new")}},
                               {{Check::has_version("l", 2)}, {Write::put("l", "new")}}});
  EXPECT_TRUE(other_->fence("db", {}, frozen(), client_.soon()));
  backend_->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(client_.value("l"), "v");
}

TEST_F(PostgresPuts, count_again_when_the_database_was_opened_again) {
  EXPECT_TRUE(other_->fence("db", {}, frozen(), client_.soon()));
  EXPECT_TRUE(other_->fence("db", frozen(), {}, client_.soon()));
  for (const char* value : {"1", "2", "3"}) {
    EXPECT_FALSE(client_.put("k", value).error);
    EXPECT_EQ(client_.value("k"), value);
  }
}

TEST_F(PostgresPuts, adopt_a_database_that_comes_from_another_cluster) {
  const Sql sql;
  const std::uint64_t before = client_.position().history;
  Group group = client_.group({{{}, {Write::put("k", "new")}}});
  // Whoever names no history takes what is there, under a new one.
  sql("UPDATE " + schema_ + ".database SET lineage = 'another cluster'");
  group.history = 0;
  backend_->commit({&group, 1});
  ASSERT_FALSE(group.error) << group.error->what();
  EXPECT_NE(group.at.history, before);
  EXPECT_EQ(client_.position(), group.at);
  EXPECT_EQ(client_.value("k"), "new");
  EXPECT_EQ(sql("SELECT count(*) FROM " + schema_ + ".database d WHERE d.epoch = (SELECT c.epoch FROM " +
                schema_ + ".commits c ORDER BY c.last_seq DESC LIMIT 1)"),
            std::vector<std::string>{"1"});
}

TEST_F(PostgresPuts, of_a_session_that_may_have_been_given_up_make_a_record_of_it_again) {
  const Sql sql;
  for (int i = 0; i < 20; ++i) client_.put("k", "v");
  sql("DELETE FROM " + schema_ + ".session");
  sql("UPDATE " + schema_ + ".commits SET time = time - " + std::to_string(limits::kSessionUntouchableMs));
  EXPECT_FALSE(client_.put("k", "new").error);
  EXPECT_EQ(sql("SELECT count(*) FROM " + schema_ + ".commits c JOIN " + schema_ +
                ".session o ON o.id = c.session WHERE c.last_seq = 22"),
            std::vector<std::string>{"1"});
}

TEST_F(PostgresPuts, are_refused_from_a_clock_that_is_too_far_behind) {
  Group group = client_.group({{{}, {Write::put("k", "new")}}});
  group.now_ms -= group.clock_skew_limit_ms + 60'000;
  backend_->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::clock_skew);
  EXPECT_EQ(client_.value("k"), "v");
}

TEST_F(PostgresPuts, of_many_keys_have_their_own_expiry) {
  Group group =
      client_.group({{{}, {Write::put("k", "new", 9'000'000'000'000)}}, {{}, {Write::put("l", "new")}}});
  backend_->commit({&group, 1});
  ASSERT_FALSE(group.error) << group.error->what();
  const ReadAnswer answer = client_.read({"k", "l"});
  EXPECT_EQ(answer.gets[0]->expires_at_ms, 9'000'000'000'000);
  EXPECT_EQ(answer.gets[0]->version, 2u);
  EXPECT_FALSE(answer.gets[1]->expires_at_ms);
  EXPECT_EQ(answer.gets[1]->version, 3u);
}

TEST_F(PostgresPuts, that_arrive_after_the_session_has_gone_on_do_nothing) {
  const Batch put = {{}, {Write::put("k", "late")}}, other = {{}, {Write::put("l", "late")}};
  const Batch update = {{Check::has_version("k", 1)}, {Write::put("k", "late")}};
  const Batch create = {{Check::absent("l")}, {Write::put("l", "late")}};
  const Batch overwrite = {{Check::has_version("m", 2)}, {Write::put("m", "late")}};
  client_.put("m", "v");
  for (const std::vector<Batch>& batches :
       {std::vector<Batch>{put}, {put, other}, {update}, {update, create}, {update, overwrite}}) {
    Group late = client_.group(batches);
    for (int i = 0; i < 20; ++i) client_.put("n", "newer");
    const Seq seq = client_.position().seq;
    backend_->commit({&late, 1});
    EXPECT_TRUE(late.error);
    EXPECT_EQ(client_.value("k"), "v");
    EXPECT_EQ(client_.position().seq, seq);
  }
}

TEST_F(PostgresPuts, leave_rows_of_commits_that_follow_one_another_whichever_way_they_went) {
  Seq k = 1, l = 0;
  const auto commit = [&](const std::vector<Batch>& batches) {
    Group group = client_.group(batches);
    backend_->commit({&group, 1});
    EXPECT_FALSE(group.error);
    return group;
  };
  const auto update = [](const char* key, Seq version) {
    return Batch{{Check::has_version(key, version)}, {Write::put(key, "new")}};
  };
  for (int round = 0; round < 3; ++round) {
    k = commit({{{}, {Write::put("k", "v")}}}).outcomes[0].seq;
    k = commit({update("k", k)}).outcomes[0].seq;
    l = commit({{{}, {Write::put("k", "v")}}, {{}, {Write::put("l", "v")}}}).outcomes[1].seq;
    l = commit({update("k", l - 1), update("l", l)}).outcomes[1].seq;
    l = commit({{{Check::absent("fresh" + std::to_string(round))},
                 {Write::put("fresh" + std::to_string(round), "v")}},
                update("l", l)})
            .outcomes[1]
            .seq;
    commit({{{}, {Write::put("m", "v"), Write::put("n", "v"), Write::erase("fresh0")}}});
    for (int i = 0; i < 20; ++i) commit({{{}, {Write::put("o", "v")}}});
  }
  EXPECT_EQ(
      Sql()(
          "SELECT count(*) FROM (SELECT c.*, lag(c.last_seq) OVER w AS seq_before, lag(c.ordinal) OVER w AS "
          "ordinal_before, sum(cardinality(c.keys)) OVER w AS rows_so_far FROM " +
          schema_ +
          ".commits c WINDOW w AS (ORDER BY c.last_seq, c.ordinal)) x WHERE x.seq_before <> x.last_seq - "
          "x.applied "
          "OR x.ordinal_before <> x.ordinal - 1 OR x.rows_so_far <> x.log_rows OR x.applied < 1 OR x.epoch "
          "<> 1"),
      std::vector<std::string>{"0"});
}

TEST_F(PostgresPuts, are_answered_from_the_record_if_they_have_been_done) {
  Group late = client_.group({{{}, {Write::put("k", "late")}}});
  Group sent = late;
  other_->commit({&sent, 1});
  ASSERT_FALSE(sent.error) << sent.error->what();
  backend_->commit({&late, 1});
  ASSERT_FALSE(late.error) << late.error->what();
  EXPECT_EQ(late.outcomes, sent.outcomes);
  EXPECT_EQ(client_.position().seq, 2u) << "once";
}

/// A get of somebody who has read before, so that its backend knows where; then things went on elsewhere.
class PostgresGets : public testing::Test {
 protected:
  PostgresGets() {
    for (const char* value : {"1", "2", "3", "4"}) elsewhere_.put("k", value);
    before_ = reader_.read({"k"}).at;
  }

  const std::string schema_ = unique_name();
  const std::unique_ptr<Backend> backend_ = open_store(schema_), other_ = open_store(schema_);
  TestClient reader_{*backend_, environment(), "db"}, elsewhere_{*other_, environment(), "db", 2};
  Position before_;
};

TEST_F(PostgresGets, see_what_others_have_committed_and_when) {
  EXPECT_EQ(before_.seq, 4u);
  for (const char* value : {"5", "6", "7"}) {
    const Group put = elsewhere_.put("k", value);
    elsewhere_.put("l", value);
    const ReadAnswer answer = reader_.read({"k"});
    EXPECT_EQ(answer.gets[0]->value, value);
    EXPECT_EQ(answer.gets[0]->version, put.at.seq);
    EXPECT_EQ(answer.at, (Position{before_.history, put.at.seq + 1}));
  }
  EXPECT_EQ(reader_.value("none"), "(none)");
}

TEST_F(PostgresGets, see_that_the_database_was_dropped) {
  elsewhere_.drop();
  const ReadAnswer answer = reader_.read({"k"});
  EXPECT_FALSE(answer.gets[0]);
  EXPECT_EQ(answer.at, Position());
}

TEST_F(PostgresGets, see_that_the_database_was_dropped_and_made_again) {
  elsewhere_.drop();
  elsewhere_.put("k", "other");
  for (int i = 0; i < 2; ++i) {
    const ReadAnswer answer = reader_.read({"k"});
    EXPECT_EQ(answer.gets[0]->value, "other");
    EXPECT_EQ(answer.at.seq, 1u);
    EXPECT_NE(answer.at.history, before_.history);
  }
}

TEST_F(PostgresGets, see_that_the_database_was_dropped_while_its_rows_are_freed) {
  // More than are freed in one step, and older ones that the reader knows.
  const std::vector<Batch> one = {{{}, {Write::put("k", "many")}}};
  for (int i = 0; i < 2'100; ++i) ASSERT_FALSE(elsewhere_.commit(one[0]).error);
  elsewhere_.drop();
  other_->expired(environment().clock->now_ms(), 1, reader_.soon());
  EXPECT_NE(Sql()("SELECT count(*) FROM " + schema_ + ".commits"), std::vector<std::string>{"0"});
  EXPECT_EQ(reader_.read({"k"}).at, Position());
}

TEST_F(PostgresGets, see_that_the_log_was_trimmed) {
  EXPECT_EQ(reader_.read({"k"}).floor, 0u);
  for (const Seq floor : {Seq{2}, Seq{3}}) {
    other_->compact("db", floor, reader_.soon());
    for (int i = 0; i < 2; ++i) EXPECT_EQ(reader_.read({"k"}).floor, floor);
  }
}

TEST_F(PostgresGets, are_of_a_trimmed_log_of_which_the_newest_of_each_session_are_left_without_keys) {
  TestClient third(*other_, environment(), "db", 3);
  for (const char* value : {"5", "6"}) third.put("k", value);
  elsewhere_.put("k", "7");
  other_->compact("db", 7, reader_.soon());
  EXPECT_EQ(reader_.value("k"), "7");
  EXPECT_EQ(Sql()("SELECT last_seq || ' ' || coalesce(cardinality(keys), 0) FROM " + schema_ +
                  ".commits ORDER BY last_seq"),
            (std::vector<std::string>{"6 0", "7 1"}));
}

TEST_F(PostgresGets, see_that_commits_were_lost) {
  // As after the restore of a dump, or of a server that does not sync.
  Sql()("DELETE FROM " + schema_ + ".commits WHERE last_seq > 2");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(reader_.read({"k"}).at, (Position{before_.history, 2}));
}

TEST_F(PostgresGets, see_that_the_cluster_is_another_one) {
  Sql()("UPDATE " + schema_ + ".database SET lineage = 'another cluster'");
  const ReadAnswer answer = reader_.read({"k"});
  EXPECT_EQ(answer.gets[0]->value, "4");
  EXPECT_NE(answer.at.history, before_.history);
  EXPECT_EQ(answer.at.seq, 4u);
}

TEST_F(PostgresGets, are_answered_by_a_frozen_database_and_refused_by_one_that_has_moved) {
  Fence moved = frozen();
  moved.state = Fence::State::moved;
  moved.place = "elsewhere";
  ASSERT_TRUE(other_->fence("db", {}, frozen(), reader_.soon()));
  EXPECT_EQ(reader_.value("k"), "4");
  ASSERT_TRUE(other_->fence("db", frozen(), moved, reader_.soon()));
  EXPECT_EQ(code_of([&] { reader_.value("k"); }), code_of([&] { reader_.position(); }));
  EXPECT_THROW(reader_.value("k"), Error);
}

TEST(PostgresBackend, looks_at_ten_thousand_rows_of_the_log_for_a_range_that_is_checked_and_no_more) {
  const auto backend = open_store(unique_name());
  TestClient client(*backend, environment(), "db");
  testing_support::expect_range_checks_walk_a_bounded_log(*backend, client);
}

TEST(PostgresBackend, scans_large_values_beside_small_ones) {
  const auto backend = open_store(unique_name());
  TestClient client(*backend, environment(), "db");
  const Bytes large(limits::kValueBytes, 'x');
  for (const char* key : {"a", "c"}) client.put(key, "small");
  client.put("b", large);
  for (const bool reverse : {false, true}) {
    const Scan scan{Range::prefix(""), {.limit = 100, .reverse = reverse}};
    const Page page = client.read({}, {scan}).pages.at(0);
    ASSERT_EQ(page.entries.size(), 3u);
    EXPECT_EQ(page.entries[1].value, large);
    EXPECT_FALSE(page.more);
  }
}

TEST(PostgresBackend, gives_up_the_sessions_that_were_used_least_recently_but_none_of_the_last_hour) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  const Sql sql;
  const UnixMs now_ms = environment().clock->now_ms();
  for (const bool are_old : {false, true}) {
    const std::string name = are_old ? "old" : "recent";
    const UnixMs last_ms = now_ms - (are_old ? limits::kSessionUntouchableMs + 60'000 : 60'000);
    TestClient(*backend, environment(), name).put("k", "v");
    // One millisecond after another, the last of them the oldest.
    const std::string others = std::to_string(limits::kSessions + 1);
    sql("WITH added AS (INSERT INTO " + schema +
        ".session(db, session) SELECT d.id, decode(lpad(to_hex(1000 + n), 32, "
        "'0'), 'hex') FROM " +
        schema + ".database d, generate_series(1, " + others + ") n WHERE d.name = '" + name +
        "' ORDER BY n RETURNING id, db) INSERT INTO " + schema +
        ".commits(db, last_seq, ordinal, applied, time, session, "
        "number, hash, history, log_rows) SELECT a.db, 1, -n, 0, " +
        std::to_string(last_ms) +
        " - n, a.id, 1, 1, "
        "1, 0 FROM (SELECT id, db, row_number() OVER (ORDER BY id) AS n FROM added) a");
    TestClient(*backend, environment(), name, 2).put("k", "v");
    const std::vector<std::string> left =
        sql("SELECT count(*) || ' ' || max(encode(o.session, 'hex')) FROM " + schema + ".session o JOIN " +
            schema + ".database d ON d.id = o.db WHERE d.name = '" + name +
            "' AND o.session NOT IN (SELECT decode(lpad(to_hex(n) "
            "|| lpad(to_hex(n), 16, '0'), 32, '0'), 'hex') FROM generate_series(1, 2) n)");
    const std::size_t kept = are_old ? limits::kSessions - 2 : limits::kSessions + 1;
    std::ostringstream last;
    last << kept << ' ' << std::setfill('0') << std::setw(32) << std::hex << 1000 + kept;
    EXPECT_EQ(left, std::vector<std::string>{last.str()});
  }
}

TEST(PostgresBackend, commits_on_the_server_that_was_meant_and_under_read_committed_only) {
  // A pooler may lead to another server, and the settings of a connection need not come through it.
  const std::string schema = unique_name();
  open_store(schema);
  const Sql sql;
  const auto call = [&](const std::string& function, int parameters, int started_at,
                        const std::string& started) {
    std::string text = schema + "." + function + "(";
    for (int i = 1; i <= parameters; ++i) text += (i > 1 ? ", " : "") + (i == started_at ? started : "NULL");
    return text + ")";
  };
  const auto put_group = [&](const std::string& started) {
    return "SELECT " + call("put_group", 18, 3, started);
  };
  const auto commit_group = [&](const std::string& started) { return call("commit_group", 37, 37, started); };
  const std::string here = "pg_postmaster_start_time()", elsewhere = "to_timestamp(0)";
  EXPECT_EQ(sql(put_group(elsewhere)), std::vector<std::string>{"-4"});
  EXPECT_EQ(sql("SELECT status FROM " + commit_group(elsewhere)), std::vector<std::string>{"4"});
  EXPECT_NE(sql("SET search_path = pg_catalog, pg_temp; " + put_group(here)), std::vector<std::string>{"-5"});
  for (const char* level : {"REPEATABLE READ", "SERIALIZABLE"}) {
    sql("BEGIN ISOLATION LEVEL " + std::string(level));
    EXPECT_EQ(sql(put_group(here)), std::vector<std::string>{"-5"});
    sql("DO $body$ BEGIN PERFORM " + commit_group(here) +
        "; RAISE EXCEPTION 'it was not refused'; EXCEPTION WHEN active_sql_transaction THEN NULL; END "
        "$body$");
    sql("ROLLBACK");
  }
}

// ---- roles

TEST(PostgresBackend, keeps_its_promises_under_a_role_whose_defaults_are_hostile) {
  const Role role({"default_transaction_isolation = 'repeatable read'", "synchronous_commit = off",
                   "search_path = nowhere", "default_transaction_read_only = on", "bytea_output = 'escape'",
                   "default_transaction_deferrable = on", "enable_indexscan = off"});
  const std::string schema = unique_name();
  Sql()("GRANT CREATE ON DATABASE holdfast TO " + role.name());
  const auto backend = open_store(schema, {{"user", role.name()}});
  EXPECT_EQ(backend->traits().durability, Durability::disk);
  // Two writers that both demand an empty range: under a snapshot from before the lock both would commit.
  std::atomic<int> won = 0;
  for (int round = 0; round < 20; ++round) {
    const Bytes prefix = "round/" + std::to_string(round) + "/";
    TestClient reader(*backend, environment(), "db", 100);
    if (round == 0) reader.commit({{}, {Write::put("first", "")}});
    const ReadAnswer seen = reader.read();
    std::vector<std::thread> writers;
    for (std::uint64_t i = 1; i <= 4; ++i) {
      writers.emplace_back([&, i] {
        TestClient client(*backend, environment(), "db", 1'000 * static_cast<std::uint64_t>(round + 1) + i);
        const Group group =
            client.commit({{Check::unchanged(Range::prefix(prefix), seen.at.seq, seen.time_ms)},
                           {Write::put(prefix + std::to_string(i), "")}});
        if (!group.error && group.outcomes[0].committed()) ++won;
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  EXPECT_EQ(won, 20);
}

TEST(PostgresBackend, needs_no_more_rights_than_the_manual_says) {
  const std::string schema = unique_name();
  open_store(schema);
  const Role role;
  const Sql sql;
  sql("GRANT USAGE ON SCHEMA " + schema + " TO " + role.name());
  sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + schema + " TO " + role.name());
  sql("REVOKE INSERT, UPDATE, DELETE ON " + schema + ".layout FROM " + role.name());
  const auto backend = open_store(schema, {{"user", role.name()}});
  TestClient client(*backend, environment(), "db");
  client.commit({{Check::absent("k")}, {Write::put("k", "v"), Write::put("gone", "")}});
  client.commit({{Check::unchanged(Range::prefix("x"), 1, 0)}, {Write::erase("gone")}});
  EXPECT_EQ(client.value("k"), "v");
  const Position at = client.position();
  backend->compact("db", at.seq, client.soon());
  EXPECT_TRUE(backend->changes("db", {.since = at}).items.empty());
  EXPECT_TRUE(backend->drop("db", at.history, client.soon()));
  backend->expired(0, 10, client.soon());
  EXPECT_EQ(sql("SELECT count(*) FROM " + schema + ".entry").front(), "0");
}

TEST(PostgresBackend, says_what_a_role_may_not_do) {
  const std::string schema = unique_name();
  open_store(schema);
  const Role role;
  EXPECT_EQ(code_of([&] { open_store(schema, {{"user", role.name()}}); }), Code::permission_denied);
  EXPECT_EQ(code_of([&] { open_store(unique_name(), {{"user", role.name()}}); }), Code::permission_denied);
}

// ---- passwords

TEST(PostgresBackend, logs_in_with_a_password_that_no_message_repeats) {
  const std::string url = server_url("HOLDFAST_TEST_POSTGRES_TCP");
  const UrlOptions options = {{"schema", unique_name()}};
  EXPECT_NO_THROW(open_url(url, options));
  const std::size_t at = url.find('@');
  const std::string wrong = url.substr(0, url.rfind(':', at)) + ":opensesame" + url.substr(at);
  const std::string message = message_of([&] { open_url(wrong, options); });
  EXPECT_NE(message.find("password authentication failed"), std::string::npos) << message;
  EXPECT_EQ(message.find("opensesame"), std::string::npos) << message;
}

TEST(PostgresBackend, repeats_no_part_of_a_url_that_it_cannot_read) {
  for (const char* url : {"postgres://user:open%ZZsesame@host/db", "postgres://user:opensesame@[::1/db"}) {
    const std::string message = message_of([&] { open_url(url); });
    EXPECT_EQ(message.find("sesame"), std::string::npos) << message;
  }
}

TEST(PostgresBackend, refuses_schemas_that_would_need_quotes) {
  for (const char* schema : {"", "Upper", "with-dash", "1st", "pg_own", "x\"; DROP"}) {
    EXPECT_EQ(code_of([&] { open_store(schema); }), Code::invalid_argument) << schema;
  }
}

// ---- connections

TEST(PostgresBackend, says_which_option_helps_when_all_connections_are_busy) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema, {{"lanes", "1"}, {"pool_timeout_ms", "200"}});
  TestClient client(*backend, environment(), "db");
  client.commit({{}, {Write::put("k", "v")}});
  // Somebody holds the database's lock, so that the one connection waits.
  const Sql sql;
  sql("SELECT pg_advisory_lock(" + std::to_string(lock_number("commit", schema, "db")) + ")");
  std::thread waiting(
      [&] { TestClient(*backend, environment(), "db", 2).commit({{}, {Write::put("k", "w")}}); });
  const Sql other;
  while (other("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").front() == "0") {
    std::this_thread::yield();
  }
  const Group refused = client.commit({{}, {Write::put("k", "x")}});
  sql("SELECT pg_advisory_unlock_all()");
  waiting.join();
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->code(), Code::unavailable);
  EXPECT_EQ(refused.error->retry(), Retry::backoff);
  EXPECT_NE(std::string(refused.error->what()).find("option lanes"), std::string::npos)
      << refused.error->what();
}

TEST(PostgresBackend, says_that_no_server_is_there) {
  EXPECT_EQ(code_of([] { open_url("postgres://nobody@127.0.0.1:1/none"); }), Code::unavailable);
}

TEST(PostgresBackend, goes_on_when_its_connections_are_terminated_under_load) {
  const std::string name = unique_name();
  StoreOptions options;
  options.sweeper = false;
  const auto store = Store::open(open_store(name, {{"application_name", name}}), options);
  Database database = store->database("db");
  database.put("counter", "0");
  constexpr int kThreads = 4, kEach = 25;
  std::atomic<bool> is_done = false;
  std::thread nemesis([&] {
    const Sql sql;
    while (!is_done) {
      sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + name +
          "' AND random() < 0.3");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  std::atomic<int> acknowledged = 0, unknown = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kEach; ++k) {
        try {
          database.transact(
              [](Transaction& transaction) {
                const int count = std::stoi(transaction.get("counter")->value);
                transaction.put("counter", std::to_string(count + 1));
              },
              std::chrono::steady_clock::now() + std::chrono::seconds(20));
          ++acknowledged;
        } catch (const Error& error) {
          if (error.retry() == Retry::unknown_outcome) ++unknown;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  is_done = true;
  nemesis.join();
  // Nothing acknowledged is lost, nothing is applied twice.
  const int counted = std::stoi(database.get("counter")->value);
  EXPECT_GE(counted, acknowledged.load());
  EXPECT_LE(counted, acknowledged + unknown);
  EXPECT_GT(acknowledged, kThreads * kEach / 2);
}

// ---- the past

TEST(PostgresBackend, begins_a_new_history_when_the_cluster_is_another_one) {
  const std::string schema = unique_name();
  const auto backend = open_store(schema);
  TestClient client(*backend, environment(), "db");
  client.commit({{}, {Write::put("k", "v")}});
  const Position before = client.position();
  const Cursor cursor{"db", before};
  for (const char* asked : {"read", "commit", "changes", "wait"}) {
    const Position old = client.position();
    // As after the promotion of a standby, or the restore of a dump.
    Sql()("UPDATE " + schema + ".database SET lineage = 'another cluster'");
    const std::string_view what = asked;
    if (what == "read") {
      ReadRequest request;
      request.now_ms = environment().clock->now_ms();
      request.history = old.history;
      EXPECT_EQ(code_of([&] { backend->read("db", request); }), Code::history_changed);
    } else if (what == "commit") {
      Group group = client.group({{{}, {Write::put("k", "w")}}});
      Sql()("UPDATE " + schema + ".database SET lineage = 'another cluster'");
      group.history = old.history;
      backend->commit({&group, 1});
      ASSERT_TRUE(group.error);
      EXPECT_EQ(group.error->code(), Code::history_changed);
    } else if (what == "changes") {
      EXPECT_EQ(code_of([&] { backend->changes("db", {.since = old}); }), Code::history_changed);
    } else {
      const Cursor at{"db", old};
      EXPECT_EQ(backend->wait({&at, 1}, client.soon()).size(), 1u);
    }
    EXPECT_NE(client.position().history, old.history) << asked;
    EXPECT_EQ(client.value("k"), "v");
  }
  EXPECT_EQ(backend->wait({&cursor, 1}, client.soon()).size(), 1u);
}

// ---- waiting

TEST(PostgresBackend, wakes_a_waiter_of_another_store_by_notification) {
  const std::string schema = unique_name();
  const auto one = open_store(schema);
  const auto other = open_store(schema);
  TestClient client(*one, environment(), "db");
  client.commit({{}, {Write::put("k", "v")}});
  std::chrono::steady_clock::duration best = std::chrono::hours(1);
  for (int i = 0; i < 5; ++i) {
    const Cursor cursor{"db", client.position()};
    std::chrono::steady_clock::time_point woken;
    std::thread waiter([&] {
      EXPECT_EQ(other->wait({&cursor, 1}, client.soon()).size(), 1u);
      woken = std::chrono::steady_clock::now();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    client.commit({{}, {Write::put("k", "v")}});
    const auto committed = std::chrono::steady_clock::now();
    waiter.join();
    best = std::min(best, woken - committed);
  }
  // Looking again would take up to 500 ms; a notification takes a few.
  EXPECT_LT(best, std::chrono::milliseconds(100));
}

// ---- a schema for each database

TEST(PostgresBackend, gives_each_database_a_schema_of_its_own_and_drops_it_an_hour_after_the_database) {
  const std::string schema = unique_name();
  Environment manual = environment();
  const auto clock = std::make_shared<ManualClock>();
  manual.clock = clock;
  const Sql sql;
  const std::string schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '" + schema +
                              "\\_%' AND nspname NOT LIKE '%catalog'";
  std::string url = "per_database+" + server_url();
  url += (url.find('?') == std::string::npos ? "?schema=" : "&schema=") + schema;
  const auto backend = open_backend(url, manual);
  for (const char* name : {"one", "two"}) {
    TestClient(*backend, manual, name).commit({{}, {Write::put("k", name)}});
  }
  EXPECT_EQ(sql(schemas).front(), "2");
  TestClient one(*backend, manual, "one");
  EXPECT_TRUE(one.drop());
  EXPECT_EQ(one.value("k"), "(none)");
  // Another process may be in the middle of a call to it.
  clock->advance(std::chrono::minutes(59));
  backend->expired(clock->now_ms(), 1, one.soon());
  EXPECT_EQ(sql(schemas).front(), "2");
  clock->advance(std::chrono::minutes(2));
  backend->expired(clock->now_ms(), 1, one.soon());
  EXPECT_EQ(sql(schemas).front(), "1");
  EXPECT_EQ(TestClient(*backend, manual, "two").value("k"), "two");
}

}  // namespace
}  // namespace holdfast::postgres
