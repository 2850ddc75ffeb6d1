// The poller: it looks for tasks that are due, and if there are none it can take, waits until one is due by
// itself; before that only a commit can change the answer, or a task that ends without one, and a watch that
// began before the look tells of it.
#include <algorithm>
#include <string>
#include <system_error>

#include "holdfast/error.h"
#include "services/task_engine_impl.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// In steps, because the wall clock may be set meanwhile.
constexpr milliseconds kLongestPollerWait = std::chrono::minutes(1);
constexpr std::size_t kMostOffered = 500;
constexpr std::size_t kMostClaimed = 100;
constexpr std::size_t kMostSpread = 64;
constexpr milliseconds kTrimInterval = std::chrono::hours(1);
constexpr std::uint64_t kTrimmedAtOnce = 5'000;

std::optional<milliseconds> earlier_of(std::optional<milliseconds> a, std::optional<milliseconds> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

void TaskEngine::Impl::wake_poller() {
  const std::scoped_lock lock(mutex_);
  is_woken_ = true;
  if (watch_) watch_->cancel();
  polls_.notify_all();
}

bool TaskEngine::Impl::must_trim(Deadline now) const {
  if (options_.retention.max_attempts == 0 && options_.retention.max_age.count() == 0) return false;
  const std::uint64_t tenth = std::max<std::uint64_t>(options_.retention.max_attempts / 10, 100);
  return now >= trim_at_ || (options_.retention.max_attempts > 0 && ended_since_trim_ >= tenth);
}

void TaskEngine::Impl::take_tasks() {
  Lock lock(mutex_);
  while (is_taking_) {
    const Deadline begin = clock_->steady_now();
    is_claiming_ = true;
    const bool needs_watch = std::exchange(is_woken_, false) || !watch_;
    const bool is_trimming = must_trim(begin);
    if (is_trimming) {
      trim_at_ = begin + kTrimInterval;
      ended_since_trim_ = 0;
    }
    ++metrics_.passes;
    lock.unlock();
    Pass pass;
    bool has_failed = false;
    bool is_closed = false;
    try {
      if (needs_watch) {
        Watch watch =
            store_->database.watch(Range::prefix(store_->keys().live()), store_->database.position());
        lock.lock();
        watch_.emplace(std::move(watch));
        // Whoever has woken the poller meanwhile could not cancel this one.
        if (is_woken_) watch_->cancel();
        lock.unlock();
      }
      pass = look();
      if (is_trimming) tasks_.trim(options_.retention, kTrimmedAtOnce);
    } catch (const Error& error) {
      has_failed = true;
      is_closed = error.code() == Code::closed;
      report(error);
    }
    join_ended();
    lock.lock();
    is_claiming_ = false;
    changed_.notify_all();
    if (!is_taking_ || pass.has_claimed) continue;
    if (has_failed) {
      watch_.reset();
      const Deadline again = is_closed ? Deadline::max() : begin + options_.poll_interval;
      while (is_taking_ && clock_->steady_now() < again) wait(polls_, lock, again);
      continue;
    }
    milliseconds longest = pass.next_in ? std::min(*pass.next_in, kLongestPollerWait) : kLongestPollerWait;
    if (pass.has_refused) longest = std::min(longest, options_.poll_interval);
    lock.unlock();
    try {
      // Only this thread makes and ends watches.
      watch_->next(begin + longest);
    } catch (const Error& error) {
      report(error);
      has_failed = true;
    }
    lock.lock();
    if (has_failed) watch_.reset();
  }
  watch_.reset();
}

TaskEngine::Impl::Pass TaskEngine::Impl::look() {
  Pass pass;
  std::size_t first = 0;
  {
    const std::scoped_lock lock(mutex_);
    first = next_type_;
  }
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const std::size_t index = (first + i) % types_.size();
    const TaskType& type = types_[index];
    std::size_t room = 0;
    std::size_t share = 0;
    {
      const std::scoped_lock lock(mutex_);
      if (!is_taking_) break;
      room = std::min(room_.for_type(index), kMostClaimed);
      const std::size_t left = types_.size() - i;
      share = (room_.free() + left - 1) / left;
    }
    // A task that ends wakes the poller.
    if (room == 0) continue;
    // Types share what is free; what one leaves is for the next pass, which follows a claim at once.
    room = std::min(room, std::max<std::size_t>(share, 1));
    const std::size_t asked = type.can_accept ? kMostOffered : std::min(room * spread_, kMostOffered);
    const Offer offer = offer_of(index, asked);
    pass.next_in = earlier_of(pass.next_in, offer.next_in);
    if (offer.due.empty()) continue;
    const std::vector<TaskId> ids = choose(type, offer.due, room, pass.has_refused);
    if (ids.empty() || !claim(index, ids, room)) continue;
    pass.has_claimed = true;
    const std::scoped_lock lock(mutex_);
    next_type_ = (index + 1) % types_.size();
  }
  return pass;
}

TaskEngine::Impl::Offer TaskEngine::Impl::offer_of(std::size_t type, std::size_t limit) {
  const Range range = Range::prefix(store_->keys().waiting(types_[type].name));
  return store_->database.transact([&](Transaction& transaction) {
    Offer offer;
    const Page page = transaction.scan(range, {.limit = limit, .keys_only = true, .snapshot = true});
    for (const Entry& entry : page.entries) {
      const UnixMs due_at_ms = TaskKeys::due_at_ms(entry.key);
      if (due_at_ms > transaction.now()) {
        offer.next_in = milliseconds(due_at_ms - transaction.now());
        break;
      }
      offer.due.push_back(task_id_of(entry.key));
    }
    return offer;
  });
}

std::vector<TaskId> TaskEngine::Impl::choose(const TaskType& type, const std::vector<TaskId>& due,
                                             std::size_t room, bool& has_refused) {
  if (!type.can_accept) {
    const std::size_t count = std::min(room, due.size());
    const std::size_t begin = spread_ == 1 ? 0 : random_->next() % (due.size() - count + 1);
    const auto first = due.begin() + static_cast<std::ptrdiff_t>(begin);
    return {first, first + static_cast<std::ptrdiff_t>(count)};
  }
  std::vector<Bytes> keys;
  keys.reserve(due.size());
  for (const TaskId& id : due) keys.push_back(store_->keys().task(id));
  std::vector<Task> offered;
  const std::vector<std::optional<Entry>> entries = store_->database.get_page(keys);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i]) offered.push_back(parse_task(due[i], entries[i]->value));
  }
  std::vector<TaskId> accepted;
  try {
    accepted = type.can_accept(offered);
  } catch (const std::exception& error) {
    report(error);
  }
  std::vector<TaskId> ids;
  for (const TaskId& id : accepted) {
    const bool is_offered = std::ranges::any_of(offered, [&](const Task& task) { return task.id == id; });
    if (is_offered && std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }
  if (ids.size() < offered.size()) has_refused = true;
  ids.resize(std::min(ids.size(), room));
  return ids;
}

bool TaskEngine::Impl::claim(std::size_t type, const std::vector<TaskId>& ids, std::size_t room) {
  const ClaimRules rules{.session = session(),
                         .type = types_[type].name,
                         .max_failures = types_[type].max_failures,
                         .room = room,
                         .max_running_total = types_[type].max_running_total};
  int runs = 0;
  Claimed claimed = store_->database.transact([&](Transaction& transaction) {
    ++runs;
    return store_->moves.claim(transaction, rules, ids);
  });
  const bool has_met_others = runs > 1 || (claimed.tasks.size() < ids.size() && rules.max_running_total == 0);
  spread_ = has_met_others ? std::min(2 * spread_, kMostSpread) : std::max<std::size_t>(spread_ / 2, 1);
  if (claimed.is_session_over) {
    // The keeper makes another one, and wakes this thread.
    const std::scoped_lock lock(mutex_);
    beat_at_ = clock_->steady_now();
    beats_.notify_all();
    return false;
  }
  for (Task& task : claimed.tasks) start(type, std::move(task));
  return !claimed.tasks.empty();
}

void TaskEngine::Impl::start(std::size_t type, Task task) {
  auto running = std::make_shared<Running>(types_[type], type, std::move(task));
  Lock lock(mutex_);
  ++metrics_.claimed;
  room_.take(type);
  running_.push_back(running);
  try {
    running->thread = std::thread([this, running] { run(running); });
  } catch (const std::system_error& error) {
    lock.unlock();
    report(error);
    end(running, {.result = AttemptResult::released, .error = error.what()});
  }
}

void TaskEngine::Impl::join_ended() {
  std::vector<std::thread> ended;
  {
    const std::scoped_lock lock(mutex_);
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

}  // namespace holdfast
