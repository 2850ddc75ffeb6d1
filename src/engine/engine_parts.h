// The parts of an engine that stand beside its commits and reads: watches, the sweeper, the keeper of change
// logs, objects. Engine makes them when it is made, starts them when it is whole, and closes them before its
// backend.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "engine/entry_objects.h"
#include "engine/log_keeper.h"
#include "engine/sweeper.h"
#include "engine/timekeeper.h"
#include "engine/watch_hub.h"

namespace holdfast {

class Engine;
class EngineDatabase;

/// Thread-safe.
class EngineParts {
 public:
  explicit EngineParts(Engine& engine);

  WatchHub& watches() { return *watches_; }
  LogKeeper& logs() { return logs_; }
  Sweeper& sweeper() { return sweeper_; }
  Timekeeper& timekeeper() { return timekeeper_; }
  /// The backend's own, or entries of the database. Lives as long as the engine.
  Objects& objects(const std::shared_ptr<EngineDatabase>& database);

  /// Starts the sweeper's thread.
  void start();
  /// Ends the sweeper, while the engine still commits: it gives its lease back. Idempotent.
  void stop_sweeper() { sweeper_.close(); }
  /// Ends all threads and all waiting calls. Idempotent.
  void close();

 private:
  Engine& engine_;
  const std::shared_ptr<WatchHub> watches_;
  LogKeeper logs_;
  Sweeper sweeper_;
  Timekeeper timekeeper_;
  std::mutex objects_mutex_;
  std::map<Bytes, EntryObjects> objects_;
};

}  // namespace holdfast
