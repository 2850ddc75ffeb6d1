#include "backends/postgres/puts.h"

#include <absl/container/flat_hash_set.h>

#include <limits>

#include "backends/postgres/check_arrays.h"
#include "backends/postgres/schema.h"
#include "contract/mere_put.h"
#include "holdfast/limits.h"

namespace holdfast::postgres {
namespace {

/// In the place of a version: there is no check.
constexpr std::int64_t kUnchecked = -2;

// Every expression costs when the statement starts, every further query more so: hence one text for each kind
// of group, and bounds that are calculated here. The parts of a function are set up anew in each transaction,
// which took a quarter of a small group's time. The number that the session came to last bounds the search
// for the newest commit, which would look at all of a page of the index otherwise.
constexpr const char* kHead = R"sql(
WITH h AS MATERIALIZED (
  SELECT g.last_seq AS seq, g.ordinal, g.log_rows, greatest($7::int8, g.time) AS t
  FROM (SELECT c.last_seq, c.ordinal, c.time, c.log_rows, c.session, c.number, c.epoch FROM {s}.commits c
        WHERE c.db = $1::int8 AND c.last_seq >= $11::int8 ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g
  WHERE g.epoch = $2::int8 AND g.session = $4::int8 AND g.number < $5::int8
    AND g.time > $8::int8 AND g.time <= $9::int8
    AND pg_postmaster_start_time() = $10::timestamptz
    AND current_setting('transaction_isolation') = 'read committed'
    AND current_setting('synchronous_commit') <> 'off'
    AND current_setting('search_path') = 'pg_catalog, pg_temp'),
)sql";

constexpr const char* kPutOne = R"sql(
w AS (
  INSERT INTO {s}.entry AS e (db, key, version, expires, value)
  SELECT $1::int8, $12::bytea, h.seq + 1, $14::int8, $13::bytea FROM h
  ON CONFLICT (db, key) DO UPDATE
  SET version = excluded.version, expires = excluded.expires, value = excluded.value)
)sql";
constexpr const char* kUpdateOne = R"sql(
w AS (
  UPDATE {s}.entry e SET version = h.seq + 1, expires = $14::int8, value = $13::bytea FROM h
  WHERE e.db = $1::int8 AND e.key = $12::bytea AND e.version = $15::int8 AND (e.expires IS NULL OR e.expires > h.t)
  RETURNING h.*)
)sql";
constexpr const char* kPutMany = R"sql(
w AS (
  INSERT INTO {s}.entry AS e (db, key, version, expires, value)
  SELECT $1::int8, x.key, h.seq + x.n, nullif(($14::int8[])[x.n], -9223372036854775808), x.value
  FROM h, unnest($12::bytea[], $13::bytea[]) WITH ORDINALITY AS x(key, value, n)
  ON CONFLICT (db, key) DO UPDATE
  SET version = excluded.version, expires = excluded.expires, value = excluded.value)
)sql";

constexpr const char* kTail = R"sql(
INSERT INTO {s}.commits(db, last_seq, ordinal, applied, time, session, number, hash, history, keys, log_rows, epoch)
SELECT $1::int8, h.seq + {count}, h.ordinal + 1, {count}, h.t, $4::int8, $5::int8, $6::int8, $3::int8, {keys},
       h.log_rows + {count}, $2::int8 FROM {from}
RETURNING last_seq - {count} AS seq
)sql";

std::string text_of(const char* writes, bool is_many, const std::string& from) {
  std::string tail = replaced(kTail, "{count}", is_many ? "$15::int4" : "1");
  tail = replaced(std::move(tail), "{keys}", is_many ? "$12::bytea[]" : "ARRAY[$12::bytea]");
  return std::string(kHead) + writes + replaced(std::move(tail), "{from}", from);
}

/// The last moment of a head that `group` may follow.
UnixMs latest_head(const Group& group) {
  constexpr UnixMs kNever = std::numeric_limits<UnixMs>::max();
  const std::int64_t limit_ms = group.clock_skew_limit_ms;
  if (limit_ms <= 0 || (group.now_ms > 0 && limit_ms > kNever - group.now_ms)) return kNever;
  return group.now_ms + limit_ms;
}

}  // namespace

bool PutArrays::are_enough_for(const Group& group) {
  absl::flat_hash_set<View> keys;
  if (group.batches.size() > 1) keys.reserve(group.batches.size());
  for (const Batch& batch : group.batches) {
    if (!is_mere_put(batch)) return false;
    if (group.batches.size() > 1 && !keys.insert(batch.writes[0].key).second) return false;
  }
  return true;
}

PutKinds::PutKinds(const Group& group) {
  for (const Batch& batch : group.batches) {
    has_expires = has_expires || batch.writes[0].expires_at_ms;
    has_checks = has_checks || !batch.checks.empty();
    is_update = is_update && !batch.checks.empty() && wanted_version(batch.checks[0]) > 0;
  }
}

PutArrays::PutArrays(const Group& group) : PutKinds(group) {
  std::size_t key_bytes = 0, value_bytes = 0;
  for (const Batch& batch : group.batches) {
    key_bytes += batch.writes[0].key.size();
    value_bytes += batch.writes[0].value.size();
  }
  key.reserve(group.batches.size(), key_bytes);
  value.reserve(group.batches.size(), value_bytes);
  for (const Batch& batch : group.batches) {
    const Write& write = batch.writes[0];
    key.add(View(write.key));
    value.add(View(write.value));
    if (has_expires) expires.add(write.expires_at_ms.value_or(kNoExpiry));
    if (has_checks) version.add(batch.checks.empty() ? kUnchecked : wanted_version(batch.checks[0]));
  }
}

DirectPuts::DirectPuts(const std::string& schema)
    : put_one_{schema + ".put_one", in_schema(text_of(kPutOne, false, "h"), schema)},
      update_one_{schema + ".update_one", in_schema(text_of(kUpdateOne, false, "w h"), schema)},
      put_many_{schema + ".put_many", in_schema(text_of(kPutMany, true, "h"), schema)} {}

std::optional<Call> DirectPuts::call_for(const Group& group, const PlaceIds& place) const {
  const bool is_one = group.batches.size() == 1;
  const PutKinds kinds(group);
  if (kinds.has_checks && !(is_one && kinds.is_update)) return std::nullopt;
  const Statement& statement = kinds.has_checks ? update_one_ : is_one ? put_one_ : put_many_;
  Call call{&statement, {}};
  Parameters& out = call.parameters;
  out.int8(place.database).int8(place.epoch).int8(place.history);
  out.int8(place.session).int8(group.number).int8(group.content_hash).int8(group.now_ms);
  // A session that was used within the hour is there.
  out.int8(group.now_ms - limits::kSessionUntouchableMs).int8(latest_head(group)).int8(place.started_us);
  out.int8(place.seq);
  if (is_one) {
    const Write& write = group.batches[0].writes[0];
    out.bytes(write.key).bytes(write.value);
    write.expires_at_ms ? out.int8(*write.expires_at_ms) : out.null();
    if (kinds.has_checks) out.int8(wanted_version(group.batches[0].checks[0]));
    return call;
  }
  PutArrays puts(group);
  out.array(std::move(puts.key)).array(std::move(puts.value));
  puts.has_expires ? out.array(std::move(puts.expires)) : out.null();
  out.int4(static_cast<std::int32_t>(group.batches.size()));
  return call;
}

}  // namespace holdfast::postgres
