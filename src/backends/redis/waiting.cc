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
/// A node that refuses to tell of a channel is not asked again at once.
constexpr std::chrono::milliseconds kLossPause{10};
/// Channels that nobody has waited on for so long are given up, but not while few are kept.
constexpr std::chrono::seconds kKeptFor{60};
constexpr std::size_t kFewChannels = 1'000;
constexpr std::chrono::seconds kConnectTime{5};

}  // namespace

Waiting::Waiting(Nodes& nodes, std::shared_ptr<Clock> clock, Behind behind)
    : nodes_(nodes),
      clock_(std::move(clock)),
      behind_(std::move(behind)),
      signal_(::eventfd(0, EFD_CLOEXEC)) {
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

std::vector<std::size_t> Waiting::wait(std::span<const Cursor> cursors, std::span<const Place> places,
                                       Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes_seen = wakes_;
  ++waiting_;
  std::vector<Channel*> channels;
  std::vector<std::uint64_t> seen;
  std::vector<std::size_t> dirty;
  channels.reserve(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto [found, is_new] = channels_.try_emplace(places[i].channel);
    if (is_new) to_subscribe_.push_back(places[i].channel);
    found->second.tag = places[i].tag;
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
      const bool is_heard = std::all_of(channels.begin(), channels.end(),
                                        [](const Channel* channel) { return channel->confirmed; });
      const Deadline look_again =
          clock_->steady_now() + (is_heard ? Deadline::duration(kSafetyPoll) : Deadline::duration(kDeafPoll));
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
  Connections connections;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (closing_) return;
    }
    subscribe(connections);
    listen_once(connections);
  }
}

void Waiting::lose(Connections& connections, Pool* node) {
  connections.erase(node);
  nodes_.doubt();
  const std::lock_guard lock(mutex_);
  for (auto& [name, channel] : channels_) {
    if (channel.heard_at != node) continue;
    channel.heard_at = nullptr;
    channel.confirmed = false;
    to_subscribe_.push_back(name);
  }
  changed_.notify_all();
}

void Waiting::subscribe(Connections& connections) {
  std::map<Pool*, Request> requests;
  std::vector<std::pair<std::string, std::size_t>> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (std::string& name : to_subscribe_) {
      const auto found = channels_.find(name);
      if (found != channels_.end()) wanted.emplace_back(std::move(name), found->second.tag);
    }
    to_subscribe_.clear();
    const Deadline limit = clock_->steady_now() - kKeptFor;
    for (auto at = channels_.begin(); channels_.size() > kFewChannels && at != channels_.end();) {
      const Channel& channel = at->second;
      if (channel.waiters == 0 && channel.confirmed && channel.used_at < limit) {
        requests[channel.heard_at].command(Arguments{"SUNSUBSCRIBE", at->first});
        at = channels_.erase(at);
      } else {
        ++at;
      }
    }
  }
  const Deadline deadline = clock_->steady_now() + kConnectTime;
  bool is_deaf = false;
  const auto give_up = [&](const std::string& name) {
    const std::lock_guard lock(mutex_);
    to_subscribe_.push_back(name);
    is_deaf = true;
  };
  std::vector<Pool*> unreachable;
  for (const auto& [name, tag] : wanted) {
    try {
      Pool* node = nodes_.route(tag, deadline).pool;
      if (std::find(unreachable.begin(), unreachable.end(), node) != unreachable.end()) {
        give_up(name);
        continue;
      }
      std::unique_ptr<Connection>& connection = connections[node];
      if (!connection) {
        unreachable.push_back(node);
        connection = node->connect(deadline);
        unreachable.pop_back();
      }
      // One command for each channel: those of one command have to share a slot.
      requests[node].command(Arguments{"SSUBSCRIBE", name});
      const std::lock_guard lock(mutex_);
      const auto found = channels_.find(name);
      if (found != channels_.end()) found->second.heard_at = node;
    } catch (const Error&) {
      // Meanwhile heads are read by time.
      nodes_.doubt();
      give_up(name);
    }
  }
  for (const auto& [node, request] : requests) {
    const auto found = connections.find(node);
    if (found == connections.end() || !found->second) continue;
    try {
      found->second->send(request, deadline);
    } catch (const Error&) {
      lose(connections, node);
    }
  }
  std::erase_if(connections, [](const auto& each) { return each.second == nullptr; });
  if (is_deaf) pause(kDeafPoll);
}

void Waiting::pause(std::chrono::milliseconds length) {
  // By the machine's clock: under an injected one that stands still nobody would ever be heard again.
  const std::shared_ptr<Clock> clock = system_clock();
  std::unique_lock lock(mutex_);
  const Deadline until = clock->steady_now() + length;
  while (!closing_ && clock->steady_now() < until) clock->wait_until(changed_, lock, until);
}

void Waiting::listen_once(Connections& connections) {
  std::vector<pollfd> ready{{signal_, POLLIN, 0}};
  std::vector<Pool*> nodes;
  std::vector<Pool*> lost;
  bool has_buffered = false;
  for (const auto& [node, connection] : connections) {
    nodes.push_back(node);
    ready.push_back({connection->stream().descriptor(), POLLIN, 0});
    has_buffered = has_buffered || connection->stream().has_buffered();
  }
  {
    const std::lock_guard lock(mutex_);
    has_buffered = has_buffered || !to_subscribe_.empty();
  }
  ::poll(ready.data(), ready.size(), has_buffered ? 0 : 1'000);
  if ((ready[0].revents & POLLIN) != 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t drained = ::read(signal_, &count, sizeof(count));
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Connection& connection = *connections.at(nodes[i]);
    if (ready[i + 1].revents == 0 && !connection.stream().has_buffered()) continue;
    try {
      take_all(connection);
    } catch (const Error&) {
      lost.push_back(nodes[i]);
    }
  }
  for (Pool* node : lost) lose(connections, node);
  if (!lost.empty()) pause(kLossPause);
}

void Waiting::take_all(Connection& connection) {
  take_message(*connection.receive(clock_->steady_now() + kConnectTime));
  while (const Reply reply = connection.take_arrived()) take_message(*reply);
}

void Waiting::take_message(const redisReply& reply) {
  // An error too: a node that does not keep the slot of a channel refuses to tell of it.
  const std::vector<const redisReply*> parts = elements_of(reply, 3);
  const View kind = text_of(*parts[0]);
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(text_of(*parts[1]));
  if (found == channels_.end()) return;
  Channel& channel = found->second;
  if (kind == "ssubscribe") channel.confirmed = true;
  if (kind == "sunsubscribe") {
    // The slot has moved.
    channel.confirmed = false;
    channel.heard_at = nullptr;
    to_subscribe_.push_back(found->first);
    nodes_.doubt();
  }
  if (kind == "ssubscribe" || kind == "smessage") ++channel.events;
  changed_.notify_all();
}

}  // namespace holdfast::redis
