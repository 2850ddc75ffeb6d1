// One connection to an SQLite file and its prepared statements: resources owned, results turned into
// holdfast::Error. Not thread-safe: a connection and its statements belong to one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/environment.h"
#include "holdfast/error.h"

namespace holdfast::sqlite {

/// The Error for an SQLite result code. `operation` says what was being done: "committing". The message names
/// the file and says what to do; it never repeats what SQLite says about a statement.
Error to_error(int result, const std::string& path, const char* operation);

/// Thrown as Error; remembers SQLite's (extended) result code for those who decide by it.
class SqliteError : public Error {
 public:
  SqliteError(int result, const std::string& path, const char* operation)
      : Error(to_error(result, path, operation)), result_(result) {}
  int result() const { return result_; }
  /// After these the connection's view of the file cannot be trusted any more.
  bool breaks_connection() const;

 private:
  int result_;
};

enum class OpenMode : std::uint8_t {
  create,  ///< reads and writes; makes the file if it is missing
  write,   ///< reads and writes an existing file
  look,    ///< reads an existing file and leaves file and write-ahead log as they are, also at its end
};

class Connection {
 public:
  Connection(std::string path, OpenMode mode, std::shared_ptr<Clock> clock);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Runs statements that have no parameters and whose rows nobody wants.
  void execute(const char* sql, const char* operation);
  /// The first column of the first row, for pragmas and counts; 0 if there is no row.
  std::int64_t integer(const char* sql, const char* operation);
  std::string text(const char* sql, const char* operation);

  /// How long statements wait for locks of programs that do not queue with us.
  void set_deadline(Deadline deadline) { deadline_ = deadline; }
  /// Throws timeout once the deadline has passed.
  void demand_time(const char* operation) const;
  bool deadline_passed() const { return clock_->steady_now() >= deadline_; }
  /// Rows changed by the latest insert, update or delete.
  std::int64_t changes() const { return sqlite3_changes64(handle_); }
  std::int64_t last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  /// Undoes what the open transaction did, if there is one. Does not throw.
  void rollback() noexcept;

  const std::string& path() const { return path_; }
  sqlite3* handle() const { return handle_; }
  [[noreturn]] void fail(int result, const char* operation) const;

 private:
  static int on_busy(void* self, int attempts);

  std::string path_;
  std::shared_ptr<Clock> clock_;
  Deadline deadline_ = Deadline::max();
  sqlite3* handle_ = nullptr;
};

/// Bound as TEXT; a View is bound as BLOB.
struct Text {
  View bytes;
};

/// A statement that is prepared when it is first used. `sql` and `operation` are literals.
class Statement {
 public:
  Statement(Connection& connection, const char* sql, const char* operation)
      : connection_(connection), sql_(sql), operation_(operation) {}
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Binds parameters 1, 2, ... Views must stay valid until reset().
  template <class... Arguments>
  Statement& bind(const Arguments&... arguments) {
    if (handle_ == nullptr) prepare();
    int index = 0;
    (bind_one(++index, arguments), ...);
    return *this;
  }
  /// True: there is a row; columns are valid until the next step() or reset().
  bool step();
  void reset() noexcept;
  /// Steps to the end and resets.
  void run();

  bool is_null(int column) const { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(handle_, column); }
  std::uint64_t unsigned_integer(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(handle_, column));
  }
  std::optional<std::int64_t> optional_integer(int column) const {
    if (is_null(column)) return std::nullopt;
    return integer(column);
  }
  View bytes(int column) const;

 private:
  void prepare();
  void check(int result) const {
    if (result != SQLITE_OK) connection_.fail(result, operation_);
  }
  void bind_one(int index, std::int64_t value) { check(sqlite3_bind_int64(handle_, index, value)); }
  void bind_one(int index, std::uint64_t value) { bind_one(index, static_cast<std::int64_t>(value)); }
  void bind_one(int index, View blob);
  void bind_one(int index, const Bytes& blob) { bind_one(index, View(blob)); }
  void bind_one(int index, const Text& text);
  void bind_one(int index, std::nullopt_t) { check(sqlite3_bind_null(handle_, index)); }
  void bind_one(int index, const std::optional<std::int64_t>& value) {
    value ? bind_one(index, *value) : bind_one(index, std::nullopt);
  }
  void bind_one(int index, const std::optional<Bytes>& value) {
    value ? bind_one(index, View(*value)) : bind_one(index, std::nullopt);
  }

  Connection& connection_;
  const char* sql_;
  const char* operation_;
  sqlite3_stmt* handle_ = nullptr;
};

/// Resets a statement at the end of a scope, so that it holds neither locks nor the bytes bound to it.
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(statement) {}
  ~Rows() { statement_.reset(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  bool next() { return statement_.step(); }

 private:
  Statement& statement_;
};

/// Deadline{} stands for the default timeout.
Deadline effective_deadline(Clock& clock, Deadline deadline);

}  // namespace holdfast::sqlite
