// Brings a lane back from its files: the newest checkpoint, then the records of the log behind it in order.
//
// What is behind the last record is the torn tail of a crash and is left to be voided by the next segment.
// If, however, an intact record of a later number lies behind one that is not, then something was damaged
// that had been safe on disk: that is corruption, never silently passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/file/contents.h"
#include "backends/file/file_table.h"
#include "backends/file/format.h"
#include "backends/file/log_writer.h"
#include "holdfast/environment.h"

namespace holdfast::file {

struct LaneOptions {
  LogOptions log;
  std::uint64_t checkpoint_size_bytes = 0;
  /// No caller's own thread ever writes.
  bool strict_deadlines = false;
  /// What note_segment() was told last.
  std::uint64_t newest_segment = 0;
  /// The log was written without syncs and the machine has been down since: its end may be missing.
  bool lost_buffers = false;
};

/// A segment or checkpoint in the folder.
struct NumberedFile {
  std::uint64_t number = 0;
  std::string name;
};

/// The files of one lane, in the order of their numbers.
struct LaneFiles {
  std::vector<NumberedFile> segments;
  std::vector<NumberedFile> checkpoints;
  std::vector<std::string> leftovers;  ///< spare and temporary files
};

/// Throws invalid_argument if the folder holds a file that is not the store's.
LaneFiles list_lane(FileSystem& files, const std::string& folder, std::size_t lane);

/// A segment or checkpoint whose header has been read.
struct OpenNumberedFile {
  std::string path;
  std::shared_ptr<const File> file;
  FileHeader header;
};

/// Throws corruption if the header is damaged or the file is not what its name says.
OpenNumberedFile open_numbered(FileSystem& files, const std::string& folder, FileHeader::Type type,
                               std::uint64_t store_id, std::size_t lane, const NumberedFile& name);

/// What is wrong with a segment that is shorter than it was when it was begun; nothing if it is not.
std::optional<std::string> describe_cut(const OpenNumberedFile& segment);

/// The checkpoint that a lane goes on from.
struct CurrentCheckpoint {
  std::uint64_t number = 0;    ///< 0: there is none
  std::uint64_t sequence = 0;  ///< the newest record that it makes superfluous
  std::uint64_t segment = 0;   ///< the newest segment that it makes superfluous
  std::uint64_t size_bytes = 0;
  std::uint32_t file = 0;  ///< in the FileTable
};

/// Throws corruption naming file and offset.
CurrentCheckpoint recover_lane(const LaneOptions& options, const Environment& environment, Contents& contents,
                               FileTable& files, LogWriter& log);

}  // namespace holdfast::file
