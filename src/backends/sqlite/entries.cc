#include "backends/sqlite/entries.h"

#include "backends/sqlite/records.h"

namespace holdfast::sqlite {
namespace {

constexpr std::array<const char*, 8> kScans = {
    "SELECT key, version, expires, body, value FROM entry WHERE db = ?1 AND key >= ?2 ORDER BY key",
    "SELECT key, version, expires, body FROM entry WHERE db = ?1 AND key >= ?2 ORDER BY key",
    "SELECT key, version, expires, body, value FROM entry WHERE db = ?1 AND key >= ?2 ORDER BY key DESC",
    "SELECT key, version, expires, body FROM entry WHERE db = ?1 AND key >= ?2 ORDER BY key DESC",
    "SELECT key, version, expires, body, value FROM entry WHERE db = ?1 AND key >= ?2 AND key < ?3 "
    "ORDER BY key",
    "SELECT key, version, expires, body FROM entry WHERE db = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    "SELECT key, version, expires, body, value FROM entry WHERE db = ?1 AND key >= ?2 AND key < ?3 "
    "ORDER BY key DESC",
    "SELECT key, version, expires, body FROM entry WHERE db = ?1 AND key >= ?2 AND key < ?3 ORDER BY key "
    "DESC",
};

/// Rows between two looks at the clock.
constexpr std::size_t kRowsPerLook = 1024;

}  // namespace

StoredEntry stored_entry_of(const Statement& row, int column) {
  return {row.unsigned_integer(column), row.optional_integer(column + 1), row.optional_integer(column + 2)};
}

std::optional<StoredEntry> Entries::find(std::int64_t database, View key) {
  const Rows rows(find_.bind(database, key));
  if (!find_.step()) return std::nullopt;
  return stored_entry_of(find_, 0);
}

std::optional<Entry> Entries::get(std::int64_t database, View key) {
  const Rows rows(get_.bind(database, key));
  if (!get_.step()) return std::nullopt;
  const StoredEntry found = stored_entry_of(get_, 0);
  return Entry{Bytes(key), value(found, get_.bytes(3)), found.version, found.expires_at_ms};
}

void Entries::scan(std::int64_t database, const Range& range, bool reverse, bool keys_only,
                   const Visit& visit) {
  const bool bounded = !range.end.empty();
  const std::size_t index = (bounded ? 4u : 0u) + (reverse ? 2u : 0u) + (keys_only ? 1u : 0u);
  std::optional<Statement>& slot = scans_[index];
  if (!slot) slot.emplace(connection_, kScans[index], "reading from");
  if (bounded) {
    slot->bind(database, range.begin, range.end);
  } else {
    slot->bind(database, range.begin);
  }
  Rows rows(*slot);
  for (std::size_t count = 1; rows.next(); ++count) {
    if (!visit(slot->bytes(0), stored_entry_of(*slot, 1), keys_only ? View() : slot->bytes(4))) return;
    if (count % kRowsPerLook == 0) connection_.demand_time("reading from");
  }
}

Bytes Entries::value(const StoredEntry& stored, View inline_value) {
  if (!stored.body) return Bytes(inline_value);
  const Rows rows(get_body_.bind(*stored.body));
  if (!get_body_.step()) connection_.fail(SQLITE_CORRUPT, "reading from");
  return Bytes(get_body_.bytes(0));
}

bool Entries::any_expired_between(std::int64_t database, View begin, View end, UnixMs after_ms,
                                  UnixMs until_ms) {
  Rows rows(expired_.bind(after_ms, until_ms, database));
  while (rows.next()) {
    const View key = expired_.bytes(0);
    if (key >= begin && (end.empty() || key < end)) return true;
  }
  return false;
}

void Entries::by_expiry(const std::function<bool(View, View, UnixMs)>& visit) {
  Rows rows(by_expiry_.bind());
  while (rows.next() && visit(by_expiry_.bytes(0), by_expiry_.bytes(1), by_expiry_.integer(2))) {
  }
}

void Entries::put(std::int64_t database, View key, View value, Seq version,
                  std::optional<UnixMs> expires_at_ms) {
  if (value.size() <= kInlineValueBytes) {
    const auto write = [&](const auto& typed_value) {
      put_.bind(database, key, version, expires_at_ms, typed_value).run();
      return connection_.changes() != 0;
    };
    const auto write_typed = [&] { return is_text(value) ? write(Text{value}) : write(value); };
    if (write_typed()) return;
    erase(database, key);
    write_typed();
    return;
  }
  erase(database, key);
  if (is_text(value)) {
    insert_body_.bind(Text{value}).run();
  } else {
    insert_body_.bind(value).run();
  }
  put_with_body_.bind(database, key, version, expires_at_ms, connection_.last_insert_id()).run();
}

bool Entries::try_put_if_version(std::int64_t database, View key, Seq expected, UnixMs time_ms, View value,
                                 Seq version, std::optional<UnixMs> expires_at_ms) {
  if (value.size() > kInlineValueBytes) return false;
  const auto write = [&](const auto& typed_value) {
    put_if_version_.bind(database, key, version, expires_at_ms, typed_value, expected, time_ms).run();
  };
  is_text(value) ? write(Text{value}) : write(value);
  return connection_.changes() != 0;
}

bool Entries::try_put_if_absent(std::int64_t database, View key, View value, Seq version,
                                std::optional<UnixMs> expires_at_ms) {
  if (value.size() > kInlineValueBytes) return false;
  const auto write = [&](const auto& typed_value) {
    put_if_absent_.bind(database, key, version, expires_at_ms, typed_value).run();
  };
  is_text(value) ? write(Text{value}) : write(value);
  return connection_.changes() != 0;
}

bool Entries::try_erase_if_version(std::int64_t database, View key, Seq expected, UnixMs time_ms) {
  erase_if_version_.bind(database, key, expected, time_ms).run();
  return connection_.changes() != 0;
}

bool Entries::erase(std::int64_t database, View key) {
  erase_.bind(database, key).run();
  if (connection_.changes() != 0) return true;
  const std::optional<StoredEntry> found = find(database, key);
  if (!found) return false;
  remove(database, key, found->body);
  return true;
}

bool Entries::reap(std::int64_t database, View key, UnixMs time_ms) {
  const std::optional<StoredEntry> found = find(database, key);
  if (!found || !found->expires_at_ms || *found->expires_at_ms > time_ms) return false;
  remove(database, key, found->body);
  return true;
}

void Entries::remove(std::int64_t database, View key, std::optional<std::int64_t> body) {
  erase_any_.bind(database, key).run();
  if (body) erase_body_.bind(*body).run();
}

}  // namespace holdfast::sqlite
