// Every limit of the storage contract. The engine enforces them before anything is sent; the error names the
// limit, the value and the maximum.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::limits {

inline constexpr std::size_t kDatabaseNameBytes = 200;
inline constexpr std::size_t kKeyBytes = 2'048;
inline constexpr std::size_t kValueBytes = 1'048'576;
inline constexpr std::size_t kBatchChecks = 2'000;
inline constexpr std::size_t kBatchWrites = 2'000;
/// Keys and values of one batch.
inline constexpr std::size_t kBatchBytes = 8u << 20;
inline constexpr std::size_t kGroupBatches = 1'024;
/// Keys and values of one group.
inline constexpr std::size_t kGroupBytes = 8u << 20;
/// Submitted batches that may be under way at the same time in one lane, and their keys and values.
inline constexpr std::size_t kSubmittedBatches = 65'536;
inline constexpr std::size_t kSubmittedBytes = 256u << 20;
inline constexpr std::size_t kReadGets = 1'000;
inline constexpr std::size_t kScanEntries = 10'000;
/// Keys and values of one answer, but at least one entry (§2.4).
inline constexpr std::size_t kAnswerBytes = 8u << 20;
/// `unchanged` may fail, for cost, when more than this many log rows are newer than its `since` (§4.3).
inline constexpr std::size_t kUnchangedLogRows = 10'000;
/// Digits that put_stamped adds to the key.
inline constexpr std::size_t kStampDigits = 16;
inline constexpr std::uint64_t kMaxSeq = (std::uint64_t{1} << 53) - 1;
/// The latest expiry, and with a minus the earliest: exact in a double, like a seq.
inline constexpr std::int64_t kExpiresAtMs = (std::int64_t{1} << 53) - 1;

/// Sessions (§3.8): kept this long after their last use, at most this many, never dropped within the hour.
inline constexpr std::int64_t kSessionKeptMs = 7ll * 24 * 3600 * 1000;
inline constexpr std::size_t kSessions = 10'000;
inline constexpr std::int64_t kSessionUntouchableMs = 3600ll * 1000;
/// An engine abandons a session that it has not used for this long.
inline constexpr std::int64_t kSessionAbandonedMs = 24ll * 3600 * 1000;

/// Default of the store option `clock_skew_limit_ms`; 0 turns the limit off (§1.9).
inline constexpr std::int64_t kClockSkewLimitMs = 60'000;
/// Default of the store option `timeout_ms`.
inline constexpr std::int64_t kTimeoutMs = 30'000;
/// No call outlives its deadline by more than this.
inline constexpr std::chrono::milliseconds kDeadlineGrace{1'000};

/// Compaction keeps the older of these two (§6.4).
inline constexpr std::int64_t kLogKeptMs = 3600ll * 1000;
inline constexpr std::uint64_t kLogKeptRows = 1'000'000;

}  // namespace holdfast::limits
