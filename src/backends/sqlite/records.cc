#include "backends/sqlite/records.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "contract/assert.h"
#include "contract/validate.h"

namespace holdfast::sqlite {
namespace {

[[noreturn]] void damaged(const char* what) {
  throw Error(Code::corruption, std::string("a stored ") + what +
                                    " of the SQLite file is damaged; run a check, and restore a backup");
}

void append_number(Bytes& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>((number & 0x7F) | 0x80));
  out.push_back(static_cast<char>(number));
}

/// Base-128 numbers and byte strings, front to back.
class Decoder {
 public:
  Decoder(View bytes, const char* what) : rest_(bytes), what_(what) {}

  bool done() const { return rest_.empty(); }
  View rest() const { return rest_; }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) damaged(what_);
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    damaged(what_);
  }
  View bytes(std::uint64_t size) {
    if (size > rest_.size()) damaged(what_);
    const View taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  /// At least one byte follows per item, which bounds what a damaged count can make us allocate.
  std::uint64_t count() {
    const std::uint64_t value = number();
    if (value > rest_.size()) damaged(what_);
    return value;
  }

 private:
  View rest_;
  const char* what_;
};

constexpr std::array<const char*, 4> kFenceStates = {"open", "frozen", "moved", "importing"};

}  // namespace

void LogRow::append(Seq seq, std::vector<Bytes>& keys) {
  HOLDFAST_ASSERT(seq > last_);
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  append_number(bytes_, seq - last_);
  append_number(bytes_, keys.size());
  for (const Bytes& key : keys) {
    append_number(bytes_, key.size());
    bytes_ += key;
  }
  last_ = seq;
}

void LogRow::clear() {
  bytes_.clear();
  last_ = 0;
}

bool for_each_commit(View row, const std::function<bool(Seq, const std::vector<View>&)>& visit) {
  Decoder decoder(row, "change log row");
  std::vector<View> keys;
  Seq seq = 0;
  while (!decoder.done()) {
    const std::uint64_t step = decoder.number();
    if (step == 0 || step > UINT64_MAX - seq) damaged("change log row");
    seq += step;
    keys.clear();
    for (std::uint64_t left = decoder.count(); left > 0; --left)
      keys.push_back(decoder.bytes(decoder.number()));
    if (!visit(seq, keys)) return false;
  }
  return true;
}

Bytes encode_outcomes(const std::vector<Outcome>& outcomes) {
  Bytes bytes;
  append_number(bytes, outcomes.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i].committed()) continue;
    append_number(bytes, i);
    append_number(bytes, *outcomes[i].failed_check);
  }
  return bytes;
}

std::vector<Outcome> decode_outcomes(View bytes, Position at) {
  Decoder decoder(bytes, "session");
  const std::uint64_t count = decoder.number();
  if (count > limits::kGroupBatches) damaged("session");
  std::vector<Outcome> outcomes(count);
  std::uint64_t committed = count;
  while (!decoder.done()) {
    const std::uint64_t index = decoder.number();
    if (index >= count || !outcomes[index].committed()) damaged("session");
    outcomes[index].failed_check = decoder.number();
    --committed;
  }
  // Commits of an import use no seq.
  if (at.history == 0) return outcomes;
  if (committed > at.seq) damaged("session");
  Seq seq = at.seq - committed;
  for (Outcome& outcome : outcomes) {
    if (outcome.committed()) outcome.seq = ++seq;
  }
  return outcomes;
}

Bytes session_key(const SessionId& id) {
  Bytes key;
  for (const std::uint64_t half : {id.first, id.second}) {
    for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>((half >> shift) & 0xFF));
  }
  return key;
}

Bytes encode_session(const SessionId& id, const SessionRecord& record) {
  Bytes bytes = session_key(id);
  for (const std::uint64_t number : {record.number, record.content_hash, record.at.history, record.at.seq,
                                     static_cast<std::uint64_t>(record.used_at_ms)}) {
    append_number(bytes, number);
  }
  return bytes + encode_outcomes(record.outcomes);
}

StoredSession decode_session(View bytes) {
  constexpr std::size_t kKeyBytes = 16;
  Decoder decoder(bytes, "session");
  StoredSession stored;
  stored.key = decoder.bytes(kKeyBytes);
  SessionRecord& record = stored.record;
  record.number = decoder.number();
  record.content_hash = decoder.number();
  record.at.history = decoder.number();
  record.at.seq = decoder.number();
  record.used_at_ms = static_cast<UnixMs>(decoder.number());
  record.outcomes = decode_outcomes(decoder.rest(), record.at);
  return stored;
}

std::optional<Bytes> encode_fence(const Fence& fence) {
  if (fence == Fence{}) return std::nullopt;
  const std::array<std::uint64_t, 4> numbers = {fence.token, fence.at.history, fence.at.seq,
                                                static_cast<std::uint64_t>(fence.time_ms)};
  Bytes bytes = kFenceStates[static_cast<std::size_t>(fence.state)];
  for (const std::uint64_t number : numbers) bytes += " " + std::to_string(number);
  return bytes + " " + fence.place;
}

Fence decode_fence(View bytes) {
  const auto word = [&bytes] {
    const std::size_t end = bytes.find(' ');
    if (end == View::npos) damaged("fence");
    const View taken = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    return taken;
  };
  const auto number = [&word] {
    const View digits = word();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) damaged("fence");
    return value;
  };
  const auto* const state = std::find(kFenceStates.begin(), kFenceStates.end(), word());
  if (state == kFenceStates.end()) damaged("fence");
  Fence fence;
  fence.state = static_cast<Fence::State>(state - kFenceStates.begin());
  fence.token = number();
  fence.at.history = number();
  fence.at.seq = number();
  fence.time_ms = static_cast<UnixMs>(number());
  fence.place = Bytes(bytes);
  return fence;
}

bool is_text(View bytes) { return bytes.find('\0') == View::npos && is_utf8(bytes); }

}  // namespace holdfast::sqlite
