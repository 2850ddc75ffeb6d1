#include "backends/postgres/connection.h"

#include <poll.h>

#include <algorithm>

#include "contract/assert.h"
#include "holdfast/limits.h"

namespace holdfast::postgres {
namespace {

/// An injected clock may move without the machine's: the deadline is looked at this often.
constexpr std::chrono::milliseconds kClockLookEvery{50};

// Whatever the role, the database or the URL has set: what the statements rely on. The plans are those of an
// index at all times, since a plan that was made for an empty table stays for a full one.
constexpr const char* kIntroduction = R"sql(
SELECT current_setting('server_version_num')::int8,
       current_setting('server_encoding')::text,
       pg_is_in_recovery(),
       (SELECT system_identifier::text FROM pg_control_system()),
       CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
       current_setting('synchronous_standby_names') <> ''
         AND current_setting('synchronous_commit') IN ('on', 'remote_apply', 'remote_write', 'off'),
       EXISTS (SELECT FROM pg_stat_replication),
       EXISTS (SELECT FROM pg_stat_replication WHERE sync_state IS DISTINCT FROM 'sync'),
       pg_postmaster_start_time(),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_read_only', 'off', false),
       set_config('default_transaction_deferrable', 'off', false),
       set_config('synchronous_commit',
                  replace(current_setting('synchronous_commit'), 'off', 'on'), false),
       set_config('search_path', 'pg_catalog, pg_temp', false),
       set_config('statement_timeout', '60s', false),
       set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('client_min_messages', 'warning', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('jit', 'off', false),
       set_config('max_parallel_workers_per_gather', '0', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false),
       set_config('enable_memoize', 'off', false)
)sql";

Code code_of_state(const std::string& state) {
  const std::string kind = state.substr(0, 2);
  if (kind == "28" || state == "42501") return Code::permission_denied;
  if (state == "3D000" || state == "3F000") return Code::not_found;
  if (kind == "08" || kind == "53" || kind == "57" || kind == "40" || kind == "55") return Code::unavailable;
  if (state == "25006") return Code::unavailable;  // it was a primary
  if (kind == "XX" && state != "XX000") return Code::corruption;
  if (kind == "0A") return Code::capability_missing;
  return Code::internal;
}

/// Of what libpq says about an attempt to connect, perhaps to several hosts: the SQLSTATEs stand between
/// ":  " and ": ".
Code code_of_connecting(const std::string& message) {
  constexpr std::size_t kStateSize = 5;
  if (message.find("no password supplied") != std::string::npos) return Code::permission_denied;
  for (std::size_t at = 0; (at = message.find(":  ", at)) != std::string::npos;) {
    at += 3;
    if (message.compare(std::min(at + kStateSize, message.size()), 2, ": ") != 0) continue;
    const Code code = code_of_state(message.substr(at, kStateSize));
    if (code == Code::permission_denied || code == Code::not_found) return code;
  }
  return Code::unavailable;
}

std::string field(const PGresult* result, int which) {
  const char* text = PQresultErrorField(result, which);
  return text == nullptr ? "" : text;
}

}  // namespace

Deadline effective_deadline(Clock& clock, Deadline deadline) {
  if (deadline != Deadline{}) return deadline;
  return clock.steady_now() + std::chrono::milliseconds(limits::kTimeoutMs);
}

Connection::Connection(const Settings& settings, std::shared_ptr<Clock> clock, Deadline deadline)
    : settings_(settings), clock_(std::move(clock)) {
  made_at_ = clock_->steady_now();
  connect_until_ = system_clock()->steady_now() + settings_.connect_timeout;
  connect(deadline);
  introduce(deadline);
  connect_until_.reset();
}

void Connection::connect(Deadline deadline) {
  std::vector<const char*> keywords, values;
  for (const auto& [keyword, value] : settings_.connection) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  connection_.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
  if (!connection_) throw std::bad_alloc();
  PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
  // With SQLSTATEs, since the server may speak another language.
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (PQstatus(connection_.get()) != CONNECTION_BAD && status != PGRES_POLLING_OK) {
    wait_for_socket(status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    status = PQconnectPoll(connection_.get());
    if (status == PGRES_POLLING_FAILED) break;
  }
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    const std::string why = message_of_connection();
    lose(code_of_connecting(why), "connecting to PostgreSQL: " + why);
  }
  PQsetErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  PQsetnonblocking(connection_.get(), 1);
  if (PQenterPipelineMode(connection_.get()) != 1) lose(Code::internal, "PostgreSQL: no pipeline mode");
}

void Connection::introduce(Deadline deadline) {
  PQsendQueryParams(connection_.get(), kIntroduction, 0, nullptr, nullptr, nullptr, nullptr, 1);
  PQpipelineSync(connection_.get());
  flush(deadline);
  Rows rows;
  while (PGresult* result = next_result(deadline)) {
    const bool is_answer = PQresultStatus(result) == PGRES_TUPLES_OK;
    Rows part(result);
    if (!is_answer) {
      const ServerError error = error_of(result);
      lose(error.code(), error.what());
    }
    rows = std::move(part);
  }
  Rows sync(next_result(deadline));
  if (rows.size() != 1) lose(Code::unavailable, "connecting to PostgreSQL: no answer");
  facts_.version = static_cast<int>(rows.int8(0, 0));
  if (facts_.version < 140000) {
    lose(Code::capability_missing, "the server is PostgreSQL " + std::to_string(facts_.version / 10000) +
                                       "; holdfast needs 14 or later");
  }
  if (rows.bytes(0, 1) != "UTF8") {
    lose(Code::capability_missing,
         "the PostgreSQL database is not encoded in UTF8; create one with ENCODING 'UTF8'");
  }
  if (rows.boolean(0, 2)) {
    lose(Code::unavailable, "the PostgreSQL server is a standby; connect to the primary");
  }
  facts_.is_durable = rows.boolean(0, 5);
  facts_.has_replicas = rows.boolean(0, 6);
  // One of a quorum need not have what the others have acknowledged. A role without pg_read_all_stats sees
  // that there is a standby, but not what kind of one.
  facts_.may_fail_over = facts_.has_replicas ? rows.boolean(0, 8) : rows.boolean(0, 7);
  facts_.lineage = std::string(rows.bytes(0, 3)) + "/" + std::string(rows.bytes(0, 4));
  // A server that does not sync forgets what it likes when its machine stops.
  facts_.started_us = rows.int8(0, 9);
  if (!facts_.is_durable) facts_.lineage += "/" + std::to_string(facts_.started_us);
}

std::vector<Rows> Connection::run(std::span<const Call> calls, Deadline deadline) {
  is_sent_ = false;
  std::vector<const Statement*> prepared;
  if (clock_->steady_now() >= deadline) {
    throw Error(Code::timeout, "PostgreSQL: the deadline has passed before anything was sent");
  }
  std::vector<bool> is_call;
  for (const Call& call : calls) {
    const std::size_t before = prepared.size();
    send(call, prepared);
    if (prepared.size() > before) is_call.push_back(false);
    is_call.push_back(true);
  }
  is_sent_ = true;
  if (PQpipelineSync(connection_.get()) != 1) lose(Code::unavailable, message_of_connection());
  flush(deadline);

  std::vector<Rows> answers;
  std::optional<ServerError> error;
  const auto note = [&](PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_PIPELINE_ABORTED ||
        status == PGRES_PIPELINE_SYNC) {
      return;
    }
    if (!error) error = error_of(result);
    // Anything worse than an error ends the connection, and may have come after a commit.
    if (field(result, PG_DIAG_SEVERITY_NONLOCALIZED) != "ERROR") lose(Code::unavailable, error->what());
  };
  std::size_t next_prepared = 0;
  for (const bool is_answer : is_call) {
    while (PGresult* result = next_result(deadline)) {
      Rows rows(result);
      note(result);
      if (is_answer) {
        answers.push_back(std::move(rows));
      } else if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        prepared_.insert(prepared[next_prepared]->name);
      }
    }
    if (!is_answer) ++next_prepared;
  }
  // Only now are the answers true: the transaction ends here.
  while (true) {
    PGresult* result = next_result(deadline);
    if (result == nullptr) continue;
    const Rows rows(result);
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) break;
    note(result);
  }
  if (PQtransactionStatus(connection_.get()) == PQTRANS_INERROR) is_broken_ = true;
  if (error) {
    // A pooler has given us another server's connection, or the tables have changed: begin anew.
    if (error->state() == "26000" || error->state() == "42P05" || error->state() == "0A000" ||
        error->state() == "25006") {
      is_broken_ = true;
    }
    throw *error;
  }
  HOLDFAST_ASSERT(answers.size() == calls.size());
  return answers;
}

Rows Connection::run(const Statement& statement, Parameters parameters, Deadline deadline) {
  const Call call{&statement, std::move(parameters)};
  return std::move(run({&call, 1}, deadline).front());
}

void Connection::send(const Call& call, std::vector<const Statement*>& prepared) {
  const Statement& statement = *call.statement;
  const Parameters& parameters = call.parameters;
  PGconn* connection = connection_.get();
  int sent = 1;
  if (settings_.prepared_statements) {
    const bool is_new = !prepared_.contains(statement.name) &&
                        std::none_of(prepared.begin(), prepared.end(),
                                     [&](const Statement* each) { return each->name == statement.name; });
    if (is_new) {
      sent = PQsendPrepare(connection, statement.name.c_str(), statement.text.c_str(), 0, nullptr);
      prepared.push_back(&statement);
    }
    if (sent == 1) {
      sent = PQsendQueryPrepared(connection, statement.name.c_str(), parameters.count(), parameters.values(),
                                 parameters.lengths(), parameters.formats(), 1);
    }
  } else {
    sent = PQsendQueryParams(connection, statement.text.c_str(), parameters.count(), nullptr,
                             parameters.values(), parameters.lengths(), parameters.formats(), 1);
  }
  if (sent != 1) lose(Code::unavailable, "PostgreSQL: " + message_of_connection());
}

void Connection::execute(const std::string& text, Deadline deadline) {
  PGconn* connection = connection_.get();
  if (PQexitPipelineMode(connection) != 1) lose(Code::internal, message_of_connection());
  is_sent_ = true;
  if (PQsendQuery(connection, text.c_str()) != 1) lose(Code::unavailable, message_of_connection());
  flush(deadline);
  std::optional<ServerError> error;
  while (PGresult* result = next_result(deadline)) {
    const Rows rows(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && !error) error = error_of(result);
  }
  if (PQstatus(connection) != CONNECTION_OK) lose(Code::unavailable, message_of_connection());
  PQenterPipelineMode(connection);
  if (error) throw *error;
}

void Connection::wait_for_socket(short events, Deadline deadline) {
  while (true) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock_->steady_now());
    if (connect_until_) {
      left = std::min(
          left, std::chrono::ceil<std::chrono::milliseconds>(*connect_until_ - system_clock()->steady_now()));
    }
    if (left.count() <= 0) lose(Code::timeout, "PostgreSQL did not answer in time");
    pollfd waited{PQsocket(connection_.get()), events, 0};
    if (waited.fd < 0) return;  // libpq says what is wrong with it
    if (poll(&waited, 1, static_cast<int>(std::min(left, kClockLookEvery).count())) > 0) return;
  }
}

void Connection::flush(Deadline deadline) {
  while (true) {
    const int left = PQflush(connection_.get());
    if (left == 0) return;
    if (left < 0) {
      // What the server said before it left is more telling than the broken pipe.
      PQconsumeInput(connection_.get());
      lose(Code::unavailable, "PostgreSQL: " + message_of_connection());
    }
    wait_for_socket(POLLIN | POLLOUT, deadline);
    if (PQconsumeInput(connection_.get()) != 1) lose(Code::unavailable, message_of_connection());
  }
}

PGresult* Connection::next_result(Deadline deadline) {
  while (PQisBusy(connection_.get()) == 1) {
    wait_for_socket(POLLIN, deadline);
    if (PQconsumeInput(connection_.get()) != 1) {
      // A last word of the server may have arrived with the end.
      if (PQisBusy(connection_.get()) == 1) lose(Code::unavailable, message_of_connection());
    }
  }
  PGresult* result = PQgetResult(connection_.get());
  if (PQstatus(connection_.get()) == CONNECTION_BAD) {
    std::string why = message_of_connection();
    if (result != nullptr) {
      why = error_of(result).what();
      PQclear(result);
    }
    lose(Code::unavailable, why);
  }
  return result;
}

bool Connection::is_idle() const {
  return !is_broken_ && PQstatus(connection_.get()) == CONNECTION_OK &&
         PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
}

bool Connection::looks_dead() {
  if (!is_idle()) return true;
  pollfd waited{socket(), POLLIN, 0};
  if (poll(&waited, 1, 0) <= 0) return false;
  // Something came unasked: a notice of the end, or its end.
  if (PQconsumeInput(connection_.get()) != 1) return true;
  waited.revents = 0;
  return poll(&waited, 1, 0) > 0 || PQstatus(connection_.get()) != CONNECTION_OK;
}

bool Connection::take_notifications() {
  if (PQconsumeInput(connection_.get()) != 1) lose(Code::unavailable, message_of_connection());
  bool is_any = false;
  while (PGnotify* notification = PQnotifies(connection_.get())) {
    // Our own do not count: this process knows already.
    is_any = is_any || notification->be_pid != PQbackendPID(connection_.get());
    PQfreemem(notification);
  }
  return is_any;
}

void Connection::lose(Code code, const std::string& what) {
  is_broken_ = true;
  throw Error(code, without_password(what));
}

std::string Connection::message_of_connection() const {
  std::string text = PQerrorMessage(connection_.get());
  // Where in its source the server was.
  for (std::size_t at = 0; (at = text.find("\nLOCATION:", at)) != std::string::npos;) {
    text.erase(at, std::min(text.find('\n', at + 1), text.size()) - at);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "the connection was closed" : text;
}

ServerError Connection::error_of(const PGresult* result) const {
  const std::string state = field(result, PG_DIAG_SQLSTATE);
  // The primary message alone: details may repeat keys.
  std::string text = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (text.empty()) text = message_of_connection();
  Code code = code_of_state(state);
  if (state == "57014") code = Code::timeout;
  return {Error(code, without_password("PostgreSQL: " + text + (state.empty() ? "" : " (" + state + ")"))),
          state};
}

std::string Connection::without_password(std::string text) const {
  // Wherever it came from.
  const char* known = connection_ ? PQpass(connection_.get()) : nullptr;
  const std::string password = known == nullptr ? "" : known;
  for (std::size_t at = 0; !password.empty() && (at = text.find(password, at)) != std::string::npos;) {
    text.replace(at, password.size(), "***");
    at += 3;
  }
  return text;
}

}  // namespace holdfast::postgres
