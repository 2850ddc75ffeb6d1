// A record as its entry has it:
//     {"version":3,"created_at_ms":1700000000000,"updated_at_ms":1700000000000,<members of the payload>
#pragma once

#include <cstdint>

#include "holdfast/records.h"
#include "services/payload_codec.h"

namespace holdfast {

struct RecordEnvelope {
  std::uint64_t version = 0;
  UnixMs created_at_ms = 0;
  UnixMs updated_at_ms = 0;
  StoredPayload payload;

  Bytes text() const;
  /// Throws corruption.
  static RecordEnvelope parse(View text);
  Record record(View key, Payload value) const;
};

}  // namespace holdfast
