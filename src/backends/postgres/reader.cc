#include "backends/postgres/reader.h"

#include <algorithm>
#include <iterator>

#include "backends/postgres/check_arrays.h"
#include "backends/postgres/functions.h"
#include "backends/postgres/schema.h"
#include "contract/validate.h"

namespace holdfast::postgres {
namespace {

/// Values that go over the budget of an answer anyway are not sent; what the last entry before may have is.
constexpr const char* kSentBytes = "9437184";
/// Rows of the change log that one statement looks at, unless a single commit has more.
constexpr std::size_t kFewestLogRows = 1'000;
/// Names of databases that are kept.
constexpr std::size_t kMostPlaces = 10'000;

/// One row, whose id is null if there is no such database: `h`, with the effective time t at $2.
std::string head_with(const std::string& text) {
  return "WITH h AS MATERIALIZED (SELECT d.id, d.floor, greatest($2::int8, coalesce(g.time, 0)) AS t, "
         "coalesce(g.log_rows, 0) AS log_rows FROM (VALUES (1)) one(one) LEFT JOIN (SELECT * FROM "
         "{s}.database "
         "WHERE name = $1::text) d ON true LEFT JOIN LATERAL (SELECT c.time, c.log_rows FROM {s}.commits c "
         "WHERE "
         "c.db = d.id ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g ON true) " +
         text;
}

enum ScanKind : std::size_t {
  kKeys,      ///< no values
  kSmall,     ///< values of at most $6 bytes each, and null in the place of larger ones
  kAnySizes,  ///< values with their sizes, and null where the answer would get too large
};

std::string scan_text(bool reverse, ScanKind kind) {
  const std::string order = reverse ? " DESC" : "";
  const char* value = kind == kKeys ? ""
                      : kind == kSmall
                          ? ", CASE WHEN octet_length(e.value) <= $6::int4 THEN e.value END AS value"
                          : ", e.value";
  const std::string entries =
      std::string("SELECT e.key, e.version, e.expires") + value +
      " FROM {s}.entry e WHERE e.db = h.id AND e.key >= $3::bytea AND e.key < $4::bytea AND (e.expires IS "
      "NULL OR e.expires > h.t) ORDER BY e.key" +
      order + " LIMIT $5::int8";
  if (kind != kAnySizes) return head_with("SELECT x.* FROM h, LATERAL (" + entries + ") x");
  return head_with("SELECT x.key, x.version, x.expires, CASE WHEN x.running <= " + std::string(kSentBytes) +
                   " THEN x.value END, x.size FROM h, LATERAL (SELECT e.*, octet_length(e.value) AS size, "
                   "sum(octet_length(e.key) + octet_length(e.value)) OVER (ORDER BY e.key" +
                   order + " ROWS UNBOUNDED PRECEDING) AS running FROM (" + entries + ") e) x");
}

// What a get usually finds: the database's row is as it was last time, which the newest commit tells, so that
// it need not be read. The newest commit is looked for from the last known number on, since without a bound a
// whole page of the index would be looked at. No row means that only the statement for any database can tell.
constexpr const char* kNear = R"sql(
SELECT g.last_seq, g.time, e.version, e.expires, e.value
FROM (SELECT c.last_seq, c.time, c.epoch FROM {s}.commits c WHERE c.db = $2::int8 AND c.last_seq >= $3::int8
      ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g
LEFT JOIN {s}.entry e ON e.db = $2::int8 AND e.key = $1::bytea
WHERE g.epoch = $4::int8 AND pg_postmaster_start_time() = $5::timestamptz
)sql";
constexpr int kNearColumnCount = 2;

constexpr const char* kGets = R"sql(
SELECT x.n, x.version, x.expires, x.size, CASE WHEN x.running <= 9437184 THEN x.value END
FROM h, LATERAL (
  SELECT k.n, e.version, e.expires, e.value, octet_length(e.value) AS size,
         sum(octet_length(e.key) + octet_length(e.value)) OVER (ORDER BY k.n ROWS UNBOUNDED PRECEDING) AS running
  FROM unnest($3::bytea[]) WITH ORDINALITY k(key, n)
  CROSS JOIN LATERAL (SELECT * FROM {s}.entry l WHERE l.db = h.id AND l.key = k.key LIMIT 1) e
  WHERE e.expires IS NULL OR e.expires > h.t) x
ORDER BY x.n
)sql";

// The head is in every row, and in one whose n is null if there is nothing else.
constexpr const char* kChanges = R"sql(
WITH h AS MATERIALIZED (SELECT {head} FROM {tables} WHERE d.name = $1::text),
newer AS MATERIALIZED (
  SELECT c.* FROM h, LATERAL (SELECT l.* FROM {s}.commits l WHERE l.db = h.id AND l.last_seq > $2::int8
                              ORDER BY l.last_seq, l.ordinal LIMIT $5::int8) c),
chosen AS MATERIALIZED (
  SELECT c.* FROM newer c
  WHERE c.log_rows - coalesce(cardinality(c.keys), 0)
        <= (SELECT min(f.log_rows - coalesce(cardinality(f.keys), 0)) FROM newer f) + $5::int8)
SELECT h.*, (SELECT max(c.last_seq) FROM chosen c), x.seq, x.key, x.version, x.expires, x.size,
       CASE WHEN x.running <= 18874368 THEN x.value END
FROM h LEFT JOIN LATERAL (
  SELECT r.seq, r.key, e.version, e.expires, octet_length(e.value) AS size, e.value,
         sum(octet_length(r.key) + CASE WHEN $6::bool THEN 0 ELSE coalesce(octet_length(e.value), 0) END)
           OVER (ORDER BY r.seq, r.key ROWS UNBOUNDED PRECEDING) AS running
  FROM (SELECT DISTINCT c.last_seq - c.applied + coalesce(k.rank, k.n) AS seq, k.key
        FROM chosen c, unnest(c.keys, c.ranks) WITH ORDINALITY AS k(key, rank, n)
        WHERE c.last_seq - c.applied + coalesce(k.rank, k.n) > $2::int8 AND k.key >= $3::bytea AND k.key < $4::bytea) r
  LEFT JOIN LATERAL (SELECT * FROM {s}.entry l WHERE l.db = h.id AND l.key = r.key LIMIT 1) e ON true
  WHERE e.version IS NULL OR e.version <= r.seq) x ON true
ORDER BY x.seq, x.key
)sql";

constexpr const char* kExpired = R"sql(
(SELECT d.name, e.key, e.expires FROM {s}.entry e
 CROSS JOIN LATERAL (SELECT * FROM {s}.database l WHERE l.id = e.db LIMIT 1) d
 WHERE e.expires <= $1::int8 ORDER BY e.expires, e.db, e.key LIMIT $2::int8)
UNION ALL
(SELECT NULL, NULL, e.expires FROM {s}.entry e
 CROSS JOIN LATERAL (SELECT * FROM {s}.database l WHERE l.id = e.db LIMIT 1) d
 WHERE e.expires > $1::int8 ORDER BY e.expires, e.db, e.key LIMIT 1)
)sql";

std::string with_head(std::string text) {
  for (const auto& [what, by] :
       {std::pair<std::string, std::string>{"{head}", kHeadColumns}, {"{tables}", kHeadTables}}) {
    const std::size_t at = text.find(what);
    if (at != std::string::npos) text.replace(at, what.size(), by);
  }
  return text;
}

/// So much that all values of a page may have it.
std::int32_t small_value_bytes(const Scan& scan) {
  return static_cast<std::int32_t>(limits::kAnswerBytes / (scan.options.limit + 1));
}

/// The longest beginning of `bytes` that can be a text.
View text_of(View bytes) {
  bytes = bytes.substr(0, bytes.find('\0'));
  while (!is_utf8(bytes)) bytes.remove_suffix(1);
  return bytes;
}

Reader::Scans scan_statements(const std::string& schema) {
  const auto one = [&](const char* name, bool reverse, ScanKind kind) {
    return Statement{schema + name, in_schema(scan_text(reverse, kind), schema)};
  };
  return {{{one(".scan_keys", false, kKeys), one(".scan", false, kSmall), one(".scan_any", false, kAnySizes)},
           {one(".scan_back_keys", true, kKeys), one(".scan_back", true, kSmall),
            one(".scan_back_any", true, kAnySizes)}}};
}

bool is_lost(const Connection& connection, const Error& error) {
  return connection.is_broken() && error.code() == Code::unavailable;
}

}  // namespace

Reader::Reader(Server& server, const std::string& schema)
    : server_(server),
      schema_(schema),
      begin_{"begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
      end_{"end", "COMMIT"},
      head_{schema + ".head",
            in_schema(with_head("SELECT {head} FROM {tables} WHERE d.name = $1::text"), schema)},
      one_{
          schema + ".one",
          in_schema(
              with_head("SELECT {head}, e.version, e.expires, e.value FROM {tables} LEFT JOIN {s}.entry e ON "
                        "e.db = d.id AND e.key = $2::bytea WHERE d.name = $1::text"),
              schema)},
      near_{schema + ".near", in_schema(kNear, schema)},
      gets_{schema + ".gets", in_schema(head_with(kGets), schema)},
      checks_{schema + ".checks",
              in_schema(
                  head_with("SELECT min(f.no) FROM h, LATERAL (" +
                            failing_checks("h.id", "h.t", "coalesce(h.floor, 0)", "h.log_rows",
                                           "$3::int4[], $4::int4[], $5::bytea[], $6::int8[]",
                                           "$7::int4[], $8::int4[], $9::bytea[], $10::bytea[], $11::int8[], "
                                           "$12::int8[]") +
                            ") f"),
                  schema)},
      changes_{schema + ".changes", in_schema(with_head(kChanges), schema)},
      lock_{"lock", "SELECT pg_advisory_xact_lock($1::int8)"},
      adopt_{schema + ".adopt",
             in_schema("UPDATE {s}.database SET history = CASE WHEN history = 0 THEN 0 ELSE $3::int8 END, "
                       "lineage = $2::text WHERE name = $1::text AND lineage <> $2::text",
                       schema)},
      expired_{schema + ".expired", in_schema(kExpired, schema)},
      databases_{
          schema + ".databases",
          in_schema("SELECT d.name FROM {s}.database d WHERE d.name >= $1::text AND ($2::bool OR d.name > "
                    "$1::text) ORDER BY d.name LIMIT $3::int8",
                    schema)},
      heads_{
          schema + ".heads",
          in_schema(
              with_head(
                  "SELECT k.n, {head} FROM unnest($1::text[]) WITH ORDINALITY k(name, n) CROSS JOIN "
                  "LATERAL (SELECT * FROM {s}.database d WHERE d.name = k.name LIMIT 1) d LEFT JOIN LATERAL "
                  "(SELECT c.last_seq, c.time, c.log_rows FROM {s}.commits c WHERE c.db = d.id ORDER BY "
                  "c.last_seq DESC, c.ordinal DESC LIMIT 1) g ON true"),
              schema)},
      scans_(scan_statements(schema)) {}

template <class Read>
auto Reader::with_connection(Deadline deadline, const Read& read) {
  deadline = effective_deadline(*server_.environment().clock, deadline);
  // A read that finds its connection closed is repeated, so most need not look first.
  Pool::Look look = Pool::Look::never;
  while (true) {
    const Pool::Lease connection = server_.readers().take(deadline, look);
    try {
      return read(*connection, deadline);
    } catch (const Error& error) {
      if (!is_lost(*connection, error) || server_.environment().clock->steady_now() >= deadline) throw;
    }
    look = Pool::Look::first;
  }
}

void Reader::adopt(Connection& connection, View database, Deadline deadline) {
  std::uint64_t history = 0;
  while (history == 0) history = server_.environment().random->next();
  std::vector<Call> calls;
  calls.push_back({&lock_, Parameters().int8(lock_number("commit", schema_, database))});
  calls.push_back({&adopt_, Parameters().bytes(database).bytes(connection.facts().lineage).int8(history)});
  connection.run(calls, deadline);
}

ReadAnswer Reader::read(View database, const ReadRequest& request) {
  return with_connection(request.deadline, [&](Connection& connection, Deadline deadline) {
    return read_once(connection, database, request, deadline, kSmall);
  });
}

ReadAnswer Reader::read_once(Connection& connection, View database, const ReadRequest& request,
                             Deadline deadline, std::size_t values) {
  if (request.gets.size() == 1 && request.scans.empty() && request.checks.empty()) {
    if (std::optional<ReadAnswer> answer = read_one(connection, database, request, deadline)) {
      return *std::move(answer);
    }
  }
  std::vector<Call> calls;
  calls.push_back({&begin_, {}});
  calls.push_back({&head_, Parameters().bytes(database)});
  const auto with_time = [&] { return Parameters().bytes(database).int8(request.now_ms); };
  if (!request.gets.empty()) {
    ArrayParameter keys = ArrayParameter::byteas();
    for (const View key : request.gets) keys.add(key);
    calls.push_back({&gets_, with_time().array(std::move(keys))});
  }
  for (const Scan& scan : request.scans) {
    const std::size_t kind = scan.options.keys_only ? kKeys : values;
    Parameters parameters = with_time();
    parameters.bytes(scan.range.begin).bytes(end_or_beyond(scan.range.end));
    parameters.int8(static_cast<std::int64_t>(scan.options.limit) + 1);
    if (kind == kSmall) parameters.int4(small_value_bytes(scan));
    calls.push_back({&scans_[scan.options.reverse ? 1 : 0][kind], std::move(parameters)});
  }
  if (!request.checks.empty()) {
    CheckArrays checks;
    for (std::size_t i = 0; i < request.checks.size(); ++i) {
      checks.add(1, static_cast<std::int32_t>(i), request.checks[i]);
    }
    Parameters parameters = with_time();
    checks.move_to(parameters);
    calls.push_back({&checks_, std::move(parameters)});
  }
  calls.push_back({&end_, {}});
  std::vector<Rows> answers = connection.run(calls, deadline);

  HeadRow row = head_row(answers[1], 0, 0);
  if (is_of_another_past(row, connection)) {
    adopt(connection, database, deadline);
    return read_once(connection, database, request, deadline, values);
  }
  ReadAnswer answer;
  answer.time_ms = admit_read(database, row.head, request);
  answer.at = row.head.position();
  answer.floor = row.head.floor;
  AnswerBudget budget;
  std::size_t next = 2;
  if (!request.gets.empty()) take_gets(answers[next++], request, budget, answer);
  for (const Scan& scan : request.scans) {
    std::optional<Page> page = page_of(answers[next++], scan, values, budget);
    if (!page) return read_once(connection, database, request, deadline, kAnySizes);
    page->at = answer.at;
    answer.pages.push_back(*std::move(page));
  }
  if (!request.checks.empty() && !answers[next].is_null(0, 0)) {
    answer.failed_check = static_cast<std::size_t>(answers[next].int4(0, 0));
  }
  return answer;
}

std::optional<HeadRow> Reader::place_of(View database) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(database);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

void Reader::remember(View database, const HeadRow& row) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(database);
  if (row.head.seq == 0 || row.head.fence.state != Fence::State::open) {
    if (found != places_.end()) places_.erase(found);
  } else if (found != places_.end()) {
    found->second = row;
  } else {
    if (places_.size() >= kMostPlaces) places_.clear();
    places_.emplace(database, row);
  }
}

std::optional<HeadRow> Reader::read_near(Connection& connection, View database, View key, Deadline deadline,
                                         Rows& rows) {
  std::optional<HeadRow> row = place_of(database);
  if (!row || row->server_started_us != connection.facts().started_us) return std::nullopt;
  Parameters parameters;
  parameters.bytes(key).int8(row->id).int8(row->head.seq).int8(row->epoch).int8(row->server_started_us);
  rows = connection.run(near_, std::move(parameters), deadline);
  if (rows.size() == 0) return std::nullopt;
  const auto seq = static_cast<Seq>(rows.int8(0, 0));
  const bool is_same = seq == row->head.seq;
  row->head.seq = seq;
  row->head.time_ms = rows.int8(0, 1);
  if (!is_same) remember(database, *row);
  return row;
}

std::optional<ReadAnswer> Reader::read_one(Connection& connection, View database, const ReadRequest& request,
                                           Deadline deadline) {
  const View key = request.gets.front();
  Rows rows;
  std::optional<HeadRow> row = read_near(connection, database, key, deadline, rows);
  const int entry_column = row ? kNearColumnCount : kHeadColumnCount;
  if (!row) {
    rows = connection.run(one_, Parameters().bytes(database).bytes(key), deadline);
    row = head_row(rows, 0, 0);
    if (is_of_another_past(*row, connection)) return std::nullopt;
    remember(database, *row);
  }
  ReadAnswer answer;
  answer.time_ms = admit_read(database, row->head, request);
  answer.at = row->head.position();
  answer.floor = row->head.floor;
  std::optional<Entry>& entry = answer.gets.emplace_back();
  if (rows.size() == 0 || rows.is_null(0, entry_column)) return answer;
  const std::optional<UnixMs> expires_at_ms = rows.maybe_int8(0, entry_column + 1);
  if (is_live(expires_at_ms, answer.time_ms)) {
    entry = Entry{Bytes(key), Bytes(rows.bytes(0, entry_column + 2)),
                  static_cast<Seq>(rows.int8(0, entry_column)), expires_at_ms};
  }
  return answer;
}

void Reader::take_gets(const Rows& rows, const ReadRequest& request, AnswerBudget& budget,
                       ReadAnswer& answer) {
  answer.gets.resize(request.gets.size());
  for (int row = 0; row < rows.size(); ++row) {
    const auto index = static_cast<std::size_t>(rows.int8(row, 0)) - 1;
    const View key = request.gets[index];
    if (!budget.take(key.size(), static_cast<std::size_t>(rows.int4(row, 3)))) {
      answer.gets.resize(index);
      return;
    }
    answer.gets[index] = Entry{Bytes(key), Bytes(rows.bytes(row, 4)), static_cast<Seq>(rows.int8(row, 1)),
                               rows.maybe_int8(row, 2)};
  }
}

std::optional<Page> Reader::page_of(const Rows& rows, const Scan& scan, std::size_t values,
                                    AnswerBudget& budget) {
  Page page;
  const std::size_t kind = scan.options.keys_only ? kKeys : values;
  page.entries.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    if (page.entries.size() == scan.options.limit) {
      page.more = true;
      break;
    }
    if (kind == kSmall && rows.is_null(row, 3)) return std::nullopt;
    const View key = rows.bytes(row, 0);
    const View value = kind == kKeys ? View() : rows.bytes(row, 3);
    const std::size_t value_bytes =
        kind == kAnySizes ? static_cast<std::size_t>(rows.int4(row, 4)) : value.size();
    if (!budget.take(key.size(), value_bytes)) {
      page.more = true;
      break;
    }
    page.entries.push_back(
        {Bytes(key), Bytes(value), static_cast<Seq>(rows.int8(row, 1)), rows.maybe_int8(row, 2)});
  }
  return page;
}

Changes Reader::changes(View database, const ChangesRequest& request) {
  return with_connection(request.deadline, [&](Connection& connection, Deadline deadline) {
    return changes_once(connection, database, request, deadline);
  });
}

Changes Reader::changes_once(Connection& connection, View database, const ChangesRequest& request,
                             Deadline deadline) {
  constexpr int kThrough = kHeadColumnCount;
  const auto most_rows = static_cast<std::int64_t>(std::max(request.limit, kFewestLogRows));
  ChangesRequest rest = request;
  while (true) {
    Parameters parameters;
    parameters.bytes(database)
        .int8(rest.since.seq)
        .bytes(rest.range.begin)
        .bytes(end_or_beyond(rest.range.end));
    parameters.int8(most_rows).boolean(rest.keys_only);
    const Rows rows = connection.run(changes_, std::move(parameters), deadline);
    const HeadRow head = head_row(rows, 0, 0);
    if (is_of_another_past(head, connection)) {
      adopt(connection, database, deadline);
      continue;
    }
    admit_changes(database, head.head, rest);
    Changes page;
    page.head = head.head.seq;
    page.through = head.head.position();
    if (rows.size() > 0 && !rows.is_null(0, kThrough)) {
      page.through.seq = static_cast<Seq>(rows.int8(0, kThrough));
    }
    std::size_t bytes = 0;
    int row = 0;
    while (row < rows.size() && !rows.is_null(row, kThrough + 1)) {
      const auto seq = static_cast<Seq>(rows.int8(row, kThrough + 1));
      std::vector<Change> items;
      for (; row < rows.size() && static_cast<Seq>(rows.int8(row, kThrough + 1)) == seq; ++row) {
        Change item{Bytes(rows.bytes(row, kThrough + 2)), seq, rows.is_null(row, kThrough + 3), std::nullopt};
        bytes += item.key.size();
        if (!request.keys_only && !item.erased) {
          bytes += static_cast<std::size_t>(rows.int4(row, kThrough + 5));
          item.entry =
              Entry{item.key, Bytes(rows.bytes(row, kThrough + 6)),
                    static_cast<Seq>(rows.int8(row, kThrough + 3)), rows.maybe_int8(row, kThrough + 4)};
        }
        items.push_back(std::move(item));
      }
      const bool full = page.items.size() + items.size() > request.limit || bytes > limits::kAnswerBytes;
      if (full && !page.items.empty()) {
        page.through.seq = seq - 1;
        return page;
      }
      std::move(items.begin(), items.end(), std::back_inserter(page.items));
      // A first commit that is larger than a page is a page.
      if (full) {
        page.through.seq = seq;
        return page;
      }
    }
    // Nothing of the range so far: the rows behind may have some.
    if (!page.items.empty() || page.caught_up()) return page;
    rest.since = page.through;
  }
}

ExpiredAnswer Reader::expired(UnixMs now_ms, std::size_t limit, Deadline deadline) {
  const Rows rows = with_connection(deadline, [&](Connection& connection, Deadline until) {
    return connection.run(expired_, Parameters().int8(now_ms).int8(static_cast<std::int64_t>(limit) + 1),
                          until);
  });
  ExpiredAnswer answer;
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 0) || answer.items.size() == limit) {
      answer.next_due_ms = rows.int8(row, 2);
      break;
    }
    answer.items.push_back({Bytes(rows.bytes(row, 0)), Bytes(rows.bytes(row, 1)), rows.int8(row, 2)});
  }
  return answer;
}

std::vector<Bytes> Reader::databases(View prefix, View after, std::size_t limit, Deadline deadline) {
  std::vector<Bytes> names;
  // What is no text cannot be compared with one by the server: it begins before, and the rest is compared
  // here.
  Bytes from(std::max(text_of(prefix), text_of(after)));
  bool is_included = true;
  while (names.size() < limit) {
    const Rows rows = with_connection(deadline, [&](Connection& connection, Deadline until) {
      Parameters parameters;
      parameters.bytes(from).boolean(is_included).int8(static_cast<std::int64_t>(limit) + 1);
      return connection.run(databases_, std::move(parameters), until);
    });
    for (int row = 0; row < rows.size() && names.size() < limit; ++row) {
      const View name = rows.bytes(row, 0);
      if (name > prefix && !name.starts_with(prefix)) return names;
      if (name > after && name.starts_with(prefix)) names.emplace_back(name);
    }
    if (static_cast<std::size_t>(rows.size()) <= limit) break;
    from = Bytes(rows.bytes(rows.size() - 1, 0));
    is_included = false;
  }
  return names;
}

std::vector<std::size_t> Reader::behind(std::span<const Cursor> cursors, Deadline deadline) {
  std::vector<Position> heads(cursors.size());
  with_connection(deadline, [&](Connection& connection, Deadline until) {
    ArrayParameter names = ArrayParameter::texts();
    for (const Cursor& cursor : cursors) names.add(View(cursor.database));
    const Rows rows = connection.run(heads_, Parameters().array(std::move(names)), until);
    for (int row = 0; row < rows.size(); ++row) {
      const HeadRow head = head_row(rows, row, 1);
      const auto index = static_cast<std::size_t>(rows.int8(row, 0)) - 1;
      heads[index] = head.head.position();
      if (!is_of_another_past(head, connection)) continue;
      adopt(connection, cursors[index].database, until);
      heads[index].history = 0;
    }
    return true;
  });
  std::vector<std::size_t> behind;
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    if (heads[i].history != cursors[i].at.history || heads[i].seq > cursors[i].at.seq) behind.push_back(i);
  }
  return behind;
}

}  // namespace holdfast::postgres
