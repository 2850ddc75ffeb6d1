// Commits: the groups of a call go down together, in one round trip and one transaction. Each is one call of
// one of the schema's functions: put_group does what most groups are, commit_group everything. The first
// one, whose lock is waited for, may need no function (puts.h). What these have left alone commit_group does
// in another round.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/postgres/puts.h"
#include "backends/postgres/server.h"

namespace holdfast::postgres {

class Committer {
 public:
  Committer(Server& server, std::string schema);
  /// Gives each group its outcomes or its error. Whether anything was written.
  bool commit(std::span<Group> groups);

 private:
  enum class Way : std::uint8_t { direct, puts, general };
  struct Task {
    Group* group;
    Way way;  ///< the first to try; general: another was tried
  };
  using Pending = std::vector<Task>;
  struct Sent {
    Way way;
    std::size_t call;       ///< whose answer is the group's
    std::uint64_t history;  ///< the one that the group gets, unless the way is general
  };
  struct Place {
    PlaceIds ids;
    std::uint32_t detour = 0;     ///< groups that shall not be tried as mere puts
    std::uint32_t no_direct = 0;  ///< groups that shall not be tried without a function
  };

  /// One round trip; returns what is left to do: the groups whose database is locked by somebody else, those
  /// that are not as simple as they looked, or all of them if the connection leads to another server now.
  Pending commit_once(Connection& connection, const Pending& groups, Deadline deadline, bool& has_written);
  void commit_alone(const Pending& groups, Deadline deadline, bool& has_written);
  /// Of what the function or the direct statement of a group has answered.
  static std::int32_t status_of(Way way, const Rows& answer);
  /// Adds what does the group.
  Sent add_call(const Task& task, const ServerFacts& facts, std::vector<Call>& calls);
  Call general_call(const Group& group, const ServerFacts& facts, bool waits) const;
  Call puts_call(const Group& group, const PlaceIds& place, bool waits) const;
  /// Takes over what commit_group has answered.
  void take_answer(Group& group, const Rows& rows, const ServerFacts& facts, bool& has_written);
  /// Calls `use(place)` under the lock, if the group's place is known.
  template <class Use>
  void with_place(const Group& group, const Use& use);
  /// Nothing if it is not known, or not to be used for this group.
  std::optional<Place> place_of(const Group& group);
  void remember(const Group& group, const PlaceIds& ids);
  /// The ids need not be right.
  void forget(const Group& group);
  /// The group has been done.
  void note_seq(const Group& group);
  /// The group had to be done by commit_group after it was tried otherwise.
  void note_detour(const Group& group);

  Server& server_;
  const std::string schema_;
  const Statement lock_, commit_, puts_;
  const DirectPuts direct_;
  std::mutex mutex_;
  absl::flat_hash_map<std::pair<Bytes, SessionId>, Place> places_;
};

}  // namespace holdfast::postgres
