// How many completed jobs are kept.
#pragma once

#include <atomic>
#include <cstdint>

#include "holdfast/queue.h"
#include "services/queue_keys.h"

namespace holdfast {

/// Counts what a handle keeps and removes what is too much from time to time: to count at each completion
/// would make completions wait for one another. Thread-safe.
class QueueRetention {
 public:
  QueueRetention(Database database, const QueueKeys& keys) : database_(std::move(database)), keys_(keys) {}

  /// One more is kept, of which there may be `most`.
  void note_kept(std::uint32_t most);
  /// The first time, and then whenever a tenth more than there may be could be there. What fails is left for
  /// the next time: the completions before it are done.
  void prune_if_due();

 private:
  void prune(std::uint32_t most);

  Database database_;
  const QueueKeys& keys_;
  std::atomic<std::uint32_t> most_ = 0;
  std::atomic<std::uint32_t> kept_ = 0;  ///< since the last time
  std::atomic<bool> is_known_ = false;   ///< has been pruned by this handle
};

}  // namespace holdfast
