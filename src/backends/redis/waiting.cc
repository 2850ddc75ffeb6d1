#include "backends/redis/waiting.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace holdfast::redis {
namespace {

/// While the server cannot be heard, or was not heard for long, heads are read this often.
constexpr std::chrono::milliseconds kDeafPoll{50};
constexpr std::chrono::seconds kSafetyPoll{1};
/// Channels that nobody has waited on for so long are given up, but not while few are kept.
constexpr std::chrono::seconds kKeptFor{60};
constexpr std::size_t kFewChannels = 1'000;
constexpr std::chrono::seconds kConnectTime{5};

}  // namespace

Waiting::Waiting(Pool& pool, std::shared_ptr<Clock> clock, Behind behind)
    : pool_(pool), clock_(std::move(clock)), behind_(std::move(behind)), signal_(::eventfd(0, EFD_CLOEXEC)) {
  if (signal_ < 0) throw Error(Code::internal, "no descriptor is free for waiting");
}

Waiting::~Waiting() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_all();
  }
  signal();
  if (listener_.joinable()) listener_.join();
  ::close(signal_);
}

void Waiting::signal() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(signal_, &one, sizeof(one));
}

void Waiting::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  if (waiting_ == 0) woken_early_ = true;
  changed_.notify_all();
}

std::vector<std::size_t> Waiting::wait(std::span<const Cursor> cursors, std::span<const std::string> names,
                                       Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes_seen = wakes_;
  ++waiting_;
  std::vector<Channel*> channels;
  std::vector<std::uint64_t> seen;
  std::vector<std::size_t> dirty;
  channels.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [found, is_new] = channels_.try_emplace(names[i]);
    if (is_new) to_subscribe_.push_back(names[i]);
    ++found->second.waiters;
    channels.push_back(&found->second);
    seen.push_back(found->second.events);
    dirty.push_back(i);
  }
  if (!listener_.joinable()) listener_ = std::thread([this] { listen(); });
  if (!to_subscribe_.empty()) signal();

  const auto leave = [&] {
    if (!lock.owns_lock()) lock.lock();
    --waiting_;
    woken_early_ = false;
    for (Channel* channel : channels) {
      --channel->waiters;
      channel->used_at = clock_->steady_now();
    }
  };
  try {
    while (true) {
      lock.unlock();
      std::vector<std::size_t> behind =
          dirty.empty() ? std::vector<std::size_t>() : behind_(cursors, dirty, deadline);
      lock.lock();
      const auto is_over = [&] {
        return wakes_ != wakes_seen || woken_early_ || clock_->steady_now() >= deadline;
      };
      const auto is_quiet = [&] {
        for (std::size_t i = 0; i < channels.size(); ++i) {
          if (channels[i]->events != seen[i]) return false;
        }
        return true;
      };
      if (!behind.empty() || is_over()) {
        leave();
        return behind;
      }
      const Deadline look_again = clock_->steady_now() + (connected_ ? Deadline::duration(kSafetyPoll)
                                                                     : Deadline::duration(kDeafPoll));
      while (!is_over() && is_quiet() && clock_->steady_now() < look_again) {
        clock_->wait_until(changed_, lock, std::min(deadline, look_again));
      }
      const bool look_at_all = clock_->steady_now() >= look_again;
      dirty.clear();
      for (std::size_t i = 0; i < channels.size(); ++i) {
        if (look_at_all || channels[i]->events != seen[i]) dirty.push_back(i);
        seen[i] = channels[i]->events;
      }
      if (is_over()) {
        leave();
        return {};
      }
    }
  } catch (...) {
    leave();
    throw;
  }
}

// --- the listener

void Waiting::listen() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    lock.unlock();
    try {
      const std::unique_ptr<Connection> connection = pool_.connect(clock_->steady_now() + kConnectTime);
      lock.lock();
      connected_ = true;
      to_subscribe_.clear();
      for (auto& [name, channel] : channels_) {
        channel.confirmed = false;
        to_subscribe_.push_back(name);
      }
      lock.unlock();
      listen_on(*connection);
      lock.lock();
    } catch (const Error&) {
      // The pool makes the next attempt wait; meanwhile heads are read by time.
      if (!lock.owns_lock()) lock.lock();
    }
    connected_ = false;
    changed_.notify_all();
  }
}

Request Waiting::changed_subscriptions() {
  Request request;
  const std::lock_guard lock(mutex_);
  if (!to_subscribe_.empty()) {
    Arguments subscribe{"SUBSCRIBE"};
    for (const std::string& name : to_subscribe_) subscribe.add(name);
    request.command(subscribe);
    to_subscribe_.clear();
  }
  if (channels_.size() <= kFewChannels) return request;
  const Deadline limit = clock_->steady_now() - kKeptFor;
  for (auto at = channels_.begin(); at != channels_.end();) {
    const Channel& channel = at->second;
    if (channel.waiters == 0 && channel.confirmed && channel.used_at < limit) {
      request.command(Arguments{"UNSUBSCRIBE", at->first});
      at = channels_.erase(at);
    } else {
      ++at;
    }
  }
  return request;
}

void Waiting::listen_on(Connection& connection) {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (closing_) return;
    }
    const Request request = changed_subscriptions();
    if (request.commands() > 0) connection.send(request, clock_->steady_now() + kConnectTime);
    while (const Reply reply = connection.take_arrived()) take_message(*reply);
    if (!connection.stream().has_buffered()) {
      pollfd ready[2] = {{connection.stream().descriptor(), POLLIN, 0}, {signal_, POLLIN, 0}};
      ::poll(ready, 2, 1'000);
      if ((ready[1].revents & POLLIN) != 0) {
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t drained = ::read(signal_, &count, sizeof(count));
      }
      if (ready[0].revents == 0) continue;
    }
    take_message(*connection.receive(clock_->steady_now() + kConnectTime));
  }
}

void Waiting::take_message(const redisReply& reply) {
  const std::vector<const redisReply*> parts = elements_of(reply, 3);
  const View kind = text_of(*parts[0]);
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(text_of(*parts[1]));
  if (found == channels_.end()) return;
  if (kind == "subscribe") found->second.confirmed = true;
  if (kind == "subscribe" || kind == "message") {
    ++found->second.events;
    changed_.notify_all();
  }
}

}  // namespace holdfast::redis
