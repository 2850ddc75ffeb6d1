// One database of the file engine in memory: head, sessions, entries, expiries and change log, and how the
// items of a log record change them.
//
// One thread at a time changes a database (the lane's writer); it may look at it without a lock. It holds
// `lock` exclusively while it changes something, and everybody else holds it shared while looking.
#pragma once

#include <absl/container/btree_set.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "backends/file/change_log.h"
#include "backends/file/file_table.h"
#include "backends/file/index.h"
#include "backends/file/reader_writer_lock.h"
#include "backends/file/record.h"
#include "backends/file/session_table.h"
#include "backends/file/value_reference.h"
#include "contract/answer.h"
#include "contract/head.h"

namespace holdfast::file {

/// A value that an answer still needs from disk, once the lock is released.
struct PendingValue {
  ValueReference reference;
  Bytes* into = nullptr;
  std::shared_ptr<const OpenFile> file;
};

class Database {
 public:
  explicit Database(Bytes name) : name_(std::move(name)) {}

  const Bytes& name() const { return name_; }
  const Head& head() const { return head_; }
  const SessionTable& sessions() const { return sessions_; }
  const Index& index() const { return index_; }
  const ChangeLog& log() const { return log_; }
  /// The lane sequence of the newest record that is in here.
  std::uint64_t applied() const { return applied_; }
  std::optional<UnixMs> next_due_ms() const;

  // --- looking; the caller holds `lock` shared or is the writer

  /// §2, for a request that admit_read() has let through. Values on disk are left to `pending`.
  ReadAnswer read(const ReadRequest& request, UnixMs time_ms, std::vector<PendingValue>& pending) const;
  /// §4.
  bool holds(const Check& check, UnixMs time_ms) const;
  /// §6, for a request that admit_changes() has let through.
  Changes changes(const ChangesRequest& request, std::vector<PendingValue>& pending) const;
  /// The first expiry after (expires_at_ms, key), or null.
  const std::pair<UnixMs, Bytes>* expiry_after(UnixMs expires_at_ms, View key) const;

  // --- changing; the caller is the writer and holds `lock`

  /// Applies a group item whose name is already read. Throws corruption if the item does not fit the head or
  /// is malformed.
  void apply_group(Decoder& decoder, const ValuePlace& place, std::uint64_t sequence);
  /// Of a log that the head makes superfluous one step is freed; trim_log() does the rest.
  void set_head(const Head& head, std::uint64_t sequence);
  /// Makes it a database that was never written.
  void drop(std::uint64_t sequence);
  /// Frees some of the log rows at or below `floor`, in a time that does not depend on how many there are.
  /// Whether there are more.
  bool trim_log(Seq floor) { return log_.trim(floor, kTrimmedChunks); }

  // For loading a checkpoint, whose entries come in key order.
  void load_entry(View key, const Stored& stored);
  /// Throws corruption if the row is older than those before it.
  void load_log_row(Seq seq, View key);
  SessionRecord& load_session(const SessionId& id) { return sessions_.use(id); }
  /// Lets a value's reference name another file; nothing happens if the entry is no longer the same.
  void move_value(View key, const ValueReference& from, const ValueReference& to);

  mutable ReaderWriterLock lock;
  /// What Contents has noted as next_due_ms(); its own.
  std::optional<UnixMs> noted_due_ms;

 private:
  static constexpr std::size_t kTrimmedChunks = 16;

  std::optional<Stored> find_live(View key, UnixMs time_ms) const;
  bool is_unchanged(const Check& check, UnixMs time_ms) const;
  holdfast::Page scan(const Scan& scan, UnixMs time_ms, AnswerBudget& budget,
                      std::vector<PendingValue>& pending) const;
  void apply_write(const WriteItem& write, const ValuePlace& place);
  void forget_expiry(View key);

  const Bytes name_;
  Head head_;
  SessionTable sessions_;
  Index index_;
  absl::btree_set<std::pair<UnixMs, Bytes>> expiries_;
  ChangeLog log_;
  std::uint64_t applied_ = 0;
};

}  // namespace holdfast::file
