// Schedules: jobs that are sent again and again, by cron expressions in a time zone or at intervals.
//
//     holdfast::Schedules schedules(store->database("app"));
//     schedules.set({.name = "report", .queue = "mail", .body = nlohmann::json{{"kind", "weekly"}},
//                    .cron = "30 9 * * MON", .time_zone = "Europe/Berlin"});
//     holdfast::ScheduleRunner runner(store);  // or call schedules.run_due() yourself
//
// Every tick of a schedule becomes one job, whatever number of processes run it: the job and the step to the
// next tick are one commit. The job's Delivery::run_at_ms is the tick.
//
// A cron expression has five fields, minute, hour, day of the month, month and weekday (0 and 7 are Sunday),
// or a second in front of them. A field has *, numbers, ranges a-b and steps /n, separated by commas; months
// and weekdays have names too (JAN, MON); L is the last day of the month. If neither the day of the month nor
// the weekday begins with *, either is enough. @yearly, @monthly, @weekly, @daily and @hourly are there as
// well.
//
// Where clocks are put forward or back:
// - An expression whose hour is * or */n follows the clock: times that are skipped have no tick, and times
// that come
//   twice have two.
// - Any other has its ticks once a day: those that are skipped come together, as one, in the moment in which
// the
//   clocks are put forward, and those that come twice come the first time.
//
// A cheap handle, thread-safe. Methods throw Error: invalid_argument for what is no schedule, and what the
// database throws. docs/services/queue.md has the semantics in full and the layout.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/queue.h"
#include "holdfast/store.h"

namespace holdfast {

/// What becomes of ticks at which nobody has run the schedule.
enum class MissedRuns : std::uint8_t {
  skip,  ///< nothing, unless the last one is not older than Schedule::grace: that one runs
  once,  ///< the last one runs
  all,   ///< all of them run, in their order
};

struct Schedule {
  /// 1 to 200 bytes.
  Bytes name;
  /// The name of the queue, of UTF-8.
  Bytes queue;
  /// At most limits::kInlinePayloadBytes.
  Payload body = {};
  /// All but a delay and an instant. With a unique key there is no job for a tick while another one has the
  /// key.
  SendOptions options = {};
  /// One of the two: a cron expression, and the time zone of the tz database that it is meant in; or an
  /// interval, 1 s to ten years, whose ticks are `anchor_ms` and all instants that are a multiple of it away.
  Bytes cron = {};
  Bytes time_zone = "UTC";
  std::optional<std::chrono::milliseconds> every = {};
  UnixMs anchor_ms = 0;
  MissedRuns missed = MissedRuns::once;
  /// For MissedRuns::skip: how late a tick may run; up to a year.
  std::chrono::milliseconds grace = std::chrono::minutes(1);
};

struct ScheduleState : Schedule {
  bool is_paused = false;
  /// Nothing while it is paused, or if no tick comes any more.
  std::optional<UnixMs> next_at_ms;
  /// The last tick that was dealt with, by a job or by none.
  std::optional<UnixMs> last_at_ms;
};

/// What a step has done.
struct ScheduleRun {
  std::size_t sent = 0;               ///< jobs
  std::optional<UnixMs> next_due_ms;  ///< the next tick of all; in the past if there is more to do
};

struct SchedulesOptions {
  /// The entries live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  Bytes prefix = "schedule";
  /// QueueOptions::prefix of the queues.
  Bytes queue_prefix = "queue";
};

class Schedules {
 public:
  /// capability_missing on a store whose copies are changed apart (Traits::mergeable).
  explicit Schedules(Database database, const SchedulesOptions& options = {});

  /// Makes a schedule or replaces the one of the name. Its first tick is behind now; if its ticks are the
  /// same as before, it goes on where it was, so that a process may set its schedules whenever it starts.
  /// Stays paused. Throws invalid_argument for an expression that names no instant.
  void set(const Schedule& schedule);
  std::optional<ScheduleState> get(View name) const;
  /// In byte order of their names.
  Listing<ScheduleState> list(const ListOptions& options = {}) const;
  /// Whether there was one. Jobs that were sent stay.
  bool erase(View name);
  /// No ticks until resume(), and none of those between is missed. False if there is no such schedule.
  bool pause(View name);
  bool resume(View name);

  /// Sends the jobs of all ticks that are due, about `limit` at most; what is left is due at the next call.
  /// What goes wrong with one schedule does not hold up the others; the first error is thrown at the end.
  /// Cost: a read, and a commit for each schedule that is due.
  ScheduleRun run_due(std::size_t limit = 10'000);

  /// The first `count` ticks of a schedule behind `after_ms`; fewer if no more come.
  static std::vector<UnixMs> ticks(const Schedule& schedule, UnixMs after_ms, std::size_t count);

  class Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

class StoreRounds;  // src/services/store_rounds.h

struct ScheduleRunnerOptions {
  SchedulesOptions schedules = {};
  /// From the end of one round to the beginning of the next, and with it how late a tick may come; at least 1
  /// ms.
  std::chrono::milliseconds interval = std::chrono::seconds(1);
  /// That of the store; the machine's if there is none.
  std::shared_ptr<Clock> clock = {};
  /// Hears of a database whose schedules could not all be run, on the runner's thread; the next round tries
  /// again.
  std::function<void(const Bytes& database, const std::exception& error)> on_error = {};
};

/// Runs the schedules of all databases of a store in a thread of its own. Any number of processes may do so.
/// Costs a read of each database in every round.
class ScheduleRunner {
 public:
  explicit ScheduleRunner(std::shared_ptr<Store> store, ScheduleRunnerOptions options = {});
  /// Waits for the step that is under way.
  ~ScheduleRunner();
  ScheduleRunner(const ScheduleRunner&) = delete;
  ScheduleRunner& operator=(const ScheduleRunner&) = delete;

 private:
  std::unique_ptr<StoreRounds> rounds_;
};

namespace limits {

inline constexpr std::size_t kScheduleNameBytes = 200;
inline constexpr std::chrono::seconds kScheduleInterval{1};

}  // namespace limits
}  // namespace holdfast
