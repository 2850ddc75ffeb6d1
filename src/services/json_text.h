// JSON as text: what services store is checked and stripped of white space, and otherwise left as it is.
#pragma once

#include "contract/validate.h"  // is_utf8
#include "holdfast/types.h"

namespace holdfast {

/// `text` without white space between its tokens. Throws invalid_argument naming the offset if it is not JSON
/// (RFC 8259) in UTF-8, or nested deeper than limits::kPayloadDepth. Cost: one pass.
Bytes minified_json(View text);

/// How many bytes from `at` on stand in a JSON string as they are: no quote, no backslash, no control
/// character below 0x20. Whether they are UTF-8 is not looked at. Cost: a step for each eight bytes.
std::size_t plain_json_length(View text, std::size_t at);

/// `text` as a JSON string, quotes included. Throws invalid_argument if it is not UTF-8.
Bytes json_string(View text);

/// The text that a JSON string, quotes included, stands for. Half of a surrogate pair, which has no UTF-8,
/// becomes three bytes that are none either, and is noted in `has_half_pair`. Throws corruption for what is
/// no JSON string.
Bytes decoded_json_string(View quoted, bool* has_half_pair = nullptr);

}  // namespace holdfast
