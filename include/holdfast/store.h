// A store: one opened backend, and the databases in it. This is where an application starts:
//
//     auto store = holdfast::Store::open("sqlite:///data/app.db");
//     auto db = store->database("agents");
//     db.transact([](holdfast::Transaction& t) { t.put("greeting", "hello"); });
//
// Store and Database are thread-safe and blocking, but for Database::submit...; many callers become few round
// trips, because commits of all callers of a lane share one write. After close() every call throws
// Error(closed).
//
// A process that forks may go on using a store in the child if no other thread was inside a call, and if the
// backend is one that processes share; the child's commits have sessions of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/error.h"
#include "holdfast/objects.h"
#include "holdfast/transaction.h"
#include "holdfast/types.h"
#include "holdfast/watch.h"

namespace holdfast {

class Engine;  // src/engine: what a store is made of
class EngineDatabase;

struct StoreOptions {
  Environment environment;
  /// An operation whose clock is further behind the database's than this fails with clock_skew; 0 turns it
  /// off.
  std::chrono::milliseconds clock_skew_limit{limits::kClockSkewLimitMs};
  /// The deadline of calls that are given none.
  std::chrono::milliseconds timeout{limits::kTimeoutMs};
  /// Whether this process takes part in sweeping expired entries and compacting change logs. One process per
  /// store does the work, elected by a lease. sweep() works either way.
  bool sweeper = true;
};

/// Sum of a hash over all live entries at one position: equal on any two databases that hold the same data,
/// whatever backend keeps them. The hash is XXH3-128 of (key, value, expires_at), each preceded by its size;
/// the sum is modulo 2^128. src/engine/digest.h has the encoding to the byte.
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::uint64_t entries = 0;
  /// Equality of data: the position is not compared.
  bool operator==(const Digest& other) const {
    return high == other.high && low == other.low && entries == other.entries;
  }
  Position at;
};

/// What became of a submitted batch.
struct CommitResult {
  Outcome outcome;
  std::optional<Error> error;  ///< in place of an outcome
  /// Throws the error, if there is one.
  const Outcome& get() const {
    if (error) throw *error;
    return outcome;
  }
};
using CommitDone = std::function<void(CommitResult)>;

/// A handle on one named database. Cheap to copy. Keys beginning with '!' are the engine's: invalid_argument.
class Database {
 public:
  const Bytes& name() const;
  /// What the backend that keeps this database promises.
  const Traits& traits() const;

  /// The live entry or nothing. Linearizable. Cost: one read call.
  std::optional<Entry> get(View key) const;
  /// All of one snapshot, at most 1,000 keys. Keys that do not fit the byte budget are fetched by further
  /// calls and validated, so that the answer is still one snapshot.
  std::vector<std::optional<Entry>> get(std::span<const Bytes> keys) const;
  /// The first of `keys`, as many as fit one answer (limits::kAnswerBytes), and at least one: fewer than were
  /// asked for mean that there are more. All of one snapshot. Cost: one read call.
  std::vector<std::optional<Entry>> get_page(std::span<const Bytes> keys) const;
  Page scan(const Range& range, const ScanOptions& options = {}) const;

  /// Judges and applies one batch. Blocks until the outcome is as durable as the store promises. Where two
  /// writes of the batch name one key the last one wins; checks that contradict each other fail at once
  /// without a call. Throws unknown_outcome if it could not be learned before the deadline whether the batch
  /// was applied, and timeout with nothing applied if it could not be sent before the deadline. If the
  /// database was dropped or restored meanwhile, a batch that names no seq (puts, erasures, `absent`) goes on
  /// in the new history; one with other checks throws history_changed. The batch cannot say which history its
  /// checks are from: where that matters, use transact().
  Outcome commit(Batch batch, Deadline deadline = {});
  /// commit() without waiting: `done` is called once with what commit() would have returned or thrown.
  /// Whatever can be said at once is thrown, and `done` is never called then: what commit() says of a batch
  /// that is none, closed, and unavailable if 65,536 batches or 256 MiB of a lane are under way. Never waits
  /// for the backend.
  /// `done` is called from a thread of the engine, from that of another caller of commit() or close(), or
  /// from this one before submit() returns. The next commit of the lane may wait for it: it must be quick,
  /// not throw, and call nothing of this store that blocks or closes it; submit() and making handles are
  /// fine, but throw here too what they throw elsewhere (closed, unavailable): catch it. Batches that are
  /// under way at the same time have no order among them. At its deadline a batch is answered whatever the
  /// backend does, by close() at the latest. A process that has submitted and forks has to open the store
  /// anew in the child.
  void submit(Batch batch, CommitDone done, Deadline deadline = {});
  /// A blind commit of one write; the seq it got.
  Seq put(View key, View value, std::optional<UnixMs> expires_at_ms = {});
  Seq erase(View key);

  /// Runs `body(Transaction&)` and commits what it wrote, if all it has read still holds then; re-runs it
  /// otherwise. All that the body reads is true together, even in a run that is thrown away. Returns what the
  /// body returns; if that is nothing, the Position of the commit, whose seq is the version of all that it
  /// put; of a body that wrote nothing, the position that it read at, and {0, 0} if it did not read either.
  /// Throws conflict (saying how many attempts were lost) at the deadline, and what the body throws if its
  /// reads hold. In the body, another transaction on the same database is refused (invalid_argument); other
  /// commits and transactions on other databases are on their own, and happen again when the body runs again.
  /// After three lost attempts transactions of one process take turns, and wait for the injected clock in
  /// between.
  template <class F>
  auto transact(F&& body, Deadline deadline = {}) {
    using R = std::invoke_result_t<F&, Transaction&>;
    if constexpr (std::is_void_v<R>) {
      return run([&](Transaction& transaction) { body(transaction); }, deadline);
    } else {
      std::optional<R> result;
      run([&](Transaction& transaction) { result.emplace(body(transaction)); }, deadline);
      return std::move(*result);
    }
  }

  /// One attempt of transact() whose commit nobody waits for. Runs `body` once, in this thread, where its
  /// reads block, and submits what it has written; `done` is told what submit() tells. An outcome that is not
  /// committed() has lost against other commits, and nothing was applied: try again, best by transact(). Of a
  /// body that wrote nothing it is the seq at which it read, 0 if it did not. Throws what the body throws if
  /// its reads hold, and what submit() does; `done` is never called then.
  void submit_transaction(const std::function<void(Transaction&)>& body, CommitDone done,
                          Deadline deadline = {});

  /// What changed in `range` after `since`, oldest first. history_changed or compacted mean: start again from
  /// a scan.
  Changes changes(Position since, const Range& range, std::size_t limit = 1000, bool keys_only = false) const;
  /// Hints of changes in `range` after `since`; none is ever lost.
  Watch watch(const Range& range, Position since);
  /// The position of the newest commit. Linearizable.
  Position position() const;
  /// Of all live entries now. Cost: a scan of the whole database, then its change log since
  /// the scan began; commits may go on meanwhile. Throws timeout at the deadline.
  Digest digest(Deadline deadline = {}) const;

  /// Keeps the change log above `seq` for `consumer` (1..200 bytes), until `expires_at_ms` or unpin(). A
  /// consumer that moves on pins again: the last pin counts. Throws compacted if the log no longer reaches
  /// back to `seq`. A pin is an entry "!pin/<consumer>" of this database whose value is the seq in decimal.
  void pin(View consumer, Seq seq, UnixMs expires_at_ms);
  void unpin(View consumer);
  /// Byte strings of any size beside the entries; valid as long as a handle on the database or the store is.
  Objects& objects() const;
  /// Trims the change log up to `before`, but never past a live pin; where the log begins now. The sweeper
  /// does this by itself; call it to free space earlier.
  Seq compact(Seq before);

 private:
  friend class Engine;
  Database(std::shared_ptr<Engine> engine, std::shared_ptr<EngineDatabase> database);
  Position run(const std::function<void(Transaction&)>& body, Deadline deadline);

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<EngineDatabase> database_;
};

/// What one step of the sweeper did.
struct SweepReport {
  bool leader = false;                ///< whether this process holds the sweeper's lease
  std::size_t reaped = 0;             ///< expired entries removed
  std::size_t compacted = 0;          ///< databases whose change log was trimmed
  std::size_t woken = 0;              ///< '!wake/<service>' entries handed to their service
  std::optional<UnixMs> next_due_ms;  ///< the next instant at which there is something to do
};

class Store {
 public:
  /// Opens the store that `url` names: "memory:", "file:///dir", "sqlite:///path.db", options as query
  /// parameters. docs/backends has one page per backend. Throws invalid_argument naming the nearest known
  /// word for a misspelt scheme or option.
  static std::shared_ptr<Store> open(View url, StoreOptions options = {});
  /// Takes over a backend that was built in code, such as a stack of layers.
  static std::shared_ptr<Store> open(std::unique_ptr<Backend> backend, StoreOptions options = {});
  /// Closes the store.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Creates nothing: a database exists from its first commit on. Names: 1..200 bytes of UTF-8 without
  /// control bytes.
  Database database(View name);
  /// Names in byte order that start with `prefix` and come after `after`.
  std::vector<Bytes> databases(View prefix = {}, View after = {}, std::size_t limit = 1000) const;
  /// Removes a database; false if it did not exist. A later first commit starts a new history.
  bool drop(View name);
  /// Immutable byte strings of any size beside the entries of a database.
  Objects& objects(View database);
  const Traits& traits() const;

  /// One step of the sweeper, in this thread: for tests under an injected clock and for stores with `sweeper`
  /// off.
  SweepReport sweep();
  /// Services that keep '!wake/<service>' entries register here; the sweeper calls back with the database's
  /// name when one is due. A wake is a hint and may repeat.
  void on_wake(View service, std::function<void(const Bytes& database)> callback);

  /// Waits for commits in flight, ends watches, and closes the backend. Idempotent; calls after it throw
  /// closed, and so do commits that wait and were not sent yet. Not from within the body of a transaction.
  void close();

 private:
  explicit Store(std::shared_ptr<Engine> engine);
  std::shared_ptr<Engine> engine_;
};

}  // namespace holdfast
