#include "backends/sqlite/waiting.h"

#include <algorithm>
#include <optional>

namespace holdfast::sqlite {

std::vector<std::size_t> Waiting::wait(std::span<const Cursor> cursors, Deadline deadline) {
  deadline = effective_deadline(*clock_, deadline);
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes_seen = wakes_;
  ++waiting_;
  const auto look = [&](Reader& reader) {
    std::optional<std::int64_t> version_seen;
    std::vector<std::size_t> behind;
    while (true) {
      const std::uint64_t changes_seen = changes_;
      lock.unlock();
      // The version first: a commit between it and the heads only makes us look once more.
      const std::int64_t version = reader.data_version();
      if (version != version_seen) behind = reader.behind(cursors);
      version_seen = version;
      lock.lock();
      if (!behind.empty() || wakes_ != wakes_seen || woken_early_ || clock_->steady_now() >= deadline) {
        return behind;
      }
      if (changes_ != changes_seen) continue;
      clock_->wait_until(changed_, lock, std::min(deadline, clock_->steady_now() + kPollEvery));
    }
  };
  const auto leave = [&] {
    if (!lock.owns_lock()) lock.lock();
    --waiting_;
    woken_early_ = false;
  };
  try {
    lock.unlock();
    std::vector<std::size_t> behind = readers_.with(deadline, [&](Reader& reader) {
      lock.lock();
      return look(reader);
    });
    leave();
    return behind;
  } catch (...) {
    leave();
    throw;
  }
}

void Waiting::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  if (waiting_ == 0) woken_early_ = true;
  changed_.notify_all();
}

void Waiting::notify() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  changed_.notify_all();
}

}  // namespace holdfast::sqlite
