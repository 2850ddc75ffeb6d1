// What only this backend has: what a server promises, permissions, memory, TLS.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <random>
#include <thread>

#include "backends/redis/test_server.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/code_of.h"
#include "tests/support/range_checks.h"
#include "tests/support/settings.h"

namespace holdfast::redis {
namespace {

using testing_support::code_of;

TestClient client_of(Backend& backend, const Bytes& database = "db", std::uint64_t session = 1) {
  return {backend, Environment{}.completed(), database, session};
}

// --- what the server is

TEST(RedisOpen, RefusesAServerThatEvicts) {
  TestServer server({"--maxmemory-policy", "allkeys-lru"});
  EXPECT_EQ(code_of([&] { open_backend(server.url()); }), Code::capability_missing);
}

TEST(RedisOpen, AcceptsPoliciesThatTouchOnlyKeysWithAnExpiry) {
  TestServer server({"--maxmemory-policy", "volatile-lru"});
  EXPECT_NO_THROW(open_backend(server.url()));
}

TEST(RedisOpen, RefusesAReplica) {
  TestServer server;
  server.command({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(code_of([&] { open_backend(server.url()); }), Code::unavailable);
}

TEST(RedisOpen, SaysWhenNothingListens) {
  EXPECT_EQ(code_of([] { open_backend("redis:///nowhere/redis.sock"); }), Code::unavailable);
}

TEST(RedisTraits, FollowTheSettingsOfTheServer) {
  TestServer server({"--appendonly", "yes", "--appendfsync", "always"});
  const auto traits = [&] { return open_backend(server.url())->traits(); };
  EXPECT_EQ(traits().durability, Durability::disk);
  EXPECT_TRUE(traits().keeps_acknowledged);
  EXPECT_TRUE(traits().shared_by_processes);
  server.command({"CONFIG", "SET", "no-appendfsync-on-rewrite", "yes"});
  EXPECT_EQ(traits().durability, Durability::process);
  server.command({"CONFIG", "SET", "no-appendfsync-on-rewrite", "no", "appendfsync", "everysec"});
  EXPECT_EQ(traits().durability, Durability::process);
  EXPECT_FALSE(traits().keeps_acknowledged);
  server.command({"CONFIG", "SET", "appendfsync", "always", "appendonly", "no"});
  EXPECT_EQ(traits().durability, Durability::process);
}

TEST(RedisTraits, AssumeTheLeastWhereSettingsMayNotBeAsked) {
  TestServer server({"--appendonly", "yes", "--appendfsync", "always"});
  server.command({"ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config"});
  EXPECT_EQ(open_backend(server.url("user=app&password=secret"))->traits().durability, Durability::process);
}

// --- what it may cost

TEST(RedisCost, ACheckOfARangeLooksAtTenThousandRowsOfTheLogAndNoMore) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  testing_support::expect_range_checks_walk_a_bounded_log(*backend, client);
}

TEST(RedisWaiting, EveryCommitIsAnnounced) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  const auto announced = [&] {
    const std::string field = "cmdstat_spublish:calls=";
    const std::string stats = server.answer({"INFO", "commandstats"});
    const std::size_t at = stats.find(field);
    return at == std::string::npos ? 0 : std::stoi(stats.substr(at + field.size()));
  };
  client.put("key", "1");
  const int before = announced();
  client.put("key", "2");
  client.commit({{}, {Write::erase("key")}});
  EXPECT_EQ(announced(), before + 2);
}

TEST(RedisWaiting, IsHeardAgainAfterALossThoughTheInjectedClockStandsStill) {
  TestServer server;
  const auto clock = std::make_shared<ManualClock>();
  Environment environment;
  environment.clock = clock;
  const auto backend = open_backend(server.url(), environment.completed());
  TestClient client(*backend, environment.completed(), "db");
  client.put("key", "1");
  const std::vector<Cursor> cursors{{"db", client.position()}};
  auto told = std::async(std::launch::async,
                         [&] { return backend->wait(cursors, clock->steady_now() + std::chrono::hours(1)); });
  while (server.info_number("pubsubshard_channels") == 0) std::this_thread::yield();
  server.command({"CLIENT", "KILL", "TYPE", "pubsub"});
  client.put("key", "2");
  const bool is_told = told.wait_for(std::chrono::minutes(1)) == std::future_status::ready;
  EXPECT_TRUE(is_told);
  if (!is_told) clock->advance(std::chrono::hours(2));
  EXPECT_EQ(told.get(), std::vector<std::size_t>{0});
}

// --- who may do what

TEST(RedisPermissions, TheLeastOnesAreEnough) {
  TestServer server;
  set_least_user(server);
  const auto backend = open_backend(server.url("user=app&password=p%20w"));
  TestClient client = client_of(*backend);
  EXPECT_FALSE(client.put("key", "value", 5'000'000'000'000).error);
  EXPECT_EQ(client.value("key"), "value");
  const Cursor behind{"db", {0, 0}};
  EXPECT_EQ(backend->wait({&behind, 1}, client.soon()).size(), 1u);
  EXPECT_EQ(backend->expired(5'000'000'000'001, 10, client.soon()).items.size(), 1u);
  EXPECT_EQ(backend->databases({}, {}, 10, client.soon()).size(), 1u);
  backend->compact("db", 1, client.soon());
  EXPECT_TRUE(backend->fence("db", {}, {Fence::State::frozen, 1, {}, {}, 0}, client.soon()));
  EXPECT_TRUE(client.drop());
}

TEST(RedisPermissions, EveryOneThatIsMissingIsFoundAtOpen) {
  TestServer server;
  set_least_user(server);
  open_backend(server.url("user=app&password=p%20w"));
  for (const char* missing : {"-fcall", "-hmget", "-hget", "-hset", "-hdel", "-zadd", "-zrem", "-zcard",
                              "-zrange", "-zrangebyscore", "-zrangebylex", "-zrevrangebylex", "-xadd",
                              "-xrange", "-xrevrange", "-xtrim", "-unlink", "-spublish", "-info"}) {
    set_least_user(server, {missing});
    EXPECT_EQ(code_of([&] { open_backend(server.url("user=app&password=p%20w")); }), Code::permission_denied)
        << missing;
  }
  set_least_user(server);
  EXPECT_EQ(code_of([&] { open_backend(server.url("user=app&password=p%20w&prefix=other:")); }),
            Code::permission_denied);
}

TEST(RedisPermissions, AWrongPasswordIsNotRepeated) {
  TestServer server({"--requirepass", "right"});
  for (const char* options : {"password=hunter2", "user=somebody&password=hunter2", ""}) {
    try {
      open_backend(server.url(options));
      ADD_FAILURE() << "opened with " << options;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::permission_denied) << error.what();
      EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos) << error.what();
    }
  }
  EXPECT_NO_THROW(open_backend(server.url("password=right")));
}

TEST(RedisDatabases, OfAServerAreApart) {
  TestServer server;
  const auto zero = open_backend(server.url());
  const auto one = open_backend(server.url("database=1"));
  client_of(*zero).put("key", "zero");
  EXPECT_EQ(client_of(*one).value("key"), "(none)");
  EXPECT_EQ(code_of([&] { open_backend(server.url("database=99")); }), Code::invalid_argument);
}

TEST(RedisDatabases, OfTwoPrefixesAreApart) {
  TestServer server;
  const auto one = open_backend(server.url("prefix=one:"));
  const auto other = open_backend(server.url("prefix=other:"));
  client_of(*one).put("key", "one");
  EXPECT_EQ(client_of(*other).value("key"), "(none)");
  EXPECT_TRUE(other->databases({}, {}, 10, {}).empty());
}

/// Puts somebody else's key in the place of a part of the database; its name.
std::string put_in_place_of(TestServer& server, const std::string& part) {
  const Reply heads = server.command({"KEYS", "*db:head"});
  const std::string head(text_of(*heads->element[0]));
  const std::string foreign = head.substr(0, head.rfind(':') + 1) + part;
  server.command({"DEL", foreign});
  server.command({"SET", foreign, "somebody else's"});
  return foreign;
}

// --- reads of one key

TEST(RedisReads, OfOneKeyRunNoFunction) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  client.put("key", "1");
  server.command({"CONFIG", "RESETSTAT"});
  EXPECT_EQ(client.value("key"), "1");
  EXPECT_EQ(client.value("other"), "(none)");
  const std::string statistics = server.answer({"INFO", "commandstats"});
  EXPECT_NE(statistics.find("cmdstat_exec:calls=2,"), std::string::npos) << statistics;
  EXPECT_EQ(statistics.find("cmdstat_fcall:"), std::string::npos) << statistics;
}

TEST(RedisReads, OfOneKeyRunAFunctionWhereTransactionsAreForbidden) {
  for (const char* missing : {"-multi", "-exec"}) {
    TestServer server;
    set_least_user(server, {"+multi", "+exec", missing});
    const auto backend = open_backend(server.url("user=app&password=p%20w"));
    TestClient client = client_of(*backend);
    client.put("key", "1");
    EXPECT_EQ(client.value("key"), "1") << missing;
    server.command({"CONFIG", "RESETSTAT"});
    EXPECT_EQ(client.value("key"), "1") << missing;
    const std::string statistics = server.answer({"INFO", "commandstats"});
    EXPECT_NE(statistics.find("cmdstat_fcall:calls=1,"), std::string::npos) << statistics;
    EXPECT_EQ(statistics.find("cmdstat_hdel:"), std::string::npos) << "it was tried in vain once more";
  }
}

TEST(RedisReads, OfOneKeyFindAForeignKey) {
  for (const char* part : {"head", "entries"}) {
    TestServer server;
    const auto backend = open_backend(server.url());
    TestClient client = client_of(*backend);
    client.put("key", "1");
    put_in_place_of(server, part);
    EXPECT_EQ(code_of([&] { client.value("key"); }), Code::corruption) << part;
  }
}

// --- nothing by halves

TEST(RedisCommit, FindsAForeignKeyBeforeItWritesAnything) {
  for (const char* part : {"entries", "order", "log", "expiry", "sessions"}) {
    TestServer server;
    const auto backend = open_backend(server.url());
    TestClient client = client_of(*backend);
    client.put("key", "1");
    const std::string foreign = put_in_place_of(server, part);
    Group group = client.group({{{}, {Write::put("new", "2", 5'000'000'000'000), Write::erase("key")}}});
    // Sessions are not looked at within the minute in which one was noted.
    group.now_ms += 60'000;
    backend->commit({&group, 1});
    ASSERT_TRUE(group.error.has_value()) << part;
    EXPECT_EQ(group.error->code(), Code::corruption) << part;
    EXPECT_EQ(group.error->retry(), Retry::never) << part;
    server.command({"DEL", foreign});
    EXPECT_EQ(client.position().seq, 1u) << part;
    EXPECT_EQ(client.value("new"), "(none)") << part;
  }
}

TEST(RedisCommit, OfOnePutFindsAForeignKeyBeforeItWritesAnything) {
  const auto expect_found = [](const std::string& part, const Bytes& key) {
    TestServer server;
    const auto backend = open_backend(server.url());
    TestClient client = client_of(*backend);
    client.put("key", "1", 5'000'000'000'000);
    const std::string foreign = put_in_place_of(server, part);
    Group group = client.group({{{}, {Write::put(key, "2")}}});
    group.now_ms += 60'000;
    backend->commit({&group, 1});
    ASSERT_TRUE(group.error.has_value()) << part;
    EXPECT_EQ(group.error->code(), Code::corruption) << part;
    server.command({"DEL", foreign});
    EXPECT_EQ(client.position().seq, 1u) << part;
    EXPECT_NE(client.value(key), "2") << part;
  };
  for (const char* part : {"entries", "order", "log", "sessions"}) expect_found(part, "new");
  for (const char* part : {"entries", "log", "expiry", "sessions"}) expect_found(part, "key");
}

// Groups of puts without an expiry go a way of their own through the function, and those of one put another.
TEST(RedisCommit, OfPutsAloneDoesWhatAnotherBackendDoes) {
  std::mt19937_64 random(testing_support::seed_of_this_run());
  TestServer server;
  const auto ours = open_backend(server.url());
  const auto model = open_backend("memory:");
  TestClient client = client_of(*ours);
  TestClient model_client = client_of(*model);
  const auto now_ms = Environment{}.completed().clock->now_ms();
  const auto key_of = [](std::size_t index) { return "key" + std::to_string(index); };
  const auto expiring = [&](Backend& backend) {
    std::vector<Bytes> keys;
    for (const Expired& one : backend.expired(now_ms + 20'000'000, 100, {}).items) keys.push_back(one.key);
    std::sort(keys.begin(), keys.end());
    return keys;
  };
  constexpr std::size_t kKeys = 12;
  for (int round = 0; round < 400; ++round) {
    const std::string value = std::to_string(round);
    std::vector<Batch> batches;
    if (random() % 3 == 0) {
      const Bytes key = key_of(random() % kKeys);
      const UnixMs expires_at_ms = random() % 2 == 0 ? 1 : now_ms + 10'000'000;
      batches.push_back(
          {{}, {random() % 3 == 0 ? Write::erase(key) : Write::put(key, value, expires_at_ms)}});
    } else {
      // Keys twice too, but not those that are checked.
      const std::size_t first = random() % kKeys;
      const std::size_t last = random() % 2 == 0 ? first : 1;
      for (std::size_t i = first; i > 0 && i >= last; --i) {
        const bool checks = random() % 3 != 0;
        const Bytes key = key_of(checks ? i : random() % 2 * kKeys);
        const ReadAnswer known = model_client.read({key});
        const Seq version = known.gets[0] ? known.gets[0]->version : 1 + random() % 50;
        Batch batch{{}, {Write::put(key, value + "." + std::to_string(i))}};
        if (checks) {
          batch.checks.push_back(random() % 3 == 0 ? Check::absent(key)
                                                   : Check::has_version(key, version + (random() % 4 == 0)));
        }
        batches.push_back(std::move(batch));
      }
    }
    Group group = client.group(batches);
    Group expected = model_client.group(batches);
    ours->commit({&group, 1});
    model->commit({&expected, 1});
    ASSERT_FALSE(group.error || expected.error) << "round " << round;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      ASSERT_EQ(group.outcomes[i].seq, expected.outcomes[i].seq) << "round " << round << ", batch " << i;
      ASSERT_EQ(group.outcomes[i].failed_check, expected.outcomes[i].failed_check) << "round " << round;
    }
    EXPECT_EQ(group.at.seq, expected.at.seq);
    const Scan all{{}, {}};
    ASSERT_EQ(client.read({}, {all}).pages[0].entries, model_client.read({}, {all}).pages[0].entries);
    ASSERT_EQ(expiring(*ours), expiring(*model)) << "round " << round;
  }
  const auto changes_of = [](Backend& backend, TestClient& of) {
    ChangesRequest request;
    request.since = {of.position().history, 0};
    std::vector<std::pair<Seq, Bytes>> found;
    for (const Change& change : backend.changes("db", request).items) {
      found.emplace_back(change.version, change.key);
    }
    return found;
  };
  EXPECT_EQ(changes_of(*ours, client), changes_of(*model, model_client));
}

TEST(RedisCommit, IsRefusedWhenTheMemoryIsFullAndErasingGoesOn) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  client.put("key", std::string(100'000, 'x'));
  server.command({"CONFIG", "SET", "maxmemory", "1000000"});
  const Group refused = client.put("other", "value");
  ASSERT_TRUE(refused.error.has_value());
  EXPECT_EQ(refused.error->code(), Code::unavailable);
  EXPECT_EQ(refused.error->retry(), Retry::backoff);
  EXPECT_EQ(client.value("key").size(), 100'000u);
  EXPECT_FALSE(client.commit({{}, {Write::erase("key")}}).error);
  EXPECT_EQ(client.value("key"), "(none)");
}

TEST(RedisCommit, KeepsVersionsExactUpToTheLargestSeq) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  const Fence importing{Fence::State::importing, 7, {}, {9, limits::kMaxSeq - 2}, 1'000};
  ASSERT_TRUE(backend->fence("db", {}, importing, client.soon()));
  Fence open;
  open.at = importing.at;
  open.time_ms = importing.time_ms;
  ASSERT_TRUE(backend->fence("db", importing, open, client.soon()));
  EXPECT_EQ(client.put("key", "1").outcomes.at(0).seq, limits::kMaxSeq - 1);
  const Group last = client.commit({{Check::has_version("key", limits::kMaxSeq - 1),
                                     Check::unchanged(Range::all(), limits::kMaxSeq - 1, 0)},
                                    {Write::put("key", "2")}});
  ASSERT_FALSE(last.error);
  EXPECT_EQ(last.outcomes.at(0).seq, limits::kMaxSeq);
  EXPECT_EQ(client.read({"key"}).gets.at(0)->version, limits::kMaxSeq);
  ChangesRequest request;
  request.since = {9, limits::kMaxSeq - 1};
  const Changes page = backend->changes("db", request);
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].version, limits::kMaxSeq);
}

TEST(RedisCommit, TakesTheLargestBatch) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  Batch batch;
  for (std::size_t i = 0; i < limits::kBatchWrites; ++i) {
    const std::string key = std::to_string(i) + std::string(2'000, 'k');
    batch.checks.push_back(Check::absent(key));
    batch.writes.push_back(Write::put(key, std::string(100, 'v'), 5'000'000'000'000));
  }
  EXPECT_EQ(client.commit(batch).outcomes.at(0).seq, 1u);
  for (Write& write : batch.writes) write = Write::erase(write.key);
  batch.checks.clear();
  EXPECT_EQ(client.commit(batch).outcomes.at(0).seq, 2u);
  EXPECT_EQ(client.read({}, {Scan{}}).pages.at(0).entries.size(), 0u);
}

TEST(RedisCommit, WithFewerReplicasThanAskedForIsNotAcknowledged) {
  TestServer server;
  const auto backend = open_backend(server.url("wait_replicas=1&prefix=a:"));
  TestClient client = client_of(*backend);
  Group group = client.group({{{}, {Write::put("key", "1")}}});
  group.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error.has_value());
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
}

TEST(RedisCommit, WaitsForReplicas) {
  TestServer primary({"--port", "0", "--repl-diskless-sync-delay", "0"});
  // Replication goes over TCP.
  std::string port;
  for (int attempt = 0; attempt < 20 && port.empty(); ++attempt) {
    const std::string wanted = std::to_string(20'000 + (getpid() * 7 + attempt * 131) % 12'000);
    if (text_of(*primary.command({"CONFIG", "SET", "port", wanted})) == "OK") port = wanted;
  }
  ASSERT_FALSE(port.empty());
  TestServer replica;
  replica.command({"REPLICAOF", "127.0.0.1", port});
  const auto backend = open_backend(primary.url("wait_replicas=1"));
  TestClient client = client_of(*backend);
  const Group group = client.put("key", "1");
  ASSERT_FALSE(group.error) << group.error->what();
  const Group again = retried(*backend, group);
  ASSERT_FALSE(again.error) << again.error->what();
  EXPECT_EQ(again.outcomes, group.outcomes);
  EXPECT_EQ(primary.command({"DBSIZE"})->integer, replica.command({"DBSIZE"})->integer);
  EXPECT_FALSE(open_backend(primary.url())->traits().keeps_acknowledged);
}

// --- functions

TEST(RedisFunctions, AreLoadedAgainWhenTheyAreGone) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  client.put("key", "1");
  server.command({"FUNCTION", "FLUSH"});
  EXPECT_EQ(client.value("key"), "1");
  // A read of one key needs none.
  EXPECT_EQ(client.read({"key", "other"}).gets[0]->value, "1");
  server.command({"FUNCTION", "FLUSH"});
  EXPECT_FALSE(client.put("key", "2").error);
  server.command({"FUNCTION", "FLUSH"});
  EXPECT_TRUE(backend->expired(0, 10, client.soon()).items.empty());
  server.command({"FUNCTION", "FLUSH"});
  EXPECT_TRUE(client.drop());
}

TEST(RedisSessions, AboveTenThousandTheLeastRecentlyUsedAreForgotten) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient oldest = client_of(*backend, "db", 1);
  Group first = oldest.group({{{}, {Write::put("key", "1")}}});
  first.now_ms -= 10'000'000;
  backend->commit({&first, 1});
  ASSERT_FALSE(first.error);
  const Reply heads = server.command({"KEYS", "*db:head"});
  const std::string head(text_of(*heads->element[0]));
  server.command({"EVAL",
                  "for i = 1, 10000 do local id = string.format('%032x', 1000 + i) "
                  "redis.call('HSET', KEYS[1], 's:' .. id, '1 00000000000000aa ' .. ARGV[1] .. "
                  "' 00000000000000aa 1 +1') redis.call('ZADD', KEYS[2], ARGV[1], id) end",
                  "2", head, head.substr(0, head.rfind(':')) + ":sessions",
                  std::to_string(first.now_ms + 1)});
  EXPECT_EQ(retried(*backend, first).outcomes, first.outcomes);
  EXPECT_FALSE(client_of(*backend, "db", 2).put("key", "2").error);
  const Reply fields = server.command({"HLEN", head});
  EXPECT_EQ(fields->integer, 5 + static_cast<std::int64_t>(limits::kSessions));
  first.now_ms += 10'000'000;
  const Group forgotten = retried(*backend, first);
  ASSERT_FALSE(forgotten.error);
  EXPECT_EQ(forgotten.outcomes.at(0).seq, 3u) << "known no longer, it is a new group";
}

// --- what it costs

/// docs/backends/redis.md gives this figure.
TEST(RedisMemory, OfAnEntryIsLessThanTwiceThatOfAPlainKey) {
  constexpr std::size_t kEntries = 20'000;
  const std::string value(100, 'v');
  const auto key_of = [](std::size_t i) { return "key:" + std::to_string(100'000'000'000'000 + i); };
  TestServer plain;
  TestServer server;
  const std::int64_t plain_before = plain.info_number("used_memory");
  for (std::size_t i = 0; i < kEntries; i += 1'000) {
    std::vector<std::string> words = {"MSET"};
    for (std::size_t n = i; n < i + 1'000; ++n) words.insert(words.end(), {key_of(n), value});
    plain.command(words);
  }
  const auto plain_bytes = static_cast<double>(plain.info_number("used_memory") - plain_before);
  const auto backend = open_backend(server.url());
  TestClient client = client_of(*backend);
  client.put("first", "1");
  const std::int64_t before = server.info_number("used_memory");
  for (std::size_t i = 0; i < kEntries; i += 100) {
    std::vector<Batch> batches;
    for (std::size_t n = i; n < i + 100; ++n) batches.push_back({{}, {Write::put(key_of(n), value)}});
    Group group = client.group(std::move(batches));
    backend->commit({&group, 1});
    ASSERT_FALSE(group.error);
  }
  const double with_log = static_cast<double>(server.info_number("used_memory") - before);
  backend->compact("db", kEntries + 1, client.soon());
  const double bytes = static_cast<double>(server.info_number("used_memory") - before);
  std::printf(
      "bytes of an entry: SET %.0f, Holdfast %.0f (%.2fx), with its row of the change log %.0f (%.2fx)\n",
      plain_bytes / kEntries, bytes / kEntries, bytes / plain_bytes, with_log / kEntries,
      with_log / plain_bytes);
  EXPECT_LT(bytes, 1.8 * plain_bytes);
}

}  // namespace
}  // namespace holdfast::redis
