// The tables `db`, `dropped` and `session`: heads, and what is known of the engines that write. One object
// per connection; not thread-safe. Databases are named by their row id, which is never used again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "backends/sqlite/connection.h"
#include "contract/head.h"

namespace holdfast::sqlite {

/// A row of `db`.
struct DatabaseRow {
  std::int64_t id = 0;
  Head head;
  std::int64_t sessions = 0;  ///< how many there are
  Bytes last_session;         ///< encode_session() of the one that committed last; empty if there is none
};

/// Of a row with history, seq, time, floor and fence from `column` on.
Head head_of(const Statement& row, int column);

class Databases {
 public:
  explicit Databases(Connection& connection) : connection_(connection) {}
  std::optional<DatabaseRow> find(View name);
  /// The row that `name` had when it was last found, or 0. It may be another one by now: a row is found by it
  /// only together with the name, which is never given to two rows at once.
  std::int64_t hint(View name) const;
  /// {0, 0} if there is none.
  Position position(View name);
  /// Sets `row.id`.
  void insert(View name, DatabaseRow& row);
  /// Writes what a commit may have changed.
  void advance(const DatabaseRow& row);
  /// Writes the whole head.
  void update(const DatabaseRow& row);
  /// Removes the row and remembers that what belongs to its id must go.
  void drop(std::int64_t id);
  /// Frees up to `limit` rows of dropped databases; whether some may be left.
  bool purge(std::int64_t limit);
  bool has_dropped();
  std::vector<Bytes> names(View prefix, View after, std::size_t limit);

 private:
  std::int64_t purge_entries(std::int64_t id, std::int64_t limit);
  void remember(View name, std::int64_t id);

  Connection& connection_;
  std::map<Bytes, std::int64_t, std::less<>> hints_;
  Statement find_{
      connection_,
      "SELECT id, history, seq, time, floor, fence, sessions, last_session FROM db WHERE name = ?1",
      "reading a head in"};
  Statement find_by_hint_{connection_,
                          "SELECT id, history, seq, time, floor, fence, sessions, last_session FROM db WHERE "
                          "id = ?1 AND name = ?2",
                          "reading a head in"};
  Statement position_{connection_, "SELECT history, seq FROM db WHERE name = ?1", "reading a head in"};
  Statement insert_{connection_,
                    "INSERT INTO db(name, history, seq, time, floor, fence, sessions) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    "creating a database in"};
  Statement advance_{connection_,
                     "UPDATE db SET history = ?2, seq = ?3, time = ?4, sessions = ?5, last_session = ?6 "
                     "WHERE id = ?1",
                     "committing to"};
  Statement update_{connection_,
                    "UPDATE db SET history = ?2, seq = ?3, time = ?4, floor = ?5, fence = ?6 WHERE id = ?1",
                    "changing a head in"};
  Statement delete_{connection_, "DELETE FROM db WHERE id = ?1", "dropping a database in"};
  Statement keep_id_{connection_, "INSERT INTO dropped(id) VALUES (?1)", "dropping a database in"};
  Statement dropped_{connection_, "SELECT id FROM dropped LIMIT 1", "looking for dropped databases in"};
  Statement forget_{connection_, "DELETE FROM dropped WHERE id = ?1", "freeing a dropped database in"};
  Statement purge_log_{connection_,
                       "DELETE FROM log WHERE db = ?1 AND last IN "
                       "(SELECT last FROM log WHERE db = ?1 LIMIT ?2)",
                       "freeing a dropped database in"};
  Statement purge_session_{connection_,
                           "DELETE FROM session WHERE db = ?1 AND id IN "
                           "(SELECT id FROM session WHERE db = ?1 LIMIT ?2)",
                           "freeing a dropped database in"};
  Statement purge_find_{connection_, "SELECT key, body FROM entry WHERE db = ?1 LIMIT ?2",
                        "freeing a dropped database in"};
  Statement purge_entry_{connection_, "DELETE FROM entry WHERE db = ?1 AND key = ?2",
                         "freeing a dropped database in"};
  Statement purge_body_{connection_, "DELETE FROM body WHERE id = ?1", "freeing a dropped database in"};
  Statement names_{connection_, "SELECT name FROM db WHERE name > ?1 AND name >= ?2 ORDER BY name LIMIT ?3",
                   "listing the databases of"};
};

class Sessions {
 public:
  explicit Sessions(Connection& connection) : connection_(connection) {}
  std::optional<SessionRecord> find(const DatabaseRow& row, const SessionId& id);
  /// `is_new`: find() found nothing. Sets `row.last_session`, counts in `row.sessions` and evicts by §3.8;
  /// advance() writes the row.
  void save(DatabaseRow& row, const SessionId& id, const SessionRecord& record, bool is_new);

 private:
  void make_room(DatabaseRow& row);

  Connection& connection_;
  Statement find_{
      connection_,
      "SELECT number, hash, outcomes, history, seq, used_at FROM session WHERE db = ?1 AND id = ?2",
      "reading a session in"};
  Statement insert_{connection_,
                    "INSERT INTO session(db, id, number, hash, outcomes, history, seq, used_at) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    "recording a session in"};
  Statement erase_{connection_, "DELETE FROM session WHERE db = ?1 AND id = ?2", "recording a session in"};
  Statement expire_{connection_, "DELETE FROM session WHERE db = ?1 AND used_at < ?2",
                    "forgetting sessions in"};
  Statement evict_{connection_,
                   "DELETE FROM session WHERE db = ?1 AND used_at < ?2 AND id IN "
                   "(SELECT id FROM session WHERE db = ?1 ORDER BY used_at, id LIMIT ?3)",
                   "forgetting sessions in"};
};

}  // namespace holdfast::sqlite
