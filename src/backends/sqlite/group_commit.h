// §3.4: judges and applies groups inside a write transaction that somebody else begins and ends. Not
// thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "backends/sqlite/change_log.h"
#include "backends/sqlite/databases.h"
#include "backends/sqlite/entries.h"
#include "backends/sqlite/judge.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::sqlite {

class GroupCommit {
 public:
  GroupCommit(Connection& connection, std::shared_ptr<Random> random)
      : random_(std::move(random)),
        databases_(connection),
        sessions_(connection),
        entries_(connection),
        log_(connection),
        judge_(entries_, log_) {}

  /// Fills the group's outcomes and position; whether anything was written. Throws Error: a SqliteError may
  /// leave part of the group in the transaction, which must be rolled back then; others come before the first
  /// write.
  bool apply(Group& group);
  /// After an error at COMMIT: fills the outcomes if the file has them; whether it does.
  bool recall(Group& group);

  Databases& databases() { return databases_; }
  ChangeLog& log() { return log_; }

 private:
  /// Judges all batches on the state before the group, then writes those that hold; how many do.
  std::size_t judge(Group& group, const DatabaseRow& row, UnixMs time_ms);
  void write(const Group& group, DatabaseRow& row, UnixMs time_ms);
  /// The same for a group whose batches cannot tell it from being judged and written one after another, which
  /// takes fewer look-ups.
  std::size_t judge_and_write(Group& group, DatabaseRow& row, UnixMs time_ms);
  /// Writes the batch if its checks hold, and else returns the first that does not.
  std::optional<std::size_t> judge_and_write(const Batch& batch, const DatabaseRow& row, Seq seq,
                                             UnixMs time_ms);
  bool try_fused(std::int64_t database, const Check& check, const Write& write, Seq seq, UnixMs time_ms);
  void write_batch(std::int64_t database, const Batch& batch, const Write* written, Seq seq, UnixMs time_ms);
  bool write_one(std::int64_t database, const Write& write, View key, Seq seq, UnixMs time_ms);

  std::shared_ptr<Random> random_;
  Databases databases_;
  Sessions sessions_;
  Entries entries_;
  ChangeLog log_;
  Judge judge_;
  std::vector<Bytes> changed_;  ///< the keys of the batch that is being written
};

}  // namespace holdfast::sqlite
