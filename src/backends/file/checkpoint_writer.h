// Writes a checkpoint of one lane beside running commits.
//
// Why that is sound. The lane's log is cut before record `after`+1, and the databases that there are then are
// written one after the other. Head, sessions and change log of a database are taken at one instant, together
// with the sequence `applied` of the newest record in them; its entries follow in pieces, each taken at some
// later instant. Replay passes over the records up to `applied` for this database, and applies the later
// ones: the head goes through exactly the states it had, and every key that a later record names gets its
// newest entry, whether or not the piece that holds it had that already, because records hold effects and not
// requests. Keys that no later record names were right when they were taken. So checkpoint and log together
// are the state after any record from the footer's `needs_sequence` on, which is the newest that any piece
// can have seen. All of those are durable before the checkpoint is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/file/checkpoint_format.h"
#include "backends/file/contents.h"
#include "backends/file/file_table.h"
#include "backends/file/format.h"

namespace holdfast::file {

/// A value that lies in the checkpoint now.
struct MovedValue {
  Bytes key;
  ValueReference from;
  ValueReference to;  ///< `file` is still to be filled in
};

class CheckpointWriter {
 public:
  /// `file` is new and empty. Writes the header.
  CheckpointWriter(File& file, const FileHeader& header);

  /// Takes the database's lock shared, for short times only. Values on disk are copied; where to is added to
  /// `moved`.
  void add(const Database& database, const FileTable& files, std::vector<MovedValue>& moved);
  /// Writes the footer and makes the file durable.
  void finish(std::uint64_t needs_sequence);
  std::uint64_t size_bytes() const { return offset_; }

 private:
  void add_state(const Database& database, ChangeLog::Snapshot& log, Seq& floor);
  void add_log(View name, const ChangeLog::Snapshot& log, Seq floor);
  bool add_entries(const Database& database, const FileTable& files, Bytes& next,
                   std::vector<MovedValue>& moved);
  void put_entry(View key, const Stored& stored, View value, std::uint32_t checksum);
  void begin_block(View database);
  void end_block();
  /// Ends the block if it is full, and begins another one of the same database.
  void next_item(View database);

  File& file_;
  const std::uint64_t file_id_;
  AlignedBuffer block_;
  std::uint64_t block_number_ = 0;
  std::uint64_t offset_ = 0;  ///< of the present block
  CheckpointFooter footer_;
};

}  // namespace holdfast::file
