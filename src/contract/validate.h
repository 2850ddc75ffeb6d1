// The limits of the contract, enforced before anything is sent. Every function throws invalid_argument,
// naming the limit, the value and the maximum.
#pragma once

#include "holdfast/backend.h"

namespace holdfast {

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(View text);

void validate_database_name(View name);
/// `engine` lets keys through that begin with '!'.
void validate_key(View key, bool engine = false);
void validate_batch(const Batch& batch, bool engine = false);
void validate_scan(const Range& range, const ScanOptions& options);
void validate_gets(std::size_t count);

/// Keys and values of a batch, in bytes, as limits::kBatchBytes counts them.
std::size_t batch_bytes(const Batch& batch);
/// XXH3-64 over the batches of a group (§3.2).
std::uint64_t content_hash(std::span<const Batch> batches);

}  // namespace holdfast
