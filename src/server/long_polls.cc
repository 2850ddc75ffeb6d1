#include "server/long_polls.h"

#include <system_error>
#include <utility>

namespace holdfast::server {

bool LongPolls::run(std::function<void(const std::stop_token&)> task) {
  // Threads that have ended, whose join takes no time.
  std::list<std::thread> ended;
  bool is_running = false;
  {
    const std::scoped_lock lock(mutex_);
    ended.swap(ended_);
    if (!is_closed_ && running_.size() < most_) {
      const auto own = running_.emplace(running_.end());
      try {
        *own = std::thread([this, own, task = std::move(task)] {
          task(stop_.get_token());
          const std::scoped_lock own_lock(mutex_);
          ended_.splice(ended_.end(), running_, own);
          changed_.notify_all();
        });
        is_running = true;
      } catch (const std::system_error&) {
        running_.erase(own);
      }
    }
  }
  for (std::thread& thread : ended) thread.join();
  return is_running;
}

void LongPolls::close() {
  stop();
  std::list<std::thread> ended;
  {
    std::unique_lock lock(mutex_);
    is_closed_ = true;
    changed_.wait(lock, [&] { return running_.empty(); });
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

}  // namespace holdfast::server
