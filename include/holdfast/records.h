// Records: versioned documents under a key.
//
//     holdfast::Records users(store->database("app"), "users");
//     users.put("ada", json{{"email", "ada@example.com"}, {"age", 36}});
//     if (auto user = users.get("ada")) users.put("ada", changed(*user), {.only_if_version = user->version});
//
//     users.index("by_email", "/email", {.unique = true});
//     users.index("by_age", "/age");
//     auto adults = users.find("by_age", {.at_least = 18});
//
// A cheap handle, thread-safe. Keys have 1 to 1,024 bytes; lists are in their byte order. Values are payloads
// of up to 64 MiB. Every change is one commit; the forms that take a Transaction are part of its commit.
// Methods throw Error: invalid_argument for what is no key or value, and what the database throws.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

struct RecordIndexOptions {
  /// No two records have the same value. null is a value as others are; what is not indexed is not compared.
  bool unique = false;
};

enum class RecordIndexState : std::uint8_t {
  building,  ///< maintained already, and cannot be asked yet
  ready,
  failed,  ///< it was to be unique, and two records had one value; it is not maintained
};

/// "building", "ready", "failed".
View name(RecordIndexState state);

struct RecordIndex {
  Bytes name;
  Bytes path;
  bool unique = false;
  RecordIndexState state = RecordIndexState::building;
};

/// Which records of an index, by their values there: all conditions hold; without one all records that the
/// index has. Values compare as in the index: null < false < true < numbers < strings, numbers exactly and
/// strings by their bytes. A range that is open on one side ends with the type of its other bound: above 5
/// are numbers only.
template <class Item>
struct FilteredQuery {
  std::optional<Payload> equals = {};
  std::optional<Payload> at_least = {};
  std::optional<Payload> above = {};
  std::optional<Payload> at_most = {};
  std::optional<Payload> below = {};
  /// Strings that begin so.
  std::optional<Bytes> starts_with = {};
  // As in FilteredListOptions.
  std::function<bool(const Item&)> filter = {};
  Bytes cursor = {};
  std::size_t limit = 100;
  bool reverse = false;
};
using RecordQuery = FilteredQuery<Record>;

class RecordIndexes;  // src/services/record_index.h

template <class T>
class TypedRecords;

class Records {
 public:
  /// The records live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  explicit Records(Database database, View prefix = "records");

  /// Nothing if there is no such record. Cost: one read; one more for a value above 256 KiB.
  std::optional<Record> get(View key) const;
  std::optional<Record> get(Transaction& transaction, View key) const;
  /// The first of `keys` (at most 1,000), until their values come to 8 MiB, and at least one: fewer than were
  /// asked for mean that there are more. All of one snapshot.
  std::vector<std::optional<Record>> get_page(std::span<const Bytes> keys) const;

  /// The new version; nothing if the conditions did not hold. Throws already_exists, naming the index, where
  /// another record has a value that is to be unique. Cost: one read, one commit; one more read if a value of
  /// a unique index changes.
  std::optional<std::uint64_t> put(View key, const Payload& value, const RecordPutOptions& options = {});
  std::optional<std::uint64_t> put(Transaction& transaction, View key, const Payload& value,
                                   const RecordPutOptions& options = {}) const;
  /// All of them in one commit; at most 500, and with the entries of indexes 2,000 and 8 MiB. The last one of
  /// a key counts. Cost: one read, one commit; one more read if there are unique indexes.
  void put_many(std::span<const std::pair<Bytes, Payload>> records);
  void put_many(Transaction& transaction, std::span<const std::pair<Bytes, Payload>> records) const;

  /// Whether a record was erased.
  bool erase(View key, const RecordEraseOptions& options = {});
  bool erase(Transaction& transaction, View key, const RecordEraseOptions& options = {}) const;

  /// Records by key.
  Listing<Record> list(const RecordListOptions& options = {}) const;

  /// Declares an index over what is at `path` in the documents, a JSON pointer (RFC 6901): "/address/city",
  /// "/tags/0". Strings, numbers, booleans and null are indexed, records that have something else there or
  /// nothing are not in the index. From then on every change of a record, by whichever process, changes the
  /// index in the same commit. Records that are there already are added in the background, in short commits
  /// that writers do not wait for, by a thread which this handle and its copies share and which ends with the
  /// last of them; a build that was interrupted goes on when the index is declared again, anywhere, and by
  /// resume_indexes(). Nothing happens if the index is there; already_exists if it is there and is another.
  /// At most 16, names of 1 to 100 bytes.
  void index(View name, View path, const RecordIndexOptions& options = {});
  /// Until the index can be asked; helps to build it. Throws already_exists if it was to be unique and two
  /// records have one value, not_found if there is no such index, timeout or conflict at the deadline.
  void wait_for_index(View name, Deadline deadline = {});
  /// Whether there was one. Frees its space before it returns, which takes a while for a large one.
  bool drop_index(View name);
  /// By name.
  std::vector<RecordIndex> indexes() const;
  /// Goes on in the background, as index() does, with what other processes have left unfinished: builds, and
  /// removals of dropped indexes. Whether there was anything. For programs that keep records without
  /// declaring their indexes at every start; `holdfast serve` calls it for every database, when it starts and
  /// every minute. Cost: one read.
  bool resume_indexes();

  /// Records by their value in an index, then by key. Strings and numbers of more than 300 bytes are in order
  /// of these, and found exactly all the same. Throws not_found without such an index, and unavailable as
  /// long as it is being built: no answer is ever incomplete. Not within a
  /// transaction, which has a form of its own. Cost: two reads per 128 records.
  Listing<Record> find(View index, const RecordQuery& query) const;
  /// Sees the transaction's own changes. Every record that is read counts as one of its checks, of which it
  /// may have 2,000.
  Listing<Record> find(Transaction& transaction, View index, const RecordQuery& query) const;

  /// The same records as values of T, by its to_json() and from_json().
  template <class T>
  TypedRecords<T> typed() const {
    return TypedRecords<T>(*this);
  }

 private:
  struct Change;

  Bytes key_of(View key) const;
  std::optional<Record> load(View key, const Entry& entry) const;
  void apply(Transaction& transaction, const std::optional<Entry>& catalogue,
             std::span<const Change> changes) const;

  Database database_;
  std::shared_ptr<RecordIndexes> indexes_;
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
  Listing<TypedRecord<T>> list(const FilteredListOptions<TypedRecord<T>>& options = {}) const {
    const RecordListOptions untyped{.prefix = options.prefix,
                                    .cursor = options.cursor,
                                    .limit = options.limit,
                                    .reverse = options.reverse};
    return typed(untyped, options.filter, [&](const auto& asked) { return records_.list(asked); });
  }
  Listing<TypedRecord<T>> find(View index, const FilteredQuery<TypedRecord<T>>& query) const {
    return typed(untyped(query), query.filter,
                 [&](const auto& asked) { return records_.find(index, asked); });
  }
  Listing<TypedRecord<T>> find(Transaction& transaction, View index,
                               const FilteredQuery<TypedRecord<T>>& query) const {
    return typed(untyped(query), query.filter,
                 [&](const auto& asked) { return records_.find(transaction, index, asked); });
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

  static RecordQuery untyped(const FilteredQuery<TypedRecord<T>>& query) {
    return {.equals = query.equals,
            .at_least = query.at_least,
            .above = query.above,
            .at_most = query.at_most,
            .below = query.below,
            .starts_with = query.starts_with,
            .cursor = query.cursor,
            .limit = query.limit,
            .reverse = query.reverse};
  }
  /// What the filter lets through comes in order: it is kept as the filter has seen it.
  template <class Asked, class Ask>
  static Listing<TypedRecord<T>> typed(Asked asked, const std::function<bool(const TypedRecord<T>&)>& filter,
                                       const Ask& ask) {
    Listing<TypedRecord<T>> listing;
    asked.filter = [&](const Record& record) {
      TypedRecord<T> item = typed(record);
      if (filter && !filter(item)) return false;
      listing.items.push_back(std::move(item));
      return true;
    };
    listing.cursor = ask(asked).cursor;
    return listing;
  }

  Records records_;
};

namespace limits {

inline constexpr std::size_t kManyRecords = 500;
inline constexpr std::size_t kRecordIndexes = 16;

}  // namespace limits
}  // namespace holdfast
