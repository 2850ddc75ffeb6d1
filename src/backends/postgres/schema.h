// The tables and functions in the store's schema, and their versions. docs/backends/postgres.md describes
// them.
#pragma once

#include <string>

#include "backends/postgres/connection.h"

namespace holdfast::postgres {

/// The newest layout that this library knows.
inline constexpr int kLayoutVersion = 1;

/// Brings the schema to kLayoutVersion, each step in one transaction; processes that start at once do it one
/// after another, and the later ones find it done. A schema that is current needs no right to change it.
/// Throws capability_missing for one that a newer library has made.
void migrate(Connection& connection, const std::string& schema, Deadline deadline);

/// Drops the schema with everything in it.
void remove_schema(Connection& connection, const std::string& schema, Deadline deadline);

/// `text` with every {s} replaced by the schema's name, quoted.
std::string in_schema(std::string text, const std::string& schema);

/// The number that locks a database of a schema, for `purpose` "commit"; or, with no name, the schema itself.
std::int64_t lock_number(View purpose, View schema, View database = {});

/// The checks that do not hold, as rows (batch, no), one query for both the commit's function and reads. All
/// arguments are SQL expressions: of the database's id, the effective time, the floor, the count of log rows,
/// and the arrays that begin with `c` and `u` (see commits.h).
std::string failing_checks(const std::string& db, const std::string& time, const std::string& floor,
                           const std::string& log_rows, const std::string& checks,
                           const std::string& unchanged);

}  // namespace holdfast::postgres
