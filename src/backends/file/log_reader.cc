#include "backends/file/log_reader.h"

#include <algorithm>

namespace holdfast::file {

LogReader::LogReader(const File& file, const FileHeader& header)
    : window_(file), header_(header), next_sequence_(header.sequence) {}

std::optional<LogRecord> LogReader::next() {
  std::optional<LogRecord> record = record_at(offset_);
  if (!record || record->sequence != next_sequence_) return std::nullopt;
  go_behind(*record);
  return record;
}

std::optional<LogRecord> LogReader::find_later() {
  for (std::uint64_t at = offset_; at + kFrameBytes <= window_.size_bytes(); at += header_.alignment) {
    std::optional<LogRecord> record = record_at(at);
    if (record && record->sequence >= next_sequence_) {
      next_sequence_ = record->sequence;
      go_behind(*record);
      return record;
    }
  }
  return std::nullopt;
}

bool LogReader::rest_is_zero() {
  constexpr std::size_t kLookedAtOnce = 64u << 10;
  for (std::uint64_t at = offset_; at < window_.size_bytes();) {
    const View piece = window_.at(at, kLookedAtOnce);
    if (piece.empty() || piece.find_first_not_of('\0') != View::npos) return false;
    at += piece.size();
  }
  return true;
}

std::optional<LogRecord> LogReader::record_at(std::uint64_t offset) {
  const std::optional<Frame> frame = peek_frame(window_.at(offset, kFrameBytes), header_.file_id);
  if (!frame || frame->body_bytes > window_.size_bytes() - offset) return std::nullopt;
  const View bytes = window_.at(offset, kFrameBytes + frame->body_bytes);
  if (!frame_is_intact(bytes, *frame)) return std::nullopt;
  return LogRecord{frame->number, offset, bytes.substr(kFrameBytes)};
}

void LogReader::go_behind(const LogRecord& record) {
  const std::uint64_t end = record.body_offset() + record.body.size();
  offset_ = (end + header_.alignment - 1) / header_.alignment * header_.alignment;
  ++next_sequence_;
}

}  // namespace holdfast::file
