// One wait over databases that live in many inner stores, without a thread for each of them. Commits that go
// through this process wake a waiter at once; what other processes commit is found by looking, if there can
// be other processes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

/// Thread-safe.
class WaitHub {
 public:
  /// How often a waiter looks at all its databases by itself where stores are shared by processes, and how
  /// late a commit of another process is then seen at the latest.
  static constexpr std::chrono::milliseconds kLookEvery{20};
  static constexpr std::chrono::milliseconds kSharedWakeBound{100};

  WaitHub(std::shared_ptr<Clock> clock, bool shared_by_processes)
      : clock_(std::move(clock)), shared_by_processes_(shared_by_processes) {}

  /// Whether the cursor's database has another history or a larger seq; nothing if that could not be learned
  /// now: it is looked at again soon. Called without a lock of the hub.
  using Look = std::function<std::optional<bool>(const Cursor&)>;
  /// Backend::wait() by way of `look`.
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline, const Look& look);
  /// Something was done to `database` that may have moved its head. Call it when readers can see it.
  void changed(View database);
  /// Backend::wake().
  void wake();

 private:
  struct Waiter {
    std::multimap<View, std::size_t> cursors;
    std::vector<std::size_t> to_look;
    std::uint64_t wakes_seen = 0;  ///< when it registered: a wake that comes any later ends its wait
  };
  class Registration;

  const std::shared_ptr<Clock> clock_;
  const bool shared_by_processes_;
  std::mutex mutex_;
  std::condition_variable condition_;
  std::list<Waiter> waiters_;
  std::uint64_t wakes_ = 0;
  bool woken_early_ = false;  ///< wake() was called while nobody waited
};

/// Whether the cursor's database has another history or a larger seq in `backend`: a read of its head,
/// because a wait may return early with nothing. Throws what the read throws, but for moved.
bool is_ahead(Backend& backend, const Cursor& cursor, Clock& clock, Deadline deadline);

}  // namespace holdfast
