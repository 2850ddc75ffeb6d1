// Layout
//     <prefix>/log/<stream>/<id>               {"time_ms":n,<payload>}: an event (payload_codec.h)
//     <prefix>/time/<stream>/<time>-<id>       empty: the events in the order of their times
//     <prefix>/stream/<stream>                 {"place":n,"time_ms":n}: the newest append; the place in its
//     commit <prefix>/consumer/<stream>/<consumer>    {"holds":true|false,"offset":"<id>"}
//     <prefix>/retention/<stream>              {"max_age_ms":n,"max_count":n}; -1: no limit
// where <id> is <seq of the commit>-<place in it> and <time> sorts as the time does. Appending puts the first
// three without reading: `log` and `time` are stamped, and of `stream` the last one wins.
#include "holdfast/events.h"

#include <algorithm>
#include <map>
#include <string>

#include "holdfast/error.h"
#include "services/events_keys.h"
#include "services/keys.h"
#include "services/lister.h"

namespace holdfast {
namespace {

/// Events that a list by time reads ahead by id: mostly the two orders agree.
constexpr std::size_t kReadAhead = 50;

struct StoredStream {
  std::uint32_t place = 0;
  UnixMs time_ms = 0;

  Bytes text() const {
    return "{\"place\":" + std::to_string(place) + ",\"time_ms\":" + std::to_string(time_ms) + "}";
  }
  static StoredStream parse(View text) {
    StoredStream stream;
    EnvelopeReader reader(text);
    stream.place = static_cast<std::uint32_t>(reader.literal("{\"place\":").number());
    stream.time_ms = reader.literal(",\"time_ms\":").number();
    reader.literal("}");
    return stream;
  }
};

/// What a commit writes that appends `payloads`, the first of them at `place`.
std::vector<Write> writes_to_append(const EventKeys& keys, View stream, std::uint32_t place, UnixMs now_ms,
                                    std::span<const StoredPayload> payloads) {
  std::vector<Write> writes;
  writes.reserve(2 * payloads.size() + 1);
  for (const StoredPayload& payload : payloads) {
    const Bytes suffix = event_suffix(place++);
    writes.push_back(Write::put_stamped(keys.log(stream), suffix, StoredEvent{now_ms, payload}.envelope()));
    writes.push_back(Write::put_stamped(keys.time(stream, now_ms, {}), suffix, {}));
  }
  writes.push_back(Write::put(keys.stream(stream), StoredStream{place - 1, now_ms}.text()));
  return writes;
}

void append_stored(Transaction& transaction, const EventKeys& keys, View stream,
                   std::span<const StoredPayload> payloads) {
  for (const StoredPayload& payload : payloads) PayloadCodec::replace(transaction, std::nullopt, payload);
  // The place behind what this transaction has appended before, which its own put of the stream says: that
  // one has no version. What others have put does not matter, so nothing is checked.
  const Bytes key = keys.stream(stream);
  const Page page = transaction.scan({key, key + '\0'}, {.limit = 1, .snapshot = true});
  const bool is_own = !page.entries.empty() && page.entries.front().version == 0;
  const std::uint32_t place = is_own ? StoredStream::parse(page.entries.front().value).place + 1 : 0;
  for (const Write& write : writes_to_append(keys, stream, place, transaction.now(), payloads)) {
    if (write.kind == Write::Kind::put_stamped) {
      transaction.put_stamped(write.key, write.suffix, write.value);
    } else {
      transaction.put(write.key, write.value);
    }
  }
}

std::vector<StoredPayload> stored_payloads(const Database& database, std::span<const Payload> payloads) {
  std::vector<StoredPayload> stored;
  stored.reserve(payloads.size());
  for (const Payload& payload : payloads) stored.push_back(PayloadCodec(database).store(payload));
  return stored;
}

void validate_count(std::span<const Payload> payloads) {
  if (!payloads.empty() && payloads.size() <= limits::kAppendEvents) return;
  throw Error(Code::invalid_argument, "an append of " + std::to_string(payloads.size()) +
                                          " events: it has at least 1 and at most " +
                                          std::to_string(limits::kAppendEvents));
}

bool is_inline(const Payload& payload) { return payload.size_bytes() <= limits::kInlinePayloadBytes; }

}  // namespace

Events::Events(Database database, View prefix) : database_(std::move(database)), prefix_(prefix) {
  validate_service_prefix(prefix);
  prefix_ += '/';
}

EventId Events::append(View stream, const Payload& payload) {
  return std::move(append_many(stream, std::span(&payload, 1)).front());
}

std::vector<EventId> Events::append_many(View stream, std::span<const Payload> payloads) {
  validate_count(payloads);
  if (std::ranges::all_of(payloads, is_inline)) {
    return ids_of(database_.commit(batch_to_append(stream, payloads)).seq, payloads.size());
  }
  // Objects are kept by transactions.
  const EventKeys keys(prefix_);
  const std::vector<StoredPayload> stored = stored_payloads(database_, payloads);
  const Position at =
      database_.transact([&](Transaction& transaction) { append_stored(transaction, keys, stream, stored); });
  return ids_of(at.seq, stored.size());
}

Batch Events::batch_to_append(View stream, std::span<const Payload> payloads) {
  validate_count(payloads);
  if (!std::ranges::all_of(payloads, is_inline)) {
    throw Error(Code::invalid_argument, "a payload of more than " +
                                            std::to_string(limits::kInlinePayloadBytes) +
                                            " bytes does not lie in an entry; append it with append_many()");
  }
  const UnixMs now_ms = database_.transact([](Transaction& transaction) { return transaction.now(); });
  return {{}, writes_to_append(EventKeys(prefix_), stream, 0, now_ms, stored_payloads(database_, payloads))};
}

std::vector<EventId> Events::ids_of(Seq seq, std::size_t events) {
  std::vector<EventId> ids;
  ids.reserve(events);
  for (std::size_t i = 0; i < events; ++i) {
    ids.push_back(number_segment(seq) + event_suffix(static_cast<std::uint32_t>(i)));
  }
  return ids;
}

void Events::append(Transaction& transaction, View stream, const Payload& payload) const {
  append_many(transaction, stream, std::span(&payload, 1));
}

void Events::append_many(Transaction& transaction, View stream, std::span<const Payload> payloads) const {
  validate_count(payloads);
  append_stored(transaction, EventKeys(prefix_), stream, stored_payloads(database_, payloads));
}

std::optional<Event> Events::get(View stream, View id) const {
  validate_event_id(id);
  const std::optional<Entry> entry = database_.get(EventKeys(prefix_).log(stream) + Bytes(id));
  return entry ? load_event(database_, *entry) : std::nullopt;
}

std::optional<EventId> Events::last_id(View stream) const {
  const Bytes log = EventKeys(prefix_).log(stream);
  const Page page = database_.scan(Range::prefix(log), {.limit = 1, .reverse = true, .keys_only = true});
  if (page.entries.empty()) return std::nullopt;
  return page.entries.front().key.substr(log.size());
}

Listing<Event> Events::list(View stream, const EventListOptions& options) const {
  const Bytes log = EventKeys(prefix_).log(stream);
  Range range = Range::prefix(log);
  if (!options.after.empty()) {
    validate_event_id(options.after);
    range.begin = log + options.after + '\0';
  }
  if (!options.before.empty()) {
    validate_event_id(options.before);
    range.end = log + options.before;
  }
  Listing<Event> listing;
  const ListOptions walk{.cursor = options.cursor, .limit = options.limit, .reverse = options.reverse};
  listing.cursor = list_range(database_, range, log, walk, [&](View, Entry& entry) -> std::size_t {
    std::optional<Event> event = load_event(database_, entry);
    if (!event) return 0;
    const std::size_t size_bytes = event->id.size() + event->payload.size_bytes();
    listing.items.push_back(std::move(*event));
    return size_bytes;
  });
  return listing;
}

Listing<Event> Events::list_by_time(View stream, const EventTimeOptions& options) const {
  const EventKeys keys(prefix_);
  const Bytes log = keys.log(stream);
  const Bytes times = keys.times(stream);
  Range range = Range::prefix(times);
  if (options.since_ms) range.begin = times + signed_segment(*options.since_ms);
  if (options.before_ms) range.end = times + signed_segment(*options.before_ms);
  std::map<Bytes, Entry> ahead;
  const auto entry_of = [&](const Bytes& key) -> std::optional<Entry> {
    if (!ahead.contains(key)) {
      const Range rest = options.reverse ? Range{log, key + '\0'} : Range{key, Range::prefix(log).end};
      ahead.clear();
      for (Entry& entry :
           database_.scan(rest, {.limit = std::min(options.limit, kReadAhead), .reverse = options.reverse})
               .entries) {
        ahead.try_emplace(entry.key, std::move(entry));
      }
    }
    const auto found = ahead.find(key);
    return found == ahead.end() ? std::nullopt : std::optional(found->second);
  };
  Listing<Event> listing;
  const ListOptions walk{.cursor = options.cursor, .limit = options.limit, .reverse = options.reverse};
  listing.cursor = list_range(database_, range, times, walk, [&](View user_key, Entry&) -> std::size_t {
    const std::optional<Entry> entry =
        entry_of(log + Bytes(user_key.substr(user_key.size() - kEventIdBytes)));
    std::optional<Event> event = entry ? load_event(database_, *entry) : std::nullopt;
    if (!event) return 0;
    const std::size_t size_bytes = event->id.size() + event->payload.size_bytes();
    listing.items.push_back(std::move(*event));
    return size_bytes;
  });
  return listing;
}

Listing<EventStream> Events::streams(const ListOptions& options) const {
  Listing<EventStream> listing;
  listing.cursor =
      list_entries(database_, EventKeys(prefix_).streams(), options, [&](View name, Entry& entry) {
        listing.items.push_back({Bytes(name), StoredStream::parse(entry.value).time_ms});
        return name.size();
      });
  return listing;
}

}  // namespace holdfast
