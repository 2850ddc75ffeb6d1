// The layout of the file and its versions. docs/backends/sqlite.md describes the tables.
#pragma once

#include "backends/sqlite/connection.h"

namespace holdfast::sqlite {

/// Written to the file's `application_id`: "HOLD".
inline constexpr std::int64_t kApplicationId = 0x484F4C44;
/// The newest layout that this library knows, the file's `user_version`.
inline constexpr std::int64_t kSchemaVersion = 1;

enum class SchemaState : std::uint8_t {
  current,
  outdated,  ///< empty, or of an earlier version: migrate() makes it current
};

/// Throws for a file that is no database, that belongs to another program or that a newer library has
/// written.
SchemaState judge_schema(Connection& connection);

/// Brings the file to kSchemaVersion, each step in one transaction. To be called by the holder of the writer
/// lock; processes that start at once do it one after another, and the later ones find it done.
void migrate(Connection& connection);

/// Sets what every connection needs; throws if the file cannot be in write-ahead-log mode.
void configure(Connection& connection, std::int64_t cache_size_bytes);

}  // namespace holdfast::sqlite
