// The keeper: it extends the lease of the session, and takes over what sessions have left whose lease has
// ended. A session that others have found dead is never used again: the engine begins another one.
#include <algorithm>
#include <utility>

#include "holdfast/error.h"
#include "services/task_engine_impl.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// In steps, because the wall clock may be set meanwhile.
constexpr milliseconds kLongestKeeperWait = std::chrono::minutes(1);
/// Of one commit, between two looks at the time.
constexpr std::size_t kTakenAtOnce = 50;

}  // namespace

void TaskEngine::Impl::begin_session() {
  const Deadline begin = clock_->steady_now();
  Bytes id;
  store_->database.transact([&](Transaction& transaction) {
    id = new_task_id(transaction.now(), *random_);
    store_->moves.begin_session(transaction, id, options_.session_lease);
  });
  const std::scoped_lock lock(mutex_);
  session_ = id;
  ++metrics_.sessions;
  beat_at_ = begin + options_.session_lease / 3;
  lease_ends_at_ = begin + options_.session_lease;
}

void TaskEngine::Impl::keep_session() {
  Lock lock(mutex_);
  while (!is_over_) {
    const Deadline begin = clock_->steady_now();
    const bool must_beat = begin >= beat_at_;
    is_beating_ = true;
    lock.unlock();
    if (must_beat) beat();
    milliseconds next_in = kLongestKeeperWait;
    try {
      next_in = std::min(take_over_step().value_or(kLongestKeeperWait), kLongestKeeperWait);
    } catch (const Error& error) {
      report(error);
      next_in = std::min<milliseconds>(options_.session_lease / 10, kLongestKeeperWait);
    }
    lock.lock();
    is_beating_ = false;
    changed_.notify_all();
    const Deadline next = std::min(beat_at_, begin + next_in);
    if (!is_over_ && clock_->steady_now() < next) wait(beats_, lock, next);
  }
}

void TaskEngine::Impl::beat() {
  const Deadline begin = clock_->steady_now();
  const Bytes session = this->session();
  std::vector<RunningPointer> running;
  {
    const std::scoped_lock lock(mutex_);
    running.assign(running_.begin(), running_.end());
  }
  try {
    const bool is_alive = store_->database.transact(
        [&](Transaction& transaction) {
          return store_->moves.keep_session(transaction, session, options_.session_lease);
        },
        begin + options_.session_lease / 3);
    if (!is_alive) return lose_session();
    {
      const std::scoped_lock lock(mutex_);
      ++metrics_.heartbeats;
      beat_at_ = begin + options_.session_lease / 3;
      lease_ends_at_ = begin + options_.session_lease;
    }
    drop_lost_tasks(running);
  } catch (const Error& error) {
    report(error);
    Lock lock(mutex_);
    const Deadline now = clock_->steady_now();
    beat_at_ = std::max(beat_at_, now + options_.session_lease / 10);
    if (now < lease_ends_at_) return;
    lock.unlock();
    // Others may run them from now on.
    ask_to_stop(running);
  }
}

void TaskEngine::Impl::lose_session() {
  std::vector<RunningPointer> running;
  {
    const std::scoped_lock lock(mutex_);
    running.assign(running_.begin(), running_.end());
  }
  ask_to_stop(running);
  begin_session();
  wake_poller();
}

void TaskEngine::Impl::drop_lost_tasks(const std::vector<RunningPointer>& running) {
  if (running.empty()) return;
  std::vector<Bytes> keys;
  keys.reserve(running.size());
  for (const RunningPointer& each : running) keys.push_back(store_->keys().task(each->claimed.id));
  const std::vector<std::optional<Entry>> entries = store_->database.get(keys);
  std::vector<RunningPointer> lost;
  for (std::size_t i = 0; i < running.size(); ++i) {
    const Task& claimed = running[i]->claimed;
    if (entries[i]) {
      const Task task = parse_task(claimed.id, entries[i]->value);
      if (task.session == claimed.session && task.attempts == claimed.attempts) continue;
    }
    lost.push_back(running[i]);
  }
  ask_to_stop(lost);
}

std::optional<milliseconds> TaskEngine::Impl::take_over_step() {
  Database& database = store_->database;
  const TaskMoves& moves = store_->moves;
  const UnixMs now_ms = database.transact([](Transaction& transaction) { return transaction.now(); });
  const Bytes mine = session();
  std::optional<milliseconds> next_in;
  for (const TaskSession& other : store_->sessions()) {
    if (other.id == mine) continue;
    const bool is_over = other.is_over || other.lease_ends_at_ms <= now_ms;
    if (!is_over) {
      const milliseconds left(other.lease_ends_at_ms - now_ms);
      next_in = next_in ? std::min(*next_in, left) : left;
      continue;
    }
    if (!database.transact(
            [&](Transaction& transaction) { return moves.bury_session(transaction, other.id); })) {
      continue;
    }
    // No commit gives it a task any more: what is here now is all.
    std::vector<TaskId> ids;
    bool is_more = false;
    Range range = Range::prefix(store_->keys().running());
    for (bool has_page = true; has_page && !is_more;) {
      const Page page = database.scan(range);
      for (const Entry& entry : page.entries) {
        if (entry.value != other.id) continue;
        if (ids.size() == kTakenAtOnce) {
          is_more = true;
          break;
        }
        ids.push_back(task_id_of(entry.key));
      }
      has_page = page.more && !page.entries.empty();
      if (has_page) range.begin = page.entries.back().key + '\0';
    }
    const std::size_t taken = database.transact([&](Transaction& transaction) {
      const std::size_t tasks = moves.take_over(transaction, other.id, ids);
      if (!is_more) moves.end_session(transaction, other.id);
      return tasks;
    });
    const std::scoped_lock lock(mutex_);
    metrics_.taken_over += taken;
    if (is_more) return milliseconds(0);
  }
  return next_in;
}

}  // namespace holdfast
