// Tables of JSON documents by key, with versions, expiry and dictionaries: the service for those who come
// from PikoDB. It has PikoDB's methods, rules and texts; docs/services/tables.md says what is the same, what
// was repaired, and how to move over.
//
//     holdfast::Tables tables(store->database("app"));
//     tables.write("users", "anna", nlohmann::json{{"age", 41}});
//     tables.write("sessions", "4711", "open", {.expires_at_ms = now + 3'600'000});
//     if (auto user = tables.get("users", "anna")) use(user->value.json());
//
// A table comes into being with the first write to it. Reading creates nothing.
//
// Names of tables have 1 to 255 characters (UTF-16 units), no '/', '\', NUL or "..", no leading '.', and are
// none of CON, PRN, AUX, NUL, COM1-9, LPT1-9. Keys have 1 to 1,024 characters and no NUL. Both are UTF-8 and
// compared as bytes. Whatever breaks a rule is invalid_argument.
//
// An expiry of E means: there at the very millisecond E, gone after it, by the store's clock (the entry below
// expires at E + 1). 0 means never. An expired record reads as absent at once. Until it is cleaned up, by a
// read of it, one of the cleanup methods or the sweeper after a day, its version and place live on in a mark,
// so that a write over it goes on counting.
//
// Thread-safe and cheap to copy. Methods that change something have a form for a transaction of the caller;
// in such a transaction reads clean nothing up. Further errors are those of the database.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"
#include "holdfast/types.h"

namespace holdfast {

struct TableRecord {
  Bytes key;
  Payload value;
  /// Counts the writes of the record: 1, 2, 3 ... It begins again with 1 after the record was erased, or was
  /// cleaned up after its expiry.
  std::uint64_t version = 0;
  UnixMs written_at_ms = 0;
  std::optional<UnixMs> expires_at_ms;  ///< the last millisecond at which it is there
  Bytes dictionary;                     ///< the name that was given when it was written; may be empty
};

struct TableWriteOptions {
  /// Nothing, 0, or the largest UnixMs: never. A time that has passed already makes the record expired at
  /// once.
  std::optional<UnixMs> expires_at_ms = {};
  /// Of this write alone: the next one names its own or has none.
  Bytes dictionary = {};
};

/// Member names and what they are stored as. Give one of the two; the other follows from it, so it has to be
/// one-to-one. Names are not empty; short names do not begin with '~'.
struct TableDictionary {
  std::optional<std::map<Bytes, Bytes>> deflate = {};  ///< from long to short
  std::optional<std::map<Bytes, Bytes>> inflate = {};  ///< from short to long
  bool operator==(const TableDictionary&) const = default;
};

class Tables {
 public:
  /// The entries live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  explicit Tables(Database database, View prefix = "tables");
  /// For transactions that change more than tables.
  Database database() const;

  /// Stores `value`, which has to be a document, and answers the record's new version. Expiry and dictionary
  /// are those of this write. Throws invalid_argument for a dictionary that is not known. Cost: one read, one
  /// commit, which conflicts only with those that write the same key.
  std::uint64_t write(View table, View key, const Payload& value, const TableWriteOptions& options = {});
  std::uint64_t write(Transaction& transaction, View table, View key, const Payload& value,
                      const TableWriteOptions& options = {}) const;
  /// Only if the record has this version; 0: only if there is none. Nothing if it has another one.
  std::optional<std::uint64_t> write_if(View table, View key, std::uint64_t version, const Payload& value,
                                        const TableWriteOptions& options = {});
  std::optional<std::uint64_t> write_if(Transaction& transaction, View table, View key, std::uint64_t version,
                                        const Payload& value, const TableWriteOptions& options = {}) const;
  /// Puts a record in place as it was somewhere else, with its version (at least 1), time and expiry. One
  /// that is there is replaced and keeps its place in the table.
  void restore(View table, const TableRecord& record);
  void restore(Transaction& transaction, View table, const TableRecord& record) const;
  /// Only if there is none, or one that was written earlier; whether it was put in place.
  bool restore_if_newer(View table, const TableRecord& record);
  bool restore_if_newer(Transaction& transaction, View table, const TableRecord& record) const;
  /// Makes an empty table; false if there is a table of that name.
  bool create_table(View table);
  bool create_table(Transaction& transaction, View table) const;

  /// Cost: one read; a second one where a dictionary is read for the first time; a commit where an expired
  /// record is cleaned up.
  std::optional<TableRecord> get(View table, View key) const;
  std::optional<TableRecord> get(Transaction& transaction, View table, View key) const;
  /// The whole table in the order in which the keys were inserted; overwriting keeps a key's place. All of
  /// one state: a table that does not fit one page (10,000 records or 8 MiB) is read again where it was
  /// written meanwhile, and `conflict` is thrown at the deadline. For large tables use list().
  std::vector<TableRecord> get(View table) const;
  std::vector<TableRecord> get(Transaction& transaction, View table) const;
  /// In byte order of the keys.
  Listing<TableRecord> list(View table, const ListOptions& options = {}) const;

  /// Whether there was a record, which is gone now.
  bool erase(View table, View key);
  bool erase(Transaction& transaction, View table, View key) const;
  /// Only if the record has this version.
  bool erase_if(View table, View key, std::uint64_t version);
  bool erase_if(Transaction& transaction, View table, View key, std::uint64_t version) const;

  /// How many records a table has; 0 if there is no such table. Cost: a scan of its keys (nothing is counted
  /// at writes, so that writers of different keys do not meet). While others write, records that come or go
  /// meanwhile may be counted or not.
  std::size_t table_size(View table) const;
  /// Removes what is left of expired records, and of erased tables of this name; how many expired records
  /// there were. Cost: a scan of the marks of all records of the table that have an expiry.
  std::size_t cleanup_expired(View table);
  std::size_t cleanup_all_expired();
  /// At most `limit` (up to 1,000) of them.
  std::size_t cleanup_expired(Transaction& transaction, View table, std::size_t limit = 1'000) const;
  /// The same of all tables, in the order of their names. What is left of erased tables stays for the forms
  /// without a transaction, which take several commits for it.
  std::size_t cleanup_all_expired(Transaction& transaction, std::size_t limit = 1'000) const;
  /// The table is gone at once, and true is answered also if there was none. What it occupied is freed before
  /// the first form returns, and after the second form by the next cleanup.
  bool erase_table(View table);
  bool erase_table(Transaction& transaction, View table) const;
  /// Names of tables that were written to and not erased, empty ones included; in byte order.
  Listing<Bytes> list_tables(const ListOptions& options = {}) const;

  /// Makes a dictionary known under `name` (1 to 255 characters). One that was known by that name before is
  /// replaced for later writes; records that were written with it still read as they were. Throws
  /// invalid_argument for what is no dictionary.
  void add_dictionary(View name, const TableDictionary& dictionary);
  void add_dictionary(Transaction& transaction, View name, const TableDictionary& dictionary) const;
  /// Whether it was known. Records that were written with it still read as they were.
  bool remove_dictionary(View name);
  bool remove_dictionary(Transaction& transaction, View name) const;
  /// In byte order.
  Listing<Bytes> list_dictionaries(const ListOptions& options = {}) const;
  /// As `deflate`, however it was given.
  std::optional<TableDictionary> get_dictionary(View name) const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace holdfast
