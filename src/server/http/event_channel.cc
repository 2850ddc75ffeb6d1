#include "server/http/event_channel.h"

#include <utility>

namespace holdfast::server {

bool EventChannel::send(Event event) {
  {
    std::unique_lock lock(mutex_);
    room_came_.wait(lock, [this] { return closed_ || (queue_.size() < kEvents && queued_bytes_ < kBytes); });
    if (closed_) return false;
    queued_bytes_ += event.data.size();
    queue_.push_back(std::move(event));
  }
  wake_();
  return true;
}

bool EventChannel::is_closed() const {
  const std::scoped_lock lock(mutex_);
  return closed_;
}

void EventChannel::on_close(std::function<void()> callback) {
  const std::scoped_lock callback_lock(callback_mutex_);
  callback_ = std::move(callback);
  if (callback_ && is_closed()) std::exchange(callback_, nullptr)();
}

void EventChannel::finish() {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = true;
  }
  wake_();
}

std::optional<Event> EventChannel::take() {
  std::optional<Event> event;
  {
    const std::scoped_lock lock(mutex_);
    if (queue_.empty()) return event;
    event = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= event->data.size();
  }
  room_came_.notify_all();
  return event;
}

bool EventChannel::is_finished() const {
  const std::scoped_lock lock(mutex_);
  return finished_ && queue_.empty();
}

void EventChannel::close() {
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  room_came_.notify_all();
  const std::scoped_lock callback_lock(callback_mutex_);
  if (callback_) std::exchange(callback_, nullptr)();
}

}  // namespace holdfast::server
