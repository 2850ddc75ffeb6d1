// What the records of a log say, item by item, at most one item of a database in a record. An item describes
// an effect, not a request: stamped keys are spelt out, reaps have become erases of entries that were there,
// checks are gone. So applying an item needs no judgement, and applying it to a state that already has parts
// of it changes nothing but what it names.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/file/aligned_buffer.h"
#include "backends/file/index.h"
#include "contract/head.h"

namespace holdfast::file {

enum class ItemKind : std::uint8_t { group = 1, head = 2, drop = 3 };

/// One write of a group item. `value` points into the record.
struct WriteItem {
  bool erase = false;
  View key;
  View value;
  Seq version = 0;
  UnixMs expires_at_ms = kNeverExpires;
  std::uint32_t checksum = 0;  ///< of a value that stays on disk
  bool on_disk() const { return value.size() > kMaxInlineValueBytes; }
};

/// What every item begins with.
struct ItemFrame {
  ItemKind kind = ItemKind::group;
  View database;
  View body;
};

/// The head of a group item; its writes follow in the decoder.
struct GroupItem {
  View database;
  std::uint64_t history = 0;
  Seq base_seq = 0;  ///< head.seq before the group
  UnixMs time_ms = 0;
  bool creates = false;
  bool importing = false;
  SessionId session;
  std::uint64_t number = 0;
  std::uint64_t content_hash = 0;
  std::size_t outcomes = 0;  ///< follow in the decoder
};

/// Appends a group item in one pass: begin, a write at a time, end.
class GroupEncoder {
 public:
  explicit GroupEncoder(AlignedBuffer& buffer) : buffer_(buffer) {}
  void begin(const GroupItem& item, const std::vector<Outcome>& outcomes);
  /// `commit` counts the applied batches of the group from 0; `version` is for imports.
  void put(std::uint64_t commit, View prefix, View stamp, View suffix, View value,
           const std::optional<UnixMs>& expires_at_ms, Seq version);
  void erase(std::uint64_t commit, View key);
  void end();

 private:
  AlignedBuffer& buffer_;
  bool importing_ = false;
  std::size_t length_offset_ = 0;
  std::size_t count_offset_ = 0;
  std::uint32_t writes_ = 0;
};

void encode_head_item(AlignedBuffer& buffer, View database, const Head& head);
void encode_drop_item(AlignedBuffer& buffer, View database, std::uint64_t history);

/// The next item of a record.
ItemFrame decode_item(Decoder& decoder);
/// The parts of a group item's body, read in this order. Malformed bytes end in decoder.ok() == false.
GroupItem decode_group(Decoder& decoder);
/// The `item.outcomes` outcomes of a group, and the number of writes that follow.
std::uint32_t decode_outcomes(Decoder& decoder, const GroupItem& item, std::vector<Outcome>& outcomes);
WriteItem decode_write(Decoder& decoder, const GroupItem& item);

void encode_head(AlignedBuffer& buffer, const Head& head);
Head decode_head(Decoder& decoder);

}  // namespace holdfast::file
