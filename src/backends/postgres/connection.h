// One connection to a PostgreSQL server that is, or was when it was made, a primary. Not thread-safe.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "backends/postgres/parameters.h"
#include "backends/postgres/values.h"
#include "holdfast/environment.h"
#include "holdfast/error.h"

namespace holdfast::postgres {

/// A statement that connections prepare when they meet it first. The name is unique for its text.
struct Statement {
  std::string name;
  std::string text;
};

/// A statement with its parameters. The statement is borrowed.
struct Call {
  const Statement* statement;
  Parameters parameters;
};

/// An error that the server gave: the statement had no effect.
class ServerError : public Error {
 public:
  ServerError(const Error& error, std::string state) : Error(error), state_(std::move(state)) {}
  /// The SQLSTATE.
  const std::string& state() const { return state_; }

 private:
  std::string state_;
};

/// What a server is, read when a connection is made.
struct ServerFacts {
  /// Names one past of one cluster: as long as it stays the same, no acknowledged commit can have been lost.
  std::string lineage;
  bool is_durable = false;     ///< fsync and full_page_writes are on
  bool has_replicas = false;   ///< acknowledged commits are on a synchronous standby too
  bool may_fail_over = false;  ///< there is a standby that need not have everything
  int version = 0;             ///< 150018
  std::int64_t started_us = 0;
};

class Connection {
 public:
  /// Throws unavailable, permission_denied or capability_missing.
  Connection(const Settings& settings, std::shared_ptr<Clock> clock, Deadline deadline);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends all calls at once and waits for all answers: one round trip, one transaction unless the calls say
  /// otherwise. Throws ServerError if a call fails: then none of them had an effect. Any other error leaves
  /// the connection broken, and whether the calls had an effect is unknown if is_sent().
  std::vector<Rows> run(std::span<const Call> calls, Deadline deadline);
  Rows run(const Statement& statement, Parameters parameters, Deadline deadline);
  /// Several statements as text, without parameters or answers; in one transaction.
  void execute(const std::string& text, Deadline deadline);

  const ServerFacts& facts() const { return facts_; }
  bool is_broken() const { return is_broken_; }
  /// It is not what it was: nobody shall use it again.
  void abandon() { is_broken_ = true; }
  /// Whether the last run() may have reached the server.
  bool is_sent() const { return is_sent_; }
  /// Whether it can be used again, as far as is known.
  bool is_idle() const;
  /// Whether the server holds so many plans for it that a new connection is better.
  bool is_laden() const { return prepared_.size() > kMostStatements; }
  /// Whether the server has closed the connection meanwhile, as far as can be seen from here.
  bool looks_dead();
  Deadline made_at() const { return made_at_; }
  /// Takes what has arrived without asking; whether there was a notification. Throws if the connection is
  /// lost.
  bool take_notifications();
  int socket() const { return PQsocket(connection_.get()); }

 private:
  /// A store in one schema has some 30. With a schema for each database there is no end of them, and what the
  /// server's process keeps of a schema, over a megabyte, is freed with the connection only.
  static constexpr std::size_t kMostStatements = 64;

  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  void connect(Deadline deadline);
  void introduce(Deadline deadline);
  void wait_for_socket(short events, Deadline deadline);
  void flush(Deadline deadline);
  PGresult* next_result(Deadline deadline);
  void send(const Call& call, std::vector<const Statement*>& prepared);
  [[noreturn]] void lose(Code code, const std::string& what);
  std::string message_of_connection() const;
  ServerError error_of(const PGresult* result) const;
  std::string without_password(std::string text) const;

  const Settings& settings_;
  const std::shared_ptr<Clock> clock_;
  std::unique_ptr<PGconn, Finish> connection_;
  ServerFacts facts_;
  std::unordered_set<std::string> prepared_;
  Deadline made_at_;
  /// While it is being made. By the machine's clock: no server is slower because an injected one was moved.
  std::optional<Deadline> connect_until_;
  bool is_broken_ = false;
  bool is_sent_ = false;
};

/// The deadline, or the default one for a deadline that was not given.
Deadline effective_deadline(Clock& clock, Deadline deadline);

}  // namespace holdfast::postgres
