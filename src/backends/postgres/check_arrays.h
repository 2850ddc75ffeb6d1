// Checks as the arrays that failing_checks() of schema.h takes.
#pragma once

#include "backends/postgres/values.h"

namespace holdfast::postgres {

/// Greater than every key: an end for ranges that have none, so that a plan has one bound to search by.
View beyond_all_keys();
/// The end of a range as a key to compare with.
inline View end_or_beyond(const Bytes& end) { return end.empty() ? beyond_all_keys() : View(end); }

/// The version that the key of a check must have: 0 for none, -1, which no entry has, for a check that cannot
/// hold.
std::int64_t wanted_version(const Check& check);

class CheckArrays {
 public:
  void add(std::int32_t batch, std::int32_t number, const Check& check);
  /// batch, no, key and version of the checks of keys; then batch, no, begin, end, since and time of those of
  /// ranges.
  void move_to(Parameters& parameters);

 private:
  ArrayParameter batch_ = ArrayParameter::int4s(), no_ = ArrayParameter::int4s();
  ArrayParameter key_ = ArrayParameter::byteas(), version_ = ArrayParameter::int8s();
  ArrayParameter range_batch_ = ArrayParameter::int4s(), range_no_ = ArrayParameter::int4s();
  ArrayParameter begin_ = ArrayParameter::byteas(), end_ = ArrayParameter::byteas();
  ArrayParameter since_ = ArrayParameter::int8s(), time_ = ArrayParameter::int8s();
};

}  // namespace holdfast::postgres
