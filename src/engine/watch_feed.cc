#include "engine/watch_feed.h"

#include <algorithm>
#include <iterator>

#include "contract/assert.h"
#include "engine/engine.h"
#include "engine/service_keys.h"
#include "engine/watch_hub.h"

namespace holdfast {
namespace {

bool is_ahead(Position a, Position b) { return a.history == b.history && a.seq > b.seq; }

}  // namespace

std::chrono::milliseconds retry_delay(std::size_t failures) {
  constexpr std::int64_t kFirstMs = 20;
  constexpr std::int64_t kLongestMs = 5'000;
  return std::chrono::milliseconds(std::min(kFirstMs << std::min<std::size_t>(failures, 10), kLongestMs));
}

FeedStep read_feed(Engine& engine, EngineDatabase& database, Position since, const Range& range,
                   Deadline deadline) {
  FeedStep step;
  step.through = since;
  try {
    for (std::size_t page = 0; page < kFeedPages; ++page) {
      Changes changes = engine.backend().changes(database.name(), {.since = step.through,
                                                                   .range = range,
                                                                   .limit = kFeedPageItems,
                                                                   .keys_only = true,
                                                                   .token = 0,
                                                                   .deadline = deadline});
      step.items.insert(step.items.end(), std::make_move_iterator(changes.items.begin()),
                        std::make_move_iterator(changes.items.end()));
      step.through = changes.through;
      if (changes.caught_up()) return step;
    }
  } catch (const Error& error) {
    if (error.code() != Code::history_changed && error.code() != Code::compacted) throw;
  }
  step.items.clear();
  step.everything = true;
  step.through = engine.read(database, {.deadline = deadline}).at;
  return step;
}

void WatchFeed::deliver(const FeedStep& step) {
  const std::scoped_lock lock(mutex);
  at = step.through;
  error.reset();
  std::vector<Watch::Impl*> hinted;
  if (step.everything) {
    watches.each([&](Watch::Impl& watch) {
      // It began after what is reported here.
      if (watch.since_ == at || is_ahead(watch.since_, at)) return;
      watch.collapse(at);
      hinted.push_back(&watch);
    });
  }
  for (const Change& change : step.items) {
    watches.each_containing(change.key, [&](Watch::Impl& watch) {
      if (watch.since_.history == at.history && change.version <= watch.since_.seq) return;
      if (!watch.has_hint()) hinted.push_back(&watch);
      watch.add(change.key);
    });
  }
  for (Watch::Impl* watch : hinted) watch->changed_.notify_all();
}

void WatchFeed::fail(const Error& reason) {
  const std::scoped_lock lock(mutex);
  error = reason;
  watches.each([](Watch::Impl& watch) { watch.changed_.notify_all(); });
}

void WatchFeed::wake_all() {
  const std::scoped_lock lock(mutex);
  watches.each([](Watch::Impl& watch) { watch.changed_.notify_all(); });
}

Watch::Impl::Impl(std::shared_ptr<WatchHub> hub, std::shared_ptr<WatchFeed> feed, Range range, Position since)
    : hub_(std::move(hub)),
      feed_(std::move(feed)),
      range_(std::move(range)),
      hides_engine_keys_(hides_engine_keys(range_)),
      since_(since) {}

Watch::Impl::~Impl() { hub_->leave(*feed_, *this); }

std::optional<Hint> Watch::Impl::next(Deadline given) {
  const Gate::Pass pass(hub_->gate_);
  Engine& engine = hub_->engine_;
  const Deadline deadline = engine.deadline(given);
  std::unique_lock lock(feed_->mutex);
  for (;;) {
    if (is_cancelled_) return std::nullopt;
    if (hub_->gate_.is_closed()) throw Error(Code::closed, "the store was closed while it was being watched");
    if (is_behind_) {
      if (!catch_up(lock, deadline)) return std::nullopt;
      continue;
    }
    if (has_hint()) return take_hint();
    if (feed_->error) throw Error(*feed_->error);
    if (engine.clock().steady_now() >= deadline) return std::nullopt;
    engine.clock().wait_until(changed_, lock, deadline);
  }
}

bool Watch::Impl::catch_up(std::unique_lock<std::mutex>& lock, Deadline deadline) {
  Engine& engine = hub_->engine_;
  for (std::size_t failures = 0;; ++failures) {
    const Position since = since_;
    lock.unlock();
    std::optional<FeedStep> step;
    std::optional<Error> failed;
    try {
      step = read_feed(engine, *feed_->database, since, range_, deadline);
    } catch (const Error& error) {
      failed = error;
    }
    lock.lock();
    // The feed has said "everything" meanwhile, which includes what was read here.
    if (!is_behind_) return true;
    if (step) {
      is_behind_ = false;
      if (step->everything) {
        collapse(step->through);
      } else {
        since_ = step->through;
        for (const Change& change : step->items) add(change.key);
      }
      return true;
    }
    if (failed->retry() != Retry::backoff) throw Error(*failed);
    if (is_cancelled_ || hub_->gate_.is_closed()) return true;
    const Deadline now = engine.clock().steady_now();
    if (now >= deadline) return false;
    engine.clock().wait_until(changed_, lock, std::min(deadline, now + retry_delay(failures)));
  }
}

Hint Watch::Impl::take_hint() {
  Hint hint;
  if (is_ahead(feed_->at, since_)) since_ = feed_->at;
  hint.through = since_;
  hint.everything = everything_;
  hint.keys.reserve(keys_.size());
  while (!keys_.empty()) hint.keys.push_back(std::move(keys_.extract(keys_.begin()).value()));
  keys_bytes_ = 0;
  everything_ = false;
  return hint;
}

void Watch::Impl::add(const Bytes& key) {
  if (everything_ || (hides_engine_keys_ && key.starts_with('!')) || !keys_.insert(key).second) return;
  keys_bytes_ += key.size();
  if (keys_.size() <= kHintKeys && keys_bytes_ <= kHintKeyBytes) return;
  everything_ = true;
  keys_.clear();
  keys_bytes_ = 0;
}

void Watch::Impl::collapse(Position through) {
  everything_ = true;
  keys_.clear();
  keys_bytes_ = 0;
  since_ = through;
  is_behind_ = false;
}

void Watch::Impl::cancel() {
  const std::scoped_lock lock(feed_->mutex);
  is_cancelled_ = true;
  changed_.notify_all();
}

Watch::Watch(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) { HOLDFAST_ASSERT(impl_ != nullptr); }
Watch::~Watch() = default;
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;

std::optional<Hint> Watch::next(Deadline deadline) { return impl_->next(deadline); }
void Watch::cancel() { impl_->cancel(); }

}  // namespace holdfast
