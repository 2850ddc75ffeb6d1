// A bounded queue of events between the thread that makes them and the thread that does the I/O.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "server/http/message.h"

namespace holdfast::server {

class EventChannel final : public EventSink {
 public:
  /// `wake` tells the I/O thread that there is something to do.
  explicit EventChannel(std::function<void()> wake) : wake_(std::move(wake)) {}

  bool send(Event event) override;
  bool is_closed() const override;
  void on_close(std::function<void()> callback) override;
  /// By the maker: there will be no more.
  void finish();

  /// By the I/O thread: the next event, if there is one.
  std::optional<Event> take();
  bool is_finished() const;
  /// By the I/O thread: nobody listens any more.
  void close();

 private:
  static constexpr std::size_t kEvents = 256;
  static constexpr std::size_t kBytes = 1u << 20;

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable room_came_;
  std::deque<Event> queue_;
  std::size_t queued_bytes_ = 0;
  bool closed_ = false;
  bool finished_ = false;
  /// Guards the callback alone, so that it may call back into the channel.
  std::mutex callback_mutex_;
  std::function<void()> callback_;
};

}  // namespace holdfast::server
