#include "backends/file/recovery.h"

#include <algorithm>

#include "backends/file/checkpoint_reader.h"
#include "backends/file/lane.h"
#include "backends/file/log_reader.h"
#include "contract/canary.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

[[noreturn]] void damaged(const std::string& path, std::uint64_t offset, const std::string& what) {
  throw Error(Code::corruption, "\"" + path + "\", offset " + std::to_string(offset) + ": " + what +
                                    "; restore the folder from a backup, or run repair");
}

/// The replay of one lane's log.
class Replay {
 public:
  Replay(const LaneOptions& options, const Environment& environment, Contents& contents, FileTable& files)
      : options_(options), file_system_(*environment.files), contents_(contents), files_(files) {}

  /// Applies the records with sequences above `after`; all segments in order.
  void run(const std::vector<OpenNumberedFile>& segments, std::uint64_t after) {
    next_sequence_ = after + 1;
    // A segment ends where any later one begins: what it has beyond that was never acknowledged.
    std::vector<std::uint64_t> ends(segments.size(), UINT64_MAX);
    for (std::size_t i = segments.size(); i-- > 1;) {
      ends[i - 1] = std::min(ends[i], segments[i].header.sequence);
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (ends[i] <= std::max(next_sequence_, segments[i].header.sequence)) {
        obsolete_.push_back(segments[i].path);
      } else if (!run_segment(segments[i], ends[i])) {
        return;
      }
    }
  }

  std::uint64_t next_sequence() const { return next_sequence_; }
  const std::vector<Segment>& segments() const { return segments_; }
  /// Paths of segments that the checkpoint has made superfluous.
  const std::vector<std::string>& obsolete() const { return obsolete_; }

  /// What was read may so far be in the system's memory alone: a log that is not synced, or a last record
  /// whose sync never succeeded. Before anybody sees it, it is made durable.
  void settle() {
    for (const std::string& path : buffered_) file_system_.open(path, FileMode::write)->sync();
    if (last_size_ == 0) return;
    const std::unique_ptr<File> file = file_system_.open(last_path_, FileMode::write);
    AlignedBuffer record;
    if (file->read(last_offset_, record.extend(last_size_), last_size_) != last_size_) {
      damaged(last_path_, last_offset_, "a record that was read cannot be read again");
    }
    file->write(last_offset_, record.view());
    file->sync();
  }

 private:
  /// False if the log ends here although there are further segments.
  bool run_segment(const OpenNumberedFile& segment, std::uint64_t end) {
    if (segment.header.sequence > next_sequence_) {
      if (options_.lost_buffers) return false;
      damaged(segment.path, 0,
              "the records from " + std::to_string(next_sequence_) + " to " +
                  std::to_string(segment.header.sequence - 1) + " are missing before this file");
    }
    const std::uint32_t file = files_.add(segment.file, segment.path);
    LogReader reader(*segment.file, segment.header);
    while (reader.next_sequence() < end) {
      const std::optional<LogRecord> record = reader.next();
      if (!record) break;
      if (record->sequence >= next_sequence_) apply(segment, file, *record);
    }
    segments_.push_back({segment.header.number, segment.header.sequence, reader.offset(), file});
    if (!segment.header.durable) buffered_.push_back(segment.path);
    const std::uint64_t found = reader.next_sequence();
    const std::uint64_t damage = reader.offset();
    if (found >= end || options_.lost_buffers) return found >= end;
    if (end != UINT64_MAX || reader.find_later()) {
      damaged(segment.path, damage,
              "record " + std::to_string(found) + " is damaged, and later ones are not");
    }
    return true;
  }

  void apply(const OpenNumberedFile& segment, std::uint32_t file, const LogRecord& record) {
    try {
      contents_.apply(record.body, ValuePlace{file, record.body_offset(), record.body}, record.sequence);
    } catch (const Error& error) {
      damaged(segment.path, record.offset, error.what());
    }
    ++next_sequence_;
    last_path_ = segment.path;
    last_offset_ = record.offset;
    last_size_ = kFrameBytes + record.body.size();
  }

  const LaneOptions& options_;
  FileSystem& file_system_;
  Contents& contents_;
  FileTable& files_;
  std::uint64_t next_sequence_ = 1;
  std::vector<Segment> segments_;
  std::vector<std::string> obsolete_;
  std::vector<std::string> buffered_;
  std::string last_path_;
  std::uint64_t last_offset_ = 0;
  std::size_t last_size_ = 0;
};

}  // namespace

LaneFiles list_lane(FileSystem& files, const std::string& folder, std::size_t lane) {
  LaneFiles found;
  for (const std::string& text : files.list(folder)) {
    const FileName name = parse_file_name(text);
    if (name.kind == FileKind::foreign) {
      throw Error(Code::invalid_argument,
                  "\"" + join(folder, text) + "\" is not a file of the store in this folder; move it away");
    }
    if (name.lane != lane) continue;
    if (name.kind == FileKind::segment) found.segments.push_back({name.number, text});
    if (name.kind == FileKind::checkpoint) found.checkpoints.push_back({name.number, text});
    const bool is_leftover = name.kind == FileKind::spare || name.kind == FileKind::temporary;
    if (is_leftover && text != kSuperblockTemporaryName) found.leftovers.push_back(text);
  }
  return found;
}

OpenNumberedFile open_numbered(FileSystem& files, const std::string& folder, FileHeader::Type type,
                               std::uint64_t store_id, std::size_t lane, const NumberedFile& name) {
  OpenNumberedFile open;
  open.path = join(folder, name.name);
  open.file = files.open(open.path, FileMode::read);
  Bytes block(kHeaderBytes, '\0');
  block.resize(open.file->read(0, block.data(), block.size()));
  open.header = decode_file_header(block, open.path);
  if (open.header.store_id != store_id) damaged(open.path, 0, "this file belongs to another store");
  if (open.header.type != type || open.header.lane != lane || open.header.number != name.number) {
    damaged(open.path, 0, "this file has been renamed");
  }
  return open;
}

std::optional<std::string> describe_cut(const OpenNumberedFile& segment) {
  const std::uint64_t size_bytes = segment.file->size_bytes();
  if (size_bytes >= segment.header.size_bytes) return std::nullopt;
  return "the file has been cut: it had " + std::to_string(segment.header.size_bytes) + " bytes";
}

CurrentCheckpoint recover_lane(const LaneOptions& options, const Environment& environment, Contents& contents,
                               FileTable& files, LogWriter& log) {
  FileSystem& file_system = *environment.files;
  const LogOptions& where = options.log;
  const LaneFiles names = list_lane(file_system, where.folder, where.lane);
  std::vector<std::string> superfluous;
  superfluous.reserve(names.leftovers.size());
  for (const std::string& name : names.leftovers) superfluous.push_back(join(where.folder, name));

  CurrentCheckpoint current;
  std::uint64_t needs_sequence = 0;
  for (const NumberedFile& name : names.checkpoints) {
    if (name.number != names.checkpoints.back().number) {
      superfluous.push_back(join(where.folder, name.name));
      continue;
    }
    const OpenNumberedFile checkpoint = open_numbered(file_system, where.folder, FileHeader::Type::checkpoint,
                                                      where.store_id, where.lane, name);
    current.number = name.number;
    current.sequence = checkpoint.header.sequence;
    current.segment = checkpoint.header.superfluous_segment;
    current.size_bytes = checkpoint.file->size_bytes();
    current.file = files.add(checkpoint.file, checkpoint.path);
    needs_sequence = load_checkpoint(checkpoint, contents, current.file).needs_sequence;
  }

  std::vector<OpenNumberedFile> segments;
  segments.reserve(names.segments.size());
  for (const NumberedFile& name : names.segments) {
    segments.push_back(open_numbered(file_system, where.folder, FileHeader::Type::segment, where.store_id,
                                     where.lane, name));
    if (const auto cut = describe_cut(segments.back())) {
      damaged(segments.back().path, segments.back().file->size_bytes(), *cut);
    }
  }
  const std::uint64_t newest =
      std::max(current.segment, names.segments.empty() ? 0 : names.segments.back().number);
  if (options.newest_segment > newest) {
    damaged(join(where.folder, segment_name(where.lane, options.newest_segment)), 0,
            "the file is missing, and no checkpoint makes it superfluous");
  }
  Replay replay(options, environment, contents, files);
  replay.run(segments, current.sequence);
  if (replay.next_sequence() <= needs_sequence) {
    damaged(where.folder, 0,
            "the log of lane " + std::to_string(where.lane) + " ends at record " +
                std::to_string(replay.next_sequence() - 1) + ", but its checkpoint needs it up to record " +
                std::to_string(needs_sequence));
  }
  contents.finish_loading();
  replay.settle();
  superfluous.insert(superfluous.end(), replay.obsolete().begin(), replay.obsolete().end());
  for (const std::string& path : superfluous) file_system.remove(path);
  log.resume(replay.segments(), replay.next_sequence(), newest + 1);
  return current;
}

}  // namespace holdfast::file
