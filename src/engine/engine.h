// What a store is made of: one backend, the environment, the lanes with their committers, and what is known
// of each database. Everything above the contract (store, database, transaction, watch, sweeper, digest,
// objects) works through this class.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/committer.h"
#include "engine/engine_database.h"
#include "engine/engine_parts.h"
#include "engine/gate.h"
#include "holdfast/backend.h"
#include "holdfast/store.h"

namespace holdfast {

/// Thread-safe.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(std::unique_ptr<Backend> backend, StoreOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// A call of a user. Whoever calls the backend or the committer on behalf of a user holds one; throws
  /// closed. Threads that belong to the engine need none: close() ends them before the backend goes.
  class Call {
   public:
    explicit Call(Engine& engine) : pass_(engine.gate_) {}

   private:
    Gate::Pass pass_;
  };

  Backend& backend() { return *backend_; }
  const Traits& traits() const { return traits_; }
  const StoreOptions& options() const { return options_; }
  const Environment& environment() const { return options_.environment; }
  Clock& clock() { return *options_.environment.clock; }
  Random& random() { return *options_.environment.random; }
  std::int64_t clock_skew_limit_ms() const { return options_.clock_skew_limit.count(); }

  /// Wall-clock time that never goes back within this store (§1.10).
  UnixMs now_ms();
  /// `given`, or the store's default timeout from now if it is a default-constructed one.
  Deadline deadline(Deadline given);

  /// Throws invalid_argument for a bad name. The same name gives the same object.
  std::shared_ptr<EngineDatabase> database(View name);
  /// A user's handle on it.
  Database handle(View name);

  /// One read call, with time, skew limit and (if it has none) deadline filled in. Learns the history.
  ReadAnswer read(EngineDatabase& database, ReadRequest request);
  /// Validates and commits one batch through the database's lane. Keys may begin with '!'. See
  /// Database::commit for what it throws.
  Outcome commit(EngineDatabase& database, Batch batch, Deadline deadline = {});

  /// Database::submit for the engine's own parts: keys may begin with '!'.
  void submit(const std::shared_ptr<EngineDatabase>& database, Batch batch, CommitDone done,
              Deadline deadline = {});
  /// submit() of a batch that is valid, contradicts nothing, and was computed from `history` (0: nothing).
  void submit_valid(const std::shared_ptr<EngineDatabase>& database, Batch batch, std::uint64_t history,
                    CommitDone done, Deadline deadline);
  /// Answers all submitted batches whose deadline has passed; the earliest deadline of the others.
  Deadline answer_late();

  /// Database::transact for the engine's own parts: keys may begin with '!'.
  void transact(EngineDatabase& database, const std::function<void(Transaction&)>& body,
                Deadline deadline = {});

  EngineParts& parts() { return *parts_; }

  bool is_closed() const { return gate_.is_closed(); }
  void close();

 private:
  std::shared_ptr<Committer> committer_of(View name);
  std::vector<std::shared_ptr<Committer>> committers();
  void forget_unused();

  StoreOptions options_;
  std::unique_ptr<Backend> backend_;
  const Traits traits_;
  std::atomic<UnixMs> newest_now_ms_{INT64_MIN};
  Gate gate_;
  std::mutex closing_mutex_;
  std::mutex registry_mutex_;
  std::map<Bytes, std::shared_ptr<EngineDatabase>, std::less<>> databases_;
  std::map<std::size_t, std::shared_ptr<Committer>> committers_;
  std::size_t forget_at_ = 1'024;  ///< databases; the next time that unused ones are looked for
  std::unique_ptr<EngineParts> parts_;
};

}  // namespace holdfast
