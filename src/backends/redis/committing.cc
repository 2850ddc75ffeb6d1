#include "backends/redis/committing.h"

#include <algorithm>

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
  const DatabaseKeys keys = server_.names().of(group.database);
  Arguments arguments{group.database,
                      keys.encoded_name,
                      keys.base,
                      hex16(group.session.first) + hex16(group.session.second),
                      std::to_string(group.number),
                      hex16(group.content_hash),
                      group.retry ? "1" : "0",
                      hex16(group.history),
                      hex16(server_.new_history()),
                      std::to_string(group.now_ms),
                      std::to_string(group.clock_skew_limit_ms),
                      hex16(group.token),
                      shape_of(group),
                      wait_replicas_ > 0 ? "1" : "0"};
  for (const Batch& batch : group.batches) {
    for (const Check& check : batch.checks) add_check(arguments, check);
    for (const Write& write : batch.writes) add_write(arguments, write);
    arguments.add(".");
  }
  server_.add_call(request, connection, group.database, frees_only(group) ? "commit_erases" : "commit",
                   arguments);
}

void Committing::commit(std::vector<Group*> groups, Deadline deadline) {
  std::vector<Group*> sent;
  try {
    Pool::Lease connection = server_.pool().take(deadline);
    while (!groups.empty()) groups = round(*connection, groups, sent, deadline);
  } catch (const Error& error) {
    for (Group* group : groups) {
      const bool is_open = std::find(sent.begin(), sent.end(), group) != sent.end();
      if (!is_open && (group->error || !group->outcomes.empty())) continue;
      group->outcomes.clear();
      group->error = is_open ? error.with_unknown_outcome() : error;
    }
  }
}

std::vector<Group*> Committing::round(Connection& connection, const std::vector<Group*>& groups,
                                      std::vector<Group*>& sent, Deadline deadline) {
  Request request;
  for (const Group* group : groups) add_group(request, connection, *group);
  if (wait_replicas_ > 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock_->steady_now());
    request.command(
        {"WAIT", std::to_string(wait_replicas_), std::to_string(std::max<std::int64_t>(left.count(), 1))});
  }
  sent = groups;
  connection.send(request, deadline);
  std::vector<Group*> again;
  std::vector<Group*> answered;
  bool is_loaded = true;
  std::vector<std::pair<Group*, Reply>> to_adopt;
  for (Group* group : groups) {
    Reply reply = connection.receive(deadline);
    bool is_open = false;
    if (is_missing_function(*reply)) {
      is_loaded = false;
      again.push_back(group);
    } else if (is_of_another_server(*reply)) {
      again.push_back(group);
      to_adopt.emplace_back(group, std::move(reply));
    } else if (is_error(*reply)) {
      const Error error = error_of(*reply);
      const bool is_judged = is_refusal(*reply) || error.code() == Code::corruption;
      group->error = is_judged ? error : error.with_unknown_outcome();
    } else {
      try {
        take_answer(*reply, *group);
        answered.push_back(group);
        is_open = wait_replicas_ > 0;
      } catch (const Error& error) {
        group->error = error;
      }
    }
    if (!is_open) sent.erase(std::find(sent.begin(), sent.end(), group));
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
    sent.clear();
  }
  if (!is_loaded) server_.load_library(connection, deadline);
  for (const auto& [group, reply] : to_adopt) server_.adopt(connection, group->database, *reply, deadline);
  return again;
}

}  // namespace holdfast::redis
