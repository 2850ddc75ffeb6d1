// Appends the records of one lane to its segments: one write per record, to space that was filled with zeros
// beforehand, durable on return if the store is.
//
// Not thread-safe (the lane's mutex guards it), except prepare().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/file/aligned_buffer.h"
#include "backends/file/file_table.h"
#include "backends/file/format.h"
#include "holdfast/environment.h"

namespace holdfast::file {

struct LogOptions {
  std::string folder;
  std::uint64_t store_id = 0;
  std::size_t lane = 0;
  bool durable = true;
  std::uint64_t segment_size_bytes = 0;  ///< of a large segment; the first ones are smaller
  /// Notes durably, outside of the log, that a segment has begun, before it gets its first record: without
  /// the note nobody could tell that the newest segment has gone.
  std::function<void(std::uint64_t number)> note_segment = [](std::uint64_t) {};
};

/// A segment that still has records, or values, that are needed.
struct Segment {
  std::uint64_t number = 0;
  std::uint64_t first_sequence = 0;
  std::uint64_t used_bytes = 0;  ///< by header and records
  std::uint32_t file = 0;        ///< in the FileTable
};

class LogWriter {
 public:
  /// Where the body of a record begins.
  struct Place {
    std::uint32_t file = 0;
    std::uint64_t offset = 0;
    std::uint64_t sequence = 0;
  };

  LogWriter(LogOptions options, const Environment& environment, FileTable& files);

  /// Goes on behind what recovery has found. The next record goes to a new segment, whose header voids
  /// whatever a crash has left behind the records found.
  void resume(std::vector<Segment> segments, std::uint64_t next_sequence, std::uint64_t next_number);

  /// Writes `record`, whose first kFrameBytes are left free for the frame. Throws what the file system
  /// throws. After that in_doubt() says whether the record may be on disk nevertheless; if so nothing is
  /// appended until repair() has succeeded.
  Place append(AlignedBuffer& record);
  bool in_doubt() const { return in_doubt_; }
  /// Whether append() of so many bytes is one write, and nothing else.
  bool has_room_for(std::uint64_t size_bytes) const {
    return current_ != nullptr && offset_ + size_bytes <= size_bytes_;
  }
  /// After a failed write: reads back that everything before it is there, and begins a new segment that voids
  /// the record. Once it has returned, that record was never written and never will be.
  void repair();

  /// The newest segment that has none of the records to come, and must not get any.
  std::uint64_t last_finished_number(bool all) const {
    return current_ && !all ? header_.number - 1 : next_number_ - 1;
  }
  /// The sequence of the newest record.
  std::uint64_t last_sequence() const { return next_sequence_ - 1; }
  /// Bytes of segments from the oldest that is kept on, unused room of the newest excluded.
  std::uint64_t written_bytes() const;
  /// Begins a new segment if the present one has records.
  void rotate_if_used();
  /// Forgets the segments whose records all have sequences <= `sequence`, without removing them. The present
  /// one stays, unless `all`.
  std::vector<Segment> forget_through(std::uint64_t sequence, bool all);
  /// Makes everything written durable (stores that are not durable).
  void sync();
  /// The files whose sync makes everything written durable; none if it is already.
  std::vector<std::shared_ptr<File>> unsynced() const;
  const std::vector<Segment>& segments() const { return segments_; }

  /// The size of the segment that should be prepared now; 0 if none.
  std::uint64_t wanted_spare_bytes();
  /// Fills the next segment with zeros ahead of its use. Needs no lock; what fails here fails again, and is
  /// reported, when the segment is needed.
  void prepare(std::uint64_t size_bytes);

 private:
  void make_spare(std::uint64_t size_bytes);
  void take_spare(std::uint64_t least_bytes);
  void begin_segment(std::uint64_t least_bytes);
  /// Cuts off a record that was written in part, where no sync stands behind the records before it anyway.
  bool take_back();
  std::uint64_t next_segment_bytes() const;
  std::string path(const std::string& name) const { return join(options_.folder, name); }
  std::size_t alignment() const { return options_.durable ? kDurableAlignment : kBufferedAlignment; }

  const LogOptions options_;
  const std::shared_ptr<FileSystem> file_system_;
  const std::shared_ptr<Random> random_;
  FileTable& files_;

  std::shared_ptr<File> current_;                            ///< null: the next record begins a new segment
  std::map<std::uint64_t, std::shared_ptr<File>> unsynced_;  ///< earlier segments by number
  FileHeader header_;                                        ///< of the current segment
  std::uint64_t offset_ = 0;                                 ///< in the current segment
  std::uint64_t size_bytes_ = 0;                             ///< of the current segment
  std::uint64_t next_sequence_ = 1;
  std::uint64_t next_number_ = 1;
  std::vector<Segment> segments_;  ///< oldest first; the last one is the current one
  bool in_doubt_ = false;
  bool spare_is_wanted_ = false;  ///< somebody was told to prepare it
  std::size_t begun_ = 0;         ///< segments begun by this writer

  std::mutex spare_mutex_;
  std::uint64_t spare_size_bytes_ = 0;  ///< 0: there is none
};

}  // namespace holdfast::file
