// Hints that keys changed. A hint says that something happened, not what; read the keys again to see it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

/// What has changed in a watched range since the last hint.
struct Hint {
  std::vector<Bytes> keys;  ///< changed or erased keys, each once, in byte order
  /// Anything in the range may have changed: the queue overflowed, the change log was compacted, or the
  /// history changed. `keys` is then empty.
  bool everything = false;
  Position through;  ///< covers all commits up to here: the `since` to resume from
};

/// Bound to one thread at a time; destroying it ends it.
class Watch {
 public:
  class Impl;
  explicit Watch(std::shared_ptr<Impl> impl);
  ~Watch();
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;

  /// The next hint, or nothing at the deadline or after cancel(). Throws closed when the store is closed.
  /// Expiry is not a change: an entry that times out gives a hint only when it is reaped.
  std::optional<Hint> next(Deadline deadline);
  /// Ends a next() that waits in another thread; later calls return nothing.
  void cancel();

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace holdfast
