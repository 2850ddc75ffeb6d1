// One lane: a log, the databases whose names fall to it, and the one writer at a time that changes them. A
// commit is judged in memory, written as one record, and only then applied and seen.
//
// Whoever commits writes: another thread would cost two switches, a fifth of a durable put. But what may take
// long is done by the lane's deputy, whose callers leave at their deadline: everything that is rare, and all
// writes for a while after one was slow.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backends/file/checkpoint_writer.h"
#include "backends/file/contents.h"
#include "backends/file/deputy.h"
#include "backends/file/file_table.h"
#include "backends/file/log_writer.h"
#include "backends/file/recovery.h"
#include "backends/file/writer_turn.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::file {

/// The lane of a database, for ever: folders are written by it.
std::size_t lane_of(View database);

/// What a lane asks of the background threads, by its index.
struct LaneRequests {
  std::function<void(std::size_t lane, std::uint64_t size_bytes)> prepare;
  std::function<void(std::size_t lane)> checkpoint;
  /// Something can be seen that could not be seen before.
  std::function<void()> changed;
  /// Called between two steps of a compaction, with nothing held: for tests.
  std::function<void()> between_steps = [] {};
};

class Lane {
 public:
  /// Reads the lane's files. Throws corruption naming file and offset if something that was acknowledged is
  /// damaged.
  Lane(LaneOptions options, const Environment& environment, LaneRequests requests);

  const Contents& contents() const { return contents_; }
  FileTable& files() { return files_; }

  /// Judges and commits those of `groups` that belong to this lane.
  void commit(std::span<Group> groups);
  void compact(View database, Seq before, Deadline deadline);
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline);
  bool drop(View database, std::uint64_t history, Deadline deadline);

  /// Gives every database a new history, durably: commits that were acknowledged may be gone.
  void change_histories();
  /// Writes all databases into a new checkpoint beside running commits, and removes the log that it makes
  /// superfluous. Nothing happens if there is nothing new. If it throws, everything is as it was.
  void checkpoint();
  /// Leaves a checkpoint alone behind. Nothing else may be called any more.
  void close();

  /// Fills the next segment ahead of its use.
  void prepare(std::uint64_t size_bytes) { log_.prepare(size_bytes); }

 private:
  struct Pending {
    Group* group = nullptr;
    Position at;
  };

  /// What the groups of a call that belong to this lane ask for.
  struct Demand {
    Deadline deadline = Deadline::max();
    std::uint64_t record_bytes = 0;  ///< at most
  };
  Demand demand_of(std::span<const Group> groups) const;
  /// Whether the caller's own thread is to write. Only with the turn.
  bool may_write_here(const Demand& demand) const;
  void commit_by_deputy(std::span<Group> groups, Deadline deadline);
  /// Throws timeout: with backoff if the task was not begun.
  void by_deputy(std::function<void()> task, Deadline deadline);
  /// Runs work() in the turn, and notes whether it was slow.
  template <class Work>
  auto measured(Work&& work);

  // With the turn.

  bool commit_in_turn(std::span<Group> groups);
  void compact_in_turn(View database, Seq before);
  /// Whether more is to be freed.
  bool free_log_rows(View database);
  bool fence_in_turn(View database, const Fence& expected, const Fence& next);
  bool drop_in_turn(View database, std::uint64_t history);
  void judge(Group& group);
  void encode(const Group& group, const Head& head, std::uint64_t history, UnixMs time_ms);
  void write_pending();
  /// Writes record_ and applies it. Throws; the error says whether the record may yet be applied.
  void write_record();
  /// Ends a doubt that a failed write has left, or throws why it cannot be ended.
  void end_doubt();
  Head head_of(View database) const;
  /// What a checkpoint makes superfluous: everything up to these.
  struct CheckpointScope {
    std::uint64_t sequence = 0;
    std::uint64_t segment = 0;
  };
  void write_checkpoint(bool closing);
  CurrentCheckpoint write_checkpoint_file(const std::vector<std::shared_ptr<Database>>& databases,
                                          const CheckpointScope& scope,
                                          std::vector<std::vector<MovedValue>>& moved);
  void move_values(Database& database, const std::vector<MovedValue>& values, std::uint32_t file);
  std::string path(const std::string& name) const { return join(options_.log.folder, name); }
  std::uint64_t new_history();
  void begin_record();
  void ask_for_work();

  const LaneOptions options_;
  const Environment environment_;
  const LaneRequests requests_;
  FileTable files_;
  Contents contents_;

  WriterTurn turn_;  ///< what follows is the writer's
  LogWriter log_;
  AlignedBuffer record_;
  std::vector<Pending> pending_;
  bool checkpoint_is_asked_ = false;
  std::uint64_t checkpoint_at_bytes_ = 0;  ///< of log
  Deadline slow_until_;

  std::mutex checkpoint_mutex_;  ///< one checkpoint at a time; taken before the turn
  CurrentCheckpoint checkpoint_;
  Deputy deputy_;  ///< last, so that its thread ends before what it works on
};

}  // namespace holdfast::file
