// The digest of a database (§10.5): a sum over its live entries at one position, equal wherever the same data
// lie.
//
// Anybody can recompute it. For each live entry, hash with XXH3-128 (seed 0) the bytes
//
//     key size    8 bytes, little-endian          value size   8 bytes, little-endian
//     key                                         value
//     1 byte: 1 if the entry expires, else 0      expires_at   8 bytes, little-endian, Unix ms; 0 if it does
//     not
//
// in the order key size, key, value size, value, flag, expires_at; the digest is the sum of these hashes as
// 128-bit numbers, modulo 2^128. An empty database has the sum 0. Versions and order do not matter.
//
// Keys that only say how far back this copy's change log reaches ("!pin/...", "!compact") are left out: they
// differ between copies that hold the same data.
#pragma once

#include <cstddef>

#include "holdfast/store.h"

namespace holdfast {

/// The hash of one entry, to be added up.
struct EntryHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};
EntryHash hash_of(View key, View value, std::optional<UnixMs> expires_at_ms);
void add(Digest& digest, const EntryHash& hash);

/// Whether an entry under this key counts.
bool is_digested(View key);

struct DigestRequest {
  Deadline deadline{};
  std::uint64_t token = 0;            ///< of a fence that lets this caller through
  std::size_t page_entries = 10'000;  ///< 1..10,000
};

/// Reads the database page by page, then follows its change log until no page is out of date. A page that is
/// written to meanwhile is read again, once, and from then on kept entry by entry, so that further changes
/// are applied instead of read: it ends even if commits never stop, as long as they can be read faster than
/// they are made. Memory: one sum per page, 24 bytes per entry that expires, and about 100 bytes and the key
/// per entry of the pages that were written to. Throws timeout at the deadline.
Digest digest_of(Engine& engine, EngineDatabase& database, const DigestRequest& request);

}  // namespace holdfast
