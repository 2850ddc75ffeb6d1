// The tables and functions in the store's schema, and their versions. docs/backends/postgres.md describes
// them.
#pragma once

#include <string>

#include "backends/postgres/connection.h"

namespace holdfast::postgres {

/// The newest layout that this library knows. To be raised with every change of a table or of a function: a
/// schema that has this number is taken as it is.
inline constexpr int kLayoutVersion = 3;

/// Brings the schema to kLayoutVersion in one transaction; processes that start at once do it one after
/// another, and the later ones find it done. A schema that is current needs no right to change it.
/// Throws capability_missing for one that a newer library has made.
void migrate(Connection& connection, const std::string& schema, Deadline deadline);

/// Drops the schema with everything in it.
void remove_schema(Connection& connection, const std::string& schema, Deadline deadline);

/// `text` with every `what` replaced.
std::string replaced(std::string text, const std::string& what, const std::string& by);

/// `text` with every {s} replaced by the schema's name, quoted.
std::string in_schema(std::string text, const std::string& schema);

/// The number that locks a database of a schema, for `purpose` "commit"; or, with no name, the schema itself.
std::int64_t lock_number(View purpose, View schema, View database = {});

}  // namespace holdfast::postgres
