#include "engine/committer.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "contract/assert.h"
#include "contract/validate.h"
#include "engine/engine.h"
#include "engine/service_keys.h"

namespace holdfast {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kCallBytes = 2 * limits::kGroupBytes;
constexpr std::size_t kCallBatches = 4 * limits::kGroupBatches;
/// Batches of one queue that are looked at for one group: those that are held back are looked at again.
constexpr std::size_t kExaminedBatches = 4 * limits::kGroupBatches;
/// Measured: waiting a little for the callers of the last group to come back pays for small groups, and costs
/// for large ones and where a call is not much longer than the wait.
constexpr std::size_t kGatheredBatches = 24;
constexpr microseconds kGatherTime{30};
constexpr microseconds kGatherWorthwhile{60};
constexpr int kGatherYields = 200;
/// A batch that must not care about histories is sent again under the new one, but not for ever.
constexpr int kHistoryChanges = 3;
constexpr int kSessionConflicts = 4;
constexpr milliseconds kRetryDelayMax{250};

bool names_a_seq(const Batch& batch) {
  return std::ranges::any_of(batch.checks,
                             [](const Check& check) { return check.kind != Check::Kind::absent; });
}

std::string in_database(const EngineDatabase& database) { return "database \"" + database.name() + "\""; }

}  // namespace

PendingCommit::PendingCommit(EngineDatabase& a_database, Batch a_batch, std::uint64_t a_history,
                             Deadline a_deadline)
    : database(a_database),
      batch(std::move(a_batch)),
      size_bytes(batch_bytes(batch)),
      history(a_history),
      depends_on_history(history != 0 || names_a_seq(batch)),
      wake_ms(earliest_wake_ms(batch)) {
  deadline = a_deadline;
}

Committer::Committer(Engine& engine) : engine_(engine) {}

Error Committer::closed_error() { return {Code::closed, "the store was closed before the batch was sent"}; }

Committer::~Committer() {
  close();
  join();
}

Settled Committer::commit(EngineDatabase& database, Batch batch, std::uint64_t history, Deadline deadline) {
  if (!database.history()) engine_.read(database, {.deadline = deadline});
  PendingCommit pending(database, std::move(batch), history, deadline);
  {
    Lock lock(mutex_);
    if (is_closed_) throw closed_error();
    enqueue(pending);
    while (!pending.is_done.load(std::memory_order_acquire)) {
      if (engine_.clock().steady_now() >= deadline) {
        Error error = leave(pending);
        pass_on(pending);
        throw error;
      }
      step(lock, pending);
      if (!lock.owns_lock()) break;
    }
    if (lock.owns_lock()) pass_on(pending);
  }
  if (pending.error) throw *pending.error;
  if (pending.wake_ms != INT64_MAX && pending.outcome.committed()) {
    engine_.parts().sweeper().expect(pending.wake_ms);
  }
  return {pending.outcome, pending.committed_history};
}

void Committer::enqueue(PendingCommit& pending) {
  pending.state = PendingCommit::State::queued;
  pending.database.commit_queue().push_back(pending);
  ++queued_;
  add_to_ring(pending.database);
}

void Committer::add_to_ring(EngineDatabase& database) {
  CommitQueue& queue = database.commit_queue();
  if (queue.is_in_ring || queue.is_empty()) return;
  queue.is_in_ring = true;
  ring_.push_back(&database);
}

bool Committer::has_due_work() const {
  const bool can_form = std::ranges::any_of(ring_, [](EngineDatabase* database) {
    const CommitQueue& queue = database->commit_queue();
    return !queue.is_empty() && !queue.has_group_in_flight.load(std::memory_order_relaxed);
  });
  return can_form || (!unresolved_.empty() && next_retry() <= engine_.clock().steady_now());
}

Deadline Committer::next_retry() const {
  Deadline next = Deadline::max();
  for (const Unresolved& unresolved : unresolved_) next = std::min(next, unresolved.flight.retry_at);
  return next;
}

// ---- Waiting

void Committer::step(Lock& lock, CommitWaiter& waiter) {
  if (heir_ == &waiter || (!is_led_ && has_due_work())) {
    heir_ = nullptr;
    lead(lock, waiter);
  } else if (successor_ == nullptr) {
    wait_as_successor(lock, waiter);
  } else {
    wait_in_room(lock, waiter);
  }
}

void Committer::wait_as_successor(Lock& lock, CommitWaiter& waiter) {
  successor_ = &waiter;
  // While nobody leads, what is left is to be sent again later: the successor keeps that time.
  const Deadline until = is_led_ ? waiter.deadline : std::min(waiter.deadline, next_retry());
  engine_.clock().wait_until(lead_condition_, lock, until);
  if (successor_ == &waiter) successor_ = nullptr;
}

void Committer::wait_in_room(Lock& lock, const CommitWaiter& waiter) {
  const bool in_call = waiter.state == CommitWaiter::State::sent && is_led_;
  WaitingRoom& room = rooms_[in_call ? 1 - open_room_ : open_room_];
  room.is_used = true;
  Lock room_lock(room.mutex);
  const std::uint64_t generation = room.generation;
  lock.unlock();
  while (room.generation == generation && engine_.clock().steady_now() < waiter.deadline) {
    engine_.clock().wait_until(room.condition, room_lock, waiter.deadline);
  }
  room_lock.unlock();
  if (!waiter.is_done.load(std::memory_order_acquire)) lock.lock();
}

std::array<bool, 2> Committer::rooms_to_wake(bool both) {
  std::array<bool, 2> rooms{};
  for (std::size_t i = 0; i < rooms_.size(); ++i) {
    rooms[i] = rooms_[i].is_used && (both || i != open_room_);
    if (rooms[i]) rooms_[i].is_used = false;
  }
  return rooms;
}

void Committer::wake(const std::array<bool, 2>& rooms) {
  for (std::size_t i = 0; i < rooms_.size(); ++i) {
    if (!rooms[i]) continue;
    {
      const std::scoped_lock room_lock(rooms_[i].mutex);
      ++rooms_[i].generation;
    }
    rooms_[i].condition.notify_all();
  }
}

Error Committer::leave(PendingCommit& pending) {
  if (pending.state != PendingCommit::State::sent) {
    if (pending.state == PendingCommit::State::unread) {
      std::erase(unread_, &pending);
    } else {
      CommitQueue& queue = pending.database.commit_queue();
      queue.remove(pending);
      --queued_;
      // The ring names only databases that somebody waits for: nobody else keeps them alive.
      if (queue.is_empty() && std::exchange(queue.is_in_ring, false)) std::erase(ring_, &pending.database);
    }
    return {Code::timeout, Retry::backoff,
            "the deadline passed before a commit to " + in_database(pending.database) +
                " was sent; nothing was applied: try again with a later deadline, or write less at once"};
  }
  const auto forget = [&](Flight& flight) {
    const auto owner = std::ranges::find(flight.owners, &pending);
    if (owner != flight.owners.end()) *owner = nullptr;
    return std::ranges::all_of(flight.owners, [](const PendingCommit* other) { return other == nullptr; });
  };
  for (std::size_t i = 0; i < call_groups_; ++i) forget(flights_[i]);
  for (std::size_t i = 0; i < unresolved_.size(); ++i) {
    if (unresolved_[i].flight.database != &pending.database) continue;
    if (!forget(unresolved_[i].flight)) break;
    give_up(unresolved_[i].flight);
    unresolved_.erase(unresolved_.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return {Code::timeout, Retry::unknown_outcome,
          "the deadline passed before it was known whether a commit to " + in_database(pending.database) +
              " was applied: read what it would have written before you write it again"};
}

void Committer::pass_on(const CommitWaiter& waiter) {
  if (heir_ == &waiter) {
    heir_ = nullptr;
    is_led_ = false;
  }
  if (!is_led_ && has_work() && successor_ == nullptr) wake(rooms_to_wake(true));
}

// ---- Leading

void Committer::lead(Lock& lock, const CommitWaiter& waiter) {
  is_led_ = true;
  gather(lock);
  form_groups();
  const Deadline deadline = std::min(waiter.deadline, call_deadline_);
  lock.unlock();
  send(deadline);
  lock.lock();
  const bool both_rooms = settle();
  const bool has_successor = hand_over();
  const std::array<bool, 2> rooms = rooms_to_wake(both_rooms || (!has_successor && has_work()));
  const bool is_done = waiter.is_done.load(std::memory_order_relaxed);
  std::list<SubmittedCommit> answered = std::exchange(answered_, {});
  lock.unlock();
  // The next leader first: it has a call to make.
  if (has_successor) lead_condition_.notify_one();
  wake(rooms);
  answer(std::move(answered));
  if (!is_done) lock.lock();
}

void Committer::gather(Lock& lock) {
  if (expected_batches_ < 2 || expected_batches_ > kGatheredBatches) return;
  if (call_duration_ < kGatherWorthwhile) return;
  const Deadline until = engine_.clock().steady_now() + kGatherTime;
  // Yields are counted too: an injected clock may stand still.
  for (int i = 0; i < kGatherYields && queued_ < expected_batches_; ++i) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
    if (engine_.clock().steady_now() >= until) break;
  }
}

void Committer::form_groups() {
  call_groups_ = call_batches_ = call_bytes_ = 0;
  call_deadline_ = {};
  open_room_ = 1 - open_room_;
  if (!unresolved_.empty()) {
    const Deadline now = engine_.clock().steady_now();
    std::erase_if(unresolved_, [&](Unresolved& unresolved) {
      if (unresolved.flight.retry_at > now) return false;
      if (groups_.size() == call_groups_) {
        groups_.emplace_back();
        flights_.emplace_back();
      }
      groups_[call_groups_] = std::move(unresolved.group);
      flights_[call_groups_] = std::move(unresolved.flight);
      for (const PendingCommit* owner : flights_[call_groups_].owners) {
        if (owner != nullptr) call_deadline_ = std::max(call_deadline_, owner->deadline);
      }
      ++call_groups_;
      return true;
    });
  }
  for (std::size_t left = ring_.size(); left > 0; --left) {
    if (call_bytes_ >= kCallBytes || call_batches_ >= kCallBatches) break;
    EngineDatabase& database = *ring_.front();
    CommitQueue& queue = database.commit_queue();
    ring_.pop_front();
    queue.is_in_ring = false;
    if (!queue.has_group_in_flight && !queue.is_empty()) form_group(database);
    add_to_ring(database);
  }
}

void Committer::form_group(EngineDatabase& database) {
  if (groups_.size() == call_groups_) {
    groups_.emplace_back();
    flights_.emplace_back();
  }
  Group& group = groups_[call_groups_];
  Flight& flight = flights_[call_groups_];
  ++call_groups_;
  flight.database = &database;
  flight.owners.clear();
  flight.attempts = 0;

  CommitQueue& queue = database.commit_queue();
  std::uint64_t history = 0;
  std::size_t bytes = 0;
  std::size_t examined = 0;
  PendingCommit* previous = nullptr;
  interference_.clear();
  for (PendingCommit* at = queue.first(); at != nullptr && examined < kExaminedBatches; ++examined) {
    if (flight.owners.size() == limits::kGroupBatches) break;
    if (bytes + at->size_bytes > limits::kGroupBytes && !flight.owners.empty()) break;
    PendingCommit* const next = at->next;
    const bool same_history = history == 0 || at->history == 0 || at->history == history;
    if (same_history && interference_.admit(at->batch)) {
      if (at->history != 0) history = at->history;
      bytes += at->size_bytes;
      call_deadline_ = std::max(call_deadline_, at->deadline);
      flight.owners.push_back(&queue.take_after(previous));
      at->state = PendingCommit::State::sent;
    } else {
      previous = at;
    }
    at = next;
  }
  group.database = database.name();
  group.history = history != 0 ? history : database.last_history();
  group.retry = false;
  group.batches.clear();
  for (PendingCommit* owner : flight.owners) group.batches.push_back(std::move(owner->batch));
  queue.has_group_in_flight = true;
  queued_ -= flight.owners.size();
  call_batches_ += flight.owners.size();
  call_bytes_ += bytes;
}

void Committer::send(Deadline deadline) {
  if (call_groups_ == 0) return;
  const UnixMs now_ms = engine_.now_ms();
  for (std::size_t i = 0; i < call_groups_; ++i) {
    Group& group = groups_[i];
    if (!group.retry) {
      group.content_hash = content_hash(group.batches);
      flights_[i].database->session().stamp(group, engine_.clock(), engine_.random());
    }
    group.now_ms = now_ms;
    group.clock_skew_limit_ms = engine_.clock_skew_limit_ms();
    group.deadline = deadline;
    group.outcomes.clear();
    group.error.reset();
  }
  const bool is_measured = expected_batches_ > 1;
  const Deadline sent_at = is_measured ? engine_.clock().steady_now() : Deadline{};
  try {
    engine_.backend().commit({groups_.data(), call_groups_});
  } catch (const std::exception&) {
    for (std::size_t i = 0; i < call_groups_; ++i) {
      groups_[i].error = Error(Code::internal, Retry::unknown_outcome,
                               "a backend threw out of commit; report this as a fault of the backend");
    }
  }
  if (is_measured) call_duration_ = engine_.clock().steady_now() - sent_at;
}

bool Committer::settle() {
  bool both_rooms = false;
  for (std::size_t i = 0; i < call_groups_; ++i) {
    Group& group = groups_[i];
    Flight& flight = flights_[i];
    both_rooms |= flight.attempts > 0;
    if (settle_group(group, flight)) {
      flight.database->commit_queue().has_group_in_flight = false;
      group.batches.clear();  // keeps the vector's memory for the next group
    } else {
      unresolved_.push_back({std::move(group), std::move(flight)});
    }
  }
  call_groups_ = 0;
  return both_rooms || !unresolved_.empty();
}

bool Committer::hand_over() {
  expected_batches_ = call_batches_ + queued_;
  const bool has_heir = successor_ != nullptr && !successor_->is_done && has_due_work();
  if (has_heir) {
    heir_ = successor_;
  } else {
    is_led_ = false;
  }
  return successor_ != nullptr;
}

bool Committer::settle_group(Group& group, Flight& flight) {
  EngineDatabase& database = *flight.database;
  ++flight.attempts;
  if (!group.error) {
    HOLDFAST_ASSERT(group.outcomes.size() == flight.owners.size());
    database.learn_history(group.at.history);
    for (std::size_t i = 0; i < flight.owners.size(); ++i) {
      if (flight.owners[i] == nullptr) continue;
      flight.owners[i]->outcome = group.outcomes[i];
      flight.owners[i]->committed_history = group.at.history;
      finish(*flight.owners[i]);
    }
    return true;
  }
  const Error& error = *group.error;
  const bool has_owners = std::ranges::any_of(flight.owners, [](const auto* owner) { return owner; });
  if (error.code() == Code::session_conflict && !group.retry) {
    // Somebody shares the session (a cloned machine); this group was not applied and never will be.
    database.session().abandon();
    if (flight.attempts < kSessionConflicts && has_owners && !is_closed_) {
      flight.retry_at = engine_.clock().steady_now();
      return false;
    }
    deliver(flight, error);
    return true;
  }
  const bool is_unknown =
      error.retry() == Retry::unknown_outcome || (group.retry && error.retry() == Retry::backoff);
  if (is_unknown && has_owners && !is_closed_) {
    // The first retry goes out at once: most lost answers are a broken connection.
    const auto longest = std::min<std::int64_t>(kRetryDelayMax.count() * 1000,
                                                (std::int64_t{1} << std::min(flight.attempts, 20)) * 1000);
    const microseconds delay{flight.attempts == 1
                                 ? 0
                                 : longest / 2 +
                                       static_cast<std::int64_t>(engine_.random().next() %
                                                                 static_cast<std::uint64_t>(longest / 2))};
    flight.retry_at = engine_.clock().steady_now() + delay;
    group.retry = true;
    return false;
  }
  if (is_unknown || group.retry) {
    database.session().abandon();
    deliver(flight, error.with_unknown_outcome());
  } else {
    settle_refused(group, flight, error);
  }
  return true;
}

// The group was not applied and never will be. Batches that have not met a fault of their own wait for
// another group, before everything that came later: under a new history those that do not depend on one, and
// when the leader's deadline has passed those of callers with a later one.
void Committer::settle_refused(Group& group, Flight& flight, const Error& error) {
  EngineDatabase& database = *flight.database;
  const bool is_history_change = error.code() == Code::history_changed;
  const bool is_timeout = error.code() == Code::timeout;
  if (is_history_change) database.learn_history(error.at().history);
  const Deadline now = is_timeout ? engine_.clock().steady_now() : Deadline{};
  for (std::size_t i = flight.owners.size(); i-- > 0;) {
    PendingCommit* owner = flight.owners[i];
    if (owner == nullptr) continue;
    const bool goes_on =
        !is_closed_ &&
        ((is_history_change && !owner->depends_on_history && ++owner->history_changes <= kHistoryChanges) ||
         (is_timeout && owner->deadline > now));
    if (!goes_on) {
      owner->error = error;
      finish(*owner);
      continue;
    }
    owner->batch = std::move(group.batches[i]);
    owner->state = PendingCommit::State::queued;
    database.commit_queue().push_front(*owner);
    ++queued_;
  }
  add_to_ring(database);
}

void Committer::deliver(Flight& flight, const Error& error) {
  for (PendingCommit* owner : flight.owners) {
    if (owner == nullptr) continue;
    owner->error = error;
    finish(*owner);
  }
}

// The last that is done with a pending commit: its owner may be gone at once.
void Committer::finish(PendingCommit& pending) {
  if (!pending.is_submitted) return pending.is_done.store(true, std::memory_order_release);
  submitted_bytes_ -= pending.size_bytes;
  answered_.splice(answered_.end(), submitted_, static_cast<SubmittedCommit&>(pending).place);
}

// Nobody waits for the group any more. It may still be applied; a later group has another session.
void Committer::give_up(Flight& flight) {
  flight.database->session().abandon();
  flight.database->commit_queue().has_group_in_flight = false;
}

void Committer::close() {
  Lock lock(mutex_);
  is_closed_ = true;
  for (EngineDatabase* database : ring_) {
    CommitQueue& queue = database->commit_queue();
    queue.is_in_ring = false;
    while (!queue.is_empty()) {
      PendingCommit& pending = queue.take_after(nullptr);
      pending.error = closed_error();
      finish(pending);
    }
  }
  ring_.clear();
  queued_ = 0;
  for (SubmittedCommit* unread : std::exchange(unread_, {})) {
    unread->error = closed_error();
    finish(*unread);
  }
  for (Unresolved& unresolved : unresolved_) {
    deliver(unresolved.flight, Error(Code::closed, Retry::unknown_outcome,
                                     "the store was closed before it was known whether a commit to " +
                                         in_database(*unresolved.flight.database) + " was applied"));
    give_up(unresolved.flight);
  }
  unresolved_.clear();
  wake(rooms_to_wake(true));
  lead_condition_.notify_all();
  driver_condition_.notify_all();
  reader_condition_.notify_all();
  std::list<SubmittedCommit> answered = std::exchange(answered_, {});
  lock.unlock();
  answer(std::move(answered));
}

}  // namespace holdfast
