#include "services/queue_claims.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "contract/hex.h"
#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "services/payload_codec.h"
#include "services/queue_moves.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Jobs of one claim: with the due ones that it puts in their place, what a commit may write.
constexpr std::size_t kClaimJobs = limits::kQueueBatch;
constexpr std::size_t kDueJobs = 100;
/// Ready jobs that are looked at where several processes claim.
constexpr std::size_t kLookedAt = 1'000;
/// How long a process counts among those that share a queue; said again when half of it is over.
constexpr std::int64_t kPresenceMs = 10'000;
constexpr std::size_t kMostPresent = 64;
/// Claims before which the same job was in front, and left to somebody else.
constexpr std::uint32_t kMostPatience = 4;
constexpr int kAttempts = 12;
/// Tenants that one claim takes jobs of.
constexpr std::size_t kTenantsAtOnce = 50;

void validate_demand(std::size_t limit, const std::optional<milliseconds>& lease) {
  if (limit == 0 || limit > limits::kQueueBatch) {
    throw Error(Code::invalid_argument, "receive of " + std::to_string(limit) +
                                            " jobs: it is at least 1 and at most " +
                                            std::to_string(limits::kQueueBatch));
  }
  if (lease && (*lease < milliseconds(1) || *lease > limits::kJobLease)) {
    throw Error(Code::invalid_argument, "a lease lasts 1 ms to 24 hours");
  }
}

}  // namespace

QueueClaims::QueueClaims(Database database, const QueueKeys& keys, std::shared_ptr<Random> random)
    : database_(std::move(database)), keys_(keys), own_presence_(keys.claimers() + hex16(random->next())) {}

std::vector<Delivery> QueueClaims::receive(std::size_t limit, std::optional<milliseconds> lease) {
  validate_demand(limit, lease);
  Demand own;
  own.limit = limit;
  own.lease = lease;
  std::unique_lock lock(mutex_);
  waiting_.push_back(&own);
  while (!own.is_served) {
    if (is_led_) {
      own.changed.wait(lock);
      continue;
    }
    is_led_ = true;
    std::vector<Demand*> served;
    for (std::size_t jobs = 0; !waiting_.empty(); waiting_.pop_front()) {
      jobs += waiting_.front()->limit;
      if (!served.empty() && jobs > kClaimJobs) break;
      served.push_back(waiting_.front());
    }
    lock.unlock();
    std::exception_ptr error;
    try {
      serve(served);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    for (Demand* demand : served) {
      // What a claim before the error has leased belongs to the worker: nobody else can see it.
      if (demand->jobs.empty()) demand->error = error;
      demand->is_served = true;
      demand->changed.notify_one();
    }
    is_led_ = false;
    if (!waiting_.empty()) waiting_.front()->changed.notify_one();
  }
  lock.unlock();
  if (own.error) std::rethrow_exception(own.error);
  return std::move(own.jobs);
}

void QueueClaims::serve(std::span<Demand* const> demands) {
  const auto drop_uncommitted = [&] {
    for (Demand* demand : demands) {
      std::erase_if(demand->jobs,
                    [](const Delivery& job) { return LeaseToken::parse(job.token).version == 0; });
    }
  };
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    try {
      if (!claim(demands)) return;
    } catch (const Lost&) {
      drop_uncommitted();
      join();
    } catch (...) {
      drop_uncommitted();
      throw;
    }
  }
}

bool QueueClaims::claim(std::span<Demand* const> demands) {
  bool has_run = false;
  bool again = false;
  const Position at = database_.transact([&](Transaction& transaction) {
    // The jobs of the first run are somebody else's: others are looked for, which is no re-run.
    if (has_run) throw Lost{};
    has_run = true;
    next_turn_ = turn_;
    again = claim_within(transaction, demands);
  });
  turn_ = next_turn_;
  for (Demand* demand : demands) {
    for (Delivery& job : demand->jobs) {
      LeaseToken token = LeaseToken::parse(job.token);
      if (token.version != 0) continue;
      token.version = at.seq;
      job.token = token.text();
    }
  }
  return again;
}

bool QueueClaims::claim_within(Transaction& transaction, std::span<Demand* const> demands) {
  const Bytes keys[] = {keys_.settings(), keys_.paused(), keys_.turn()};
  const std::vector<std::optional<Entry>> found = transaction.get(keys);
  if (found[1]) return false;
  const QueueSettings settings = found[0] ? parse_settings(found[0]->value) : QueueSettings();
  const UnixMs now_ms = transaction.now();
  QueueMoves moves(transaction, keys_);
  if (is_shared_) look_around(transaction);

  // Where there are limits, claims are made one after the other: each is conditional on the turn.
  const bool is_limited = settings.rate > 0 || settings.max_leased > 0;
  const DeliveryCredit credit(settings, found[2], now_ms);
  std::size_t wanted = 0;
  for (const Demand* demand : demands) wanted += demand->limit - demand->jobs.size();
  if (settings.rate > 0) wanted = std::min(wanted, credit.deliveries());
  std::size_t leased = 0;
  if (settings.max_leased > 0) {
    leased = transaction
                 .scan(Range::prefix(keys_.leased()),
                       {.limit = limits::kScanEntries, .keys_only = true, .snapshot = true})
                 .entries.size();
  }

  std::size_t bytes = 0;
  const auto take = [&](JobCandidate& job) {
    transaction.require(job.entry);
    const bool is_abandoned = job.entry.key.starts_with(keys_.leased());
    if (job.record.is_unreadable()) {
      bytes += moves.set_aside(job.entry);
      return is_abandoned;
    }
    bytes += std::max<std::size_t>(job.entry.value.size(), job.record.body.size_bytes);
    moves.take(job.entry);
    if (is_abandoned)
      job.record.note_error(now_ms, "the lease ended before the job was completed or had failed");
    return is_abandoned;
  };
  // What is due goes to its place among those that are ready, unless it is delivered right now.
  bool has_placed = false;
  const auto place = [&](JobCandidate& job) {
    if (bytes > kMoveBytes) return;
    if (take(job) && leased > 0) --leased;
    if (job.record.is_unreadable()) return;
    const bool is_spent =
        job.entry.key.starts_with(keys_.leased()) && job.record.attempts >= settings.max_attempts;
    if (is_spent) {
      bytes += moves.bury(job.id, std::move(job.record), "lease_expired");
    } else {
      moves.put(job.id, job.record, 0);
      has_placed = true;
    }
  };
  std::vector<JobCandidate> due = due_jobs(transaction);
  const auto is_to_be_placed = [&](const JobCandidate& job) {
    const bool is_abandoned = job.entry.key.starts_with(keys_.leased());
    return (is_abandoned && job.record.attempts >= settings.max_attempts) || !job.record.tenant.empty();
  };
  for (JobCandidate& job : due) {
    if (is_to_be_placed(job)) place(job);
  }
  std::erase_if(due, is_to_be_placed);

  TenantTurns turns(turn_, settings);
  if (wanted > 0) add_ready_jobs(transaction, turns, wanted, due);
  std::size_t delivered = 0;
  auto demand = demands.begin();
  while (delivered < wanted && bytes <= kMoveBytes) {
    if (settings.max_leased > 0 && leased >= settings.max_leased) break;
    std::optional<JobCandidate> job = turns.next();
    if (!job) break;
    while ((*demand)->jobs.size() == (*demand)->limit) ++demand;
    const bool is_abandoned = take(*job);
    next_turn_ = turns.turn();
    if (job->record.is_unreadable()) {
      if (is_abandoned && leased > 0) --leased;
      has_placed = true;
      continue;
    }
    std::optional<Payload> body = body_of(job->record);
    if (!body) {
      // If it is gone because the job is, the entry is as well, and this claim will be lost.
      if (is_abandoned && leased > 0) --leased;
      PayloadCodec::release(transaction, job->record.body);
      job->record.body = PayloadCodec(database_).store(Payload());
      job->record.note_error(now_ms, "the store has lost the object that the body of the job lay in");
      bytes += moves.bury(job->id, std::move(job->record), "body_lost");
      has_placed = true;
      continue;
    }
    if (!is_abandoned) ++leased;
    const UnixMs ends_at_ms = now_ms + (*demand)->lease.value_or(settings.lease).count();
    const bool is_plain = job->record.is_plain() && settings.keep_completed.count() == 0;
    const LeaseToken token{ends_at_ms, 0, is_plain, is_plain && found[0] ? found[0]->version : 0};
    (*demand)->jobs.push_back(lease(transaction, keys_, *job, std::move(*body), token));
    ++delivered;
  }
  for (JobCandidate& job : turns.rest()) {
    const bool is_ready = job.entry.key.starts_with(keys_.ready());
    if (!is_ready && !job.is_others) place(job);
  }
  for (JobCandidate& job : due) place(job);
  if (is_limited && delivered > 0) transaction.put(keys_.turn(), credit.text_after(delivered));
  // The dead and those that had waited behind them may have left no room for deliveries.
  const bool was_full = delivered == 0 && bytes > kMoveBytes;
  return (has_placed || was_full || (turns.is_cut() && delivered > 0)) && delivered < wanted;
}

std::optional<Payload> QueueClaims::body_of(const JobRecord& record) const {
  try {
    return PayloadCodec(database_).load(record.body);
  } catch (const Error& error) {
    if (error.code() != Code::corruption || !record.body.is_object()) throw;
    return std::nullopt;
  }
}

Delivery QueueClaims::lease(Transaction& transaction, const QueueKeys& keys, JobCandidate& job, Payload body,
                            const LeaseToken& token) {
  JobRecord& record = job.record;
  ++record.attempts;
  transaction.put(keys.leased(token.ends_at_ms) + job.id, record.envelope());
  Delivery delivery;
  delivery.id = job.id;
  delivery.token = token.text();
  delivery.body = std::move(body);
  delivery.kind = std::move(record.kind);
  delivery.attempt = record.attempts;
  delivery.lease_ends_at_ms = token.ends_at_ms;
  delivery.sent_at_ms = record.sent_at_ms;
  delivery.run_at_ms = record.run_at_ms;
  delivery.priority = record.priority;
  delivery.ordering_key = std::move(record.ordering_key);
  delivery.tenant = std::move(record.tenant);
  for (const Bytes& child : record.children) delivery.children.push_back(sibling_id(job.id, child));
  return delivery;
}

std::vector<JobCandidate> QueueClaims::candidates_of(Page page) const {
  std::vector<JobCandidate> jobs;
  jobs.reserve(page.entries.size());
  for (Entry& entry : page.entries) {
    JobCandidate job{std::move(entry), {}, {}, false};
    job.id = job_id_of(job.entry.key);
    job.record = JobRecord::parse_any(job.entry.value);
    job.is_others = !is_own(job.id);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::vector<JobCandidate> QueueClaims::due_jobs(Transaction& transaction) const {
  const ScanOptions options{.limit = kDueJobs, .snapshot = true};
  std::vector<JobCandidate> due =
      candidates_of(transaction.scan(QueueKeys::due(keys_.leased(), transaction.now()), options));
  std::ranges::move(
      candidates_of(transaction.scan(QueueKeys::due(keys_.delayed(), transaction.now()), options)),
      std::back_inserter(due));
  return due;
}

std::size_t QueueClaims::looked_at(std::size_t wanted) const {
  return std::max(wanted, std::min<std::size_t>(wanted * claimers_, kLookedAt));
}

void QueueClaims::add_ready_jobs(Transaction& transaction, TenantTurns& turns, std::size_t wanted,
                                 std::vector<JobCandidate>& due) {
  const auto in_order = [](std::vector<JobCandidate> jobs) {
    std::ranges::sort(jobs, {}, [](const JobCandidate& job) {
      return std::tuple(job.record.priority, job.is_others, View(job.id));
    });
    return std::deque<JobCandidate>(std::make_move_iterator(jobs.begin()),
                                    std::make_move_iterator(jobs.end()));
  };
  const Bytes all = keys_.tenants();
  const Range range = Range::prefix(all);
  const auto tenant_of = [&](View key) {
    return key.substr(all.size(), key.find('/', all.size()) - all.size());
  };
  const Bytes from = turn_.tenant.empty() ? range.begin : all + turn_.tenant;
  std::size_t seen = 0;
  Bytes last;
  // From the tenant whose turn it was to the end, and then from the beginning to it; whether all were seen.
  const auto add_tenants = [&](Range part) {
    while (part.begin < part.end) {
      if (seen >= kTenantsAtOnce) return false;
      const std::size_t share = std::max<std::size_t>(wanted / tenants_ + 1, turns.largest_weight());
      Page page = transaction.scan(part, {.limit = looked_at(share), .snapshot = true});
      if (page.entries.empty()) return true;
      const bool is_cut = page.more;
      const Bytes cut_tenant(tenant_of(page.entries.back().key));
      std::map<Bytes, std::vector<JobCandidate>> jobs;
      for (JobCandidate& job : candidates_of(std::move(page))) {
        jobs[Bytes(tenant_of(job.entry.key))].push_back(std::move(job));
      }
      // The last tenant of a page may have more: it is read once more, from its own first job.
      if (is_cut && jobs.size() > 1) jobs.erase(cut_tenant);
      last = jobs.rbegin()->first;
      seen += jobs.size();
      const bool is_one = jobs.size() == 1;
      for (auto& [tenant, each] : jobs)
        turns.add(tenant, in_order(std::move(each)), is_cut && is_one && tenant == cut_tenant);
      if (!is_cut) return true;
      part.begin = all + last + '0';
    }
    return true;
  };
  const bool saw_end = add_tenants({from, range.end});
  if (saw_end || turn_.tenant.empty()) {
    const std::size_t share = std::max<std::size_t>(wanted / tenants_ + 1, turns.largest_weight());
    const std::size_t limit = seen == 0 ? wanted : share;
    bool is_cut = false;
    std::vector<JobCandidate> jobs = jobs_without_tenant(transaction, limit, is_cut);
    std::ranges::move(due, std::back_inserter(jobs));
    due.clear();
    turns.add({}, in_order(std::move(jobs)), is_cut);
  }
  if (!saw_end || !add_tenants({range.begin, from})) turns.end_after(last);
  tenants_ = seen + 1;
}

// ---- Several processes
//
// A process that has lost a claim says that it is there, by an entry that expires. Those who have said so
// know how many they are and which of them each is, and take jobs of their own share, which nobody else
// wants. If they do not agree for a while they lose claims, and no more than that.

void QueueClaims::join() {
  is_shared_ = true;
  database_.transact(
      [&](Transaction& transaction) { transaction.put(own_presence_, {}, transaction.now() + kPresenceMs); });
}

void QueueClaims::look_around(Transaction& transaction) {
  const Page present =
      transaction.scan(Range::prefix(keys_.claimers()), {.limit = kMostPresent, .snapshot = true});
  claimers_ = std::max<std::size_t>(present.entries.size(), 1);
  is_shared_ = !present.entries.empty();
  own_share_ = 0;
  const UnixMs soon_ms = transaction.now() + kPresenceMs / 2;
  for (const Entry& entry : present.entries) {
    if (entry.key < own_presence_) ++own_share_;
    // Whoever is alone lets it expire.
    if (entry.key == own_presence_ && claimers_ > 1 && entry.expires_at_ms.value_or(0) < soon_ms) {
      transaction.put(own_presence_, {}, transaction.now() + kPresenceMs);
    }
  }
  own_share_ %= claimers_;
}

bool QueueClaims::is_own(View id) const {
  if (claimers_ == 1) return true;
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return (hash ^ (hash >> 29)) % claimers_ == own_share_;
}

std::vector<JobCandidate> QueueClaims::jobs_without_tenant(Transaction& transaction, std::size_t limit,
                                                           bool& is_cut) {
  const bool is_alone = claimers_ == 1;
  Page page = transaction.scan(keys_.without_tenant(),
                               {.limit = looked_at(limit), .keys_only = !is_alone, .snapshot = true});
  is_cut = page.more;
  if (is_alone || page.entries.empty()) return candidates_of(std::move(page));
  std::vector<Bytes> keys = keys_to_take(page);
  // Others take theirs, so there is no need to look further.
  if (keys.size() < page.entries.size()) is_cut = false;
  if (keys.size() > limit) keys.resize(limit);
  Page taken;
  for (std::optional<Entry>& entry : transaction.get(keys)) {
    if (entry) taken.entries.push_back(std::move(*entry));
  }
  return candidates_of(std::move(taken));
}

/// Those of others are left to them where there are own ones of the same priority.
std::vector<Bytes> QueueClaims::keys_to_take(const Page& ready) {
  const auto id = [](const Entry& entry) { return View(entry.key).substr(entry.key.size() - kJobIdBytes); };
  const View front = id(ready.entries.front());
  // Whose it is takes it with the next claim, or has gone or is slow: then it does not wait any longer.
  times_in_front_ = front == front_ && !is_own(front) ? times_in_front_ + 1 : 0;
  front_ = front;
  const bool are_left = times_in_front_ < kMostPatience;
  std::set<View> own;
  const auto place = [&](const Entry& entry) {
    return View(entry.key).substr(0, entry.key.size() - kJobIdBytes);
  };
  for (const Entry& entry : ready.entries) {
    if (are_left && is_own(id(entry))) own.insert(place(entry));
  }
  std::vector<Bytes> keys;
  for (const Entry& entry : ready.entries) {
    if (!own.contains(place(entry)) || is_own(id(entry))) keys.push_back(entry.key);
  }
  return keys;
}

}  // namespace holdfast
