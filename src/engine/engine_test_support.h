// For the engine's own tests: a backend that several stores share, as processes share a server, and whose
// calls a test can make fail.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "backends/memory/memory_backend.h"
#include "contract/forwarding.h"
#include "engine/engine.h"
#include "holdfast/store.h"

namespace holdfast {

/// Thread-safe, except that `fail` is set before the calls that it concerns.
class SharedBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  /// Called with the name of every call before it is passed on; may throw, or do something first.
  std::function<void(View call, View database)> before_call;
  /// Called when a call has been answered.
  std::function<void(View call, View database)> after_call;

  ReadAnswer read(View database, const ReadRequest& request) override {
    const Passing passing(*this, "read", database);
    return inner().read(database, request);
  }
  void commit(std::span<Group> groups) override {
    for (Group& group : groups) {
      try {
        const Passing passing(*this, "commit", group.database);
        inner().commit({&group, 1});
      } catch (const Error& error) {
        group.error = error;
      }
    }
  }
  Changes changes(View database, const ChangesRequest& request) override {
    const Passing passing(*this, "changes", database);
    return inner().changes(database, request);
  }
  void compact(View database, Seq before, Deadline deadline) override {
    const Passing passing(*this, "compact", database);
    inner().compact(database, before, deadline);
  }
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    const Passing passing(*this, "databases", {});
    return inner().databases(prefix, after, limit, deadline);
  }
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    const Passing passing(*this, "expired", {});
    return inner().expired(now_ms, limit, deadline);
  }
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    const Passing passing(*this, "wait", {});
    return inner().wait(cursors, deadline);
  }

 private:
  class Passing {
   public:
    Passing(SharedBackend& backend, View call, View database)
        : backend_(backend), call_(call), database_(database) {
      if (backend_.before_call) backend_.before_call(call_, database_);
    }
    ~Passing() {
      if (backend_.after_call) backend_.after_call(call_, database_);
    }
    Passing(const Passing&) = delete;
    Passing& operator=(const Passing&) = delete;

   private:
    SharedBackend& backend_;
    const View call_;
    const View database_;
  };
};

/// A memory backend under a manual clock, and stores on it that stand for processes.
class TestWorld {
 public:
  TestWorld()
      : clock(std::make_shared<ManualClock>()),
        environment{clock, seeded_random(1), nullptr},
        backend(memory_backend(environment)) {}

  /// The engine of a new process, for what the public interface does not show.
  std::shared_ptr<Engine> engine(const std::function<void(SharedBackend&)>& hook = {}) {
    auto shared = std::make_unique<SharedBackend>(backend);
    if (hook) hook(*shared);
    StoreOptions options;
    options.environment = environment;
    options.sweeper = false;
    return std::make_shared<Engine>(std::move(shared), std::move(options));
  }
  /// A new process. `hook` may set the backend's before_call and after_call.
  std::shared_ptr<Store> open(const std::function<void(SharedBackend&)>& hook = {}, bool sweeper = false) {
    auto shared = std::make_unique<SharedBackend>(backend);
    if (hook) hook(*shared);
    StoreOptions options;
    options.environment = environment;
    options.sweeper = sweeper;
    return Store::open(std::move(shared), std::move(options));
  }
  Deadline in(std::chrono::milliseconds delay) { return clock->steady_now() + delay; }
  Deadline now() { return clock->steady_now(); }

  std::shared_ptr<ManualClock> clock;
  Environment environment;
  std::shared_ptr<Backend> backend;
};

}  // namespace holdfast
