// What the blocks of a checkpoint hold: a run of items, or the footer. Every block of items names its
// database first, so that each can be understood without the others.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/file/aligned_buffer.h"
#include "backends/file/record.h"
#include "contract/head.h"

namespace holdfast::file {

/// Blocks begin at multiples of this.
inline constexpr std::size_t kBlockAlignment = 8;

enum class BlockItem : std::uint8_t {
  database = 1,
  head = 2,
  session = 3,
  log_row = 4,
  entry = 5,
  footer = 6
};

struct CheckpointFooter {
  /// The checkpoint was written beside commits: together with the log up to this lane sequence it is a state
  /// that existed, without it it may be none.
  std::uint64_t needs_sequence = 0;
  std::uint64_t databases = 0;
  std::uint64_t entries = 0;
};

void encode_session(AlignedBuffer& buffer, const SessionId& id, const SessionRecord& record);
SessionId decode_session(Decoder& decoder, SessionRecord& record);

}  // namespace holdfast::file
