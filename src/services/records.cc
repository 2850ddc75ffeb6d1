// Layout
//     <prefix>/record/<key>                       a record (record_envelope.h)
//     <prefix>/indexes                            which indexes there are (record_catalogue.h)
//     <prefix>/index/<id>/<value><key>            an entry of an index (index_value.h): empty
//     <prefix>/index/<id>/<value>                 an entry of a unique index: the key of the record
//     <prefix>/build/<id>                         the last key that the build of an index has reached
#include "holdfast/records.h"

#include <deque>
#include <map>
#include <string>

#include "services/keys.h"
#include "services/lister.h"
#include "services/payload_codec.h"
#include "services/record_envelope.h"
#include "services/record_index.h"

namespace holdfast {
namespace {

bool holds(const RecordPutOptions& options, const std::optional<RecordEnvelope>& previous) {
  if (options.only_if_absent && previous) return false;
  return !options.only_if_version || (previous && previous->version == *options.only_if_version);
}

std::optional<RecordEnvelope> envelope_of(const std::optional<Entry>& entry) {
  return entry ? std::optional(RecordEnvelope::parse(entry->value)) : std::nullopt;
}

}  // namespace

/// What becomes of a record; neither a previous nor a next one is none.
struct Records::Change {
  View key;
  std::optional<RecordEnvelope> previous;
  const Payload* value = nullptr;  ///< of the next one

  std::uint64_t next_version() const { return previous ? previous->version + 1 : 1; }
};

Records::Records(Database database, View prefix) : database_(std::move(database)) {
  validate_service_prefix(prefix);
  indexes_ = std::make_shared<RecordIndexes>(database_, Bytes(prefix) + '/');
}

Bytes Records::key_of(View key) const {
  validate_user_key(key, "the key of a record");
  return indexes_->record_key(key);
}

/// Nothing if the entry has changed since it was read.
std::optional<Record> Records::load(View key, const Entry& entry) const {
  const RecordEnvelope envelope = RecordEnvelope::parse(entry.value);
  std::optional<Payload> value = PayloadCodec(database_).load(envelope.payload, entry);
  return value ? std::optional(envelope.record(key, std::move(*value))) : std::nullopt;
}

std::optional<Record> Records::get(View key) const {
  const Bytes stored_key = key_of(key);
  for (;;) {
    const std::optional<Entry> entry = database_.get(stored_key);
    if (!entry) return std::nullopt;
    if (std::optional<Record> record = load(key, *entry)) return record;
  }
}

std::optional<Record> Records::get(Transaction& transaction, View key) const {
  const std::optional<RecordEnvelope> envelope = envelope_of(transaction.get(key_of(key)));
  if (!envelope) return std::nullopt;
  return envelope->record(key, PayloadCodec(database_).load_in_transaction(envelope->payload));
}

std::vector<std::optional<Record>> Records::get_page(std::span<const Bytes> keys) const {
  std::vector<Bytes> stored_keys;
  stored_keys.reserve(keys.size());
  for (const Bytes& key : keys) stored_keys.push_back(key_of(key));
  const auto load_all = [&](std::span<const std::optional<Entry>> entries) {
    std::vector<std::optional<Record>> records;
    std::size_t size_bytes = 0;
    for (std::size_t i = 0; i < entries.size() && size_bytes < limits::kAnswerBytes; ++i) {
      records.emplace_back();
      if (!entries[i]) continue;
      records.back() = load(keys[i], *entries[i]);
      // It has changed since: read all of them again.
      if (!records.back()) return std::optional<std::vector<std::optional<Record>>>();
      size_bytes += records.back()->value.size_bytes();
    }
    return std::optional(std::move(records));
  };
  for (;;) {
    if (auto records = load_all(database_.get_page(stored_keys))) return std::move(*records);
  }
}

std::optional<std::uint64_t> Records::put(View key, const Payload& value, const RecordPutOptions& options) {
  return database_.transact([&](Transaction& transaction) { return put(transaction, key, value, options); });
}

std::optional<std::uint64_t> Records::put(Transaction& transaction, View key, const Payload& value,
                                          const RecordPutOptions& options) const {
  const std::vector<Bytes> keys{key_of(key), indexes_->catalogue_key()};
  const std::vector<std::optional<Entry>> entries = transaction.get(keys);
  const Change change{key, envelope_of(entries[0]), &value};
  if (!holds(options, change.previous)) return std::nullopt;
  apply(transaction, entries[1], {&change, 1});
  return change.next_version();
}

void Records::put_many(std::span<const std::pair<Bytes, Payload>> records) {
  database_.transact([&](Transaction& transaction) { put_many(transaction, records); });
}

void Records::put_many(Transaction& transaction, std::span<const std::pair<Bytes, Payload>> records) const {
  if (records.size() > limits::kManyRecords) {
    throw Error(Code::invalid_argument, "put_many of " + std::to_string(records.size()) +
                                            " records: the maximum is " +
                                            std::to_string(limits::kManyRecords));
  }
  std::map<View, const Payload*> last;
  std::vector<Bytes> keys{indexes_->catalogue_key()};
  for (const auto& [key, value] : records) last.insert_or_assign(key, &value);
  for (const auto& [key, value] : last) keys.push_back(key_of(key));
  const std::vector<std::optional<Entry>> entries = transaction.get(keys);
  std::vector<Change> changes;
  changes.reserve(last.size());
  for (const auto& [key, value] : last) {
    changes.push_back({key, envelope_of(entries[changes.size() + 1]), value});
  }
  apply(transaction, entries.front(), changes);
}

bool Records::erase(View key, const RecordEraseOptions& options) {
  return database_.transact([&](Transaction& transaction) { return erase(transaction, key, options); });
}

bool Records::erase(Transaction& transaction, View key, const RecordEraseOptions& options) const {
  const std::vector<Bytes> keys{key_of(key), indexes_->catalogue_key()};
  const std::vector<std::optional<Entry>> entries = transaction.get(keys);
  const Change change{key, envelope_of(entries[0])};
  if (!change.previous) return false;
  if (options.only_if_version && change.previous->version != *options.only_if_version) return false;
  apply(transaction, entries[1], {&change, 1});
  return true;
}

/// Writes the changes, and those of the indexes that follow from them.
void Records::apply(Transaction& transaction, const std::optional<Entry>& catalogue,
                    std::span<const Change> changes) const {
  const PayloadCodec codec(database_);
  const auto seen = indexes_->cache().see(catalogue);
  if (!seen->catalogue.indexes.empty()) {
    std::deque<Payload> large;
    std::vector<RecordIndexes::Change> indexed;
    indexed.reserve(changes.size());
    for (const Change& change : changes) {
      RecordIndexes::Change& next = indexed.emplace_back();
      next.key = change.key;
      if (change.value != nullptr && change.value->is_json()) next.after = change.value->text();
      if (!change.previous || change.previous->payload.kind != Payload::Kind::json) continue;
      const StoredPayload& previous = change.previous->payload;
      if (previous.is_object()) large.push_back(codec.load_in_transaction(previous));
      next.before = previous.is_object() ? large.back().text() : previous.text;
    }
    indexes_->update(transaction, seen->catalogue, indexed);
  }
  const UnixMs now_ms = transaction.now();
  for (const auto& [key, previous, value] : changes) {
    const Bytes stored_key = indexes_->record_key(key);
    if (value == nullptr) {
      PayloadCodec::release(transaction, previous->payload);
      transaction.erase(stored_key);
      continue;
    }
    RecordEnvelope next{1, now_ms, now_ms, codec.store(*value)};
    std::optional<StoredPayload> replaced;
    if (previous) {
      next.version = previous->version + 1;
      next.created_at_ms = previous->created_at_ms;
      replaced = previous->payload;
    }
    PayloadCodec::replace(transaction, replaced, next.payload);
    transaction.put(stored_key, next.text());
  }
}

Listing<Record> Records::list(const RecordListOptions& options) const {
  Listing<Record> listing;
  const ListOptions range{options.prefix, options.cursor, options.limit, options.reverse};
  const auto take = [&](View key, const Entry& entry) -> std::size_t {
    std::optional<Record> record = load(key, entry);
    if (!record) record = get(key);
    if (!record || (options.filter && !options.filter(*record))) return 0;
    const std::size_t size_bytes = record->key.size() + record->value.size_bytes();
    listing.items.push_back(std::move(*record));
    return size_bytes;
  };
  listing.cursor = list_entries(database_, indexes_->record_key(""), range, take);
  return listing;
}

void Records::index(View name, View path, const RecordIndexOptions& options) {
  indexes_->declare(name, path, options);
}

void Records::wait_for_index(View name, Deadline deadline) { indexes_->wait(name, deadline); }

bool Records::drop_index(View name) { return indexes_->drop(name); }

bool Records::resume_indexes() { return indexes_->resume(); }

std::vector<RecordIndex> Records::indexes() const { return indexes_->list(); }

}  // namespace holdfast
