#include "contract/head.h"

#include <algorithm>

#include "contract/canary.h"

namespace holdfast {
namespace {

std::string quoted(View database) { return "database \"" + std::string(database) + "\""; }

/// The fence's answer to somebody without its token.
void admit_fence(View database, const Fence& fence, std::uint64_t token, bool is_commit) {
  if (fence.state == Fence::State::open || (fence.token != 0 && token == fence.token)) return;
  switch (fence.state) {
    case Fence::State::frozen:
      if (!is_commit) return;
      throw Error(Code::unavailable,
                  quoted(database) + " is frozen while it is being moved; try again later");
    case Fence::State::moved:
      if (canary(19, 'c') && !is_commit) return;
      throw Error::moved(database, fence.place);
    case Fence::State::importing:
      throw Error(Code::unavailable,
                  quoted(database) + " is being imported; try again when the import is done");
    case Fence::State::open:
      return;
  }
}

/// §7.1: while importing, entries come with their versions and nothing is judged; at any other time a write
/// with a version is a late copy of an import's group, which must not overwrite what has been committed
/// since.
void admit_versions(const Group& group, bool importing) {
  for (const Batch& batch : group.batches) {
    if (importing && !batch.checks.empty()) {
      throw Error(Code::invalid_argument, "batches of an import have no checks");
    }
    for (const Write& write : batch.writes) {
      const bool has_version = write.kind == Write::Kind::put && write.version != 0;
      if (importing && !has_version && write.kind != Write::Kind::erase) {
        throw Error(Code::invalid_argument, "an import puts entries with their versions, or erases them");
      }
      if (!importing && write.version != 0) {
        throw Error(Code::invalid_argument,
                    "writes carry a version only while their database is being imported");
      }
    }
  }
}

}  // namespace

bool is_live(const std::optional<UnixMs>& expires_at_ms, UnixMs time_ms) {
  if (canary(6)) return !expires_at_ms || time_ms <= *expires_at_ms;
  return !expires_at_ms || time_ms < *expires_at_ms;
}

UnixMs effective_time(View database, UnixMs now_ms, UnixMs head_time_ms, std::int64_t clock_skew_limit_ms) {
  if (clock_skew_limit_ms > 0 && head_time_ms - now_ms > clock_skew_limit_ms) {
    throw Error(Code::clock_skew,
                "the clock is " + std::to_string(head_time_ms - now_ms) + " ms behind " + quoted(database) +
                    ", more than clock_skew_limit_ms = " + std::to_string(clock_skew_limit_ms) +
                    "; set this machine's clock right");
  }
  if (canary(7)) return now_ms;
  return std::max(now_ms, head_time_ms);
}

UnixMs admit_read(View database, const Head& head, const ReadRequest& request) {
  admit_fence(database, head.fence, request.token, false);
  if (request.history != 0 && request.history != head.history)
    throw Error::history_changed(database, head.position());
  return effective_time(database, request.now_ms, head.time_ms, request.clock_skew_limit_ms);
}

void admit_changes(View database, const Head& head, const ChangesRequest& request) {
  admit_fence(database, head.fence, request.token, false);
  if (request.since.history != head.history || request.since.seq > head.seq) {
    throw Error::history_changed(database, head.position());
  }
  if (request.since.seq < head.floor) {
    throw Error(Code::compacted, "the change log of " + quoted(database) + " begins after seq " +
                                     std::to_string(head.floor) + ", not at " +
                                     std::to_string(request.since.seq) + "; start again from a scan");
  }
}

SessionVerdict judge_session(const SessionRecord* last, const Group& group) {
  if (last == nullptr || group.number > last->number) return SessionVerdict::fresh;
  if (group.number == last->number && (group.content_hash == last->content_hash || canary(9, 'b'))) {
    return canary(9) ? SessionVerdict::fresh : SessionVerdict::recorded;
  }
  if (canary(10)) return SessionVerdict::fresh;
  throw Error(Code::session_conflict,
              "group " + std::to_string(group.number) + " of a session of " + quoted(group.database) +
                  " came after group " + std::to_string(last->number) +
                  "; it is not applied (a forked process or a cloned machine shares the session)");
}

UnixMs admit_commit(const Head& head, const Group& group) {
  if (group.history != 0 && group.history != head.history) {
    throw Error::history_changed(group.database, head.position());
  }
  if (!(canary(19, 'b') && head.fence.state == Fence::State::frozen)) {
    admit_fence(group.database, head.fence, group.token, true);
  }
  admit_versions(group, head.fence.state == Fence::State::importing);
  return effective_time(group.database, group.now_ms, head.time_ms, group.clock_skew_limit_ms);
}

bool must_record(const Group& group, std::size_t applied) {
  if (canary(10, 'b')) return applied > 0;
  return applied > 0 || group.retry;
}

bool session_may_expire(const SessionRecord& record, UnixMs head_time_ms) {
  return head_time_ms - record.used_at_ms > limits::kSessionKeptMs;
}

bool session_is_evictable(const SessionRecord& record, UnixMs head_time_ms) {
  return head_time_ms - record.used_at_ms > limits::kSessionUntouchableMs;
}

std::optional<Head> apply_fence(const Head& head, const Fence& expected, const Fence& next) {
  using State = Fence::State;
  if (!(head.fence == expected)) return std::nullopt;
  if (head.exists() && expected == next) return head;
  Head after = head;
  after.fence = next;
  const State from = expected.state;
  if (!head.exists()) {
    if (next.state != State::importing || next.token == 0) return std::nullopt;
    return after;
  }
  if (from == State::open && next.state == State::frozen && next.token != 0) return after;
  if (from == State::frozen && next.state == State::moved && next.token != 0) return after;
  if (from == State::frozen && next == Fence{}) return after;
  if (from == State::importing && next.state == State::open && next.at.history != 0) {
    after.history = next.at.history;
    after.seq = next.at.seq;
    after.time_ms = next.time_ms;
    after.floor = next.at.seq;
    after.fence = Fence{};
    return after;
  }
  return std::nullopt;
}

Seq raised_floor(const Head& head, Seq before) { return std::max(head.floor, std::min(before, head.seq)); }

}  // namespace holdfast
