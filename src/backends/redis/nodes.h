// Which server keeps which databases: a single server all of them, in a cluster each master those whose slots
// it has. Thread-safe.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/redis/key_names.h"
#include "backends/redis/pool.h"

namespace holdfast::redis {

/// The slot of a cluster that keys with this tag between braces are in.
std::uint16_t slot_of_tag(View tag);

/// What a node answers that does not serve a request now. The request has had no effect.
struct Redirection {
  enum class Kind : std::uint8_t {
    moved,  ///< the slot is elsewhere now
    ask,    ///< this once, elsewhere
    again,  ///< later: some of the keys are on their way
  };
  Kind kind = Kind::again;
  std::string host;  ///< empty: the one that answered
  std::string port;
};
std::optional<Redirection> redirection_of(const redisReply& reply);
/// So often a request follows them, with pauses while keys are on their way.
inline constexpr int kMostRedirections = 100;

/// Where a request goes.
struct Route {
  Pool* pool = nullptr;
  bool asking = false;  ///< ASKING stands before each command
};

class Nodes {
 public:
  /// Addresses of a cluster's nodes, some of them at least, or the one of a single server.
  Nodes(std::vector<Address> addresses, const Environment& environment, std::size_t connections);

  /// To who keeps the databases of a tag. Reads the map of the cluster if it is not known or doubted; throws
  /// unavailable if no node knows who keeps them.
  Route route(std::size_t tag, Deadline deadline);
  /// The tags by who keeps them.
  std::map<Pool*, std::vector<std::size_t>> tags_by_node(Deadline deadline);
  /// Where a request for a tag goes instead, which was sent to `asked`.
  Route follow(const Redirection& redirection, std::size_t tag, const Route& asked, Deadline deadline);
  /// A node did not answer, or not as expected: before the next request the map is read again.
  void doubt();
  bool is_cluster() const { return addresses_.front().cluster; }

 private:
  using Map = std::array<Pool*, kTags>;
  void read_map(Deadline deadline);
  /// Nothing if the node has lost the others, or knows of nobody who keeps some tag.
  std::optional<Map> ask_for_map(const Address& address, Deadline deadline);
  Pool* pool_at(const Address& address);

  const std::vector<Address> addresses_;
  const Environment environment_;
  const std::size_t connections_;

  std::mutex reading_;  ///< held by who reads the map
  std::mutex mutex_;
  std::vector<std::unique_ptr<Pool>> pools_;  ///< none is ever removed
  Map map_{};
  bool known_ = false;
  bool doubted_ = false;
  Deadline read_at_ = {};
};

}  // namespace holdfast::redis
