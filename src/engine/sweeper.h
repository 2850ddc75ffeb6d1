// Removes what has expired, trims change logs, collects the remains of interrupted uploads, and calls
// services whose time has come.
//
// One process per store does the removing: it holds the lease "!sweeper" of the database "!store". Nothing
// depends on there being only one: expired entries go by `reap`, which cannot hit an entry that was put
// again, and logs are trimmed under their pins. The lease saves work. It is taken only when there is work, so
// a store that never uses expiry and is used by processes of a second or less has no "!store".
//
// '!wake/<service>' entries that are due are not reaped: they go to the callback of that service in whichever
// process has one, the leader first and the others kWakeGraceMs later if the entry is still there. The
// callback removes or moves the entry; until it does, it is called again, less and less often.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "engine/log_keeper.h"
#include "holdfast/store.h"

namespace holdfast {

class Engine;
class EngineDatabase;

inline constexpr std::int64_t kSweeperLeaseMs = 30'000;
/// A lease with less than this left is renewed before work begins.
inline constexpr std::int64_t kSweeperRenewMs = 20'000;
/// The thread's first step comes this long after the store was opened.
inline constexpr std::int64_t kFirstSweepMs = 1'000;
/// The thread never sleeps longer, since entries of other processes may fall due earlier: without and with
/// callbacks for services.
inline constexpr std::int64_t kSweepIdleMs = 5'000;
inline constexpr std::int64_t kSweepWakingMs = 1'000;
inline constexpr std::int64_t kWakeGraceMs = 2'000;
/// Entries of one listing, and of one commit.
inline constexpr std::size_t kSweepListing = 4'000;
inline constexpr std::size_t kReapBatch = 1'000;

using WakeCallback = std::function<void(const Bytes& database)>;

/// Thread-safe. Callbacks run without locks of the engine, but must call neither sweep() nor close().
class Sweeper {
 public:
  Sweeper(Engine& engine, LogKeeper& logs);
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

  /// Starts the thread.
  void start();
  /// Ends the thread and gives the lease back. Idempotent.
  void close();

  /// One step, in this thread; takes the lease if it is free. Throws what listing or taking the lease throws;
  /// a database that cannot be swept now is tried again later, at growing intervals.
  SweepReport sweep();
  void on_wake(View service, WakeCallback callback);
  /// An entry that may have to be handed to a service was put by this process: the thread need not find out
  /// by looking.
  void expect(UnixMs due_ms);

 private:
  using EntryName = std::pair<Bytes, Bytes>;  ///< database, key

  /// When something that failed, or was not taken, is tried again.
  struct Attempt {
    UnixMs expires_at_ms = 0;
    UnixMs next_ms = 0;
    std::size_t attempts = 0;
    bool is_listed = false;
  };

  struct Listing {
    std::map<Bytes, std::vector<Bytes>> reapable;  ///< by database
    std::vector<EntryName> uploads;
    std::vector<Expired> wakes;
    std::size_t stuck = 0;       ///< listed, but nothing can be done about it now
    bool has_own_wakes = false;  ///< of services that have a callback here
    bool is_cut = false;
    std::optional<UnixMs> next_due_ms;
  };

  void run();
  SweepReport step(bool takes_lease);
  Listing list(UnixMs now_ms);
  bool hold_lease();
  void release_lease();
  void hand_over(const Listing& listing, bool is_leader, SweepReport& report);
  /// Null if the service of this '!wake/' key has no callback here.
  std::shared_ptr<const WakeCallback> service_of(View key);
  bool call_service(const Expired& wake);
  std::size_t reap(const Listing& listing);
  std::size_t reap_database(const Bytes& name, const std::vector<Bytes>& keys);
  std::size_t collect_upload(const EntryName& upload);
  bool is_resting(const Bytes& database, UnixMs now_ms) const;
  void rest(const Bytes& database, UnixMs now_ms);
  std::optional<UnixMs> next_instant(const Listing& listing, const SweepReport& report);
  std::chrono::milliseconds pause(const SweepReport& report);
  bool is_closing();

  Engine& engine_;
  LogKeeper& logs_;
  const Bytes holder_;  ///< the value of the lease while it is ours

  /// One step at a time; guards everything down to the next mutex.
  std::mutex step_mutex_;
  UnixMs lease_until_ms_ = 0;
  UnixMs next_look_ms_ = 0;
  std::size_t stuck_ = 0;
  std::map<Bytes, Attempt> resting_;     ///< databases
  std::map<EntryName, Attempt> handed_;  ///< wakes

  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
  UnixMs expected_ms_ = INT64_MAX;
  std::map<Bytes, std::shared_ptr<const WakeCallback>, std::less<>> services_;
  std::thread thread_;
};

}  // namespace holdfast
