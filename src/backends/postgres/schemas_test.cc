// Many schemas on one server: a store that has one for each database, as many as a service has tenants.
#include <thread>

#include "backends/postgres/test_server.h"
#include "holdfast/open.h"
#include "layers/test_client.h"
#include "tests/support/leaks.h"
#include "tests/support/settings.h"

namespace holdfast::postgres {
namespace {

using testing_support::private_bytes;

/// What the connections of one store cost the server.
class ServerUse {
 public:
  explicit ServerUse(const std::string& application)
      : pids_("SELECT pid FROM pg_stat_activity WHERE application_name = '" + application + "'") {}

  void look() {
    const std::vector<std::string> pids = sql_(pids_);
    connections_ = std::max(connections_, pids.size());
    for (const std::string& pid : pids) largest_ = std::max(largest_, private_bytes(pid).value_or(0));
  }
  std::size_t connections() const { return connections_; }
  std::uint64_t largest_bytes() const { return largest_; }

 private:
  const Sql sql_;
  const std::string pids_;
  std::size_t connections_ = 0;
  std::uint64_t largest_ = 0;
};

TEST(PostgresSchemas, of_very_many_databases_need_no_more_connections_nor_memory_than_few) {
  const std::uint64_t count = testing_support::setting("HOLDFAST_SCHEMAS", 100);
  const std::string schema = unique_name();
  std::string url = "per_database+" + server_url();
  url += (url.find('?') == std::string::npos ? "?schema=" : "&schema=") + schema +
         "&application_name=" + schema + "&pool_size=4&lanes=2";
  const auto backend = open_backend(url, environment());
  ServerUse use(schema);
  const auto name_of = [](std::uint64_t i) { return "tenant/" + std::to_string(10'000 + i); };
  const auto in_threads = [&](const std::function<void(TestClient&)>& call) {
    std::vector<std::thread> threads;
    std::atomic<std::uint64_t> next{0};
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        for (std::uint64_t i = next++; i < count; i = next++) {
          TestClient client(*backend, environment(), name_of(i), 1 + next);
          call(client);
        }
      });
    }
    while (next < count) {
      use.look();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    for (std::thread& thread : threads) thread.join();
    use.look();
  };
  const auto seconds_of = [](const auto& call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };

  const std::uint64_t before = private_bytes().value_or(0);
  const double making = seconds_of([&] {
    in_threads([](TestClient& client) {
      const Group group = client.put("key", "value");
      EXPECT_FALSE(group.error) << group.error->what();
    });
  });
  EXPECT_EQ(backend->databases({}, {}, 2 * count, {}).size(), count);
  double using_them = 0;
  for (int round = 0; round < 3; ++round) {
    using_them = seconds_of([&] {
      in_threads([](TestClient& client) {
        EXPECT_EQ(client.value("key"), "value");
        const Group group = client.put("key", "value");
        EXPECT_FALSE(group.error) << group.error->what();
      });
    });
  }
  const std::uint64_t after = private_bytes().value_or(0);
  std::printf(
      "%llu schemas: made in %.1f s, a read and a commit of each in %.1f s; at most %zu connections, "
      "the largest of %llu MB; this process has %llu MB more\n",
      static_cast<unsigned long long>(count), making, using_them, use.connections(),
      static_cast<unsigned long long>(use.largest_bytes() >> 20),
      static_cast<unsigned long long>((after - std::min(before, after)) >> 20));
  // The server may not have ended yet what was given up a moment ago.
  EXPECT_LE(use.connections(), 2 * (4u + 2) + 1);
  EXPECT_LE(use.largest_bytes(), std::uint64_t{96} << 20);
  EXPECT_LE(after, before + (std::uint64_t{64} << 20));
}

}  // namespace
}  // namespace holdfast::postgres
