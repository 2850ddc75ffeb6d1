// Commits: each group is one call of one of the schema's functions; the groups of a call go down together, in
// one round trip and one transaction. commit_puts does what most groups are, commit_group everything, and
// what the first has left alone in another round.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/postgres/server.h"

namespace holdfast::postgres {

class Committer {
 public:
  Committer(Server& server, std::string schema);
  /// Gives each group its outcomes or its error. Whether anything was written.
  bool commit(std::span<Group> groups);

 private:
  struct Task {
    Group* group;
    bool is_general;  ///< for commit_group
  };
  using Pending = std::vector<Task>;
  /// The ids of a database and of a session in it.
  struct Place {
    std::int64_t database = 0;
    std::int64_t session = 0;
    std::uint32_t detour = 0;  ///< groups that shall not be tried as mere puts
  };

  /// One round trip; returns what is left to do: the groups whose database is locked by somebody else, those
  /// that are not as simple as they looked, or all of them if the connection leads to another server now.
  Pending commit_once(Connection& connection, const Pending& groups, Deadline deadline, bool& has_written);
  void commit_alone(const Pending& groups, Deadline deadline, bool& has_written);
  Call call_for(const Task& task, const ServerFacts& facts, bool waits);
  Call general_call(const Group& group, const ServerFacts& facts, bool waits) const;
  Call puts_call(const Group& group, const Place& place, const ServerFacts& facts, bool waits) const;
  /// Takes over what commit_group has answered.
  void take_answer(Group& group, const Rows& rows, bool& has_written);
  /// Takes over what commit_puts has done.
  static void take_puts(Group& group, const Rows& rows);
  /// Nothing if it is not known, or not to be used for this group.
  std::optional<Place> place_of(const Group& group);
  void remember(const Group& group, std::int64_t database, std::int64_t session);
  /// commit_puts has left the group alone.
  void detour(const Group& group, std::int32_t status);

  Server& server_;
  const std::string schema_;
  const Statement commit_, puts_;
  std::mutex mutex_;
  absl::flat_hash_map<std::pair<Bytes, SessionId>, Place> places_;
};

}  // namespace holdfast::postgres
