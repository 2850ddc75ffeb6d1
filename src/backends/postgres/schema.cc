#include "backends/postgres/schema.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

#include "backends/postgres/functions.h"

namespace holdfast::postgres {
namespace {

// Keys are bytea, which compares as unsigned bytes. Entries have no index by version: it was measured to be
// the main cost, and the commits, append-only rows that are head, change log and session record in one,
// replace it. They are never analysed: plans do not need it, and the snapshot of an ANALYZE keeps tens of
// thousands of dead rows of a busy table from being reused. Nothing refers to `database` by a foreign key:
// the rows of a dropped database are freed in steps.
constexpr const char* kTables = R"sql(
CREATE TABLE {s}.layout(version integer NOT NULL);
CREATE TABLE {s}.database(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  history bigint NOT NULL,
  floor bigint NOT NULL,
  lineage text NOT NULL,
  fence integer NOT NULL DEFAULT 0,
  token bigint NOT NULL DEFAULT 0,
  fence_detail bytea
) WITH (fillfactor = 70);
CREATE TABLE {s}.dropped(id bigint PRIMARY KEY);
CREATE TABLE {s}.entry(
  db bigint NOT NULL,
  key bytea NOT NULL,
  version bigint NOT NULL,
  expires bigint,
  value bytea NOT NULL,
  PRIMARY KEY(db, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1,
        autovacuum_analyze_threshold = 2000000000);
ALTER TABLE {s}.entry ALTER key SET STORAGE PLAIN, ALTER value SET STORAGE EXTERNAL;
CREATE INDEX entry_expiry ON {s}.entry(expires, db, key) WHERE expires IS NOT NULL;
CREATE TABLE {s}.session(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  db bigint NOT NULL,
  session bytea NOT NULL,
  UNIQUE(db, session)
);
CREATE TABLE {s}.commits(
  db bigint NOT NULL,
  last_seq bigint NOT NULL,
  ordinal bigint NOT NULL,
  applied integer NOT NULL,
  time bigint NOT NULL,
  session bigint,
  number bigint,
  hash bigint,
  history bigint NOT NULL,
  outcomes integer[],
  keys bytea[],
  ranks integer[],
  log_rows bigint NOT NULL,
  PRIMARY KEY(db, last_seq, ordinal)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1,
        autovacuum_analyze_threshold = 2000000000);
ALTER TABLE {s}.commits ALTER keys SET STORAGE EXTERNAL, ALTER ranks SET STORAGE EXTERNAL;
CREATE INDEX commits_session ON {s}.commits(db, session, ordinal) WHERE session IS NOT NULL;

-- For people: bytes as text where they are UTF-8 without NUL, and as \x... otherwise.
CREATE FUNCTION {s}.readable_text(bytes bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog AS $body$
BEGIN
  RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN '\x' || encode(bytes, 'hex');
END
$body$;
CREATE FUNCTION {s}.document_of(bytes bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT
SET search_path = pg_catalog AS $body$
BEGIN
  RETURN convert_from(bytes, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END
$body$;
CREATE VIEW {s}.readable AS
SELECT d.name AS database, {s}.readable_text(e.key) AS key, {s}.readable_text(e.value) AS value, e.version,
       to_timestamp(e.expires / 1000.0) AS expires, {s}.document_of(e.value) AS document
FROM {s}.entry e JOIN {s}.database d ON d.id = e.db;
)sql";

// The newest commit says which state of the database's row counted when it was written: who knows what the
// row said in that state need not look at it. Whatever changes the row raises its epoch and that of the
// newest commit, and a row that goes leaves 0 there, which no row has. The ids of dropped databases are never
// used again, and their commits are freed from the oldest on.
constexpr const char* kEpochs = R"sql(
ALTER TABLE {s}.database ADD COLUMN epoch bigint NOT NULL DEFAULT 1;
ALTER TABLE {s}.commits ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
CREATE FUNCTION {s}.raise_epoch() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $body$
BEGIN
  UPDATE {s}.commits SET epoch = CASE WHEN TG_OP = 'UPDATE' THEN OLD.epoch + 1 ELSE 0 END
  WHERE ctid = (SELECT c.ctid FROM {s}.commits c WHERE c.db = OLD.id ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1);
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  NEW.epoch := OLD.epoch + 1;
  RETURN NEW;
END
$body$;
CREATE TRIGGER raise_epoch BEFORE UPDATE OR DELETE ON {s}.database
FOR EACH ROW EXECUTE FUNCTION {s}.raise_epoch();
UPDATE {s}.database SET epoch = epoch;
)sql";

/// What the step from layout i to layout i + 1 does to the tables. The functions are made anew after any
/// step: nothing but their text says what they were.
const std::array<const char*, kLayoutVersion> kSteps = {kTables, "", kEpochs};

// Those that the view and the trigger need are left: they belong to the tables. Up to layout 2 there was
// commit_puts.
constexpr const char* kDropFunctions = R"sql(
DO $body$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
           WHERE p.pronamespace = '{s}'::regnamespace AND p.proname IN (
             'evict_sessions', 'commit_group', 'commit_puts', 'put_group', 'trim_commits', 'expire_sessions') LOOP
    EXECUTE 'DROP FUNCTION ' || f.signature;
  END LOOP;
END
$body$;
)sql";

/// -1: the schema has no tables of ours.
int version_of(Connection& connection, const std::string& schema, Deadline deadline) {
  // Looked up in a table, whose lock brings news of what others have created; a cached name would not.
  const Statement exists{
      "exists",
      "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
      "n.nspname = $1::text AND c.relname = 'layout')"};
  const Rows found = connection.run(exists, Parameters().bytes(schema), deadline);
  if (!found.boolean(0, 0)) return -1;
  const Statement version{schema + ".version",
                          in_schema("SELECT max(version)::int8 FROM {s}.layout", schema)};
  const Rows rows = connection.run(version, {}, deadline);
  return rows.is_null(0, 0) ? -1 : static_cast<int>(rows.int8(0, 0));
}

}  // namespace

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

std::string in_schema(std::string text, const std::string& schema) {
  return replaced(std::move(text), "{s}", "\"" + schema + "\"");
}

std::int64_t lock_number(View purpose, View schema, View database) {
  std::string text = "holdfast";
  for (const View part : {purpose, schema, database}) text.append(1, '\0').append(part);
  return static_cast<std::int64_t>(XXH3_64bits(text.data(), text.size()));
}

void migrate(Connection& connection, const std::string& schema, Deadline deadline) {
  while (true) {
    int version = version_of(connection, schema, deadline);
    if (version == kLayoutVersion) return;
    if (version > kLayoutVersion) {
      throw Error(Code::capability_missing,
                  "the schema \"" + schema + "\" has layout version " + std::to_string(version) +
                      ", this library knows versions up to " + std::to_string(kLayoutVersion) +
                      "; use a newer version of holdfast");
    }
    version = std::max(version, 0);
    const std::string lock = std::to_string(lock_number("layout", schema));
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(" + lock + ")",
                       deadline);
    try {
      // Whoever had the lock before may have done it.
      if (std::max(version_of(connection, schema, deadline), 0) == version) {
        if (version == 0) connection.execute(in_schema("CREATE SCHEMA IF NOT EXISTS {s}", schema), deadline);
        std::string text;
        for (int step = version; step < kLayoutVersion; ++step)
          text += kSteps[static_cast<std::size_t>(step)];
        text += kDropFunctions + functions_text() + "INSERT INTO {s}.layout VALUES (" +
                std::to_string(kLayoutVersion) + ")";
        connection.execute(in_schema(std::move(text), schema), deadline);
      }
      connection.execute("COMMIT", deadline);
    } catch (const Error&) {
      if (!connection.is_broken()) connection.execute("ROLLBACK", deadline);
      throw;
    }
  }
}

void remove_schema(Connection& connection, const std::string& schema, Deadline deadline) {
  connection.execute(in_schema("DROP SCHEMA IF EXISTS {s} CASCADE", schema), deadline);
}

}  // namespace holdfast::postgres
