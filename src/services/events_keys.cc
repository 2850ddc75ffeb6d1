#include "services/events_keys.h"

#include <algorithm>
#include <string>

#include "holdfast/error.h"
#include "services/keys.h"

namespace holdfast {
namespace {

void validate_name(View name, View what, std::size_t most) {
  if (!name.empty() && name.size() <= most) return;
  throw Error(Code::invalid_argument, "the name of " + Bytes(what) + " of " + std::to_string(name.size()) +
                                          " bytes: it has at least 1 and at most " + std::to_string(most));
}

void validate_stream(View stream) { validate_name(stream, "a stream", limits::kStreamNameBytes); }

}  // namespace

Bytes EventKeys::of_stream(View kind, View stream) const {
  validate_stream(stream);
  return prefix_ + Bytes(kind) + escaped_segment(stream) + '/';
}

Bytes EventKeys::stream(View stream) const {
  validate_stream(stream);
  return streams() + Bytes(stream);
}

Bytes EventKeys::log(View stream) const { return of_stream("log/", stream); }
Bytes EventKeys::times(View stream) const { return of_stream("time/", stream); }

Bytes EventKeys::time(View stream, UnixMs time_ms, View id) const {
  return times(stream) + signed_segment(time_ms) + '-' + Bytes(id);
}

Bytes EventKeys::consumers(View stream) const { return of_stream("consumer/", stream); }

Bytes EventKeys::consumer(View stream, View consumer) const {
  validate_name(consumer, "a consumer", limits::kConsumerNameBytes);
  return consumers(stream) + Bytes(consumer);
}

Bytes EventKeys::retention(View stream) const {
  validate_stream(stream);
  return retentions() + Bytes(stream);
}

Bytes event_suffix(std::uint32_t place) { return '-' + number_segment(place).substr(12); }

void validate_event_id(View id) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const bool is_valid = id.size() == kEventIdBytes && id[kEventStampBytes] == '-' &&
                        std::ranges::all_of(id.substr(0, kEventStampBytes), is_hex) &&
                        std::ranges::all_of(id.substr(kEventStampBytes + 1), is_hex);
  if (is_valid) return;
  throw Error(Code::invalid_argument,
              "the id of an event has 16 lower-case hexadecimal digits, '-', and 4 more");
}

Bytes StoredEvent::envelope() const {
  Bytes envelope = "{\"time_ms\":" + std::to_string(time_ms) + ",";
  PayloadCodec::append_members(payload, envelope);
  return envelope;
}

StoredEvent StoredEvent::parse(View envelope) {
  StoredEvent event;
  EnvelopeReader reader(envelope);
  event.time_ms = reader.literal("{\"time_ms\":").number();
  event.payload = PayloadCodec::parse_members(reader.literal(",").rest());
  return event;
}

std::optional<Event> load_event(const Database& database, const Entry& entry) {
  const StoredEvent stored = StoredEvent::parse(entry.value);
  const PayloadCodec codec(database);
  std::optional<Payload> payload = codec.load(stored.payload);
  // An event never changes: its object goes with it alone.
  if (!payload && !database.get(entry.key)) return std::nullopt;
  if (!payload) payload = codec.load_in_transaction(stored.payload);
  const std::size_t id_begins = entry.key.size() - kEventIdBytes;
  return Event{entry.key.substr(id_begins), stored.time_ms, std::move(*payload)};
}

}  // namespace holdfast
