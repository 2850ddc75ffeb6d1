// The postgres backend against plain SQL on the same server: groups of batches (one check and one put each)
// against a multi-row upsert without checks, reads against prepared selects, and the engine's group commit
// against as many connections as there are callers. Both sides have the same table options.
#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend_side.h"
#include "backends/postgres/values.h"
#include "harness.h"
#include "holdfast/store.h"

namespace holdfast::bench {
namespace {

using postgres::ArrayParameter;
using postgres::Parameters;

constexpr std::size_t kThreads = 64;
constexpr const char* kVariable = "HOLDFAST_TEST_POSTGRES";

/// One connection that says what anybody would say.
class Plain {
 public:
  Plain() : connection_(PQconnectdb(std::getenv(kVariable))) {
    if (PQstatus(connection_) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_));
    run("SET plan_cache_mode = force_generic_plan; SET jit = off; SET client_min_messages = warning");
  }
  ~Plain() { PQfinish(connection_); }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  void run(const std::string& text) { demand(PQexec(connection_, text.c_str())); }
  void make_table() {
    run("DROP SCHEMA IF EXISTS holdfast_bench_plain CASCADE; CREATE SCHEMA holdfast_bench_plain;"
        "CREATE TABLE holdfast_bench_plain.kv(db bigint, key bytea, value bytea, PRIMARY KEY(db, key)) "
        "WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);"
        "ALTER TABLE holdfast_bench_plain.kv ALTER key SET STORAGE PLAIN, ALTER value SET STORAGE EXTERNAL");
  }
  void prepare() {
    const auto one = [&](const char* name, const char* text) {
      demand(PQprepare(connection_, name, text, 0, nullptr));
    };
    one("put",
        "INSERT INTO holdfast_bench_plain.kv SELECT 1, k, v FROM unnest($1::bytea[], $2::bytea[]) x(k, v) "
        "ON CONFLICT (db, key) DO UPDATE SET value = excluded.value");
    one("put_one",
        "INSERT INTO holdfast_bench_plain.kv VALUES (1, $1::bytea, $2::bytea) "
        "ON CONFLICT (db, key) DO UPDATE SET value = excluded.value");
    one("get", "SELECT value FROM holdfast_bench_plain.kv WHERE db = 1 AND key = $1::bytea");
    one("scan",
        "SELECT key, value FROM holdfast_bench_plain.kv WHERE db = 1 AND key >= $1::bytea ORDER BY key "
        "LIMIT 1000");
  }

  void put(const std::vector<std::size_t>& keys, const std::string& value) {
    ArrayParameter all_keys = ArrayParameter::byteas(), values = ArrayParameter::byteas();
    for (const std::size_t index : keys) {
      all_keys.add(View(key_text(index)));
      values.add(View(value));
    }
    ask("put", Parameters().array(std::move(all_keys)).array(std::move(values)));
  }
  void put_one(std::size_t index, const std::string& value) {
    ask("put_one", Parameters().bytes(key_text(index)).bytes(value));
  }
  std::string get(std::size_t index) {
    return Bytes(ask("get", Parameters().bytes(key_text(index))).bytes(0, 0));
  }
  std::size_t scan(std::size_t index) {
    const postgres::Rows rows = ask("scan", Parameters().bytes(key_text(index)));
    std::vector<std::pair<std::string, std::string>> copied;
    for (int row = 0; row < rows.size(); ++row) copied.emplace_back(rows.bytes(row, 0), rows.bytes(row, 1));
    return copied.size();
  }

 private:
  postgres::Rows ask(const char* name, const Parameters& parameters) {
    return demand(PQexecPrepared(connection_, name, parameters.count(), parameters.values(),
                                 parameters.lengths(), parameters.formats(), 1));
  }
  postgres::Rows demand(PGresult* result) {
    postgres::Rows rows(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      throw std::runtime_error(PQerrorMessage(connection_));
    }
    return rows;
  }

  PGconn* connection_;
};

std::string store_url() {
  const std::string url = std::getenv(kVariable);
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "schema=holdfast_bench";
}

/// Both sides with the same entries.
struct Tables {
  Tables() {
    plain.run("DROP SCHEMA IF EXISTS holdfast_bench CASCADE");
    plain.make_table();
    plain.prepare();
    ours = std::make_unique<BackendSide>(store_url());
    fill(plain, *ours);
    plain.run("VACUUM ANALYZE holdfast_bench_plain.kv");
    plain.run("VACUUM ANALYZE holdfast_bench.entry");
    plain.run("CHECKPOINT");
  }
  ~Tables() {
    ours.reset();
    plain.run("DROP SCHEMA holdfast_bench CASCADE; DROP SCHEMA holdfast_bench_plain CASCADE");
  }
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  /// In the keys' order, as either side is fastest.
  std::vector<std::size_t> pick(std::size_t count) {
    std::vector<std::size_t> keys = next.keys(count);
    std::sort(keys.begin(), keys.end());
    return keys;
  }

  Plain plain;
  std::unique_ptr<BackendSide> ours;
  Picker next;
};

Case group_case(const std::string& name, std::size_t size, double at_least) {
  const auto tables = std::make_shared<Tables>();
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [tables, &side, size](std::chrono::milliseconds duration) {
                       return measure(1, duration, size, [&](std::size_t) {
                         side.put(tables->pick(size), tables->next.value());
                       });
                     }};
  };
  return {name,
          contender("postgres:", *tables->ours),
          {{contender("plain upsert", tables->plain), at_least, {}}}};
}

Case get_case(const std::string& name) {
  const auto tables = std::make_shared<Tables>();
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [tables, &side](std::chrono::milliseconds duration) {
                       return measure(1, duration, 1, [&](std::size_t) {
                         if (side.get(tables->next.key()).empty()) throw std::runtime_error("no value");
                       });
                     }};
  };
  return {
      name, contender("postgres:", *tables->ours), {{contender("plain select", tables->plain), 0.75, {}}}};
}

Case scan_case(const std::string& name) {
  const auto tables = std::make_shared<Tables>();
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [tables, &side](std::chrono::milliseconds duration) {
                       return measure(1, duration, kScanRows, [&](std::size_t) {
                         if (side.scan(tables->next.first_of_scan()) != kScanRows)
                           throw std::runtime_error("rows are missing");
                       });
                     }};
  };
  return {name, contender("postgres:", *tables->ours), {{contender("plain select", tables->plain), 0.6, {}}}};
}

/// What the engine's group commit makes of many callers: against a connection and a transaction for each.
Case engine_case(const std::string& name) {
  struct Sides {
    Sides() {
      owner.run("DROP SCHEMA IF EXISTS holdfast_bench CASCADE");
      owner.make_table();
      store = Store::open(store_url());
      for (std::size_t i = 0; i < kThreads; ++i) {
        clients.push_back(std::make_unique<Plain>());
        clients.back()->prepare();
        dice.emplace_back(i + 2);
      }
    }
    Plain owner;
    std::shared_ptr<Store> store;
    std::vector<std::unique_ptr<Plain>> clients;
    std::vector<Dice> dice;
  };
  const auto sides = std::make_shared<Sides>();
  Contender ours{"postgres:", [sides](std::chrono::milliseconds duration) {
                   return measure(kThreads, duration, 1, [&](std::size_t thread) {
                     const std::size_t key = sides->dice[thread].below(kKeys);
                     sides->store->database("bench").put(key_text(key), value_of(key));
                   });
                 }};
  Contender plain{"plain upserts, 64 connections", [sides](std::chrono::milliseconds duration) {
                    return measure(kThreads, duration, 1, [&](std::size_t thread) {
                      const std::size_t key = sides->dice[thread].below(kKeys);
                      sides->clients[thread]->put_one(key, value_of(key));
                    });
                  }};
  return {name, std::move(ours), {{std::move(plain), 2.0, {}}}};
}

}  // namespace

void add_postgres_cases(Suite& suite) {
  if (std::getenv(kVariable) == nullptr) {
    std::cerr << "postgres: is left out, since " << kVariable
              << " names no server (scripts/bench starts one)\n";
    return;
  }
  struct Goal {
    std::size_t size;
    double at_least;
  };
  constexpr Goal kGoals[] = {{1, 0.60}, {10, 0.70}, {100, 0.85}, {500, 0.85}};
  for (const Goal& goal : kGoals) {
    const std::string name = "postgres: groups of " + std::to_string(goal.size);
    suite.cases.push_back({name, [=] { return group_case(name, goal.size, goal.at_least); }});
  }
  const std::string get = "postgres: get, 100k entries";
  suite.cases.push_back({get, [=] { return get_case(get); }});
  const std::string scan = "postgres: scan of 1,000 entries (rows)";
  suite.cases.push_back({scan, [=] { return scan_case(scan); }});
  const std::string engine = "postgres: put through the engine, 64 threads";
  suite.cases.push_back({engine, [=] { return engine_case(engine); }});
}

}  // namespace holdfast::bench
