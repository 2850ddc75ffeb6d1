#include "layers/catalog.h"

#include <charconv>
#include <condition_variable>
#include <limits>

#include "contract/answer.h"
#include "contract/validate.h"

namespace holdfast {
namespace {

constexpr View kCatalog = "catalog";
constexpr View kNames = "name/";
constexpr View kDues = "due/";
constexpr View kGone = "gone/";
/// Nobody reads the catalog's change log, so it is trimmed as it grows.
constexpr std::uint64_t kCompactEvery = 1'000;
/// A lost answer is mostly asked for again at once; later more slowly.
constexpr int kRetriesAtOnce = 3;
constexpr std::chrono::milliseconds kRetryPause{10};

Bytes joined(View a, View b) { return Bytes(a) + Bytes(b); }
Bytes name_key(View database) { return joined(kNames, database); }
Bytes gone_key(const std::string& place) { return joined(kGone, place); }

/// Sorts as the signed number does.
Bytes due_text(UnixMs due_ms) { return stamp(static_cast<std::uint64_t>(due_ms) ^ (std::uint64_t{1} << 63)); }
Bytes due_key(UnixMs due_ms, const std::string& place) {
  return joined(kDues, due_text(due_ms) + "/" + place);
}

[[noreturn]] void unreadable() {
  throw Error(Code::corruption, "a row of the per_database catalog cannot be read; was it written by hand?");
}

template <class Number>
Number number_of(View text, int base = 10) {
  Number number{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (problem != std::errc{} || end != text.data() + text.size()) unreadable();
  return number;
}

Bytes row_text(const std::string& place, std::optional<UnixMs> due_ms) {
  return place + " " + (due_ms ? std::to_string(*due_ms) : "-");
}

CatalogRow row_of(const Entry& entry) {
  const std::size_t space = entry.value.find(' ');
  if (space == Bytes::npos) unreadable();
  CatalogRow row{entry.value.substr(0, space), {}, entry.version};
  const Bytes due = entry.value.substr(space + 1);
  if (due != "-") row.due_ms = number_of<UnixMs>(due);
  return row;
}

}  // namespace

Catalog::Catalog(std::unique_ptr<Backend> backend, const Environment& environment)
    : backend_(std::move(backend)),
      environment_(environment),
      used_at_ms_(environment.clock->boot_time_ms()) {
  take_session();
}

void Catalog::take_session() {
  session_ = {environment_.random->next(), environment_.random->next()};
  number_ = 0;
}

std::optional<CatalogRow> Catalog::find(View database, Deadline deadline) {
  const Bytes key = name_key(database);
  const View keys[] = {key};
  ReadRequest request;
  request.gets = keys;
  request.now_ms = environment_.clock->now_ms();
  request.clock_skew_limit_ms = 0;  // nothing in the catalog expires
  request.deadline = deadline;
  const ReadAnswer answer = backend_->read(kCatalog, request);
  if (answer.gets.empty() || !answer.gets[0]) return std::nullopt;
  return row_of(*answer.gets[0]);
}

std::vector<Entry> Catalog::scan(const Range& range, std::size_t limit, Deadline deadline) {
  const Scan scans[] = {{range, {.limit = std::min(limit, limits::kScanEntries)}}};
  ReadRequest request;
  request.scans = scans;
  request.now_ms = environment_.clock->now_ms();
  request.clock_skew_limit_ms = 0;
  request.deadline = deadline;
  return std::move(backend_->read(kCatalog, request).pages.at(0).entries);
}

std::vector<Bytes> Catalog::names(View prefix, View after, std::size_t limit, Deadline deadline) {
  Range range = Range::prefix(name_key(prefix));
  // The successor of a key is the key and a zero byte.
  if (after >= prefix) range.begin = name_key(after) + '\0';
  std::vector<Bytes> names;
  if (!range.end.empty() && range.begin >= range.end) return names;
  for (Entry& entry : scan(range, limit, deadline)) names.push_back(entry.key.substr(kNames.size()));
  return names;
}

bool Catalog::add(View database, const std::string& place, Deadline deadline) {
  const Bytes key = name_key(database);
  return commit({{Check::absent(key)}, {Write::put(key, row_text(place, {}))}}, deadline).committed();
}

bool Catalog::remove(View database, const CatalogRow& row, Deadline deadline) {
  const Bytes key = name_key(database);
  Batch batch{
      {Check::has_version(key, row.version)},
      {Write::erase(key), Write::put(gone_key(row.place), std::to_string(environment_.clock->now_ms()))}};
  if (row.due_ms) batch.writes.push_back(Write::erase(due_key(*row.due_ms, row.place)));
  return commit(std::move(batch), deadline).committed();
}

std::optional<CatalogRow> Catalog::set_due(View database, const CatalogRow& row, std::optional<UnixMs> due_ms,
                                           Deadline deadline) {
  const Bytes key = name_key(database);
  Batch batch{{Check::has_version(key, row.version)}, {Write::put(key, row_text(row.place, due_ms))}};
  if (row.due_ms && row.due_ms != due_ms) {
    batch.writes.push_back(Write::erase(due_key(*row.due_ms, row.place)));
  }
  if (due_ms) batch.writes.push_back(Write::put(due_key(*due_ms, row.place), database));
  const Outcome outcome = commit(std::move(batch), deadline);
  if (!outcome.committed()) return std::nullopt;
  return CatalogRow{row.place, due_ms, outcome.seq};
}

std::vector<Catalog::Due> Catalog::due(const std::optional<Due>& after, std::size_t limit,
                                       Deadline deadline) {
  Range range = Range::prefix(kDues);
  if (after) range.begin = due_key(after->due_ms, after->place) + '\0';
  std::vector<Due> dues;
  for (Entry& entry : scan(range, limit, deadline)) {
    const View text = View(entry.key).substr(kDues.size());
    if (text.size() < limits::kStampDigits + 1) unreadable();
    const auto biased = number_of<std::uint64_t>(text.substr(0, limits::kStampDigits), 16);
    const auto due_ms = static_cast<UnixMs>(biased ^ (std::uint64_t{1} << 63));
    dues.push_back({due_ms, std::string(text.substr(limits::kStampDigits + 1)), std::move(entry.value)});
  }
  return dues;
}

std::vector<std::string> Catalog::gone(UnixMs before_ms, Deadline deadline) {
  std::vector<std::string> places;
  for (const Entry& entry : scan(Range::prefix(kGone), limits::kScanEntries, deadline)) {
    if (number_of<UnixMs>(entry.value) < before_ms) places.push_back(entry.key.substr(kGone.size()));
  }
  return places;
}

void Catalog::forget(const std::string& place, Deadline deadline) {
  commit({{}, {Write::erase(gone_key(place))}}, deadline);
}

Outcome Catalog::commit(Batch batch, Deadline deadline) {
  const std::lock_guard lock(commit_mutex_);
  const std::int64_t boot_time_ms = environment_.clock->boot_time_ms();
  if (boot_time_ms - used_at_ms_ > limits::kSessionAbandonedMs) take_session();
  used_at_ms_ = boot_time_ms;
  Group group;
  group.database = Bytes(kCatalog);
  group.now_ms = environment_.clock->now_ms();
  group.clock_skew_limit_ms = 0;
  group.deadline = deadline;
  group.batches.push_back(std::move(batch));
  group.content_hash = content_hash(group.batches);
  // The catalog is never dropped, so that its history need not be known; a check of a version is enough.
  group.session = session_;
  group.number = ++number_;
  send_until_answered(group);
  if (++commits_ % kCompactEvery == 0) backend_->compact(kCatalog, group.at.seq, deadline);
  return group.outcomes.at(0);
}

void Catalog::send_until_answered(Group& group) {
  for (int tries = 0;; ++tries) {
    backend_->commit({&group, 1});
    if (!group.error) return;
    const Error error = *group.error;
    const bool is_over = environment_.clock->steady_now() >= group.deadline;
    if (error.code() == Code::session_conflict && !group.retry && !is_over) {
      take_session();
      group.session = session_;
      group.number = ++number_;
    } else if (error.retry() == Retry::unknown_outcome && !is_over) {
      group.retry = true;
    } else {
      // Whether or not it was applied, no later group may meet its number.
      if (error.retry() == Retry::unknown_outcome || group.retry) take_session();
      throw group.retry ? error.with_unknown_outcome() : error;
    }
    if (tries < kRetriesAtOnce) continue;
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    environment_.clock->wait_until(never, lock,
                                   std::min(environment_.clock->steady_now() + kRetryPause, group.deadline));
  }
}

}  // namespace holdfast
