// Layout
//     <prefix>/<key>     a payload, bare (payload_codec.h)     expires with the entry
#include "holdfast/kv.h"

#include <charconv>
#include <map>
#include <string>

#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "services/keys.h"
#include "services/lister.h"
#include "services/payload_codec.h"

namespace holdfast {
namespace {

constexpr std::size_t kManyEntries = 1'000;

std::optional<UnixMs> expiry_of(const std::optional<std::chrono::milliseconds>& ttl, UnixMs now_ms) {
  if (!ttl) return std::nullopt;
  if (ttl->count() < 1 || ttl->count() > limits::kExpiresAtMs - now_ms) {
    throw Error(Code::invalid_argument, "a time to live of " + std::to_string(ttl->count()) +
                                            " ms: it is at least 1 ms and ends before the end of time");
  }
  return now_ms + ttl->count();
}

std::int64_t whole_number(const StoredPayload& stored) {
  std::int64_t number = 0;
  const char* end = stored.text.data() + stored.text.size();
  const auto [at, error] = std::from_chars(stored.text.data(), end, number);
  const bool is_number = stored.kind == Payload::Kind::json && !stored.is_object();
  if (is_number && error == std::errc{} && at == end) return number;
  throw Error(Code::invalid_argument, "increment of a value that is no whole number; set one first");
}

/// Of the first entries, until their values come to `limit_bytes`; nothing if one of them has changed since.
std::optional<std::vector<std::optional<KvEntry>>> load_all(const PayloadCodec& codec,
                                                            std::span<const Bytes> keys,
                                                            std::span<const std::optional<Entry>> entries,
                                                            std::size_t limit_bytes) {
  std::vector<std::optional<KvEntry>> found;
  std::size_t size_bytes = 0;
  for (std::size_t i = 0; i < entries.size() && size_bytes < limit_bytes; ++i) {
    found.emplace_back();
    if (!entries[i]) continue;
    std::optional<Payload> value = codec.load(PayloadCodec::parse_bare(entries[i]->value), *entries[i]);
    if (!value) return std::nullopt;
    size_bytes += value->size_bytes();
    found.back() = KvEntry{keys[i], std::move(*value), entries[i]->version, entries[i]->expires_at_ms};
  }
  return found;
}

}  // namespace

Kv::Kv(Database database, View prefix) : database_(std::move(database)), prefix_(prefix) {
  validate_service_prefix(prefix);
  prefix_ += '/';
}

Bytes Kv::key_of(View key) const {
  validate_user_key(key, "the key of an entry");
  return prefix_ + Bytes(key);
}

std::optional<KvEntry> Kv::get(View key) const {
  const Bytes stored_key = key_of(key);
  for (;;) {
    const std::optional<Entry> entry = database_.get(stored_key);
    if (!entry) return std::nullopt;
    std::optional<Payload> value =
        PayloadCodec(database_).load(PayloadCodec::parse_bare(entry->value), *entry);
    if (value) return KvEntry{Bytes(key), std::move(*value), entry->version, entry->expires_at_ms};
  }
}

std::optional<KvEntry> Kv::get(Transaction& transaction, View key) const {
  const std::optional<Entry> entry = transaction.get(key_of(key));
  if (!entry) return std::nullopt;
  Payload value = PayloadCodec(database_).load_in_transaction(PayloadCodec::parse_bare(entry->value));
  return KvEntry{Bytes(key), std::move(value), entry->version, entry->expires_at_ms};
}

std::vector<Bytes> Kv::keys_of(std::span<const Bytes> keys) const {
  std::vector<Bytes> stored_keys;
  stored_keys.reserve(keys.size());
  for (const Bytes& key : keys) stored_keys.push_back(key_of(key));
  return stored_keys;
}

std::vector<std::optional<KvEntry>> Kv::get_many(std::span<const Bytes> keys) const {
  const std::vector<Bytes> stored_keys = keys_of(keys);
  for (;;) {
    auto found = load_all(PayloadCodec(database_), keys, database_.get(stored_keys), SIZE_MAX);
    if (found) return std::move(*found);
  }
}

std::vector<std::optional<KvEntry>> Kv::get_page(std::span<const Bytes> keys) const {
  const std::vector<Bytes> stored_keys = keys_of(keys);
  for (;;) {
    auto found =
        load_all(PayloadCodec(database_), keys, database_.get_page(stored_keys), limits::kAnswerBytes);
    if (found) return std::move(*found);
  }
}

bool Kv::set(View key, const Payload& value, const KvSetOptions& options) {
  PayloadUploads uploads(database_);
  return uploads.settle([&] {
    return database_.transact(
        [&](Transaction& transaction) { return set(transaction, uploads, key, value, options); });
  });
}

bool Kv::set(Transaction& transaction, View key, const Payload& value, const KvSetOptions& options) const {
  PayloadUploads uploads(database_);
  return set(transaction, uploads, key, value, options);
}

bool Kv::set(Transaction& transaction, PayloadUploads& uploads, View key, const Payload& value,
             const KvSetOptions& options) const {
  const Bytes stored_key = key_of(key);
  const std::optional<UnixMs> expires_at_ms = expiry_of(options.ttl, transaction.now());
  const std::optional<Entry> previous = transaction.get(stored_key);
  if (options.only_if_absent && previous) return false;
  if (options.only_if_version && (!previous || previous->version != *options.only_if_version)) return false;
  const StoredPayload& stored = uploads.store(value);
  std::optional<StoredPayload> replaced;
  if (previous) replaced = PayloadCodec::parse_bare(previous->value);
  PayloadCodec::replace(transaction, replaced, stored, expires_at_ms);
  transaction.put(stored_key, PayloadCodec::bare(stored), expires_at_ms);
  return true;
}

void Kv::set_many(std::span<const std::pair<Bytes, Payload>> entries) {
  PayloadUploads uploads(database_);
  uploads.settle([&] {
    database_.transact([&](Transaction& transaction) { set_many(transaction, uploads, entries); });
    return true;
  });
}

void Kv::set_many(Transaction& transaction, std::span<const std::pair<Bytes, Payload>> entries) const {
  PayloadUploads uploads(database_);
  set_many(transaction, uploads, entries);
}

void Kv::set_many(Transaction& transaction, PayloadUploads& uploads,
                  std::span<const std::pair<Bytes, Payload>> entries) const {
  if (entries.size() > kManyEntries) {
    throw Error(Code::invalid_argument, "set_many of " + std::to_string(entries.size()) +
                                            " entries: the maximum is " + std::to_string(kManyEntries));
  }
  std::map<Bytes, const Payload*> last;
  for (const auto& [key, value] : entries) last.insert_or_assign(key_of(key), &value);
  std::vector<Bytes> keys;
  keys.reserve(last.size());
  for (const auto& [key, value] : last) keys.push_back(key);
  const std::vector<std::optional<Entry>> previous = transaction.get(keys);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const StoredPayload& stored = uploads.store(*last.at(keys[i]));
    std::optional<StoredPayload> replaced;
    if (previous[i]) replaced = PayloadCodec::parse_bare(previous[i]->value);
    PayloadCodec::replace(transaction, replaced, stored);
    transaction.put(keys[i], PayloadCodec::bare(stored));
  }
}

bool Kv::erase(View key) {
  return database_.transact([&](Transaction& transaction) { return erase(transaction, key); });
}

bool Kv::erase(Transaction& transaction, View key) const {
  const Bytes stored_key = key_of(key);
  const std::optional<Entry> previous = transaction.get(stored_key);
  if (!previous) return false;
  PayloadCodec::release(transaction, PayloadCodec::parse_bare(previous->value));
  transaction.erase(stored_key);
  return true;
}

std::int64_t Kv::increment(View key, std::int64_t by) {
  return database_.transact([&](Transaction& transaction) { return increment(transaction, key, by); });
}

std::int64_t Kv::increment(Transaction& transaction, View key, std::int64_t by) const {
  const Bytes stored_key = key_of(key);
  const std::optional<Entry> previous = transaction.get(stored_key);
  std::int64_t sum = previous ? whole_number(PayloadCodec::parse_bare(previous->value)) : 0;
  if (__builtin_add_overflow(sum, by, &sum)) {
    throw Error(Code::invalid_argument, "an increment goes beyond what 64 bits with sign hold");
  }
  transaction.put(stored_key, std::to_string(sum), previous ? previous->expires_at_ms : std::nullopt);
  return sum;
}

bool Kv::expire(View key, std::optional<std::chrono::milliseconds> ttl) {
  return database_.transact([&](Transaction& transaction) { return expire(transaction, key, ttl); });
}

bool Kv::expire(Transaction& transaction, View key, std::optional<std::chrono::milliseconds> ttl) const {
  const std::optional<UnixMs> expires_at_ms = expiry_of(ttl, transaction.now());
  const std::optional<Entry> entry = transaction.get(key_of(key));
  if (!entry) return false;
  const StoredPayload stored = PayloadCodec::parse_bare(entry->value);
  PayloadCodec::replace(transaction, stored, stored, expires_at_ms);
  transaction.put(entry->key, entry->value, expires_at_ms);
  return true;
}

Listing<KvEntry> Kv::list(const ListOptions& options) const {
  Listing<KvEntry> listing;
  const PayloadCodec codec(database_);
  listing.cursor = list_entries(database_, prefix_, options, [&](View user_key, Entry& entry) -> std::size_t {
    std::optional<Payload> value = codec.load(PayloadCodec::parse_bare(entry.value), entry);
    std::optional<KvEntry> item;
    if (value) {
      item = KvEntry{Bytes(user_key), std::move(*value), entry.version, entry.expires_at_ms};
    } else {
      item = get(user_key);
    }
    if (!item) return 0;
    const std::size_t size_bytes = item->key.size() + item->value.size_bytes();
    listing.items.push_back(std::move(*item));
    return size_bytes;
  });
  return listing;
}

}  // namespace holdfast
