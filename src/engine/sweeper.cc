#include "engine/sweeper.h"

#include <algorithm>
#include <string>

#include "contract/answer.h"
#include "engine/engine.h"
#include "engine/engine_keys.h"
#include "engine/entry_objects.h"
#include "holdfast/transaction.h"

namespace holdfast {
namespace {

/// A step ends after so many listings even if there is more: others may want the lease.
constexpr int kListingsPerStep = 32;
/// Entries that cannot be dealt with now stand at the front of every listing, which is made longer by as
/// many.
constexpr std::size_t kStuckMax = 100'000;

UnixMs attempt_delay_ms(std::size_t attempts) {
  return std::min<UnixMs>(UnixMs{1'000} << std::min<std::size_t>(attempts, 6), 60'000);
}

}  // namespace

Sweeper::Sweeper(Engine& engine, LogKeeper& logs)
    : engine_(engine),
      logs_(logs),
      holder_("{\"holder\":\"" + stamp(engine.random().next()) + stamp(engine.random().next()) + "\"}") {}

Sweeper::~Sweeper() { close(); }

void Sweeper::start() {
  const std::scoped_lock lock(mutex_);
  if (!closing_ && !thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void Sweeper::close() {
  std::thread thread;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(closing_, true)) return;
    thread = std::move(thread_);
    changed_.notify_all();
  }
  if (thread.joinable()) thread.join();
  release_lease();
}

bool Sweeper::is_closing() {
  const std::scoped_lock lock(mutex_);
  return closing_;
}

void Sweeper::on_wake(View service, WakeCallback callback) {
  const std::scoped_lock lock(mutex_);
  services_[Bytes(service)] = std::make_shared<const WakeCallback>(std::move(callback));
  expected_ms_ = 0;
  changed_.notify_all();
}

void Sweeper::expect(UnixMs due_ms) {
  const std::scoped_lock lock(mutex_);
  if (due_ms >= expected_ms_) return;
  expected_ms_ = due_ms;
  changed_.notify_all();
}

SweepReport Sweeper::sweep() { return step(true); }

void Sweeper::run() {
  std::chrono::milliseconds delay{kFirstSweepMs};
  std::size_t failures = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const Deadline until = engine_.clock().steady_now() + delay;
      while (!closing_) {
        const Deadline now = engine_.clock().steady_now();
        const std::chrono::milliseconds expected(
            std::max<UnixMs>(expected_ms_ == INT64_MAX ? kSweepIdleMs : expected_ms_ - engine_.now_ms(), 0));
        const Deadline next = std::min(until, now + expected);
        if (now >= next) break;
        engine_.clock().wait_until(changed_, lock, next);
      }
      if (closing_) return;
      expected_ms_ = INT64_MAX;
    }
    try {
      delay = pause(step(false));
      failures = 0;
    } catch (...) {
      // Whatever it was, it may be over the next time; a sweeper has nobody to tell.
      delay = std::chrono::milliseconds(attempt_delay_ms(failures++) + engine_.random().next() % 500);
    }
  }
}

std::chrono::milliseconds Sweeper::pause(const SweepReport& report) {
  const std::scoped_lock lock(mutex_);
  const std::int64_t longest_ms = services_.empty() ? kSweepIdleMs : kSweepWakingMs;
  std::int64_t delay_ms = longest_ms;
  if (report.next_due_ms)
    delay_ms = std::clamp<std::int64_t>(*report.next_due_ms - engine_.now_ms(), 20, longest_ms);
  // Those who do not lead come a little later, each at another time, and mostly find the work done.
  if (!report.leader) delay_ms += static_cast<std::int64_t>(engine_.random().next() % 200);
  return std::chrono::milliseconds(delay_ms);
}

SweepReport Sweeper::step(bool takes_lease) {
  const std::scoped_lock lock(step_mutex_);
  SweepReport report;
  Listing listing;
  for (int listings = 0; listings < kListingsPerStep; ++listings) {
    const UnixMs now_ms = engine_.now_ms();
    listing = list(now_ms);
    // Another process may have looked since.
    if (next_look_ms_ <= now_ms) next_look_ms_ = logs_.next_look_ms();
    const bool has_work = !listing.reapable.empty() || !listing.uploads.empty() || listing.has_own_wakes ||
                          next_look_ms_ <= now_ms;
    report.leader = takes_lease || has_work ? hold_lease() : lease_until_ms_ > now_ms;
    hand_over(listing, report.leader, report);
    if (!report.leader) break;
    const std::size_t reaped = reap(listing);
    report.reaped += reaped;
    if (!listing.is_cut || reaped == 0 || is_closing()) break;
  }
  if (report.leader && next_look_ms_ <= engine_.now_ms()) {
    report.compacted = logs_.look();
    next_look_ms_ = logs_.next_look_ms();
  }
  stuck_ = std::min(listing.stuck, kStuckMax);
  report.next_due_ms = next_instant(listing, report);
  return report;
}

Sweeper::Listing Sweeper::list(UnixMs now_ms) {
  const std::size_t limit = kSweepListing + stuck_;
  ExpiredAnswer answer = engine_.backend().expired(now_ms, limit, engine_.deadline({}));
  Listing listing;
  listing.next_due_ms = answer.next_due_ms;
  listing.is_cut = answer.items.size() >= limit;
  for (auto& [entry, attempt] : handed_) attempt.is_listed = false;
  for (Expired& item : answer.items) {
    const bool is_lease = item.database == kStoreDatabase && item.key == kSweeperKey;
    if (item.key.starts_with(kWakePrefix)) {
      if (service_of(item.key)) listing.has_own_wakes = true;
      listing.wakes.push_back(std::move(item));
      ++listing.stuck;
    } else if (is_lease || is_resting(item.database, now_ms)) {
      ++listing.stuck;
    } else if (item.key.starts_with(kObjectInfoPrefix)) {
      listing.uploads.emplace_back(std::move(item.database), std::move(item.key));
    } else {
      listing.reapable[std::move(item.database)].push_back(std::move(item.key));
    }
  }
  return listing;
}

bool Sweeper::hold_lease() {
  const UnixMs now_ms = engine_.now_ms();
  if (lease_until_ms_ - now_ms >= kSweeperRenewMs) return true;
  bool is_ours = false;
  const UnixMs until_ms = now_ms + kSweeperLeaseMs;
  engine_.transact(*engine_.database(kStoreDatabase), [&](Transaction& transaction) {
    const std::optional<Entry> lease = transaction.get(kSweeperKey);
    is_ours = !lease || lease->value == holder_;
    if (is_ours) transaction.put(kSweeperKey, holder_, until_ms);
  });
  lease_until_ms_ = is_ours ? until_ms : 0;
  return is_ours;
}

void Sweeper::release_lease() {
  const std::scoped_lock lock(step_mutex_);
  if (std::exchange(lease_until_ms_, 0) <= engine_.now_ms()) return;
  try {
    const auto store = engine_.database(kStoreDatabase);
    engine_.transact(
        *store,
        [&](Transaction& transaction) {
          const std::optional<Entry> lease = transaction.get(kSweeperKey);
          if (lease && lease->value == holder_) transaction.erase(kSweeperKey);
        },
        engine_.clock().steady_now() + std::chrono::seconds(1));
  } catch (const Error&) {
    // Then it runs out.
  }
}

void Sweeper::hand_over(const Listing& listing, bool is_leader, SweepReport& report) {
  for (const Expired& wake : listing.wakes) {
    const UnixMs now_ms = engine_.now_ms();
    Attempt& attempt = handed_[{wake.database, wake.key}];
    attempt.is_listed = true;
    if (attempt.expires_at_ms != wake.expires_at_ms) {
      attempt = {wake.expires_at_ms, is_leader ? now_ms : wake.expires_at_ms + kWakeGraceMs, 0, true};
    }
    if (attempt.next_ms > now_ms || is_closing()) continue;
    if (call_service(wake)) ++report.woken;
    attempt.next_ms = now_ms + attempt_delay_ms(attempt.attempts++);
  }
  if (listing.is_cut) return;
  std::erase_if(handed_, [](const auto& item) { return !item.second.is_listed; });
}

std::shared_ptr<const WakeCallback> Sweeper::service_of(View key) {
  const std::scoped_lock lock(mutex_);
  const auto found = services_.find(key.substr(kWakePrefix.size()));
  return found == services_.end() ? nullptr : found->second;
}

bool Sweeper::call_service(const Expired& wake) {
  const std::shared_ptr<const WakeCallback> callback = service_of(wake.key);
  if (!callback) return false;
  try {
    (*callback)(wake.database);
  } catch (...) {
    // It is called again: the entry is still there.
  }
  return true;
}

std::size_t Sweeper::reap(const Listing& listing) {
  std::size_t reaped = 0;
  for (const auto& [name, keys] : listing.reapable) {
    if (is_closing()) break;
    try {
      reaped += reap_database(name, keys);
      resting_.erase(name);
    } catch (const Error&) {
      rest(name, engine_.now_ms());
    }
  }
  for (const EntryName& upload : listing.uploads) {
    if (is_closing()) break;
    try {
      reaped += collect_upload(upload);
    } catch (const Error&) {
      rest(upload.first, engine_.now_ms());
    }
  }
  return reaped;
}

std::size_t Sweeper::reap_database(const Bytes& name, const std::vector<Bytes>& keys) {
  const auto database = engine_.database(name);
  std::size_t reaped = 0;
  for (std::size_t i = 0; i < keys.size() && hold_lease(); i += kReapBatch) {
    Batch batch;
    const std::size_t end = std::min(keys.size(), i + kReapBatch);
    for (std::size_t k = i; k < end; ++k) batch.writes.push_back(Write::reap(keys[k]));
    engine_.commit(*database, std::move(batch));
    reaped += end - i;
  }
  return reaped;
}

std::size_t Sweeper::collect_upload(const EntryName& upload) {
  const auto database = engine_.database(upload.first);
  return EntryObjects(engine_, database)
      .collect_expired(View(upload.second).substr(kObjectInfoPrefix.size()));
}

bool Sweeper::is_resting(const Bytes& database, UnixMs now_ms) const {
  const auto found = resting_.find(database);
  return found != resting_.end() && found->second.next_ms > now_ms;
}

void Sweeper::rest(const Bytes& database, UnixMs now_ms) {
  Attempt& attempt = resting_[database];
  attempt.next_ms = now_ms + attempt_delay_ms(attempt.attempts++);
}

std::optional<UnixMs> Sweeper::next_instant(const Listing& listing, const SweepReport& report) {
  const UnixMs now_ms = engine_.now_ms();
  std::optional<UnixMs> next_ms;
  const auto consider = [&](UnixMs instant_ms) {
    next_ms = std::min(next_ms.value_or(instant_ms), instant_ms);
  };
  if (report.leader) {
    consider(next_look_ms_);
    // There is more, unless the listing is full of what nobody can deal with.
    if (listing.is_cut && (report.reaped > 0 || listing.stuck < kStuckMax)) consider(now_ms);
  } else if (!listing.reapable.empty()) {
    // The leader will have dealt with it by then, or have lost its lease.
    consider(now_ms + kSweeperLeaseMs);
  }
  if (!listing.is_cut && listing.next_due_ms) consider(*listing.next_due_ms);
  for (const auto& [database, attempt] : resting_) {
    if (attempt.next_ms > now_ms) consider(attempt.next_ms);
  }
  for (const auto& [entry, attempt] : handed_) {
    if (service_of(entry.second)) consider(attempt.next_ms);
  }
  return next_ms;
}

}  // namespace holdfast
