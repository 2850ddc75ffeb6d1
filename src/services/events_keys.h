// The keys and envelopes of event streams; the table of the layout is in events.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "holdfast/events.h"
#include "services/payload_codec.h"

namespace holdfast {

/// Throws invalid_argument for what is no name.
class EventKeys {
 public:
  /// `prefix` ends with '/'.
  explicit EventKeys(View prefix) : prefix_(prefix) {}

  Bytes streams() const { return prefix_ + "stream/"; }
  Bytes stream(View stream) const;
  Bytes all_logs() const { return prefix_ + "log/"; }
  Bytes log(View stream) const;
  Bytes times(View stream) const;
  /// Of one event; without an id the beginning that the stamp is added to.
  Bytes time(View stream, UnixMs time_ms, View id) const;
  Bytes consumers(View stream) const;
  Bytes consumer(View stream, View consumer) const;
  Bytes retentions() const { return prefix_ + "retention/"; }
  Bytes retention(View stream) const;

 private:
  Bytes of_stream(View kind, View stream) const;

  Bytes prefix_;
};

/// What stands behind the stamp in the key of an event: its place in its commit.
Bytes event_suffix(std::uint32_t place);
/// Throws invalid_argument for what is no id.
void validate_event_id(View id);
/// The part of an id that says which commit.
inline constexpr std::size_t kEventStampBytes = 16;
inline constexpr std::size_t kEventIdBytes = kEventStampBytes + 5;

/// An event as its entry has it.
struct StoredEvent {
  UnixMs time_ms = 0;
  StoredPayload payload;

  Bytes envelope() const;
  /// Throws corruption.
  static StoredEvent parse(View envelope);
};

/// With its payload; nothing if the event was pruned since its entry was read.
std::optional<Event> load_event(const Database& database, const Entry& entry);

}  // namespace holdfast
