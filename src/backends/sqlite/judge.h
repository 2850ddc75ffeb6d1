// §4: whether checks hold, on whatever snapshot the connection's transaction has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "backends/sqlite/change_log.h"
#include "backends/sqlite/entries.h"

namespace holdfast::sqlite {

class Judge {
 public:
  Judge(Entries& entries, ChangeLog& log) : entries_(entries), log_(log) {}

  /// The index of the first check that does not hold at `time_ms`.
  std::optional<std::size_t> first_failed(std::int64_t database, Seq floor, std::span<const Check> checks,
                                          UnixMs time_ms);

 private:
  bool holds(std::int64_t database, Seq floor, const Check& check, UnixMs time_ms);
  bool is_unchanged(std::int64_t database, Seq floor, const Check& check, UnixMs time_ms);

  Entries& entries_;
  ChangeLog& log_;
};

}  // namespace holdfast::sqlite
