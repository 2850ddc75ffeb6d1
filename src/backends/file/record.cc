#include "backends/file/record.h"

#include <algorithm>

#include "backends/file/crc32c.h"
#include "holdfast/limits.h"

namespace holdfast::file {
namespace {

constexpr std::uint8_t kCreates = 1;
constexpr std::uint8_t kImporting = 2;

constexpr std::uint8_t kErase = 1;
constexpr std::uint8_t kExpires = 2;

/// Kind, name and length of the item; where the length is, for end_item().
std::size_t begin_item(AlignedBuffer& buffer, ItemKind kind, View database) {
  buffer.put8(static_cast<std::uint8_t>(kind));
  buffer.put_bytes(database);
  buffer.put32(0);
  return buffer.size() - sizeof(std::uint32_t);
}

void end_item(AlignedBuffer& buffer, std::size_t length_offset) {
  buffer.set32(length_offset,
               static_cast<std::uint32_t>(buffer.size() - length_offset - sizeof(std::uint32_t)));
}

}  // namespace

void GroupEncoder::begin(const GroupItem& item, const std::vector<Outcome>& outcomes) {
  length_offset_ = begin_item(buffer_, ItemKind::group, item.database);
  buffer_.put64(item.history);
  buffer_.put_number(item.base_seq);
  buffer_.put_signed(item.time_ms);
  buffer_.put8(static_cast<std::uint8_t>((item.creates ? kCreates : 0) | (item.importing ? kImporting : 0)));
  buffer_.put64(item.session.first);
  buffer_.put64(item.session.second);
  buffer_.put_number(item.number);
  buffer_.put64(item.content_hash);
  buffer_.put_number(outcomes.size());
  for (const Outcome& outcome : outcomes) {
    buffer_.put_number(outcome.committed() ? 0 : *outcome.failed_check + 1);
  }
  importing_ = item.importing;
  writes_ = 0;
  count_offset_ = buffer_.size();
  buffer_.put32(0);
}

void GroupEncoder::put(std::uint64_t commit, View prefix, View stamp, View suffix, View value,
                       const std::optional<UnixMs>& expires_at_ms, Seq version) {
  buffer_.put8(expires_at_ms ? kExpires : 0);
  buffer_.put_number(importing_ ? version : commit);
  buffer_.put_number(prefix.size() + stamp.size() + suffix.size());
  buffer_.put_raw(prefix);
  buffer_.put_raw(stamp);
  buffer_.put_raw(suffix);
  if (expires_at_ms) buffer_.put_signed(*expires_at_ms);
  buffer_.put_number(value.size());
  if (value.size() > kMaxInlineValueBytes) buffer_.put32(crc32c(value));
  buffer_.put_raw(value);
  ++writes_;
}

void GroupEncoder::erase(std::uint64_t commit, View key) {
  buffer_.put8(kErase);
  buffer_.put_number(commit);
  buffer_.put_bytes(key);
  ++writes_;
}

void GroupEncoder::end() {
  buffer_.set32(count_offset_, writes_);
  end_item(buffer_, length_offset_);
}

void encode_head_item(AlignedBuffer& buffer, View database, const Head& head) {
  const std::size_t length_offset = begin_item(buffer, ItemKind::head, database);
  encode_head(buffer, head);
  end_item(buffer, length_offset);
}

void encode_drop_item(AlignedBuffer& buffer, View database, std::uint64_t history) {
  const std::size_t length_offset = begin_item(buffer, ItemKind::drop, database);
  buffer.put64(history);
  end_item(buffer, length_offset);
}

ItemFrame decode_item(Decoder& decoder) {
  ItemFrame item;
  item.kind = static_cast<ItemKind>(decoder.get8());
  item.database = decoder.get_bytes();
  const std::uint32_t size = decoder.get32();
  item.body = decoder.get_raw(size);
  if (item.database.empty() || item.kind < ItemKind::group || item.kind > ItemKind::drop) decoder.reject();
  return item;
}

GroupItem decode_group(Decoder& decoder) {
  GroupItem item;
  item.history = decoder.get64();
  item.base_seq = decoder.get_number();
  item.time_ms = decoder.get_signed();
  const std::uint8_t flags = decoder.get8();
  item.creates = (flags & kCreates) != 0;
  item.importing = (flags & kImporting) != 0;
  item.session.first = decoder.get64();
  item.session.second = decoder.get64();
  item.number = decoder.get_number();
  item.content_hash = decoder.get64();
  item.outcomes = static_cast<std::size_t>(decoder.get_number());
  if (item.outcomes > limits::kGroupBatches) decoder.reject();
  return item;
}

std::uint32_t decode_outcomes(Decoder& decoder, const GroupItem& item, std::vector<Outcome>& outcomes) {
  outcomes.clear();
  if (!decoder.ok()) return 0;
  Seq seq = item.base_seq;
  for (std::size_t i = 0; i < item.outcomes; ++i) {
    const std::uint64_t failed = decoder.get_number();
    Outcome& outcome = outcomes.emplace_back();
    if (failed != 0) {
      outcome.failed_check = static_cast<std::size_t>(failed - 1);
    } else if (!item.importing) {
      outcome.seq = ++seq;
    }
  }
  return decoder.get32();
}

WriteItem decode_write(Decoder& decoder, const GroupItem& item) {
  WriteItem write;
  const std::uint8_t flags = decoder.get8();
  write.erase = (flags & kErase) != 0;
  const std::uint64_t number = decoder.get_number();
  write.version = item.importing ? number : item.base_seq + 1 + number;
  write.key = decoder.get_bytes();
  if (!write.erase) {
    if ((flags & kExpires) != 0) write.expires_at_ms = decoder.get_signed();
    const auto size = static_cast<std::size_t>(decoder.get_number());
    if (size > kMaxInlineValueBytes) write.checksum = decoder.get32();
    write.value = decoder.get_raw(size);
  }
  if (write.key.empty() || write.key.size() > limits::kKeyBytes) decoder.reject();
  return write;
}

void encode_head(AlignedBuffer& buffer, const Head& head) {
  buffer.put64(head.history);
  buffer.put_number(head.seq);
  buffer.put_signed(head.time_ms);
  buffer.put_number(head.floor);
  buffer.put8(static_cast<std::uint8_t>(head.fence.state));
  buffer.put64(head.fence.token);
  buffer.put_bytes(head.fence.place);
  buffer.put64(head.fence.at.history);
  buffer.put_number(head.fence.at.seq);
  buffer.put_signed(head.fence.time_ms);
}

Head decode_head(Decoder& decoder) {
  Head head;
  head.history = decoder.get64();
  head.seq = decoder.get_number();
  head.time_ms = decoder.get_signed();
  head.floor = decoder.get_number();
  const std::uint8_t state = decoder.get8();
  if (state > static_cast<std::uint8_t>(Fence::State::importing)) decoder.reject();
  head.fence.state = static_cast<Fence::State>(state);
  head.fence.token = decoder.get64();
  head.fence.place = decoder.get_bytes();
  head.fence.at.history = decoder.get64();
  head.fence.at.seq = decoder.get_number();
  head.fence.time_ms = decoder.get_signed();
  return head;
}

}  // namespace holdfast::file
