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
  void commit(const std::vector<Group*>& groups, Deadline deadline);

 private:
  /// A group, and where it goes.
  struct Sending {
    Group* group = nullptr;
    Route route;
    int redirections = 0;
  };
  /// What goes to one node in one round trip.
  struct Exchange;

  /// One round trip to each of the nodes; the groups that must be sent once more.
  std::vector<Sending> round(const std::vector<Sending>& groups, Deadline deadline);
  void send(Exchange& exchange, Deadline deadline);
  /// Adds to `again` those that must be sent once more.
  void receive(Exchange& exchange, std::vector<Sending>& again, Deadline deadline);
  void fail(Exchange& exchange, const Error& error);
  void add_group(Request& request, const Connection& connection, const Group& group);

  Server& server_;
  const std::shared_ptr<Clock> clock_;
  const std::int64_t wait_replicas_;
};

}  // namespace holdfast::redis
