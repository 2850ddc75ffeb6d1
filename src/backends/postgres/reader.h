// Everything that only reads: one round trip, one snapshot.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/postgres/head_row.h"
#include "backends/postgres/server.h"
#include "contract/answer.h"
#include "holdfast/backend.h"

namespace holdfast::postgres {

class Reader {
 public:
  /// By direction, forwards first, and by what is asked for.
  using Scans = std::array<std::array<Statement, 3>, 2>;

  Reader(Server& server, const std::string& schema);

  ReadAnswer read(View database, const ReadRequest& request);
  Changes changes(View database, const ChangesRequest& request);
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline);
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline);
  /// §8.4.
  std::vector<std::size_t> behind(std::span<const Cursor> cursors, Deadline deadline);

 private:
  /// Runs `read(connection)` on a connection for reads, and again on another one until the deadline if it was
  /// lost: reads may be repeated.
  template <class Read>
  auto with_connection(Deadline deadline, const Read& read);
  /// A new past is begun by the first who finds that the cluster is another one (§1.5).
  void adopt(Connection& connection, View database, Deadline deadline);

  /// `values` says how those of scans are asked for: as if they were small, or, if that was wrong, any.
  ReadAnswer read_once(Connection& connection, View database, const ReadRequest& request, Deadline deadline,
                       std::size_t values);
  std::optional<ReadAnswer> read_one(Connection& connection, View database, const ReadRequest& request,
                                     Deadline deadline);
  /// The head, with the entry behind it in `rows`, whose columns begin with the newest commit's. Nothing if
  /// it is not known what to look for, or if the database's row is not what it was when it was read last.
  std::optional<HeadRow> read_near(Connection& connection, View database, View key, Deadline deadline,
                                   Rows& rows);
  /// Nothing if a value was not sent since it is larger than most.
  static std::optional<Page> page_of(const Rows& rows, const Scan& scan, std::size_t values,
                                     AnswerBudget& budget);
  static void take_gets(const Rows& rows, const ReadRequest& request, AnswerBudget& budget,
                        ReadAnswer& answer);
  Changes changes_once(Connection& connection, View database, const ChangesRequest& request,
                       Deadline deadline);

  /// The row of an open database as it was read last, and a commit that it has or had.
  std::optional<HeadRow> place_of(View database);
  void remember(View database, const HeadRow& row);

  Server& server_;
  const std::string schema_;
  const Statement begin_, end_, head_, one_, near_, gets_, checks_, changes_, lock_, adopt_, expired_,
      databases_, heads_;
  const Scans scans_;
  std::mutex mutex_;
  std::map<Bytes, HeadRow, std::less<>> places_;
};

}  // namespace holdfast::postgres
