// Records: versioned documents under a key.
//
//     holdfast::Records users(store->database("app"), "users");
//     users.put("ada", json{{"email", "ada@example.com"}, {"age", 36}});
//     if (auto user = users.get("ada")) users.put("ada", changed(*user), {.only_if_version = user->version});
//
// A cheap handle, thread-safe. Keys have 1 to 1,024 bytes; lists are in their byte order. Values are payloads
// of up to 64 MiB. Every change is one commit; the forms that take a Transaction are part of its commit.
// Methods throw Error: invalid_argument for what is no key or value, and what the database throws.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/error.h"
#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

struct Record {
  Bytes key;
  Payload value;
  /// 1 after the first put, one more after every other. A record that was erased begins at 1 again.
  std::uint64_t version = 0;
  UnixMs created_at_ms = 0;
  UnixMs updated_at_ms = 0;
};

struct RecordPutOptions {
  /// Puts nothing if there is a record.
  bool only_if_absent = false;
  /// Puts nothing unless there is a record of this version.
  std::optional<std::uint64_t> only_if_version = {};
};

struct RecordEraseOptions {
  /// Erases nothing unless the record has this version.
  std::optional<std::uint64_t> only_if_version = {};
};

template <class Item>
struct FilteredListOptions {
  /// Only keys that start with it.
  Bytes prefix = {};
  /// Only items that it is true of; called once for each in order, in the caller's thread. The cost of a page
  /// is that of all items up to its last one.
  std::function<bool(const Item&)> filter = {};
  /// Where the last page ended; empty for the first page. Opaque text, valid for ever for the same list.
  Bytes cursor = {};
  /// 1..1,000 items that the filter has let through. A page ends earlier when its payloads have reached 8
  /// MiB.
  std::size_t limit = 100;
  /// Descending. A cursor belongs to one direction.
  bool reverse = false;
};
using RecordListOptions = FilteredListOptions<Record>;

template <class T>
class TypedRecords;

class Records {
 public:
  /// The records live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  explicit Records(Database database, View prefix = "records");

  /// Nothing if there is no such record. Cost: one read; one more for a value above 256 KiB.
  std::optional<Record> get(View key) const;
  std::optional<Record> get(Transaction& transaction, View key) const;

  /// The new version; nothing if the conditions did not hold. Cost: one read, one commit.
  std::optional<std::uint64_t> put(View key, const Payload& value, const RecordPutOptions& options = {});
  std::optional<std::uint64_t> put(Transaction& transaction, View key, const Payload& value,
                                   const RecordPutOptions& options = {}) const;
  /// All of them in one commit; at most 500 and 8 MiB. The last one of a key counts. Cost: one read, one
  /// commit.
  void put_many(std::span<const std::pair<Bytes, Payload>> records);
  void put_many(Transaction& transaction, std::span<const std::pair<Bytes, Payload>> records) const;

  /// Whether a record was erased.
  bool erase(View key, const RecordEraseOptions& options = {});
  bool erase(Transaction& transaction, View key, const RecordEraseOptions& options = {}) const;

  /// Records by key.
  Listing<Record> list(const RecordListOptions& options = {}) const;

  /// The same records as values of T, by its to_json() and from_json().
  template <class T>
  TypedRecords<T> typed() const {
    return TypedRecords<T>(*this);
  }

 private:
  Bytes key_of(View key) const;
  std::optional<Record> load(View key, const Entry& entry) const;

  Database database_;
  Bytes prefix_;
};

template <class T>
struct TypedRecord {
  Bytes key;
  T value;
  std::uint64_t version = 0;
  UnixMs created_at_ms = 0;
  UnixMs updated_at_ms = 0;
};

/// Records as values of T. Methods are those of Records; what reads throws invalid_argument where a record
/// does not have the form of a T.
template <class T>
class TypedRecords {
 public:
  using Options = FilteredListOptions<TypedRecord<T>>;

  explicit TypedRecords(Records records) : records_(std::move(records)) {}

  std::optional<TypedRecord<T>> get(View key) const { return typed(records_.get(key)); }
  std::optional<TypedRecord<T>> get(Transaction& transaction, View key) const {
    return typed(records_.get(transaction, key));
  }
  std::optional<std::uint64_t> put(View key, const T& value, const RecordPutOptions& options = {}) {
    return records_.put(key, payload(value), options);
  }
  std::optional<std::uint64_t> put(Transaction& transaction, View key, const T& value,
                                   const RecordPutOptions& options = {}) const {
    return records_.put(transaction, key, payload(value), options);
  }
  void put_many(std::span<const std::pair<Bytes, T>> records) { records_.put_many(payloads(records)); }
  void put_many(Transaction& transaction, std::span<const std::pair<Bytes, T>> records) const {
    records_.put_many(transaction, payloads(records));
  }
  bool erase(View key, const RecordEraseOptions& options = {}) { return records_.erase(key, options); }
  bool erase(Transaction& transaction, View key, const RecordEraseOptions& options = {}) const {
    return records_.erase(transaction, key, options);
  }
  Listing<TypedRecord<T>> list(const Options& options = {}) const {
    Listing<TypedRecord<T>> listing;
    // What the filter of the records lets through comes in order: it is kept as the filter has seen it.
    const auto filter = [&](const Record& record) {
      TypedRecord<T> item = typed(record);
      if (options.filter && !options.filter(item)) return false;
      listing.items.push_back(std::move(item));
      return true;
    };
    listing.cursor = records_
                         .list({.prefix = options.prefix,
                                .filter = filter,
                                .cursor = options.cursor,
                                .limit = options.limit,
                                .reverse = options.reverse})
                         .cursor;
    return listing;
  }

 private:
  static Payload payload(const T& value) { return nlohmann::json(value); }
  static std::vector<std::pair<Bytes, Payload>> payloads(std::span<const std::pair<Bytes, T>> records) {
    std::vector<std::pair<Bytes, Payload>> out;
    out.reserve(records.size());
    for (const auto& [key, value] : records) out.emplace_back(key, payload(value));
    return out;
  }
  static TypedRecord<T> typed(const Record& record) {
    try {
      return {record.key, record.value.json().template get<T>(), record.version, record.created_at_ms,
              record.updated_at_ms};
    } catch (const nlohmann::json::exception&) {
      throw Error(Code::invalid_argument, "a record does not have the form of the type that it is read as");
    }
  }
  static std::optional<TypedRecord<T>> typed(const std::optional<Record>& record) {
    return record ? std::optional(typed(*record)) : std::nullopt;
  }

  Records records_;
};

namespace limits {

inline constexpr std::size_t kManyRecords = 500;

}  // namespace limits
}  // namespace holdfast
