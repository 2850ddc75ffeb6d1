// What goes from event streams; the layout is in events.cc.
#include <algorithm>
#include <functional>
#include <string>

#include "holdfast/error.h"
#include "holdfast/events.h"
#include "services/events_consumers.h"
#include "services/events_keys.h"
#include "services/payload_codec.h"

namespace holdfast {
namespace {

/// Of one commit, pieces of objects included.
constexpr std::size_t kErasures = 1'000;
constexpr std::size_t kEventsPerScan = 250;
constexpr std::int64_t kNoLimit = -1;
constexpr std::size_t kConsumersPerScan = 1'000;
/// Sorts behind every id.
constexpr View kBehindAllIds = "g";

using ScanFunction = std::function<Page(const Range&, const ScanOptions&)>;

struct Bounds {
  /// Events up to here may go.
  Bytes through;
  /// Events in front of it go because there are too many of them.
  Bytes excess_before;
  /// Events of that time and before go because they are too old.
  std::optional<UnixMs> old_at_ms;

  bool may_go(View id) const { return id <= through; }
  bool goes(View id, UnixMs time_ms) const {
    return id < excess_before || (old_at_ms && time_ms <= *old_at_ms);
  }
};

void validate(const EventRetention& retention) {
  if (!retention.max_age || retention.max_age->count() >= 0) return;
  throw Error(Code::invalid_argument,
              "a maximum age of " + std::to_string(retention.max_age->count()) + " ms: it is at least 0 ms");
}

Bytes text_of(const EventRetention& retention) {
  const std::int64_t age_ms = retention.max_age ? retention.max_age->count() : kNoLimit;
  const std::int64_t count =
      retention.max_count
          ? static_cast<std::int64_t>(std::min<std::uint64_t>(*retention.max_count, INT64_MAX))
          : kNoLimit;
  return "{\"max_age_ms\":" + std::to_string(age_ms) + ",\"max_count\":" + std::to_string(count) + "}";
}

EventRetention parse_retention(View text) {
  EventRetention retention;
  EnvelopeReader reader(text);
  const std::int64_t age_ms = reader.literal("{\"max_age_ms\":").number();
  const std::int64_t count = reader.literal(",\"max_count\":").number();
  reader.literal("}");
  if (age_ms != kNoLimit) retention.max_age = std::chrono::milliseconds(age_ms);
  if (count != kNoLimit) retention.max_count = static_cast<std::uint64_t>(count);
  return retention;
}

/// The oldest event that stays when `max_count` of them do; nothing if there are fewer. What is appended
/// later only lets more of them go.
Bytes oldest_kept(View log, std::uint64_t max_count, const ScanFunction& scan) {
  if (max_count == 0) return Bytes(kBehindAllIds);
  Range range = Range::prefix(log);
  for (std::uint64_t left = max_count;;) {
    const std::size_t limit = std::min<std::uint64_t>(left, limits::kScanEntries);
    const Page page = scan(range, {.limit = limit, .reverse = true, .keys_only = true, .snapshot = true});
    left -= page.entries.size();
    if (left == 0) return page.entries.back().key.substr(log.size());
    if (!page.more) return {};
    range.end = page.entries.back().key;
  }
}

/// The smallest offset of the consumers that hold. Checked: a consumer that begins to hold is respected.
Bytes held_behind(Transaction& transaction, View consumers) {
  Bytes through(kBehindAllIds);
  Range range = Range::prefix(consumers);
  for (;;) {
    const Page page = transaction.scan(range, {.limit = kConsumersPerScan});
    for (const Entry& entry : page.entries) {
      const StoredConsumer consumer = StoredConsumer::parse(entry.value);
      if (consumer.holds) through = std::min(through, consumer.offset);
    }
    if (!page.more) return through;
    range.begin = page.entries.back().key + '\0';
  }
}

std::size_t erasures_of(const StoredEvent& event) {
  // An object and its pieces, were they entries.
  const std::size_t object =
      event.payload.is_object() ? 2 + static_cast<std::size_t>(event.payload.size_bytes / limits::kValueBytes)
                                : 0;
  return 2 + object;
}

/// Removes the oldest events for which `goes`, up to the first one that stays, as many as fit one commit.
std::uint64_t remove_oldest(Transaction& transaction, const EventKeys& keys, View stream,
                            const std::function<bool(View id, UnixMs time_ms)>& goes) {
  const Bytes log = keys.log(stream);
  Range range = Range::prefix(log);
  std::uint64_t events = 0;
  for (std::size_t erasures = 0;;) {
    // Events do not change, and appends are behind what goes: to check the oldest one is enough, since all
    // who remove events begin with it.
    const Page page = transaction.scan(range, {.limit = kEventsPerScan, .snapshot = true});
    for (const Entry& entry : page.entries) {
      const Bytes id = entry.key.substr(log.size());
      const StoredEvent event = StoredEvent::parse(entry.value);
      erasures += erasures_of(event);
      if (!goes(id, event.time_ms) || (events > 0 && erasures > kErasures)) return events;
      if (events == 0) transaction.require(entry);
      PayloadCodec::release(transaction, event.payload);
      transaction.erase(entry.key);
      transaction.erase(keys.time(stream, event.time_ms, id));
      ++events;
    }
    if (!page.more) return events;
    range.begin = page.entries.back().key + '\0';
  }
}

std::uint64_t prune_by(Transaction& transaction, const EventKeys& keys, View stream, Bounds bounds) {
  bounds.through = held_behind(transaction, keys.consumers(stream));
  return remove_oldest(transaction, keys, stream, [&](View id, UnixMs time_ms) {
    return bounds.may_go(id) && bounds.goes(id, time_ms);
  });
}

Bounds bounds_of(const EventRetention& retention, View log, UnixMs now_ms, const ScanFunction& scan) {
  Bounds bounds;
  if (retention.max_count) bounds.excess_before = oldest_kept(log, *retention.max_count, scan);
  if (retention.max_age)
    bounds.old_at_ms = now_ms - std::min<std::int64_t>(retention.max_age->count(), INT64_MAX / 2) - 1;
  return bounds;
}

}  // namespace

void Events::set_retention(View stream, const std::optional<EventRetention>& retention) {
  database_.transact([&](Transaction& transaction) { set_retention(transaction, stream, retention); });
}

void Events::set_retention(Transaction& transaction, View stream,
                           const std::optional<EventRetention>& retention) const {
  const Bytes key = EventKeys(prefix_).retention(stream);
  if (!retention) {
    transaction.erase(key);
    return;
  }
  validate(*retention);
  transaction.put(key, text_of(*retention));
}

std::optional<EventRetention> Events::retention(View stream) const {
  const std::optional<Entry> entry = database_.get(EventKeys(prefix_).retention(stream));
  return entry ? std::optional(parse_retention(entry->value)) : std::nullopt;
}

std::uint64_t Events::prune(View stream) {
  const std::optional<EventRetention> given = retention(stream);
  return given ? prune(stream, *given) : 0;
}

std::uint64_t Events::prune(View stream, const EventRetention& retention) {
  return prune(stream, retention, {});
}

std::uint64_t Events::prune(View stream, const EventRetention& given, const std::stop_token& stop) {
  validate(given);
  const EventKeys keys(prefix_);
  const UnixMs now_ms = database_.transact([](Transaction& transaction) { return transaction.now(); });
  const Bounds bounds = bounds_of(
      given, keys.log(stream), now_ms,
      [&](const Range& range, const ScanOptions& options) { return database_.scan(range, options); });
  for (std::uint64_t events = 0;;) {
    const std::uint64_t more = database_.transact(
        [&](Transaction& transaction) { return prune_by(transaction, keys, stream, bounds); });
    events += more;
    if (more == 0 || stop.stop_requested()) return events;
  }
}

std::uint64_t Events::prune(Transaction& transaction, View stream, const EventRetention& retention) const {
  validate(retention);
  const EventKeys keys(prefix_);
  const Bounds bounds = bounds_of(
      retention, keys.log(stream), transaction.now(),
      [&](const Range& range, const ScanOptions& options) { return transaction.scan(range, options); });
  return prune_by(transaction, keys, stream, bounds);
}

std::uint64_t Events::prune_all(const std::stop_token& stop) {
  const Bytes prefix = EventKeys(prefix_).retentions();
  std::uint64_t events = 0;
  for (Range range = Range::prefix(prefix);;) {
    const Page page = database_.scan(range);
    for (const Entry& entry : page.entries) {
      if (stop.stop_requested()) return events;
      events += prune(View(entry.key).substr(prefix.size()), parse_retention(entry.value), stop);
    }
    if (!page.more) return events;
    range.begin = page.entries.back().key + '\0';
  }
}

bool Events::erase(View stream) {
  const EventKeys keys(prefix_);
  const Bytes directory = keys.stream(stream);
  const auto everything = [](View, UnixMs) { return true; };
  for (;;) {
    const auto remove = [&](Transaction& transaction) {
      return remove_oldest(transaction, keys, stream, everything);
    };
    while (database_.transact(remove) > 0) {
    }
    enum class Step : std::uint8_t { nothing, again, done };
    const Step step = database_.transact([&](Transaction& transaction) {
      const Page consumers = transaction.scan(Range::prefix(keys.consumers(stream)), {.limit = kErasures});
      for (const Entry& consumer : consumers.entries) transaction.erase(consumer.key);
      if (consumers.more) return Step::again;
      // Whoever appends meanwhile keeps the stream.
      if (!transaction.scan(Range::prefix(keys.log(stream)), {.limit = 1, .keys_only = true})
               .entries.empty()) {
        return Step::again;
      }
      const bool is_there = transaction.get(directory).has_value();
      transaction.erase(directory);
      transaction.erase(keys.retention(stream));
      return is_there ? Step::done : Step::nothing;
    });
    if (step != Step::again) return step == Step::done;
  }
}

}  // namespace holdfast
