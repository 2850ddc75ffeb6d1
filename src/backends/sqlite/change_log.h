// The table `log`: which keys which commit changed. One object per connection; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/records.h"

namespace holdfast::sqlite {

class ChangeLog {
 public:
  explicit ChangeLog(Connection& connection) : connection_(connection) {}

  /// Adds a commit that changed `keys` (in any order; at least one). Not in the file before flush().
  void append(std::int64_t database, Seq seq, std::vector<Bytes>& keys);
  void flush(std::int64_t database);
  /// Forgets what was appended and not flushed.
  void discard() { row_.clear(); }

  /// The commits above `since`, oldest first; `visit` returns whether to go on.
  void walk(std::int64_t database, Seq since,
            const std::function<bool(Seq seq, const std::vector<View>& keys)>& visit);
  /// Frees up to `limit` rows that hold nothing above `floor`; whether some may be left.
  bool trim(std::int64_t database, Seq floor, std::int64_t limit);

 private:
  Connection& connection_;
  LogRow row_;
  Statement insert_{connection_, "INSERT INTO log(db, last, keys) VALUES (?1, ?2, ?3)", "writing to"};
  Statement walk_{connection_, "SELECT keys FROM log WHERE db = ?1 AND last > ?2 ORDER BY last",
                  "reading the change log of"};
  Statement trim_{connection_,
                  "DELETE FROM log WHERE db = ?1 AND last IN "
                  "(SELECT last FROM log WHERE db = ?1 AND last <= ?2 ORDER BY last LIMIT ?3)",
                  "trimming the change log of"};
};

}  // namespace holdfast::sqlite
