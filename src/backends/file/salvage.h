// Reads all that is intact of a lane, however damaged its files are, without changing any of them. Check
// reports what it finds; repair goes on to write it down anew.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/file/checkpoint_reader.h"
#include "backends/file/contents.h"
#include "backends/file/file_table.h"
#include "backends/file/log_reader.h"
#include "backends/file/recovery.h"

namespace holdfast::file {

class Salvage {
 public:
  /// `superblock.store_id` 0: whatever the files say.
  Salvage(FileSystem& files, std::string folder, const Superblock& superblock, std::size_t lane,
          bool lost_buffers);

  /// Sentences with file and offset.
  const std::vector<std::string>& problems() const { return problems_; }
  /// What was acknowledged and cannot be brought back, as far as it is known.
  const std::vector<std::string>& lost() const { return lost_; }
  const Contents& contents() const { return contents_; }
  const FileTable& files() const { return files_; }
  /// The files of the lane, leftovers included.
  const std::vector<std::string>& names() const { return names_; }
  /// No record that was read has a higher sequence.
  std::uint64_t highest_sequence() const { return highest_sequence_; }
  std::uint64_t highest_checkpoint_number() const { return highest_checkpoint_number_; }
  /// No segment that there is or was has a higher number.
  std::uint64_t highest_segment_number() const { return highest_segment_number_; }

  /// Makes every database of the lane a valid one of a new history: nothing is known of what the damaged
  /// places held, so that positions in the old history mean nothing any more.
  void change_histories(Random& random, UnixMs now_ms);

 private:
  struct OpenLog {
    OpenNumberedFile open;
    bool has_header = true;
  };

  void read_checkpoints(const std::vector<NumberedFile>& checkpoints);
  void look_for_newest(const std::vector<NumberedFile>& segments, std::uint64_t noted);
  void read_blocks(const OpenNumberedFile& checkpoint);
  /// Databases whose entries are there, but not their heads, get one.
  void give_heads();
  void open_logs(const std::vector<NumberedFile>& segments, std::vector<OpenLog>& logs);
  bool open_without_header(const NumberedFile& name, OpenLog& log);
  void read_log(const OpenLog& log, std::uint64_t end);
  void apply(const LogRecord& record, std::uint32_t file, const std::string& path);
  bool fits(const ItemFrame& item, std::uint64_t sequence);
  void look_for_contradictions();
  void problem(const std::string& path, std::uint64_t offset, const std::string& what);

  FileSystem& file_system_;
  const std::string folder_;
  const std::uint64_t store_id_;
  const std::size_t lane_;
  const bool lost_buffers_;

  Contents contents_;
  FileTable files_;
  std::vector<std::string> names_;
  std::vector<std::string> problems_;
  std::vector<std::string> lost_;
  std::map<Bytes, std::uint64_t> lost_groups_;  ///< by database
  std::uint64_t next_sequence_ = 1;
  std::uint64_t highest_sequence_ = 0;
  std::uint64_t highest_checkpoint_number_ = 0;
  std::uint64_t highest_segment_number_ = 0;
};

/// The store id that the files of the folder name, or 0: for a folder without a readable superblock.
std::uint64_t guess_store_id(FileSystem& files, const std::string& folder);

}  // namespace holdfast::file
