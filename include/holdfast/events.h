// Event streams: append-only, read by id or by time, followed live, read by named consumers that keep their
// place.
//
//     holdfast::Events events(store->database("app"));
//     const holdfast::EventId id = events.append("orders", nlohmann::json{{"item", 7}});
//     auto orders = events.subscribe("orders", id);
//     while (auto event = orders.next(deadline)) use(event->payload.json());
//
// The order of a stream is that of the commits: an event that is read has no event before it that is not
// there yet. Appending is blind: appends never conflict, with each other or with readers.
//
// A cheap handle, thread-safe. Streams and consumers have names of any bytes, up to the limits below;
// payloads have up to 64 MiB. Every change is one commit; the forms that take a Transaction are part of its
// commit. Methods throw Error: invalid_argument for what is no name, id or payload, and what the database
// throws.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

/// The number of the commit as 16 lower-case hexadecimal digits, '-', and the event's place in that commit as
/// 4 more. Ids of one database sort as bytes in the order in which the events were appended.
using EventId = Bytes;

struct Event {
  EventId id;
  /// What the clock of the process that appended it said. Clocks differ, so times need not rise with the ids.
  UnixMs time_ms = 0;
  Payload payload;
};

struct EventListOptions {
  EventId after = {};   ///< only events behind this one
  EventId before = {};  ///< only events in front of this one; empty: all
  /// Where the last page ended; empty for the first page. Opaque text, valid for ever for the same list.
  Bytes cursor = {};
  /// 1..1,000 events. A page ends earlier when its payloads have reached 8 MiB.
  std::size_t limit = 100;
  bool reverse = false;  ///< newest first. A cursor belongs to one direction.
};

struct EventTimeOptions {
  std::optional<UnixMs> since_ms = {};   ///< only events of this time or later
  std::optional<UnixMs> before_ms = {};  ///< only events of earlier times
  Bytes cursor = {};                     ///< as in EventListOptions
  std::size_t limit = 100;               ///< as in EventListOptions
  bool reverse = false;                  ///< latest time first
};

struct EventStream {
  Bytes name;
  UnixMs appended_at_ms = 0;  ///< the time of the newest append
};

struct EventConsumer {
  Bytes name;
  /// The event up to which it has read; empty: nothing yet.
  EventId offset;
  /// Nothing behind its offset is pruned.
  bool holds = false;
};

/// An event goes when it exceeds any limit that is given.
struct EventRetention {
  std::optional<std::chrono::milliseconds> max_age = {};
  std::optional<std::uint64_t> max_count = {};
  bool operator==(const EventRetention&) const = default;
};

/// The events of a stream behind an id, in order, each once: first those that are there, then those that
/// come. Bound to one thread at a time, but for cancel(); destroying it ends it.
class EventSubscription {
 public:
  class Impl;
  explicit EventSubscription(std::unique_ptr<Impl> impl);
  ~EventSubscription();
  EventSubscription(EventSubscription&&) noexcept;
  EventSubscription& operator=(EventSubscription&&) noexcept;

  /// The next event; nothing if there was none before the deadline, or after cancel(). Throws history_changed
  /// when the database was dropped or restored to an earlier state: its ids begin anew; subscribe again.
  std::optional<Event> next(Deadline deadline = {});
  /// Ends a next() that waits in another thread; later calls return nothing.
  void cancel();
  /// Of the newest event that next() gave: what to subscribe after in order to go on, at any time, in any
  /// process.
  const EventId& position() const;

 private:
  std::unique_ptr<Impl> impl_;
};

class Events {
 public:
  /// The entries live under "<prefix>/" in the database: 1 to 100 bytes, not beginning with '!'.
  explicit Events(Database database, View prefix = "events");

  // ---- Streams

  /// Cost: one blind commit of three small entries; a payload above 256 KiB is uploaded before.
  EventId append(View stream, const Payload& payload);
  /// At most 500, next to each other in one commit.
  std::vector<EventId> append_many(View stream, std::span<const Payload> payloads);
  /// What append_many() would commit now, for Database::submit(); ids_of() says what became of it. Throws
  /// invalid_argument also for a payload above 256 KiB, which an entry does not hold. Cost: none of the
  /// backend's.
  Batch batch_to_append(View stream, std::span<const Payload> payloads);
  /// The ids of `events` events that were appended in the commit `seq`.
  static std::vector<EventId> ids_of(Seq seq, std::size_t events);
  /// Its id is known only when the transaction has been committed: read it with last_id() or list(). Several
  /// appends of one transaction keep their order. Cost: one read; never conflicts.
  void append(Transaction& transaction, View stream, const Payload& payload) const;
  /// At most 500, next to each other; otherwise as append().
  void append_many(Transaction& transaction, View stream, std::span<const Payload> payloads) const;

  /// Nothing if there is no such event (any more).
  std::optional<Event> get(View stream, View id) const;
  /// Of the newest event that is there.
  std::optional<EventId> last_id(View stream) const;
  /// By id.
  Listing<Event> list(View stream, const EventListOptions& options = {}) const;
  /// By time, and by id where times are equal.
  Listing<Event> list_by_time(View stream, const EventTimeOptions& options = {}) const;
  /// Every stream that was ever appended to, by name.
  Listing<EventStream> streams(const ListOptions& options = {}) const;

  /// Begins behind `after`, which need not exist; empty: with the oldest event. A subscription does not keep
  /// events from being pruned: a consumer that holds does.
  EventSubscription subscribe(View stream, View after = {}) const;

  // ---- Consumers: a consumer's first commit or hold creates it.

  /// The events behind the consumer's offset, oldest first; all of them, again and again, until they are
  /// committed. A consumer that does not exist reads from the beginning. 1..1,000 events; fewer when their
  /// payloads have reached 8 MiB.
  std::vector<Event> read(View stream, View consumer, std::size_t limit = 100) const;
  /// Moves the offset to `id`: everything up to it has been dealt with. Without `backwards` an offset never
  /// moves to an earlier event; whether it is at `id` now.
  bool commit(View stream, View consumer, View id, bool backwards = false);
  bool commit(Transaction& transaction, View stream, View consumer, View id, bool backwards = false) const;
  /// Whether events behind its offset are kept from being pruned.
  void hold(View stream, View consumer, bool holds = true);
  void hold(Transaction& transaction, View stream, View consumer, bool holds = true) const;
  std::optional<EventConsumer> consumer(View stream, View consumer) const;
  /// Of one stream, by name.
  Listing<EventConsumer> consumers(View stream, const ListOptions& options = {}) const;
  /// How many events there are behind its offset. Cost: a scan of their keys.
  std::uint64_t lag(View stream, View consumer) const;
  /// Whether there was one.
  bool erase_consumer(View stream, View consumer);
  bool erase_consumer(Transaction& transaction, View stream, View consumer) const;

  // ---- Retention: what is kept is decided when prune() is called, oldest first, up to the first event that
  // stays. An EventPruner calls it from time to time, as `holdfast serve` does.

  /// What prune() goes by; nothing: all events stay.
  void set_retention(View stream, const std::optional<EventRetention>& retention);
  void set_retention(Transaction& transaction, View stream,
                     const std::optional<EventRetention>& retention) const;
  std::optional<EventRetention> retention(View stream) const;

  /// Removes what exceeds the stream's retention, in commits of at most 1,000 erasures, never an event behind
  /// the offset of a consumer that holds; how many. Cost: reads what it removes, and for max_count the
  /// keys of what stays.
  std::uint64_t prune(View stream);
  /// The same by another retention.
  std::uint64_t prune(View stream, const EventRetention& retention);
  /// As many as fit one commit.
  std::uint64_t prune(Transaction& transaction, View stream, const EventRetention& retention) const;
  /// prune() of every stream that has a retention; ends after a commit when `stop` is requested. An
  /// EventPruner (holdfast/event_pruner.h) does it from time to time.
  std::uint64_t prune_all(const std::stop_token& stop = {});

  /// Removes all events of a stream, its consumers, those that hold as well, and its retention; whether there
  /// was such a stream. In several commits: an append meanwhile begins the stream anew.
  bool erase(View stream);

 private:
  std::uint64_t prune(View stream, const EventRetention& retention, const std::stop_token& stop);

  Database database_;
  Bytes prefix_;
};

namespace limits {

inline constexpr std::size_t kStreamNameBytes = 400;
inline constexpr std::size_t kConsumerNameBytes = 400;
/// Events of one append_many().
inline constexpr std::size_t kAppendEvents = 500;

}  // namespace limits
}  // namespace holdfast
