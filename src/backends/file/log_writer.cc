#include "backends/file/log_writer.h"

#include <algorithm>

#include "backends/file/log_reader.h"
#include "contract/assert.h"
#include "contract/canary.h"
#include "holdfast/error.h"

namespace holdfast::file {
namespace {

// A store that is hardly written to stays small; each further segment is four times as large.
constexpr std::uint64_t kFirstSegmentBytes = 4u << 20;

std::uint64_t rounded_up(std::uint64_t size, std::uint64_t to) { return (size + to - 1) / to * to; }

}  // namespace

LogWriter::LogWriter(LogOptions options, const Environment& environment, FileTable& files)
    : options_(std::move(options)),
      file_system_(environment.files),
      random_(environment.random),
      files_(files) {}

void LogWriter::resume(std::vector<Segment> segments, std::uint64_t next_sequence,
                       std::uint64_t next_number) {
  segments_ = std::move(segments);
  next_sequence_ = next_sequence;
  next_number_ = next_number;
}

LogWriter::Place LogWriter::append(AlignedBuffer& record) {
  HOLDFAST_ASSERT(!in_doubt_);
  const std::uint64_t total_bytes = rounded_up(record.size(), alignment());
  if (!current_ || offset_ + total_bytes > size_bytes_) begin_segment(kHeaderBytes + total_bytes);
  seal_frame(record, 0, header_.file_id, next_sequence_);
  record.pad(alignment());
  try {
    current_->write(offset_, record.view());
  } catch (const Error&) {
    if (!canary(20, 'g')) {
      in_doubt_ = !take_back();
      throw;
    }
  }
  const Place place{segments_.back().file, offset_ + kFrameBytes, next_sequence_};
  offset_ += total_bytes;
  segments_.back().used_bytes = offset_;
  ++next_sequence_;
  return place;
}

bool LogWriter::take_back() {
  if (options_.durable) return false;
  try {
    current_->truncate(offset_);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void LogWriter::repair() {
  current_.reset();
  const std::shared_ptr<const OpenFile> written = files_.find(segments_.back().file);
  const std::unique_ptr<File> file = file_system_->open(written->path, FileMode::read);
  LogReader reader(*file, header_);
  while (reader.next_sequence() < next_sequence_) {
    if (reader.next()) continue;
    throw Error(Code::corruption,
                "\"" + written->path + "\", offset " + std::to_string(reader.offset()) +
                    ": a record that was on disk is gone after a failed write; check the disk, " +
                    "then run repair");
  }
  begin_segment(kHeaderBytes);
  in_doubt_ = false;
}

std::uint64_t LogWriter::written_bytes() const {
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.used_bytes;
  return bytes;
}

void LogWriter::rotate_if_used() {
  if (current_ && offset_ > kHeaderBytes) begin_segment(kHeaderBytes);
}

std::vector<Segment> LogWriter::forget_through(std::uint64_t sequence, bool all) {
  std::vector<Segment> forgotten;
  while (!segments_.empty()) {
    const bool is_last = segments_.size() == 1;
    const std::uint64_t end = is_last ? next_sequence_ : segments_[1].first_sequence;
    // A record in doubt has no sequence yet, and repair() needs the segment it may be in.
    const bool is_needed = current_ != nullptr || in_doubt_;
    if (end > sequence + 1 || (is_last && is_needed && !all)) break;
    unsynced_.erase(segments_.front().number);
    forgotten.push_back(segments_.front());
    segments_.erase(segments_.begin());
  }
  if (segments_.empty()) current_.reset();
  return forgotten;
}

std::vector<std::shared_ptr<File>> LogWriter::unsynced() const {
  std::vector<std::shared_ptr<File>> files;
  files.reserve(unsynced_.size() + 1);
  for (const auto& [number, file] : unsynced_) files.push_back(file);
  if (current_ && !options_.durable) files.push_back(current_);
  return files;
}

void LogWriter::sync() {
  for (const std::shared_ptr<File>& file : unsynced()) file->sync();
}

std::uint64_t LogWriter::next_segment_bytes() const {
  const std::uint64_t first = std::min(kFirstSegmentBytes, options_.segment_size_bytes);
  return begun_ >= 8 ? options_.segment_size_bytes
                     : std::min(first << (2 * begun_), options_.segment_size_bytes);
}

std::uint64_t LogWriter::wanted_spare_bytes() {
  if (!options_.durable || spare_is_wanted_ || !current_ || offset_ < size_bytes_ / 2) return 0;
  spare_is_wanted_ = true;
  return next_segment_bytes();
}

void LogWriter::prepare(std::uint64_t size_bytes) {
  const std::lock_guard lock(spare_mutex_);
  if (spare_size_bytes_ != 0) return;
  try {
    make_spare(size_bytes);
  } catch (const Error&) {
    spare_size_bytes_ = 0;
  }
}

void LogWriter::make_spare(std::uint64_t size_bytes) {
  const std::string name = path(spare_name(options_.lane));
  if (file_system_->exists(name)) file_system_->remove(name);
  const std::unique_ptr<File> file = file_system_->open(name, FileMode::create);
  try {
    // Without syncs to spare, a file that grows is the cheapest to write to.
    if (options_.durable) {
      file->extend(size_bytes);
      file->sync();
    }
  } catch (const Error&) {
    file_system_->remove(name);
    throw;
  }
  spare_size_bytes_ = size_bytes;
}

void LogWriter::take_spare(std::uint64_t least_bytes) {
  if (spare_size_bytes_ >= least_bytes) return;
  const std::uint64_t least = rounded_up(least_bytes, kDurableAlignment);
  const std::uint64_t wanted = std::max(least, next_segment_bytes());
  spare_size_bytes_ = 0;
  try {
    make_spare(wanted);
  } catch (const Error& error) {
    // A disk that has no room for a whole segment may still have it for this record.
    const std::uint64_t small =
        std::max(least, std::min(kFirstSegmentBytes / 4, options_.segment_size_bytes));
    if (error.code() != Code::unavailable || small >= wanted) throw;
    make_spare(small);
  }
}

void LogWriter::begin_segment(std::uint64_t least_bytes) {
  const std::lock_guard lock(spare_mutex_);
  take_spare(least_bytes);
  FileHeader header;
  header.store_id = options_.store_id;
  header.lane = static_cast<std::uint32_t>(options_.lane);
  header.number = next_number_++;
  header.file_id = random_->next();
  header.sequence = next_sequence_;
  header.durable = options_.durable;
  header.alignment = static_cast<std::uint32_t>(alignment());
  const std::uint64_t size_bytes = spare_size_bytes_;
  header.size_bytes = options_.durable ? size_bytes : 0;
  const std::string from = path(spare_name(options_.lane));
  const std::string to = path(segment_name(options_.lane, header.number));
  const FileMode mode = options_.durable ? FileMode::durable : FileMode::write;
  // Whatever fails from here on, the next attempt starts with a new spare and a new number.
  spare_size_bytes_ = 0;
  spare_is_wanted_ = false;
  AlignedBuffer block;
  encode(header, block);
  {
    const std::unique_ptr<File> file = file_system_->open(from, mode);
    file->write(0, block.view());
    if (!options_.durable) file->sync();
  }
  // Once the new name may be on disk it voids what is appended to the old segment.
  if (current_ && !options_.durable) unsynced_.emplace(header_.number, current_);
  current_.reset();
  file_system_->rename(from, to);
  file_system_->sync_folder(options_.folder);
  options_.note_segment(header.number);
  std::shared_ptr<File> file = file_system_->open(to, mode);
  segments_.push_back({header.number, next_sequence_, kHeaderBytes, files_.add(file, to)});
  current_ = std::move(file);
  header_ = header;
  offset_ = kHeaderBytes;
  size_bytes_ = size_bytes;
  ++begun_;
}

}  // namespace holdfast::file
