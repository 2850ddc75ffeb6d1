// Percent-encoding (RFC 3986), in store URLs, in requests and in the token file.
#pragma once

#include <optional>
#include <string>

#include "holdfast/types.h"

namespace holdfast {

/// Nothing if a '%' has no two hexadecimal digits after it. `is_query`: a '+' is a space.
std::optional<Bytes> percent_decoded(View text, bool is_query);
/// Letters, digits and -._~ stay, and '/' if it is to be kept.
std::string percent_encoded(View bytes, bool keep_slashes = false);

}  // namespace holdfast
