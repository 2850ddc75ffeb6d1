#include "backends/redis/nodes.h"

#include <algorithm>

namespace holdfast::redis {
namespace {

constexpr std::size_t kSlots = 16384;
/// A doubted map is not read more often than this, however many requests fail meanwhile.
constexpr std::chrono::milliseconds kReadEvery{50};
/// A node that does not answer sooner is not waited for: another one may know as much.
constexpr std::chrono::seconds kAskFor{1};
constexpr std::chrono::milliseconds kMovingPause{10};

/// "127.0.0.1:7000", ":7000" for the host that answered, "::1:7000".
void take_endpoint(View text, Redirection& redirection) {
  const std::size_t colon = text.rfind(':');
  if (colon == View::npos) return;
  redirection.host = std::string(text.substr(0, colon));
  redirection.port = std::string(text.substr(colon + 1));
}

}  // namespace

std::uint16_t slot_of_tag(View tag) {
  std::uint16_t crc = 0;
  for (const char c : tag) {
    crc = static_cast<std::uint16_t>(crc ^ (static_cast<unsigned char>(c) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
  }
  return crc % kSlots;
}

std::optional<Redirection> redirection_of(const redisReply& reply) {
  if (!is_error(reply)) return std::nullopt;
  const View text = text_of(reply);
  Redirection redirection;
  if (text.starts_with("TRYAGAIN")) return redirection;
  // What a function meets that reads a key which has moved already.
  if (text.find("attempted to access a non local key") != View::npos) return redirection;
  const bool is_moved = text.starts_with("MOVED ");
  if (!is_moved && !text.starts_with("ASK ")) return std::nullopt;
  redirection.kind = is_moved ? Redirection::Kind::moved : Redirection::Kind::ask;
  take_endpoint(text.substr(text.rfind(' ') + 1), redirection);
  return redirection;
}

Nodes::Nodes(std::vector<Address> addresses, const Environment& environment, std::size_t connections)
    : addresses_(std::move(addresses)), environment_(environment), connections_(connections) {
  if (is_cluster()) return;
  map_.fill(pool_at(addresses_.front()));
  known_ = true;
}

Pool* Nodes::pool_at(const Address& address) {
  for (const std::unique_ptr<Pool>& pool : pools_) {
    if (pool->address().host == address.host && pool->address().port == address.port &&
        pool->address().socket_path == address.socket_path) {
      return pool.get();
    }
  }
  pools_.push_back(std::make_unique<Pool>(address, environment_, connections_));
  return pools_.back().get();
}

Route Nodes::route(std::size_t tag, Deadline deadline) {
  if (is_cluster()) read_map(deadline);
  const std::lock_guard lock(mutex_);
  return {map_[tag], false};
}

std::map<Pool*, std::vector<std::size_t>> Nodes::tags_by_node(Deadline deadline) {
  if (is_cluster()) read_map(deadline);
  std::map<Pool*, std::vector<std::size_t>> tags;
  const std::lock_guard lock(mutex_);
  for (std::size_t tag = 0; tag < kTags; ++tag) tags[map_[tag]].push_back(tag);
  return tags;
}

Route Nodes::follow(const Redirection& redirection, std::size_t tag, const Route& asked, Deadline deadline) {
  if (redirection.kind == Redirection::Kind::again) {
    std::mutex nobodys;
    std::condition_variable nothing;
    std::unique_lock lock(nobodys);
    const Deadline until = std::min(deadline, environment_.clock->steady_now() + kMovingPause);
    while (environment_.clock->steady_now() < until) environment_.clock->wait_until(nothing, lock, until);
    return route(tag, deadline);
  }
  Address address = asked.pool->address();
  if (!redirection.host.empty()) address.host = redirection.host;
  address.port = redirection.port;
  const std::lock_guard lock(mutex_);
  Pool* pool = pool_at(address);
  if (redirection.kind == Redirection::Kind::ask) return {pool, true};
  map_[tag] = pool;
  doubted_ = true;
  return {pool, false};
}

void Nodes::doubt() {
  const std::lock_guard lock(mutex_);
  doubted_ = true;
}

void Nodes::read_map(Deadline deadline) {
  const auto is_needed = [&] {
    const std::lock_guard lock(mutex_);
    return !known_ || (doubted_ && environment_.clock->steady_now() >= read_at_ + kReadEvery);
  };
  if (!is_needed()) return;
  std::unique_lock reading(reading_, std::try_to_lock);
  if (!reading.owns_lock()) {
    const std::lock_guard lock(mutex_);
    // Somebody is at it: what was known is tried meanwhile.
    if (known_) return;
  }
  if (!reading.owns_lock()) reading.lock();
  if (!is_needed()) return;

  std::vector<Address> candidates;
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    known = known_;
    for (const std::unique_ptr<Pool>& pool : pools_) {
      if (std::find(map_.begin(), map_.end(), pool.get()) != map_.end()) {
        candidates.push_back(pool->address());
      }
    }
  }
  candidates.insert(candidates.end(), addresses_.begin(), addresses_.end());
  std::optional<Error> trouble;
  for (const Address& address : candidates) {
    if (environment_.clock->steady_now() >= deadline) break;
    try {
      const std::optional<Map> map =
          ask_for_map(address, std::min(deadline, environment_.clock->steady_now() + kAskFor));
      if (!map) continue;
      const std::lock_guard lock(mutex_);
      const bool has_changed = known_ && map_ != *map;
      map_ = *map;
      known_ = true;
      doubted_ = false;
      read_at_ = environment_.clock->steady_now();
      // An idle connection may have slept through a change of its node's role and back.
      if (has_changed) {
        for (const std::unique_ptr<Pool>& pool : pools_) pool->close_idle();
      }
      return;
    } catch (const Error& error) {
      if (error.code() != Code::unavailable && error.code() != Code::timeout) throw;
      if (!trouble) trouble = error;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    read_at_ = environment_.clock->steady_now();
  }
  // With an old map the nodes that are still there can be reached.
  if (known) return;
  if (trouble) throw Error(*trouble);
  throw Error(Code::unavailable, "the nodes of the Redis cluster do not know who keeps all of its slots");
}

std::optional<Nodes::Map> Nodes::ask_for_map(const Address& address, Deadline deadline) {
  Connection connection(address, environment_.clock, deadline, Connection::Purpose::map);
  Request request;
  request.command({"CLUSTER", "INFO"});
  request.command({"CLUSTER", "SLOTS"});
  const std::vector<Reply> replies = connection.call(request, deadline);
  const Reply& reply = replies.back();
  if (is_error(*reply) && text_of(*reply).find("cluster support disabled") != View::npos) {
    throw Error(Code::invalid_argument,
                "the Redis server at " + address.text() + " is no node of a cluster; leave out cluster=true");
  }
  // Who is cut off from the others may not know that it was replaced.
  if (text_of(*replies.front()).find("cluster_state:fail") != View::npos) return std::nullopt;
  const std::lock_guard lock(mutex_);
  Map map{};
  for (const redisReply* range : elements_of(*reply)) {
    const std::vector<const redisReply*> parts = elements_of(*range, 3);
    const std::vector<const redisReply*> master = elements_of(*parts[2], 2);
    Address owner = address;
    const std::string host(optional_text(*master[0]).value_or(""));
    if (host == "?") continue;
    if (!host.empty()) owner.host = host;
    owner.port = std::to_string(master[1]->integer);
    for (std::size_t tag = 0; tag < kTags; ++tag) {
      const std::uint16_t slot = slot_of_tag(KeyNames::tag_text(tag));
      if (slot < parts[0]->integer || slot > parts[1]->integer) continue;
      map[tag] = pool_at(owner);
    }
  }
  if (std::find(map.begin(), map.end(), nullptr) != map.end()) return std::nullopt;
  return map;
}

}  // namespace holdfast::redis
