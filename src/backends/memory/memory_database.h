// One database of the memory backend: its entries, its change log and its sessions, and every rule that looks
// at them. Not thread-safe; the backend holds a lock around each call.
#pragma once

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "contract/answer.h"
#include "contract/canary.h"
#include "contract/head.h"
#include "holdfast/backend.h"

namespace holdfast {

/// Unsigned bytes, a proper prefix first (§1.2).
struct KeyOrder {
  using is_transparent = void;
  bool operator()(View a, View b) const {
    if (canary(14) && a.size() != b.size()) return a.size() < b.size();
    if (canary(14, 'b')) return signed_before(a, b);
    return a < b;
  }

 private:
  static bool signed_before(View a, View b);
};

class MemoryDatabase {
 public:
  const Head& head() const { return head_; }

  /// The answer to a request that admit_read() has let through with the effective time `time_ms`.
  ReadAnswer read(const ReadRequest& request, UnixMs time_ms) const;

  /// §3.4 e: one outcome per batch, with seqs for those that will apply. Changes nothing.
  std::vector<Outcome> judge(const Group& group, UnixMs time_ms) const;
  /// §3.4 f, g: applies what judge() has let through. `history` is the one that there is, or a new
  /// one if there is none yet.
  void apply(const Group& group, std::vector<Outcome> outcomes, UnixMs time_ms, std::uint64_t history);
  /// What the session was told last, or null.
  const SessionRecord* session(const SessionId& id) const;

  Changes changes(const ChangesRequest& request) const;
  void compact(Seq before);
  bool fence(const Fence& expected, const Fence& next);

  /// Appends at most `limit` entries with expires_at <= now_ms, oldest first, and lowers `next_due_ms` to the
  /// first that was not appended.
  void list_expired(View name, UnixMs now_ms, std::size_t limit, ExpiredAnswer& answer) const;

 private:
  struct Stored {
    Bytes value;
    Seq version = 0;
    std::optional<UnixMs> expires_at_ms;
  };
  /// The keys that one commit changed, in byte order.
  struct LogRow {
    Seq seq = 0;
    std::vector<Bytes> keys;
  };
  using Entries = absl::btree_map<Bytes, Stored, KeyOrder>;

  const Stored* find_live(View key, UnixMs time_ms) const;
  bool holds(const Check& check, UnixMs time_ms) const;
  bool is_unchanged(const Check& check, UnixMs time_ms) const;
  Page scan(const Scan& scan, UnixMs time_ms, AnswerBudget& budget) const;
  std::optional<Entry> stored_entry(const Bytes& key) const;
  /// The first row of the log with a seq above `since`.
  std::deque<LogRow>::const_iterator log_after(Seq since) const;

  /// Both return whether a stored entry changed.
  bool put(Bytes key, const Write& write, Seq version);
  bool erase(const Bytes& key);
  bool reap(const Bytes& key, UnixMs time_ms);
  bool apply_write(const Write& write, Bytes key, Seq seq, UnixMs time_ms);
  void record_session(const Group& group, std::vector<Outcome> outcomes);

  Head head_;
  Entries entries_;
  absl::btree_set<std::pair<UnixMs, Bytes>> expiries_;
  std::deque<LogRow> log_;
  absl::flat_hash_map<SessionId, SessionRecord> sessions_;
  absl::btree_set<std::pair<UnixMs, SessionId>> sessions_by_use_;
};

}  // namespace holdfast
