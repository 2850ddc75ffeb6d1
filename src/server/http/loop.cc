#include "server/http/loop.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "contract/hex.h"

namespace holdfast::server {
namespace {

constexpr std::chrono::milliseconds kTick{100};

std::string http_date(std::int64_t unix_seconds) {
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_seconds time{std::chrono::seconds(unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 40> text{};
  const int size =
      std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                    kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                    kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()));
  return {text.data(), std::min(static_cast<std::size_t>(std::max(size, 0)), text.size() - 1)};
}

}  // namespace

HttpShared::HttpShared(HttpLimits http_limits, Handler& http_handler, Environment an_environment)
    : limits(http_limits),
      handler(http_handler),
      environment(an_environment.completed()),
      request_id_seed_(environment.random->next()) {}

std::string HttpShared::next_request_id() {
  // The seed and the count go through a bijection, so that ids do not tell how many requests there were.
  std::uint64_t x =
      request_id_seed_ + requests_.fetch_add(1, std::memory_order_relaxed) * 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  x ^= x >> 31;
  return hex16(x);
}

Loop::Loop(HttpShared& http_shared) : shared(http_shared) {
  tick();
  schedule();
}

Loop::~Loop() = default;

void Loop::schedule() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    tick();
    schedule();
  });
}

void Loop::tick() {
  const std::int64_t second = shared.environment.clock->now_ms() / 1000;
  if (second != date_second_) {
    date_second_ = second;
    date_ = http_date(second);
  }
  const Deadline at = now();
  // A connection may go while it is looked at.
  const std::vector<ConnectionBase*> all(connections.begin(), connections.end());
  for (ConnectionBase* connection : all) {
    if (connections.contains(connection)) connection->tick(at);
  }
}

void Loop::drain() {
  is_draining = true;
  const std::vector<ConnectionBase*> all(connections.begin(), connections.end());
  for (ConnectionBase* connection : all) {
    if (connections.contains(connection)) connection->drain();
  }
}

void Loop::abort() {
  is_draining = true;
  const std::vector<ConnectionBase*> all(connections.begin(), connections.end());
  for (ConnectionBase* connection : all) {
    if (connections.contains(connection)) connection->abort();
  }
}

void Loop::when_all_is_answered(std::function<void()> then) {
  if (answers_due == 0) return then();
  when_all_is_answered_ = std::move(then);
}

void Loop::answer_came() {
  if (--answers_due == 0 && when_all_is_answered_) std::exchange(when_all_is_answered_, {})();
}

bool Loop::evict_idle() {
  ConnectionBase* longest = nullptr;
  for (ConnectionBase* connection : connections) {
    if (!connection->is_idle()) continue;
    if (longest == nullptr || connection->idle_since() < longest->idle_since()) longest = connection;
  }
  if (longest == nullptr) return false;
  longest->abort();
  return true;
}

bool peer_has_gone(int socket) {
  pollfd polled{socket, POLLRDHUP, 0};
  return ::poll(&polled, 1, 0) > 0;
}

}  // namespace holdfast::server
