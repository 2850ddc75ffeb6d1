// What dumps and the command line print: JSON strings, numbers in hexadecimal.
#pragma once

#include <optional>
#include <string>

#include "holdfast/types.h"

namespace holdfast::migrate {

/// Appends `text`, which is UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, View text);
std::string json_string(View text);

/// The number that hex16() wrote; none for any other text.
std::optional<std::uint64_t> from_hex16(View text);

}  // namespace holdfast::migrate
