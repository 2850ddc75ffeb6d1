// How services build keys: segments joined by '/', readable, and in an order that means something.
//
// All segments but the last are escaped, so that no text of a user can look like a separator. The last one is
// stored as given: what is listed by it is in byte order of what the user gave, and a prefix of it is a
// prefix of the key.
#pragma once

#include <cstdint>

#include "holdfast/types.h"

namespace holdfast {

/// `text` with '/', '%' and control bytes written as '%' and two lower-case hexadecimal digits.
Bytes escaped_segment(View text);
/// The inverse. Throws corruption for what escaped_segment() does not give.
Bytes unescaped_segment(View text);

/// Longer segments are cut.
inline constexpr std::size_t kSegmentBytes = 400;
/// escaped_segment(), and if that has more than kSegmentBytes: its beginning, '~' and hash_segment().
/// Different texts give different segments; those that were cut keep their order up to the cut only, and the
/// text itself has to be kept elsewhere.
Bytes short_segment(View text);

/// 32 lower-case hexadecimal digits: the first half of the BLAKE2b-256 of `text`. Nobody can make two texts
/// that have the same.
Bytes hash_segment(View text);

/// 16 lower-case hexadecimal digits: sorts as the number does.
Bytes number_segment(std::uint64_t number);
/// The inverse. Throws corruption.
std::uint64_t segment_number(View digits);
/// Sorts negative numbers before positive ones.
Bytes signed_segment(std::int64_t number);
std::int64_t segment_signed(View digits);

/// Throws invalid_argument, naming `what`, unless `key` has 1 to limits::kServiceKeyBytes bytes.
void validate_user_key(View key, View what);
/// The prefix of a service's keys: 1 to 100 bytes without control bytes, not beginning with '!'. Throws
/// invalid_argument.
void validate_service_prefix(View prefix);

}  // namespace holdfast
