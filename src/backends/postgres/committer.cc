#include "backends/postgres/committer.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>

#include "backends/postgres/check_arrays.h"
#include "backends/postgres/head_row.h"
#include "backends/postgres/schema.h"
#include "contract/head.h"

namespace holdfast::postgres {
namespace {

constexpr int kParameters = 37;
constexpr int kPutsParameters = 18;
/// Groups that are sent the long way after one of their database's had to be.
constexpr std::uint32_t kDetour = 8;
/// Names of databases and sessions that are kept.
constexpr std::size_t kMostPlaces = 10'000;

enum Status : std::int32_t { kDone, kBusy, kRefused, kRecorded, kElsewhere, kUnexpected, kFailed };
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
  kLastImport,
  kDatabaseId,
  kSessionId,
  kEpoch
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

/// `what` is "SELECT " for a function that gives one value.
Statement call_of(const std::string& what, const std::string& function, int parameters,
                  const std::string& schema) {
  std::string text = in_schema(what + "{s}." + function + "(", schema);
  for (int i = 1; i <= parameters; ++i) text += (i > 1 ? ", $" : "$") + std::to_string(i);
  return {schema + "." + function, text + ")"};
}

}  // namespace

Committer::Committer(Server& server, std::string schema)
    : server_(server),
      schema_(std::move(schema)),
      lock_{"lock", "SELECT pg_advisory_xact_lock($1::int8)"},
      commit_(call_of("SELECT * FROM ", "commit_group", kParameters, schema_)),
      puts_(call_of("SELECT ", "put_group", kPutsParameters, schema_)),
      direct_(schema_) {}

bool Committer::commit(std::span<Group> groups) {
  bool has_written = false;
  Pending pending;
  Deadline deadline = Deadline::max();
  for (Group& group : groups) {
    group.outcomes.clear();
    group.error.reset();
    pending.push_back({&group, Way::direct});
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
        Group& group = *pending.front().group;
        group.error = group.retry ? plain.with_unknown_outcome() : plain;
      }
      pending.clear();
    } catch (const Error& error) {
      for (const Task& task : pending) {
        task.group->error = is_sent || task.group->retry ? error.with_unknown_outcome() : error;
      }
      pending.clear();
    }
  }
  return has_written;
}

void Committer::commit_alone(const Pending& groups, Deadline deadline, bool& has_written) {
  for (const Task& task : groups) {
    task.group->deadline = deadline;
    has_written = commit({task.group, 1}) || has_written;
  }
}

std::int32_t Committer::status_of(Way way, const Rows& answer) {
  if (way == Way::general) return answer.int4(0, kStatus);
  if (answer.size() == 0) return kUnexpected;
  const std::int64_t seq_or_status = answer.int8(0, 0);
  return seq_or_status >= 0 ? std::int32_t{kDone} : static_cast<std::int32_t>(-seq_or_status);
}

Committer::Pending Committer::commit_once(Connection& connection, const Pending& groups, Deadline deadline,
                                          bool& has_written) {
  std::vector<Call> calls;
  std::vector<Sent> sent;
  calls.reserve(groups.size() + 1);
  for (const Task& task : groups) sent.push_back(add_call(task, connection.facts(), calls));
  const std::vector<Rows> answers = connection.run(calls, deadline);
  for (const Sent& each : sent) {
    if (status_of(each.way, answers[each.call]) == kElsewhere) {
      connection.abandon();
      return groups;
    }
  }
  Pending left;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const Way way = sent[i].way;
    const Rows& answer = answers[sent[i].call];
    Group& group = *groups[i].group;
    const std::int32_t status = status_of(way, answer);
    if (status == kBusy) {
      left.push_back(groups[i]);
    } else if (way == Way::general) {
      try {
        take_answer(group, answer, connection.facts(), has_written);
      } catch (const Error& error) {
        group.error = error;
      }
      if (groups[i].way == Way::general) note_detour(group);
    } else if (status != kDone) {
      if (way == Way::puts && status == kUnexpected) forget(group);
      left.push_back({&group, Way::general});
    } else {
      const auto before = static_cast<Seq>(answer.int8(0, 0));
      group.outcomes = outcomes_of(group.batches.size(), {}, before, false);
      group.at = {sent[i].history, before + group.batches.size()};
      note_seq(group);
      has_written = true;
    }
  }
  return left;
}

template <class Use>
void Committer::with_place(const Group& group, const Use& use) {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find({group.database, group.session});
  if (found != places_.end()) use(found->second);
}

std::optional<Committer::Place> Committer::place_of(const Group& group) {
  std::optional<Place> taken;
  with_place(group, [&](Place& place) {
    if (place.detour > 0) {
      --place.detour;
      return;
    }
    taken = place;
    if (place.no_direct > 0) --place.no_direct;
  });
  return taken;
}

void Committer::note_seq(const Group& group) {
  with_place(group, [&](Place& place) { place.ids.seq = group.at.seq; });
}

void Committer::note_detour(const Group& group) {
  const bool has_failed = std::any_of(group.outcomes.begin(), group.outcomes.end(),
                                      [](const Outcome& outcome) { return !outcome.committed(); });
  with_place(group, [&](Place& place) { (has_failed ? place.detour : place.no_direct) = kDetour; });
}

void Committer::forget(const Group& group) {
  const std::lock_guard lock(mutex_);
  places_.erase({group.database, group.session});
}

void Committer::remember(const Group& group, const PlaceIds& ids) {
  const std::lock_guard lock(mutex_);
  if (places_.size() >= kMostPlaces) places_.clear();
  places_[{group.database, group.session}].ids = ids;
}

Committer::Sent Committer::add_call(const Task& task, const ServerFacts& facts, std::vector<Call>& calls) {
  const Group& group = *task.group;
  const bool waits = calls.empty();
  if (task.way != Way::general && !group.retry && PutArrays::are_enough_for(group)) {
    const std::optional<Place> place = place_of(group);
    if (place && place->ids.started_us == facts.started_us &&
        (group.history == 0 || group.history == place->ids.history)) {
      // One that does not wait would have to know whether it has the lock. And a text that is not kept is
      // better a short one.
      if (waits && place->no_direct == 0 && server_.settings().prepared_statements) {
        if (std::optional<Call> call = direct_.call_for(group, place->ids)) {
          calls.push_back({&lock_, Parameters().int8(lock_number("commit", schema_, group.database))});
          calls.push_back(*std::move(call));
          return {Way::direct, calls.size() - 1, place->ids.history};
        }
      }
      calls.push_back(puts_call(group, place->ids, waits));
      return {Way::puts, calls.size() - 1, place->ids.history};
    }
  }
  calls.push_back(general_call(group, facts, waits));
  return {Way::general, calls.size() - 1, 0};
}

Call Committer::puts_call(const Group& group, const PlaceIds& place, bool waits) const {
  PutArrays puts(group);
  Call call{&puts_, {}};
  Parameters& out = call.parameters;
  out.int8(lock_number("commit", schema_, group.database)).boolean(waits).int8(place.started_us);
  out.int8(place.database).int8(place.epoch).int8(place.history).int8(place.seq);
  out.int8(place.session).int8(group.number).int8(group.content_hash);
  out.int8(group.now_ms).int8(group.clock_skew_limit_ms);
  out.int4(static_cast<std::int32_t>(group.batches.size()));
  out.array(std::move(puts.key)).array(std::move(puts.value));
  if (puts.has_expires) {
    out.array(std::move(puts.expires));
  } else {
    out.null();
  }
  if (puts.has_checks) {
    out.array(std::move(puts.version));
  } else {
    out.null();
  }
  out.boolean(puts.is_update);
  return call;
}

Call Committer::general_call(const Group& group, const ServerFacts& facts, bool waits) const {
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
  out.array(std::move(writes.erase_reap)).int8(facts.started_us);
  return call;
}

void Committer::take_answer(Group& group, const Rows& rows, const ServerFacts& facts, bool& has_written) {
  const std::int32_t status = rows.int4(0, kStatus);
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
    return;
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
  if (head.fence.state != Fence::State::open) {
    forget(group);
  } else if (is_recorded) {
    remember(group, {rows.int8(0, kDatabaseId), rows.int8(0, kSessionId), head.seq, rows.int8(0, kEpoch),
                     head.history, facts.started_us});
  }
}

}  // namespace holdfast::postgres
