// The layout of the file and its versions. docs/backends/sqlite.md describes the tables.
#pragma once

#include <span>

#include "backends/sqlite/connection.h"

namespace holdfast::sqlite {

/// Written to the file's `application_id`: "HOLD".
inline constexpr std::int64_t kApplicationId = 0x484F4C44;

/// SQL that brings a file of layout i to layout i + 1, i being its place in the list. The layout is the
/// file's `user_version`; the newest that a list knows is its size.
using Migrations = std::span<const char* const>;

/// Those to the layout that this library reads and writes.
Migrations library_migrations();

enum class SchemaState : std::uint8_t {
  current,
  outdated,  ///< empty, or of an earlier layout: migrate() makes it current
};

/// Throws for a file that is no database, that belongs to another program or that a newer library has
/// written.
SchemaState judge_schema(Connection& connection, Migrations migrations);

/// Takes the steps that the file lacks, each in one transaction; after one that throws the file has the
/// layout before it, and a later call goes on from there. Whoever calls it at the same time on another
/// connection does it one after another, and the later ones find it done.
void migrate(Connection& connection, Migrations migrations);

/// Creates the file or brings it to the newest layout, if it needs that, with the writers of other processes
/// held up meanwhile. Throws as judge_schema() does, and leaves such a file as it is, without side files.
void prepare_file(const std::string& path, Migrations migrations, const Environment& environment,
                  std::int64_t cache_size_bytes);

/// Sets what every connection needs; throws if the file cannot be in write-ahead-log mode.
void configure(Connection& connection, std::int64_t cache_size_bytes);

}  // namespace holdfast::sqlite
