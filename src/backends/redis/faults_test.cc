// A server that is killed, loses data, changes its role or stops answering; connections that are cut.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "backends/redis/functions.h"
#include "backends/redis/key_names.h"
#include "backends/redis/test_server.h"
#include "holdfast/open.h"
#include "holdfast/store.h"
#include "layers/test_client.h"
#include "tests/support/appenders.h"
#include "tests/support/code_of.h"
#include "tests/support/leaks.h"
#include "tests/support/restarts.h"
#include "tests/support/settings.h"

namespace holdfast::redis {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing_support::Appended;
using testing_support::Appenders;
using testing_support::code_of;
using testing_support::expect_another_history;
using testing_support::expect_exactly_once;
using testing_support::expect_no_leak;
using testing_support::expect_recorded_answer;
using testing_support::patiently;

const std::vector<std::string> kAlways = {"--appendonly", "yes", "--appendfsync", "always"};

TestClient writer_of(Backend& backend, std::uint64_t session = 1) {
  return {backend, Environment{}.completed(), "db", session};
}

TEST(RedisFaults, KilledUnderLoadAServerThatSyncsHasEveryAcknowledgedCommit) {
  TestServer server(kAlways);
  const auto store = Store::open(server.url("sweeper=false"));
  ASSERT_TRUE(store->traits().keeps_acknowledged);
  Appenders appenders(*store, 8);
  for (int round = 0; round < 3; ++round) {
    appenders.let_pass(300);
    server.kill();
    server.start();
  }
  appenders.let_pass(300);
  const Appended appended = appenders.stop();
  EXPECT_GE(appended.acknowledged.size(), 1'200u);
  expect_exactly_once(*store, appended);
}

TEST(RedisFaults, ConnectionsThatAreCutUnderLoadLoseAndDoubleNothing) {
  TestServer server;
  const auto store = Store::open(server.url("sweeper=false"));
  Appenders appenders(*store, 8);
  for (int round = 0; round < 100; ++round) {
    appenders.let_pass(10);
    server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  }
  const Appended appended = appenders.stop();
  EXPECT_EQ(appended.unknown.size(), 0u) << "sessions resolve what a cut connection left open";
  EXPECT_EQ(appended.refused.size(), 0u);
  expect_exactly_once(*store, appended);
}

TEST(RedisFaults, ARestartedServerGivesItsDatabasesAnotherHistory) {
  TestServer server(kAlways);
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  const Position before = client.position();
  Group old = client.group({{{}, {Write::put("key", "2")}}});
  server.stop();
  server.start();
  const Position after = expect_another_history(*backend, client, before, old);
  EXPECT_EQ(after.seq, before.seq);
  EXPECT_EQ(client.value("key"), "1");
  EXPECT_EQ(client.position(), after) << "once is enough";
}

TEST(RedisFaults, OfTwoThatNoticeAnotherServerTheFirstGivesTheNewHistory) {
  TestServer server(kAlways);
  const auto backend = open_backend(server.url("prefix=a:"));
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  const DatabaseKeys keys = KeyNames("a:").of("db");
  const std::string old_server = server.answer({"HGET", keys.keys[0], "server"});
  server.stop();
  server.start();
  const Position adopted = patiently([&] { return client.position(); });
  const std::string new_server = server.answer({"HGET", keys.keys[0], "server"});
  ASSERT_NE(new_server, old_server);
  // What another process sends that has read the head before.
  const Reply late = server.command({"FCALL", function_name("adopt"), "1", keys.keys[0], old_server,
                                     new_server, "00000000000000ff", keys.base});
  EXPECT_EQ(late->integer, 0) << text_of(*late);
  EXPECT_EQ(client.position(), adopted);
}

TEST(RedisFaults, ARetryAfterARestartIsAnsweredWithWhatWasRecorded) {
  TestServer server(kAlways);
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  expect_recorded_answer(*backend, client, [&] {
    server.kill();
    server.start();
  });
}

TEST(RedisFaults, AnotherServerBehindTheSameAddressIsNoticedByAWaiter) {
  TestServer server(kAlways);
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  const Cursor cursor{"db", client.position()};
  server.stop();
  server.start();
  std::vector<std::size_t> behind;
  const auto deadline = client.soon();
  while (behind.empty() && std::chrono::steady_clock::now() < deadline) {
    behind = patiently([&] { return backend->wait({&cursor, 1}, deadline); });
  }
  EXPECT_EQ(behind, (std::vector<std::size_t>{0}));
}

TEST(RedisFaults, AnOlderStateThatWasPutBackIsNoticed) {
  TestServer server(kAlways);
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "old");
  const std::string kept = server.folder() + "/appendonlydir";
  server.stop();
  fs::copy(kept, kept + ".copy", fs::copy_options::recursive);
  server.start();
  const Position first = patiently([&] { return client.position(); });
  client.put("key", "new");
  Group old = client.group({{{Check::has_version("key", 2)}, {Write::put("key", "newer")}}});
  server.stop();
  fs::remove_all(kept);
  fs::rename(kept + ".copy", kept);
  server.start();
  const Position now = patiently([&] { return client.position(); });
  EXPECT_EQ(now.seq, 1u);
  EXPECT_NE(now.history, first.history);
  // The seq of the lost commit is used again; a check that names it must not hold.
  writer_of(*backend, 2).put("key", "other");
  backend->commit({&old, 1});
  ASSERT_TRUE(old.error.has_value());
  EXPECT_EQ(old.error->code(), Code::history_changed);
  EXPECT_EQ(client.value("key"), "other");
}

TEST(RedisFaults, AServerThatWasFlushedIsNoticed) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  const Cursor cursor{"db", client.position()};
  Group old = client.group({{{}, {Write::put("key", "2")}}});
  server.command({"FLUSHALL"});
  backend->commit({&old, 1});
  ASSERT_TRUE(old.error.has_value());
  EXPECT_EQ(old.error->code(), Code::history_changed);
  EXPECT_EQ(client.position(), Position{});
  EXPECT_EQ(backend->wait({&cursor, 1}, client.soon()), (std::vector<std::size_t>{0}));
}

TEST(RedisFaults, APrimaryThatBecameAReplicaAnswersNothing) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  const Position before = client.position();
  Group group = client.group({{{}, {Write::put("key", "2")}}});
  server.command({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(code_of([&] { client.value("key"); }), Code::unavailable);
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error.has_value());
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(group.error->retry(), Retry::backoff) << "it was refused, so it will never be applied";
  // Promoted again, it may lack what another primary had meanwhile.
  server.command({"REPLICAOF", "NO", "ONE"});
  const Position after = patiently([&] { return client.position(); });
  EXPECT_NE(after.history, before.history);
  EXPECT_EQ(after.seq, before.seq);
}

TEST(RedisFaults, AServerThatStandsStillCostsNoMoreThanTheDeadline) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  Group group = client.group({{{}, {Write::put("key", "2")}}});
  ::kill(server.process(), SIGSTOP);
  const auto begin = std::chrono::steady_clock::now();
  group.deadline = begin + milliseconds(100);
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error.has_value());
  EXPECT_EQ(group.error->code(), Code::timeout);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
  ReadRequest request;
  request.deadline = std::chrono::steady_clock::now() + milliseconds(100);
  EXPECT_EQ(code_of([&] { backend->read("db", request); }), Code::timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(200) + limits::kDeadlineGrace);
  ::kill(server.process(), SIGCONT);
  const Group again = retried(*backend, [&] {
    Group late = group;
    late.deadline = client.soon();
    return late;
  }());
  ASSERT_FALSE(again.error);
  EXPECT_EQ(again.outcomes.at(0).seq, 2u);
  EXPECT_EQ(client.position().seq, 2u) << "once";
}

TEST(RedisFaults, AWaiterWhoseSubscriptionWasCutIsStillWoken) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  for (int round = 0; round < 20; ++round) {
    const Cursor cursor{"db", client.position()};
    std::atomic<bool> woken{false};
    std::thread waiter([&] {
      while (!woken && std::chrono::steady_clock::now() < client.soon()) {
        woken = !backend->wait({&cursor, 1}, client.soon()).empty();
      }
    });
    server.command({"CLIENT", "KILL", "TYPE", "pubsub"});
    client.put("key", "2");
    waiter.join();
    ASSERT_TRUE(woken);
  }
}

TEST(RedisFaults, AllConnectionsInUseIsAnErrorThatSaysSo) {
  TestServer server;
  const auto backend = open_backend(server.url("connections=1"));
  ::kill(server.process(), SIGSTOP);
  std::thread busy([&] {
    ReadRequest request;
    request.deadline = std::chrono::steady_clock::now() + milliseconds(700);
    EXPECT_EQ(code_of([&] { backend->read("db", request); }), Code::timeout);
  });
  std::this_thread::sleep_for(milliseconds(100));
  try {
    ReadRequest request;
    request.deadline = std::chrono::steady_clock::now() + milliseconds(100);
    backend->read("db", request);
    ADD_FAILURE() << "answered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::timeout);
    EXPECT_NE(std::string(error.what()).find("connections"), std::string::npos) << error.what();
  }
  busy.join();
  ::kill(server.process(), SIGCONT);
}

TEST(RedisFaults, ReconnectsLeaveNothingBehind) {
  TestServer server;
  const auto backend = open_backend(server.url());
  TestClient client = writer_of(*backend);
  client.put("key", "1");
  expect_no_leak(testing_support::setting("HOLDFAST_RECONNECTS", 500), [&] {
    server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
    ASSERT_EQ(client.value("key"), "1");
  });
  EXPECT_LE(server.info_number("connected_clients"), 3);
}

}  // namespace
}  // namespace holdfast::redis
