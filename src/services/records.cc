// Layout
//     <prefix>/record/<key>     a record (record_envelope.h)
#include "holdfast/records.h"

#include <map>
#include <string>

#include "services/keys.h"
#include "services/lister.h"
#include "services/payload_codec.h"
#include "services/record_envelope.h"

namespace holdfast {
namespace {

bool holds(const RecordPutOptions& options, const std::optional<RecordEnvelope>& previous) {
  if (options.only_if_absent && previous) return false;
  return !options.only_if_version || (previous && previous->version == *options.only_if_version);
}

/// Puts `value` in the place of `previous`; the new version.
std::uint64_t replace(Transaction& transaction, View stored_key,
                      const std::optional<RecordEnvelope>& previous, StoredPayload value) {
  const UnixMs now_ms = transaction.now();
  RecordEnvelope next{1, now_ms, now_ms, std::move(value)};
  std::optional<StoredPayload> replaced;
  if (previous) {
    next.version = previous->version + 1;
    next.created_at_ms = previous->created_at_ms;
    replaced = previous->payload;
  }
  PayloadCodec::replace(transaction, replaced, next.payload);
  transaction.put(stored_key, next.text());
  return next.version;
}

std::optional<RecordEnvelope> envelope_of(const std::optional<Entry>& entry) {
  return entry ? std::optional(RecordEnvelope::parse(entry->value)) : std::nullopt;
}

}  // namespace

Records::Records(Database database, View prefix) : database_(std::move(database)), prefix_(prefix) {
  validate_service_prefix(prefix);
  prefix_ += '/';
}

Bytes Records::key_of(View key) const {
  validate_user_key(key, "the key of a record");
  return prefix_ + "record/" + Bytes(key);
}

/// Nothing if the entry has changed since it was read.
std::optional<Record> Records::load(View key, const Entry& entry) const {
  const RecordEnvelope envelope = RecordEnvelope::parse(entry.value);
  std::optional<Payload> value = PayloadCodec(database_).load(envelope.payload);
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

std::optional<std::uint64_t> Records::put(View key, const Payload& value, const RecordPutOptions& options) {
  return database_.transact([&](Transaction& transaction) { return put(transaction, key, value, options); });
}

std::optional<std::uint64_t> Records::put(Transaction& transaction, View key, const Payload& value,
                                          const RecordPutOptions& options) const {
  const Bytes stored_key = key_of(key);
  const std::optional<RecordEnvelope> previous = envelope_of(transaction.get(stored_key));
  if (!holds(options, previous)) return std::nullopt;
  return replace(transaction, stored_key, previous, PayloadCodec(database_).store(value));
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
  std::map<Bytes, const Payload*> last;
  for (const auto& [key, value] : records) last.insert_or_assign(key_of(key), &value);
  std::vector<Bytes> keys;
  keys.reserve(last.size());
  for (const auto& [key, value] : last) keys.push_back(key);
  const std::vector<std::optional<Entry>> previous = transaction.get(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    StoredPayload value = PayloadCodec(database_).store(*last.at(keys[i]));
    replace(transaction, keys[i], envelope_of(previous[i]), std::move(value));
  }
}

bool Records::erase(View key, const RecordEraseOptions& options) {
  return database_.transact([&](Transaction& transaction) { return erase(transaction, key, options); });
}

bool Records::erase(Transaction& transaction, View key, const RecordEraseOptions& options) const {
  const Bytes stored_key = key_of(key);
  const std::optional<RecordEnvelope> previous = envelope_of(transaction.get(stored_key));
  if (!previous || (options.only_if_version && previous->version != *options.only_if_version)) return false;
  PayloadCodec::release(transaction, previous->payload);
  transaction.erase(stored_key);
  return true;
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
  listing.cursor = list_entries(database_, prefix_ + "record/", range, take);
  return listing;
}

}  // namespace holdfast
