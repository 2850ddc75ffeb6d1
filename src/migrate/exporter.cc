#include "migrate/exporter.h"

#include <utility>

#include "contract/head.h"
#include "engine/entry_objects.h"

namespace holdfast::migrate {
namespace {

constexpr std::size_t kPageEntries = 10'000;
constexpr std::int64_t kPinnedMs = 3600ll * 1000;
constexpr std::chrono::minutes kPinAgain{5};

}  // namespace

void SentState::begin_page(const Bytes& begin) { pages_.try_emplace(begin); }

void SentState::add(const Entry& entry) {
  SentPage& page = std::prev(pages_.upper_bound(entry.key))->second;
  const EntryHash hash = hash_of(entry.key, entry.value, entry.expires_at_ms);
  if (entry.expires_at_ms) {
    page.expiring.push_back({hash, entry.expires_at_ms});
  } else {
    holdfast::add(page.lasting, hash);
  }
  ++entries_;
  objects_.put(entry.key);
}

Range SentState::page_of(const Bytes& key) const {
  const auto after = pages_.upper_bound(key);
  return {std::prev(after)->first, after == pages_.end() ? Bytes{} : after->first};
}

bool SentState::is_kept_by_entry(const Bytes& key) const {
  return std::prev(pages_.upper_bound(key))->second.by_entry.has_value();
}

void SentState::restart_page(const Bytes& begin) {
  SentPage& page = pages_.at(begin);
  page = {};
  page.by_entry.emplace();
  objects_.clear(page_of(begin));
}

void SentState::put(const Entry& entry) {
  SentPage& page = std::prev(pages_.upper_bound(entry.key))->second;
  const Expiring sent{hash_of(entry.key, entry.value, entry.expires_at_ms), entry.expires_at_ms};
  page.by_entry->insert_or_assign(entry.key, sent);
  ++entries_;
  objects_.put(entry.key);
}

void SentState::erase(const Bytes& key) {
  std::prev(pages_.upper_bound(key))->second.by_entry->erase(key);
  objects_.erase(key);
}

Digest SentState::digest(UnixMs time_ms) const {
  Digest sum;
  const auto add_live = [&](const Expiring& entry) {
    if (is_live(entry.expires_at_ms, time_ms)) holdfast::add(sum, entry.hash);
  };
  for (const auto& [begin, page] : pages_) {
    const std::uint64_t entries = sum.entries + page.lasting.entries;
    holdfast::add(sum, {page.lasting.high, page.lasting.low});
    sum.entries = entries;
    for (const Expiring& entry : page.expiring) add_live(entry);
    if (!page.by_entry) continue;
    for (const auto& [key, entry] : *page.by_entry) add_live(entry);
  }
  return sum;
}

Exporter::Exporter(Engine& engine, View database, Bytes consumer, const Options& options)
    : engine_(engine),
      database_(engine.database(database)),
      consumer_(std::move(consumer)),
      options_(options) {}

Position Exporter::begin() {
  const ReadAnswer answer = read({});
  if (answer.at.history == 0) {
    throw Error(Code::not_found, "there is no database \"" + database_->name() + "\" in this store");
  }
  since_ = answer.at;
  begin_time_ms_ = answer.time_ms;
  pin();
  return since_;
}

void Exporter::resume(Position since) {
  const ReadAnswer answer = read({});
  if (answer.at.history != since.history) throw Error::history_changed(database_->name(), answer.at);
  since_ = since;
  begin_time_ms_ = answer.time_ms;
  pin();
}

void Exporter::remember(const Entry& entry) {
  if (sent_.is_empty()) sent_.begin_page("");
  if (remembered_in_page_ == kPageEntries) {
    sent_.begin_page(entry.key);
    remembered_in_page_ = 0;
  }
  ++remembered_in_page_;
  last_key_ = entry.key;
  sent_.add(entry);
}

std::uint64_t Exporter::count_entries() {
  Scan scan{Range::all(), {.limit = kPageEntries, .keys_only = true}};
  total_ = 0;
  for (bool more = true; more;) {
    const ReadAnswer answer = read({&scan, 1});
    const Page& page = answer.pages.front();
    total_ += page.entries.size();
    more = page.more;
    if (!page.entries.empty()) scan.range.begin = page.entries.back().key + '\0';
    if (options_.on_progress) options_.on_progress({Progress::Phase::counting, total_, 0});
  }
  return total_;
}

Exporter::Result Exporter::run(StepSink& sink) {
  if (!is_scanned_) {
    scan_all(sink);
    sink.scanned(sent_.entries());
  }
  follow(sink);
  Result result;
  result.at = since_;
  // No scan before was judged at a later time than this answer, so nothing that counts now was left out.
  result.time_ms = read({}).time_ms;
  send_missing(result.time_ms, sink);
  result.digest = sent_.digest(result.time_ms);
  result.digest.at = since_;
  return result;
}

void Exporter::unpin() { engine_.parts().logs().unpin(*database_, consumer_); }

ReadAnswer Exporter::read(std::span<const Scan> scans) {
  return engine_.read(*database_, {.scans = scans, .history = since_.history});
}

void Exporter::pin() {
  if (engine_.clock().steady_now() < pinned_until_) return;
  engine_.parts().logs().pin(*database_, consumer_, since_.seq, engine_.now_ms() + kPinnedMs);
  pinned_until_ = engine_.clock().steady_now() + kPinAgain;
}

void Exporter::report(Progress::Phase phase) {
  pin();
  if (options_.on_progress) options_.on_progress({phase, sent_.entries(), total_});
}

void Exporter::scan_all(StepSink& sink) {
  Scan scan{Range::all(), {.limit = kPageEntries}};
  if (last_key_) scan.range.begin = *last_key_ + '\0';
  for (bool more = true; more;) {
    ReadAnswer answer = read({&scan, 1});
    const Page& page = answer.pages.front();
    sent_.begin_page(sent_.is_empty() ? Bytes{} : scan.range.begin);
    for (const Entry& entry : page.entries) {
      if (!is_digested(entry.key)) continue;
      sent_.add(entry);
      sink.put(entry);
    }
    more = page.more;
    if (!page.entries.empty()) scan.range.begin = page.entries.back().key + '\0';
    report(Progress::Phase::copying);
  }
}

void Exporter::follow(StepSink& sink) {
  if (sent_.is_empty()) sent_.begin_page("");
  // The pin stays at since_ until the end: whoever resumes begins there again.
  Position through = since_;
  std::set<Bytes> outdated;
  for (;;) {
    const Changes changes = engine_.backend().changes(database_->name(), {.since = through,
                                                                          .range = Range::all(),
                                                                          .limit = kPageEntries,
                                                                          .keys_only = false,
                                                                          .token = 0,
                                                                          .deadline = engine_.deadline({})});
    for (const Change& change : changes.items) apply(change, sink, outdated);
    through = changes.through;
    report(Progress::Phase::following);
    if (!changes.caught_up()) continue;
    if (outdated.empty()) break;
    for (const Bytes& begin : outdated) send_again(begin, sink);
    outdated.clear();
  }
  since_ = through;
}

// They have expired, and so count in no digest.
void Exporter::send_missing(UnixMs time_ms, StepSink& sink) {
  for (Bytes& key : sent_.objects().missing()) {
    sink.put({std::move(key), ObjectRecord{}.text(), since_.seq, time_ms});
  }
}

void Exporter::apply(const Change& change, StepSink& sink, std::set<Bytes>& outdated) {
  if (!is_digested(change.key)) return;
  if (!sent_.is_kept_by_entry(change.key)) {
    outdated.insert(sent_.page_of(change.key).begin);
  } else if (change.entry) {
    sink.put(*change.entry);
    sent_.put(*change.entry);
  } else {
    sink.erase(change.key);
    sent_.erase(change.key);
  }
}

void Exporter::send_again(const Bytes& begin, StepSink& sink) {
  Scan scan{sent_.page_of(begin), {.limit = kPageEntries}};
  sink.clear(scan.range);
  sent_.restart_page(begin);
  for (bool more = true; more;) {
    const ReadAnswer answer = read({&scan, 1});
    const Page& page = answer.pages.front();
    for (const Entry& entry : page.entries) {
      if (!is_digested(entry.key)) continue;
      sink.put(entry);
      sent_.put(entry);
    }
    more = page.more;
    if (!page.entries.empty()) scan.range.begin = page.entries.back().key + '\0';
    report(Progress::Phase::following);
  }
}

}  // namespace holdfast::migrate
