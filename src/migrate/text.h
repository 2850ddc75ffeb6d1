// What dumps and the command line print: JSON strings, numbers in hexadecimal.
#pragma once

#include <optional>
#include <string>

#include "holdfast/types.h"

namespace holdfast::migrate {

/// Appends `text`, which is UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, View text);
std::string json_string(View text);

/// A number as 16 lower-case hexadecimal digits, and back.
std::string hex16(std::uint64_t number);
std::optional<std::uint64_t> from_hex16(View text);

}  // namespace holdfast::migrate
