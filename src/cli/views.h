// The entries of a database as SQL views with typed columns.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "holdfast/store.h"

namespace holdfast::cli {

struct SqlView {
  std::string name;
  std::string sql;  ///< the whole statement
};

/// What the statements are written in. PostgreSQL's names end after 63 bytes.
enum class SqlDialect : std::uint8_t { sqlite, postgresql };

/// One view for each first two segments of keys ("kv/entry/"), with the columns key, version, expires_at_ms
/// and what JSON values of a sample have as members. Reads up to 200 entries for each
/// view, at most 500 views; `on_page` is called between reads and may throw.
std::vector<SqlView> sql_views_of(const Database& database, SqlDialect dialect,
                                  const std::function<void()>& on_page);

}  // namespace holdfast::cli
