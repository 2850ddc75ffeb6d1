#include "engine/session.h"

#include <unistd.h>

#include "holdfast/limits.h"

namespace holdfast {

void Session::stamp(Group& group, Clock& clock, Random& random) {
  const std::int64_t boot_ms = clock.boot_time_ms();
  const std::int64_t process = ::getpid();
  const bool usable =
      id_ != SessionId{} && process == process_ && boot_ms - used_at_boot_ms_ < limits::kSessionAbandonedMs;
  if (!usable) {
    id_ = {random.next(), random.next()};
    next_number_ = 1;
    process_ = process;
  }
  used_at_boot_ms_ = boot_ms;
  group.session = id_;
  group.number = next_number_++;
}

}  // namespace holdfast
