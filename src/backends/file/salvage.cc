#include "backends/file/salvage.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "holdfast/error.h"

namespace holdfast::file {
namespace {

/// For a handler: only damage may be passed over. A file that cannot be read just now is still whole, and a
/// repair that went on without it would put it aside.
void rethrow_unless_damage(const Error& error) {
  if (error.code() != Code::corruption && error.code() != Code::capability_missing) throw;
}

}  // namespace

Salvage::Salvage(FileSystem& files, std::string folder, const Superblock& superblock, std::size_t lane,
                 bool lost_buffers)
    : file_system_(files),
      folder_(std::move(folder)),
      store_id_(superblock.store_id),
      lane_(lane),
      lost_buffers_(lost_buffers) {
  std::vector<NumberedFile> segments;
  std::vector<NumberedFile> checkpoints;
  for (const std::string& text : file_system_.list(folder_)) {
    const FileName name = parse_file_name(text);
    const bool is_mine = name.lane == lane_ && text != kSuperblockTemporaryName;
    if (is_mine && name.kind == FileKind::segment) segments.push_back({name.number, text});
    if (is_mine && name.kind == FileKind::checkpoint) checkpoints.push_back({name.number, text});
    if (is_mine && name.kind >= FileKind::segment && name.kind <= FileKind::temporary) names_.push_back(text);
  }
  read_checkpoints(checkpoints);
  look_for_newest(segments, superblock.newest_segments[lane_]);
  std::vector<OpenLog> logs;
  open_logs(segments, logs);
  std::vector<std::uint64_t> ends(logs.size(), UINT64_MAX);
  for (std::size_t i = logs.size(); i-- > 1;) {
    const bool counts = logs[i].has_header;
    ends[i - 1] = counts ? std::min(ends[i], logs[i].open.header.sequence) : ends[i];
  }
  for (std::size_t i = 0; i < logs.size(); ++i) read_log(logs[i], ends[i]);
  contents_.finish_loading();
  for (const auto& [database, groups] : lost_groups_) {
    lost_.push_back("database \"" + database + "\": " + std::to_string(groups) +
                    " intact records after a damaged one cannot be applied without it");
  }
  look_for_contradictions();
}

void Salvage::read_checkpoints(const std::vector<NumberedFile>& checkpoints) {
  // An older one is only left where a crash came between writing the newest and removing it.
  for (auto name = checkpoints.rbegin(); name != checkpoints.rend(); ++name) {
    highest_checkpoint_number_ = std::max(highest_checkpoint_number_, name->number);
    try {
      const std::uint64_t store_id = store_id_ != 0 ? store_id_ : guess_store_id(file_system_, folder_);
      const OpenNumberedFile checkpoint =
          open_numbered(file_system_, folder_, FileHeader::Type::checkpoint, store_id, lane_, *name);
      read_blocks(checkpoint);
      return;
    } catch (const Error& error) {
      rethrow_unless_damage(error);
      problems_.emplace_back(error.what());
      lost_.push_back("all that is only in \"" + name->name + "\"");
    }
  }
}

void Salvage::look_for_newest(const std::vector<NumberedFile>& segments, std::uint64_t noted) {
  if (!segments.empty()) highest_segment_number_ = std::max(highest_segment_number_, segments.back().number);
  if (noted <= highest_segment_number_) return;
  highest_segment_number_ = noted;
  const std::string name = segment_name(lane_, noted);
  problem(join(folder_, name), 0, "the file is missing, and no checkpoint makes it superfluous");
  lost_.push_back("all that was only in \"" + name + "\"");
}

void Salvage::read_blocks(const OpenNumberedFile& checkpoint) {
  CheckpointReader reader(*checkpoint.file, checkpoint.header);
  CheckpointLoader loader(contents_, files_.add(checkpoint.file, checkpoint.path));
  highest_segment_number_ = checkpoint.header.superfluous_segment;
  next_sequence_ = checkpoint.header.sequence + 1;
  highest_sequence_ = checkpoint.header.sequence;
  while (!loader.footer()) {
    const std::uint64_t offset = reader.offset();
    const Bytes before = loader.latest() == nullptr ? Bytes() : loader.latest()->name();
    std::optional<CheckpointReader::Block> block = reader.next();
    const bool is_damaged = !block;
    if (is_damaged) block = reader.find_later();
    try {
      if (block) loader.load(*block);
    } catch (const Error& error) {
      rethrow_unless_damage(error);
      problem(checkpoint.path, block->offset, error.what());
    }
    if (!is_damaged) continue;
    const Bytes after = block && loader.latest() != nullptr ? loader.latest()->name() : Bytes();
    problem(checkpoint.path, offset, block ? "a block is damaged" : "the file ends too early");
    lost_.push_back("entries of the databases from \"" + before + "\" to \"" + after + "\" of lane " +
                    std::to_string(lane_) + " (in the order of their names)");
    if (!block) break;
  }
  if (!problems_.empty()) give_heads();
  if (loader.footer()) highest_sequence_ = std::max(highest_sequence_, loader.footer()->needs_sequence);
}

void Salvage::give_heads() {
  for (const std::shared_ptr<Database>& database : contents_.databases()) {
    if (database->head().exists() || database->index().size() == 0) continue;
    lost_.push_back("database \"" + database->name() + "\": its head, and with it all commits in the log");
    Head head;
    head.history = 1;  // until it gets a new one
    const std::unique_lock lock(database->lock);
    database->set_head(head, highest_sequence_);
  }
}

void Salvage::open_logs(const std::vector<NumberedFile>& segments, std::vector<OpenLog>& logs) {
  const std::uint64_t store_id = store_id_ != 0 ? store_id_ : guess_store_id(file_system_, folder_);
  for (const NumberedFile& name : segments) {
    OpenLog log;
    try {
      log.open = open_numbered(file_system_, folder_, FileHeader::Type::segment, store_id, lane_, name);
      if (const auto cut = describe_cut(log.open)) problem(log.open.path, log.open.file->size_bytes(), *cut);
      logs.push_back(std::move(log));
    } catch (const Error& error) {
      rethrow_unless_damage(error);
      problems_.emplace_back(error.what());
      if (open_without_header(name, log)) {
        logs.push_back(std::move(log));
      } else {
        lost_.push_back("all that is only in \"" + name.name + "\"");
      }
    }
  }
}

bool Salvage::open_without_header(const NumberedFile& name, OpenLog& log) {
  log.open.path = join(folder_, name.name);
  log.open.file = file_system_.open(log.open.path, FileMode::read);
  log.has_header = false;
  log.open.header.alignment = static_cast<std::uint32_t>(kBufferedAlignment);
  FileWindow window(*log.open.file);
  Bytes block(kHeaderBytes, '\0');
  block.resize(log.open.file->read(0, block.data(), block.size()));
  try {
    // A header that can be read and says something else: the file belongs elsewhere.
    decode_file_header(block, log.open.path);
    return false;
  } catch (const Error& error) {
    if (error.code() == Code::capability_missing) return false;
  }
  for (std::uint64_t at = kHeaderBytes; at + kFrameBytes <= window.size_bytes(); at += kBufferedAlignment) {
    const std::uint64_t file_id = frame_file_id(window.at(at, kFrameBytes));
    const std::optional<Frame> frame = peek_frame(window.at(at, kFrameBytes), file_id);
    if (!frame || frame->body_bytes > window.size_bytes() - at) continue;
    if (!frame_is_intact(window.at(at, kFrameBytes + frame->body_bytes), *frame)) continue;
    log.open.header.file_id = file_id;
    log.open.header.sequence = frame->number;
    return true;
  }
  return false;
}

void Salvage::read_log(const OpenLog& log, std::uint64_t end) {
  LogReader reader(*log.open.file, log.open.header);
  const std::uint32_t file = files_.add(log.open.file, log.open.path);
  if (end <= std::max(next_sequence_, log.open.header.sequence)) return;
  if (log.has_header && log.open.header.sequence > next_sequence_) {
    problem(log.open.path, 0,
            "the records from " + std::to_string(next_sequence_) + " to " +
                std::to_string(log.open.header.sequence - 1) + " are missing before this file");
  }
  while (reader.next_sequence() < end) {
    const std::uint64_t expected = reader.next_sequence();
    const std::uint64_t offset = reader.offset();
    std::optional<LogRecord> record = reader.next();
    if (!record) record = reader.find_later();
    if (!record || record->sequence >= end) {
      if (end != UINT64_MAX && !lost_buffers_) {
        problem(log.open.path, offset, "the records from " + std::to_string(expected) + " on are damaged");
        next_sequence_ = end;
      }
      break;
    }
    if (record->sequence != expected && !lost_buffers_) {
      problem(log.open.path, offset,
              "record " + std::to_string(expected) + " is damaged, and later ones are not");
    }
    if (record->sequence < next_sequence_) continue;
    apply(*record, file, log.open.path);
    next_sequence_ = record->sequence + 1;
    highest_sequence_ = std::max(highest_sequence_, record->sequence);
  }
  highest_sequence_ = std::max(highest_sequence_, log.open.header.sequence);
}

void Salvage::apply(const LogRecord& record, std::uint32_t file, const std::string& path) {
  const ValuePlace place{file, record.body_offset(), record.body};
  Decoder decoder(record.body);
  while (!decoder.done()) {
    const ItemFrame item = decode_item(decoder);
    if (!decoder.ok()) return problem(path, record.offset, "a record is malformed");
    if (!fits(item, record.sequence)) {
      if (problems_.empty()) problem(path, record.offset, "a record does not fit the state before it");
      ++lost_groups_[Bytes(item.database)];
      continue;
    }
    contents_.apply_item(item, place, record.sequence);
  }
}

bool Salvage::fits(const ItemFrame& item, std::uint64_t sequence) {
  Database* database = contents_.find_as_writer(item.database);
  if (database != nullptr && sequence <= database->applied()) return true;
  const Head head = database == nullptr ? Head{} : database->head();
  Decoder decoder(item.body);
  switch (item.kind) {
    case ItemKind::group: {
      const GroupItem group = decode_group(decoder);
      if (group.creates && head.exists() && group.history != head.history) {
        // It was dropped in between, in a record that is damaged.
        const std::unique_lock lock(database->lock);
        database->drop(sequence - 1);
        return true;
      }
      if (group.creates) return !head.exists();
      return head.exists() && head.history == group.history && head.seq == group.base_seq;
    }
    case ItemKind::head: {
      const Head after = decode_head(decoder);
      const bool is_import = head.fence.state == Fence::State::importing || !head.exists();
      return decoder.ok() && (is_import || after.seq == head.seq);
    }
    case ItemKind::drop:
      return head.exists() && head.history == decoder.get64();
  }
  return false;
}

void Salvage::look_for_contradictions() {
  if (!problems_.empty()) return;
  for (const std::shared_ptr<Database>& database : contents_.databases()) {
    const Head& head = database->head();
    const bool importing = head.fence.state == Fence::State::importing;
    Index::Cursor cursor(database->index());
    for (cursor.seek_to_first(); cursor.valid() && !importing; cursor.next()) {
      if (cursor.stored().version <= head.seq) continue;
      problems_.push_back("database \"" + database->name() +
                          "\" has an entry of a commit that it does not have");
      break;
    }
    if (head.floor > head.seq) problems_.push_back("database \"" + database->name() + "\" has no sound head");
  }
}

void Salvage::change_histories(Random& random, UnixMs now_ms) {
  for (const std::shared_ptr<Database>& database : contents_.databases()) {
    if (database->head().fence.state == Fence::State::importing) {
      lost_.push_back("database \"" + database->name() + "\": its import must be started again");
      const std::unique_lock lock(database->lock);
      database->drop(highest_sequence_);
      continue;
    }
    Head head = database->head();
    head.history = 0;
    while (head.history == 0) head.history = random.next();
    Index::Cursor cursor(database->index());
    for (cursor.seek_to_first(); cursor.valid(); cursor.next()) {
      head.seq = std::max(head.seq, cursor.stored().version);
    }
    head.seq = std::max(head.seq, database->log().last());
    // The change log may have holes: nobody may rely on it.
    head.floor = head.seq;
    if (head.time_ms == 0) head.time_ms = now_ms;
    const std::unique_lock lock(database->lock);
    database->set_head(head, highest_sequence_);
  }
  contents_.finish_loading();
}

void Salvage::problem(const std::string& path, std::uint64_t offset, const std::string& what) {
  problems_.push_back("\"" + path + "\", offset " + std::to_string(offset) + ": " + what);
}

std::uint64_t guess_store_id(FileSystem& files, const std::string& folder) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const std::string& text : files.list(folder)) {
    const FileKind kind = parse_file_name(text).kind;
    if (kind != FileKind::segment && kind != FileKind::checkpoint) continue;
    const std::string path = join(folder, text);
    Bytes block(kHeaderBytes, '\0');
    block.resize(files.open(path, FileMode::read)->read(0, block.data(), block.size()));
    try {
      ++votes[decode_file_header(block, path).store_id];
    } catch (const Error&) {
      continue;
    }
  }
  const auto most = std::max_element(votes.begin(), votes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == votes.end() ? 0 : most->first;
}

}  // namespace holdfast::file
