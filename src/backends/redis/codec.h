// The texts in which heads, fences, entries and outcomes are kept on the server and travel to its functions.
// Numbers are text there: a number of Lua is a double.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contract/head.h"
#include "contract/hex.h"
#include "holdfast/backend.h"

namespace holdfast::redis {

/// All of these throw corruption where the text is not what it should be.
std::uint64_t parse_hex(View text);
std::uint64_t parse_unsigned(View text);
std::int64_t parse_signed(View text);

/// "" for a fence that is open.
std::string encode_fence(const Fence& fence);
Fence decode_fence(View text);

/// "<expiry or -> "
std::string encode_expiry(const std::optional<UnixMs>& expires_at_ms);
/// From "<version> <expiry or -> <value>".
Entry decode_entry(View key, View stored);

/// What a group was told: "<history> <seq> +3,0,+1" is three batches applied, one whose first check failed,
/// one applied, and the position after them.
struct GroupAnswer {
  Position at;
  std::vector<Outcome> outcomes;
};
GroupAnswer decode_answer(View text);

/// "<number> <hash> <used at> <answer>"
SessionRecord decode_session(View text);

/// The fields of a head, in the order of the functions: history, seq, time, floor, fence, server.
inline constexpr std::size_t kHeadFields = 6;
struct StoredHead {
  Head head;
  std::string fence;   ///< as it is stored
  std::string server;  ///< which server wrote it
};
StoredHead decode_head(std::span<const std::optional<View>> fields);

}  // namespace holdfast::redis
