// The keys of a job queue; the table of the layout is in queue.cc.
#pragma once

#include <cstdint>

#include "holdfast/queue.h"

namespace holdfast {

inline constexpr std::size_t kJobStampBytes = 16;
inline constexpr std::size_t kJobIdBytes = kJobStampBytes + 5;
inline constexpr int kJobPriorities = 10;

class QueueKeys {
 public:
  /// Throws invalid_argument for what is no prefix or no name.
  QueueKeys(View prefix, View queue);

  const Bytes& base() const { return base_; }
  Bytes settings() const { return base_ + "settings"; }
  Bytes paused() const { return base_ + "paused"; }
  Bytes turn() const { return base_ + "turn"; }
  Bytes place() const { return base_ + "place"; }
  /// Of the processes that share the queue.
  Bytes claimers() const { return base_ + "claimer/"; }

  Bytes ready() const { return base_ + "ready/"; }
  /// Of the jobs of a tenant; an empty one: of those that have none.
  Bytes ready(View tenant, int priority) const;
  /// Those without a tenant among ready(), and all others: "<tenants><tenant>/<priority>/<id>".
  Range without_tenant() const { return {ready() + '0', ready() + ':'}; }
  Bytes tenants() const { return ready() + "t/"; }
  Bytes delayed() const { return base_ + "delayed/"; }
  Bytes delayed(UnixMs due_at_ms) const;
  Bytes leased() const { return base_ + "leased/"; }
  Bytes leased(UnixMs ends_at_ms) const;
  Bytes chains() const { return base_ + "chain/"; }
  Bytes chain(View ordering_key) const;
  Bytes lock(View ordering_key) const;
  Bytes unique(View unique_key) const;
  Bytes blocked() const { return base_ + "blocked/"; }
  Bytes children() const { return base_ + "child/"; }
  /// Of the jobs that `parent` waits for, and of one of them: all were sent in one commit.
  Bytes children(View parent) const { return children() + Bytes(parent) + '/'; }
  Bytes child(View parent, View id) const;
  /// Of a job that is delayed, waits, or is ready and has a tenant: its entry says where the job is.
  Bytes at() const { return base_ + "at/"; }
  Bytes done() const { return base_ + "done/"; }
  /// Of a completed job that is kept by number: when it was completed.
  Bytes finished() const { return base_ + "finished/"; }
  Bytes finished(UnixMs at_ms) const;
  Bytes result(View id) const { return base_ + "result/" + Bytes(id); }
  Bytes dead() const { return base_ + "dead/"; }

  /// All that is due: the keys of `of`, which is delayed() or leased(), up to `now_ms`.
  static Range due(const Bytes& of, UnixMs now_ms);
  /// What stands behind base(), without the id.
  Bytes where(View key) const;

 private:
  Bytes base_;
};

/// What stands behind the stamp in an id: the place in the commit.
Bytes job_suffix(std::uint32_t place);
/// Of another job of the same commit, by what stands behind the stamp in its id.
inline JobId sibling_id(View id, View suffix) { return JobId(id.substr(0, kJobStampBytes)) + Bytes(suffix); }
/// The id that a key of a job ends with.
inline JobId job_id_of(View key) { return JobId(key.substr(key.size() - kJobIdBytes)); }
/// Throws invalid_argument for what is no id.
void validate_job_id(View id);

/// What a token says.
struct LeaseToken {
  UnixMs ends_at_ms = 0;
  Seq version = 0;
  /// To complete the job is to remove it, and nothing else, as long as the settings of the queue are those
  /// that had this version (0: none were set).
  bool is_plain = false;
  Seq settings_version = 0;

  Bytes text() const;
  /// Throws invalid_argument for what is no token.
  static LeaseToken parse(View text);
};

}  // namespace holdfast
