#include "backends/redis/committing.h"

#include <algorithm>
#include <map>
#include <optional>

#include "backends/redis/functions.h"
#include "contract/mere_put.h"

namespace holdfast::redis {
namespace {

/// Which states of a database a group can be meant for, "10" for one that is open: §7.1, as admit_commit()
/// says it.
const char* shape_of(const Group& group) {
  bool while_open = true;
  bool while_importing = true;
  for (const Batch& batch : group.batches) {
    if (!batch.checks.empty()) while_importing = false;
    for (const Write& write : batch.writes) {
      if (write.version != 0) while_open = false;
      const bool has_version = write.kind == Write::Kind::put && write.version != 0;
      if (!has_version && write.kind != Write::Kind::erase) while_importing = false;
    }
  }
  if (while_open) return while_importing ? "11" : "10";
  return while_importing ? "01" : "00";
}

bool frees_only(const Group& group) {
  return std::all_of(group.batches.begin(), group.batches.end(), [](const Batch& batch) {
    return std::all_of(batch.writes.begin(), batch.writes.end(), [](const Write& write) {
      return write.kind == Write::Kind::erase || write.kind == Write::Kind::reap;
    });
  });
}

/// Whether each batch is one put without an expiry, with no check but one of the same key: §3 in few words.
bool puts_only(const Group& group) {
  return std::all_of(group.batches.begin(), group.batches.end(), [](const Batch& batch) {
    return is_mere_put(batch) && !batch.writes.front().expires_at_ms;
  });
}

void add_put(Arguments& arguments, const Batch& batch) {
  const Write& write = batch.writes.front();
  if (batch.checks.empty()) {
    arguments.add("");
    arguments.add(write.key);
  } else {
    add_check(arguments, batch.checks.front());
  }
  arguments.add(write.value);
}

void add_write(Arguments& arguments, const Write& write) {
  switch (write.kind) {
    case Write::Kind::put:
      if (write.version != 0) {
        arguments.add("i" + std::to_string(write.version) + " " + encode_expiry(write.expires_at_ms));
      } else {
        arguments.add("p" + encode_expiry(write.expires_at_ms));
      }
      arguments.add(write.key);
      arguments.add(write.value);
      return;
    case Write::Kind::put_stamped:
      arguments.add("s" + encode_expiry(write.expires_at_ms));
      arguments.add(write.key);
      arguments.add(write.suffix);
      arguments.add(write.value);
      return;
    case Write::Kind::erase:
      arguments.add("e");
      arguments.add(write.key);
      return;
    case Write::Kind::reap:
      arguments.add("r");
      arguments.add(write.key);
      return;
  }
}

/// The function says that a group was refused, and the head that it was judged on; the rules say why.
[[noreturn]] void throw_refusal(const redisReply& reply, const Group& group) {
  const std::vector<const redisReply*> parts = elements_of(reply, 2);
  const std::vector<const redisReply*> fields = elements_of(*parts[1], kHeadFields + 1);
  std::optional<SessionRecord> record;
  if (const std::optional<View> text = optional_text(*fields[kHeadFields])) record = decode_session(*text);
  judge_session(record ? &*record : nullptr, group);
  admit_commit(head_of(*parts[1]).head, group);
  throw Error(Code::internal,
              "the Redis server refused a group of database \"" + group.database + "\" that may be applied");
}

void take_answer(const redisReply& reply, Group& group) {
  if (reply.type == REDIS_REPLY_ARRAY) throw_refusal(reply, group);
  GroupAnswer answer = decode_answer(text_of(reply));
  if (answer.outcomes.size() != group.batches.size()) {
    throw Error(Code::internal, "the Redis server answered for another number of batches than were sent");
  }
  group.outcomes = std::move(answer.outcomes);
  group.at = answer.at;
}

}  // namespace

void Committing::add_group(Request& request, const Connection& connection, const Group& group) {
  static const std::string kCommit = function_name("commit");
  static const std::string kCommitErases = function_name("commit_erases");
  const DatabaseKeys keys = server_.names().of(group.database);
  const bool is_plain = puts_only(group);
  std::string switches = is_plain ? "p" : "b";
  switches += shape_of(group);
  switches += group.retry ? "1" : "0";
  switches += wait_replicas_ > 0 ? "1" : "0";
  Arguments arguments{keys.base,
                      "s:" + hex16(group.session.first) + hex16(group.session.second),
                      std::to_string(group.number),
                      hex16(group.content_hash),
                      hex16(group.history),
                      std::to_string(group.now_ms),
                      switches,
                      std::to_string(group.clock_skew_limit_ms) + " " + hex16(group.token) + " " +
                          hex16(server_.new_history()) + " " + keys.encoded_name + " " + group.database};
  for (const Batch& batch : group.batches) {
    if (is_plain) {
      add_put(arguments, batch);
      continue;
    }
    for (const Check& check : batch.checks) add_check(arguments, check);
    for (const Write& write : batch.writes) add_write(arguments, write);
    arguments.add(".");
  }
  // A group that wants a history is refused where there is no database yet.
  const bool needs_registries = !is_plain || group.history == 0;
  Server::add_call(request, connection, keys, frees_only(group) ? kCommitErases : kCommit, arguments,
                   needs_registries ? Server::Keys::all : Server::Keys::own);
}

struct Committing::Exchange {
  Pool* pool = nullptr;
  std::vector<Sending> groups;
  std::optional<Pool::Lease> connection = {};
  /// Those that may have been applied, and have no answer yet.
  std::vector<Group*> open = {};
};

void Committing::commit(const std::vector<Group*>& groups, Deadline deadline) {
  std::vector<Sending> sendings;
  for (Group* group : groups) {
    try {
      sendings.push_back({group, server_.nodes().route(KeyNames::tag_of(group->database), deadline)});
    } catch (const Error& error) {
      group->error = error;
    }
  }
  while (!sendings.empty()) sendings = round(sendings, deadline);
}

std::vector<Committing::Sending> Committing::round(const std::vector<Sending>& groups, Deadline deadline) {
  // In the order of the nodes: who needs connections to several never waits for somebody who waits for it.
  std::map<Pool*, Exchange> exchanges;
  for (const Sending& sending : groups) {
    Exchange& exchange = exchanges[sending.route.pool];
    exchange.pool = sending.route.pool;
    exchange.groups.push_back(sending);
  }
  const auto attempt = [&](Exchange& exchange, const auto& step) {
    try {
      step();
    } catch (const Error& error) {
      fail(exchange, error);
    }
  };
  for (auto& [pool, exchange] : exchanges) attempt(exchange, [&, &to = exchange] { send(to, deadline); });
  std::vector<Sending> again;
  for (auto& [pool, exchange] : exchanges) {
    if (exchange.groups.empty()) continue;
    attempt(exchange, [&, &from = exchange] { receive(from, again, deadline); });
  }
  return again;
}

void Committing::fail(Exchange& exchange, const Error& error) {
  if (error.code() == Code::unavailable || error.code() == Code::timeout) server_.nodes().doubt();
  for (const Sending& sending : exchange.groups) {
    Group& group = *sending.group;
    const bool is_open = std::find(exchange.open.begin(), exchange.open.end(), &group) != exchange.open.end();
    if (!is_open && (group.error || !group.outcomes.empty())) continue;
    group.outcomes.clear();
    group.error = is_open ? error.with_unknown_outcome() : error;
  }
  exchange.groups.clear();
}

void Committing::send(Exchange& exchange, Deadline deadline) {
  exchange.connection.emplace(exchange.pool->take(deadline));
  Connection& connection = **exchange.connection;
  Request request;
  for (const Sending& sending : exchange.groups) {
    if (sending.route.asking) request.command({"ASKING"});
    add_group(request, connection, *sending.group);
  }
  if (wait_replicas_ > 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_->steady_now());
    request.command(
        {"WAIT", std::to_string(wait_replicas_), std::to_string(std::max<std::int64_t>(left.count(), 1))});
  }
  for (const Sending& sending : exchange.groups) exchange.open.push_back(sending.group);
  connection.send(request, deadline);
}

void Committing::receive(Exchange& exchange, std::vector<Sending>& again, Deadline deadline) {
  Connection& connection = **exchange.connection;
  struct Redirected {
    Sending sending;
    Redirection redirection;
  };
  std::vector<Group*> answered;
  std::vector<Redirected> redirected;
  std::vector<Sending> repeated;
  std::vector<std::pair<Sending, Reply>> to_adopt;
  bool is_loaded = true;
  for (const Sending& sending : exchange.groups) {
    Group* group = sending.group;
    if (sending.route.asking) connection.receive(deadline);
    Reply reply = connection.receive(deadline);
    bool is_open = false;
    if (const auto redirection = redirection_of(*reply)) {
      redirected.push_back({sending, *redirection});
    } else if (is_missing_function(*reply)) {
      is_loaded = false;
      repeated.push_back(sending);
    } else if (is_of_another_server(*reply)) {
      to_adopt.emplace_back(sending, std::move(reply));
    } else if (is_error(*reply)) {
      const Error error = error_of(*reply);
      const bool is_judged = is_refusal(*reply) || error.code() == Code::corruption;
      group->error = is_judged ? error : error.with_unknown_outcome();
      if (error.code() == Code::unavailable) server_.nodes().doubt();
    } else {
      try {
        take_answer(*reply, *group);
        answered.push_back(group);
        is_open = wait_replicas_ > 0;
      } catch (const Error& error) {
        group->error = error;
      }
    }
    if (!is_open) exchange.open.erase(std::find(exchange.open.begin(), exchange.open.end(), group));
  }
  if (wait_replicas_ > 0) {
    const Reply reply = connection.receive(deadline);
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < wait_replicas_) {
      for (Group* group : answered) {
        group->outcomes.clear();
        group->error = Error(Code::unavailable, "fewer replicas than wait_replicas have received the commit")
                           .with_unknown_outcome();
      }
    }
    exchange.open.clear();
  }
  if (!is_loaded) server_.load_library(connection, deadline);
  for (const auto& [sending, reply] : to_adopt) {
    server_.adopt(connection, sending.group->database, *reply, sending.route.asking, deadline);
    repeated.push_back(sending);
  }
  exchange.connection.reset();
  for (Redirected& one : redirected) {
    Sending& sending = one.sending;
    if (++sending.redirections == kMostRedirections) {
      sending.group->error =
          Error(Code::unavailable, "the slot of the database is being moved to another node of the cluster");
      continue;
    }
    sending.route = server_.nodes().follow(one.redirection, KeyNames::tag_of(sending.group->database),
                                           sending.route, deadline);
    repeated.push_back(sending);
  }
  // Last: whoever is to be sent again has not failed.
  again.insert(again.end(), repeated.begin(), repeated.end());
}

}  // namespace holdfast::redis
