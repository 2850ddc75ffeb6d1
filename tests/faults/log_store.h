// The simplest durable store that is right: every operation is one record of one log, synced before anybody
// sees it, and replayed through the reference backend's rules. It can be given the faults that such stores
// usually have, to prove that the crash suites find each of them.
#pragma once

#include <memory>

#include "tests/faults/crash_target.h"

namespace holdfast::faults {

enum class LogStoreFault : std::uint8_t {
  none,
  answers_before_sync,
  shows_before_sync,
  /// The answer to a sync that failed is another sync, and when that succeeds all seems well.
  believes_second_sync,
  forgets_folder_sync,
  checks_no_sums,
  /// What a failed write left in the page cache is taken for stored when the log is read again.
  trusts_page_cache,
  /// A retry is judged anew.
  forgets_sessions,
};

/// `fault` is in every store that the target opens. It has neither check nor repair.
CrashTarget log_store_target(LogStoreFault fault);

}  // namespace holdfast::faults
