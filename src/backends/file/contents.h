// All databases of one lane, and how the records of its log change them. Commits and recovery both apply
// records here, so that whatever is committed has been read back in the form in which it lies on disk.
//
// find(), pin(), names(), databases() and due() are thread-safe; the rest is for the lane's writer alone.
#pragma once

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "backends/file/database.h"
#include "backends/file/reader_writer_lock.h"

namespace holdfast::file {

class Contents {
 public:
  /// Null if there is no such database. The object stays usable; one that was dropped reads as never written.
  std::shared_ptr<Database> find(View name) const;
  /// A database that cannot go away while this is held; null if there is none.
  struct Pin {
    std::shared_lock<ReaderWriterLock> lock;
    const Database* database = nullptr;
  };
  /// find() for short reads: without a count that all readers of a database would share, but no database can
  /// be created or removed meanwhile.
  Pin pin(View name) const;
  /// Names of databases that have a head, in byte order.
  std::vector<Bytes> names(View prefix, View after, std::size_t limit) const;
  /// In the order of their names.
  std::vector<std::shared_ptr<Database>> databases() const;

  /// The databases whose oldest expiry is at or before `now_ms`, and the earliest expiry of the others.
  std::vector<std::shared_ptr<Database>> due(UnixMs now_ms, std::optional<UnixMs>& next_due_ms) const;

  // --- for the writer

  /// find() without a lock.
  Database* find_as_writer(View name) const;
  /// Applies the items of a record. Throws corruption if one does not fit or is malformed. Items that a
  /// checkpoint has brought in already are passed over.
  void apply(View body, const ValuePlace& place, std::uint64_t sequence);
  /// Recovery of a damaged log goes item by item.
  void apply_item(const ItemFrame& item, const ValuePlace& place, std::uint64_t sequence);
  /// Creates a database that a checkpoint brings.
  std::shared_ptr<Database> load(View name);
  /// Removes databases without a head, and takes the expiries of all others into account.
  void finish_loading();

 private:
  struct Due {
    UnixMs due_ms = 0;
    Database* database = nullptr;
    auto operator<=>(const Due&) const = default;
  };

  std::shared_ptr<Database> find_or_create(View name);
  void remove(Database& database);
  /// Brings `due_` up to date after a change.
  void note_expiry(Database& database);

  mutable ReaderWriterLock lock_;
  absl::flat_hash_map<Bytes, std::shared_ptr<Database>> databases_;
  absl::btree_set<View> names_;  ///< views of Database::name()

  mutable std::mutex due_mutex_;
  absl::btree_set<Due> due_;
};

}  // namespace holdfast::file
