// Base64 with padding (RFC 4648 section 4), for bytes within JSON.
#pragma once

#include <optional>

#include "holdfast/types.h"

namespace holdfast {

Bytes to_base64(View bytes);
/// Nothing for what is not exactly the Base64 of some bytes.
std::optional<Bytes> from_base64(View text);

}  // namespace holdfast
