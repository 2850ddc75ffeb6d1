// One lane: a log, the databases whose names fall to it, and the one writer at a time that changes them. A
// commit is judged in memory, written as one record, and only then applied and seen.
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
#include "backends/file/file_table.h"
#include "backends/file/log_writer.h"
#include "backends/file/recovery.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::file {

/// The lane of a database, for ever: folders are written by it.
std::size_t lane_of(View database);

/// What a lane asks of the background threads, by its index.
struct LaneRequests {
  std::function<void(std::size_t lane, std::uint64_t size_bytes)> prepare;
  std::function<void(std::size_t lane)> checkpoint;
};

class Lane {
 public:
  /// Reads the lane's files. Throws corruption naming file and offset if something that was acknowledged is
  /// damaged.
  Lane(LaneOptions options, const Environment& environment, LaneRequests requests);

  const Contents& contents() const { return contents_; }
  FileTable& files() { return files_; }

  /// Judges and commits those of `groups` that belong to this lane. True if something can be seen that could
  /// not be seen before.
  bool commit(std::span<Group> groups);
  void compact(View database, Seq before);
  bool fence(View database, const Fence& expected, const Fence& next);
  bool drop(View database, std::uint64_t history);

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

  void judge(Group& group);
  void encode(const Group& group, const Head& head, std::uint64_t history, UnixMs time_ms);
  void write_pending();
  /// Writes record_ and applies it. Throws; the error says whether the record may yet be applied.
  void write_record();
  /// Ends a doubt that a failed write has left, or throws why it cannot be ended.
  void end_doubt();
  Head head_of(View database) const;
  void write_checkpoint(bool closing);
  CurrentCheckpoint write_checkpoint_file(const std::vector<std::shared_ptr<Database>>& databases,
                                          std::uint64_t after, std::vector<std::vector<MovedValue>>& moved);
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

  std::mutex mutex_;  ///< held by the writer
  LogWriter log_;
  AlignedBuffer record_;
  std::vector<Pending> pending_;
  bool checkpoint_is_asked_ = false;
  std::uint64_t checkpoint_at_bytes_ = 0;  ///< of log

  std::mutex checkpoint_mutex_;  ///< one checkpoint at a time; taken before mutex_
  CurrentCheckpoint checkpoint_;
};

}  // namespace holdfast::file
