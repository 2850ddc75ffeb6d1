#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "engine/transaction.h"

namespace holdfast {
namespace {

/// Lost so often, a transaction waits for its turn among those of this process.
constexpr int kLossesBeforeTurn = 3;
/// With the turn it can still lose to commits of this process that were on their way; not to many.
constexpr int kLossesBeforeWait = 8;
constexpr std::chrono::microseconds kDelayMin{200};
constexpr std::chrono::microseconds kDelayMax{50'000};

/// A transaction that runs in this thread, and the one whose body started it.
class Running {
 public:
  explicit Running(EngineDatabase& database) : database_(database), outer_(innermost) {
    for (const Running* running = outer_; running != nullptr; running = running->outer_) {
      if (&running->database_ != &database) continue;
      throw Error(Code::invalid_argument,
                  "a transaction on database \"" + database.name() +
                      "\" was begun inside another one on it; use the transaction that is at hand");
    }
    innermost = this;
  }
  ~Running() { innermost = outer_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  // The call stack, as far as it consists of transactions.
  static thread_local const Running* innermost;
  EngineDatabase& database_;
  const Running* const outer_;
};

thread_local const Running* Running::innermost = nullptr;

class TurnHolder {
 public:
  explicit TurnHolder(Turn& turn) : turn_(turn) {}
  ~TurnHolder() {
    if (is_held_) turn_.give_back();
  }
  TurnHolder(const TurnHolder&) = delete;
  TurnHolder& operator=(const TurnHolder&) = delete;
  /// False if the deadline came first.
  bool take(Clock& clock, Deadline deadline) {
    if (!is_held_) is_held_ = turn_.take(clock, deadline);
    return is_held_;
  }
  bool is_with_somebody_else() const { return !is_held_ && turn_.is_taken(); }

 private:
  Turn& turn_;
  bool is_held_ = false;
};

/// Runs the body once; false if it has lost against other commits.
bool run_body(Transaction::Impl& run, const std::function<void(Transaction&)>& body) {
  Transaction transaction(run);
  try {
    body(transaction);
  } catch (const Transaction::Impl::Rerun&) {
    return false;
  } catch (...) {
    // What the body threw may come of reads that were not true together with what it reads elsewhere.
    if (!run.has_failed() && !run.reads_hold()) return false;
    throw;
  }
  return true;
}

/// Before the next attempt. The first losses are to threads of this process, mostly: a few turns of the
/// scheduler set them apart. Later ones are to other processes, or to commits that are no transactions.
void back_off(Engine& engine, int losses, Deadline deadline) {
  if (losses <= kLossesBeforeWait) {
    const int shift = std::min(losses, kLossesBeforeTurn);
    const std::uint64_t yields = engine.random().next() % (std::uint64_t{4} << shift);
    for (std::uint64_t i = 0; i < yields; ++i) std::this_thread::yield();
    return;
  }
  const int doublings = std::min(losses - kLossesBeforeWait - 1, 16);
  const auto longest = std::min<std::int64_t>(kDelayMin.count() << doublings, kDelayMax.count());
  const std::chrono::microseconds delay{engine.random().next() % static_cast<std::uint64_t>(longest)};
  const Deadline until = std::min(deadline, engine.clock().steady_now() + delay);
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  while (engine.clock().steady_now() < until && !engine.is_closed()) {
    engine.clock().wait_until(never, lock, until);
  }
}

Error lost(const EngineDatabase& database, int losses) {
  return {Code::conflict, Retry::backoff,
          "a transaction on database \"" + database.name() + "\" lost " + std::to_string(losses) +
              " attempts to conflicting commits before its deadline; try again later, or read less in one "
              "transaction"};
}

/// Commits what the body wrote. Where the deadline ends an attempt after others were lost, those are the
/// reason.
std::optional<Position> commit(Transaction::Impl& run, const EngineDatabase& database, int losses) {
  try {
    return run.commit();
  } catch (const Error& error) {
    const bool was_not_sent = error.code() == Code::timeout && error.retry() == Retry::backoff;
    if (losses > 0 && was_not_sent) throw lost(database, losses + 1);
    throw;
  }
}

}  // namespace

Position run_transaction(Engine& engine, EngineDatabase& database,
                         const std::function<void(Transaction&)>& body, Deadline given, KeySpace space) {
  const Engine::Call call(engine);
  const Running running(database);
  const Deadline deadline = engine.deadline(given);
  TurnHolder turn(database.turn());
  for (int losses = 0;;) {
    {
      Transaction::Impl run(engine, database, deadline, space);
      if (run_body(run, body)) {
        // Whoever has the turn has lost often: what would make it lose again comes after it.
        const bool may_commit =
            !run.has_writes() || !turn.is_with_somebody_else() || turn.take(engine.clock(), deadline);
        if (may_commit) {
          if (const std::optional<Position> at = commit(run, database, losses)) return *at;
        }
      }
    }
    ++losses;
    if (losses >= kLossesBeforeTurn) turn.take(engine.clock(), deadline);
    back_off(engine, losses, deadline);
    if (engine.is_closed()) throw Error(Code::closed, "the store was closed during a transaction");
    if (engine.clock().steady_now() >= deadline) throw lost(database, losses);
  }
}

void submit_transaction(Engine& engine, const std::shared_ptr<EngineDatabase>& database,
                        const std::function<void(Transaction&)>& body, CommitDone done, Deadline given) {
  const Engine::Call call(engine);
  const Running running(*database);
  Transaction::Impl run(engine, *database, engine.deadline(given), KeySpace::service);
  const bool is_lost = !run_body(run, body) || run.is_broken();
  // Whoever has the turn has lost often: what would make it lose again comes after it.
  if (is_lost || (run.has_writes() && database->turn().is_taken())) {
    return done({{.seq = 0, .failed_check = 0}, {}});
  }
  if (!run.has_writes()) return done({{.seq = run.read_at().seq, .failed_check = {}}, {}});
  run.submit(database, std::move(done));
}

}  // namespace holdfast
