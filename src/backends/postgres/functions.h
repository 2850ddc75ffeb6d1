// What the server does for us within one call: the functions in the store's schema.
#pragma once

#include <string>

namespace holdfast::postgres {

/// The statements that create all functions of the newest layout, with {s} for the schema.
std::string functions_text();

/// The checks that do not hold, as rows (batch, no), one query for both the commit's function and reads. All
/// arguments are SQL expressions: of the database's id, the effective time, the floor, the count of log rows,
/// and the arrays that begin with `c` and `u` (see commits.h).
std::string failing_checks(const std::string& db, const std::string& time, const std::string& floor,
                           const std::string& log_rows, const std::string& checks,
                           const std::string& unchanged);

}  // namespace holdfast::postgres
