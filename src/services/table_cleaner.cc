#include "services/table_cleaner.h"

#include "services/payload_codec.h"

namespace holdfast::tables {
namespace {

/// Entries that one commit looks at.
constexpr std::size_t kEntriesAtOnce = 1'000;
/// Objects that it releases: up to 65 writes each.
constexpr std::size_t kObjectsAtOnce = 10;

bool is_same(const std::optional<Entry>& entry, const TableEntry& was) {
  if (!entry) return false;
  const TableEntry now = TableEntry::parse(entry->value);
  return now.generation == was.generation && now.state == was.state;
}

}  // namespace

std::optional<TableEntry> live_table(const std::optional<Entry>& entry) {
  if (!entry) return std::nullopt;
  const TableEntry table = TableEntry::parse(entry->value);
  if (table.state == TableEntry::State::erased) return std::nullopt;
  return table;
}

Cleaner::Step Cleaner::expired_step(Transaction& transaction, View table, const Range& range,
                                    std::size_t limit) const {
  Step step;
  const Page page = transaction.scan(range, {.limit = kEntriesAtOnce, .snapshot = true});
  for (const Entry& entry : page.entries) {
    if (Mark::parse(entry.value).expires_at_ms >= transaction.now()) continue;
    if (step.removed == limit) return step;
    // Only here, because it is one of the checks of the commit, which are limited.
    if (step.removed == 0 && !live_table(transaction.get(layout_.table(table)))) return step;
    transaction.require(entry);
    transaction.erase(entry.key);
    ++step.removed;
  }
  if (page.more && !page.entries.empty()) step.next = page.entries.back().key + '\0';
  return step;
}

std::size_t Cleaner::expired(View table) {
  std::size_t removed = 0;
  for (Range range = Range::prefix(layout_.marks(table));;) {
    Step step = database_.transact(
        [&](Transaction& transaction) { return expired_step(transaction, table, range, kEntriesAtOnce); });
    removed += step.removed;
    if (step.next.empty()) return removed;
    range.begin = std::move(step.next);
  }
}

std::size_t Cleaner::expired(Transaction& transaction, View table, std::size_t limit) const {
  std::size_t removed = 0;
  for (Range range = Range::prefix(layout_.marks(table)); removed < limit;) {
    Step step = expired_step(transaction, table, range, limit - removed);
    removed += step.removed;
    if (step.next.empty()) break;
    range.begin = std::move(step.next);
  }
  return removed;
}

std::size_t Cleaner::all_expired(Transaction& transaction, std::size_t limit) const {
  std::size_t removed = 0;
  const Bytes keys = layout_.tables();
  for_each_entry(transaction, keys, true, [&](const Entry& entry) {
    removed += expired(transaction, View(entry.key).substr(keys.size()), limit - removed);
    return removed < limit;
  });
  return removed;
}

Cleaner::Step Cleaner::refuse_step(Transaction& transaction, const TableEntry& table, const Range& range,
                                   Kind kind) const {
  const bool is_erased = table.state == TableEntry::State::erased;
  std::size_t objects = 0;
  Step step;
  const Page page = transaction.scan(range, {.limit = kEntriesAtOnce, .snapshot = true});
  for (const Entry& entry : page.entries) {
    const std::optional<Row> row = kind == Kind::row ? std::optional(Row::parse(entry.value)) : std::nullopt;
    const std::uint64_t generation = row ? row->generation : Mark::parse(entry.value).generation;
    if (!is_erased && generation == table.generation) continue;
    if (row && row->is_object()) {
      if (objects++ == kObjectsAtOnce) {
        step.next = entry.key;
        return step;
      }
      PayloadCodec::release(transaction, row->stored());
    }
    transaction.require(entry);
    transaction.erase(entry.key);
  }
  if (page.more && !page.entries.empty()) step.next = page.entries.back().key + '\0';
  return step;
}

bool Cleaner::remove_refuse(View table, const TableEntry& was, const Bytes& keys, Kind kind) {
  for (Range range = Range::prefix(keys);;) {
    std::optional<Step> step = database_.transact([&](Transaction& transaction) -> std::optional<Step> {
      if (!is_same(transaction.get(layout_.table(table)), was)) return std::nullopt;
      return refuse_step(transaction, was, range, kind);
    });
    if (!step) return false;
    if (step->next.empty()) return true;
    range.begin = std::move(step->next);
  }
}

void Cleaner::refuse(View table) {
  const Bytes key = layout_.table(table);
  for (;;) {
    const std::optional<Entry> entry = database_.get(key);
    if (!entry) return;
    const TableEntry was = TableEntry::parse(entry->value);
    if (was.state == TableEntry::State::live) return;
    // Where the table was erased or made anew meanwhile, there may be refuse behind the cursor.
    if (!remove_refuse(table, was, layout_.rows(table), Kind::row)) continue;
    if (!remove_refuse(table, was, layout_.marks(table), Kind::mark)) continue;
    const bool is_done = database_.transact([&](Transaction& transaction) {
      const std::optional<Entry> now = transaction.get(key);
      if (!is_same(now, was)) return false;
      TableEntry clean = TableEntry::parse(now->value);
      if (clean.state == TableEntry::State::erased) {
        transaction.erase(key);
      } else {
        clean.state = TableEntry::State::live;
        transaction.put(key, clean.text());
      }
      return true;
    });
    if (is_done) return;
  }
}

}  // namespace holdfast::tables
