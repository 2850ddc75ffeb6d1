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

/// 0, or the errno.
int change_lock(int descriptor, short type, int command) {
  struct flock whole{};
  whole.l_type = type;
  whole.l_whence = SEEK_SET;
  while (fcntl(descriptor, command, &whole) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
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

  static void run(const std::shared_ptr<Shared>& self) {
    std::unique_lock lock(self->mutex);
    while (true) {
      self->changed.wait(lock, [&] { return self->asked || self->closing; });
      if (self->closing) return;
      lock.unlock();
      const int error = change_lock(self->descriptor, F_WRLCK, F_OFD_SETLKW);
      lock.lock();
      self->asked = false;
      if (self->wanted) {
        self->error = error;
        self->granted = error == 0;
        self->changed.notify_all();
      } else if (error == 0) {
        change_lock(self->descriptor, F_UNLCK, F_OFD_SETLK);
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
    const int error = change_lock(shared_->descriptor, F_WRLCK, F_OFD_SETLK);
    if (error == 0) return true;
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
  return std::exchange(shared_->granted, false);
}

void QueuedFileLock::release() {
  const std::lock_guard lock(shared_->mutex);
  // An unlock by who does not hold it would take it from the thread that is about to get it.
  if (shared_->asked) return;
  const int error = change_lock(shared_->descriptor, F_UNLCK, F_OFD_SETLK);
  HOLDFAST_ASSERT(error == 0);
}

}  // namespace holdfast
