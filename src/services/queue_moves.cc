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
/// What a job that has waited, or cannot be read, counts for when it goes on or dies, beside its own size: so
/// few of these fit into what a commit moves that their writes fit into it too.
constexpr std::size_t kParentBytes = kMoveBytes / 100;

/// The writes of a job that is put by stamp below `key`, and of its place if it is not ready.
std::vector<Write> stamped_writes(const QueueKeys& keys, const Bytes& key, const JobRecord& record,
                                  std::uint32_t place) {
  const Bytes suffix = job_suffix(place);
  std::vector<Write> writes;
  writes.push_back(Write::put_stamped(key, suffix, record.envelope()));
  if (!record.parent.empty()) {
    writes.push_back(Write::put_stamped(keys.children(), record.parent + '/' + suffix, {}));
  }
  const bool is_found_by_id =
      key == keys.blocked() || (key.starts_with(keys.ready()) && record.tenant.empty());
  if (!is_found_by_id) {
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
  Bytes key = is_due ? keys.ready(record.tenant, record.priority) : keys.delayed(*record.run_at_ms);
  if (!record.children.empty()) key = keys.blocked();
  return stamped_writes(keys, key, record, place);
}

void QueueMoves::send(const JobRecord& record, std::uint32_t place) {
  bool is_behind = false;
  if (!record.ordering_key.empty() && record.children.empty()) {
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

Bytes QueueMoves::with_sent(const Bytes& sent_before, std::uint32_t place, View ordering_key) {
  Bytes marks = sent_before.empty() ? Bytes() : sent_before.substr(kPlaceBytes);
  if (!ordering_key.empty()) {
    const Bytes mark = sent_mark(ordering_key);
    if (marks.find(mark) == Bytes::npos) marks += mark;
  }
  return number_segment(place) + marks;
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

void QueueMoves::put_in_turn(View id, const JobRecord& record, UnixMs due_at_ms) {
  if (!record.ordering_key.empty()) {
    const Bytes lock = keys_.lock(record.ordering_key);
    if (transaction_.get(lock)) {
      const Bytes chain = keys_.chain(record.ordering_key);
      transaction_.put(chain + Bytes(id), record.envelope());
      transaction_.put(keys_.at() + Bytes(id), chain.substr(keys_.base().size()));
      return;
    }
    transaction_.put(lock, {});
  }
  put(id, record, due_at_ms);
}

std::size_t QueueMoves::settle(View id, const JobRecord& record, JobEnd end) {
  std::size_t bytes = 0;
  if (!record.ordering_key.empty()) bytes = promote_next(record.ordering_key);
  return bytes + settle_without_turn(id, record, end);
}

std::size_t QueueMoves::promote_next(View ordering_key) {
  Range chain = Range::prefix(keys_.chain(ordering_key));
  for (std::size_t bytes = 0;;) {
    const Page next = transaction_.scan(chain, {.limit = 1});
    if (next.entries.empty()) {
      transaction_.erase(keys_.lock(ordering_key));
      return bytes;
    }
    const Entry& entry = next.entries.front();
    const JobRecord record = JobRecord::parse_any(entry.value);
    if (!record.is_unreadable()) {
      take(entry);
      put(job_id_of(entry.key), record, record.run_at_ms.value_or(0));
      return bytes + entry.value.size();
    }
    // Those that are too many for this commit are passed over until a later one.
    if (bytes <= kMoveBytes / 4) bytes += set_aside(entry);
    chain.begin = entry.key + '\0';
  }
}

std::size_t QueueMoves::settle_without_turn(View id, const JobRecord& record, JobEnd end) {
  free_unique_key(id, record, end);
  return tell_parent(id, record, end);
}

bool QueueMoves::has_open_children(View id, const JobRecord& record) {
  if (record.children.empty()) return false;
  const Range open = Range::prefix(keys_.children(id));
  return !transaction_.scan(open, {.limit = 1, .keys_only = true}).entries.empty();
}

std::size_t QueueMoves::tell_parent(View id, const JobRecord& record, JobEnd end) {
  if (record.parent.empty()) return 0;
  const JobId parent = sibling_id(id, record.parent);
  const Bytes key = keys_.blocked() + parent;
  const Bytes own = keys_.child(parent, id);
  // Its body need not be read before the last of those that it waits for is done.
  const Page found = transaction_.scan({key, key + '\0'}, {.limit = 1, .keys_only = true, .snapshot = true});
  if (found.entries.empty()) {
    if (transaction_.get(key)) return tell_parent(id, record, end);
    // It is gone, or dead: then it waits, once it is requeued, for what was not completed.
    if (end != JobEnd::dead) transaction_.erase(own);
    return 0;
  }
  transaction_.require(found.entries.front());
  std::optional<Entry> entry;
  if (end != JobEnd::completed) {
    entry = transaction_.get(key);
    JobRecord waiting = JobRecord::parse_any(entry->value);
    if (waiting.is_unreadable()) {
      if (end != JobEnd::dead) transaction_.erase(own);
      return set_aside(*entry);
    }
    if (waiting.child_failure == ChildFailure::wait && end == JobEnd::dead) return 0;
    if (waiting.child_failure != ChildFailure::run) {
      if (end != JobEnd::dead) transaction_.erase(own);
      const Bytes what = end == JobEnd::dead ? " is dead: " + record.reason : " was removed";
      return bury_parent(parent, *entry, std::move(waiting), "the job " + Bytes(id) + what);
    }
  }
  transaction_.erase(own);
  // Those that were sent last are done last: whoever is not the last one conflicts with that one alone.
  const Range open = Range::prefix(keys_.children(parent));
  for (const bool snapshot : {true, false}) {
    const Page others =
        transaction_.scan(open, {.limit = 1, .reverse = true, .keys_only = true, .snapshot = snapshot});
    if (others.entries.empty()) continue;
    transaction_.require(others.entries.front());
    return 0;
  }
  if (!entry) entry = transaction_.get(key);
  const JobRecord freed = JobRecord::parse_any(entry->value);
  if (freed.is_unreadable()) return set_aside(*entry);
  take(*entry);
  put_in_turn(parent, freed, freed.run_at_ms.value_or(0));
  return entry->value.size() + kParentBytes;
}

std::size_t QueueMoves::bury_parent(View id, const Entry& entry, JobRecord record, const Bytes& why) {
  take(entry);
  record.note_error(transaction_.now(), why);
  record.reason = "child_failed";
  record.finished_at_ms = transaction_.now();
  transaction_.put(keys_.dead() + Bytes(id), record.envelope());
  return entry.value.size() + kParentBytes + settle_without_turn(id, record, JobEnd::dead);
}

std::size_t QueueMoves::bury(View id, JobRecord record, View reason) {
  record.reason = reason;
  record.finished_at_ms = transaction_.now();
  transaction_.put(keys_.dead() + Bytes(id), record.envelope());
  return settle(id, record, JobEnd::dead);
}

std::size_t QueueMoves::set_aside(const Entry& entry) {
  take(entry);
  transaction_.put(keys_.dead() + job_id_of(entry.key), entry.value);
  return entry.value.size() + kParentBytes;
}

Entry QueueMoves::leased(const JobLease& lease, const LeaseToken& token) {
  std::optional<Entry> entry = transaction_.get(keys_.leased(token.ends_at_ms) + lease.id);
  if (!entry || entry->version != token.version || transaction_.now() >= token.ends_at_ms) throw lease_lost();
  return std::move(*entry);
}

std::optional<LocatedJob> QueueMoves::locate(View id) {
  std::vector<Bytes> keys = {keys_.at() + Bytes(id), keys_.blocked() + Bytes(id)};
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
  if (found[1]) return LocatedJob{std::move(*found[1]), JobState::blocked};
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
