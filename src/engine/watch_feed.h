// The change feed of one watched database, and the watches on it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "engine/range_index.h"
#include "holdfast/backend.h"
#include "holdfast/watch.h"

namespace holdfast {

class Engine;
class EngineDatabase;
class WatchHub;

/// A watch holds at most this many keys, and this many bytes of them, before it says "everything".
inline constexpr std::size_t kHintKeys = 1'000;
inline constexpr std::size_t kHintKeyBytes = 128u << 10;

/// How changes are read: whoever is further behind than kFeedPages pages says "everything" instead.
inline constexpr std::size_t kFeedPageItems = 10'000;
inline constexpr std::size_t kFeedPages = 8;

/// How long to wait after `failures` failures in a row.
std::chrono::milliseconds retry_delay(std::size_t failures);

/// What a reader of a change feed found: every key whose newest change is after `since`, up to `through`.
struct FeedStep {
  std::vector<Change> items;
  /// Anything may have changed: the reader was too far behind, or the past is gone.
  bool everything = false;
  Position through;
};

/// Reads all changes of `range` after `since`, up to the present. Only a complete answer may be handed on: a
/// key that changes often is listed at its newest change alone, so half of the pages would hide the older
/// changes of the keys in the other half.
FeedStep read_feed(Engine& engine, EngineDatabase& database, Position since, const Range& range,
                   Deadline deadline);

/// Thread-safe where it says so: `mutex` guards everything below it.
class WatchFeed {
 public:
  WatchFeed(std::shared_ptr<EngineDatabase> database_watched, Position since)
      : database(std::move(database_watched)), at(since) {}

  /// Hands a step to the watches. Locks.
  void deliver(const FeedStep& step);
  /// Lets next() throw an error that waiting does not repair, until the feed is read again. Locks.
  void fail(const Error& error);
  /// Makes every next() look around. Locks.
  void wake_all();

  const std::shared_ptr<EngineDatabase> database;

  // Of the hub's thread.
  std::size_t failures = 0;
  Deadline retry_at{};

  std::mutex mutex;
  /// Every watch was given what changed up to here. Written by the hub's thread alone.
  Position at;
  RangeIndex<Watch::Impl> watches;
  std::optional<Error> error;
};

/// One watch. Its state is guarded by its feed's mutex.
class Watch::Impl {
 public:
  Impl(std::shared_ptr<WatchHub> hub, std::shared_ptr<WatchFeed> feed, Range range, Position since);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::optional<Hint> next(Deadline deadline);
  void cancel();

 private:
  friend class WatchFeed;
  friend class WatchHub;

  bool has_hint() const { return everything_ || !keys_.empty(); }
  Hint take_hint();
  void add(const Bytes& key);
  /// Whatever was collected is superseded: anything may have changed up to `through`.
  void collapse(Position through);
  /// Reads what happened between `since_` and the feed. False: not yet, and the deadline has passed.
  bool catch_up(std::unique_lock<std::mutex>& lock, Deadline deadline);

  const std::shared_ptr<WatchHub> hub_;
  const std::shared_ptr<WatchFeed> feed_;
  const Range range_;
  const bool hides_engine_keys_;

  std::condition_variable changed_;
  /// Changes up to here are known to the caller, or are in keys_.
  Position since_;
  /// The feed was at another position than `since_` when the watch began.
  bool is_behind_ = false;
  bool everything_ = false;
  bool is_cancelled_ = false;
  std::set<Bytes> keys_;
  std::size_t keys_bytes_ = 0;
};

}  // namespace holdfast
