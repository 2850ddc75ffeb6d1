#include "backends/redis/server.h"

#include "backends/redis/functions.h"

namespace holdfast::redis {
namespace {

std::string valid_prefix(std::string prefix) {
  for (const char c : prefix) {
    if (c <= ' ' || c == '{' || c == '}' || c == 0x7F) {
      throw Error(Code::invalid_argument,
                  "option \"prefix\" of redis: has no spaces, control characters and braces");
    }
  }
  if (prefix.size() > 100)
    throw Error(Code::invalid_argument, "option \"prefix\" of redis: has at most 100 bytes");
  return prefix;
}

}  // namespace

StoredHead head_of(const redisReply& fields) {
  std::vector<std::optional<View>> texts;
  for (const redisReply* field : elements_of(fields, kHeadFields)) texts.push_back(optional_text(*field));
  return decode_head(texts);
}

bool is_of_another_server(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements == 2 && text_of(*reply.element[0]) == "server";
}

bool is_missing_function(const redisReply& reply) {
  return is_error(reply) && text_of(reply).starts_with("ERR Function not found");
}

void add_check(Arguments& arguments, const Check& check) {
  switch (check.kind) {
    case Check::Kind::absent:
      arguments.add("a");
      arguments.add(check.key);
      return;
    case Check::Kind::version:
      arguments.add(std::to_string(check.version) + " ");
      arguments.add(check.key);
      return;
    case Check::Kind::unchanged:
      arguments.add("u");
      arguments.add(std::to_string(check.version));
      arguments.add(std::to_string(check.read_time_ms));
      arguments.add(check.key);
      arguments.add(check.end);
      return;
  }
}

Server::Server(Address address, const Environment& environment, std::string prefix, std::size_t connections)
    : environment_(environment),
      names_(valid_prefix(std::move(prefix))),
      pool_(std::move(address), environment, connections) {}

ServerFacts Server::open(Deadline deadline) {
  Pool::Lease connection = pool_.take(deadline);
  Request request;
  request.command({"FCALL", function_name("probe"), "3", names_.probe("hash"), names_.probe("set"),
                   names_.probe("log"), names_.probe("channel")});
  Reply reply = std::move(connection->call(request, deadline).front());
  if (is_missing_function(*reply)) {
    load_library(*connection, deadline);
    reply = std::move(connection->call(request, deadline).front());
  }
  if (is_error(*reply)) throw error_of(*reply);
  return connection->facts();
}

template <class Body>
auto Server::with_connection(Deadline deadline, Body&& body) {
  for (bool first = true;; first = false) {
    Pool::Lease connection = pool_.take(deadline);
    try {
      return body(*connection);
    } catch (const Error& error) {
      // The server may have closed connections while they were idle.
      if (!first || error.code() != Code::unavailable || !connection->is_broken()) throw;
    }
  }
}

void Server::add_call(Request& request, const Connection& connection, View database, View function,
                      const Arguments& arguments) const {
  const DatabaseKeys keys = names_.of(database);
  Arguments begin{"FCALL", function_name(function), "8"};
  for (const std::string& key : keys.keys) begin.add(key);
  begin.add(connection.facts().identity);
  request.command(begin, arguments);
}

void Server::load_library(Connection& connection, Deadline deadline) {
  Request request;
  request.command({"FUNCTION", "LOAD", library_source()});
  const Reply reply = std::move(connection.call(request, deadline).front());
  // Somebody else was faster.
  if (is_error(*reply) && text_of(*reply).find("already exists") == View::npos) throw error_of(*reply);
}

void Server::adopt(Connection& connection, View database, const redisReply& reply, Deadline deadline) {
  const std::string known = connection.facts().identity;
  const StoredHead stored = head_of(*elements_of(reply, 2)[1]);
  connection.refresh(deadline);
  const std::string& identity = connection.facts().identity;
  // It was this connection that had not heard: the server has changed its role since.
  if (identity != known || stored.server == identity) return;
  const DatabaseKeys keys = names_.of(database);
  Request request;
  request.command({"FCALL", function_name("adopt"), "1", keys.keys[0], stored.server, identity,
                   hex16(new_history()), keys.base});
  connection.call_one(request, deadline);
}

std::uint64_t Server::new_history() {
  std::uint64_t history = 0;
  while (history == 0) history = environment_.random->next();
  return history;
}

Reply Server::converse(Connection& connection, View database, View function, const Arguments& arguments,
                       Deadline deadline) {
  while (true) {
    Request request;
    add_call(request, connection, database, function, arguments);
    Reply reply = std::move(connection.call(request, deadline).front());
    if (is_missing_function(*reply)) {
      load_library(connection, deadline);
    } else if (is_of_another_server(*reply)) {
      adopt(connection, database, *reply, deadline);
    } else {
      if (is_error(*reply)) throw error_of(*reply);
      return reply;
    }
  }
}

Reply Server::call(View database, View function, const Arguments& arguments, Deadline deadline) {
  return with_connection(deadline, [&](Connection& connection) {
    return converse(connection, database, function, arguments, deadline);
  });
}

Reply Server::call_once(View database, View function, const Arguments& arguments, Deadline deadline) {
  Pool::Lease connection = pool_.take(deadline);
  try {
    return converse(*connection, database, function, arguments, deadline);
  } catch (const Error& error) {
    if (connection->is_broken()) throw error.with_unknown_outcome();
    throw;
  }
}

std::vector<Reply> Server::run(const Request& request, Deadline deadline) {
  return with_connection(deadline,
                         [&](Connection& connection) { return connection.call(request, deadline); });
}

StoredHead Server::head(View database, Deadline deadline) {
  const Reply reply = call(database, "read", {"0", "0", "0", "0"}, deadline);
  return head_of(*elements_of(*reply, 2)[1]);
}

std::vector<Reply> Server::expired(UnixMs now_ms, std::size_t limit, Deadline deadline) {
  Request request;
  for (std::size_t tag = 0; tag < kTags; ++tag) {
    request.command({"FCALL", function_name("expired"), "1", names_.due(tag), names_.tagged(tag),
                     std::to_string(now_ms), std::to_string(limit)});
  }
  return with_connection(deadline, [&](Connection& connection) {
    std::vector<Reply> replies = connection.call(request, deadline);
    if (is_missing_function(*replies.front())) {
      load_library(connection, deadline);
      replies = connection.call(request, deadline);
    }
    return replies;
  });
}

std::vector<std::size_t> Server::behind(std::span<const Cursor> cursors, std::span<const std::size_t> which,
                                        Deadline deadline) {
  return with_connection(deadline, [&](Connection& connection) {
    Request request;
    for (const std::size_t i : which) {
      request.command({"HMGET", names_.of(cursors[i].database).keys[0], "history", "seq", "time", "floor",
                       "fence", "server"});
    }
    const std::vector<Reply> replies = connection.call(request, deadline);
    std::vector<std::size_t> behind;
    for (std::size_t n = 0; n < which.size(); ++n) {
      const Cursor& cursor = cursors[which[n]];
      StoredHead stored = head_of(*replies[n]);
      if (stored.head.exists() && stored.server != connection.facts().identity) {
        const Reply reply = converse(connection, cursor.database, "read", {"0", "0", "0", "0"}, deadline);
        stored = head_of(*elements_of(*reply, 2)[1]);
      }
      if (stored.head.history != cursor.at.history || stored.head.seq > cursor.at.seq) {
        behind.push_back(which[n]);
      }
    }
    return behind;
  });
}

}  // namespace holdfast::redis
