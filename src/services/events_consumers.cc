// The consumers of event streams; the layout is in events.cc.
#include "services/events_consumers.h"

#include <string>

#include "holdfast/error.h"
#include "holdfast/events.h"
#include "services/events_keys.h"
#include "services/lister.h"

namespace holdfast {

Bytes StoredConsumer::text() const {
  return Bytes("{\"holds\":") + (holds ? "true" : "false") + ",\"offset\":\"" + offset + "\"}";
}

StoredConsumer StoredConsumer::parse(View text) {
  StoredConsumer consumer;
  EnvelopeReader reader(text);
  consumer.holds = reader.literal("{\"holds\":").skip("true");
  if (!consumer.holds) reader.literal("false");
  consumer.offset = reader.literal(",\"offset\":\"").word();
  reader.literal("}");
  return consumer;
}

std::vector<Event> Events::read(View stream, View consumer, std::size_t limit) const {
  const std::optional<EventConsumer> found = this->consumer(stream, consumer);
  return list(stream, {.after = found ? found->offset : EventId(), .limit = limit}).items;
}

bool Events::commit(View stream, View consumer, View id, bool backwards) {
  return database_.transact(
      [&](Transaction& transaction) { return commit(transaction, stream, consumer, id, backwards); });
}

bool Events::commit(Transaction& transaction, View stream, View consumer, View id, bool backwards) const {
  validate_event_id(id);
  const Bytes key = EventKeys(prefix_).consumer(stream, consumer);
  const std::optional<Entry> entry = transaction.get(key);
  StoredConsumer stored = entry ? StoredConsumer::parse(entry->value) : StoredConsumer();
  if (id == stored.offset) return true;
  if (id < stored.offset && !backwards) return false;
  stored.offset = id;
  transaction.put(key, stored.text());
  return true;
}

void Events::hold(View stream, View consumer, bool holds) {
  database_.transact([&](Transaction& transaction) { hold(transaction, stream, consumer, holds); });
}

void Events::hold(Transaction& transaction, View stream, View consumer, bool holds) const {
  const Bytes key = EventKeys(prefix_).consumer(stream, consumer);
  const std::optional<Entry> entry = transaction.get(key);
  StoredConsumer stored = entry ? StoredConsumer::parse(entry->value) : StoredConsumer();
  stored.holds = holds;
  transaction.put(key, stored.text());
}

std::optional<EventConsumer> Events::consumer(View stream, View consumer) const {
  const std::optional<Entry> entry = database_.get(EventKeys(prefix_).consumer(stream, consumer));
  if (!entry) return std::nullopt;
  const StoredConsumer stored = StoredConsumer::parse(entry->value);
  return EventConsumer{Bytes(consumer), stored.offset, stored.holds};
}

Listing<EventConsumer> Events::consumers(View stream, const ListOptions& options) const {
  Listing<EventConsumer> listing;
  const Bytes prefix = EventKeys(prefix_).consumers(stream);
  listing.cursor = list_entries(database_, prefix, options, [&](View name, Entry& entry) {
    const StoredConsumer stored = StoredConsumer::parse(entry.value);
    listing.items.push_back({Bytes(name), stored.offset, stored.holds});
    return name.size();
  });
  return listing;
}

std::uint64_t Events::lag(View stream, View consumer) const {
  const std::optional<EventConsumer> found = this->consumer(stream, consumer);
  Range range = Range::prefix(EventKeys(prefix_).log(stream));
  if (found && !found->offset.empty()) range.begin += found->offset + '\0';
  std::uint64_t events = 0;
  for (;;) {
    const Page page = database_.scan(range, {.limit = limits::kScanEntries, .keys_only = true});
    events += page.entries.size();
    if (!page.more) return events;
    range.begin = page.entries.back().key + '\0';
  }
}

bool Events::erase_consumer(View stream, View consumer) {
  return database_.transact(
      [&](Transaction& transaction) { return erase_consumer(transaction, stream, consumer); });
}

bool Events::erase_consumer(Transaction& transaction, View stream, View consumer) const {
  const Bytes key = EventKeys(prefix_).consumer(stream, consumer);
  if (!transaction.get(key)) return false;
  transaction.erase(key);
  return true;
}

}  // namespace holdfast
