// The indexes of some records: declared, maintained, built, read and dropped.
//
// What holds after every commit:
//   - an entry of a maintained index stands for a record that has the entry's value;
//   - every record whose last change came after the declaration of an index has its entry there;
//   - with `ready`, every record has.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "holdfast/records.h"
#include "services/index_value.h"
#include "services/record_catalogue.h"
#include "services/record_envelope.h"

namespace holdfast {

/// Thread-safe.
class RecordIndexes {
 public:
  /// `prefix` ends with '/'.
  RecordIndexes(Database database, Bytes prefix);
  /// Ends what runs in the background.
  ~RecordIndexes();
  RecordIndexes(const RecordIndexes&) = delete;
  RecordIndexes& operator=(const RecordIndexes&) = delete;

  Bytes record_key(View key) const { return prefix_ + "record/" + Bytes(key); }
  Bytes catalogue_key() const { return prefix_ + "indexes"; }
  CatalogueCache& cache() { return cache_; }

  /// A record that a transaction changes: its documents, nothing for no record and for raw bytes.
  struct Change {
    View key;
    std::optional<View> before;
    std::optional<View> after;
  };
  /// Changes the indexes as the records change. Throws already_exists where two would have one value.
  void update(Transaction& transaction, const IndexCatalogue& catalogue,
              std::span<const Change> changes) const;

  void declare(View name, View path, const RecordIndexOptions& options);
  bool drop(View name);
  /// Whether there is anything to build or to erase; that is done in the background.
  bool resume();
  std::vector<RecordIndex> list() const;
  /// Builds with the others until there is nothing to build.
  void wait(View name, Deadline deadline);

  struct Found {
    Bytes suffix;
    Record record;
  };
  struct Chunk {
    std::vector<Found> found;
    Bytes last;  ///< the suffix that was read last
    bool more = false;
  };
  /// The records behind the first `limit` entries of an index within `suffixes` whose values are in `range`.
  Chunk read(Transaction& transaction, View name, const IndexRange& range, const Range& suffixes,
             std::size_t limit, bool reverse);

 private:
  enum class Step { more, done };

  Bytes index_prefix(std::uint64_t id) const;
  Bytes progress_key(std::uint64_t id) const;
  std::vector<std::optional<Entry>> get(Transaction& transaction, const std::vector<Bytes>& keys) const;
  std::shared_ptr<const CatalogueCache::Seen> seen_in(Transaction& transaction);
  const DeclaredIndex& ready_index(const IndexCatalogue& catalogue, View name) const;

  Step build_step(std::uint64_t id, Deadline deadline);
  Step build_step(Transaction& transaction, std::uint64_t id, std::size_t limit);
  void set_state(std::uint64_t id, DeclaredIndex::State state);
  void purge(std::uint64_t id, const std::stop_token& stop);
  void work_in_background();
  void work(const std::stop_token& stop);
  void work_off(const std::stop_token& stop);

  Database database_;
  const Bytes prefix_;
  CatalogueCache cache_;

  std::mutex building_;  ///< one step at a time, so that the builders of a process do not compete

  std::mutex mutex_;  ///< guards what follows
  bool is_working_ = false;
  bool is_work_left_ = false;
  std::jthread worker_;
};

}  // namespace holdfast
