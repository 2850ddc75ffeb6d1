// §3: sends groups, all those of a call in one round trip, and understands the answers. Thread-safe.
#pragma once

#include <vector>

#include "backends/redis/server.h"

namespace holdfast::redis {

class Committing {
 public:
  Committing(Server& server, const Environment& environment, std::int64_t wait_replicas)
      : server_(server), clock_(environment.clock), wait_replicas_(wait_replicas) {}

  /// Does not throw; every group gets outcomes or an error.
  void commit(std::vector<Group*> groups, Deadline deadline);

 private:
  /// One round trip; the groups that must be sent once more. When it throws, `sent` has those that may have
  /// been applied.
  std::vector<Group*> round(Connection& connection, const std::vector<Group*>& groups,
                            std::vector<Group*>& sent, Deadline deadline);
  void add_group(Request& request, const Connection& connection, const Group& group);

  Server& server_;
  const std::shared_ptr<Clock> clock_;
  const std::int64_t wait_replicas_;
};

}  // namespace holdfast::redis
