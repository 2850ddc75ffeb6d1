// Job queues: work that survives crashes, done by whoever is free, in as many processes as you like.
//
//     holdfast::Queue mail(store->database("app"), "mail");
//     mail.send(nlohmann::json{{"to", "ann@example.org"}}, {.kind = "welcome"});
//     for (const holdfast::Delivery& job : mail.receive(10)) {
//       work_on(job.body.json());
//       mail.complete(job);
//     }
//
// A job is delivered at least once, under a lease: until the lease ends nobody else gets it. If its worker
// has not completed, failed, released or extended it by then, it is delivered again. Every delivery has a
// token of its own: whoever's lease has ended can change nothing about the job any more and is told so by
// LeaseLost. A job that has used up its attempts, in whatever way the last one ended, goes to the dead
// letters, where it stays with all that is known about it.
//
// Order: tenants in turn, then lower priority numbers first, then in the order of the sends. Deliveries of
// several processes at once keep to it approximately; jobs with an ordering key keep to theirs strictly, one
// at a time. docs/services/queue.md has the semantics in full and the layout.
//
// A cheap handle, thread-safe. Copies of a handle share their claims: threads that receive from copies of one
// handle at the same time share one commit. Queues have names of any bytes and need not be created. Every
// change is one commit; the forms that take a Transaction are part of its commit. Methods throw Error:
// invalid_argument for what is no name, option, id or token, and what the database throws.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/error.h"
#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

/// The number of the commit that sent the job as 16 lower-case hexadecimal digits, '-', and the job's place
/// in that commit as 4 more. Never used again within a queue; sorts in the order of the sends.
using JobId = Bytes;

/// What all processes go by that work with a queue. Kept in the database; unset queues have these.
struct QueueSettings {
  /// How long a delivery is a worker's own; 1 ms to 24 hours.
  std::chrono::milliseconds lease = std::chrono::seconds(30);
  /// Deliveries of a job before it goes to the dead letters: 1 or more.
  std::uint32_t max_attempts = 5;
  /// The wait after the n-th failure: backoff * backoff_factor^(n - 1), at most backoff_max, less a random
  /// share of it between 0 and backoff_jitter (0 to 1).
  std::chrono::milliseconds backoff = std::chrono::seconds(1);
  std::chrono::milliseconds backoff_max = std::chrono::hours(1);
  double backoff_factor = 2;
  double backoff_jitter = 0.25;
  /// How long a completed job can be read, with its result; 0: it is gone with its completion.
  std::chrono::milliseconds keep_completed{0};
  /// How many of those stay at most, with `keep_completed`: the ones that were completed last, up to
  /// 10,000,000; 0: any number. Each handle that completes jobs may leave a tenth more for a while. Jobs that
  /// were completed while it was 0 do not count.
  std::uint32_t max_completed = 0;
  /// Jobs that are leased at once, by all processes together: up to 9,000; 0: any number. Leases that have
  /// ended count until a receive() has found them.
  std::uint32_t max_leased = 0;
  /// Deliveries by all processes together: `rate` in each `rate_interval`, and of those that were not made
  /// at most `rate_burst` later at once, so that no time t sees more than rate_burst + rate * t /
  /// rate_interval; 0: any number. A `rate_burst` of 0 stands for `rate`.
  std::uint32_t rate = 0;
  std::chrono::milliseconds rate_interval = std::chrono::seconds(1);
  std::uint32_t rate_burst = 0;
  /// How many jobs of a tenant have their turn before the next tenant's; 1 to 1,000, and 1 for a tenant that
  /// is not named. At most 100 names; "" is all jobs without a tenant.
  std::map<Bytes, std::uint32_t> weights = {};
  bool operator==(const QueueSettings&) const = default;
};

struct SendOptions {
  /// What sort of work it is, for whoever receives it. Up to 400 bytes of UTF-8, like all texts here.
  Bytes kind = {};
  /// Not before so much time has passed; or not before an instant. At most one of the two.
  std::optional<std::chrono::milliseconds> delay = {};
  std::optional<UnixMs> run_at_ms = {};
  /// 0 to 9; a job of a lower number is delivered first.
  int priority = 5;
  /// Jobs of one ordering key are delivered in the order of their sends, the next one only when the one
  /// before is completed, dead or cancelled: a job that is delayed or waits for its next attempt holds up
  /// those behind it.
  Bytes ordering_key = {};
  /// No job is made while another one of this unique key lives, which is until it is completed, dead or
  /// cancelled; or, with `unique_for`, for so long after that one was sent, whatever became of it.
  Bytes unique_key = {};
  std::optional<std::chrono::milliseconds> unique_for = {};
  /// Without `unique_for`: keeps the unique key for so long after the job was completed, or has died.
  std::optional<std::chrono::milliseconds> unique_after_completion = {};
  std::optional<std::chrono::milliseconds> unique_after_death = {};
  /// Whom it is done for. Tenants take turns: none waits longer because another one has many jobs. Priorities
  /// count among the jobs of one tenant.
  Bytes tenant = {};
};

/// What becomes of a job that waits for another one when that one is dead. One that was cancelled, purged, or
/// erased from the dead letters can never be completed: who would `wait` dies then.
enum class ChildFailure : std::uint8_t {
  wait,  ///< waits on, until that one was requeued and is completed
  run,   ///< goes on as if that one were completed
  die,   ///< goes to the dead letters itself
};
/// "wait", "run", "die".
const char* name(ChildFailure failure);

struct NewJob {
  Payload body;
  SendOptions options = {};
  /// The job that waits for this one: its place in the same send_many(), behind that of this one. It is
  /// `blocked` until all jobs that name it are completed.
  std::optional<std::size_t> parent = {};
  /// Of a job that waits for others.
  ChildFailure child_failure = ChildFailure::wait;
};

/// What a send has come to.
struct Sent {
  /// Of the new job, or of the one that has the unique key.
  JobId id;
  bool is_new = false;
};

/// The right to a delivered job: all that it takes to complete it, from whatever process. Plain text.
struct JobLease {
  JobId id;
  Bytes token;  ///< of this delivery; changes when the lease is extended
};

struct Delivery : JobLease {
  Payload body;
  Bytes kind;
  std::uint32_t attempt = 1;    ///< 1 for the first delivery
  UnixMs lease_ends_at_ms = 0;  ///< by the clock that the store goes by
  UnixMs sent_at_ms = 0;
  /// When it was to be delivered, if it was sent with a delay or an instant; of a schedule's job, the tick.
  std::optional<UnixMs> run_at_ms = {};
  int priority = 5;
  Bytes ordering_key;
  Bytes tenant;
  std::vector<JobId> children;  ///< what it has waited for; get() has their results while they are kept
};

/// The lease has ended, or was taken from the worker: the job is another worker's, or done, dead, cancelled.
/// Code conflict, retry never: what was to be done to the job was not done and will not be.
class LeaseLost : public Error {
 public:
  explicit LeaseLost(const std::string& message) : Error(Code::conflict, Retry::never, message) {}
};

struct FailOptions {
  /// To the dead letters at once, whatever attempts are left.
  bool is_permanent = false;
  /// The wait before the next attempt, instead of the queue's back-off.
  std::optional<std::chrono::milliseconds> retry_in = {};
};

enum class JobState : std::uint8_t {
  ready,      ///< to be delivered
  delayed,    ///< not to be delivered before `run_at_ms`: sent so, or waiting for its next attempt
  waiting,    ///< behind another job of its ordering key
  blocked,    ///< until other jobs are completed that were sent with it
  leased,     ///< delivered; until `run_at_ms` nobody else gets it
  completed,  ///< kept as QueueSettings::keep_completed says
  dead,       ///< in the dead letters
};
/// "ready", "delayed" ...
const char* name(JobState state);

struct JobError {
  std::uint32_t attempt = 0;
  UnixMs at_ms = 0;
  Bytes text;
  bool operator==(const JobError&) const = default;
};

/// What a worker says of a job while it works on it.
struct JobNotes {
  std::optional<double> progress = {};  ///< 0 to 1
  std::vector<Bytes> lines = {};        ///< for people
};

struct JobLogLine {
  UnixMs at_ms = 0;  ///< when it was written
  Bytes text;
  bool operator==(const JobLogLine&) const = default;
};

struct Job {
  JobId id;
  JobState state = JobState::ready;
  Payload body;
  Bytes kind;
  int priority = 5;
  std::uint32_t attempts = 0;  ///< deliveries so far; of a job that was requeued, since then
  UnixMs sent_at_ms = 0;
  /// delayed: when it is due. leased: when the lease ends. waiting, blocked: not before, if it was sent with
  /// a delay.
  std::optional<UnixMs> run_at_ms;
  Bytes ordering_key;
  Bytes unique_key;
  Bytes tenant;
  JobId parent;                  ///< that waits for this one; empty: none
  std::vector<JobId> children;   ///< that it waits for, or has waited for
  std::vector<JobId> waits_for;  ///< blocked: those of them that it still waits for
  ChildFailure child_failure = ChildFailure::wait;
  /// What its failed attempts have said, oldest first: the newest limits::kJobErrors.
  std::vector<JobError> errors;
  /// What its workers have noted: the newest limits::kJobLogLines, oldest first.
  std::optional<double> progress;
  std::vector<JobLogLine> log;
  UnixMs finished_at_ms = 0;  ///< completed and dead
  /// dead: "max_attempts" (the last attempt failed), "permanent" (a failure said so), "lease_expired" (the
  /// last attempt neither ended nor extended its lease: a crash, mostly), "body_lost" (the store has lost
  /// the object of its large body, which is null therefore; it was not delivered), "child_failed" (a job
  /// that it waited for is dead or was removed: the last error names it) or "unreadable" (its entry is
  /// damaged: the body is the bytes of the entry, and all else is unknown).
  Bytes reason;
  std::optional<Payload> result;  ///< completed
};

/// Which dead letters. All that is given must hold.
struct DeadFilter {
  std::optional<Bytes> kind = {};
  std::optional<Bytes> reason = {};
  std::optional<UnixMs> since_ms = {};   ///< died then or later
  std::optional<UnixMs> before_ms = {};  ///< died before
};

/// Jobs by state.
struct QueueStats {
  std::uint64_t ready = 0;
  std::uint64_t delayed = 0;
  std::uint64_t waiting = 0;
  std::uint64_t blocked = 0;
  std::uint64_t leased = 0;
  std::uint64_t completed = 0;
  std::uint64_t dead = 0;
  bool is_paused = false;
  /// When the first of the ready jobs was sent.
  std::optional<UnixMs> first_ready_sent_at_ms;
};

struct QueueOptions {
  /// The entries live under "<prefix>/<queue>/" in the database: 1 to 100 bytes, not beginning with '!'.
  Bytes prefix = "queue";
  /// For the jitter, and for claimers to keep out of each other's way; the machine's if there is none.
  std::shared_ptr<Random> random = {};
  /// For wait(): that of the store; the machine's if there is none.
  std::shared_ptr<Clock> clock = {};
};

class Queue {
 public:
  /// capability_missing on a store whose copies are changed apart (Traits::mergeable).
  Queue(Database database, View name, const QueueOptions& options = {});

  const Bytes& name() const;

  // ---- Producers

  /// Cost: one blind commit of one entry, which conflicts with nothing; one more entry for a delay or a
  /// tenant; one more
  /// and a read for a unique key, an ordering key, or a body above 256 KiB, which is uploaded before.
  Sent send(const Payload& body, const SendOptions& options = {});
  /// All of them in one commit, in their order; at most limits::kQueueBatch. Some may wait for others, which
  /// costs a put more for each that is waited for. Throws already_exists, and sends nothing, if another job
  /// has the unique key of one that waits or is waited for.
  std::vector<Sent> send_many(std::span<const NewJob> jobs);
  /// As part of the transaction, as send(); for each whether it is new.
  std::vector<bool> send_many(Transaction& transaction, std::span<const NewJob> jobs) const;
  /// False if a job has the unique key already. There is a job only if the transaction commits; jobs of one
  /// transaction keep their order. Never conflicts unless it has an ordering key or a unique key. A
  /// transaction that also ends a job of the same ordering key, by complete(), cancel() or a fail() that is
  /// the last, ends that one before it sends; the other way round those throw invalid_argument.
  bool send(Transaction& transaction, const Payload& body, const SendOptions& options = {}) const;

  // ---- Workers

  /// Up to `limit` jobs, at most limits::kQueueBatch, and none without waiting when nothing is due, the queue
  /// is paused, a limit is reached, or other processes were faster. `lease` instead of that of the settings.
  /// Bodies of one call come to 4 MiB and one more at most. Once some jobs are delivered they are returned,
  /// whatever error comes then. Cost: five reads and one commit, shared by the
  /// threads that receive at the same time, and a read for each tenant that has its turn; does not depend on
  /// how many jobs wait, are leased or delayed.
  std::vector<Delivery> receive(std::size_t limit = 1, std::optional<std::chrono::milliseconds> lease = {});
  /// Waits until there is something to receive, the pause and the limits included; false if there was
  /// nothing until the deadline, and without one as long as it takes. Others may be faster: receive() may
  /// then give nothing. Waits for commits and for what is due, without asking again and again. False as well
  /// once `stop` is requested. Throws closed when the store is closed.
  bool wait(Deadline deadline = {}, const std::stop_token& stop = {}) const;
  /// Lets the lease end so much later than now; the token changes with it. Throws LeaseLost.
  void extend(Delivery& delivery, std::chrono::milliseconds lease);
  JobLease extend(const JobLease& lease, std::chrono::milliseconds by);
  /// Keeps the notes with the job, and lets the lease end `extend_by` later than now if that is given; the
  /// token changes. Throws LeaseLost. Cost: as that of extend().
  JobLease note(const JobLease& lease, const JobNotes& notes,
                std::optional<std::chrono::milliseconds> extend_by = {});
  /// The job is done; `result` is kept as long as the job is. Who waits for it and no other can be received
  /// from this commit on. Throws LeaseLost. Cost: one commit of one entry; a read as well where there is more
  /// to do than to remove the job, or the settings were set since its delivery.
  void complete(const JobLease& lease, const std::optional<Payload>& result = {});
  /// The job is done if and only if the transaction commits.
  void complete(Transaction& transaction, const JobLease& lease,
                const std::optional<Payload>& result = {}) const;
  /// At most limits::kQueueBatch; for each whether it was done, false where the lease was lost. In one
  /// commit, but in several where they write more than 4 MiB: what they keep, and the jobs of their ordering
  /// keys that have their turn now. After an error some may be done.
  std::vector<bool> complete_many(std::span<const JobLease> leases);
  std::vector<bool> complete_many(std::span<const Delivery> deliveries);
  /// The attempt has failed with `error`, of which 2,000 bytes are kept. Where the job is now: delayed, ready
  /// if it need not wait, or dead. Throws LeaseLost.
  JobState fail(const JobLease& lease, View error, const FailOptions& options = {});
  JobState fail(Transaction& transaction, const JobLease& lease, View error,
                const FailOptions& options = {}) const;
  /// Gives the job back as if it had not been delivered. Throws LeaseLost.
  void release(const JobLease& lease, std::chrono::milliseconds delay = {});
  void release(Transaction& transaction, const JobLease& lease, std::chrono::milliseconds delay = {}) const;

  // ---- Looking after it

  /// Nothing if there is no such job (any more). Cost: a read; a leased one is looked for among the keys of
  /// all that are leased.
  std::optional<Job> get(View id) const;
  /// The jobs of a state, in the order in which they would be delivered (those without a tenant, then tenant
  /// by tenant), are due, or were sent.
  Listing<Job> list(JobState state, const ListOptions& options = {}) const;
  /// The first of list(JobState::ready).
  std::vector<Job> peek(std::size_t limit = 1) const;
  /// Removes a job that is not completed or dead; whether there was one. Its worker loses the lease. Those
  /// that it waits for go on.
  bool cancel(View id);
  bool cancel(Transaction& transaction, View id) const;
  /// Cost: a scan of the keys of all jobs.
  QueueStats stats() const;
  /// No job is delivered after pause() has returned, until resume(); everything else goes on.
  void pause();
  void resume();
  bool is_paused() const;
  /// Removes all jobs that are ready, delayed, waiting or blocked; how many. In several commits.
  std::uint64_t purge();

  QueueSettings settings() const;
  /// The same within a transaction, which loses if they are set meanwhile: to change some of them.
  QueueSettings settings(Transaction& transaction) const;
  /// For deliveries, failures and completions from now on, in every process.
  void set_settings(const QueueSettings& settings);
  void set_settings(Transaction& transaction, const QueueSettings& settings) const;

  // ---- Dead letters, by id

  Listing<Job> dead(const DeadFilter& filter = {}, const ListOptions& options = {}) const;
  /// Makes a dead letter a job again, with all its attempts, its id, and with it its place; it waits for what
  /// it has waited for and is not completed. False if there is no such dead letter. Throws already_exists
  /// while another job has its unique key, and corruption if its body is lost or it
  /// cannot be read.
  bool requeue(View id);
  /// All that `filter` lets through but those whose unique key another job has, and those whose body is lost
  /// or that cannot be read; how many. In several commits.
  std::uint64_t requeue_dead(const DeadFilter& filter = {});
  /// Whether there was one.
  bool erase_dead(View id);
  /// Removes all that `filter` lets through; how many. In several commits.
  std::uint64_t purge_dead(const DeadFilter& filter = {});

  class Impl;  // src/services/queue_impl.h

 private:
  std::shared_ptr<Impl> impl_;
};

/// The names of the queues under a prefix that hold anything, in byte order of how they are stored, at most
/// 1,000 behind `after`. Cost: a read for each.
std::vector<Bytes> list_queues(const Database& database, View after = {}, std::size_t limit = 1'000,
                               View prefix = "queue");

namespace limits {

inline constexpr std::size_t kQueueNameBytes = 200;
/// Kinds, ordering keys, unique keys and tenants.
inline constexpr std::size_t kJobTextBytes = 400;
/// Jobs of one send_many(), receive() or complete_many().
inline constexpr std::size_t kQueueBatch = 250;
/// Jobs of which each waits for the one before, in one send_many().
inline constexpr std::size_t kFlowDepth = 10;
inline constexpr std::size_t kJobErrors = 20;
inline constexpr std::size_t kJobErrorBytes = 2'000;
/// Of what is noted; longer lines are cut.
inline constexpr std::size_t kJobLogLines = 50;
inline constexpr std::size_t kJobLogBytes = 500;
inline constexpr std::chrono::hours kJobLease{24};

}  // namespace limits
}  // namespace holdfast
