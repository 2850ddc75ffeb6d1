// The head of a database as the statements give it.
#pragma once

#include <string>

#include "backends/postgres/connection.h"
#include "backends/postgres/values.h"
#include "contract/head.h"

namespace holdfast::postgres {

/// How a fence is kept: open is 0, and the detail is null unless it says more than the token.
std::string fence_detail(const Fence& fence);
Fence fence_of(std::int32_t state, std::int64_t token, View detail);

/// The columns that head_columns() names.
inline constexpr const char* kHeadColumns =
    "d.id, d.history, d.lineage, d.floor, d.fence, d.token, d.fence_detail, g.last_seq, g.time, "
    "pg_postmaster_start_time() AS started, d.epoch";
/// One row of kHeadColumns if $1::text is the name of a database.
inline constexpr const char* kHeadTables = R"sql(
  {s}.database d
  LEFT JOIN LATERAL (SELECT c.last_seq, c.time, c.log_rows FROM {s}.commits c WHERE c.db = d.id
                     ORDER BY c.last_seq DESC, c.ordinal DESC LIMIT 1) g ON true
)sql";
inline constexpr int kHeadColumnCount = 11;

struct HeadRow {
  std::int64_t id = 0;  ///< 0: there is no such database
  Head head;
  std::string lineage;
  std::int64_t server_started_us = 0;
  std::int64_t epoch = 0;  ///< raised by every change of the database's row
};
/// From row `row`, whose head columns begin at `column` and are null if there is no such database.
HeadRow head_row(const Rows& rows, int row, int column);

/// Whether the database was written under another past than that of the connection's server. Loses the
/// connection, with an error, if a pooler has put another server behind it.
bool is_of_another_past(const HeadRow& row, Connection& connection);

}  // namespace holdfast::postgres
