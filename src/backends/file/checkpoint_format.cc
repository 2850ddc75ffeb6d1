#include "backends/file/checkpoint_format.h"

#include "holdfast/limits.h"

namespace holdfast::file {

void encode_session(AlignedBuffer& buffer, const SessionId& id, const SessionRecord& record) {
  buffer.put64(id.first);
  buffer.put64(id.second);
  buffer.put_number(record.number);
  buffer.put64(record.content_hash);
  buffer.put64(record.at.history);
  buffer.put_number(record.at.seq);
  buffer.put_signed(record.used_at_ms);
  buffer.put_number(record.outcomes.size());
  for (const Outcome& outcome : record.outcomes) {
    buffer.put_number(outcome.committed() ? 0 : *outcome.failed_check + 1);
    if (outcome.committed()) buffer.put_number(outcome.seq);
  }
}

SessionId decode_session(Decoder& decoder, SessionRecord& record) {
  SessionId id;
  id.first = decoder.get64();
  id.second = decoder.get64();
  record.number = decoder.get_number();
  record.content_hash = decoder.get64();
  record.at.history = decoder.get64();
  record.at.seq = decoder.get_number();
  record.used_at_ms = decoder.get_signed();
  const std::uint64_t outcomes = decoder.get_number();
  if (outcomes > limits::kGroupBatches) decoder.reject();
  record.outcomes.clear();
  for (std::uint64_t i = 0; i < outcomes && decoder.ok(); ++i) {
    Outcome& outcome = record.outcomes.emplace_back();
    const std::uint64_t failed = decoder.get_number();
    if (failed != 0) {
      outcome.failed_check = static_cast<std::size_t>(failed - 1);
    } else {
      outcome.seq = decoder.get_number();
    }
  }
  return id;
}

}  // namespace holdfast::file
