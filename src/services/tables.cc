// Layout; <table> is short_segment(name), <key> is key_segment(key)
//     <prefix>/table/<name>          TableEntry: generation, base of places, state
//     <prefix>/row/<table>/<key>     Row with its payload; expires at x + 1, its object too
//     <prefix>/mark/<table>/<key>    Mark: beside a row that has an expiry, and for a day after it
//     <prefix>/dictionary/<name>     {"id":"<16 hex>"}: the definition that new writes use
//     <prefix>/definition/<id>       DefinitionText; the id is a hash of it, so it never changes
//
// A row has the generation of its table: one change of the table's entry erases the table, and rows of
// earlier generations are refuse, which Cleaner removes. A writer reads the table's entry but changes it only
// for the first row, so that writers of different keys do not conflict; nothing counts rows.
#include "holdfast/tables.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "holdfast/error.h"
#include "services/lister.h"
#include "services/payload_codec.h"
#include "services/table_cleaner.h"
#include "services/table_dictionaries.h"
#include "services/tables_codec.h"
#include "services/tables_layout.h"
#include "services/tables_rules.h"

namespace holdfast {
namespace {

using tables::Definition;
using tables::Mark;
using tables::Place;
using tables::Row;
using tables::TableEntry;

/// How long a mark outlives its record.
constexpr std::int64_t kMarkKeptMs = 24ll * 3600 * 1000;
/// The largest expiry of an entry: JavaScript's numbers end there too.
constexpr UnixMs kLatestMs = (UnixMs{1} << 53) - 1;

void validate_value(const Payload& value) {
  if (value.is_json()) return;
  throw Error(Code::invalid_argument,
              "Value must be JSON-serializable: raw bytes are not supported; store them as a blob");
}

/// Nothing: never.
std::optional<UnixMs> normalised(std::optional<UnixMs> expires_at_ms) {
  if (!expires_at_ms || *expires_at_ms == 0 || *expires_at_ms > kLatestMs) return std::nullopt;
  return std::max(*expires_at_ms, -kLatestMs);
}

/// Of the entry of a record which is still there at `expires_at_ms` itself.
std::optional<UnixMs> entry_expiry(std::optional<UnixMs> expires_at_ms) {
  if (expires_at_ms) ++*expires_at_ms;
  return expires_at_ms;
}

/// Whether a record has the version that a condition asks for; 0: there is none.
bool matches(std::optional<std::uint64_t> expected, const std::optional<Row>& row) {
  return !expected || *expected == (row ? row->version : 0);
}

}  // namespace

class Tables::Impl {
 public:
  Impl(Database given, View prefix)
      : database(std::move(given)),
        layout(prefix),
        codec(database),
        dictionaries(database, layout),
        cleaner(database, layout) {}

  /// The keys of what is stored for one record.
  struct Keys {
    Keys(const tables::Layout& layout, View table, View key) {
      const Bytes segment = tables::key_segment(key);
      all = {layout.table(table), layout.rows(table) + segment, layout.marks(table) + segment};
      if (segment.size() != key.size()) whole_key = key;
    }
    const Bytes& table() const { return all[0]; }
    const Bytes& row() const { return all[1]; }
    const Bytes& mark() const { return all[2]; }

    std::vector<Bytes> all;
    Bytes whole_key;  ///< only if the segment is not all of it
  };

  /// What is stored for one record.
  struct Found {
    explicit Found(std::vector<std::optional<Entry>> given) : entries(std::move(given)) {
      if (entries[0]) table = TableEntry::parse(entries[0]->value);
      const bool is_live = table && table->state != TableEntry::State::erased;
      if (entries[1]) {
        Row stored = Row::parse(entries[1]->value);
        if (stored.is_object()) replaced = stored.stored();
        if (is_live && stored.generation == table->generation) row = std::move(stored);
      }
      if (is_live && entries[2]) {
        const Mark stored = Mark::parse(entries[2]->value);
        if (stored.generation == table->generation) mark = stored;
      }
    }
    bool has_expired() const { return mark && !row; }

    std::vector<std::optional<Entry>> entries;  ///< what `row` borrows from
    std::optional<TableEntry> table;
    std::optional<Row> row;
    std::optional<Mark> mark;               ///< of the row, or of one that has expired
    std::optional<StoredPayload> replaced;  ///< the object that a write lets go, of refuse too
  };

  // ---- Writing

  std::optional<std::uint64_t> write(Transaction& transaction, View table, View key,
                                     std::optional<std::uint64_t> expected, const Payload& value,
                                     const TableWriteOptions& options) {
    validate_table_name(table);
    validate_table_key(key);
    validate_value(value);
    Keys keys(layout, table, key);
    if (!options.dictionary.empty()) keys.all.push_back(dictionary_key(options.dictionary));
    Found found(transaction.get(keys.all));
    std::optional<Definition> definition;
    if (!options.dictionary.empty()) {
      definition = dictionaries.named(transaction, options.dictionary, found.entries[3]);
    }
    if (!matches(expected, found.row)) return std::nullopt;
    Row row;
    row.version = (found.row ? found.row->version : found.mark ? found.mark->version : 0) + 1;
    row.written_at_ms = transaction.now();
    row.expires_at_ms = normalised(options.expires_at_ms);
    put(transaction, table, keys, found, row, value, definition);
    return row.version;
  }

  bool restore(Transaction& transaction, View table, const TableRecord& record, bool only_if_newer) {
    validate_table_name(table);
    validate_table_key(record.key);
    validate_value(record.value);
    if (record.version == 0 || record.version > static_cast<std::uint64_t>(kLatestMs)) {
      throw Error(Code::invalid_argument, "the version of a record to restore is at least 1 and below 2^53");
    }
    Keys keys(layout, table, record.key);
    if (!record.dictionary.empty()) keys.all.push_back(dictionary_key(record.dictionary));
    Found found(transaction.get(keys.all));
    std::optional<Definition> definition;
    if (!record.dictionary.empty()) {
      definition = dictionaries.named(transaction, record.dictionary, found.entries[3]);
    }
    if (only_if_newer && found.row && found.row->written_at_ms >= record.written_at_ms) return false;
    Row row;
    row.version = record.version;
    row.written_at_ms = record.written_at_ms;
    row.expires_at_ms = normalised(record.expires_at_ms);
    put(transaction, table, keys, found, row, record.value, definition);
    return true;
  }

  bool create_table(Transaction& transaction, View table) const {
    validate_table_name(table);
    const Bytes key = layout.table(table);
    const std::optional<Entry> entry = transaction.get(key);
    if (tables::live_table(entry)) return false;
    make_table(transaction, key, entry ? std::optional(TableEntry::parse(entry->value)) : std::nullopt);
    return true;
  }

  bool erase(Transaction& transaction, View table, View key, std::optional<std::uint64_t> expected) const {
    validate_table_name(table);
    validate_table_key(key);
    const Keys keys(layout, table, key);
    const Found found(transaction.get(keys.all));
    if (!matches(expected, found.row)) return false;
    if (found.mark) transaction.erase(keys.mark());
    if (!found.row) return false;
    if (found.replaced) PayloadCodec::release(transaction, *found.replaced);
    transaction.erase(keys.row());
    return true;
  }

  void erase_table(Transaction& transaction, View table) const {
    validate_table_name(table);
    const Bytes key = layout.table(table);
    std::optional<TableEntry> entry = tables::live_table(transaction.get(key));
    if (!entry) return;
    entry->state = TableEntry::State::erased;
    transaction.put(key, entry->text());
  }

  // ---- Reading

  std::optional<TableRecord> get(View table, View key) {
    validate_table_name(table);
    validate_table_key(key);
    const Keys keys(layout, table, key);
    for (;;) {
      const Found found(database.get(keys.all));
      if (found.has_expired()) clean_up(keys);
      if (!found.row) return std::nullopt;
      std::optional<Payload> value = codec.load(found.row->stored(), *found.entries[1]);
      if (value) return record_of(nullptr, key, *found.row, *std::move(value));
    }
  }

  std::optional<TableRecord> get(Transaction& transaction, View table, View key) {
    validate_table_name(table);
    validate_table_key(key);
    const Found found(transaction.get(Keys(layout, table, key).all));
    if (!found.row) return std::nullopt;
    return record_of(&transaction, key, *found.row, codec.load_in_transaction(found.row->stored()));
  }

  std::vector<TableRecord> get_all(Transaction& transaction, View table) {
    validate_table_name(table);
    const std::optional<TableEntry> entry = tables::live_table(transaction.get(layout.table(table)));
    if (!entry) return {};
    std::vector<std::pair<Place, TableRecord>> placed;
    const Bytes keys = layout.rows(table);
    tables::for_each_entry(transaction, keys, false, [&](const Entry& stored) {
      const Row row = Row::parse(stored.value);
      if (row.generation != entry->generation) return true;
      Payload value = codec.load_in_transaction(row.stored());
      const View segment = View(stored.key).substr(keys.size());
      placed.emplace_back(row.place, record_of(&transaction, segment, row, std::move(value)));
      return true;
    });
    std::ranges::sort(placed, {},
                      [](const auto& each) { return std::pair(each.first, View(each.second.key)); });
    std::vector<TableRecord> records;
    records.reserve(placed.size());
    for (auto& [place, record] : placed) records.push_back(std::move(record));
    return records;
  }

  Listing<TableRecord> list(View table, const ListOptions& options) {
    validate_table_name(table);
    const std::optional<TableEntry> entry = tables::live_table(database.get(layout.table(table)));
    Listing<TableRecord> listing;
    const auto take = [&](View segment, Entry& stored) -> std::size_t {
      const Row row = Row::parse(stored.value);
      if (!entry || row.generation != entry->generation) return 0;
      std::optional<TableRecord> record;
      if (std::optional<Payload> value = codec.load(row.stored(), stored)) {
        record = record_of(nullptr, segment, row, *std::move(value));
      } else {
        record = get(table, row.whole_key.empty() ? segment : View(row.whole_key));
      }
      if (!record) return 0;
      const std::size_t size_bytes = record->key.size() + record->value.size_bytes();
      listing.items.push_back(*std::move(record));
      return size_bytes;
    };
    listing.cursor = list_entries(database, layout.rows(table), options, take);
    return listing;
  }

  std::size_t size(View table) const {
    const std::optional<TableEntry> entry = tables::live_table(database.get(layout.table(table)));
    if (!entry) return 0;
    const bool is_mixed = entry->state == TableEntry::State::mixed;
    std::size_t count = 0;
    Range range = Range::prefix(layout.rows(table));
    for (bool more = true; more;) {
      const Page page = database.scan(range, {.limit = limits::kScanEntries, .keys_only = !is_mixed});
      for (const Entry& row : page.entries) {
        if (!is_mixed || Row::parse(row.value).generation == entry->generation) ++count;
      }
      more = page.more && !page.entries.empty();
      if (more) range.begin = page.entries.back().key + '\0';
    }
    return count;
  }

  Listing<Bytes> list_tables(const ListOptions& options) const {
    Listing<Bytes> listing;
    const auto take = [&](View name, Entry& entry) -> std::size_t {
      if (!tables::live_table(entry)) return 0;
      listing.items.emplace_back(name);
      return name.size();
    };
    listing.cursor = list_entries(database, layout.tables(), options, take);
    return listing;
  }

  // ---- Cleaning up

  std::size_t cleanup_expired(View table) {
    validate_table_name(table);
    cleaner.refuse(table);
    return cleaner.expired(table);
  }

  std::size_t cleanup_all_expired() {
    std::size_t removed = 0;
    Range range = Range::prefix(layout.tables());
    for (bool more = true; more;) {
      const Page page = database.scan(range, {.keys_only = true});
      for (const Entry& entry : page.entries) {
        removed += cleanup_expired(View(entry.key).substr(layout.tables().size()));
      }
      more = page.more && !page.entries.empty();
      if (more) range.begin = page.entries.back().key + '\0';
    }
    return removed;
  }

  /// A read cleans up where it can, and succeeds where nothing may be written just as well.
  void clean_up_quietly(View table) {
    try {
      cleaner.expired(table);
    } catch (const Error&) {
      return;
    }
  }

  Database database;
  const tables::Layout layout;
  const PayloadCodec codec;
  tables::Dictionaries dictionaries;
  tables::Cleaner cleaner;

 private:
  Bytes dictionary_key(View name) const {
    validate_dictionary_name(name);
    return layout.dictionary(name);
  }

  void put(Transaction& transaction, View table, const Keys& keys, const Found& found, Row row,
           const Payload& value, const std::optional<Definition>& definition) {
    const bool is_there = found.table && found.table->state != TableEntry::State::erased;
    TableEntry entry = is_there ? *found.table : make_table(transaction, keys.table(), found.table);
    if (found.row) {
      row.place = found.row->place;
    } else if (found.mark) {
      row.place = found.mark->place;
    } else {
      row.place = next_place(transaction, table, entry);
    }
    row.generation = entry.generation;
    row.whole_key = keys.whole_key;
    if (definition) row.dictionary_id = definition->id;
    const StoredPayload stored = codec.store(definition ? definition->deflated(value) : value);
    const std::optional<UnixMs> expires_at_ms = entry_expiry(row.expires_at_ms);
    PayloadCodec::replace(transaction, found.replaced, stored, expires_at_ms);
    transaction.put(keys.row(), row.text_with(stored), expires_at_ms);
    if (row.expires_at_ms) {
      const Mark mark{row.version, row.place, *row.expires_at_ms, row.generation};
      transaction.put(keys.mark(), mark.text(), std::max(*expires_at_ms, transaction.now()) + kMarkKeptMs);
    } else if (found.mark) {
      transaction.erase(keys.mark());
    }
  }

  /// A table where there is none, or one that was erased.
  static TableEntry make_table(Transaction& transaction, const Bytes& key,
                               const std::optional<TableEntry>& erased) {
    TableEntry entry;
    entry.history = transaction.position().history;
    if (erased) {
      entry.generation = erased->generation + 1;
      entry.state = TableEntry::State::mixed;
    }
    transaction.put(key, entry.text());
    return entry;
  }

  /// Behind all others. Transactions that run at the same time may get the same seq; one that begins after
  /// another has ended gets a larger one.
  Place next_place(Transaction& transaction, View table, TableEntry& entry) {
    const Position position = transaction.position();
    const auto seq = static_cast<std::int64_t>(position.seq);
    if (entry.history != position.history) {
      entry.base = largest_place(transaction, table) + 1 - seq;
      entry.history = position.history;
      transaction.put(layout.table(table), entry.text());
    }
    return {entry.base + seq, ties_++};
  }

  std::int64_t largest_place(Transaction& transaction, View table) const {
    std::int64_t largest = 0;
    // Snapshots will do: whoever inserts meanwhile changes the table's entry too, which is checked.
    tables::for_each_entry(transaction, layout.rows(table), true, [&](const Entry& entry) {
      largest = std::max(largest, Row::parse(entry.value).place.seq);
      return true;
    });
    tables::for_each_entry(transaction, layout.marks(table), true, [&](const Entry& entry) {
      largest = std::max(largest, Mark::parse(entry.value).place.seq);
      return true;
    });
    return largest;
  }

  TableRecord record_of(Transaction* transaction, View segment, const Row& row, Payload value) {
    TableRecord record{Bytes(row.whole_key.empty() ? segment : View(row.whole_key)),
                       std::move(value),
                       row.version,
                       row.written_at_ms,
                       row.expires_at_ms,
                       {}};
    if (row.dictionary_id.empty()) return record;
    const Definition definition = dictionaries.by_id(transaction, row.dictionary_id);
    record.value = definition.inflated(record.value);
    record.dictionary = definition.name;
    return record;
  }

  void clean_up(const Keys& keys) {
    try {
      database.transact([&](Transaction& transaction) {
        if (Found(transaction.get(keys.all)).has_expired()) transaction.erase(keys.mark());
      });
    } catch (const Error&) {
      return;  // the next read finds it again
    }
  }

  std::atomic<std::uint64_t> ties_{0};
};

// ---- The public face

Tables::Tables(Database database, View prefix) : impl_(std::make_shared<Impl>(std::move(database), prefix)) {}

Database Tables::database() const { return impl_->database; }

std::uint64_t Tables::write(View table, View key, const Payload& value, const TableWriteOptions& options) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return write(transaction, table, key, value, options); });
}

std::uint64_t Tables::write(Transaction& transaction, View table, View key, const Payload& value,
                            const TableWriteOptions& options) const {
  return impl_->write(transaction, table, key, std::nullopt, value, options).value();
}

std::optional<std::uint64_t> Tables::write_if(View table, View key, std::uint64_t version,
                                              const Payload& value, const TableWriteOptions& options) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return write_if(transaction, table, key, version, value, options); });
}

std::optional<std::uint64_t> Tables::write_if(Transaction& transaction, View table, View key,
                                              std::uint64_t version, const Payload& value,
                                              const TableWriteOptions& options) const {
  return impl_->write(transaction, table, key, version, value, options);
}

void Tables::restore(View table, const TableRecord& record) {
  impl_->database.transact([&](Transaction& transaction) { restore(transaction, table, record); });
}

void Tables::restore(Transaction& transaction, View table, const TableRecord& record) const {
  impl_->restore(transaction, table, record, false);
}

bool Tables::restore_if_newer(View table, const TableRecord& record) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return restore_if_newer(transaction, table, record); });
}

bool Tables::restore_if_newer(Transaction& transaction, View table, const TableRecord& record) const {
  return impl_->restore(transaction, table, record, true);
}

bool Tables::create_table(View table) {
  return impl_->database.transact([&](Transaction& transaction) { return create_table(transaction, table); });
}

bool Tables::create_table(Transaction& transaction, View table) const {
  return impl_->create_table(transaction, table);
}

std::optional<TableRecord> Tables::get(View table, View key) const { return impl_->get(table, key); }

std::optional<TableRecord> Tables::get(Transaction& transaction, View table, View key) const {
  return impl_->get(transaction, table, key);
}

std::vector<TableRecord> Tables::get(View table) const {
  std::vector<TableRecord> records =
      impl_->database.transact([&](Transaction& transaction) { return get(transaction, table); });
  impl_->clean_up_quietly(table);
  return records;
}

std::vector<TableRecord> Tables::get(Transaction& transaction, View table) const {
  return impl_->get_all(transaction, table);
}

Listing<TableRecord> Tables::list(View table, const ListOptions& options) const {
  return impl_->list(table, options);
}

bool Tables::erase(View table, View key) {
  return impl_->database.transact([&](Transaction& transaction) { return erase(transaction, table, key); });
}

bool Tables::erase(Transaction& transaction, View table, View key) const {
  return impl_->erase(transaction, table, key, std::nullopt);
}

bool Tables::erase_if(View table, View key, std::uint64_t version) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return erase_if(transaction, table, key, version); });
}

bool Tables::erase_if(Transaction& transaction, View table, View key, std::uint64_t version) const {
  return impl_->erase(transaction, table, key, version);
}

std::size_t Tables::table_size(View table) const {
  validate_table_name(table);
  const std::size_t size = impl_->size(table);
  impl_->clean_up_quietly(table);
  return size;
}

std::size_t Tables::cleanup_expired(View table) { return impl_->cleanup_expired(table); }

std::size_t Tables::cleanup_expired(Transaction& transaction, View table, std::size_t limit) const {
  validate_table_name(table);
  return impl_->cleaner.expired(transaction, table, limit);
}

std::size_t Tables::cleanup_all_expired() { return impl_->cleanup_all_expired(); }

std::size_t Tables::cleanup_all_expired(Transaction& transaction, std::size_t limit) const {
  return impl_->cleaner.all_expired(transaction, limit);
}

bool Tables::erase_table(View table) {
  impl_->database.transact([&](Transaction& transaction) { erase_table(transaction, table); });
  impl_->cleaner.refuse(table);
  return true;
}

bool Tables::erase_table(Transaction& transaction, View table) const {
  impl_->erase_table(transaction, table);
  return true;
}

Listing<Bytes> Tables::list_tables(const ListOptions& options) const { return impl_->list_tables(options); }

void Tables::add_dictionary(View name, const TableDictionary& dictionary) {
  impl_->database.transact([&](Transaction& transaction) { add_dictionary(transaction, name, dictionary); });
}

void Tables::add_dictionary(Transaction& transaction, View name, const TableDictionary& dictionary) const {
  impl_->dictionaries.add(transaction, name, dictionary);
}

bool Tables::remove_dictionary(View name) {
  return impl_->database.transact(
      [&](Transaction& transaction) { return remove_dictionary(transaction, name); });
}

bool Tables::remove_dictionary(Transaction& transaction, View name) const {
  return impl_->dictionaries.remove(transaction, name);
}

Listing<Bytes> Tables::list_dictionaries(const ListOptions& options) const {
  return impl_->dictionaries.list(options);
}

std::optional<TableDictionary> Tables::get_dictionary(View name) const {
  return impl_->dictionaries.get(name);
}

}  // namespace holdfast
