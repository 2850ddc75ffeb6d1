#include "backends/sqlite/connection.h"

#include <utility>

#include "contract/assert.h"
#include "holdfast/limits.h"

namespace holdfast::sqlite {
namespace {

/// A net for programs that write the file without queueing as we do; our own processes never come here.
constexpr int kBusyAttempts = 60'000;

int primary(int result) { return result & 0xFF; }

int open_flags(OpenMode mode) {
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
  return mode == OpenMode::create ? flags | SQLITE_OPEN_CREATE : flags;
}

/// SQLite takes a name that begins with "file:" for a URI.
std::string plain_name(const std::string& path) { return path.starts_with('/') ? path : "./" + path; }

}  // namespace

Error to_error(int result, const std::string& path, const char* operation) {
  const std::string where = std::string(operation) + " \"" + path + "\": ";
  const std::string code = " (SQLite result " + std::to_string(result) + ")";
  switch (primary(result)) {
    case SQLITE_FULL:
      return {Code::unavailable, where + "the disk is full; free space, then try again" + code};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {Code::permission_denied,
              where +
                  "the file or its folder cannot be written; this process needs to write the file, and to "
                  "create files beside it" +
                  code};
    case SQLITE_CANTOPEN:
      return {Code::permission_denied,
              where +
                  "the file cannot be opened; see that it is a file, that its folder exists, and that this "
                  "process may write in it" +
                  code};
    case SQLITE_CORRUPT:
      return {Code::corruption,
              where + "the file is damaged; make a copy, run a check, and restore it from a backup" + code};
    case SQLITE_NOTADB:
      return {Code::corruption, where +
                                    "the file is no SQLite database; name another file, or restore it "
                                    "from a backup if it was one" +
                                    code};
    case SQLITE_IOERR:
      return {Code::unavailable,
              where + "the disk or file system reported an error; look at the system's log, then try again" +
                  code};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return {Code::unavailable,
              where + "another program holds a lock on the file; end its transaction, then try again" + code};
    case SQLITE_NOMEM:
      return {Code::unavailable, where + "out of memory" + code};
    case SQLITE_INTERRUPT:
      return {Code::timeout, where + "not done before its deadline" + code};
    default:
      return {Code::internal, where + sqlite3_errstr(result) + code};
  }
}

bool SqliteError::breaks_connection() const {
  switch (primary(result_)) {
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return true;
    default:
      return false;
  }
}

Connection::Connection(std::string path, OpenMode mode, std::shared_ptr<Clock> clock)
    : path_(std::move(path)), clock_(std::move(clock)) {
  const int result = sqlite3_open_v2(plain_name(path_).c_str(), &handle_, open_flags(mode), nullptr);
  if (result != SQLITE_OK) {
    sqlite3_close(std::exchange(handle_, nullptr));
    throw SqliteError(result, path_, "opening");
  }
  sqlite3_busy_handler(handle_, &Connection::on_busy, this);
  if (mode == OpenMode::look) sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Connection::~Connection() {
  const int result = sqlite3_close(handle_);
  HOLDFAST_ASSERT(result == SQLITE_OK);  // else a statement outlives its connection
}

int Connection::on_busy(void* self, int attempts) {
  const auto& connection = *static_cast<Connection*>(self);
  if (attempts >= kBusyAttempts || connection.deadline_passed()) return 0;
  sqlite3_sleep(1);
  return 1;
}

void Connection::fail(int result, const char* operation) const {
  throw SqliteError(result, path_, operation);
}

void Connection::demand_time(const char* operation) const {
  if (deadline_passed()) fail(SQLITE_INTERRUPT, operation);
}

void Connection::execute(const char* sql, const char* operation) {
  const int result = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) fail(result, operation);
}

std::int64_t Connection::integer(const char* sql, const char* operation) {
  Statement statement(*this, sql, operation);
  return statement.bind().step() ? statement.integer(0) : 0;
}

std::string Connection::text(const char* sql, const char* operation) {
  Statement statement(*this, sql, operation);
  return statement.bind().step() ? std::string(statement.bytes(0)) : std::string();
}

void Connection::rollback() noexcept {
  // SQLite has rolled back by itself after some errors; a ROLLBACK that fails leaves nothing to undo.
  if (in_transaction()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Statement::prepare() {
  check(sqlite3_prepare_v3(connection_.handle(), sql_, -1, SQLITE_PREPARE_PERSISTENT, &handle_, nullptr));
}

void Statement::bind_one(int index, View blob) {
  // A null pointer would bind NULL, and an empty value is not absent.
  const char* data = blob.data() == nullptr ? "" : blob.data();
  check(sqlite3_bind_blob64(handle_, index, data, blob.size(), SQLITE_STATIC));
}

void Statement::bind_one(int index, const Text& text) {
  const char* data = text.bytes.data() == nullptr ? "" : text.bytes.data();
  check(sqlite3_bind_text64(handle_, index, data, text.bytes.size(), SQLITE_STATIC, SQLITE_UTF8));
}

bool Statement::step() {
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  // The code of a failed step stays in the statement and would fail the next reset.
  sqlite3_reset(handle_);
  connection_.fail(result, operation_);
}

void Statement::reset() noexcept {
  if (handle_ != nullptr) sqlite3_reset(handle_);
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

View Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column));
  return data == nullptr ? View() : View(data, size);
}

Deadline effective_deadline(Clock& clock, Deadline deadline) {
  if (deadline != Deadline{}) return deadline;
  return clock.steady_now() + std::chrono::milliseconds(limits::kTimeoutMs);
}

}  // namespace holdfast::sqlite
