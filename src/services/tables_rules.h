// What names, keys and expiries the tables service takes. The order of the checks and their texts are part of
// its behaviour; all throw invalid_argument.
#pragma once

#include <optional>

#include "holdfast/types.h"

namespace holdfast {

void validate_table_name(View name);
void validate_table_key(View key);
void validate_dictionary_name(View name);

}  // namespace holdfast
