#include "backends/sqlite/databases.h"

#include "backends/sqlite/records.h"

namespace holdfast::sqlite {
namespace {

/// Sessions past their time go when this many new ones have come, so that forgetting them costs little.
constexpr std::int64_t kExpireEvery = 64;
constexpr std::size_t kMostHints = 10'000;

DatabaseRow row_of(const Statement& row) {
  return {row.integer(0), head_of(row, 1), row.integer(6), Bytes(row.bytes(7))};
}

}  // namespace

Head head_of(const Statement& row, int column) {
  Head head;
  head.history = row.unsigned_integer(column);
  head.seq = row.unsigned_integer(column + 1);
  head.time_ms = row.integer(column + 2);
  head.floor = row.unsigned_integer(column + 3);
  if (!row.is_null(column + 4)) head.fence = decode_fence(row.bytes(column + 4));
  return head;
}

std::optional<DatabaseRow> Databases::find(View name) {
  if (const std::int64_t id = hint(name); id != 0) {
    const Rows rows(find_by_hint_.bind(id, Text{name}));
    if (find_by_hint_.step()) return row_of(find_by_hint_);
  }
  const Rows rows(find_.bind(Text{name}));
  if (!find_.step()) return std::nullopt;
  DatabaseRow row = row_of(find_);
  remember(name, row.id);
  return row;
}

std::int64_t Databases::hint(View name) const {
  const auto found = hints_.find(name);
  return found == hints_.end() ? 0 : found->second;
}

void Databases::remember(View name, std::int64_t id) {
  if (hints_.size() >= kMostHints) hints_.clear();
  hints_.insert_or_assign(Bytes(name), id);
}

Position Databases::position(View name) {
  const Rows rows(position_.bind(Text{name}));
  if (!position_.step()) return {};
  return {position_.unsigned_integer(0), position_.unsigned_integer(1)};
}

void Databases::insert(View name, DatabaseRow& row) {
  const Head& head = row.head;
  const std::optional<Bytes> fence = encode_fence(head.fence);
  insert_.bind(Text{name}, head.history, head.seq, head.time_ms, head.floor, fence, row.sessions).run();
  row.id = connection_.last_insert_id();
}

void Databases::advance(const DatabaseRow& row) {
  advance_.bind(row.id, row.head.history, row.head.seq, row.head.time_ms, row.sessions, row.last_session)
      .run();
}

void Databases::update(const DatabaseRow& row) {
  const Head& head = row.head;
  const std::optional<Bytes> fence = encode_fence(head.fence);
  update_.bind(row.id, head.history, head.seq, head.time_ms, head.floor, fence).run();
}

void Databases::drop(std::int64_t id) {
  delete_.bind(id).run();
  keep_id_.bind(id).run();
}

bool Databases::has_dropped() {
  const Rows rows(dropped_.bind());
  return dropped_.step();
}

bool Databases::purge(std::int64_t limit) {
  std::int64_t id = 0;
  {
    const Rows rows(dropped_.bind());
    if (!dropped_.step()) return false;
    id = dropped_.integer(0);
  }
  std::int64_t left = limit - purge_entries(id, limit);
  for (Statement* statement : {&purge_log_, &purge_session_}) {
    if (left <= 0) return true;
    statement->bind(id, left).run();
    left -= connection_.changes();
  }
  if (left > 0) forget_.bind(id).run();
  return true;
}

std::int64_t Databases::purge_entries(std::int64_t id, std::int64_t limit) {
  std::vector<std::pair<Bytes, std::optional<std::int64_t>>> found;
  {
    Rows rows(purge_find_.bind(id, limit));
    while (rows.next()) found.emplace_back(purge_find_.bytes(0), purge_find_.optional_integer(1));
  }
  for (const auto& [key, body] : found) {
    purge_entry_.bind(id, key).run();
    if (body) purge_body_.bind(*body).run();
  }
  return static_cast<std::int64_t>(found.size());
}

std::vector<Bytes> Databases::names(View prefix, View after, std::size_t limit) {
  std::vector<Bytes> names;
  Rows rows(names_.bind(Text{after}, Text{prefix}, static_cast<std::int64_t>(limit)));
  while (rows.next() && names_.bytes(0).starts_with(prefix)) names.emplace_back(names_.bytes(0));
  return names;
}

std::optional<SessionRecord> Sessions::find(const DatabaseRow& row, const SessionId& id) {
  const Bytes key = session_key(id);
  if (row.last_session.starts_with(key)) return decode_session(row.last_session).record;
  const Rows rows(find_.bind(row.id, key));
  if (!find_.step()) return std::nullopt;
  SessionRecord record;
  record.number = find_.unsigned_integer(0);
  record.content_hash = find_.unsigned_integer(1);
  record.at = {find_.unsigned_integer(3), find_.unsigned_integer(4)};
  record.outcomes = decode_outcomes(find_.bytes(2), record.at);
  record.used_at_ms = find_.integer(5);
  return record;
}

void Sessions::save(DatabaseRow& row, const SessionId& id, const SessionRecord& record, bool is_new) {
  const Bytes key = session_key(id);
  if (!row.last_session.starts_with(key)) {
    if (!row.last_session.empty()) {
      const auto [last, kept] = decode_session(row.last_session);
      insert_
          .bind(row.id, last, kept.number, kept.content_hash, encode_outcomes(kept.outcomes), kept.at.history,
                kept.at.seq, kept.used_at_ms)
          .run();
    }
    if (!is_new) erase_.bind(row.id, key).run();
  }
  row.last_session = encode_session(id, record);
  if (!is_new) return;
  ++row.sessions;
  make_room(row);
}

void Sessions::make_room(DatabaseRow& row) {
  constexpr auto kMost = static_cast<std::int64_t>(limits::kSessions);
  if (row.sessions % kExpireEvery == 0) {
    expire_.bind(row.id, row.head.time_ms - limits::kSessionKeptMs).run();
    row.sessions -= connection_.changes();
  }
  if (row.sessions <= kMost) return;
  evict_.bind(row.id, row.head.time_ms - limits::kSessionUntouchableMs, row.sessions - kMost).run();
  row.sessions -= connection_.changes();
}

}  // namespace holdfast::sqlite
