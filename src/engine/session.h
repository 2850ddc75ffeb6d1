// The session of an engine on one database (§3.2): a random name and the number of the next group.
#pragma once

#include <cstdint>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast {

/// Not thread-safe.
class Session {
 public:
  /// Gives a new group its session and number. Starts a new session if there is none, if the last use is 24 h
  /// ago (§3.8), or if this process is a fork of the one that used it.
  void stamp(Group& group, Clock& clock, Random& random);
  /// The next group begins a new session.
  void abandon() { id_ = {}; }

 private:
  SessionId id_{};
  std::uint64_t next_number_ = 1;
  std::int64_t used_at_boot_ms_ = 0;
  std::int64_t process_ = 0;
};

}  // namespace holdfast
