// A consumer of an event stream, as its entry has it.
#pragma once

#include "holdfast/events.h"

namespace holdfast {

struct StoredConsumer {
  EventId offset;
  bool holds = false;

  Bytes text() const;
  /// Throws corruption.
  static StoredConsumer parse(View text);
};

}  // namespace holdfast
