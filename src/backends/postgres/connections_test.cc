// Ways to reach a server: TLS, and a pooler in transaction mode.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "backends/postgres/test_cluster.h"
#include "backends/postgres/test_server.h"
#include "layers/test_client.h"
#include "tests/support/certificates.h"
#include "tests/support/code_of.h"
#include "tests/support/targets.h"

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

/// A port that was free a moment ago.
int free_port() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  close(descriptor);
  return ntohs(address.sin_port);
}

/// A server that lets in by TCP whoever has a certificate of its authority, under the name in it.
class PostgresClientCertificates : public testing::Test {
 protected:
  PostgresClientCertificates() {
    const std::string hba = certificates_.file("pg_hba.conf");
    std::ofstream(hba) << "local all all trust\nhostssl all all 127.0.0.1/32 cert\n";
    std::filesystem::permissions(certificates_.folder(), std::filesystem::perms(0755));
    give_to_server_user(hba);
    give_to_server_user(certificates_.file("server.key"));
    server_ = std::make_unique<TestCluster>(
        std::vector<std::string>{"ssl = on", "listen_addresses = '127.0.0.1'", "hba_file = '" + hba + "'",
                                 "ssl_ca_file = '" + certificates_.file("authority.crt") + "'",
                                 "ssl_cert_file = '" + certificates_.file("server.crt") + "'",
                                 "ssl_key_file = '" + certificates_.file("server.key") + "'"},
        port_);
    server_->sql("CREATE ROLE client LOGIN; GRANT CREATE ON DATABASE postgres TO client");
  }
  std::string url(const std::string& user) const {
    return "postgres://" + user + "@127.0.0.1:" + std::to_string(port_) + "/postgres";
  }
  UrlOptions options(const std::string& certificate) const {
    UrlOptions options = {{"sslmode", "verify-full"}, {"sslrootcert", certificates_.file("authority.crt")}};
    if (certificate.empty()) return options;
    options["sslcert"] = certificates_.file(certificate + ".crt");
    options["sslkey"] = certificates_.file(certificate + ".key");
    return options;
  }

  const testing_support::Certificates certificates_;
  const int port_ = free_port();
  std::unique_ptr<TestCluster> server_;
};

TEST_F(PostgresClientCertificates, open_the_door) {
  const auto backend = open_url(url("client"), options("client"));
  TestClient client(*backend, environment(), "db");
  client.put("k", "v");
  EXPECT_EQ(client.value("k"), "v");
}

TEST_F(PostgresClientCertificates, are_demanded_and_prove_one_name_alone) {
  EXPECT_EQ(code_of([&] { open_url(url("client"), options("")); }), Code::permission_denied);
  EXPECT_EQ(code_of([&] { open_url(url("client"), options("server")); }), Code::permission_denied);
  EXPECT_EQ(code_of([&] { open_url(url("holdfast"), options("client")); }), Code::permission_denied);
}

/// Variables of the environment, for a while.
class Variables {
 public:
  explicit Variables(const std::map<std::string, std::string>& values) : values_(values) {
    for (const auto& [name, value] : values_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : values_) unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  const std::map<std::string, std::string> values_;
};

/// The parts of HOLDFAST_TEST_POSTGRES_TCP: postgres://USER:PASSWORD@HOST:PORT/DBNAME.
class PostgresVariables : public testing::Test {
 protected:
  PostgresVariables() {
    const std::string text = server_url("HOLDFAST_TEST_POSTGRES_TCP");
    std::smatch parts;
    if (!std::regex_match(text, parts, std::regex("[a-z]+://(.*):(.*)@(.*):(.*)/(.*)"))) {
      throw std::runtime_error("HOLDFAST_TEST_POSTGRES_TCP does not name user, password, host and port");
    }
    user_ = parts[1];
    password_ = parts[2];
    dbname_ = parts[5];
    where_ = {{"PGHOST", parts[3]}, {"PGPORT", parts[4]}, {"PGUSER", user_}};
  }
  std::string message_without(const std::string& secret) {
    std::string message = "nothing was thrown";
    try {
      open_url("postgres:///" + dbname_, {{"schema", unique_name()}});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::permission_denied);
      message = error.what();
    }
    EXPECT_EQ(message.find(secret), std::string::npos) << message;
    return message;
  }

  std::string user_, password_, dbname_;
  std::map<std::string, std::string> where_;
};

TEST_F(PostgresVariables, say_what_the_url_does_not) {
  where_["PGPASSWORD"] = password_;
  const Variables variables(where_);
  EXPECT_NO_THROW(open_url("postgres:///" + dbname_, {{"schema", unique_name()}}));
}

TEST_F(PostgresVariables, name_a_file_with_passwords) {
  const testing_support::TemporaryFolder folder;
  const std::string file = folder.path() + "/pgpass";
  std::ofstream(file) << "*:*:*:" << user_ << ":" << password_ << "\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  where_["PGPASSFILE"] = file;
  const Variables variables(where_);
  EXPECT_NO_THROW(open_url("postgres:///" + dbname_, {{"schema", unique_name()}}));
}

TEST_F(PostgresVariables, with_a_wrong_password_are_not_repeated_by_messages) {
  where_["PGPASSWORD"] = "opensesame";
  const Variables variables(where_);
  EXPECT_NE(message_without("opensesame").find("28P01"), std::string::npos);
}

TEST_F(PostgresVariables, without_a_password_are_an_error_that_says_so) {
  const Variables variables(where_);
  EXPECT_NE(message_without("opensesame").find("password"), std::string::npos);
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
