#include "services/queue_claims.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "holdfast/error.h"
#include "services/payload_codec.h"
#include "services/queue_moves.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

/// Jobs of one claim: with the due ones that it puts in their place, what a commit may write.
constexpr std::size_t kClaimJobs = limits::kQueueBatch;
constexpr std::size_t kDueJobs = 100;
constexpr std::size_t kClaimBytes = std::size_t{4} << 20;
/// Ready jobs that are looked at where several processes claim.
constexpr std::size_t kLookedAt = 1'000;
constexpr std::uint64_t kMaxClasses = 64;
/// Claims without a loss after which half as many claimers are expected.
constexpr std::uint32_t kWinsToRelax = 32;
constexpr int kAttempts = 12;

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
    : database_(std::move(database)), keys_(keys), random_(std::move(random)) {}

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
      demand->error = error;
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
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    try {
      claim(demands);
      learn(false);
      return;
    } catch (const Lost&) {
      learn(true);
      for (Demand* demand : demands) demand->jobs.clear();
    }
  }
}

void QueueClaims::claim(std::span<Demand* const> demands) {
  bool has_run = false;
  const Position at = database_.transact([&](Transaction& transaction) {
    // The jobs of the first run are somebody else's: others are looked for, which is no re-run.
    if (has_run) throw Lost{};
    has_run = true;
    claim_within(transaction, demands);
  });
  for (Demand* demand : demands) {
    for (Delivery& job : demand->jobs) {
      LeaseToken token = LeaseToken::parse(job.token);
      token.version = at.seq;
      job.token = token.text();
    }
  }
}

void QueueClaims::claim_within(Transaction& transaction, std::span<Demand* const> demands) {
  const Bytes keys[] = {keys_.settings(), keys_.paused()};
  const std::vector<std::optional<Entry>> found = transaction.get(keys);
  if (found[1]) return;
  const QueueSettings settings = found[0] ? parse_settings(found[0]->value) : QueueSettings();
  std::size_t wanted = 0;
  for (const Demand* demand : demands) wanted += demand->limit;

  QueueMoves moves(transaction, keys_);
  const PayloadCodec codec(database_);
  const UnixMs now_ms = transaction.now();
  std::size_t bytes = 0;
  auto demand = demands.begin();
  for (Candidate& candidate : candidates(transaction, wanted)) {
    if (bytes > kClaimBytes) break;
    const bool is_abandoned = candidate.entry.key.starts_with(keys_.leased());
    const bool is_spent = is_abandoned && candidate.record.attempts >= settings.max_attempts;
    while (demand != demands.end() && (*demand)->jobs.size() == (*demand)->limit) ++demand;
    // What is due and not claimed gets its place among those that are ready.
    const bool is_claimed = !is_spent && demand != demands.end();
    if (!is_claimed && !is_spent && (candidate.is_ready || candidate.is_others)) continue;

    bytes += std::max<std::size_t>(candidate.entry.value.size(), candidate.record.body.size_bytes);
    transaction.require(candidate.entry);
    moves.take(candidate.entry);
    if (is_abandoned) {
      candidate.record.note_error(now_ms, "the lease ended before the job was completed or had failed");
    }
    if (is_spent) {
      moves.bury(candidate.id, std::move(candidate.record), "lease_expired");
    } else if (is_claimed) {
      JobRecord& record = candidate.record;
      ++record.attempts;
      const UnixMs ends_at_ms = now_ms + (*demand)->lease.value_or(settings.lease).count();
      transaction.put(keys_.leased(ends_at_ms) + candidate.id, record.envelope());
      std::optional<Payload> body = codec.load(record.body, candidate.entry);
      // Whoever removed the body has removed the job: this claim is lost.
      if (!body) throw Lost{};
      Delivery job;
      job.id = candidate.id;
      job.token = LeaseToken{ends_at_ms, 0, record.is_plain() && settings.keep_completed.count() == 0}.text();
      job.body = std::move(*body);
      job.kind = std::move(record.kind);
      job.attempt = record.attempts;
      job.lease_ends_at_ms = ends_at_ms;
      job.sent_at_ms = record.sent_at_ms;
      job.priority = record.priority;
      job.ordering_key = std::move(record.ordering_key);
      (*demand)->jobs.push_back(std::move(job));
    } else {
      moves.put(candidate.id, candidate.record, 0);
    }
  }
}

std::vector<QueueClaims::Candidate> QueueClaims::candidates(Transaction& transaction, std::size_t wanted) {
  std::vector<Candidate> candidates;
  const auto add = [&](Page page, bool is_ready) {
    for (Entry& entry : page.entries) {
      Candidate candidate{std::move(entry), {}, {}, is_ready, false};
      candidate.id = job_id_of(candidate.entry.key);
      candidate.record = JobRecord::parse(candidate.entry.value);
      candidate.is_others = !is_own(candidate.id);
      candidates.push_back(std::move(candidate));
    }
  };
  const UnixMs now_ms = transaction.now();
  const ScanOptions due{.limit = kDueJobs, .snapshot = true};
  add(transaction.scan(QueueKeys::due(keys_.leased(), now_ms), due), false);
  add(transaction.scan(QueueKeys::due(keys_.delayed(), now_ms), due), false);
  const std::size_t limit = std::max(wanted, std::min<std::size_t>(wanted * classes_, kLookedAt));
  add(transaction.scan(Range::prefix(keys_.ready()), {.limit = limit, .snapshot = true}), true);
  const auto place = [&](const Candidate& candidate) {
    return std::tuple(candidate.record.priority, candidate.is_others, View(candidate.id));
  };
  std::ranges::sort(candidates, {}, place);
  return candidates;
}

/// With n classes a claimer prefers an n-th of the jobs. Claimers begin with one class and learn from their
/// losses how many there have to be; who has drawn the same class draws again.
bool QueueClaims::is_own(View id) const {
  if (classes_ == 1) return true;
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return ((hash ^ (hash >> 29)) & (classes_ - 1)) == (own_class_ & (classes_ - 1));
}

void QueueClaims::learn(bool was_lost) {
  if (was_lost) {
    wins_ = 0;
    classes_ = std::min(2 * classes_, kMaxClasses);
    own_class_ = random_->next();
  } else if (classes_ > 1 && ++wins_ >= kWinsToRelax) {
    wins_ = 0;
    classes_ /= 2;
  }
}

}  // namespace holdfast
