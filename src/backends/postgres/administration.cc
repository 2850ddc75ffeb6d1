#include "backends/postgres/administration.h"

#include <algorithm>

#include "backends/postgres/schema.h"

namespace holdfast::postgres {
namespace {

/// Rows freed in one transaction.
constexpr std::int64_t kStepRows = 2'000;

Statement statement(const std::string& schema, const char* name, const char* text) {
  return {schema + "." + name, in_schema(text, schema)};
}

}  // namespace

Administration::Administration(Server& server, const std::string& schema)
    : server_(server),
      schema_(schema),
      begin_{"begin_write", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"},
      commit_{"end", "COMMIT"},
      rollback_{"rollback", "ROLLBACK"},
      lock_{"lock", "SELECT pg_advisory_xact_lock($1::int8)"},
      head_(statement(
          schema, "full_head",
          ("SELECT " + std::string(kHeadColumns) +
           ", g.ordinal, g.log_rows FROM {s}.database d LEFT JOIN LATERAL (SELECT * FROM {s}.commits c WHERE "
           "c.db = d.id ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g ON true WHERE d.name = $1::text")
              .c_str())),
      fence_(statement(
          schema, "fence",
          "UPDATE {s}.database SET history = $2::int8, floor = $3::int8, fence = $4::int4, token = $5::int8, "
          "fence_detail = $6::bytea, lineage = $7::text WHERE name = $1::text")),
      create_(statement(
          schema, "create",
          "INSERT INTO {s}.database(name, history, floor, lineage) VALUES ($1::text, 0, 0, $2::text)")),
      commit_row_(
          statement(schema, "take_over",
                    "INSERT INTO {s}.commits(db, last_seq, ordinal, applied, time, history, log_rows, epoch) "
                    "SELECT d.id, $2::int8, $3::int8, 0, $4::int8, $5::int8, $6::int8, d.epoch "
                    "FROM {s}.database d WHERE d.id = $1::int8")),
      floor_(statement(schema, "floor", "UPDATE {s}.database SET floor = $2::int8 WHERE name = $1::text")),
      expire_(statement(schema, "expire_sessions", "SELECT {s}.expire_sessions($1::text)")),
      trim_(statement(schema, "trim", "SELECT {s}.trim_commits($1::text, $2::int8)")),
      drop_(statement(schema, "drop", "DELETE FROM {s}.database WHERE id = $1::int8")),
      bury_(statement(schema, "bury", "INSERT INTO {s}.dropped VALUES ($1::int8)")),
      any_dropped_(statement(schema, "any_dropped", "SELECT EXISTS (SELECT FROM {s}.dropped)")),
      dropped_(statement(schema, "dropped",
                         "SELECT id FROM {s}.dropped ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")),
      free_entries_(statement(
          schema, "free_entries",
          "WITH gone AS (DELETE FROM {s}.entry WHERE ctid = ANY(ARRAY(SELECT e.ctid FROM {s}.entry e "
          "WHERE e.db = $1::int8 ORDER BY e.key LIMIT $2::int8)) RETURNING 1) SELECT count(*) FROM gone")),
      free_commits_(statement(schema, "free_commits",
                              "WITH gone AS (DELETE FROM {s}.commits WHERE ctid = ANY(ARRAY(SELECT c.ctid "
                              "FROM {s}.commits c WHERE "
                              "c.db = $1::int8 ORDER BY c.last_seq, c.ordinal LIMIT $2::int8)) RETURNING 1) "
                              "SELECT count(*) FROM gone")),
      free_sessions_(statement(schema, "free_sessions", "DELETE FROM {s}.session WHERE db = $1::int8")),
      forget_(statement(schema, "forget", "DELETE FROM {s}.dropped WHERE id = $1::int8")) {}

template <class Change>
bool Administration::with_lock(View database, Deadline deadline, const Change& change) {
  deadline = effective_deadline(*server_.environment().clock, deadline);
  const Pool::Lease connection = server_.writers().take(deadline);
  std::vector<Call> calls;
  calls.push_back({&begin_, {}});
  calls.push_back({&lock_, Parameters().int8(lock_number("commit", schema_, database))});
  calls.push_back({&head_, Parameters().bytes(database)});
  const std::vector<Rows> answers = connection->run(calls, deadline);
  const bool is_done = change(*connection, answers[2], deadline);
  connection->run(is_done ? commit_ : rollback_, {}, deadline);
  return is_done;
}

bool Administration::fence(View database, const Fence& expected, const Fence& next, Deadline deadline) {
  const bool is_done =
      with_lock(database, deadline, [&](Connection& connection, const Rows& rows, Deadline until) {
        const HeadRow row = head_row(rows, 0, 0);
        const std::string& lineage = connection.facts().lineage;
        is_of_another_past(row, connection);
        const std::optional<Head> after = apply_fence(row.head, expected, next);
        if (!after) return false;
        if (row.id == 0) connection.run(create_, Parameters().bytes(database).bytes(lineage), until);
        const Fence& fence = after->fence;
        Parameters parameters;
        parameters.bytes(database).int8(after->history).int8(after->floor);
        parameters.int4(static_cast<std::int32_t>(fence.state)).int8(fence.token).bytes(fence_detail(fence));
        // A new past that nobody has adopted yet stays to be adopted, but for a database that comes from
        // elsewhere.
        const bool is_taken_over = after->history != row.head.history;
        parameters.bytes(row.id == 0 || is_taken_over ? lineage : row.lineage);
        connection.run(fence_, std::move(parameters), until);
        if (is_taken_over) {
          const std::int64_t ordinal = rows.int8_or_0(0, kHeadColumnCount) + 1;
          connection.run(commit_row_,
                         Parameters()
                             .int8(row.id)
                             .int8(after->seq)
                             .int8(ordinal)
                             .int8(after->time_ms)
                             .int8(after->history)
                             .int8(rows.int8_or_0(0, kHeadColumnCount + 1)),
                         until);
        }
        return true;
      });
  if (is_done) server_.signals().notify();
  return is_done;
}

bool Administration::drop(View database, std::uint64_t history, Deadline deadline) {
  const bool is_done =
      with_lock(database, deadline, [&](Connection& connection, const Rows& rows, Deadline until) {
        const HeadRow row = head_row(rows, 0, 0);
        if (row.id == 0 || is_of_another_past(row, connection) || row.head.history != history) return false;
        std::vector<Call> calls;
        calls.push_back({&drop_, Parameters().int8(row.id)});
        calls.push_back({&bury_, Parameters().int8(row.id)});
        connection.run(calls, until);
        return true;
      });
  if (is_done) server_.signals().notify();
  return is_done;
}

void Administration::compact(View database, Seq before, Deadline deadline) {
  deadline = effective_deadline(*server_.environment().clock, deadline);
  // Durable before the first row goes.
  const bool exists =
      with_lock(database, deadline, [&](Connection& connection, const Rows& rows, Deadline until) {
        const HeadRow row = head_row(rows, 0, 0);
        if (row.id == 0) return false;
        const Seq floor = raised_floor(row.head, before);
        if (floor != row.head.floor) connection.run(floor_, Parameters().bytes(database).int8(floor), until);
        connection.run(expire_, Parameters().bytes(database), until);
        return true;
      });
  if (!exists) return;
  // What is left at the deadline is below the floor, and the next call frees it. The steps take no lock of
  // the database, and no commit waits for their connection.
  while (server_.environment().clock->steady_now() < deadline) {
    const Pool::Lease connection = server_.readers().take(deadline);
    const Rows freed = connection->run(trim_, Parameters().bytes(database).int8(kStepRows), deadline);
    if (freed.int8(0, 0) < kStepRows) return;
  }
}

void Administration::free_dropped(Deadline deadline) {
  deadline = effective_deadline(*server_.environment().clock, deadline);
  if (!server_.readers().take(deadline)->run(any_dropped_, {}, deadline).boolean(0, 0)) return;
  const Pool::Lease connection = server_.writers().take(deadline);
  std::vector<Call> calls;
  calls.push_back({&begin_, {}});
  calls.push_back({&dropped_, {}});
  const std::vector<Rows> found = connection->run(calls, deadline);
  if (found[1].size() == 0) {
    connection->run(rollback_, {}, deadline);
    return;
  }
  const std::int64_t id = found[1].int8(0, 0);
  const auto free = [&](const Statement& step) {
    return connection->run(step, Parameters().int8(id).int8(kStepRows), deadline).int8(0, 0) < kStepRows;
  };
  if (free(free_entries_) && free(free_commits_)) {
    calls.clear();
    calls.push_back({&free_sessions_, Parameters().int8(id)});
    calls.push_back({&forget_, Parameters().int8(id)});
    connection->run(calls, deadline);
  }
  connection->run(commit_, {}, deadline);
}

}  // namespace holdfast::postgres
