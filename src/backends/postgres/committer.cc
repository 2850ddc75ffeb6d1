#include "backends/postgres/committer.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <limits>

#include "backends/postgres/check_arrays.h"
#include "backends/postgres/head_row.h"
#include "backends/postgres/schema.h"
#include "contract/head.h"

namespace holdfast::postgres {
namespace {

constexpr std::int64_t kNoExpiry = std::numeric_limits<std::int64_t>::min();
constexpr int kParameters = 38;

enum Status : std::int32_t { kDone, kBusy, kRefused, kRecorded, kElsewhere };
enum Column : int {
  kStatus,
  kHistory,
  kSeq,
  kHeadTime,
  kFloor,
  kFence,
  kToken,
  kFenceDetail,
  kApplied,
  kOutcomes,
  kLastNumber,
  kLastHash,
  kLastHistory,
  kLastSeq,
  kLastApplied,
  kLastOutcomes,
  kLastImport
};

/// The sixteen bytes of a session's id.
std::string session_bytes(const SessionId& session) {
  std::string out;
  for (const std::uint64_t half : {session.first, session.second}) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((half >> shift) & 0xff);
  }
  return out;
}

struct WriteArrays {
  ArrayParameter batch = ArrayParameter::int4s(), key = ArrayParameter::byteas();
  ArrayParameter suffix = ArrayParameter::byteas(), value = ArrayParameter::byteas();
  ArrayParameter expires = ArrayParameter::int8s(), version = ArrayParameter::int8s();
  ArrayParameter erase_batch = ArrayParameter::int4s(), erase_key = ArrayParameter::byteas();
  ArrayParameter erase_reap = ArrayParameter::booleans();
  bool is_distinct = true;

  explicit WriteArrays(const Group& group) {
    std::size_t puts = 0;
    std::size_t bytes = 0;
    bool has_stamps = false;
    absl::flat_hash_set<View> keys;
    for (const Batch& one : group.batches) {
      for (const Write& write : one.writes) {
        if (write.kind == Write::Kind::put_stamped) has_stamps = true;
        ++puts;
        bytes += write.value.size();
      }
    }
    value.reserve(puts, bytes);
    std::int32_t number = 0;
    for (const Batch& one : group.batches) {
      ++number;
      for (const Write& write : one.writes) {
        if (write.kind == Write::Kind::erase || write.kind == Write::Kind::reap) {
          erase_batch.add(number);
          erase_key.add(write.key);
          erase_reap.add(write.kind == Write::Kind::reap);
          continue;
        }
        if (is_distinct && puts > 1) is_distinct = keys.insert(write.key).second;
        batch.add(number);
        key.add(write.key);
        if (has_stamps && write.kind == Write::Kind::put) suffix.add_null();
        if (write.kind == Write::Kind::put_stamped) suffix.add(write.suffix);
        value.add(write.value);
        expires.add(write.expires_at_ms.value_or(kNoExpiry));
        version.add(static_cast<std::int64_t>(write.version));
      }
    }
    if (has_stamps) is_distinct = false;
  }
};

/// Whether the group is what an import sends, or what it must not be outside of one (7.1).
bool may_import(const Group& group) {
  return std::all_of(group.batches.begin(), group.batches.end(), [](const Batch& batch) {
    return batch.checks.empty() &&
           std::all_of(batch.writes.begin(), batch.writes.end(), [](const Write& write) {
             return write.kind == Write::Kind::erase ||
                    (write.kind == Write::Kind::put && write.version != 0);
           });
  });
}

bool may_commit(const Group& group) {
  return std::all_of(group.batches.begin(), group.batches.end(), [](const Batch& batch) {
    return std::all_of(batch.writes.begin(), batch.writes.end(),
                       [](const Write& write) { return write.version == 0; });
  });
}

/// Whether there are several batches, each of which checks the one key that it puts, and nothing else: then
/// the function may check and write in one statement.
bool checks_what_it_writes(const Group& group) {
  return group.batches.size() > 1 &&
         std::all_of(group.batches.begin(), group.batches.end(), [](const Batch& batch) {
           return batch.checks.size() == 1 && batch.writes.size() == 1 &&
                  batch.checks[0].kind != Check::Kind::unchanged &&
                  batch.writes[0].kind == Write::Kind::put && batch.checks[0].key == batch.writes[0].key;
         });
}

/// Outcomes from how the function and the table keep them: null if all batches were applied, otherwise -1 for
/// those.
std::vector<Outcome> outcomes_of(std::size_t batches, const std::vector<std::int32_t>& failed, Seq seq_before,
                                 bool is_import) {
  std::vector<Outcome> outcomes(batches);
  Seq seq = seq_before;
  for (std::size_t i = 0; i < batches; ++i) {
    if (i < failed.size() && failed[i] >= 0) {
      outcomes[i].failed_check = static_cast<std::size_t>(failed[i]);
    } else if (!is_import) {
      outcomes[i].seq = ++seq;
    }
  }
  return outcomes;
}

std::string commit_text(const std::string& schema) {
  std::string text = in_schema("SELECT * FROM {s}.commit_group(", schema);
  for (int i = 1; i <= kParameters; ++i) text += (i > 1 ? ", $" : "$") + std::to_string(i);
  return text + ")";
}

}  // namespace

Committer::Committer(Server& server, std::string schema)
    : server_(server), schema_(std::move(schema)), commit_{schema_ + ".commit", commit_text(schema_)} {}

bool Committer::commit(std::span<Group> groups) {
  bool has_written = false;
  Pending pending;
  Deadline deadline = Deadline::max();
  for (Group& group : groups) {
    group.outcomes.clear();
    group.error.reset();
    pending.push_back(&group);
    deadline = std::min(deadline, effective_deadline(*server_.environment().clock, group.deadline));
  }
  while (!pending.empty()) {
    const Pending before = pending;
    bool is_sent = false;
    try {
      const Pool::Lease connection = server_.writers().take(deadline);
      try {
        // The databases that were busy go first in turn: the first waits for its lock.
        while (!pending.empty() && !connection->is_broken()) {
          pending = commit_once(*connection, pending, deadline, has_written);
        }
      } catch (const ServerError&) {
        throw;
      } catch (const Error&) {
        is_sent = connection->is_broken() && connection->is_sent();
        throw;
      }
    } catch (const ServerError& error) {
      // One group takes the others with it: they get a transaction each then.
      if (pending.size() > 1) {
        commit_alone(pending, deadline, has_written);
      } else {
        const Error& plain = error;
        pending.front()->error = pending.front()->retry ? plain.with_unknown_outcome() : plain;
      }
      pending.clear();
    } catch (const Error& error) {
      for (Group* group : pending) {
        group->error = is_sent || group->retry ? error.with_unknown_outcome() : error;
      }
      pending.clear();
    }
  }
  return has_written;
}

void Committer::commit_alone(const Pending& groups, Deadline deadline, bool& has_written) {
  for (Group* group : groups) {
    group->deadline = deadline;
    has_written = commit({group, 1}) || has_written;
  }
}

Committer::Pending Committer::commit_once(Connection& connection, const Pending& groups, Deadline deadline,
                                          bool& has_written) {
  std::vector<Call> calls;
  calls.reserve(groups.size());
  for (const Group* group : groups) {
    calls.push_back(call_for(*group, connection.facts(), group == groups.front()));
  }
  const std::vector<Rows> answers = connection.run(calls, deadline);
  if (answers.front().int4(0, kStatus) == kElsewhere) {
    connection.abandon();
    return groups;
  }
  Pending busy;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    try {
      if (!take_answer(*groups[i], answers[i], has_written)) busy.push_back(groups[i]);
    } catch (const Error& error) {
      groups[i]->error = error;
    }
  }
  return busy;
}

Call Committer::call_for(const Group& group, const ServerFacts& facts, bool waits) const {
  std::uint64_t new_history = 0;
  while (new_history == 0) new_history = server_.environment().random->next();
  CheckArrays checks;
  for (std::size_t i = 0; i < group.batches.size(); ++i) {
    const std::vector<Check>& all = group.batches[i].checks;
    for (std::size_t k = 0; k < all.size(); ++k) {
      checks.add(static_cast<std::int32_t>(i + 1), static_cast<std::int32_t>(k), all[k]);
    }
  }
  WriteArrays writes(group);
  const bool is_fusible = writes.is_distinct && checks_what_it_writes(group);
  Call call{&commit_, {}};
  Parameters& out = call.parameters;
  out.int8(lock_number("commit", schema_, group.database))
      .boolean(waits)
      .bytes(group.database)
      .bytes(facts.lineage);
  out.int8(new_history).int8(group.history).bytes(session_bytes(group.session)).int8(group.number);
  out.int8(group.content_hash).boolean(group.retry).int8(group.now_ms).int8(group.clock_skew_limit_ms);
  out.int8(group.token).boolean(may_commit(group)).boolean(may_import(group));
  out.int4(static_cast<std::int32_t>(group.batches.size()));
  checks.move_to(out);
  out.array(std::move(writes.batch)).array(std::move(writes.key)).array(std::move(writes.suffix));
  out.array(std::move(writes.value)).array(std::move(writes.expires)).array(std::move(writes.version));
  out.boolean(writes.is_distinct).array(std::move(writes.erase_batch)).array(std::move(writes.erase_key));
  out.array(std::move(writes.erase_reap)).int8(facts.started_us).boolean(is_fusible);
  return call;
}

bool Committer::take_answer(Group& group, const Rows& rows, bool& has_written) const {
  const std::int32_t status = rows.int4(0, kStatus);
  if (status == kBusy) return false;
  Head head;
  head.history = static_cast<std::uint64_t>(rows.int8_or_0(0, kHistory));
  head.seq = static_cast<Seq>(rows.int8_or_0(0, kSeq));
  head.time_ms = rows.int8_or_0(0, kHeadTime);
  head.floor = static_cast<Seq>(rows.int8_or_0(0, kFloor));
  head.fence = fence_of(rows.int4(0, kFence), rows.int8_or_0(0, kToken), rows.bytes(0, kFenceDetail));
  std::optional<SessionRecord> last;
  if (!rows.is_null(0, kLastNumber)) {
    last.emplace();
    last->number = static_cast<std::uint64_t>(rows.int8(0, kLastNumber));
    last->content_hash = static_cast<std::uint64_t>(rows.int8(0, kLastHash));
    last->at = {static_cast<std::uint64_t>(rows.int8(0, kLastHistory)),
                static_cast<Seq>(rows.int8(0, kLastSeq))};
    const auto applied = static_cast<Seq>(rows.int4(0, kLastApplied));
    last->outcomes = outcomes_of(group.batches.size(), rows.int4s(0, kLastOutcomes), last->at.seq - applied,
                                 rows.boolean(0, kLastImport));
  }
  if (status == kRecorded) {
    group.outcomes = std::move(last->outcomes);
    group.at = last->at;
    return true;
  }
  if (status == kRefused) {
    judge_session(last ? &*last : nullptr, group);
    admit_commit(head, group);
    throw Error(Code::internal, "PostgreSQL refused a group of database \"" + group.database +
                                    "\" for no reason that this library knows");
  }
  const auto applied = static_cast<Seq>(rows.int4(0, kApplied));
  const bool is_import = head.fence.state == Fence::State::importing;
  const bool is_recorded = must_record(group, applied);
  group.outcomes = outcomes_of(group.batches.size(), rows.int4s(0, kOutcomes),
                               is_import || !is_recorded ? head.seq : head.seq - applied, is_import);
  group.at = head.position();
  has_written = has_written || is_recorded;
  return true;
}

}  // namespace holdfast::postgres
