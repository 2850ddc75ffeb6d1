// How a worker waits: it looks whether anything can be delivered, and if not, when the next job is due by
// itself; before that only a commit can change the answer, and a watch that began before the look tells of
// it.
#include <algorithm>
#include <optional>

#include "holdfast/queue.h"
#include "services/keys.h"
#include "services/queue_impl.h"
#include "services/queue_turns.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestStep = std::chrono::minutes(1);

/// When something can be delivered, if no commit changes that: now or earlier, later, or never.
std::optional<UnixMs> next_delivery_ms(Transaction& transaction, const QueueKeys& keys) {
  const Bytes own[] = {keys.settings(), keys.paused(), keys.turn()};
  const std::vector<std::optional<Entry>> found = transaction.get(own);
  if (found[1]) return std::nullopt;
  const QueueSettings settings = found[0] ? parse_settings(found[0]->value) : QueueSettings();
  const UnixMs now_ms = transaction.now();
  const auto first_of = [&](const Bytes& prefix) -> std::optional<UnixMs> {
    const Page page =
        transaction.scan(Range::prefix(prefix), {.limit = 1, .keys_only = true, .snapshot = true});
    if (page.entries.empty()) return std::nullopt;
    return static_cast<UnixMs>(segment_number(View(page.entries.front().key).substr(prefix.size(), 16)));
  };
  const std::optional<UnixMs> lease_ends_ms = first_of(keys.leased());
  if (settings.max_leased > 0) {
    const Page leased = transaction.scan(Range::prefix(keys.leased()),
                                         {.limit = settings.max_leased, .keys_only = true, .snapshot = true});
    // One has to end, or to be completed, which is a commit.
    if (leased.entries.size() >= settings.max_leased) return lease_ends_ms;
  }
  const Page ready =
      transaction.scan(Range::prefix(keys.ready()), {.limit = 1, .keys_only = true, .snapshot = true});
  std::optional<UnixMs> next_ms;
  if (ready.entries.empty()) {
    const std::optional<UnixMs> due_ms = first_of(keys.delayed());
    if (!due_ms && !lease_ends_ms) return std::nullopt;
    next_ms = std::min(due_ms.value_or(INT64_MAX), lease_ends_ms.value_or(INT64_MAX));
  } else {
    next_ms = now_ms;
  }
  if (settings.rate == 0) return next_ms;
  return std::max(*next_ms, DeliveryCredit(settings, found[2], now_ms).next_delivery_ms(settings));
}

}  // namespace

bool Queue::wait(Deadline deadline, const std::stop_token& stop) const {
  Database& database = impl_->database;
  Clock& clock = *impl_->clock;
  if (deadline == Deadline{}) deadline = Deadline::max();
  Watch watch = database.watch(Range::prefix(impl_->keys.base()), database.position());
  const std::stop_callback cancel(stop, [&watch] { watch.cancel(); });
  for (;;) {
    // Before the look: time that passes from here on counts.
    const Deadline steady_now = clock.steady_now();
    UnixMs now_ms = 0;
    const std::optional<UnixMs> next_ms = database.transact([&](Transaction& transaction) {
      now_ms = transaction.now();
      return next_delivery_ms(transaction, impl_->keys);
    });
    if (next_ms && *next_ms <= now_ms) return true;
    if (clock.steady_now() >= deadline || stop.stop_requested()) return false;
    // In steps, because the wall clock may be set meanwhile.
    milliseconds left = kLongestStep;
    if (next_ms) left = std::min(left, milliseconds(*next_ms - now_ms));
    watch.next(std::min(deadline, steady_now + left));
  }
}

}  // namespace holdfast
