#include "engine/watch_hub.h"

#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/watch_feed.h"

namespace holdfast {
namespace {

/// A wait ends by a commit or a wake; it is bounded only because every call has a deadline.
constexpr std::chrono::minutes kLongestWait{1};

}  // namespace

WatchHub::WatchHub(Engine& engine) : engine_(engine) {}

WatchHub::~WatchHub() { close(); }

Watch WatchHub::watch(std::shared_ptr<EngineDatabase> database, const Range& range, Position since) {
  const Gate::Pass pass(gate_);
  const std::scoped_lock lock(mutex_);
  if (!closed_ && !thread_.joinable()) thread_ = std::thread([this] { run(); });
  std::shared_ptr<WatchFeed>& slot = feeds_[database->name()];
  const bool is_new = !slot;
  // The first watch of a database brings the position that the feed starts from.
  if (is_new) slot = std::make_shared<WatchFeed>(std::move(database), since);
  const std::shared_ptr<WatchFeed> feed = slot;
  auto watch = std::make_shared<Watch::Impl>(shared_from_this(), feed, range, since);
  {
    const std::scoped_lock feed_lock(feed->mutex);
    watch->is_behind_ = feed->at != since;
    feed->watches.add(range, watch.get());
  }
  if (is_new) {
    ++generation_;
    changed_.notify_all();
    engine_.backend().wake();
  }
  return Watch(std::move(watch));
}

void WatchHub::leave(WatchFeed& feed, Watch::Impl& watch) {
  const std::scoped_lock lock(mutex_);
  const std::scoped_lock feed_lock(feed.mutex);
  feed.watches.remove(watch.range_, &watch);
  if (!feed.watches.empty()) return;
  // The thread goes on with what it follows until it next looks; a wake-up would not be worth its cost.
  feeds_.erase(feed.database->name());
  ++generation_;
}

void WatchHub::close() {
  gate_.close();
  std::thread thread;
  std::vector<std::shared_ptr<WatchFeed>> feeds;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(closed_, true)) return;
    thread = std::move(thread_);
    for (const auto& [name, feed] : feeds_) feeds.push_back(feed);
    changed_.notify_all();
  }
  for (const auto& feed : feeds) feed->wake_all();
  if (thread.joinable()) {
    engine_.backend().wake();
    thread.join();
  }
  gate_.drain();
}

std::size_t WatchHub::watched_databases() const {
  const std::scoped_lock lock(mutex_);
  return feeds_.size();
}

void WatchHub::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return closed_ || !feeds_.empty(); });
      if (closed_) return;
      if (generation_ != generation_seen_) refresh_feeds();
    }
    await_changes();
  }
}

void WatchHub::refresh_feeds() {
  generation_seen_ = generation_;
  followed_.clear();
  cursors_.clear();
  for (const auto& [name, feed] : feeds_) {
    followed_.push_back(feed);
    cursors_.push_back({name, feed->at});
  }
}

void WatchHub::await_changes() {
  const Deadline now = engine_.clock().steady_now();
  Deadline deadline = now + kLongestWait;
  // A feed that cannot be read would end every wait at once: it is left out until its next attempt.
  std::vector<std::size_t> resting;
  for (std::size_t i = 0; i < followed_.size(); ++i) {
    if (followed_[i]->failures == 0) continue;
    if (followed_[i]->retry_at <= now) {
      follow(i);
    }
    if (followed_[i]->failures == 0) continue;
    resting.push_back(i);
    deadline = std::min(deadline, followed_[i]->retry_at);
  }
  if (resting.size() == followed_.size()) {
    std::unique_lock lock(mutex_);
    if (!closed_ && generation_ == generation_seen_) engine_.clock().wait_until(changed_, lock, deadline);
    return;
  }
  std::vector<std::size_t> behind;
  try {
    if (resting.empty()) {
      behind = engine_.backend().wait(cursors_, deadline);
    } else {
      std::vector<Cursor> cursors;
      std::vector<std::size_t> indices;
      for (std::size_t i = 0; i < followed_.size(); ++i) {
        if (followed_[i]->failures != 0) continue;
        cursors.push_back(cursors_[i]);
        indices.push_back(i);
      }
      for (const std::size_t i : engine_.backend().wait(cursors, deadline)) behind.push_back(indices[i]);
    }
    wait_failures_ = 0;
  } catch (const Error&) {
    std::unique_lock lock(mutex_);
    const Deadline retry_at = engine_.clock().steady_now() + retry_delay(wait_failures_++);
    if (!closed_) engine_.clock().wait_until(changed_, lock, retry_at);
    return;
  }
  for (const std::size_t i : behind) follow(i);
}

void WatchHub::follow(std::size_t index) {
  WatchFeed& feed = *followed_[index];
  try {
    feed.deliver(read_feed(engine_, *feed.database, feed.at, Range::all(), engine_.deadline({})));
    cursors_[index].at = feed.at;
    feed.failures = 0;
  } catch (const Error& error) {
    // Moved, forbidden or damaged: whoever watches must hear of it; but the database may come back.
    if (error.retry() != Retry::backoff && error.code() != Code::closed) feed.fail(error);
    feed.retry_at = engine_.clock().steady_now() + retry_delay(feed.failures++);
  }
}

}  // namespace holdfast
