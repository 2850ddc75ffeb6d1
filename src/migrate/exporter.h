// One consistent state of a database as a sequence of steps, while others write to it.
//
// All entries are scanned, page by page, each page at a later position; then the change log since the first
// page is followed. A page that was written to is sent again whole, once, and from then on kept entry by
// entry, so that further changes are sent instead of pages. It ends when the log has no more: all steps
// together then make the state at that position, and describe objects that are only waiting to be swept as
// expired, so that the target's sweeper finds them too. This is how Database::digest() works
// (engine/digest.h), and the sum over what was sent is that digest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "engine/digest.h"
#include "engine/engine.h"
#include "holdfast/migrate.h"
#include "migrate/sent_objects.h"

namespace holdfast::migrate {

/// Who is told the steps.
class StepSink {
 public:
  virtual ~StepSink() = default;
  virtual void put(const Entry& entry) = 0;
  virtual void erase(View key) = 0;
  /// Everything in the range goes; puts of what is there now follow.
  virtual void clear(const Range& range) = 0;
  /// All pages were sent; what follows are changes.
  virtual void scanned(std::uint64_t entries) = 0;
};

/// What was sent, as sums of hashes.
class SentState {
 public:
  /// Keys of later pages are above those of earlier ones.
  void begin_page(const Bytes& begin);
  void add(const Entry& entry);
  /// The page that a key lies in.
  Range page_of(const Bytes& key) const;
  bool is_kept_by_entry(const Bytes& key) const;
  /// From here on the page is empty, and kept entry by entry.
  void restart_page(const Bytes& begin);
  /// Only for pages that are kept entry by entry.
  void put(const Entry& entry);
  void erase(const Bytes& key);

  const SentObjects& objects() const { return objects_; }
  bool is_empty() const { return pages_.empty(); }
  std::uint64_t entries() const { return entries_; }
  Digest digest(UnixMs time_ms) const;

 private:
  struct Expiring {
    EntryHash hash;
    std::optional<UnixMs> expires_at_ms;
  };
  struct SentPage {
    Digest lasting;
    std::vector<Expiring> expiring;
    std::optional<std::unordered_map<Bytes, Expiring>> by_entry;
  };
  std::map<Bytes, SentPage> pages_;
  std::uint64_t entries_ = 0;
  SentObjects objects_;
};

class Exporter {
 public:
  struct Result {
    Position at;
    UnixMs time_ms = 0;
    Digest digest;
  };

  /// `consumer` names the pin of the source's log.
  Exporter(Engine& engine, View database, Bytes consumer, const Options& options);

  /// Reads the head; throws not_found if there is no such database.
  Position begin();
  UnixMs begin_time_ms() const { return begin_time_ms_; }
  /// Goes on from an export that began at `since`; then follow remember() for every entry that was sent, in
  /// the order of keys. Throws compacted or history_changed if that is not possible any more.
  void resume(Position since);
  void remember(const Entry& entry);
  /// Whether all pages had been sent.
  void set_scanned() { is_scanned_ = true; }

  std::uint64_t count_entries();
  Result run(StepSink& sink);
  void unpin();

 private:
  ReadAnswer read(std::span<const Scan> scans);
  void pin();
  void report(Progress::Phase phase);
  void scan_all(StepSink& sink);
  void follow(StepSink& sink);
  void send_again(const Bytes& begin, StepSink& sink);
  void send_missing(UnixMs time_ms, StepSink& sink);
  void apply(const Change& change, StepSink& sink, std::set<Bytes>& outdated);

  Engine& engine_;
  const std::shared_ptr<EngineDatabase> database_;
  const Bytes consumer_;
  const Options& options_;
  SentState sent_;
  Position since_;
  UnixMs begin_time_ms_ = 0;
  Deadline pinned_until_{};
  std::optional<Bytes> last_key_;
  std::size_t remembered_in_page_ = 0;
  bool is_scanned_ = false;
  std::uint64_t total_ = 0;
};

}  // namespace holdfast::migrate
