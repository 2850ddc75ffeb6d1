#include "services/queue_moves.h"

#include <algorithm>

#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "services/keys.h"

namespace holdfast {

LeaseLost lease_lost() {
  return LeaseLost(
      "the lease of a job has ended: the job was delivered again, or is done, dead or cancelled; drop the "
      "work, and extend leases in time or make them longer");
}

namespace {

constexpr std::size_t kPlaceBytes = 16;

/// The writes of a job that is put by stamp below `key`, and of its place if it is not ready.
std::vector<Write> stamped_writes(const QueueKeys& keys, const Bytes& key, const JobRecord& record,
                                  std::uint32_t place) {
  const Bytes suffix = job_suffix(place);
  std::vector<Write> writes;
  writes.push_back(Write::put_stamped(key, suffix, record.envelope()));
  if (!key.starts_with(keys.ready()) || !record.tenant.empty()) {
    writes.push_back(Write::put_stamped(keys.at(), suffix, key.substr(keys.base().size())));
  }
  return writes;
}

/// How a transaction notes that it has sent a job of an ordering key; of one length, behind the place.
Bytes sent_mark(View ordering_key) { return '/' + hash_segment(ordering_key); }

}  // namespace

std::vector<Write> QueueMoves::writes_to_send(const QueueKeys& keys, const JobRecord& record,
                                              std::uint32_t place, UnixMs now_ms) {
  const bool is_due = !record.run_at_ms || *record.run_at_ms <= now_ms;
  return stamped_writes(keys,
                        is_due ? keys.ready(record.tenant, record.priority) : keys.delayed(*record.run_at_ms),
                        record, place);
}

void QueueMoves::send(const JobRecord& record, std::uint32_t place) {
  bool is_behind = false;
  if (!record.ordering_key.empty()) {
    const Bytes lock = keys_.lock(record.ordering_key);
    is_behind = transaction_.get(lock).has_value();
    if (!is_behind) transaction_.put(lock, {});
  }
  const std::vector<Write> writes =
      is_behind ? stamped_writes(keys_, keys_.chain(record.ordering_key), record, place)
                : writes_to_send(keys_, record, place, transaction_.now());
  for (const Write& write : writes) transaction_.put_stamped(write.key, write.suffix, write.value);
}

Bytes QueueMoves::sent_before() {
  // The transaction's own put has no version. What others have put does not matter, so nothing is checked.
  const Bytes key = keys_.place();
  Page page = transaction_.scan({key, key + '\0'}, {.limit = 1, .snapshot = true});
  const bool is_own = !page.entries.empty() && page.entries.front().version == 0;
  return is_own ? std::move(page.entries.front().value) : Bytes();
}

std::uint32_t QueueMoves::place_behind(const Bytes& sent_before) {
  return sent_before.empty()
             ? 0
             : static_cast<std::uint32_t>(segment_number(sent_before.substr(0, kPlaceBytes))) + 1;
}

void QueueMoves::note_sent(const Bytes& sent_before, View ordering_key) {
  Bytes marks = sent_before.empty() ? Bytes() : sent_before.substr(kPlaceBytes);
  if (!ordering_key.empty()) {
    const Bytes mark = sent_mark(ordering_key);
    if (marks.find(mark) == Bytes::npos) marks += mark;
  }
  transaction_.put(keys_.place(), number_segment(place_behind(sent_before)) + marks);
}

void QueueMoves::refuse_if_sent_behind(const JobRecord& record) {
  if (record.ordering_key.empty()) return;
  if (sent_before().find(sent_mark(record.ordering_key)) == Bytes::npos) return;
  throw Error(
      Code::invalid_argument,
      "a transaction has sent a job of this ordering key and now ends the one before it: complete, fail "
      "or cancel before you send");
}

void QueueMoves::put(View id, const JobRecord& record, UnixMs due_at_ms) {
  if (due_at_ms <= transaction_.now()) {
    const Bytes ready = keys_.ready(record.tenant, record.priority);
    transaction_.put(ready + Bytes(id), record.envelope());
    if (!record.tenant.empty()) {
      transaction_.put(keys_.at() + Bytes(id), ready.substr(keys_.base().size()));
    }
    return;
  }
  const Bytes key = keys_.delayed(due_at_ms);
  transaction_.put(key + Bytes(id), record.envelope());
  transaction_.put(keys_.at() + Bytes(id), key.substr(keys_.base().size()));
}

void QueueMoves::take(const Entry& entry) {
  transaction_.erase(entry.key);
  const bool has_place = entry.key.starts_with(keys_.delayed()) || entry.key.starts_with(keys_.chains()) ||
                         entry.key.starts_with(keys_.tenants());
  if (has_place) transaction_.erase(keys_.at() + job_id_of(entry.key));
}

void QueueMoves::free_unique_key(View id, const JobRecord& record, JobEnd end) {
  // While the job lived nobody else could have the key; after `unique_for` somebody else may.
  if (!record.is_unique_while_live) return;
  std::int64_t kept_ms = 0;
  if (end == JobEnd::completed) kept_ms = record.unique_after_completion_ms;
  if (end == JobEnd::dead) kept_ms = record.unique_after_death_ms;
  if (kept_ms > 0) {
    transaction_.put(keys_.unique(record.unique_key), id, transaction_.now() + kept_ms);
  } else {
    transaction_.erase(keys_.unique(record.unique_key));
  }
}

std::size_t QueueMoves::settle(View id, const JobRecord& record, JobEnd end) {
  free_unique_key(id, record, end);
  if (record.ordering_key.empty()) return 0;
  const Page next = transaction_.scan(Range::prefix(keys_.chain(record.ordering_key)), {.limit = 1});
  if (next.entries.empty()) {
    transaction_.erase(keys_.lock(record.ordering_key));
    return 0;
  }
  const Entry& entry = next.entries.front();
  const JobRecord promoted = JobRecord::parse(entry.value);
  take(entry);
  put(job_id_of(entry.key), promoted, promoted.run_at_ms.value_or(0));
  return entry.value.size();
}

std::size_t QueueMoves::bury(View id, JobRecord record, View reason) {
  record.reason = reason;
  record.finished_at_ms = transaction_.now();
  transaction_.put(keys_.dead() + Bytes(id), record.envelope());
  return settle(id, record, JobEnd::dead);
}

Entry QueueMoves::leased(const JobLease& lease, const LeaseToken& token) {
  std::optional<Entry> entry = transaction_.get(keys_.leased(token.ends_at_ms) + lease.id);
  if (!entry || entry->version != token.version || transaction_.now() >= token.ends_at_ms) throw lease_lost();
  return std::move(*entry);
}

std::optional<LocatedJob> QueueMoves::locate(View id) {
  std::vector<Bytes> keys = {keys_.at() + Bytes(id)};
  for (int priority = 0; priority < kJobPriorities; ++priority) {
    keys.push_back(keys_.ready({}, priority) + Bytes(id));
  }
  std::vector<std::optional<Entry>> found = transaction_.get(keys);
  if (found.front()) {
    std::optional<Entry> entry = transaction_.get(keys_.base() + found.front()->value + Bytes(id));
    if (!entry) return std::nullopt;
    JobState state = JobState::ready;
    if (entry->key.starts_with(keys_.delayed())) state = JobState::delayed;
    if (entry->key.starts_with(keys_.chains())) state = JobState::waiting;
    return LocatedJob{std::move(*entry), state};
  }
  for (std::optional<Entry>& entry : found) {
    if (entry) return LocatedJob{std::move(*entry), JobState::ready};
  }
  Range range = Range::prefix(keys_.leased());
  for (;;) {
    const Page page =
        transaction_.scan(range, {.limit = limits::kScanEntries, .keys_only = true, .snapshot = true});
    for (const Entry& each : page.entries) {
      if (!each.key.ends_with(id)) continue;
      // If its lease was extended since, it lies behind another key: all is looked through again.
      transaction_.require(each);
      std::optional<Entry> entry = transaction_.get(each.key);
      if (entry) return LocatedJob{std::move(*entry), JobState::leased};
    }
    if (!page.more || page.entries.empty()) return std::nullopt;
    range.begin = page.entries.back().key + '\0';
  }
}

QueueSettings QueueMoves::settings() {
  const std::optional<Entry> entry = transaction_.get(keys_.settings());
  return entry ? parse_settings(entry->value) : QueueSettings();
}

}  // namespace holdfast
