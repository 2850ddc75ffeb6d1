#include "backends/redis/server.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "backends/redis/functions.h"

namespace holdfast::redis {
namespace {

const std::vector<std::size_t>& all_tags() {
  static const std::vector<std::size_t> kAll = [] {
    std::vector<std::size_t> tags(kTags);
    std::iota(tags.begin(), tags.end(), std::size_t{0});
    return tags;
  }();
  return kAll;
}

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

std::optional<Entry> entry_of(View key, const redisReply& reply) {
  const std::optional<View> stored = optional_text(reply);
  return stored ? std::optional(decode_entry(key, *stored)) : std::nullopt;
}

}  // namespace

StoredHead head_of(const redisReply& fields) {
  std::array<std::optional<View>, kHeadFields> texts;
  const std::vector<const redisReply*> elements = elements_of(fields, kHeadFields);
  std::transform(elements.begin(), elements.begin() + kHeadFields, texts.begin(),
                 [](const redisReply* field) { return optional_text(*field); });
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

Server::Server(std::vector<Address> addresses, const Environment& environment, std::string prefix,
               std::size_t connections)
    : environment_(environment),
      names_(valid_prefix(std::move(prefix))),
      nodes_(std::move(addresses), environment, connections) {}

std::vector<ServerFacts> Server::open(Deadline deadline) {
  std::vector<ServerFacts> facts;
  for (const auto& [node, tags] : nodes_.tags_by_node(deadline)) {
    const std::size_t tag = tags.front();
    ServerFacts known;
    const Add add = [&](Request& request, const Connection& connection, std::size_t) {
      known = connection.facts();
      request.command({"FCALL", function_name("probe"), "3", names_.probe(tag, "hash"),
                       names_.probe(tag, "set"), names_.probe(tag, "log"), names_.probe(tag, "channel")});
    };
    ask({tag}, add, deadline);
    facts.push_back(std::move(known));
  }
  return facts;
}

Answer Server::ask(const Command& command, const Add& add, Deadline deadline) {
  Route route = nodes_.route(command.tag, deadline);
  bool may_repeat = !command.once;
  for (int redirections = 0;;) {
    std::optional<Redirection> redirection;
    {
      std::optional<Pool::Lease> connection;
      try {
        connection.emplace(route.pool->take(deadline));
        while (!redirection) {
          Request request;
          if (route.asking) request.command({"ASKING"});
          add(request, **connection, command.index);
          Reply reply = std::move((*connection)->call(request, deadline).back());
          redirection = redirection_of(*reply);
          if (redirection) continue;
          if (is_missing_function(*reply)) {
            load_library(**connection, deadline);
          } else if (!command.database.empty() && is_of_another_server(*reply)) {
            adopt(**connection, command.database, *reply, route.asking, deadline);
          } else {
            if (is_error(*reply)) throw error_of(*reply);
            return {std::move(reply), (*connection)->facts().identity};
          }
        }
      } catch (const Error& error) {
        const bool is_lost = connection && (*connection)->is_broken();
        if (error.code() == Code::unavailable || error.code() == Code::timeout) nodes_.doubt();
        if (command.once && is_lost) throw error.with_unknown_outcome();
        // The server may have closed connections while they were idle.
        if (!may_repeat || !is_lost || error.code() != Code::unavailable) throw;
        may_repeat = false;
      }
    }
    if (!redirection) {
      route = nodes_.route(command.tag, deadline);
    } else if (++redirections == kMostRedirections) {
      throw Error(Code::unavailable,
                  "the slot of the database is being moved to another node of the cluster");
    } else {
      route = nodes_.follow(*redirection, command.tag, route, deadline);
    }
  }
}

std::vector<Answer> Server::ask_each(std::span<const std::size_t> tags, const Add& add, Deadline deadline) {
  std::map<Pool*, std::vector<std::size_t>> by_node;
  for (std::size_t i = 0; i < tags.size(); ++i) by_node[nodes_.route(tags[i], deadline).pool].push_back(i);
  std::vector<Answer> answers(tags.size());
  for (const auto& [node, which] : by_node) {
    std::vector<Reply> replies;
    std::optional<Pool::Lease> connection;
    try {
      connection.emplace(node->take(deadline));
      Request request;
      for (const std::size_t i : which) add(request, **connection, i);
      replies = (*connection)->call(request, deadline);
    } catch (const Error& error) {
      if (error.code() == Code::unavailable || error.code() == Code::timeout) nodes_.doubt();
      const bool is_lost = connection && (*connection)->is_broken();
      if (!is_lost || error.code() != Code::unavailable) throw;
    }
    const std::string server = (connection && !replies.empty()) ? (*connection)->facts().identity : "";
    connection.reset();
    for (std::size_t n = 0; n < which.size(); ++n) {
      const std::size_t i = which[n];
      // Each of those that were not served finds its own way.
      const bool is_served = !replies.empty() && !is_error(*replies[n]);
      answers[i] = is_served ? Answer{std::move(replies[n]), server} : ask({tags[i], i}, add, deadline);
    }
  }
  return answers;
}

void Server::add_call(Request& request, const Connection& connection, const DatabaseKeys& keys, View function,
                      const Arguments& arguments, Keys which) {
  const std::size_t count = which == Keys::all ? keys.keys.size() : kOwnKeys;
  Arguments begin{"FCALL", function, std::to_string(count)};
  for (std::size_t i = 0; i < count; ++i) begin.add(keys.keys[i]);
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

void Server::adopt(Connection& connection, View database, const redisReply& reply, bool asking,
                   Deadline deadline) {
  const std::string known = connection.facts().identity;
  const StoredHead stored = head_of(*elements_of(reply, 2)[1]);
  connection.refresh(deadline);
  const std::string& identity = connection.facts().identity;
  // It was this connection that had not heard: the server has changed its role since.
  if (identity != known || stored.server == identity) return;
  const DatabaseKeys keys = names_.of(database);
  Request request;
  if (asking) request.command({"ASKING"});
  request.command({"FCALL", function_name("adopt"), "1", keys.keys[0], stored.server, identity,
                   hex16(new_history()), keys.base});
  const Reply adopted = std::move(connection.call(request, deadline).back());
  // The database has moved meanwhile: the next call will hear of it.
  if (redirection_of(*adopted)) return;
  if (is_error(*adopted)) throw error_of(*adopted);
}

std::uint64_t Server::new_history() {
  std::uint64_t history = 0;
  while (history == 0) history = environment_.random->next();
  return history;
}

Reply Server::call(View database, View function, const Arguments& arguments, Deadline deadline) {
  const Add add = [&](Request& request, const Connection& connection, std::size_t) {
    add_call(request, connection, names_.of(database), function_name(function), arguments);
  };
  return ask({KeyNames::tag_of(database), 0, database}, add, deadline).reply;
}

Reply Server::call_once(View database, View function, const Arguments& arguments, Deadline deadline) {
  const Add add = [&](Request& request, const Connection& connection, std::size_t) {
    add_call(request, connection, names_.of(database), function_name(function), arguments);
  };
  return ask({KeyNames::tag_of(database), 0, database, true}, add, deadline).reply;
}

Server::Got Server::get(View database, View key, Deadline deadline) {
  const std::size_t tag = KeyNames::tag_of(database);
  const std::string base = names_.base_of(database);
  if (std::optional<Got> got = get_plainly(base, tag, key, deadline)) return std::move(*got);
  static const std::string kFunction = function_name("get");
  const Add add = [&](Request& request, const Connection& connection, std::size_t) {
    request.command(
        {"FCALL", kFunction, "2", base + ":head", base + ":entries", connection.facts().identity, key});
  };
  const Reply reply = ask({tag, 0, database}, add, deadline).reply;
  return {head_of(*reply), entry_of(key, *elements_of(*reply, kHeadFields + 1)[kHeadFields])};
}

std::optional<Server::Got> Server::get_plainly(const std::string& base, std::size_t tag, View key,
                                               Deadline deadline) {
  if (!may_transact_.load(std::memory_order_relaxed)) return std::nullopt;
  static const Arguments kBegin{"MULTI"};
  static const Arguments kEnd{"EXEC"};
  static const Arguments kFields{"history", "seq", "time", "floor", "fence", "server"};
  const Route route = nodes_.route(tag, deadline);
  const std::string head = base + ":head";
  Request request;
  request.command(kBegin);
  // Erases nothing, as no head has such a field. A server that has become a replica, or lost its own, refuses
  // commands that write, as it refuses functions, and the transaction with them.
  request.command({"HDEL", head, "-"});
  request.command({"HMGET", head}, kFields);
  request.command({"HGET", base + ":entries", key});
  request.command(kEnd);
  std::optional<Pool::Lease> connection;
  try {
    connection.emplace(route.pool->take(deadline));
    const std::vector<Reply> replies = (*connection)->call(request, deadline);
    for (const Reply& reply : replies) {
      if (!is_error(*reply)) continue;
      if (text_of(*reply).find("NOPERM") != View::npos) may_transact_.store(false, std::memory_order_relaxed);
      return std::nullopt;
    }
    const std::vector<const redisReply*> results = elements_of(*replies.back(), 3);
    if (std::any_of(results.begin(), results.end(), [](const redisReply* one) { return is_error(*one); })) {
      return std::nullopt;
    }
    Got got{head_of(*results[1]), entry_of(key, *results[2])};
    const std::vector<const redisReply*> fields = elements_of(*results[1]);
    // As the functions have it.
    const bool exists = optional_text(*fields[0]) || optional_text(*fields[4]);
    if (exists && got.head.server != (*connection)->facts().identity) return std::nullopt;
    return got;
  } catch (const Error& error) {
    // The server may have closed connections while they were idle.
    if (!connection || !(*connection)->is_broken() || error.code() != Code::unavailable) throw;
    nodes_.doubt();
    return std::nullopt;
  }
}

StoredHead Server::head(View database, Deadline deadline) {
  const Reply reply = call(database, "read", {"0", "0", "0", "0"}, deadline);
  return head_of(*elements_of(*reply, 2)[1]);
}

std::vector<Answer> Server::listed(const std::string& from, const std::string& to, std::size_t limit,
                                   Deadline deadline) {
  const Add add = [&](Request& request, const Connection&, std::size_t tag) {
    request.command({"ZRANGEBYLEX", names_.names(tag), from, to, "LIMIT", "0", std::to_string(limit)});
  };
  return ask_each(all_tags(), add, deadline);
}

std::vector<Answer> Server::expired(UnixMs now_ms, std::size_t limit, Deadline deadline) {
  const Add add = [&](Request& request, const Connection&, std::size_t tag) {
    request.command({"FCALL", function_name("expired"), "1", names_.due(tag), names_.tagged(tag),
                     std::to_string(now_ms), std::to_string(limit)});
  };
  return ask_each(all_tags(), add, deadline);
}

std::vector<std::size_t> Server::behind(std::span<const Cursor> cursors, std::span<const std::size_t> which,
                                        Deadline deadline) {
  std::vector<std::size_t> tags;
  tags.reserve(which.size());
  for (const std::size_t i : which) tags.push_back(KeyNames::tag_of(cursors[i].database));
  const Add add = [&](Request& request, const Connection&, std::size_t n) {
    request.command({"HMGET", names_.of(cursors[which[n]].database).keys[0], "history", "seq", "time",
                     "floor", "fence", "server"});
  };
  const std::vector<Answer> answers = ask_each(tags, add, deadline);
  std::vector<std::size_t> behind;
  for (std::size_t n = 0; n < which.size(); ++n) {
    const Cursor& cursor = cursors[which[n]];
    StoredHead stored = head_of(*answers[n].reply);
    if (stored.head.exists() && stored.server != answers[n].server) stored = head(cursor.database, deadline);
    if (stored.head.history != cursor.at.history || stored.head.seq > cursor.at.seq) {
      behind.push_back(which[n]);
    }
  }
  return behind;
}

}  // namespace holdfast::redis
