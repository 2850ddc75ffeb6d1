// The sqlite backend against plain SQLite: groups of batches (one check and one put each) against a
// transaction of as many insert-or-replace statements, and a read of one key against a prepared select. Both
// sides have the same pragmas, cache and checkpoint size.
#include <sqlite3.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend_side.h"
#include "harness.h"
#include "holdfast/store.h"

namespace holdfast::bench {
namespace {

constexpr std::int64_t kCacheBytes = 8 << 20;

class Plain {
 public:
  Plain(const std::string& path, std::int64_t checkpoint_bytes) {
    demand(sqlite3_open_v2(path.c_str(), &connection_,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr));
    const std::string sql =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; "
        "PRAGMA cache_size = -" +
        std::to_string(kCacheBytes / 1024) +
        "; PRAGMA wal_autocheckpoint = " + std::to_string(checkpoint_bytes / 4096) +
        "; CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;";
    demand(sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr));
    put_ = prepare("INSERT OR REPLACE INTO kv(key, value) VALUES (?1, ?2)");
    get_ = prepare("SELECT value FROM kv WHERE key = ?1");
    begin_ = prepare("BEGIN IMMEDIATE");
    commit_ = prepare("COMMIT");
  }
  ~Plain() {
    for (sqlite3_stmt* statement : {put_, get_, begin_, commit_}) sqlite3_finalize(statement);
    sqlite3_close(connection_);
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  void put(const std::vector<std::size_t>& keys, const std::string& value) {
    step(begin_);
    for (const std::size_t index : keys) {
      bind(put_, 1, key_text(index));
      bind(put_, 2, value);
      step(put_);
    }
    step(commit_);
  }
  std::string get(std::size_t index) {
    bind(get_, 1, key_text(index));
    if (sqlite3_step(get_) != SQLITE_ROW) throw std::runtime_error("a key is missing");
    std::string value(static_cast<const char*>(sqlite3_column_blob(get_, 0)),
                      static_cast<std::size_t>(sqlite3_column_bytes(get_, 0)));
    sqlite3_reset(get_);
    return value;
  }

 private:
  static void demand(int result) {
    if (result != SQLITE_OK) throw std::runtime_error(sqlite3_errstr(result));
  }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    demand(sqlite3_prepare_v2(connection_, sql, -1, &statement, nullptr));
    return statement;
  }
  static void bind(sqlite3_stmt* statement, int index, const std::string& bytes) {
    demand(sqlite3_bind_blob64(statement, index, bytes.data(), bytes.size(), SQLITE_STATIC));
  }
  static void step(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) throw std::runtime_error("a statement failed");
    sqlite3_reset(statement);
  }

  sqlite3* connection_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* get_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

std::string url_of(const std::string& path, std::int64_t checkpoint_bytes) {
  return "sqlite://" + path + "?checkpoint_size_bytes=" + std::to_string(checkpoint_bytes) +
         "&cache_size_bytes=" + std::to_string(kCacheBytes);
}

/// Both sides with the same entries.
struct Files {
  explicit Files(std::int64_t checkpoint_bytes)
      : plain(folder.path() + "/plain.db", checkpoint_bytes),
        ours(url_of(folder.path() + "/ours.db", checkpoint_bytes)) {
    fill(plain, ours);
  }

  BenchFolder folder{"sqlite"};
  Plain plain;
  BackendSide ours;
  Picker next;
};

Case group_case(const std::string& name, std::size_t size, std::int64_t checkpoint_bytes, double at_least,
                double aim) {
  const auto files = std::make_shared<Files>(checkpoint_bytes);
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [files, &side, size](std::chrono::milliseconds duration) {
                       return measure(1, duration, size, [&](std::size_t) {
                         side.put(files->next.keys(size), files->next.value());
                       });
                     }};
  };
  return {
      name, contender("sqlite:", files->ours), {{contender("plain SQLite", files->plain), at_least, aim}}};
}

Case get_case(const std::string& name) {
  const auto files = std::make_shared<Files>(std::int64_t{4} << 20);
  const auto contender = [&](const char* who, auto& side) {
    return Contender{who, [files, &side](std::chrono::milliseconds duration) {
                       return measure(1, duration, 1, [&](std::size_t) {
                         if (side.get(files->next.key()).empty()) throw std::runtime_error("no value");
                       });
                     }};
  };
  return {name, contender("sqlite:", files->ours), {{contender("plain SQLite", files->plain), 0.75, 0.9}}};
}

/// What the engine's group commit makes of many callers: against a transaction and a sync for each put.
Case engine_case(const std::string& name) {
  struct Sides {
    BenchFolder folder{"sqlite-engine"};
    Plain plain{folder.path() + "/plain.db", std::int64_t{4} << 20};
    std::shared_ptr<Store> store = Store::open("sqlite://" + folder.path() + "/ours.db");
    Database database = store->database("bench");
    Dice plain_dice{1};
    std::vector<Dice> dice;
  };
  constexpr std::size_t kThreads = 64;
  const auto sides = std::make_shared<Sides>();
  for (std::size_t thread = 0; thread < kThreads; ++thread) sides->dice.emplace_back(thread + 2);
  Contender ours{"sqlite:", [sides](std::chrono::milliseconds duration) {
                   return measure(kThreads, duration, 1, [&](std::size_t thread) {
                     const std::size_t key = sides->dice[thread].below(kKeys);
                     sides->database.put(key_text(key), value_of(key));
                   });
                 }};
  Contender plain{"plain SQLite, a transaction each", [sides](std::chrono::milliseconds duration) {
                    return measure(1, duration, 1, [&](std::size_t) {
                      const std::size_t key = sides->plain_dice.below(kKeys);
                      sides->plain.put({key}, value_of(key));
                    });
                  }};
  return {name, std::move(ours), {{std::move(plain), 5.0, 8.0}}};
}

}  // namespace

void add_sqlite_cases(Suite& suite) {
  struct Goal {
    std::size_t size;
    double at_least;
    double aim;
  };
  constexpr Goal kGoals[] = {{1, 0.75, 0.95}, {10, 0.70, 0.85}, {100, 0.65, 0.80}, {500, 0.65, 0.75}};
  for (const std::int64_t checkpoint_bytes : {std::int64_t{4} << 20, std::int64_t{40} << 20}) {
    for (const Goal& goal : kGoals) {
      const std::string name = "sqlite: groups of " + std::to_string(goal.size) + ", checkpoints of " +
                               std::to_string(checkpoint_bytes >> 20) + " MiB";
      suite.cases.push_back(
          {name, [=] { return group_case(name, goal.size, checkpoint_bytes, goal.at_least, goal.aim); }});
    }
  }
  const std::string get = "sqlite: get, 100k entries";
  suite.cases.push_back({get, [=] { return get_case(get); }});
  const std::string engine = "sqlite: put through the engine, 64 threads";
  suite.cases.push_back({engine, [=] { return engine_case(engine); }});
}

}  // namespace holdfast::bench
