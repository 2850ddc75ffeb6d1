#include "services/record_envelope.h"

#include <string>
#include <utility>

namespace holdfast {

Bytes RecordEnvelope::text() const {
  Bytes text;
  text.reserve(payload.text.size() + 120);
  text += "{\"version\":" + std::to_string(version);
  text += ",\"created_at_ms\":" + std::to_string(created_at_ms);
  text += ",\"updated_at_ms\":" + std::to_string(updated_at_ms) + ',';
  PayloadCodec::append_members(payload, text);
  return text;
}

RecordEnvelope RecordEnvelope::parse(View text) {
  EnvelopeReader reader(text);
  RecordEnvelope envelope;
  envelope.version = static_cast<std::uint64_t>(reader.literal("{\"version\":").number());
  envelope.created_at_ms = reader.literal(",\"created_at_ms\":").number();
  envelope.updated_at_ms = reader.literal(",\"updated_at_ms\":").number();
  envelope.payload = PayloadCodec::parse_members(reader.literal(",").rest());
  return envelope;
}

Record RecordEnvelope::record(View key, Payload value) const {
  return {Bytes(key), std::move(value), version, created_at_ms, updated_at_ms};
}

}  // namespace holdfast
