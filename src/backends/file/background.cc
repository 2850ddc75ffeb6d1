#include "backends/file/background.h"

#include <utility>

namespace holdfast::file {

Background::Background() : thread_([this] { run(); }) {}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    waiting_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void Background::ask(std::uint64_t key, std::function<void()>&& task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    waiting_.try_emplace(key, std::move(task));
  }
  changed_.notify_all();
}

void Background::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !running_; });
}

void Background::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopped_ || !waiting_.empty(); });
    if (stopped_) return;
    const auto task = waiting_.extract(waiting_.begin());
    running_ = true;
    lock.unlock();
    task.mapped()();
    lock.lock();
    running_ = false;
    changed_.notify_all();
  }
}

}  // namespace holdfast::file
