// Tells what happened to the services of a database after it was committed, by whatever process.
//
//     holdfast::Lifecycle lifecycle(store->database("app"));
//     auto subscription = lifecycle.on("record:*", [](const holdfast::LifecycleEvent& event) {
//       if (event.type == "record:put") refresh(event.key, *event.payload);
//     });
//
// | type            | key     | stream, id | payload     | version           | size_bytes | count  |
// |-----------------|---------|------------|-------------|-------------------|------------|--------|
// | "kv:set"        | key     |            | the value   | of the entry      |            |        |
// | "kv:delete"     | key     |            |             |                   |            |        |
// | "record:put"    | key     |            | the value   | of the record     |            |        |
// | "record:delete" | key     |            |             |                   |            |        |
// | "blob:put"      | key     |            |             | of the entry      | of it      |        |
// | "blob:delete"   | key     |            |             |                   |            |        |
// | "event:append"  |         | both       | the payload |                   |            |        |
// | "event:prune"   |         | stream     |             |                   |            | events |
//
// An upload that is under way is no commit, so there is no type for its progress: who uploads a blob hears of
// it by BlobPutOptions::progress.
//
// Handlers hear of every commit after on() has returned, in the order of the commits, one at a time, on one
// thread of the Lifecycle's own; those who write never wait for them. What is told is what a key has when the
// handler is told: of several changes of one key that follow each other closely only the newest may be heard
// of, at its place, and nothing of a key that was set and is gone again but its deletion. Events of a stream
// do not change: each of them is heard of, unless it is pruned before. An entry that expires is deleted when
// the sweeper removes it.
//
// Whoever keeps the token of the last event goes on behind it later, without a gap and without a repeat, as
// long as the change log reaches back to it: for an hour and a million changes at least.
//
// Handlers get values as they are stored in the services: who logs an event logs them.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

struct LifecycleEvent {
  Bytes type = {};
  Bytes prefix = {};  ///< of the service that it happened to: "kv"
  Seq seq = 0;        ///< of the commit
  // What the table above says for the type; the others are empty.
  Bytes key = {};
  Bytes stream = {};
  Bytes id = {};
  std::optional<Payload> payload = {};
  std::uint64_t version = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t count = 0;
  /// The place of this event, for LifecycleOptions::after. Opaque text.
  Bytes token = {};
};

using LifecycleHandler = std::function<void(const LifecycleEvent&)>;

struct LifecycleOptions {
  // The prefixes of the services that are listened to.
  std::vector<Bytes> kv = {"kv"};
  std::vector<Bytes> records = {"records"};
  std::vector<Bytes> blobs = {"blobs"};
  std::vector<Bytes> events = {"events"};
  /// Begins behind the event with this token, in whichever process it was heard, with the first on(), whose
  /// handler hears of everything that came after it and is still to be told. Empty: begins with what comes.
  /// If the change log no longer reaches back, or the database was dropped or restored, on_error hears of it.
  Bytes after = {};
  /// Hears of what a handler throws, which has no other effect, and of errors of the database, on the thread
  /// of the handlers. history_changed and compacted mean that changes were missed: handlers fell behind by an
  /// hour and a million changes, or the database was dropped or restored; it goes on with what comes. After
  /// any other error it goes on from where it was; if waiting does not help, `is_last` is set and nothing
  /// comes any more.
  std::function<void(const std::exception& error, bool is_last)> on_error = {};
};

/// Keeps a handler; destroying it removes the handler. May outlive the Lifecycle.
class LifecycleSubscription {
 public:
  class Hub;
  LifecycleSubscription() = default;
  LifecycleSubscription(std::shared_ptr<Hub> hub, std::uint64_t id);
  ~LifecycleSubscription();
  LifecycleSubscription(LifecycleSubscription&& other) noexcept;
  LifecycleSubscription& operator=(LifecycleSubscription&& other) noexcept;

  /// When it returns the handler does not run and never will again, unless it is the handler itself that
  /// called this. Idempotent.
  void remove();

 private:
  std::shared_ptr<Hub> hub_;
  std::uint64_t id_ = 0;
};

/// Thread-safe. Costs a thread from the first on() on, and for each commit a read of the change log and of
/// the values that a handler wants.
class Lifecycle {
 public:
  /// Throws invalid_argument for what is no prefix, or no token.
  explicit Lifecycle(Database database, LifecycleOptions options = {});
  /// Waits for a handler that runs; not from within a handler.
  ~Lifecycle();
  Lifecycle(const Lifecycle&) = delete;
  Lifecycle& operator=(const Lifecycle&) = delete;

  /// `pattern` is a type, all types of a service ("kv:*"), or "*". Throws invalid_argument for another one.
  /// Handlers of one event are called in the order in which they came.
  [[nodiscard]] LifecycleSubscription on(View pattern, LifecycleHandler handler);
  /// The place that it began at: whoever has heard of no event yet resumes here.
  const Bytes& token() const;

 private:
  class Follower;
  std::shared_ptr<LifecycleSubscription::Hub> hub_;
  std::unique_ptr<Follower> follower_;
};

}  // namespace holdfast
