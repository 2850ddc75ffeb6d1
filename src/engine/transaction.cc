#include "engine/transaction.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

#include "contract/head.h"
#include "contract/validate.h"
#include "engine/entry_objects.h"

namespace holdfast {
namespace {

/// So many checks go with every read. With more, a read first goes without: mostly nothing has moved.
constexpr std::size_t kCarriedChecks = 16;
/// More point checks than that are searched by an index.
constexpr std::size_t kSearchedChecks = 16;

/// The part of `range` that a page covers which ends with `last`.
Range covered_to(const Range& range, View last, bool reverse) {
  if (reverse) return {Bytes(last), range.end};
  return {range.begin, Bytes(last) + '\0'};
}

/// What is left of `range` beyond a page which ends with `last`.
Range beyond(const Range& range, View last, bool reverse) {
  if (reverse) return {range.begin, Bytes(last)};
  return {Bytes(last) + '\0', range.end};
}

/// The history went on in another way: what was read is not true any more.
bool is_loss(const Error& error) {
  return error.code() == Code::history_changed && error.retry() == Retry::now;
}

}  // namespace

Transaction::Impl::Impl(Engine& engine, EngineDatabase& database, Deadline deadline, KeySpace space)
    : engine_(engine),
      database_(database),
      deadline_(deadline),
      space_(space),
      now_ms_(engine.now_ms()),
      time_ms_(now_ms_) {}

// ---- Reads

std::optional<Entry> Transaction::Impl::get(View key) {
  validate(key);
  return get_valid(key);
}

std::optional<Entry> Transaction::Impl::get_valid(View key) {
  if (is_broken_) throw Rerun{};
  if (const auto own = writes_.find(key); own != writes_.end()) return own_entry(own->second, false);
  ReadAnswer answer = read({.gets = {&key, 1}});
  add_point_check(key, answer.gets.front());
  return std::move(answer.gets.front());
}

std::vector<std::optional<Entry>> Transaction::Impl::get(std::span<const Bytes> keys) {
  validate_gets(keys.size());
  if (is_broken_) throw Rerun{};
  std::vector<std::optional<Entry>> entries(keys.size());
  std::vector<View> asked;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    validate(keys[i]);
    if (const auto own = writes_.find(keys[i]); own != writes_.end()) {
      entries[i] = own_entry(own->second, false);
    } else {
      asked.emplace_back(keys[i]);
      places.push_back(i);
    }
  }
  // What does not fit the byte budget of one answer is asked for again, checked against what came before.
  for (std::size_t done = 0; done < asked.size();) {
    ReadAnswer answer = read({.gets = std::span(asked).subspan(done)});
    for (std::optional<Entry>& entry : answer.gets) {
      add_point_check(asked[done], entry);
      entries[places[done++]] = std::move(entry);
    }
  }
  return entries;
}

Page Transaction::Impl::scan(const Range& range, const ScanOptions& options) {
  validate_scan(range, options);
  if (is_broken_) throw Rerun{};
  Page page;
  Range rest = range;
  for (bool is_done = false; !is_done;) {
    ScanOptions part_options = options;
    // Own erasures hide stored entries: as many more are asked for.
    part_options.limit =
        std::min(limits::kScanEntries, options.limit - page.entries.size() + own_removals(rest));
    const std::vector<Scan> scans = visible_scans(rest, part_options, space_);
    ReadAnswer answer = read({.scans = scans});
    Page part = join_pages(std::move(answer.pages), part_options.limit);
    for (const Entry& entry : part.entries) note_expiry(entry.expires_at_ms);
    const bool is_cut_by_bytes = part.more && part.entries.size() < part_options.limit;
    const bool is_stuck = part.more && part.entries.empty();
    const Bytes stored_last = part.entries.empty() ? rest.begin : part.entries.back().key;

    Range covered = part.more ? covered_to(rest, stored_last, options.reverse) : rest;
    std::vector<Entry> entries;
    if (!is_stuck) entries = with_own_writes(std::move(part.entries), covered, options);
    page.more = part.more;
    const std::size_t room = options.limit - page.entries.size();
    if (entries.size() > room) {
      entries.resize(room);
      covered = covered_to(rest, entries.back().key, options.reverse);
      page.more = true;
    }
    std::ranges::move(entries, std::back_inserter(page.entries));
    if (!options.snapshot && !is_stuck) add_range_checks(covered);
    is_done = !page.more || is_stuck || page.entries.size() == options.limit ||
              (is_cut_by_bytes && !page.entries.empty());
    if (!is_done) rest = beyond(rest, stored_last, options.reverse);
  }
  page.at = at_;
  return page;
}

void Transaction::Impl::require(const Entry& entry) {
  validate(entry.key);
  if (is_broken_) throw Rerun{};
  if (entry.version == 0) return;  // the transaction's own write
  note_expiry(entry.expires_at_ms);
  add_point_check(entry.key, entry);
}

Position Transaction::Impl::position() {
  if (!has_read_) read({});
  return at_;
}

ReadAnswer Transaction::Impl::read(ReadRequest request) {
  if (is_broken_) throw Rerun{};
  request.deadline = deadline_;
  request.history = at_.history;
  const bool carries = checks_.size() <= kCarriedChecks;
  if (carries) request.checks = checks_;
  ReadAnswer answer = call(request);
  const bool has_moved_on = has_read_ && has_moved(answer);
  if (!carries && has_moved_on) {
    request.checks = checks_;
    answer = call(request);
  }
  if (answer.failed_check) lose();
  if (has_moved_on) {
    // All checks held at the new position: judge them from there on, which spares the log behind it.
    for (Check& check : checks_) {
      if (check.kind != Check::Kind::unchanged) continue;
      check.version = answer.at.seq;
      check.read_time_ms = answer.time_ms;
    }
  }
  has_read_ = true;
  at_ = answer.at;
  time_ms_ = answer.time_ms;
  return answer;
}

ReadAnswer Transaction::Impl::call(const ReadRequest& request) {
  try {
    if (engine_.is_closed()) throw Error(Code::closed, "the store was closed during a transaction");
    return engine_.read(database_, request);
  } catch (const Error& error) {
    if (error.code() != Code::history_changed) {
      has_failed_ = true;
      throw;
    }
    database_.learn_history(error.at().history);
  }
  lose();
}

void Transaction::Impl::lose() {
  is_broken_ = true;
  throw Rerun{};
}

bool Transaction::Impl::has_moved(const ReadAnswer& answer) const {
  return answer.at != at_ || answer.time_ms >= next_expiry_ms_;
}

void Transaction::Impl::note_expiry(const std::optional<UnixMs>& expires_at_ms) {
  if (expires_at_ms) next_expiry_ms_ = std::min(next_expiry_ms_, *expires_at_ms);
}

bool Transaction::Impl::reads_hold() {
  if (is_broken_) return false;
  if (checks_.empty()) return true;
  try {
    return !call({.checks = checks_, .history = at_.history, .deadline = deadline_}).failed_check;
  } catch (const Rerun&) {
    return false;
  }
}

// ---- Checks

void Transaction::Impl::add_check(Check check) {
  if (checks_.size() == limits::kBatchChecks) {
    throw Error(Code::invalid_argument, "checks of a transaction: the maximum is " +
                                            std::to_string(limits::kBatchChecks) +
                                            "; read with snapshot scans, or in several transactions");
  }
  checks_.push_back(std::move(check));
}

void Transaction::Impl::add_point_check(View key, const std::optional<Entry>& entry) {
  if (entry) note_expiry(entry->expires_at_ms);
  Check check = entry ? Check::has_version(key, entry->version) : Check::absent(key);
  if (const Check* known = find_point_check(key); known != nullptr) {
    if (*known != check) lose();
    return;
  }
  add_check(std::move(check));
}

const Check* Transaction::Impl::find_point_check(View key) {
  const auto is_it = [&](const Check& check) {
    return check.kind != Check::Kind::unchanged && check.key == key;
  };
  if (checks_.size() <= kSearchedChecks) {
    const auto found = std::ranges::find_if(checks_, is_it);
    return found == checks_.end() ? nullptr : &*found;
  }
  for (; indexed_checks_ < checks_.size(); ++indexed_checks_) {
    const Check& check = checks_[indexed_checks_];
    if (check.kind != Check::Kind::unchanged) check_index_.emplace(check.key, indexed_checks_);
  }
  const auto found = check_index_.find(key);
  return found == check_index_.end() ? nullptr : &checks_[found->second];
}

void Transaction::Impl::add_range_checks(const Range& covered) {
  for (const Range& part : visible_parts(covered, space_)) {
    if (!part.end.empty() && part.end <= part.begin) continue;
    add_check(Check::unchanged(part, at_.seq, time_ms_));
  }
}

// ---- Writes

void Transaction::Impl::validate(View key) const {
  space_ == KeySpace::engine ? validate_key(key, true) : validate_service_key(key);
}

void Transaction::Impl::put(View key, View value, std::optional<UnixMs> expires_at_ms) {
  validate(key);
  write_valid(Write::put(key, value, expires_at_ms));
}

void Transaction::Impl::write_valid(Write write) {
  if (is_broken_) throw Rerun{};
  Bytes key = write.key;
  writes_.insert_or_assign(std::move(key), std::move(write));
}

void Transaction::Impl::put_stamped(View prefix, View suffix, View value,
                                    std::optional<UnixMs> expires_at_ms) {
  if (!prefix.empty()) validate(prefix);
  if (is_broken_) throw Rerun{};
  // Both would go to the same key: the last one wins, as everywhere in a batch.
  std::erase_if(stamped_, [&](const Write& write) { return write.key == prefix && write.suffix == suffix; });
  stamped_.push_back(Write::put_stamped(prefix, suffix, value, expires_at_ms));
}

void Transaction::Impl::erase(View key) {
  validate(key);
  write_valid(Write::erase(key));
}

void Transaction::Impl::keep(const ObjectId& id, std::optional<UnixMs> expires_at_ms) {
  const std::optional<Entry> info = get_valid(object_info_key(id));
  if (!info || !ObjectRecord::parse(info->value).complete) {
    throw Error(Code::not_found, "an object that a transaction is to keep does not exist; upload it again");
  }
  write_valid(Write::put(info->key, info->value, expires_at_ms));
}

void Transaction::Impl::release(const ObjectId& id) {
  const std::optional<Entry> info = get_valid(object_info_key(id));
  if (!info) return;
  released_.emplace_back(id, ObjectRecord::parse(info->value));
  write_valid(writes_to_erase_object(id, released_.back().second, now_ms_, false).front());
}

Batch Transaction::Impl::take_batch() {
  // One write is enough to release an object; what there is room for frees its space at once.
  for (const auto& [id, record] : released_) {
    if (writes_.size() + stamped_.size() + record.pieces > limits::kBatchWrites) continue;
    for (Write& write : writes_to_erase_object(id, record, now_ms_, true)) write_valid(std::move(write));
  }
  Batch batch{std::move(checks_), std::move(stamped_)};
  batch.writes.reserve(batch.writes.size() + writes_.size());
  for (auto& [key, write] : writes_) batch.writes.push_back(std::move(write));
  validate_batch(batch, true);
  return batch;
}

std::optional<Position> Transaction::Impl::commit() {
  if (is_broken_) return std::nullopt;
  // All reads are true together at the latest of them.
  if (!has_writes()) return at_;
  try {
    const Settled settled = database_.committer().commit(database_, take_batch(), at_.history, deadline_);
    if (!settled.outcome.committed()) return std::nullopt;
    return Position{settled.history, settled.outcome.seq};
  } catch (const Error& error) {
    if (is_loss(error)) return std::nullopt;
    throw;
  }
}

void Transaction::Impl::submit(const std::shared_ptr<EngineDatabase>& database, CommitDone done) {
  engine_.submit_valid(
      database, take_batch(), at_.history,
      [done = std::move(done)](CommitResult result) {
        if (result.error && is_loss(*result.error)) return done({{.seq = 0, .failed_check = 0}, {}});
        done(std::move(result));
      },
      deadline_);
}

// ---- Own writes in own reads

std::optional<Entry> Transaction::Impl::own_entry(const Write& write, bool keys_only) const {
  if (write.kind != Write::Kind::put || !is_live(write.expires_at_ms, std::max(now_ms_, time_ms_))) {
    return std::nullopt;
  }
  return Entry{write.key, keys_only ? Bytes() : write.value, 0, write.expires_at_ms};
}

std::size_t Transaction::Impl::own_removals(const Range& range) const {
  std::size_t count = 0;
  for (auto at = writes_.lower_bound(range.begin); at != writes_.end() && range.contains(at->first); ++at) {
    count += own_entry(at->second, true) ? 0 : 1;
  }
  return count;
}

std::vector<Entry> Transaction::Impl::with_own_writes(std::vector<Entry> stored, const Range& covered,
                                                      const ScanOptions& options) const {
  std::vector<const Write*> own;
  for (auto at = writes_.lower_bound(covered.begin); at != writes_.end() && covered.contains(at->first);
       ++at) {
    own.push_back(&at->second);
  }
  if (own.empty()) return stored;
  if (options.reverse) std::ranges::reverse(own);
  const auto comes_first = [&](View a, View b) { return options.reverse ? a > b : a < b; };
  std::vector<Entry> merged;
  std::size_t next = 0;
  const auto add_own = [&] {
    if (std::optional<Entry> entry = own_entry(*own[next++], options.keys_only)) {
      merged.push_back(std::move(*entry));
    }
  };
  for (Entry& entry : stored) {
    while (next < own.size() && comes_first(own[next]->key, entry.key)) add_own();
    if (next < own.size() && own[next]->key == entry.key) {
      add_own();
    } else {
      merged.push_back(std::move(entry));
    }
  }
  while (next < own.size()) add_own();
  return merged;
}

// ---- The public face

std::optional<Entry> Transaction::get(View key) { return impl_.get(key); }
std::vector<std::optional<Entry>> Transaction::get(std::span<const Bytes> keys) { return impl_.get(keys); }
Page Transaction::scan(const Range& range, const ScanOptions& options) { return impl_.scan(range, options); }
void Transaction::require(const Entry& entry) { impl_.require(entry); }
void Transaction::put(View key, View value, std::optional<UnixMs> expires_at_ms) {
  impl_.put(key, value, expires_at_ms);
}
void Transaction::put_stamped(View prefix, View suffix, View value, std::optional<UnixMs> expires_at_ms) {
  impl_.put_stamped(prefix, suffix, value, expires_at_ms);
}
void Transaction::erase(View key) { impl_.erase(key); }
void Transaction::keep(const ObjectId& id, std::optional<UnixMs> expires_at_ms) {
  impl_.keep(id, expires_at_ms);
}
void Transaction::release(const ObjectId& id) { impl_.release(id); }
UnixMs Transaction::now() const { return impl_.now(); }
Position Transaction::position() { return impl_.position(); }

}  // namespace holdfast
