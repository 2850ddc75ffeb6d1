// A lock that processes queue for, each writer of a shared file before it writes: an open-file-description
// lock on a side file. The kernel wakes who waits, in the order in which they came, and releases the lock
// when its holder dies, so nobody polls and nobody starves behind a busy writer.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "holdfast/environment.h"

namespace holdfast {

/// One place in the queue: for one thread at a time, and threads of one process need one object each (or a
/// lock of their own around it). Not for use in a forked child.
class QueuedFileLock {
 public:
  /// How long one object may take the lock again and again while others wait. Each handing over costs more
  /// than a commit on a fast disk: two threads are woken, and what was known of the shared file has to be
  /// read anew.
  static constexpr std::chrono::milliseconds kSlice{4};

  /// Creates `path` if it is missing. Throws as FileSystem does.
  QueuedFileLock(const std::string& path, std::shared_ptr<Clock> clock);
  /// Releases the lock if it is held.
  ~QueuedFileLock();
  QueuedFileLock(const QueuedFileLock&) = delete;
  QueuedFileLock& operator=(const QueuedFileLock&) = delete;

  /// Waits for the lock; false at the deadline. Two system calls while nobody holds it.
  bool acquire(Deadline deadline);
  void release();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace holdfast
