// The tables `entry` and `body`: what is stored under which key. One object per connection; not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "backends/sqlite/connection.h"

namespace holdfast::sqlite {

/// Values above this size are kept in a table of their own: in `entry` they would thin out the pages that
/// every look-up goes through.
inline constexpr std::size_t kInlineValueBytes = 1024;

/// What is stored of an entry besides its key and value.
struct StoredEntry {
  Seq version = 0;
  std::optional<UnixMs> expires_at_ms;
  std::optional<std::int64_t> body;  ///< the row of `body` that holds the value
};

/// Of a row with version, expires and body from `column` on.
StoredEntry stored_entry_of(const Statement& row, int column);

class Entries {
 public:
  explicit Entries(Connection& connection) : connection_(connection) {}

  /// Without the value: for checks.
  std::optional<StoredEntry> find(std::int64_t database, View key);
  std::optional<Entry> get(std::int64_t database, View key);

  /// Gets the key, the rest, and the value if that is stored in the entry's row (see value()); returns
  /// whether to go on.
  using Visit = std::function<bool(View key, const StoredEntry& stored, View inline_value)>;
  /// Stored entries of the range in the order of their keys.
  void scan(std::int64_t database, const Range& range, bool reverse, bool keys_only, const Visit& visit);
  Bytes value(const StoredEntry& stored, View inline_value);

  /// Whether a stored entry of the range has after_ms < expires_at <= until_ms.
  bool any_expired_between(std::int64_t database, View begin, View end, UnixMs after_ms, UnixMs until_ms);
  /// Stored entries of the whole store, oldest expiry first; `visit` returns whether to go on.
  void by_expiry(const std::function<bool(View database, View key, UnixMs expires_at_ms)>& visit);

  void put(std::int64_t database, View key, View value, Seq version, std::optional<UnixMs> expires_at_ms);
  /// Judge a check and write at once, which looks the key up once instead of twice. True: the check held and
  /// the write is done. False: nothing is done, and the check may hold or not.
  bool try_put_if_version(std::int64_t database, View key, Seq expected, UnixMs time_ms, View value,
                          Seq version, std::optional<UnixMs> expires_at_ms);
  bool try_put_if_absent(std::int64_t database, View key, View value, Seq version,
                         std::optional<UnixMs> expires_at_ms);
  bool try_erase_if_version(std::int64_t database, View key, Seq expected, UnixMs time_ms);
  /// Both return whether an entry was removed.
  bool erase(std::int64_t database, View key);
  bool reap(std::int64_t database, View key, UnixMs time_ms);

 private:
  void remove(std::int64_t database, View key, std::optional<std::int64_t> body);

  Connection& connection_;
  Statement find_{connection_, "SELECT version, expires, body FROM entry WHERE db = ?1 AND key = ?2",
                  "checking an entry in"};
  Statement get_{connection_, "SELECT version, expires, body, value FROM entry WHERE db = ?1 AND key = ?2",
                 "reading from"};
  Statement get_body_{connection_, "SELECT bytes FROM body WHERE id = ?1", "reading from"};
  /// By bounded * 4 + reverse * 2 + keys_only.
  std::array<std::optional<Statement>, 8> scans_;
  Statement expired_{connection_,
                     "SELECT key FROM entry INDEXED BY entry_expiry WHERE expires > ?1 AND expires <= ?2 "
                     "AND db = ?3",
                     "checking a range in"};
  Statement by_expiry_{connection_,
                       "SELECT d.name, e.key, e.expires FROM entry e INDEXED BY entry_expiry CROSS JOIN db d "
                       "ON d.id = e.db WHERE e.expires IS NOT NULL ORDER BY e.expires, e.db, e.key",
                       "listing expired entries of"};
  // An entry with a body is left as it is by these, which then say that nothing changed.
  Statement put_{
      connection_,
      "INSERT INTO entry(db, key, version, expires, value) VALUES (?1, ?2, ?3, ?4, ?5) "
      "ON CONFLICT(db, key) DO UPDATE SET version = ?3, expires = ?4, value = ?5 WHERE body IS NULL",
      "writing to"};
  Statement erase_{connection_, "DELETE FROM entry WHERE db = ?1 AND key = ?2 AND body IS NULL",
                   "writing to"};
  Statement put_if_version_{
      connection_,
      "UPDATE entry SET version = ?3, expires = ?4, value = ?5 WHERE db = ?1 AND key = ?2 "
      "AND version = ?6 AND body IS NULL AND (expires IS NULL OR expires > ?7)",
      "writing to"};
  Statement put_if_absent_{connection_,
                           "INSERT OR IGNORE INTO entry(db, key, version, expires, value) "
                           "VALUES (?1, ?2, ?3, ?4, ?5)",
                           "writing to"};
  Statement erase_if_version_{
      connection_,
      "DELETE FROM entry WHERE db = ?1 AND key = ?2 AND version = ?3 AND body IS NULL "
      "AND (expires IS NULL OR expires > ?4)",
      "writing to"};
  Statement put_with_body_{connection_,
                           "INSERT INTO entry(db, key, version, expires, body) "
                           "VALUES (?1, ?2, ?3, ?4, ?5)",
                           "writing to"};
  Statement insert_body_{connection_, "INSERT INTO body(bytes) VALUES (?1)", "writing to"};
  Statement erase_any_{connection_, "DELETE FROM entry WHERE db = ?1 AND key = ?2", "writing to"};
  Statement erase_body_{connection_, "DELETE FROM body WHERE id = ?1", "writing to"};
};

}  // namespace holdfast::sqlite
