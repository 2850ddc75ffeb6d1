// What a server says about itself when it is connected to, and what that promises.
#pragma once

#include <cstdint>
#include <string>

#include "backends/redis/address.h"
#include "holdfast/types.h"

namespace holdfast::redis {

struct ServerFacts {
  std::string identity;  ///< changes with each start of the server and with each change of its role
  std::string version;
  std::string role;
  std::string eviction;  ///< maxmemory_policy
  std::int64_t replicas = 0;
  bool loading = false;
  bool cluster = false;
  bool append_only = false;
  std::string append_fsync;          ///< empty where CONFIG may not be asked
  bool fsync_during_rewrite = true;  ///< not no-appendfsync-on-rewrite

  /// Every acknowledged commit is on the server's disk.
  bool syncs_always() const { return append_only && append_fsync == "always" && fsync_during_rewrite; }
};

/// From the text of INFO.
ServerFacts parse_info(View info);

/// Throws where a store must not be kept on such a server: unavailable for a replica or a server that is
/// loading, capability_missing for one that is too old or evicts keys, invalid_argument for a node of a
/// cluster whose address does not say so, and the other way round.
void judge_server(const ServerFacts& facts, const Address& address);

}  // namespace holdfast::redis
