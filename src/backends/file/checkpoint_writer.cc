#include "backends/file/checkpoint_writer.h"

#include <shared_mutex>

#include "holdfast/error.h"

namespace holdfast::file {
namespace {

constexpr std::size_t kBlockBytes = 64u << 10;
// A writer of the database waits at most while this much is copied.
constexpr std::size_t kPieceBytes = 64u << 10;

}  // namespace

CheckpointWriter::CheckpointWriter(File& file, const FileHeader& header)
    : file_(file), file_id_(header.file_id) {
  encode(header, block_);
  file_.write(0, block_.view());
  offset_ = kHeaderBytes;
  block_.clear();
}

void CheckpointWriter::add(const Database& database, const FileTable& files, std::vector<MovedValue>& moved) {
  begin_block(database.name());
  ChangeLog::Snapshot log;
  Seq floor = 0;
  add_state(database, log, floor);
  add_log(database.name(), log, floor);
  Bytes next;
  while (add_entries(database, files, next, moved)) {
  }
  ++footer_.databases;
}

void CheckpointWriter::add_state(const Database& database, ChangeLog::Snapshot& log, Seq& floor) {
  const std::shared_lock lock(database.lock);
  block_.put8(static_cast<std::uint8_t>(BlockItem::head));
  encode_head(block_, database.head());
  block_.put_number(database.applied());
  for (const auto& [id, record] : database.sessions().by_use()) {
    block_.put8(static_cast<std::uint8_t>(BlockItem::session));
    encode_session(block_, id, record);
  }
  log = database.log().snapshot();
  floor = database.head().floor;
}

void CheckpointWriter::add_log(View name, const ChangeLog::Snapshot& log, Seq floor) {
  ChangeLog::visit_snapshot(log, floor, [&](Seq seq, View key) {
    next_item(name);
    block_.put8(static_cast<std::uint8_t>(BlockItem::log_row));
    block_.put_number(seq);
    block_.put_bytes(key);
    return true;
  });
}

bool CheckpointWriter::add_entries(const Database& database, const FileTable& files, Bytes& next,
                                   std::vector<MovedValue>& moved) {
  next_item(database.name());
  std::shared_lock lock(database.lock);
  Index::Cursor cursor(database.index());
  const std::size_t end = block_.size() + kPieceBytes;
  for (cursor.seek(next); cursor.valid() && block_.size() < end; cursor.next()) {
    const Stored stored = cursor.stored();
    if (!stored.on_disk) {
      put_entry(cursor.key(), stored, stored.value, 0);
      continue;
    }
    // Nobody waits for the disk: the value is copied without the lock.
    MovedValue value{Bytes(cursor.key()), ValueReference::of(stored.value), {}};
    const std::shared_ptr<const OpenFile> file = files.find(value.from.file);
    lock.unlock();
    const Bytes bytes = read_value(*file, value.from);
    put_entry(value.key, stored, bytes, value.from.checksum);
    value.to = value.from;
    value.to.offset = offset_ + block_.size() - bytes.size();
    next = value.key + '\0';
    moved.push_back(std::move(value));
    return true;
  }
  if (!cursor.valid()) return false;
  next = cursor.key();
  return true;
}

void CheckpointWriter::put_entry(View key, const Stored& stored, View value, std::uint32_t checksum) {
  block_.put8(static_cast<std::uint8_t>(BlockItem::entry));
  block_.put_number(stored.version);
  // The expiry is stored plus one bit: most entries have none.
  const bool expires = stored.expires_at_ms != kNeverExpires;
  block_.put8(expires ? 1 : 0);
  if (expires) block_.put_signed(stored.expires_at_ms);
  block_.put_bytes(key);
  block_.put_number(value.size());
  if (value.size() > kMaxInlineValueBytes) block_.put32(checksum);
  block_.put_raw(value);
  ++footer_.entries;
}

void CheckpointWriter::begin_block(View database) {
  if (block_.size() >= kBlockBytes) end_block();
  if (block_.size() == 0) block_.extend(kFrameBytes);
  block_.put8(static_cast<std::uint8_t>(BlockItem::database));
  block_.put_bytes(database);
}

void CheckpointWriter::next_item(View database) {
  if (block_.size() >= kBlockBytes) begin_block(database);
}

void CheckpointWriter::end_block() {
  seal_frame(block_, 0, file_id_, block_number_++);
  block_.pad(kBlockAlignment);
  file_.write(offset_, block_.view());
  offset_ += block_.size();
  block_.clear();
}

void CheckpointWriter::finish(std::uint64_t needs_sequence) {
  if (block_.size() != 0) end_block();
  block_.extend(kFrameBytes);
  block_.put8(static_cast<std::uint8_t>(BlockItem::footer));
  block_.put_number(needs_sequence);
  block_.put_number(footer_.databases);
  block_.put_number(footer_.entries);
  end_block();
  file_.sync();
}

}  // namespace holdfast::file
