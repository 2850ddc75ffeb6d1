// Commits: each group is one call of the schema's function commit_group; the groups of a call go down
// together, in one round trip and one transaction.
#pragma once

#include <span>
#include <vector>

#include "backends/postgres/server.h"

namespace holdfast::postgres {

class Committer {
 public:
  Committer(Server& server, std::string schema);
  /// Gives each group its outcomes or its error. Whether anything was written.
  bool commit(std::span<Group> groups);

 private:
  using Pending = std::vector<Group*>;

  /// One round trip; returns the groups whose database is locked by somebody else, or all of them if the
  /// connection leads to another server now.
  Pending commit_once(Connection& connection, const Pending& groups, Deadline deadline, bool& has_written);
  void commit_alone(const Pending& groups, Deadline deadline, bool& has_written);
  Call call_for(const Group& group, const ServerFacts& facts, bool waits) const;
  /// Takes over what the function has answered. False: the lock was not free.
  bool take_answer(Group& group, const Rows& rows, bool& has_written) const;

  Server& server_;
  const std::string schema_;
  const Statement commit_;
};

}  // namespace holdfast::postgres
