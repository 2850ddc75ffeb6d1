// redis: and rediss:, a store on a Redis server (docs/backends/redis.md). The server runs one function per
// group, which judges everything before it writes; so a group is atomic there, and any number of processes
// may use the same store.
#pragma once

#include <vector>

#include "contract/url.h"

namespace holdfast {

/// "redis:" and "rediss:" (TLS).
std::vector<BackendFactory> redis_factories();

}  // namespace holdfast
