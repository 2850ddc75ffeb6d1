// What expired records and erased tables leave behind, and its removal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "holdfast/store.h"
#include "services/tables_codec.h"
#include "services/tables_layout.h"

namespace holdfast::tables {

/// The entry of a table that is there; nothing for one that was erased.
std::optional<TableEntry> live_table(const std::optional<Entry>& entry);

/// Calls `take` with each entry behind `keys`, until it answers false.
template <class Take>
void for_each_entry(Transaction& transaction, const Bytes& keys, bool is_snapshot, const Take& take) {
  Range range = Range::prefix(keys);
  for (bool more = true; more;) {
    const Page page = transaction.scan(range, {.limit = limits::kScanEntries, .snapshot = is_snapshot});
    for (const Entry& entry : page.entries) {
      if (!take(entry)) return;
    }
    more = page.more && !page.entries.empty();
    if (more) range.begin = page.entries.back().key + '\0';
  }
}

/// Thread-safe.
class Cleaner {
 public:
  Cleaner(Database database, const Layout& layout) : database_(std::move(database)), layout_(layout) {}

  /// Marks of expired records: how many there were.
  std::size_t expired(View table);
  /// At most `limit` of them.
  std::size_t expired(Transaction& transaction, View table, std::size_t limit) const;
  std::size_t all_expired(Transaction& transaction, std::size_t limit) const;
  /// Rows and marks of generations that were erased.
  void refuse(View table);

 private:
  enum class Kind : std::uint8_t { row, mark };
  struct Step {
    std::size_t removed = 0;
    Bytes next;  ///< where the next step begins; empty: done
  };
  Step expired_step(Transaction& transaction, View table, const Range& range, std::size_t limit) const;
  Step refuse_step(Transaction& transaction, const TableEntry& table, const Range& range, Kind kind) const;
  /// False if the table's entry is not what it was.
  bool remove_refuse(View table, const TableEntry& was, const Bytes& keys, Kind kind);

  Database database_;
  const Layout& layout_;
};

}  // namespace holdfast::tables
