#include "backends/sqlite/schema.h"

#include <array>

#include "environment/queued_file_lock.h"

namespace holdfast::sqlite {
namespace {

// Keys are BLOBs, so that they compare as unsigned bytes; values are TEXT where they are UTF-8 without NUL.
// The session that committed last is in `db`, whose row every commit writes anyway; the others are in
// `session`. Entries have no index by version: it was measured to be the main cost, and the change log
// replaces it. `db` is not referenced by foreign keys: a dropped database's rows outlive its row and are
// freed in steps.
constexpr const char* kFirstSchema = R"sql(
CREATE TABLE db(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  history INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  time INTEGER NOT NULL,
  floor INTEGER NOT NULL,
  fence BLOB,
  sessions INTEGER NOT NULL,
  last_session BLOB
);
CREATE TABLE dropped(id INTEGER PRIMARY KEY);
CREATE TABLE body(id INTEGER PRIMARY KEY, bytes NOT NULL);
CREATE TABLE entry(
  db INTEGER NOT NULL,
  key BLOB NOT NULL,
  version INTEGER NOT NULL,
  expires INTEGER,
  body INTEGER REFERENCES body(id),
  value,
  PRIMARY KEY(db, key)
) WITHOUT ROWID;
CREATE INDEX entry_expiry ON entry(expires, db, key) WHERE expires IS NOT NULL;
CREATE INDEX entry_body ON entry(body) WHERE body IS NOT NULL;
CREATE TABLE log(
  db INTEGER NOT NULL,
  last INTEGER NOT NULL,
  keys BLOB NOT NULL,
  PRIMARY KEY(db, last)
) WITHOUT ROWID;
CREATE TABLE session(
  db INTEGER NOT NULL,
  id BLOB NOT NULL,
  number INTEGER NOT NULL,
  hash INTEGER NOT NULL,
  outcomes BLOB NOT NULL,
  history INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY(db, id)
) WITHOUT ROWID;
-- For people. A key is shown as text if taking its characters apart and putting them together again gives the
-- same bytes, and as x'..' otherwise.
CREATE VIEW readable AS
SELECT
  d.name AS database,
  CASE
    WHEN instr(e.key, x'00') = 0
     AND CAST(e.key AS TEXT) = (
       WITH RECURSIVE piece(at, character) AS (
         SELECT 1, substr(CAST(e.key AS TEXT), 1, 1)
         UNION ALL
         SELECT at + 1, substr(CAST(e.key AS TEXT), at + 1, 1) FROM piece
         WHERE at < length(CAST(e.key AS TEXT))
       )
       SELECT group_concat(char(unicode(character)), '') FROM piece
     )
    THEN CAST(e.key AS TEXT)
    ELSE 'x''' || hex(e.key) || ''''
  END AS key,
  coalesce(b.bytes, e.value) AS value,
  e.version AS version,
  CASE WHEN e.expires IS NOT NULL
    THEN strftime('%Y-%m-%dT%H:%M:%fZ', e.expires / 1000.0, 'unixepoch')
  END AS expires
FROM entry e JOIN db d ON d.id = e.db LEFT JOIN body b ON b.id = e.body;
)sql";

constexpr std::array kMigrations = {kFirstSchema};

std::int64_t version_of(Connection& connection) {
  return connection.integer("PRAGMA user_version", "reading the version of");
}

/// All that is looked at is of one moment: another process may be creating the file just now.
SchemaState judge_file(Connection& connection, Migrations migrations) {
  connection.execute("BEGIN", "opening");
  const SchemaState state = judge_schema(connection, migrations);
  connection.rollback();
  return state;
}

/// False: there was nothing to do.
bool take_step(Connection& connection, Migrations migrations) {
  if (judge_schema(connection, migrations) == SchemaState::current) return false;
  const std::int64_t version = version_of(connection);
  const std::string next = std::to_string(version + 1);
  const std::string operation = "migrating to layout " + next;
  const std::string marks = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                            "; PRAGMA user_version = " + next + "; COMMIT";
  connection.execute(migrations[static_cast<std::size_t>(version)], operation.c_str());
  connection.execute(marks.c_str(), operation.c_str());
  return true;
}

}  // namespace

Migrations library_migrations() { return kMigrations; }

SchemaState judge_schema(Connection& connection, Migrations migrations) {
  const std::string file = "\"" + connection.path() + "\"";
  const std::int64_t application = connection.integer("PRAGMA application_id", "opening");
  const std::int64_t version = version_of(connection);
  const auto newest = static_cast<std::int64_t>(migrations.size());
  const bool empty = connection.integer("SELECT count(*) FROM sqlite_schema", "opening") == 0;
  if (application != kApplicationId && !(application == 0 && version == 0 && empty)) {
    throw Error(Code::invalid_argument,
                file + " is an SQLite database of another program; name another file");
  }
  if (version > newest) {
    throw Error(Code::capability_missing, file + " has layout version " + std::to_string(version) +
                                              ", this library knows versions up to " +
                                              std::to_string(newest) + "; use a newer version of holdfast");
  }
  return version == newest ? SchemaState::current : SchemaState::outdated;
}

void migrate(Connection& connection, Migrations migrations) {
  try {
    do {
      connection.execute("BEGIN IMMEDIATE", "migrating");
    } while (take_step(connection, migrations));
    connection.rollback();
  } catch (...) {
    connection.rollback();
    throw;
  }
}

void prepare_file(const std::string& path, Migrations migrations, const Environment& environment,
                  std::int64_t cache_size_bytes) {
  const Deadline deadline = effective_deadline(*environment.clock, {});
  if (environment.files->exists(path)) {
    Connection connection(path, OpenMode::look, environment.clock);
    connection.set_deadline(deadline);
    if (judge_file(connection, migrations) == SchemaState::current) return;
  }
  QueuedFileLock lock(path + "-writer", environment.clock);
  if (!lock.acquire(deadline)) {
    throw Error(Code::unavailable,
                "opening \"" + path + "\": another process did not finish writing in time; try again");
  }
  Connection connection(path, OpenMode::create, environment.clock);
  connection.set_deadline(deadline);
  if (judge_file(connection, migrations) == SchemaState::current) return;
  configure(connection, cache_size_bytes);
  migrate(connection, migrations);
}

void configure(Connection& connection, std::int64_t cache_size_bytes) {
  const std::string mode = connection.text("PRAGMA journal_mode = WAL", "opening");
  if (mode != "wal") {
    throw Error(Code::capability_missing,
                "\"" + connection.path() +
                    "\" cannot be in write-ahead-log mode, which needs shared memory and locks; put it on a "
                    "local disk");
  }
  const std::string cache = "PRAGMA cache_size = -" + std::to_string(cache_size_bytes / 1024);
  connection.execute("PRAGMA synchronous = FULL", "opening");
  connection.execute("PRAGMA fullfsync = ON", "opening");
  connection.execute("PRAGMA checkpoint_fullfsync = ON", "opening");
  connection.execute("PRAGMA foreign_keys = ON", "opening");
  connection.execute("PRAGMA temp_store = MEMORY", "opening");
  connection.execute("PRAGMA wal_autocheckpoint = 0", "opening");
  connection.execute(cache.c_str(), "opening");
}

}  // namespace holdfast::sqlite
