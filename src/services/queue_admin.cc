// Looking after a queue: reading, cancelling, purging, and the dead letters. The layout is in queue.cc.
#include <algorithm>
#include <array>
#include <string>

#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "holdfast/queue.h"
#include "services/keys.h"
#include "services/lister.h"
#include "services/queue_impl.h"
#include "services/queue_moves.h"

namespace holdfast {
namespace {

/// Jobs of one commit of those that take several: each may write and read several entries.
constexpr std::size_t kJobsPerCommit = 100;

bool lets_through(const DeadFilter& filter, const JobRecord& record) {
  // Neither its kind nor when it was set aside is known.
  if (record.is_unreadable() && (filter.kind || filter.since_ms || filter.before_ms)) return false;
  return (!filter.kind || *filter.kind == record.kind) &&
         (!filter.reason || *filter.reason == record.reason) &&
         (!filter.since_ms || record.finished_at_ms >= *filter.since_ms) &&
         (!filter.before_ms || record.finished_at_ms < *filter.before_ms);
}

Bytes keys_of(const QueueKeys& keys, JobState state) {
  switch (state) {
    case JobState::ready:
      return keys.ready();
    case JobState::delayed:
      return keys.delayed();
    case JobState::waiting:
      return keys.chains();
    case JobState::blocked:
      return keys.blocked();
    case JobState::leased:
      return keys.leased();
    case JobState::completed:
      return keys.done();
    case JobState::dead:
      return keys.dead();
  }
  throw Error(Code::invalid_argument, "a state that jobs do not have");
}

/// Nothing if the job has moved on since its entry was read.
std::optional<Job> load_job(const Database& database, const QueueKeys& keys, const Entry& entry,
                            JobState state) {
  const PayloadCodec codec(database);
  JobRecord record = JobRecord::parse_any(entry.value);
  std::optional<Payload> body =
      record.is_unreadable() ? Payload::bytes(entry.value) : codec.load(record.body, entry);
  if (!body) return std::nullopt;
  Job job;
  job.id = job_id_of(entry.key);
  job.state = state;
  job.body = std::move(*body);
  job.kind = std::move(record.kind);
  job.priority = record.priority;
  job.attempts = record.attempts;
  job.sent_at_ms = record.sent_at_ms;
  if (state == JobState::waiting || state == JobState::blocked) job.run_at_ms = record.run_at_ms;
  if (state == JobState::delayed || state == JobState::leased) {
    const std::size_t begin = keys_of(keys, state).size();
    job.run_at_ms = static_cast<UnixMs>(segment_number(View(entry.key).substr(begin, 16)));
  }
  job.ordering_key = std::move(record.ordering_key);
  job.unique_key = std::move(record.unique_key);
  job.tenant = std::move(record.tenant);
  if (!record.parent.empty()) job.parent = sibling_id(job.id, record.parent);
  for (const Bytes& child : record.children) job.children.push_back(sibling_id(job.id, child));
  job.child_failure = record.child_failure;
  if (state == JobState::blocked) {
    const Bytes open = keys.children(job.id);
    for (const Entry& child : database.scan(Range::prefix(open), {.keys_only = true}).entries) {
      job.waits_for.push_back(sibling_id(job.id, View(child.key).substr(open.size())));
    }
  }
  job.errors = std::move(record.errors);
  job.progress = record.progress;
  job.log = std::move(record.log);
  job.finished_at_ms = record.finished_at_ms;
  job.reason = std::move(record.reason);
  if (state == JobState::completed) {
    const std::optional<Entry> result = database.get(keys.result(job.id));
    if (result) job.result = codec.load(PayloadCodec::parse_bare(result->value), *result);
  }
  return job;
}

std::uint64_t count(const Database& database, const Bytes& prefix) {
  std::uint64_t entries = 0;
  Range range = Range::prefix(prefix);
  for (;;) {
    const Page page = database.scan(range, {.limit = limits::kScanEntries, .keys_only = true});
    entries += page.entries.size();
    if (!page.more || page.entries.empty()) return entries;
    range.begin = page.entries.back().key + '\0';
  }
}

/// Of a dead letter that nobody could do.
bool has_lost_its_work(const JobRecord& record) {
  return record.reason == "body_lost" || record.is_unreadable();
}

/// Makes a dead letter a job again; false if its unique key is taken.
bool revive(Transaction& transaction, const QueueKeys& keys, const Entry& entry) {
  QueueMoves moves(transaction, keys);
  const JobId id = job_id_of(entry.key);
  JobRecord record = JobRecord::parse(entry.value);
  if (record.is_unique_while_live) {
    const Bytes key = keys.unique(record.unique_key);
    const std::optional<Entry> holder = transaction.get(key);
    if (holder && holder->value != id) return false;
    transaction.put(key, id);
  }
  record.attempts = 0;
  record.reason.clear();
  record.finished_at_ms = 0;
  record.run_at_ms.reset();
  moves.take(entry);
  if (moves.has_open_children(id, record)) {
    transaction.put(keys.blocked() + id, record.envelope());
  } else {
    moves.put_in_turn(id, record, 0);
  }
  return true;
}

/// What puts an end to a dead letter. What QueueMoves::settle() says.
std::size_t end_dead_letter(Transaction& transaction, const QueueKeys& keys, const Entry& entry,
                            const JobRecord& record) {
  PayloadCodec::release(transaction, record.body);
  transaction.erase(entry.key);
  return QueueMoves(transaction, keys).tell_parent(job_id_of(entry.key), record, JobEnd::removed);
}

/// Removes a job that is blocked, and before it who waits for it: else that one would die of it. How many.
std::size_t remove_blocked(Transaction& transaction, const QueueKeys& keys, const Entry& entry) {
  std::size_t removed = 1;
  const JobId id = job_id_of(entry.key);
  const JobRecord record = JobRecord::parse_any(entry.value);
  if (!record.parent.empty()) {
    const std::optional<Entry> parent = transaction.get(keys.blocked() + sibling_id(id, record.parent));
    if (parent) removed += remove_blocked(transaction, keys, *parent);
  }
  QueueMoves moves(transaction, keys);
  moves.take(entry);
  PayloadCodec::release(transaction, record.body);
  moves.settle_without_turn(id, record, JobEnd::removed);
  return removed;
}

}  // namespace

std::optional<Job> Queue::get(View id) const {
  validate_job_id(id);
  const QueueKeys& keys = impl_->keys;
  for (;;) {
    const auto found = impl_->database.transact([&](Transaction& transaction) -> std::optional<LocatedJob> {
      if (auto located = QueueMoves(transaction, keys).locate(id)) return located;
      const std::array<Bytes, 2> ended = {keys.dead() + Bytes(id), keys.done() + Bytes(id)};
      std::vector<std::optional<Entry>> entries = transaction.get(ended);
      if (entries[0]) return LocatedJob{std::move(*entries[0]), JobState::dead};
      if (entries[1]) return LocatedJob{std::move(*entries[1]), JobState::completed};
      return std::nullopt;
    });
    if (!found) return std::nullopt;
    if (std::optional<Job> job = load_job(impl_->database, keys, found->entry, found->state)) return job;
  }
}

Listing<Job> Queue::list(JobState state, const ListOptions& options) const {
  Listing<Job> listing;
  listing.cursor = list_entries(
      impl_->database, keys_of(impl_->keys, state), options, [&](View, Entry& entry) -> std::size_t {
        std::optional<Job> job = load_job(impl_->database, impl_->keys, entry, state);
        if (!job) return 0;
        const std::size_t size_bytes = job->id.size() + job->body.size_bytes();
        listing.items.push_back(std::move(*job));
        return size_bytes;
      });
  return listing;
}

std::vector<Job> Queue::peek(std::size_t limit) const {
  return list(JobState::ready, {.limit = limit}).items;
}

bool Queue::cancel(View id) {
  return impl_->database.transact([&](Transaction& transaction) { return cancel(transaction, id); });
}

bool Queue::cancel(Transaction& transaction, View id) const {
  validate_job_id(id);
  QueueMoves moves(transaction, impl_->keys);
  const std::optional<LocatedJob> located = moves.locate(id);
  if (!located) return false;
  const JobRecord record = JobRecord::parse_any(located->entry.value);
  const bool has_turn = located->state != JobState::waiting && located->state != JobState::blocked;
  if (has_turn) moves.refuse_if_sent_behind(record);
  moves.take(located->entry);
  PayloadCodec::release(transaction, record.body);
  if (has_turn) {
    moves.settle(id, record, JobEnd::removed);
  } else {
    moves.settle_without_turn(id, record, JobEnd::removed);
  }
  return true;
}

QueueStats Queue::stats() const {
  const auto of = [&](JobState state) { return count(impl_->database, keys_of(impl_->keys, state)); };
  QueueStats stats;
  stats.ready = of(JobState::ready);
  stats.delayed = of(JobState::delayed);
  stats.waiting = of(JobState::waiting);
  stats.blocked = of(JobState::blocked);
  stats.leased = of(JobState::leased);
  stats.completed = of(JobState::completed);
  stats.dead = of(JobState::dead);
  stats.is_paused = is_paused();
  const Page first = impl_->database.scan(Range::prefix(impl_->keys.ready()), {.limit = 1});
  if (!first.entries.empty()) {
    const JobRecord record = JobRecord::parse_any(first.entries.front().value);
    if (!record.is_unreadable()) stats.first_ready_sent_at_ms = record.sent_at_ms;
  }
  return stats;
}

std::uint64_t Queue::purge() {
  std::uint64_t purged = 0;
  // Who waits goes first: otherwise each would be promoted before it goes, or die.
  for (const JobState state : {JobState::blocked, JobState::waiting, JobState::delayed, JobState::ready}) {
    const Range range = Range::prefix(keys_of(impl_->keys, state));
    for (bool is_more = true; is_more;) {
      std::size_t taken = 0;
      impl_->database.transact([&](Transaction& transaction) {
        taken = 0;
        QueueMoves moves(transaction, impl_->keys);
        const Page page = transaction.scan(range, {.limit = kJobsPerCommit, .snapshot = true});
        is_more = page.more;
        std::size_t bytes = 0;
        for (const Entry& entry : page.entries) {
          if (bytes > kMoveBytes || taken >= kJobsPerCommit) {
            is_more = true;
            break;
          }
          if (state == JobState::blocked) {
            const std::optional<Entry> still = transaction.get(entry.key);
            if (still) taken += remove_blocked(transaction, impl_->keys, *still);
            continue;
          }
          // An earlier one of this commit may have promoted it.
          transaction.require(entry);
          const JobRecord record = JobRecord::parse_any(entry.value);
          moves.take(entry);
          PayloadCodec::release(transaction, record.body);
          const JobId id = job_id_of(entry.key);
          if (state == JobState::waiting) {
            bytes += moves.settle_without_turn(id, record, JobEnd::removed);
          } else {
            bytes += moves.settle(id, record, JobEnd::removed);
          }
          ++taken;
        }
      });
      purged += taken;
    }
  }
  return purged;
}

// ---- Dead letters

Listing<Job> Queue::dead(const DeadFilter& filter, const ListOptions& options) const {
  Listing<Job> listing;
  listing.cursor =
      list_entries(impl_->database, impl_->keys.dead(), options, [&](View, Entry& entry) -> std::size_t {
        if (!lets_through(filter, JobRecord::parse_any(entry.value))) return 0;
        std::optional<Job> job = load_job(impl_->database, impl_->keys, entry, JobState::dead);
        if (!job) return 0;
        const std::size_t size_bytes = job->id.size() + job->body.size_bytes();
        listing.items.push_back(std::move(*job));
        return size_bytes;
      });
  return listing;
}

bool Queue::requeue(View id) {
  validate_job_id(id);
  return impl_->database.transact([&](Transaction& transaction) {
    const std::optional<Entry> entry = transaction.get(impl_->keys.dead() + Bytes(id));
    if (!entry) return false;
    if (has_lost_its_work(JobRecord::parse_any(entry->value))) {
      throw Error(
          Code::corruption,
          "a dead letter whose body is lost, or that cannot be read, cannot be requeued; send the job anew");
    }
    if (revive(transaction, impl_->keys, *entry)) return true;
    throw Error(Code::already_exists,
                "a dead letter cannot be requeued while another job has its unique key; wait for that one");
  });
}

namespace {

/// Calls `take` with each dead letter that `filter` lets through, in commits of some of them, and with the
/// bytes of the commit, to add what it moves beside; for how many it has said yes.
template <class Take>
std::uint64_t for_each_dead(Database& database, const QueueKeys& keys, const DeadFilter& filter,
                            const Take& take) {
  std::uint64_t taken = 0;
  Range range = Range::prefix(keys.dead());
  for (;;) {
    std::uint64_t taken_now = 0;
    Bytes last;
    database.transact([&](Transaction& transaction) {
      taken_now = 0;
      last.clear();
      const Page page = transaction.scan(range, {.limit = kJobsPerCommit, .snapshot = true});
      std::size_t bytes = 0;
      for (const Entry& entry : page.entries) {
        bytes += entry.value.size();
        if (!last.empty() && bytes > kMoveBytes) break;
        last = entry.key;
        const JobRecord record = JobRecord::parse_any(entry.value);
        if (!lets_through(filter, record)) continue;
        transaction.require(entry);
        if (take(transaction, entry, record, bytes)) ++taken_now;
      }
    });
    taken += taken_now;
    if (last.empty()) break;
    range.begin = last + '\0';
  }
  return taken;
}

}  // namespace

std::uint64_t Queue::requeue_dead(const DeadFilter& filter) {
  return for_each_dead(
      impl_->database, impl_->keys, filter,
      [&](Transaction& transaction, const Entry& entry, const JobRecord& record, std::size_t&) {
        return !has_lost_its_work(record) && revive(transaction, impl_->keys, entry);
      });
}

bool Queue::erase_dead(View id) {
  validate_job_id(id);
  return impl_->database.transact([&](Transaction& transaction) {
    const std::optional<Entry> entry = transaction.get(impl_->keys.dead() + Bytes(id));
    if (!entry) return false;
    end_dead_letter(transaction, impl_->keys, *entry, JobRecord::parse_any(entry->value));
    return true;
  });
}

std::uint64_t Queue::purge_dead(const DeadFilter& filter) {
  return for_each_dead(
      impl_->database, impl_->keys, filter,
      [&](Transaction& transaction, const Entry& entry, const JobRecord& record, std::size_t& bytes) {
        bytes += end_dead_letter(transaction, impl_->keys, entry, record);
        return true;
      });
}

std::vector<Bytes> list_queues(const Database& database, View after, std::size_t limit, View prefix) {
  validate_service_prefix(prefix);
  validate_list_limit(limit);
  const Bytes begin = Bytes(prefix) + '/';
  Range range = Range::prefix(begin);
  // Behind '/' comes '0': behind all keys of a queue.
  if (!after.empty()) range.begin = begin + escaped_segment(after) + '0';
  std::vector<Bytes> names;
  while (names.size() < limit) {
    const Page page = database.scan(range, {.limit = 1, .keys_only = true});
    if (page.entries.empty()) break;
    const View rest = View(page.entries.front().key).substr(begin.size());
    const View segment = rest.substr(0, rest.find('/'));
    names.push_back(unescaped_segment(segment));
    range.begin = begin + Bytes(segment) + '0';
  }
  return names;
}

}  // namespace holdfast
