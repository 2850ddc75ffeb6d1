#include "backends/file/session_table.h"

namespace holdfast::file {

const SessionRecord* SessionTable::find(const SessionId& id) const {
  const auto at = by_id_.find(id);
  return at == by_id_.end() ? nullptr : &at->second->second;
}

SessionRecord& SessionTable::use(const SessionId& id) {
  const auto at = by_id_.find(id);
  if (at != by_id_.end()) {
    by_use_.splice(by_use_.end(), by_use_, at->second);
    return at->second->second;
  }
  by_use_.emplace_back(id, SessionRecord{});
  by_id_.emplace(id, std::prev(by_use_.end()));
  return by_use_.back().second;
}

void SessionTable::expire(UnixMs head_time_ms) {
  while (!by_use_.empty()) {
    const SessionRecord& oldest = by_use_.front().second;
    const bool too_many = by_use_.size() > limits::kSessions && session_is_evictable(oldest, head_time_ms);
    if (!too_many && !session_may_expire(oldest, head_time_ms)) return;
    by_id_.erase(by_use_.front().first);
    by_use_.pop_front();
  }
}

void SessionTable::clear() {
  by_use_.clear();
  by_id_.clear();
}

}  // namespace holdfast::file
