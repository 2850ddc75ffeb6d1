// For tests of what a worker does when its store stands still in the middle of a commit.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

#include "contract/forwarding.h"
#include "tests/services/queue_fixture.h"

namespace holdfast {

/// Does what the test says in the middle of the next commit, before it is judged.
class StallingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  void stall_next(std::function<void()> meanwhile) {
    const std::scoped_lock lock(mutex_);
    meanwhile_ = std::move(meanwhile);
  }
  void commit(std::span<Group> groups) override {
    std::function<void()> meanwhile;
    {
      const std::scoped_lock lock(mutex_);
      meanwhile = std::exchange(meanwhile_, {});
    }
    if (meanwhile) meanwhile();
    ++commits_;
    ForwardingBackend::commit(groups);
  }
  std::size_t commits() const { return commits_; }

 private:
  std::mutex mutex_;
  std::function<void()> meanwhile_;
  std::atomic<std::size_t> commits_ = 0;
};

class StallingQueueTest : public QueueTest {
 protected:
  /// Of a process whose store stalls when it is told to; for targets that several processes share.
  StallingBackend& backend() {
    if (!stalling_store_) {
      StoreOptions options;
      options.environment.clock = clock_pointer();
      options.sweeper = false;
      auto backend = std::make_unique<StallingBackend>(open_backend(options));
      backend_ = backend.get();
      stalling_store_ = Store::open(std::move(backend), options);
    }
    return *backend_;
  }
  Database stalling_database() {
    backend();
    return stalling_store_->database("app");
  }
  Queue stalling_queue() {
    return Queue(stalling_database(), "q", {.random = seeded_random(8), .clock = clock_pointer()});
  }

 private:
  StallingBackend* backend_ = nullptr;  // the store's
  std::shared_ptr<Store> stalling_store_;
};

}  // namespace holdfast
