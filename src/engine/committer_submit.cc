// Batches that nobody waits for, and the threads that a lane has while there are any.
#include <algorithm>
#include <array>
#include <exception>
#include <system_error>
#include <utility>

#include "engine/committer.h"
#include "engine/engine.h"
#include "holdfast/limits.h"

namespace holdfast {
namespace {

/// A driver or a reader without work goes after this long.
constexpr std::chrono::seconds kRest{10};

}  // namespace

void Committer::submit(const std::shared_ptr<EngineDatabase>& database, Batch batch, std::uint64_t history,
                       Deadline deadline, CommitDone done) {
  std::list<SubmittedCommit> made;
  SubmittedCommit& commit = made.emplace_back(database, std::move(batch), history, deadline, std::move(done));
  commit.place = made.begin();
  Wakeup wakeup;
  {
    const std::scoped_lock lock(mutex_);
    if (is_closed_) throw closed_error();
    require_room(commit.size_bytes);
    const bool is_unread = !database->history();
    start_driver();
    if (is_unread) start_reader(database);
    submitted_bytes_ += commit.size_bytes;
    submitted_.splice(submitted_.end(), made);
    if (is_unread) {
      commit.state = CommitWaiter::State::unread;
      unread_.push_back(&commit);
    } else {
      enqueue(commit);
      wakeup = wakeup_for_work();
    }
  }
  wake(wakeup);
}

Committer::Wakeup Committer::wakeup_for_work() {
  Wakeup wakeup;
  wakeup.driver = std::exchange(is_driver_resting_, false);
  // A successor without a leader waits for the time to send something again, and would not notice.
  wakeup.successor = successor_ != nullptr && !is_led_;
  // The driver may be in a room, from a time when others led.
  if (!wakeup.driver && !is_led_ && successor_ == nullptr) wakeup.rooms = rooms_to_wake(true);
  return wakeup;
}

void Committer::wake(const Wakeup& wakeup) {
  if (wakeup.driver) driver_condition_.notify_one();
  if (wakeup.successor) lead_condition_.notify_one();
  wake(wakeup.rooms);
}

void Committer::require_room(std::size_t size_bytes) const {
  if (submitted_.size() < limits::kSubmittedBatches &&
      submitted_bytes_ + size_bytes <= limits::kSubmittedBytes) {
    return;
  }
  throw Error(Code::unavailable, Retry::backoff,
              std::to_string(submitted_.size()) + " batches of " + std::to_string(submitted_bytes_) +
                  " bytes in all were submitted and are not answered yet; wait for some of them");
}

void Committer::start_driver() {
  if (has_driver_) return;
  // It is on its way out, and does not need the mutex any more.
  if (driver_.joinable()) driver_.join();
  try {
    driver_ = std::thread([this] { drive(); });
  } catch (const std::system_error&) {
    throw Error(Code::unavailable, Retry::backoff, "the system has no further thread for the store");
  }
  has_driver_ = true;
}

void Committer::drive() {
  CommitWaiter self;
  Lock lock(mutex_);
  while (!is_closed_) {
    if (!submitted_.empty()) {
      step(lock, self);
    } else {
      pass_on(self);
      if (!rest(lock)) break;
    }
  }
  pass_on(self);
  has_driver_ = false;
}

bool Committer::has_reader(const std::shared_ptr<EngineDatabase>& database) const {
  return std::ranges::any_of(readers_, [&](const Reader& reader) { return reader.database == database; });
}

void Committer::start_reader(const std::shared_ptr<EngineDatabase>& database) {
  if (has_reader(database)) return;
  const auto resting = std::ranges::find_if(
      readers_, [](const Reader& reader) { return reader.is_running && reader.database == nullptr; });
  if (resting != readers_.end()) {
    resting->database = database;
    return reader_condition_.notify_all();
  }
  const auto ended = std::ranges::find_if(readers_, [](const Reader& reader) { return !reader.is_running; });
  // The first that is done goes on with it.
  if (ended == readers_.end()) return;
  // It is on its way out, and does not need the mutex any more.
  if (ended->thread.joinable()) ended->thread.join();
  try {
    ended->thread = std::thread([this, &reader = *ended] { read_histories(reader); });
  } catch (const std::system_error&) {
    if (std::ranges::any_of(readers_, &Reader::is_running)) return;
    throw Error(Code::unavailable, Retry::backoff, "the system has no further thread for the store");
  }
  ended->database = database;
  ended->is_running = true;
}

void Committer::read_histories(Reader& reader) {
  Lock lock(mutex_);
  Deadline until = engine_.clock().steady_now() + kRest;
  while (!is_closed_) {
    if (reader.database == nullptr) {
      const auto next = std::ranges::find_if(
          unread_, [this](const SubmittedCommit* commit) { return !has_reader(commit->kept_database); });
      if (next != unread_.end()) reader.database = (*next)->kept_database;
    }
    if (reader.database != nullptr) {
      learn_history(lock, reader.database);
      reader.database.reset();
      until = engine_.clock().steady_now() + kRest;
      continue;
    }
    if (engine_.clock().steady_now() >= until) break;
    engine_.clock().wait_until(reader_condition_, lock, until);
  }
  reader.database.reset();
  reader.is_running = false;
}

void Committer::learn_history(Lock& lock, const std::shared_ptr<EngineDatabase>& database) {
  const auto first = std::ranges::find_if(
      unread_, [&](const SubmittedCommit* commit) { return commit->kept_database == database; });
  // Its deadline has passed.
  if (first == unread_.end()) return;
  const Deadline deadline = (*first)->deadline;
  lock.unlock();
  std::optional<Error> error;
  try {
    engine_.read(*database, {.deadline = deadline});
  } catch (const Error& thrown) {
    error = thrown;
  } catch (const std::exception&) {
    error = Error(Code::internal, "a backend threw out of read; report this as a fault of the backend");
  }
  lock.lock();
  std::erase_if(unread_, [&](SubmittedCommit* commit) {
    if (commit->kept_database != database) return false;
    if (!error) {
      enqueue(*commit);
      return true;
    }
    // Where only the time was too short, those that have more try again.
    if (error->code() == Code::timeout && commit->deadline > deadline) return false;
    commit->error = error;
    finish(*commit);
    return true;
  });
  std::list<SubmittedCommit> answered = std::exchange(answered_, {});
  const Wakeup wakeup = error ? Wakeup{} : wakeup_for_work();
  lock.unlock();
  wake(wakeup);
  answer(std::move(answered));
  lock.lock();
}

bool Committer::rest(Lock& lock) {
  const Deadline until = engine_.clock().steady_now() + kRest;
  while (!is_closed_ && submitted_.empty() && engine_.clock().steady_now() < until) {
    // Again each time: what it was woken for may be done by the time that it looks.
    is_driver_resting_ = true;
    engine_.clock().wait_until(driver_condition_, lock, until);
  }
  is_driver_resting_ = false;
  return !submitted_.empty();
}

Deadline Committer::answer_late() {
  Deadline next = Deadline::max();
  Lock lock(mutex_);
  const Deadline now = engine_.clock().steady_now();
  for (auto at = submitted_.begin(); at != submitted_.end();) {
    SubmittedCommit& commit = *at++;
    if (commit.deadline > now) {
      next = std::min(next, commit.deadline);
      continue;
    }
    commit.error = leave(commit);
    finish(commit);
  }
  std::list<SubmittedCommit> answered = std::exchange(answered_, {});
  if (!answered.empty() && !is_led_) {
    // What was given up may have kept others waiting.
    lead_condition_.notify_one();
    wake(rooms_to_wake(true));
  }
  lock.unlock();
  answer(std::move(answered));
  return next;
}

void Committer::join() {
  if (driver_.joinable()) driver_.join();
  for (Reader& reader : readers_) {
    if (reader.thread.joinable()) reader.thread.join();
  }
}

void Committer::answer(std::list<SubmittedCommit> answered) noexcept {
  for (; !answered.empty(); answered.pop_front()) {
    SubmittedCommit& commit = answered.front();
    const bool is_committed = !commit.error && commit.outcome.committed();
    if (is_committed && commit.wake_ms != INT64_MAX) engine_.parts().sweeper().expect(commit.wake_ms);
    commit.done({commit.outcome, std::move(commit.error)});
  }
}

}  // namespace holdfast
