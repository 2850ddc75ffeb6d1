#include "backends/file/database.h"

#include <algorithm>

#include "holdfast/error.h"

namespace holdfast::file {
namespace {

[[noreturn]] void does_not_fit(const Bytes& name) {
  throw Error(Code::corruption, "a record does not fit the state of database \"" + name + "\"");
}

}  // namespace

std::optional<UnixMs> Database::next_due_ms() const {
  if (expiries_.empty()) return std::nullopt;
  return expiries_.begin()->first;
}

void Database::apply_group(Decoder& decoder, const ValuePlace& place, std::uint64_t sequence) {
  const GroupItem item = decode_group(decoder);
  const bool fits = item.creates ? !head_.exists() : head_.exists() && head_.history == item.history;
  if (!decoder.ok() || !fits || head_.seq != item.base_seq) does_not_fit(name_);
  SessionRecord& session = sessions_.use(item.session);
  const std::uint32_t writes = decode_outcomes(decoder, item, session.outcomes);
  Seq seq = item.base_seq;
  for (const Outcome& outcome : session.outcomes) seq = std::max(seq, outcome.seq);
  for (std::uint32_t i = 0; i < writes; ++i) {
    const WriteItem write = decode_write(decoder, item);
    const bool is_in_order =
        write.version > item.base_seq && write.version >= log_.last() && write.version <= seq;
    if (!decoder.ok() || !(item.importing || is_in_order)) does_not_fit(name_);
    apply_write(write, place);
    if (!item.importing) log_.append(write.version, write.key);
  }
  if (!decoder.ok()) does_not_fit(name_);
  head_.seq = seq;
  head_.history = item.history;
  head_.time_ms = item.time_ms;
  session.number = item.number;
  session.content_hash = item.content_hash;
  session.at = head_.position();
  session.used_at_ms = item.time_ms;
  sessions_.expire(head_.time_ms);
  applied_ = sequence;
}

void Database::apply_write(const WriteItem& write, const ValuePlace& place) {
  if (!expiries_.empty()) forget_expiry(write.key);
  if (write.erase) {
    index_.erase(write.key);
    return;
  }
  if (write.expires_at_ms != kNeverExpires) expiries_.emplace(write.expires_at_ms, Bytes(write.key));
  Stored stored{write.version, write.expires_at_ms, write.value, false};
  ValueReference reference;
  if (write.on_disk()) {
    reference.file = place.file;
    reference.checksum = write.checksum;
    reference.offset = place.offset + static_cast<std::uint64_t>(write.value.data() - place.bytes.data());
    reference.size_bytes = write.value.size();
    stored.value = reference.bytes();
    stored.on_disk = true;
  }
  index_.put(write.key, stored);
}

void Database::forget_expiry(View key) {
  const std::optional<Stored> old = index_.find(key);
  if (old && old->expires_at_ms != kNeverExpires) expiries_.erase({old->expires_at_ms, Bytes(key)});
}

void Database::set_head(const Head& head, std::uint64_t sequence) {
  head_ = head;
  trim_log(head_.floor);
  applied_ = sequence;
}

void Database::drop(std::uint64_t sequence) {
  head_ = Head{};
  sessions_.clear();
  index_.clear();
  expiries_.clear();
  log_.clear();
  applied_ = sequence;
}

void Database::load_entry(View key, const Stored& stored) {
  index_.append(key, stored);
  if (stored.expires_at_ms != kNeverExpires) expiries_.emplace(stored.expires_at_ms, Bytes(key));
}

void Database::load_log_row(Seq seq, View key) {
  if (seq < log_.last()) does_not_fit(name_);
  log_.append(seq, key);
}

void Database::move_value(View key, const ValueReference& from, const ValueReference& to) {
  const std::optional<Stored> stored = index_.find(key);
  if (!stored || !stored->on_disk || ValueReference::of(stored->value) != from) return;
  index_.put(key, Stored{stored->version, stored->expires_at_ms, to.bytes(), true});
}

const std::pair<UnixMs, Bytes>* Database::expiry_after(UnixMs expires_at_ms, View key) const {
  const auto next = expiries_.upper_bound({expires_at_ms, Bytes(key)});
  return next == expiries_.end() ? nullptr : &*next;
}

}  // namespace holdfast::file
