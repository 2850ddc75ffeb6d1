// The bounds of a query of records by their names, for front doors that read them from text.
#pragma once

#include <array>
#include <optional>

#include "holdfast/records.h"

namespace holdfast {

struct RecordBound {
  const char* name;
  std::optional<Payload> RecordQuery::* value;
  const char* meaning;
};

inline constexpr std::array<RecordBound, 5> kRecordBounds = {
    {{"equals", &RecordQuery::equals, "with this value"},
     {"at_least", &RecordQuery::at_least, "with this value or a larger one"},
     {"above", &RecordQuery::above, "with a larger value"},
     {"at_most", &RecordQuery::at_most, "with this value or a smaller one"},
     {"below", &RecordQuery::below, "with a smaller value"}}};

}  // namespace holdfast
