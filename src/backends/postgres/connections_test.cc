// Ways to reach a server: TLS, and a pooler in transaction mode.
#include <thread>

#include "backends/postgres/test_server.h"
#include "layers/test_client.h"
#include "tests/support/code_of.h"

namespace holdfast::postgres {
namespace {

using testing_support::code_of;

TEST(PostgresTls, proves_the_server_by_its_certificate) {
  const UrlOptions options = {{"schema", unique_name()},
                              {"sslmode", "verify-full"},
                              {"sslrootcert", server_url("HOLDFAST_TEST_POSTGRES_CERTIFICATE")}};
  const auto backend = open_url(server_url("HOLDFAST_TEST_POSTGRES_TCP"), options);
  TestClient client(*backend, environment(), "db");
  client.commit({{}, {Write::put("k", "v")}});
  EXPECT_EQ(client.value("k"), "v");
}

TEST(PostgresTls, refuses_a_server_that_it_does_not_know) {
  const UrlOptions options = {
      {"schema", unique_name()}, {"sslmode", "verify-full"}, {"sslrootcert", "/dev/null"}};
  EXPECT_EQ(code_of([&] { open_url(server_url("HOLDFAST_TEST_POSTGRES_TCP"), options); }), Code::unavailable);
}

class PostgresPooler : public testing::Test {
 protected:
  std::unique_ptr<Backend> open() {
    return open_url(server_url("HOLDFAST_TEST_PGBOUNCER"),
                    {{"schema", schema_}, {"prepared_statements", "false"}});
  }
  const std::string schema_ = unique_name();
};

TEST_F(PostgresPooler, in_transaction_mode_changes_no_answer) {
  const auto backend = open();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 1; i <= 4; ++i) {
    threads.emplace_back([&, i] {
      TestClient client(*backend, environment(), "db" + std::to_string(i % 2), i);
      for (int k = 0; k < 10; ++k) {
        const std::string key = std::to_string(i) + "/" + std::to_string(k);
        const Group group = client.commit({{Check::absent(key)}, {Write::put(key, "v")}});
        EXPECT_FALSE(group.error) << group.error->what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const char* name : {"db0", "db1"}) {
    TestClient client(*backend, environment(), name, 100);
    const ReadAnswer answer = client.read({}, {{Range::all(), {}}});
    EXPECT_EQ(answer.pages[0].entries.size(), answer.at.seq);
    backend->compact(name, answer.at.seq, client.soon());
    EXPECT_EQ(backend->changes(name, {.since = answer.at}).through, answer.at);
  }
}

TEST_F(PostgresPooler, through_which_no_notification_comes_wakes_by_looking) {
  const auto one = open();
  const auto other = open();
  TestClient client(*one, environment(), "db");
  client.commit({{}, {Write::put("k", "v")}});
  for (int i = 0; i < 3; ++i) {
    const Cursor cursor{"db", client.position()};
    std::thread waiter([&] { EXPECT_EQ(other->wait({&cursor, 1}, client.soon()).size(), 1u); });
    client.commit({{}, {Write::put("k", "v")}});
    const auto committed = std::chrono::steady_clock::now();
    waiter.join();
    EXPECT_LT(std::chrono::steady_clock::now() - committed,
              one->traits().wake_bound + std::chrono::seconds(1));
  }
}

}  // namespace
}  // namespace holdfast::postgres
