#include "contract/validate.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast {
namespace {

[[noreturn]] void exceeded(const char* what, std::size_t value, std::size_t maximum, const char* unit) {
  throw Error(Code::invalid_argument, std::string(what) + ": " + std::to_string(value) + " " + unit +
                                          ", the maximum is " + std::to_string(maximum));
}

void validate_written_key(const Write& write, bool engine) {
  if (write.kind != Write::Kind::put_stamped) return validate_key(write.key, engine);
  const std::size_t size = write.key.size() + limits::kStampDigits + write.suffix.size();
  if (size > limits::kKeyBytes) exceeded("stamped key with its 16 digits", size, limits::kKeyBytes, "bytes");
  if (!engine && !write.key.empty() && write.key.front() == '!') validate_key(write.key, engine);
}

void validate_expiry(std::optional<UnixMs> expires_at_ms) {
  if (!expires_at_ms || (*expires_at_ms >= -limits::kExpiresAtMs && *expires_at_ms <= limits::kExpiresAtMs))
    return;
  throw Error(Code::invalid_argument, "expires_at_ms: " + std::to_string(*expires_at_ms) +
                                          " ms; a Unix time and its negative are at most " +
                                          std::to_string(limits::kExpiresAtMs));
}

/// XXH3 of numbers and of bytes with their sizes. Collected first: most pieces are a few bytes, and each
/// update of the hash costs as much as a piece.
class Hash {
 public:
  Hash() { XXH3_64bits_reset(&state_); }

  void add(std::uint64_t number) { append(&number, sizeof number); }
  void add(View bytes) {
    add(std::uint64_t{bytes.size()});
    append(bytes.data(), bytes.size());
  }
  std::uint64_t finish() {
    flush();
    return XXH3_64bits_digest(&state_);
  }

 private:
  void append(const void* data, std::size_t size) {
    if (size > buffer_.size() - used_) flush();
    if (size > buffer_.size()) {
      XXH3_64bits_update(&state_, data, size);
    } else if (size > 0) {
      std::memcpy(buffer_.data() + used_, data, size);
      used_ += size;
    }
  }
  void flush() {
    XXH3_64bits_update(&state_, buffer_.data(), used_);
    used_ = 0;
  }

  XXH3_state_t state_;
  std::array<char, 1024> buffer_;
  std::size_t used_ = 0;
};

}  // namespace

bool is_utf8(View text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    // Eight bytes at once as long as they are ASCII: nearly every text is.
    std::uint64_t eight = 0;
    while (end - at >= 8) {
      std::memcpy(&eight, at, sizeof eight);
      if ((eight & 0x8080808080808080) != 0) break;
      at += 8;
    }
    if (at == end) break;
    const unsigned lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - at < more) return false;
    if ((lead == 0xE0 && *at < 0xA0) || (lead == 0xED && *at > 0x9F)) return false;
    if ((lead == 0xF0 && *at < 0x90) || (lead == 0xF4 && *at > 0x8F)) return false;
    for (int i = 0; i < more; ++i, ++at) {
      if ((*at & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

void validate_database_name(View name) {
  if (name.empty()) throw Error(Code::invalid_argument, "a database name has at least one byte");
  if (name.size() > limits::kDatabaseNameBytes) {
    exceeded("database name", name.size(), limits::kDatabaseNameBytes, "bytes");
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20) {
      throw Error(Code::invalid_argument, "a database name has no bytes below 0x20");
    }
  }
  if (!is_utf8(name)) throw Error(Code::invalid_argument, "a database name is valid UTF-8");
}

void validate_key(View key, bool engine) {
  if (key.empty()) throw Error(Code::invalid_argument, "a key has at least one byte");
  if (key.size() > limits::kKeyBytes) exceeded("key", key.size(), limits::kKeyBytes, "bytes");
  if (!engine && key.front() == '!') {
    throw Error(Code::invalid_argument, "keys beginning with '!' belong to the engine");
  }
}

void validate_batch(const Batch& batch, bool engine) {
  if (batch.checks.size() > limits::kBatchChecks) {
    exceeded("checks of a batch", batch.checks.size(), limits::kBatchChecks, "checks");
  }
  if (batch.writes.empty())
    throw Error(Code::invalid_argument, "a batch has at least one write; use a read for checks");
  if (batch.writes.size() > limits::kBatchWrites) {
    exceeded("writes of a batch", batch.writes.size(), limits::kBatchWrites, "writes");
  }
  for (const Check& check : batch.checks) {
    if (check.kind != Check::Kind::unchanged) validate_key(check.key, engine);
  }
  for (const Write& write : batch.writes) {
    validate_written_key(write, engine);
    validate_expiry(write.expires_at_ms);
    if (write.value.size() > limits::kValueBytes) {
      exceeded("value", write.value.size(), limits::kValueBytes, "bytes; larger payloads go to Objects");
    }
  }
  const std::size_t bytes = batch_bytes(batch);
  if (bytes > limits::kBatchBytes)
    exceeded("keys and values of a batch", bytes, limits::kBatchBytes, "bytes");
}

void validate_scan(const Range& range, const ScanOptions& options) {
  if (options.limit == 0) throw Error(Code::invalid_argument, "the limit of a scan is at least 1");
  if (options.limit > limits::kScanEntries) {
    exceeded("limit of a scan", options.limit, limits::kScanEntries, "entries");
  }
  // Bounds are not keys: the successor of a 2,048-byte key is one byte longer.
  const std::size_t bound = std::max(range.begin.size(), range.end.size());
  if (bound > limits::kKeyBytes + 1) exceeded("bound of a range", bound, limits::kKeyBytes + 1, "bytes");
}

void validate_gets(std::size_t count) {
  if (count > limits::kReadGets) exceeded("keys of one read", count, limits::kReadGets, "keys");
}

std::size_t batch_bytes(const Batch& batch) {
  std::size_t bytes = 0;
  for (const Check& check : batch.checks) bytes += check.key.size() + check.end.size();
  for (const Write& write : batch.writes)
    bytes += write.key.size() + write.suffix.size() + write.value.size();
  return bytes;
}

std::uint64_t content_hash(std::span<const Batch> batches) {
  Hash hash;
  for (const Batch& batch : batches) {
    hash.add(batch.checks.size());
    for (const Check& check : batch.checks) {
      hash.add(static_cast<std::uint64_t>(check.kind));
      hash.add(check.key);
      hash.add(check.end);
      hash.add(check.version);
      hash.add(static_cast<std::uint64_t>(check.read_time_ms));
    }
    hash.add(batch.writes.size());
    for (const Write& write : batch.writes) {
      hash.add(static_cast<std::uint64_t>(write.kind));
      hash.add(write.key);
      hash.add(write.suffix);
      hash.add(write.value);
      hash.add(write.expires_at_ms ? 1u : 0u);
      hash.add(static_cast<std::uint64_t>(write.expires_at_ms.value_or(0)));
      hash.add(write.version);
    }
  }
  return hash.finish();
}

}  // namespace holdfast
