// Key-value pairs: small values under a key, with expiry, conditions and counters.
//
//     holdfast::Kv kv(store->database("app"));
//     kv.set("greeting", "hello", {.ttl = std::chrono::minutes(5)});
//     if (auto found = kv.get("greeting")) use(found->value.json());
//
// A cheap handle, thread-safe. Keys have 1 to 1,024 bytes; lists are in their byte order. Values are payloads
// of up to 64 MiB. Every change is one commit; the forms that take a Transaction are part of its commit.
// Methods throw Error: invalid_argument for what is no key or value, and what the database throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

class PayloadUploads;  // src/services/payload_codec.h

struct KvEntry {
  Bytes key;
  Payload value;
  Seq version = 0;  ///< changes with every set; for KvSetOptions::only_if_version
  std::optional<UnixMs> expires_at_ms;
};

struct KvSetOptions {
  /// The entry is gone so much later, to the millisecond. At least 1 ms. Without it the entry stays, whatever
  /// its expiry was before.
  std::optional<std::chrono::milliseconds> ttl = {};
  /// Sets nothing if there is an entry.
  bool only_if_absent = false;
  /// Sets nothing unless there is an entry of this version.
  std::optional<Seq> only_if_version = {};
};

class Kv {
 public:
  /// The entries live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  explicit Kv(Database database, View prefix = "kv");

  /// Nothing if there is no such entry. Cost: one read; one more for a value above 256 KiB.
  std::optional<KvEntry> get(View key) const;
  std::optional<KvEntry> get(Transaction& transaction, View key) const;
  /// In the order of `keys`, all of one snapshot; at most 1,000.
  std::vector<std::optional<KvEntry>> get_many(std::span<const Bytes> keys) const;
  /// The first of `keys`, until their values come to 8 MiB, and at least one: fewer than were asked for mean
  /// that there are more. All of one snapshot.
  std::vector<std::optional<KvEntry>> get_page(std::span<const Bytes> keys) const;

  /// Whether the conditions held and the entry was set. A value above 256 KiB is uploaded before the commit:
  /// once, but in a transaction by every run of its body.
  bool set(View key, const Payload& value, const KvSetOptions& options = {});
  bool set(Transaction& transaction, View key, const Payload& value, const KvSetOptions& options = {}) const;
  /// All of them in one commit, without expiry; at most 1,000 and 8 MiB. The last one of a key counts.
  void set_many(std::span<const std::pair<Bytes, Payload>> entries);
  void set_many(Transaction& transaction, std::span<const std::pair<Bytes, Payload>> entries) const;

  /// Whether there was an entry.
  bool erase(View key);
  bool erase(Transaction& transaction, View key) const;

  /// Adds to a whole number, 0 if there is none, and keeps its expiry; the sum. No increment is ever lost.
  /// Throws invalid_argument if the value is no whole number, or the sum does not fit 64 bits with sign.
  std::int64_t increment(View key, std::int64_t by = 1);
  std::int64_t increment(Transaction& transaction, View key, std::int64_t by = 1) const;

  /// Lets an entry expire so much later, or never; whether there was one.
  bool expire(View key, std::optional<std::chrono::milliseconds> ttl);
  bool expire(Transaction& transaction, View key, std::optional<std::chrono::milliseconds> ttl) const;

  /// Live entries by key.
  Listing<KvEntry> list(const ListOptions& options = {}) const;

 private:
  Bytes key_of(View key) const;
  std::vector<Bytes> keys_of(std::span<const Bytes> keys) const;
  bool set(Transaction& transaction, PayloadUploads& uploads, View key, const Payload& value,
           const KvSetOptions& options) const;
  void set_many(Transaction& transaction, PayloadUploads& uploads,
                std::span<const std::pair<Bytes, Payload>> entries) const;

  Database database_;
  Bytes prefix_;
};

}  // namespace holdfast
