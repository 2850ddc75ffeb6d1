// The functions of a store on its server: loads them where they are not there yet, and gives databases
// another history when the server is not the one that wrote them. Thread-safe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backends/redis/codec.h"
#include "backends/redis/key_names.h"
#include "backends/redis/pool.h"
#include "holdfast/backend.h"

namespace holdfast::redis {

/// The head of an answer of a function.
StoredHead head_of(const redisReply& fields);
/// Whether a function refused to answer because the head was written by another server, which is `head`.
bool is_of_another_server(const redisReply& reply);
bool is_missing_function(const redisReply& reply);

void add_check(Arguments& arguments, const Check& check);

class Server {
 public:
  Server(Address address, const Environment& environment, std::string prefix, std::size_t connections);

  /// Connects for the first time and tries whether everything that the functions do is permitted.
  ServerFacts open(Deadline deadline);

  Pool& pool() { return pool_; }
  const KeyNames& names() const { return names_; }

  /// Calls a function on a database until it answers. An error reply is thrown.
  Reply call(View database, View function, const Arguments& arguments, Deadline deadline);
  /// The same for what must not be done twice: unknown_outcome if the connection is lost on the way.
  Reply call_once(View database, View function, const Arguments& arguments, Deadline deadline);
  /// Commands that may be repeated.
  std::vector<Reply> run(const Request& request, Deadline deadline);

  StoredHead head(View database, Deadline deadline);
  /// Answers of `expired`, one for each tag.
  std::vector<Reply> expired(UnixMs now_ms, std::size_t limit, Deadline deadline);
  /// Which of the cursors `which` are behind.
  std::vector<std::size_t> behind(std::span<const Cursor> cursors, std::span<const std::size_t> which,
                                  Deadline deadline);

  // For those who lead a conversation of their own.

  /// FCALL with the keys of the database and the identity of the connection's server.
  void add_call(Request& request, const Connection& connection, View database, View function,
                const Arguments& arguments) const;
  void load_library(Connection& connection, Deadline deadline);
  /// After an answer that is_of_another_server(): the next call may be judged.
  void adopt(Connection& connection, View database, const redisReply& reply, Deadline deadline);
  std::uint64_t new_history();

 private:
  Reply converse(Connection& connection, View database, View function, const Arguments& arguments,
                 Deadline deadline);
  template <class Body>
  auto with_connection(Deadline deadline, Body&& body);

  const Environment environment_;
  const KeyNames names_;
  Pool pool_;
};

}  // namespace holdfast::redis
