// Layout, under <prefix>/<queue>/, where <id> is <seq of the commit that sent the job>-<place in it> and
// <time> 16 hexadecimal digits of Unix milliseconds:
//     ready/<priority>/<id>     a job (queue_record.h), to be delivered
//     ready/t/<tenant>/<priority>/<id>    the same of a tenant
//     delayed/<time>/<id>       a job that is due then
//     leased/<time>/<id>        a job that was delivered; the lease ends then. Its version is the token
//     chain/<key>/<id>          a job behind another one of its ordering key
//     blocked/<id>              a job that waits for others of its commit
//     child/<id>/-<place>       empty: the job at this place of the same commit is one that <id> waits for
//     lock/<key>                empty: there is a job of this ordering key outside of its chain
//     at/<id>                   where a job is that is delayed, in a chain or a tenant's: "delayed/<time>/"
//     unique/<key>              the id of the job that has this unique key, or its end: -<place of the commit
//                               that put the entry>; expires where it is kept for a time
//     dead/<id>                 a job in the dead letters
//     done/<id>, result/<id>    a completed job and its result; they expire
//     finished/<time>/<id>      empty: the job was completed then; where completed jobs are kept by number
//     settings                  JSON (queue_record.h); none: the defaults
//     paused                    empty: nothing is delivered
//     turn                      what the last claim that went by a limit has left: {"credit":n,"at_ms":n}
//     place                     of the newest job that a caller's transaction has sent, and "/<hash>" of each
//                               ordering key that it has sent a job of; read by that transaction alone
//     claimer/<random number>   empty: a process that has lost a claim to another one; expires
// A send is a stamped put without a check. A claim moves the entry of a job from ready/ to leased/ under
// the condition that it has not changed, and a completion removes it there under the same condition, so each
// way through this table conflicts with those that want the same job, and with nothing else.
#include "holdfast/queue.h"

#include <algorithm>
#include <map>
#include <string>

#include "contract/validate.h"
#include "holdfast/limits.h"
#include "services/keys.h"
#include "services/queue_flows.h"
#include "services/queue_impl.h"
#include "services/queue_moves.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

void validate_text(View text, const char* what) {
  if (text.size() <= limits::kJobTextBytes && is_utf8(text)) return;
  throw Error(Code::invalid_argument, Bytes("the ") + what + " of a job has at most " +
                                          std::to_string(limits::kJobTextBytes) + " bytes of UTF-8");
}

JobRecord record_of(const SendOptions& options, const StoredPayload& body, UnixMs now_ms) {
  JobRecord record;
  record.sent_at_ms = now_ms;
  record.priority = options.priority;
  record.kind = options.kind;
  record.ordering_key = options.ordering_key;
  record.unique_key = options.unique_key;
  record.is_unique_while_live = !options.unique_key.empty() && !options.unique_for;
  record.unique_after_completion_ms = options.unique_after_completion.value_or(milliseconds(0)).count();
  record.unique_after_death_ms = options.unique_after_death.value_or(milliseconds(0)).count();
  record.tenant = options.tenant;
  record.run_at_ms = options.run_at_ms;
  if (options.delay) record.run_at_ms = now_ms + options.delay->count();
  record.body = body;
  return record;
}

/// What a send came to before its commit, which gives the id.
struct Sending {
  std::uint32_t place = 0;
  bool is_new = false;
  JobId existing;  ///< of another commit; else it is the job at `place` of this one
};

/// The job that has a unique key, by its entry.
Sending holder_of(const Entry& entry) {
  if (entry.value.size() == kJobIdBytes) return {.place = 0, .is_new = false, .existing = entry.value};
  if (entry.version != 0) {
    return {.place = 0, .is_new = false, .existing = number_segment(entry.version) + entry.value};
  }
  const auto place = static_cast<std::uint32_t>(segment_number("000000000000" + entry.value.substr(1)));
  return {.place = place, .is_new = false, .existing = {}};
}

Sending send_at(Transaction& transaction, const QueueKeys& keys, const SendOptions& options,
                const JobRecord& record, std::uint32_t place) {
  if (!options.unique_key.empty()) {
    const Bytes key = keys.unique(options.unique_key);
    if (const std::optional<Entry> holder = transaction.get(key)) return holder_of(*holder);
    std::optional<UnixMs> expires_at_ms;
    if (options.unique_for) expires_at_ms = transaction.now() + options.unique_for->count();
    transaction.put(key, job_suffix(place), expires_at_ms);
  }
  PayloadCodec::replace(transaction, std::nullopt, record.body);
  QueueMoves(transaction, keys).send(record, place);
  return {.place = place, .is_new = true, .existing = {}};
}

/// Whether the job is sent by puts alone.
bool is_blind(const NewJob& job) {
  return job.options.unique_key.empty() && job.options.ordering_key.empty() &&
         job.body.size_bytes() <= limits::kInlinePayloadBytes;
}

/// Sends jobs that are all blind in one commit; its seq.
Seq send_blindly(Database& database, const QueueKeys& keys, std::span<const NewJob> jobs,
                 const QueueFlows& flows) {
  const UnixMs now_ms = database.transact([](Transaction& transaction) { return transaction.now(); });
  const PayloadCodec codec(database);
  Batch batch;
  batch.writes.reserve(jobs.size());
  std::uint32_t place = 0;
  for (const NewJob& job : jobs) {
    JobRecord record = record_of(job.options, codec.store(job.body), now_ms);
    flows.link(place, 0, record);
    for (Write& write : QueueMoves::writes_to_send(keys, record, place++, now_ms)) {
      batch.writes.push_back(std::move(write));
    }
  }
  return database.commit(std::move(batch)).seq;
}

void validate_batch_size(std::size_t jobs, const char* what) {
  if (jobs != 0 && jobs <= limits::kQueueBatch) return;
  throw Error(Code::invalid_argument, Bytes(what) + " of " + std::to_string(jobs) +
                                          " jobs: it has at least 1 and at most " +
                                          std::to_string(limits::kQueueBatch));
}

void validate_wait(milliseconds wait, const char* what) {
  if (wait.count() >= 0 && wait <= std::chrono::hours(24 * 365)) return;
  throw Error(Code::invalid_argument, Bytes(what) + " is 0 to a year");
}

/// Whose transaction it is: nobody else knows what a caller's has sent before.
enum class Transactor : std::uint8_t { queue, caller };

/// Removes a job that is done. The entry was read, or is required. How many bytes it has put.
std::size_t finish(Transaction& transaction, const QueueKeys& keys, const PayloadCodec& codec,
                   QueueRetention& retention, const JobLease& lease, const LeaseToken& token,
                   const std::optional<Payload>& result, Transactor transactor) {
  QueueMoves moves(transaction, keys);
  const Entry entry = moves.leased(lease, token);
  JobRecord record = JobRecord::parse(entry.value);
  if (transactor == Transactor::caller) moves.refuse_if_sent_behind(record);
  moves.take(entry);
  std::size_t bytes = 0;
  const QueueSettings settings = moves.settings();
  if (settings.keep_completed.count() > 0) {
    record.finished_at_ms = transaction.now();
    const UnixMs expires_at_ms = transaction.now() + settings.keep_completed.count();
    PayloadCodec::replace(transaction, record.body, record.body, expires_at_ms);
    transaction.put(keys.done() + lease.id, record.envelope(), expires_at_ms);
    bytes += entry.value.size();
    if (settings.max_completed > 0) {
      transaction.put(keys.finished(record.finished_at_ms) + lease.id, {}, expires_at_ms);
      retention.note_kept(settings.max_completed);
    }
    if (result) {
      const StoredPayload stored = codec.store(*result);
      PayloadCodec::replace(transaction, std::nullopt, stored, expires_at_ms);
      transaction.put(keys.result(lease.id), PayloadCodec::bare(stored), expires_at_ms);
    }
  } else {
    PayloadCodec::release(transaction, record.body);
  }
  return bytes + moves.settle(lease.id, record, JobEnd::completed);
}

/// A job that is named twice is done once.
bool are_different(std::span<const JobLease> leases) {
  std::vector<View> ids;
  ids.reserve(leases.size());
  for (const JobLease& lease : leases) ids.emplace_back(lease.id);
  std::ranges::sort(ids);
  return std::ranges::adjacent_find(ids) == ids.end();
}

/// finish() of jobs that have only to be removed, without reading them; false if a lease was lost, or the
/// settings are not those that it was given under.
bool remove_plain(Database& database, const QueueKeys& keys, std::span<const JobLease> leases,
                  std::span<const LeaseToken> tokens) {
  const UnixMs now_ms = database.transact([](Transaction& transaction) { return transaction.now(); });
  Batch batch;
  batch.checks.reserve(leases.size());
  batch.writes.reserve(leases.size());
  for (std::size_t i = 0; i < leases.size(); ++i) {
    if (now_ms >= tokens[i].ends_at_ms) return false;
    const Seq settings_version = tokens[i].settings_version;
    if (i == 0 || settings_version != tokens[i - 1].settings_version) {
      batch.checks.push_back(settings_version == 0 ? Check::absent(keys.settings())
                                                   : Check::has_version(keys.settings(), settings_version));
    }
    const Bytes key = keys.leased(tokens[i].ends_at_ms) + leases[i].id;
    batch.checks.push_back(Check::has_version(key, tokens[i].version));
    batch.writes.push_back(Write::erase(key));
  }
  return database.commit(std::move(batch)).committed();
}

}  // namespace

void validate_options(const SendOptions& options) {
  const auto refuse_unless = [](bool holds, const char* what) {
    if (!holds) throw Error(Code::invalid_argument, Bytes("sending a job: ") + what);
  };
  validate_text(options.kind, "kind");
  validate_text(options.ordering_key, "ordering key");
  validate_text(options.unique_key, "unique key");
  validate_text(options.tenant, "tenant");
  refuse_unless(options.priority >= 0 && options.priority < kJobPriorities, "a priority is 0 to 9");
  refuse_unless(!options.delay || !options.run_at_ms, "it has a delay or an instant, not both");
  refuse_unless(!options.delay || options.delay->count() >= 0, "a delay is not negative");
  refuse_unless(!options.delay || *options.delay <= std::chrono::hours(24 * 365 * 100),
                "a delay is a hundred years at most");
  refuse_unless(!options.run_at_ms || *options.run_at_ms <= limits::kExpiresAtMs,
                "an instant lies before the end of time");
  refuse_unless(!options.unique_for || !options.unique_key.empty(), "unique_for needs a unique key");
  for (const auto& after : {options.unique_after_completion, options.unique_after_death}) {
    refuse_unless(!after || (!options.unique_key.empty() && !options.unique_for),
                  "unique_after_completion and unique_after_death need a unique key without unique_for");
    refuse_unless(!after || (after->count() >= 0 && *after <= std::chrono::hours(24 * 365 * 100)),
                  "a unique key is kept for a hundred years at most");
  }
  refuse_unless(!options.unique_for || (options.unique_for->count() >= 1 &&
                                        *options.unique_for <= std::chrono::hours(24 * 365 * 100)),
                "unique_for is 1 ms to a hundred years");
}

const char* name(ChildFailure failure) {
  switch (failure) {
    case ChildFailure::wait:
      return "wait";
    case ChildFailure::run:
      return "run";
    case ChildFailure::die:
      return "die";
  }
  return "unknown";
}

const char* name(JobState state) {
  switch (state) {
    case JobState::ready:
      return "ready";
    case JobState::delayed:
      return "delayed";
    case JobState::waiting:
      return "waiting";
    case JobState::blocked:
      return "blocked";
    case JobState::leased:
      return "leased";
    case JobState::completed:
      return "completed";
    case JobState::dead:
      return "dead";
  }
  return "unknown";
}

Queue::Queue(Database database, View name, const QueueOptions& options)
    : impl_(std::make_shared<Impl>(std::move(database), name, options)) {}

const Bytes& Queue::name() const { return impl_->name; }

// ---- Producers

Sent Queue::send(const Payload& body, const SendOptions& options) {
  const NewJob job{body, options};
  return std::move(send_many(std::span(&job, 1)).front());
}

std::vector<Sent> Queue::send_many(std::span<const NewJob> jobs) {
  validate_batch_size(jobs.size(), "send_many");
  for (const NewJob& job : jobs) validate_options(job.options);
  const QueueFlows flows(jobs);
  std::vector<Sending> sendings;
  Seq seq = 0;
  if (std::ranges::all_of(jobs, is_blind)) {
    seq = send_blindly(impl_->database, impl_->keys, jobs, flows);
    for (std::uint32_t place = 0; place < jobs.size(); ++place) sendings.push_back({place, true, {}});
  } else {
    PayloadUploads uploads(impl_->database);
    uploads.settle([&] {
      const Position at = impl_->database.transact([&](Transaction& transaction) {
        sendings.clear();
        flows.refuse_taken(transaction, impl_->keys);
        std::uint32_t place = 0;
        for (const NewJob& job : jobs) {
          JobRecord record = record_of(job.options, uploads.store(job.body), transaction.now());
          flows.link(place, 0, record);
          sendings.push_back(send_at(transaction, impl_->keys, job.options, record, place++));
        }
      });
      seq = at.seq;
      return std::ranges::all_of(sendings, &Sending::is_new);
    });
  }
  std::vector<Sent> sent;
  sent.reserve(jobs.size());
  for (Sending& sending : sendings) {
    JobId id = std::move(sending.existing);
    if (id.empty()) id = number_segment(seq) + job_suffix(sending.place);
    sent.push_back({std::move(id), sending.is_new});
  }
  return sent;
}

bool Queue::send(Transaction& transaction, const Payload& body, const SendOptions& options) const {
  const NewJob job{body, options};
  return send_many(transaction, std::span(&job, 1)).front();
}

std::vector<bool> Queue::send_many(Transaction& transaction, std::span<const NewJob> jobs) const {
  validate_batch_size(jobs.size(), "send_many");
  for (const NewJob& job : jobs) validate_options(job.options);
  const QueueFlows flows(jobs);
  QueueMoves moves(transaction, impl_->keys);
  Bytes sent = moves.sent_before();
  const std::uint32_t first_place = QueueMoves::place_behind(sent);
  flows.refuse_taken(transaction, impl_->keys);
  std::vector<JobRecord> records;
  records.reserve(jobs.size());
  for (const NewJob& job : jobs) {
    const StoredPayload body = PayloadCodec(impl_->database).store(job.body);
    records.push_back(record_of(job.options, body, transaction.now()));
    flows.link(records.size() - 1, first_place, records.back());
  }
  std::vector<bool> is_new;
  std::uint32_t place = first_place;
  for (const JobRecord& record : records) {
    const SendOptions& options = jobs[is_new.size()].options;
    is_new.push_back(send_at(transaction, impl_->keys, options, record, place).is_new);
    // A job that is blocked is in no chain: nothing is behind it.
    const Bytes ordering_key = record.children.empty() ? record.ordering_key : Bytes();
    if (is_new.back()) sent = QueueMoves::with_sent(sent, place, ordering_key);
    ++place;
  }
  if (!sent.empty()) moves.note_sent(sent);
  return is_new;
}

// ---- Workers

std::vector<Delivery> Queue::receive(std::size_t limit, std::optional<milliseconds> lease) {
  impl_->retention.prune_if_due();
  return impl_->claims.receive(limit, lease);
}

JobLease Queue::extend(const JobLease& lease, milliseconds by) { return note(lease, {}, by); }

JobLease Queue::note(const JobLease& lease, const JobNotes& notes, std::optional<milliseconds> extend_by) {
  validate_job_id(lease.id);
  const LeaseToken token = LeaseToken::parse(lease.token);
  if (extend_by && (*extend_by < milliseconds(1) || *extend_by > limits::kJobLease)) {
    throw Error(Code::invalid_argument, "a lease lasts 1 ms to 24 hours");
  }
  LeaseToken noted = token;
  const Position at = impl_->database.transact([&](Transaction& transaction) {
    Entry entry = QueueMoves(transaction, impl_->keys).leased(lease, token);
    if (notes.progress || !notes.lines.empty()) {
      JobRecord record = JobRecord::parse(entry.value);
      record.note(transaction.now(), notes);
      entry.value = record.envelope();
    }
    if (extend_by) noted.ends_at_ms = transaction.now() + extend_by->count();
    const Bytes key = impl_->keys.leased(noted.ends_at_ms) + lease.id;
    if (key != entry.key) transaction.erase(entry.key);
    transaction.put(key, entry.value);
  });
  noted.version = at.seq;
  return {lease.id, noted.text()};
}

void Queue::extend(Delivery& delivery, milliseconds lease) {
  delivery.token = extend(static_cast<const JobLease&>(delivery), lease).token;
  delivery.lease_ends_at_ms = LeaseToken::parse(delivery.token).ends_at_ms;
}

void Queue::complete(const JobLease& lease, const std::optional<Payload>& result) {
  validate_job_id(lease.id);
  const LeaseToken token = LeaseToken::parse(lease.token);
  if (token.is_plain &&
      remove_plain(impl_->database, impl_->keys, std::span(&lease, 1), std::span(&token, 1))) {
    return;
  }
  impl_->database.transact([&](Transaction& transaction) {
    finish(transaction, impl_->keys, PayloadCodec(impl_->database), impl_->retention, lease, token, result,
           Transactor::queue);
  });
  impl_->retention.prune_if_due();
}

void Queue::complete(Transaction& transaction, const JobLease& lease,
                     const std::optional<Payload>& result) const {
  validate_job_id(lease.id);
  finish(transaction, impl_->keys, PayloadCodec(impl_->database), impl_->retention, lease,
         LeaseToken::parse(lease.token), result, Transactor::caller);
}

std::vector<bool> Queue::complete_many(std::span<const JobLease> leases) {
  validate_batch_size(leases.size(), "complete_many");
  std::vector<LeaseToken> tokens;
  tokens.reserve(leases.size());
  for (const JobLease& lease : leases) {
    validate_job_id(lease.id);
    tokens.push_back(LeaseToken::parse(lease.token));
  }
  if (std::ranges::all_of(tokens, &LeaseToken::is_plain) && are_different(leases) &&
      remove_plain(impl_->database, impl_->keys, leases, tokens)) {
    return std::vector<bool>(leases.size(), true);
  }
  const PayloadCodec codec(impl_->database);
  std::vector<bool> completed(leases.size());
  for (std::size_t begin = 0, end = 0; begin < leases.size(); begin = end) {
    impl_->database.transact([&](Transaction& transaction) {
      std::size_t bytes = 0;
      for (end = begin; end < leases.size() && bytes <= kMoveBytes; ++end) {
        completed[end] = false;
        try {
          bytes += finish(transaction, impl_->keys, codec, impl_->retention, leases[end], tokens[end],
                          std::nullopt, Transactor::queue);
          completed[end] = true;
        } catch (const LeaseLost&) {
          // What finish() does before it throws is to read.
        }
      }
    });
  }
  impl_->retention.prune_if_due();
  return completed;
}

std::vector<bool> Queue::complete_many(std::span<const Delivery> deliveries) {
  return complete_many(std::vector<JobLease>(deliveries.begin(), deliveries.end()));
}

JobState Queue::fail(const JobLease& lease, View error, const FailOptions& options) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return fail(transaction, lease, error, options); });
}

JobState Queue::fail(Transaction& transaction, const JobLease& lease, View error,
                     const FailOptions& options) const {
  validate_job_id(lease.id);
  if (options.retry_in) validate_wait(*options.retry_in, "the wait before the next attempt");
  QueueMoves moves(transaction, impl_->keys);
  const Entry entry = moves.leased(lease, LeaseToken::parse(lease.token));
  const QueueSettings settings = moves.settings();
  JobRecord record = JobRecord::parse(entry.value);
  const bool is_last = options.is_permanent || record.attempts >= settings.max_attempts;
  if (is_last) moves.refuse_if_sent_behind(record);
  moves.take(entry);
  record.note_error(transaction.now(), error);
  if (is_last) {
    moves.bury(lease.id, std::move(record), options.is_permanent ? "permanent" : "max_attempts");
    return JobState::dead;
  }
  const milliseconds wait =
      options.retry_in.value_or(backoff_of(settings, record.attempts, impl_->random->next()));
  moves.put(lease.id, record, transaction.now() + wait.count());
  return wait.count() > 0 ? JobState::delayed : JobState::ready;
}

void Queue::release(const JobLease& lease, milliseconds delay) {
  impl_->database.transact([&](Transaction& transaction) { release(transaction, lease, delay); });
}

void Queue::release(Transaction& transaction, const JobLease& lease, milliseconds delay) const {
  validate_job_id(lease.id);
  validate_wait(delay, "the delay of a job that is given back");
  QueueMoves moves(transaction, impl_->keys);
  const Entry entry = moves.leased(lease, LeaseToken::parse(lease.token));
  JobRecord record = JobRecord::parse(entry.value);
  moves.take(entry);
  --record.attempts;
  moves.put(lease.id, record, transaction.now() + delay.count());
}

// ---- Settings

QueueSettings Queue::settings() const {
  const std::optional<Entry> entry = impl_->database.get(impl_->keys.settings());
  return entry ? parse_settings(entry->value) : QueueSettings();
}

QueueSettings Queue::settings(Transaction& transaction) const {
  return QueueMoves(transaction, impl_->keys).settings();
}

void Queue::set_settings(const QueueSettings& settings) {
  impl_->database.transact([&](Transaction& transaction) { set_settings(transaction, settings); });
}

void Queue::set_settings(Transaction& transaction, const QueueSettings& settings) const {
  validate_settings(settings);
  transaction.put(impl_->keys.settings(), settings_text(settings));
}

void Queue::pause() { impl_->database.put(impl_->keys.paused(), {}); }
void Queue::resume() { impl_->database.erase(impl_->keys.paused()); }
bool Queue::is_paused() const { return impl_->database.get(impl_->keys.paused()).has_value(); }

}  // namespace holdfast
