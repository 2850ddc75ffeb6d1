#include "tests/faults/crash_model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "contract/head.h"
#include "contract/validate.h"

namespace holdfast::faults {
namespace {

ReadRequest whole_read(const std::vector<Scan>& scans, std::uint64_t token) {
  ReadRequest request;
  request.scans = scans;
  request.clock_skew_limit_ms = 0;
  request.token = token;
  request.deadline = soon();
  return request;
}

std::vector<Scan> whole_scan() {
  ScanOptions options;
  options.limit = limits::kScanEntries;
  return {{Range::all(), options}};
}

ChangesRequest whole_log(const Observed& observed, std::uint64_t token) {
  ChangesRequest request;
  request.since = {observed.at.history, observed.floor};
  request.limit = limits::kScanEntries;
  request.token = token;
  request.deadline = soon();
  return request;
}

void take_read(Observed& observed, ReadAnswer answer) {
  observed.at = answer.at;
  observed.time_ms = answer.time_ms;
  observed.floor = answer.floor;
  if (answer.pages.at(0).more) throw CrashFailure("the workload writes more than one page");
  observed.entries = std::move(answer.pages[0].entries);
}

std::string describe(const Entry& entry) {
  return entry.key + " (version " + std::to_string(entry.version) + ", " +
         std::to_string(entry.value.size()) + " bytes)";
}

std::string describe(const Change& change) {
  return change.key + " (version " + std::to_string(change.version) + (change.erased ? ", erased" : "") + ")";
}

template <class Item>
std::string list_difference(const char* what, const std::vector<Item>& actual,
                            const std::vector<Item>& expected) {
  for (std::size_t i = 0; i < std::max(actual.size(), expected.size()); ++i) {
    if (i < actual.size() && i < expected.size() && actual[i] == expected[i]) continue;
    return std::string(what) + " " + std::to_string(i) + " is " +
           (i < actual.size() ? describe(actual[i]) : "missing") + ", expected " +
           (i < expected.size() ? describe(expected[i]) : "none");
  }
  return "";
}

}  // namespace

std::string describe(const Position& position) {
  return "{" + std::to_string(position.history) + ", " + std::to_string(position.seq) + "}";
}

Observed observe(Backend& backend, View database, std::uint64_t token) {
  Observed observed;
  const std::vector<Scan> scans = whole_scan();
  take_read(observed, backend.read(database, whole_read(scans, token)));
  observed.changes = backend.changes(database, whole_log(observed, token)).items;
  return observed;
}

Observed observe(const MemoryDatabase& database) {
  Observed observed;
  const std::vector<Scan> scans = whole_scan();
  const std::uint64_t token = database.head().fence.token;
  take_read(observed, database.read(whole_read(scans, token), database.head().time_ms));
  observed.changes = database.changes(whole_log(observed, token)).items;
  return observed;
}

std::string difference(const Observed& actual, const Observed& expected, bool same_history) {
  const Position at = same_history ? actual.at : Position{expected.at.history, actual.at.seq};
  if (!(at == expected.at)) {
    return "the position is " + describe(actual.at) + ", expected " + describe(expected.at);
  }
  if (actual.time_ms != expected.time_ms) {
    return "the time is " + std::to_string(actual.time_ms) + ", expected " + std::to_string(expected.time_ms);
  }
  if (actual.floor != expected.floor) {
    return "the floor is " + std::to_string(actual.floor) + ", expected " + std::to_string(expected.floor);
  }
  const std::string entries = list_difference("entry", actual.entries, expected.entries);
  return entries.empty() ? list_difference("change", actual.changes, expected.changes) : entries;
}

DatabaseModel::DatabaseModel(Bytes name, SessionId session)
    : name_(std::move(name)), session_(session), variants_(1) {}

Group DatabaseModel::next_group(std::vector<Batch> batches, UnixMs now_ms) {
  Group group;
  group.database = name_;
  group.history = known().head().history;
  group.session = session_;
  group.number = ++number_;
  group.batches = std::move(batches);
  group.content_hash = content_hash(group.batches);
  group.now_ms = now_ms;
  group.token = known().head().fence.token;
  group.deadline = soon();
  return group;
}

DatabaseModel::Applied DatabaseModel::apply(const MemoryDatabase& database, const Group& group,
                                            std::uint64_t new_history) {
  Applied applied{database, {}, database.head().position()};
  const SessionRecord* last = database.session(group.session);
  if (judge_session(last, group) == SessionVerdict::recorded) {
    applied.outcomes = last->outcomes;
    applied.at = last->at;
    return applied;
  }
  const UnixMs time_ms = admit_commit(database.head(), group);
  applied.outcomes = database.judge(group, time_ms);
  const auto count = std::count_if(applied.outcomes.begin(), applied.outcomes.end(),
                                   [](const Outcome& outcome) { return outcome.committed(); });
  if (must_record(group, static_cast<std::size_t>(count))) {
    const std::uint64_t history = database.head().history;
    applied.database.apply(group, applied.outcomes, time_ms, history != 0 ? history : new_history);
    applied.at = applied.database.head().position();
  }
  return applied;
}

void DatabaseModel::become(MemoryDatabase database) {
  if (!difference(observe(database), observe(known())).empty()) previous_ = known();
  past_.push_back(known());
  variants_.clear();
  variants_.push_back({std::move(database), std::nullopt});
}

void DatabaseModel::take_answer(const Group& group) {
  std::string reasons;
  for (const Variant& variant : variants_) {
    const std::optional<MemoryDatabase> before = resolved(variant, group.at.history);
    if (!before) continue;
    const Applied applied = apply(*before, group, group.at.history);
    if (applied.outcomes == group.outcomes && applied.at == group.at) {
      become(applied.database);
      answered_ = group;
      unknown_.reset();
      return;
    }
    reasons += "; expected " + describe(applied.at);
  }
  throw CrashFailure("database " + name_ + ": group " + std::to_string(group.number) +
                     (group.retry ? " (a retry)" : "") + " was answered with other outcomes or position " +
                     describe(group.at) + " than the contract gives" + reasons);
}

void DatabaseModel::take_unknown(const Group& group) {
  if (unknown_) return;  // a retry: its effect is among the variants already
  unknown_ = group;
  Variant& before = variants_.front();
  if (!before.database.head().exists()) {
    variants_.push_back({before.database, group});
    return;
  }
  variants_.push_back({apply(before.database, group, 0).database, std::nullopt});
}

void DatabaseModel::take_refusal() {
  variants_.resize(1);
  unknown_.reset();
}

void DatabaseModel::take_compact(Seq before, bool known) {
  MemoryDatabase after = this->known();
  after.compact(before);
  if (known) return become(std::move(after));
  variants_.push_back({std::move(after), std::nullopt});
}

void DatabaseModel::take_fence(const Fence& expected, const Fence& next, bool known) {
  MemoryDatabase after = this->known();
  if (!after.fence(expected, next)) throw CrashFailure("the workload asks for an impossible fence");
  if (known) return become(std::move(after));
  variants_.push_back({std::move(after), std::nullopt});
}

void DatabaseModel::take_drop(bool known) {
  if (!known) {
    variants_.push_back({});
    return;
  }
  become({});
  new_session();
}

void DatabaseModel::new_session() {
  session_.first += 1;
  number_ = 0;
  answered_.reset();
  unknown_.reset();
}

std::optional<MemoryDatabase> DatabaseModel::resolved(const Variant& variant, std::uint64_t history) {
  if (!variant.first) return variant.database;
  if (history == 0) return std::nullopt;
  return apply(variant.database, *variant.first, history).database;
}

void DatabaseModel::take_sight(Position seen) {
  if (seen.history == 0) return;
  std::vector<Variant> left;
  for (const Variant& variant : variants_) {
    const std::optional<MemoryDatabase> database = resolved(variant, seen.history);
    const Position at = database->head().position();
    const bool lacks_first_commit = !database->head().exists() && variants_.back().first;
    if (lacks_first_commit || (at.history == seen.history && at.seq < seen.seq)) continue;
    left.push_back({*database, std::nullopt});
  }
  if (left.empty()) {
    throw CrashFailure("database " + name_ + ": a reader has seen " + describe(seen) +
                       ", a commit that was refused");
  }
  variants_ = std::move(left);
}

void DatabaseModel::verify(Backend& backend, bool is_settled) {
  std::string reasons;
  for (std::size_t i = 0; i < variants_.size(); ++i) {
    const Variant& variant = variants_[i];
    Observed actual;
    try {
      actual = observe(backend, name_, variant.database.head().fence.token);
    } catch (const Error& error) {
      if (error.code() != Code::moved) throw;
      reasons += std::string("; ") + error.what();
      continue;
    }
    const std::optional<MemoryDatabase> expected = resolved(variant, actual.at.history);
    if (!expected) {
      reasons += "; the first commit is not there";
      continue;
    }
    const std::string found = difference(actual, observe(*expected));
    if (!found.empty()) {
      reasons += "; " + found;
      continue;
    }
    const Fence& fence = expected->head().fence;
    if (expected->head().exists() && !backend.fence(name_, fence, fence, soon())) {
      reasons += "; the fence is another one";
      continue;
    }
    const bool was_dropped = known().head().exists() && !expected->head().exists();
    Variant there{*expected, std::nullopt};
    variants_.erase(variants_.begin(), variants_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    if (is_settled) variants_.clear();
    variants_.insert(variants_.begin(), std::move(there));
    if (was_dropped) new_session();
    verify_session(backend);
    return;
  }
  throw CrashFailure("database " + name_ + " is in none of its possible states" + reasons);
}

// What was answered must be answered the same way again, however often it is asked.
void DatabaseModel::verify_session(Backend& backend) {
  if (!answered_ || unknown_) return;
  const SessionRecord* record = known().session(answered_->session);
  if (record == nullptr || record->number != answered_->number) return;
  Group again = *answered_;
  again.retry = true;
  again.deadline = soon();
  backend.commit({&again, 1});
  if (again.error) {
    if (again.error->code() == Code::unavailable) throw *again.error;
    throw CrashFailure("database " + name_ + ": the answered group " + std::to_string(again.number) +
                       " was refused when it was sent again: " + again.error->what());
  }
  if (!(again.outcomes == record->outcomes) || !(again.at == record->at)) {
    throw CrashFailure("database " + name_ + ": the answered group " + std::to_string(again.number) +
                       " was answered differently when it was sent again");
  }
}

void DatabaseModel::verify_prefix(Backend& backend) {
  const Observed actual = observe(backend, name_, known().head().fence.token);
  if (actual.at.history == known().head().history && known().head().exists()) return verify(backend, true);
  std::vector<MemoryDatabase> possible;
  for (const Variant& variant : variants_) {
    if (const auto database = resolved(variant, actual.at.history)) possible.push_back(*database);
  }
  possible.insert(possible.end(), past_.rbegin(), past_.rend());
  std::string reasons;
  for (const MemoryDatabase& database : possible) {
    if (database.head().exists() != (actual.at.history != 0)) continue;
    const std::string found = difference(actual, observe(database), false);
    if (found.empty()) {
      was_lost_ = true;
      return;
    }
    if (database.head().seq == actual.at.seq) reasons += "; " + found;
  }
  throw CrashFailure("database " + name_ + " at " + describe(actual.at) +
                     " is in no state that it ever was in" + reasons);
}

}  // namespace holdfast::faults
