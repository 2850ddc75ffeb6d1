// The head of a database, and the rules of the contract that need nothing but the head: whose turn it is,
// which time it is, what a fence lets through, what a session has already been told. Every backend that
// decides in this process calls these, so that the rules are written once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "holdfast/backend.h"

namespace holdfast {

/// §1.4, without the sessions. history 0 means that the database was never committed to (or is being
/// imported).
struct Head {
  std::uint64_t history = 0;
  Seq seq = 0;
  UnixMs time_ms = 0;
  Seq floor = 0;
  Fence fence;

  Position position() const { return {history, seq}; }
  /// Whether there is a head at all.
  bool exists() const { return history != 0 || fence.state == Fence::State::importing; }
};

/// What a session was told last (§3.4 a, g).
struct SessionRecord {
  std::uint64_t number = 0;
  std::uint64_t content_hash = 0;
  std::vector<Outcome> outcomes;
  Position at;
  UnixMs used_at_ms = 0;  ///< head.time of the record
};

/// §1.10.
bool is_live(const std::optional<UnixMs>& expires_at_ms, UnixMs time_ms);

/// §1.9: max(now, head.time); throws clock_skew.
UnixMs effective_time(View database, UnixMs now_ms, UnixMs head_time_ms, std::int64_t clock_skew_limit_ms);

/// §2, §7: judges history, fence and time of a read, in this order; the T of the read.
UnixMs admit_read(View database, const Head& head, const ReadRequest& request);

/// §6.1, §7: throws moved, unavailable, history_changed or compacted.
void admit_changes(View database, const Head& head, const ChangesRequest& request);

enum class SessionVerdict : std::uint8_t {
  fresh,     ///< judge and apply the group
  recorded,  ///< answer with the recorded outcomes; nothing else happens
};
/// §3.4 a. `last` is null if the session is unknown. Throws session_conflict.
SessionVerdict judge_session(const SessionRecord* last, const Group& group);

/// §3.4 b, c, d: judges history, fence and time of a group that judge_session() found fresh; the T of the
/// commit.
UnixMs admit_commit(const Head& head, const Group& group);

/// §3.4, last line: whether a group of which `applied` batches apply must be written at all.
bool must_record(const Group& group, std::size_t applied);

/// §3.8: whether a session record must or may go, given the newest head.time. `sessions` is how many there
/// are.
bool session_may_expire(const SessionRecord& record, UnixMs head_time_ms);
bool session_is_evictable(const SessionRecord& record, UnixMs head_time_ms);

/// §7: what the head becomes by a fence call, or nothing if `expected` is not there or the transition is not
/// allowed.
std::optional<Head> apply_fence(const Head& head, const Fence& expected, const Fence& next);

/// §6.4: the floor after compact(before).
Seq raised_floor(const Head& head, Seq before);

}  // namespace holdfast
