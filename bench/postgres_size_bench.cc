// How large the tables of a postgres: store become: 100,000 entries are updated ten million times through the
// engine, in commits of 100 random keys, with the server's own autovacuum and the engine's own compaction.
//   postgres_size_bench [UPDATES]      on the server that HOLDFAST_TEST_POSTGRES names; takes a few minutes
#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "harness.h"
#include "holdfast/store.h"

namespace holdfast::bench {
namespace {

constexpr std::size_t kKeys = 100'000;
constexpr std::size_t kCommitKeys = 100;
constexpr std::size_t kThreads = 4;

class Sql {
 public:
  explicit Sql(const char* url) : connection_(PQconnectdb(url)) {}
  ~Sql() { PQfinish(connection_); }
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;

  std::string operator()(const std::string& text) const {
    PGresult* result = PQexec(connection_, text.c_str());
    const ExecStatusType status = PQresultStatus(result);
    const bool is_good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    std::string value = is_good && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    PQclear(result);
    if (!is_good) throw std::runtime_error(PQerrorMessage(connection_));
    return value;
  }

 private:
  PGconn* connection_;
};

double megabytes(const Sql& sql, const std::string& table) {
  return std::stod(sql("SELECT pg_total_relation_size('holdfast_size." + table + "')")) / 1e6;
}

void report(const Sql& sql, const char* when, double fresh) {
  std::cout << when << ": entry " << megabytes(sql, "entry") << " MB";
  if (fresh > 0) std::cout << " (" << megabytes(sql, "entry") / fresh << " x)";
  std::cout << ", commits " << megabytes(sql, "commits") << " MB, HOT updates "
            << sql("SELECT round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1), 1) FROM pg_stat_user_tables "
                   "WHERE schemaname = 'holdfast_size' AND relname = 'entry'")
            << " %\n"
            << std::flush;
}

Batch batch_of(Dice& dice, std::size_t round) {
  std::vector<std::size_t> keys;
  while (keys.size() < kCommitKeys) keys.push_back(dice.below(kKeys));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  Batch batch;
  for (const std::size_t key : keys) batch.writes.push_back(Write::put(key_of(key), value_of(round + key)));
  return batch;
}

void measure_sizes(std::size_t updates) {
  const char* url = std::getenv("HOLDFAST_TEST_POSTGRES");
  if (url == nullptr)
    throw std::runtime_error("HOLDFAST_TEST_POSTGRES is not set; scripts/test-servers start");
  const Sql sql(url);
  sql("SET client_min_messages = warning; DROP SCHEMA IF EXISTS holdfast_size CASCADE");
  const std::string store_url = url;
  const auto store = Store::open(store_url + (store_url.find('?') == std::string::npos ? "?" : "&") +
                                 "schema=holdfast_size");
  Database database = store->database("bench");
  const auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::minutes(1); };
  for (std::size_t from = 0; from < kKeys; from += 1'000) {
    Batch batch;
    for (std::size_t i = from; i < from + 1'000; ++i)
      batch.writes.push_back(Write::put(key_of(i), value_of(i)));
    database.commit(std::move(batch), soon());
  }
  sql("VACUUM ANALYZE holdfast_size.entry");
  const double fresh = megabytes(sql, "entry");
  report(sql, "fresh", 0);
  std::size_t done = 0;
  while (done < updates) {
    const std::size_t part = std::min<std::size_t>(updates - done, 1'000'000);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        Dice dice(done + thread + 1);
        for (std::size_t i = 0; i < part / kThreads / kCommitKeys; ++i)
          database.commit(batch_of(dice, done + i), soon());
      });
    }
    for (std::thread& thread : threads) thread.join();
    done += part;
    report(sql, (std::to_string(done) + " updates").c_str(), fresh);
  }
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  try {
    holdfast::bench::measure_sizes(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000'000);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
