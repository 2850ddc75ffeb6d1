// All watches of a store. One thread waits for commits to any watched database, reads each database's change
// feed once (keys only), and hands the keys to the watches whose ranges they lie in. There is no thread
// before the first watch, and no cost to commits: the backend's wait() is what wakes the hub.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/gate.h"
#include "holdfast/backend.h"
#include "holdfast/watch.h"

namespace holdfast {

class Engine;
class EngineDatabase;
class WatchFeed;

/// Thread-safe. Watches may outlive the engine; after close() they only throw closed.
class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  explicit WatchHub(Engine& engine);
  ~WatchHub();
  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  /// Never blocks on the backend.
  Watch watch(std::shared_ptr<EngineDatabase> database, const Range& range, Position since);

  /// Ends every next(), and the thread. Idempotent.
  void close();

  /// Databases whose feed is read at present.
  std::size_t watched_databases() const;

 private:
  friend class Watch::Impl;

  void run();
  /// Takes over feeds that came and went since the last call.
  void refresh_feeds();
  void await_changes();
  void follow(std::size_t index);
  void leave(WatchFeed& feed, Watch::Impl& watch);

  Engine& engine_;
  Gate gate_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  ///< a feed came, or close()
  bool closed_ = false;
  std::uint64_t generation_ = 0;  ///< of feeds_
  std::map<Bytes, std::shared_ptr<WatchFeed>, std::less<>> feeds_;
  std::thread thread_;

  // The thread's own.
  std::uint64_t generation_seen_ = 0;
  std::vector<std::shared_ptr<WatchFeed>> followed_;
  std::vector<Cursor> cursors_;  ///< parallel to followed_
  std::size_t wait_failures_ = 0;
};

}  // namespace holdfast
