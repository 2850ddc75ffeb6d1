// What the sessions of one database were told last, in the order of their use (§3.4 a, §3.8).
//
// Not thread-safe: the lane's mutex guards it.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <list>

#include "contract/head.h"

namespace holdfast::file {

class SessionTable {
 public:
  using Item = std::pair<SessionId, SessionRecord>;

  /// Null for an unknown session. Valid until the table is changed.
  const SessionRecord* find(const SessionId& id) const;
  /// The record of `id`, created if there is none, as the most recently used; the caller fills it in. Its old
  /// memory is reused.
  SessionRecord& use(const SessionId& id);
  /// Drops what may or must go at `head_time_ms`, the least recently used first.
  void expire(UnixMs head_time_ms);
  void clear();
  /// The least recently used first.
  const std::list<Item>& by_use() const { return by_use_; }

 private:
  std::list<Item> by_use_;
  absl::flat_hash_map<SessionId, std::list<Item>::iterator> by_id_;
};

}  // namespace holdfast::file
