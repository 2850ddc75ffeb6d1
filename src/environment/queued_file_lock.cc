#include "environment/queued_file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "contract/assert.h"
#include "environment/posix_error.h"

namespace holdfast {
namespace {

constexpr mode_t kLockFileMode = 0644;

/// Bytes of the file. Who waits for the turn has the place before it, so that who gives the turn back and
/// wants it again at once, while the kernel has yet to wake the next, finds that place taken and lines up.
struct ByteRange {
  off_t first;
  off_t count;
};
constexpr ByteRange kTurn{0, 1};
constexpr ByteRange kNextInLine{1, 1};
constexpr ByteRange kBoth{0, 2};

/// 0, or the errno.
int change_lock(int descriptor, ByteRange bytes, short type, int command) {
  struct flock range{};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = bytes.first;
  range.l_len = bytes.count;
  while (fcntl(descriptor, command, &range) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int unlock(int descriptor, ByteRange bytes) { return change_lock(descriptor, bytes, F_UNLCK, F_OFD_SETLK); }

/// Takes the turn though others may wait for it.
int try_turn_again(int descriptor) { return change_lock(descriptor, kTurn, F_WRLCK, F_OFD_SETLK); }

/// Takes the turn if nobody has it or waits for it.
int try_turn(int descriptor) {
  const int error = change_lock(descriptor, kBoth, F_WRLCK, F_OFD_SETLK);
  return error != 0 ? error : unlock(descriptor, kNextInLine);
}

int wait_for_turn(int descriptor) {
  const int error = change_lock(descriptor, kNextInLine, F_WRLCK, F_OFD_SETLKW);
  if (error != 0) return error;
  const int turn_error = change_lock(descriptor, kTurn, F_WRLCK, F_OFD_SETLKW);
  const int unlock_error = unlock(descriptor, kNextInLine);
  return turn_error != 0 ? turn_error : unlock_error;
}

}  // namespace

// The kernel's wait has no time limit, so a thread of its own waits for us once the lock was found taken. It
// shares this state and outlives the lock object if it must: nothing can call it back from the kernel while
// another process, perhaps a stopped one, holds the lock.
struct QueuedFileLock::Shared {
  Shared(std::string lock_path, int lock_descriptor, std::shared_ptr<Clock> lock_clock)
      : path(std::move(lock_path)), descriptor(lock_descriptor), clock(std::move(lock_clock)) {}
  ~Shared() { close(descriptor); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  const std::string path;
  const int descriptor;
  const std::shared_ptr<Clock> clock;
  std::mutex mutex;
  std::condition_variable changed;
  bool thread_runs = false;
  bool asked = false;    ///< the thread is to wait for the lock, or does
  bool wanted = false;   ///< somebody waits for the thread
  bool granted = false;  ///< the thread has it, for who wanted it
  bool closing = false;
  int error = 0;
  Deadline slice_end{};

  static void run(const std::shared_ptr<Shared>& self) {
    std::unique_lock lock(self->mutex);
    while (true) {
      self->changed.wait(lock, [&] { return self->asked || self->closing; });
      if (self->closing) return;
      lock.unlock();
      const int error = wait_for_turn(self->descriptor);
      lock.lock();
      self->asked = false;
      if (self->wanted) {
        self->error = error;
        self->granted = error == 0;
        self->changed.notify_all();
      } else if (error == 0) {
        unlock(self->descriptor, kTurn);
      }
    }
  }

  /// With the mutex held.
  void ask(const std::shared_ptr<Shared>& self) {
    if (!thread_runs) {
      std::thread([self] { run(self); }).detach();
      thread_runs = true;
    }
    asked = true;
    changed.notify_all();
  }
};

QueuedFileLock::QueuedFileLock(const std::string& path, std::shared_ptr<Clock> clock) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kLockFileMode);
  if (descriptor < 0) throw posix_error(errno, "open", path);
  shared_ = std::make_shared<Shared>(path, descriptor, std::move(clock));
}

QueuedFileLock::~QueuedFileLock() {
  release();
  const std::lock_guard lock(shared_->mutex);
  shared_->closing = true;
  shared_->changed.notify_all();
}

bool QueuedFileLock::acquire(Deadline deadline) {
  std::unique_lock lock(shared_->mutex);
  // While the thread waits for an earlier call that gave up, the lock must come from it: the descriptor is
  // one, and it would release what we took.
  if (!shared_->asked) {
    const Deadline now = shared_->clock->steady_now();
    const bool is_in_slice = now < shared_->slice_end;
    const int error = is_in_slice ? try_turn_again(shared_->descriptor) : try_turn(shared_->descriptor);
    if (error == 0) {
      if (!is_in_slice) shared_->slice_end = now + kSlice;
      return true;
    }
    if (error != EAGAIN && error != EACCES) throw posix_error(error, "lock", shared_->path);
    shared_->ask(shared_);
  }
  shared_->wanted = true;
  shared_->error = 0;
  while (!shared_->granted && shared_->error == 0 && shared_->clock->steady_now() < deadline) {
    shared_->clock->wait_until(shared_->changed, lock, deadline);
  }
  shared_->wanted = false;
  if (shared_->error != 0) throw posix_error(shared_->error, "lock", shared_->path);
  if (shared_->granted) shared_->slice_end = shared_->clock->steady_now() + kSlice;
  return std::exchange(shared_->granted, false);
}

void QueuedFileLock::release() {
  const std::lock_guard lock(shared_->mutex);
  // An unlock by who does not hold it would take it from the thread that is about to get it.
  if (shared_->asked) return;
  const int error = unlock(shared_->descriptor, kTurn);
  HOLDFAST_ASSERT(error == 0);
}

}  // namespace holdfast
