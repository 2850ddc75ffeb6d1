#include "backends/postgres/functions.h"

#include "backends/postgres/schema.h"
#include "holdfast/limits.h"

namespace holdfast::postgres {
namespace {

// A key is looked up by a lateral query with a limit, which leaves the planner one way to do it: plans are
// made once, perhaps for an empty table, where going through all entries for each key looks as cheap.
// docs/contract.md 3.4, in its order. The lock is the first statement and every later statement sees what the
// holders before have committed: so it is in a VOLATILE function under READ COMMITTED, and nowhere else.
// `status`: 0 done, 1 the lock is held and p_wait is false, 2 refused (the caller finds out why from the head
// and the session's record), 3 recorded before, 4 a pooler has put another server behind the connection.
constexpr const char* kCommitHead = R"sql(
CREATE FUNCTION {s}.commit_group(
  p_lock bigint, p_wait boolean, p_name text, p_lineage text, p_new_history bigint, p_history bigint,
  p_session bytea, p_number bigint, p_hash bigint, p_retry boolean, p_now bigint, p_skew bigint, p_token bigint,
  p_may_commit boolean, p_may_import boolean, p_batches integer,
  c_batch integer[], c_no integer[], c_key bytea[], c_version bigint[],
  u_batch integer[], u_no integer[], u_begin bytea[], u_end bytea[], u_since bigint[], u_time bigint[],
  w_batch integer[], w_key bytea[], w_suffix bytea[], w_value bytea[], w_expires bigint[], w_version bigint[],
  w_distinct boolean, e_batch integer[], e_key bytea[], e_reap boolean[], p_started timestamptz,
  OUT status integer, OUT history bigint, OUT seq bigint, OUT head_time bigint, OUT floor bigint,
  OUT fence integer, OUT token bigint, OUT fence_detail bytea, OUT applied integer, OUT outcomes integer[],
  OUT last_number bigint, OUT last_hash bigint, OUT last_history bigint, OUT last_seq bigint,
  OUT last_applied integer, OUT last_outcomes integer[], OUT last_import boolean,
  OUT db_id bigint, OUT session_id bigint, OUT db_epoch bigint
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_bitmapscan = off AS $body$
#variable_conflict use_column
DECLARE
  h record;
  g record;
  r record;
  t bigint;
  importing boolean;
  failed_batches integer[];
  failed_checks integer[];
  rank integer[];
  log_keys bytea[];
  log_ranks integer[];
  places tid[];
  found_version bigint;
  next_rank integer := 0;
BEGIN
  IF p_started <> pg_postmaster_start_time() THEN
    status := 4;
    RETURN;
  END IF;
  IF p_wait THEN
    -- Expressions without a query are several times as fast as PERFORM.
    status := CASE WHEN pg_advisory_xact_lock(p_lock) IS NULL THEN 0 ELSE 0 END;
  ELSIF NOT pg_try_advisory_xact_lock(p_lock) THEN
    status := 1;
    RETURN;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'holdfast commits under READ COMMITTED only' USING ERRCODE = '25001';
  END IF;
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;

  -- Three queries of one table each start in half the time of one query of four.
  SELECT d.id, d.history, d.floor, d.lineage, d.fence, d.token, d.fence_detail, d.epoch INTO h
  FROM {s}.database d WHERE d.name = p_name;
  SELECT c.last_seq, c.ordinal, c.time, c.log_rows, c.session, c.number, c.hash, c.history, c.applied, c.outcomes INTO g
  FROM {s}.commits c WHERE c.db = h.id ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1;
  SELECT o.id INTO session_id FROM {s}.session o WHERE o.db = h.id AND o.session = p_session;
  db_id := h.id;
  db_epoch := h.epoch;
  seq := coalesce(g.last_seq, 0);
  head_time := coalesce(g.time, 0);
  floor := coalesce(h.floor, 0);
  fence := coalesce(h.fence, 0);
  token := coalesce(h.token, 0);
  fence_detail := h.fence_detail;
  history := coalesce(h.history, 0);
  IF h.lineage <> p_lineage THEN
    history := CASE WHEN history = 0 THEN 0 ELSE p_new_history END;
    UPDATE {s}.database SET history = commit_group.history, lineage = p_lineage WHERE id = db_id
    RETURNING epoch INTO db_epoch;
  END IF;

  IF session_id IS NOT NULL THEN
    IF session_id = g.session THEN
      r := g;
    ELSE
      SELECT c.last_seq, c.ordinal, c.time, c.log_rows, c.session, c.number, c.hash, c.history, c.applied, c.outcomes
      INTO r FROM {s}.commits c WHERE c.db = h.id AND c.session = session_id ORDER BY c.ordinal DESC LIMIT 1;
    END IF;
    IF p_number <= r.number THEN
      last_number := r.number;
      last_hash := r.hash;
      last_history := r.history;
      last_seq := r.last_seq;
      last_applied := r.applied;
      last_outcomes := r.outcomes;
      last_import := r.history = 0;
      status := CASE WHEN p_number = r.number AND p_hash = r.hash THEN 3 ELSE 2 END;
      RETURN;
    END IF;
  END IF;
  importing := fence = 3;
  t := greatest(p_now, head_time);
  IF (p_history <> 0 AND p_history <> history)
     OR (fence <> 0 AND (token = 0 OR p_token <> token))
     OR (importing AND NOT p_may_import) OR (NOT importing AND NOT p_may_commit)
     OR (p_skew > 0 AND head_time - p_now > p_skew) THEN
    status := 2;
    RETURN;
  END IF;

  -- Most groups are small: one check or one write costs less without a set.
  IF cardinality(u_batch) = 0 AND cardinality(c_batch) = 1 THEN
    SELECT e.version INTO found_version FROM {s}.entry e
    WHERE e.db = db_id AND e.key = c_key[1] AND (e.expires IS NULL OR e.expires > t);
    IF found_version IS DISTINCT FROM nullif(c_version[1], 0) THEN
      failed_batches := c_batch;
      failed_checks := c_no;
    END IF;
  ELSIF cardinality(u_batch) = 0 AND cardinality(c_batch) > 0 THEN
    SELECT array_agg(f.batch), array_agg(f.no) INTO failed_batches, failed_checks
    FROM (SELECT x.batch, min(x.no) AS no FROM (
{key_checks}
    ) x GROUP BY x.batch) f;
  ELSIF cardinality(u_batch) > 0 THEN
    SELECT array_agg(f.batch), array_agg(f.no) INTO failed_batches, failed_checks
    FROM (SELECT x.batch, min(x.no) AS no FROM (
)sql";

constexpr const char* kCommitTail = R"sql(
    ) x GROUP BY x.batch) f;
  END IF;
  applied := p_batches - coalesce(cardinality(failed_batches), 0);
  status := 0;
  IF failed_batches IS NOT NULL THEN
    outcomes := array_fill(-1, ARRAY[p_batches]);
    rank := array_fill(0, ARRAY[p_batches]);
    FOR i IN 1 .. cardinality(failed_batches) LOOP
      outcomes[failed_batches[i]] := failed_checks[i];
    END LOOP;
    FOR i IN 1 .. p_batches LOOP
      IF outcomes[i] < 0 THEN
        next_rank := next_rank + 1;
        rank[i] := next_rank;
      END IF;
    END LOOP;
    IF applied = 0 AND NOT p_retry THEN
      RETURN;
    END IF;
  END IF;

  IF db_id IS NULL THEN
    history := p_new_history;
    INSERT INTO {s}.database(name, history, floor, lineage)
    VALUES (p_name, history, 0, p_lineage) RETURNING id, epoch INTO db_id, db_epoch;
  END IF;

  IF cardinality(e_batch) > 0 AND applied > 0 THEN
    SELECT array_agg(x.key), array_agg(coalesce(rank[x.batch], x.batch)), array_agg(e.place)
    INTO log_keys, log_ranks, places
    FROM unnest(e_batch, e_key, e_reap) AS x(batch, key, reap)
    CROSS JOIN LATERAL (SELECT l.ctid AS place FROM {s}.entry l
                        WHERE l.db = db_id AND l.key = x.key AND (NOT x.reap OR l.expires <= t) LIMIT 1) e
    WHERE rank IS NULL OR rank[x.batch] > 0;
    DELETE FROM {s}.entry e WHERE e.ctid = ANY(places);
  END IF;
  IF cardinality(w_batch) > 0 AND applied > 0 THEN
    IF importing THEN
      INSERT INTO {s}.entry AS e (db, key, version, expires, value)
      SELECT DISTINCT ON (x.key) db_id, x.key, x.version, nullif(x.expires, -9223372036854775808), x.value
      FROM unnest(w_key, w_version, w_expires, w_value) WITH ORDINALITY AS x(key, version, expires, value, n)
      ORDER BY x.key, x.n DESC
      ON CONFLICT (db, key) DO UPDATE
      SET version = excluded.version, expires = excluded.expires, value = excluded.value;
    ELSIF cardinality(w_batch) = 1 AND w_distinct AND rank IS NULL THEN
      INSERT INTO {s}.entry AS e (db, key, version, expires, value)
      VALUES (db_id, w_key[1], seq + w_batch[1], nullif(w_expires[1], -9223372036854775808), w_value[1])
      ON CONFLICT (db, key) DO UPDATE
      SET version = excluded.version, expires = excluded.expires, value = excluded.value;
      log_keys := log_keys || w_key;
      log_ranks := log_ranks || w_batch;
    ELSIF w_distinct AND rank IS NULL THEN
      INSERT INTO {s}.entry AS e (db, key, version, expires, value)
      SELECT db_id, x.key, seq + x.batch, nullif(x.expires, -9223372036854775808), x.value
      FROM unnest(w_batch, w_key, w_expires, w_value) AS x(batch, key, expires, value)
      ON CONFLICT (db, key) DO UPDATE
      SET version = excluded.version, expires = excluded.expires, value = excluded.value;
      log_keys := log_keys || w_key;
      log_ranks := log_ranks || w_batch;
    ELSE
      WITH x AS MATERIALIZED (
        SELECT CASE WHEN y.suffix IS NULL THEN y.key
                    ELSE y.key || convert_to(lpad(to_hex(seq + y.rank), 16, '0'), 'UTF8') || y.suffix END AS key,
               y.rank, y.expires, y.value, y.n
        FROM (SELECT z.key, coalesce(rank[z.batch], z.batch) AS rank, w_suffix[z.n] AS suffix, z.expires, z.value, z.n
              FROM unnest(w_batch, w_key, w_expires, w_value) WITH ORDINALITY AS z(batch, key, expires, value, n)
              WHERE rank IS NULL OR rank[z.batch] > 0) y),
      written AS (
        INSERT INTO {s}.entry AS e (db, key, version, expires, value)
        SELECT DISTINCT ON (x.key) db_id, x.key, seq + x.rank, nullif(x.expires, -9223372036854775808), x.value
        FROM x ORDER BY x.key, x.n DESC
        ON CONFLICT (db, key) DO UPDATE
        SET version = excluded.version, expires = excluded.expires, value = excluded.value)
      SELECT log_keys || array_agg(x.key), log_ranks || array_agg(x.rank) INTO log_keys, log_ranks FROM x;
    END IF;
  END IF;

  IF session_id IS NULL THEN
    INSERT INTO {s}.session(db, session) VALUES (db_id, p_session) RETURNING id INTO session_id;
    PERFORM {s}.evict_sessions(db_id, session_id, t);
  END IF;
  IF importing THEN
    log_keys := NULL;
    log_ranks := NULL;
  ELSE
    seq := seq + applied;
  END IF;
  head_time := t;
  INSERT INTO {s}.commits(db, last_seq, ordinal, applied, time, session, number, hash, history, outcomes, keys,
                          ranks, log_rows, epoch)
  VALUES (db_id, seq, coalesce(g.ordinal, 0) + 1, CASE WHEN importing THEN 0 ELSE applied END, t, session_id,
          p_number, p_hash, history, commit_group.outcomes, log_keys, log_ranks,
          coalesce(g.log_rows, 0) + coalesce(cardinality(log_keys), 0), db_epoch);
END
$body$;
)sql";

// Most groups by far: each batch puts one key, all keys differ, and a batch checks its own key or nothing.
// Whoever calls knows from commit_group the ids of database and session, the epoch in which the database was
// open and had p_history, and the number of some commit, from which on the newest is looked for; entries are
// found and written in one go, which a check that does not hold takes back. Whatever is not as expected (an
// epoch, a number that is not the next, a check that does not hold) is left to commit_group, without any
// effect. An element of p_versions: what the entry must have, 0 for none, -2 for no check; null if there are
// no checks at all. `seq` is the number before the group, or, if nothing was done, the negative of a status:
// 1 the lock is held and p_wait is false, 4 another server, 5 not as expected, 6 a check does not hold. One
// number, since a row of several would cost several microseconds.
constexpr const char* kCommitPuts = R"sql(
CREATE FUNCTION {s}.put_group(
  p_lock bigint, p_wait boolean, p_started timestamptz, p_db bigint, p_epoch bigint, p_history bigint, p_near bigint,
  p_session bigint, p_number bigint, p_hash bigint, p_now bigint, p_skew bigint, p_count integer,
  p_keys bytea[], p_values bytea[], p_expires bigint[], p_versions bigint[], p_updates boolean,
  OUT seq bigint
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $body$
#variable_conflict use_column
DECLARE
  t bigint;
  last_ordinal bigint;
  rows_before bigint;
  updated bigint;
  holds boolean;
BEGIN
  -- Every expression costs, every query more so.
  seq := CASE
    WHEN p_started <> pg_postmaster_start_time() THEN -4
    WHEN current_setting('transaction_isolation') <> 'read committed'
      OR current_setting('synchronous_commit') = 'off'
      OR current_setting('search_path') <> 'pg_catalog, pg_temp' THEN -5
    WHEN p_wait THEN CASE WHEN pg_advisory_xact_lock(p_lock) IS NULL THEN 0 ELSE 0 END
    WHEN pg_try_advisory_xact_lock(p_lock) THEN 0 ELSE -1 END;
  IF seq < 0 THEN
    RETURN;
  END IF;
  SELECT g.last_seq, g.ordinal, g.log_rows, greatest(p_now, g.time) INTO seq, last_ordinal, rows_before, t
  FROM (SELECT c.last_seq, c.ordinal, c.time, c.log_rows, c.session, c.number, c.epoch FROM {s}.commits c
        WHERE c.db = p_db AND c.last_seq >= p_near ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g
  WHERE g.epoch = p_epoch AND (p_skew <= 0 OR g.time - p_now <= p_skew)
    -- A session that was used within the hour is there.
    AND CASE WHEN g.session = p_session THEN g.number < p_number AND p_now - g.time < {untouchable}
             ELSE (SELECT c.number < p_number AND greatest(p_now, g.time) - c.time < {untouchable} FROM {s}.commits c
                   WHERE c.db = p_db AND c.session = p_session ORDER BY c.ordinal DESC LIMIT 1) END;
  IF NOT FOUND THEN
    seq := -5;
    RETURN;
  END IF;
  IF p_count > 1 THEN
    IF p_versions IS NULL THEN
      INSERT INTO {s}.entry AS e (db, key, version, expires, value)
      SELECT p_db, x.key, seq + x.n, nullif(p_expires[x.n], -9223372036854775808), x.value
      FROM unnest(p_keys, p_values) WITH ORDINALITY AS x(key, value, n)
      ON CONFLICT (db, key) DO UPDATE
      SET version = excluded.version, expires = excluded.expires, value = excluded.value;
    ELSE
      BEGIN
        IF p_updates THEN
          -- Neither the database nor a key is known without x, which leaves the planner one way. Elements of
          -- variables are found at once; rows of unnest() would be stored, one table for each array.
          UPDATE {s}.entry e
          SET version = seq + x.n, expires = nullif(p_expires[x.n], -9223372036854775808), value = p_values[x.n]
          FROM (SELECT y.n, ARRAY[p_db] AS dbs FROM generate_series(1, p_count) AS y(n) OFFSET 0) x
          WHERE e.db = ANY(x.dbs) AND e.key = p_keys[x.n] AND e.version = p_versions[x.n]
            AND (e.expires IS NULL OR e.expires > t);
          GET DIAGNOSTICS updated = ROW_COUNT;
          holds := updated = p_count;
        ELSE
          WITH x AS (
            INSERT INTO {s}.entry AS e (db, key, version, expires, value)
            SELECT p_db, x.key, seq + x.n, nullif(p_expires[x.n], -9223372036854775808), x.value
            FROM unnest(p_keys, p_values) WITH ORDINALITY AS x(key, value, n)
            ON CONFLICT (db, key) DO UPDATE
            SET version = excluded.version, expires = excluded.expires, value = excluded.value
            WHERE CASE WHEN p_versions[excluded.version - seq] = -2 THEN true
                       WHEN e.expires <= t THEN p_versions[excluded.version - seq] = 0
                       ELSE e.version = p_versions[excluded.version - seq] END
            RETURNING e.version, e.xmax = 0 AS is_new)
          SELECT count(*) = p_count AND bool_and(NOT x.is_new OR p_versions[x.version - seq] IN (0, -2))
          INTO holds FROM x;
        END IF;
        IF NOT holds THEN
          RAISE EXCEPTION USING ERRCODE = 'HF001';
        END IF;
      EXCEPTION WHEN SQLSTATE 'HF001' THEN
        seq := -6;
        RETURN;
      END;
    END IF;
  ELSE
    IF p_versions[1] <> 0 THEN
      UPDATE {s}.entry SET version = seq + 1, expires = nullif(p_expires[1], -9223372036854775808), value = p_values[1]
      WHERE db = p_db AND key = p_keys[1] AND version = p_versions[1] AND (expires IS NULL OR expires > t);
    ELSE
      INSERT INTO {s}.entry AS e (db, key, version, expires, value)
      VALUES (p_db, p_keys[1], seq + 1, nullif(p_expires[1], -9223372036854775808), p_values[1])
      ON CONFLICT (db, key) DO UPDATE
      SET version = excluded.version, expires = excluded.expires, value = excluded.value
      WHERE p_versions IS NULL OR e.expires <= t;
    END IF;
    IF NOT FOUND THEN
      seq := -6;
      RETURN;
    END IF;
  END IF;
  INSERT INTO {s}.commits(db, last_seq, ordinal, applied, time, session, number, hash, history, keys, log_rows, epoch)
  VALUES (p_db, seq + p_count, last_ordinal + 1, p_count, t, p_session, p_number, p_hash, p_history, p_keys,
          rows_before + p_count, p_epoch);
END
$body$;
)sql";

// Sessions beyond the limit go, the least recently used first, but none that was used within the hour.
// Counted only when a new one comes, which is rare.
constexpr const char* kSessions = R"sql(
CREATE FUNCTION {s}.evict_sessions(p_db bigint, p_newest bigint, p_time bigint) RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  surplus bigint;
BEGIN
  SELECT count(*) - {sessions} INTO surplus FROM {s}.session o WHERE o.db = p_db;
  IF surplus > 0 THEN
    DELETE FROM {s}.session WHERE id IN (
      SELECT u.id FROM (
        SELECT o.id, (SELECT c.time FROM {s}.commits c WHERE c.db = p_db AND c.session = o.id
                      ORDER BY c.ordinal DESC LIMIT 1) AS used
        FROM {s}.session o WHERE o.db = p_db AND o.id <> p_newest) u
      WHERE u.used < p_time - {untouchable} ORDER BY u.used LIMIT surplus);
  END IF;
END
$body$;
)sql";

// Frees rows of the change log at or below the floor, but for the newest row, which is the head, and the
// newest of each session, which lose their keys. Sessions that have not been used for long go first. Returns
// how many rows were freed; fewer than p_limit means that nothing is left.
constexpr const char* kTrim = R"sql(
CREATE FUNCTION {s}.trim_commits(p_name text, p_limit bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $body$
DECLARE
  h record;
  freed bigint;
BEGIN
  SELECT d.id, d.floor, g.time, g.last_seq, g.ordinal INTO h
  FROM {s}.database d
  JOIN LATERAL (SELECT * FROM {s}.commits c WHERE c.db = d.id
                ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g ON true
  WHERE d.name = p_name;
  IF h.id IS NULL THEN
    RETURN 0;
  END IF;
  WITH candidate AS (
    SELECT c.ctid AS place, c.session, c.ordinal
    FROM {s}.commits c
    WHERE c.db = h.id AND c.last_seq <= h.floor AND c.ordinal < h.ordinal
      AND (c.keys IS NOT NULL OR c.session IS NULL
           OR EXISTS (SELECT FROM {s}.commits n WHERE n.db = c.db AND n.session = c.session AND n.ordinal > c.ordinal)
           OR NOT EXISTS (SELECT FROM {s}.session o WHERE o.id = c.session))
    ORDER BY c.last_seq, c.ordinal LIMIT p_limit FOR UPDATE SKIP LOCKED),
  kept AS (
    UPDATE {s}.commits c SET keys = NULL, ranks = NULL FROM candidate x
    WHERE c.ctid = x.place AND x.session IS NOT NULL
      AND EXISTS (SELECT FROM {s}.session o WHERE o.id = x.session)
      AND NOT EXISTS (SELECT FROM {s}.commits n
                      WHERE n.db = h.id AND n.session = x.session AND n.ordinal > x.ordinal)
    RETURNING x.place),
  gone AS (
    DELETE FROM {s}.commits c USING candidate x
    WHERE c.ctid = x.place
      AND (x.session IS NULL OR NOT EXISTS (SELECT FROM {s}.session o WHERE o.id = x.session)
           OR EXISTS (SELECT FROM {s}.commits n
                      WHERE n.db = h.id AND n.session = x.session AND n.ordinal > x.ordinal))
    RETURNING 1)
  SELECT (SELECT count(*) FROM candidate) INTO freed FROM (SELECT count(*) FROM kept) a, (SELECT count(*) FROM gone) b;
  RETURN freed;
END
$body$;
CREATE FUNCTION {s}.expire_sessions(p_name text) RETURNS void LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp AS $body$
  DELETE FROM {s}.session o USING {s}.database d
  WHERE d.name = p_name AND o.db = d.id
    AND (SELECT c.time FROM {s}.commits c WHERE c.db = d.id AND c.session = o.id ORDER BY c.ordinal DESC LIMIT 1)
        < (SELECT c.time FROM {s}.commits c WHERE c.db = d.id ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) - {kept}
$body$;
)sql";

/// The part of failing_checks() that looks at single keys.
std::string failing_key_checks(const std::string& db, const std::string& time, const std::string& checks) {
  std::string out = R"sql(
      SELECT c.batch, c.no
      FROM unnest({c}) AS c(batch, no, key, version)
      LEFT JOIN LATERAL (SELECT l.version FROM {s}.entry l
                         WHERE l.db = {db} AND l.key = c.key AND (l.expires IS NULL OR l.expires > {t}) LIMIT 1) e ON true
      WHERE e.version IS DISTINCT FROM nullif(c.version, 0)
)sql";
  out = replaced(out, "{c}", checks);
  out = replaced(out, "{db}", db);
  return replaced(out, "{t}", time);
}

}  // namespace

std::string failing_checks(const std::string& db, const std::string& time, const std::string& floor,
                           const std::string& log_rows, const std::string& checks,
                           const std::string& unchanged) {
  const std::string text = R"sql(
      UNION ALL
      SELECT u.batch, u.no
      FROM unnest({u}) AS u(batch, no, begin_key, end_key, since, read_time)
      WHERE u.since < {floor}
         OR {rows} - coalesce((SELECT l.log_rows FROM {s}.commits l WHERE l.db = {db} AND l.last_seq >= u.since
                               ORDER BY l.last_seq, l.ordinal LIMIT 1), {rows}) > {most}
         OR EXISTS (SELECT FROM {s}.commits l, unnest(l.keys, l.ranks) WITH ORDINALITY AS k(key, rank, n)
                    WHERE l.db = {db} AND l.last_seq > u.since
                      AND l.last_seq - l.applied + coalesce(k.rank, k.n) > u.since
                      AND k.key >= u.begin_key AND k.key < u.end_key)
         OR EXISTS (SELECT FROM {s}.entry e
                    WHERE e.expires > u.read_time AND e.expires <= {t} AND e.db = {db}
                      AND e.key >= u.begin_key AND e.key < u.end_key)
)sql";
  std::string out = failing_key_checks(db, time, checks) + replaced(text, "{u}", unchanged);
  out = replaced(out, "{db}", db);
  out = replaced(out, "{t}", time);
  out = replaced(out, "{floor}", floor);
  out = replaced(out, "{rows}", log_rows);
  return replaced(out, "{most}", std::to_string(limits::kUnchangedLogRows));
}

std::string functions_text() {
  std::string text =
      std::string(kSessions) + kCommitHead +
      failing_checks("db_id", "t", "floor", "coalesce(g.log_rows, 0)", "c_batch, c_no, c_key, c_version",
                     "u_batch, u_no, u_begin, u_end, u_since, u_time") +
      kCommitTail + kCommitPuts + kTrim;
  text = replaced(text, "{key_checks}", failing_key_checks("db_id", "t", "c_batch, c_no, c_key, c_version"));
  text = replaced(text, "{sessions}", std::to_string(limits::kSessions));
  text = replaced(text, "{untouchable}", std::to_string(limits::kSessionUntouchableMs));
  return replaced(text, "{kept}", std::to_string(limits::kSessionKeptMs));
}

}  // namespace holdfast::postgres
