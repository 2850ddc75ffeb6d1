// Reads one segment of a log: its records in order, and, behind them, whether what follows is the torn tail
// of a crash or damage.
#pragma once

#include <cstdint>
#include <optional>

#include "backends/file/file_window.h"
#include "backends/file/format.h"

namespace holdfast::file {

struct LogRecord {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;  ///< of the record in the file
  View body;                 ///< valid until the next call of the reader
  std::uint64_t body_offset() const { return offset + kFrameBytes; }
};

class LogReader {
 public:
  /// `header` is the segment's own.
  LogReader(const File& file, const FileHeader& header);

  /// The next record if it is intact and has the next sequence; otherwise nothing, and the reader stays where
  /// it is.
  std::optional<LogRecord> next();
  /// Where the next record would begin.
  std::uint64_t offset() const { return offset_; }
  std::uint64_t next_sequence() const { return next_sequence_; }
  /// The first intact record anywhere behind offset() with next_sequence() or a later sequence: a proof that
  /// records before it have been damaged, since a record is only written when those before it are safe.
  /// Leaves the reader behind it, so that next() goes on there.
  std::optional<LogRecord> find_later();
  /// Whether there is nothing but zeros from offset() on.
  bool rest_is_zero();

 private:
  std::optional<LogRecord> record_at(std::uint64_t offset);
  void go_behind(const LogRecord& record);

  FileWindow window_;
  const FileHeader header_;
  std::uint64_t offset_ = kHeaderBytes;
  std::uint64_t next_sequence_;
};

}  // namespace holdfast::file
