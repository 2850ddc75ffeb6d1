#include "services/lifecycle_sources.h"

#include "services/blob_record.h"
#include "services/events_keys.h"
#include "services/keys.h"
#include "services/payload_codec.h"
#include "services/record_envelope.h"

namespace holdfast {
namespace {

std::optional<LifecycleEvent> tell_of_kv(const Database& database, const LifecycleChange& change) {
  if (change.entry == nullptr) return LifecycleEvent{.type = "kv:delete", .key = Bytes(change.key)};
  std::optional<Payload> value = PayloadCodec(database).load(PayloadCodec::parse_bare(change.entry->value));
  if (!value) return std::nullopt;
  return LifecycleEvent{.type = "kv:set",
                        .key = Bytes(change.key),
                        .payload = std::move(value),
                        .version = change.entry->version};
}

std::optional<LifecycleEvent> tell_of_record(const Database& database, const LifecycleChange& change) {
  if (change.entry == nullptr) return LifecycleEvent{.type = "record:delete", .key = Bytes(change.key)};
  const RecordEnvelope record = RecordEnvelope::parse(change.entry->value);
  std::optional<Payload> value = PayloadCodec(database).load(record.payload);
  if (!value) return std::nullopt;
  return LifecycleEvent{
      .type = "record:put", .key = Bytes(change.key), .payload = std::move(value), .version = record.version};
}

std::optional<LifecycleEvent> tell_of_blob(const Database& /*database*/, const LifecycleChange& change) {
  if (change.entry == nullptr) return LifecycleEvent{.type = "blob:delete", .key = Bytes(change.key)};
  return LifecycleEvent{.type = "blob:put",
                        .key = Bytes(change.key),
                        .version = change.entry->version,
                        .size_bytes = BlobRecord::parse(change.key, *change.entry).info.size_bytes};
}

std::optional<LifecycleEvent> tell_of_event(const Database& database, const LifecycleChange& change) {
  const std::size_t slash = change.key.rfind('/');
  if (slash == View::npos) return std::nullopt;
  LifecycleEvent told{
      .type = "event:prune", .stream = unescaped_segment(change.key.substr(0, slash)), .count = 1};
  if (change.entry == nullptr) return told;
  std::optional<Event> event = load_event(database, *change.entry);
  if (!event) return std::nullopt;
  told.type = "event:append";
  told.id = std::move(event->id);
  told.payload = std::move(event->payload);
  told.count = 0;
  return told;
}

struct Kind {
  View service;
  std::vector<Bytes> LifecycleOptions::* prefixes;
  View keys;  ///< behind the prefix
  std::optional<LifecycleEvent> (*tell)(const Database& database, const LifecycleChange& change);
};

constexpr Kind kKinds[] = {
    {"kv", &LifecycleOptions::kv, "/", tell_of_kv},
    {"record", &LifecycleOptions::records, "/record/", tell_of_record},
    {"blob", &LifecycleOptions::blobs, "/", tell_of_blob},
    {"event", &LifecycleOptions::events, "/log/", tell_of_event},
};

}  // namespace

std::vector<LifecycleSource> lifecycle_sources(const LifecycleOptions& options) {
  std::vector<LifecycleSource> sources;
  for (const Kind& kind : kKinds) {
    for (const Bytes& prefix : options.*kind.prefixes) {
      validate_service_prefix(prefix);
      sources.push_back({kind.service, prefix, prefix + Bytes(kind.keys), kind.tell});
    }
  }
  return sources;
}

std::vector<View> lifecycle_types() {
  return {"kv:set",   "kv:delete",   "record:put",   "record:delete",
          "blob:put", "blob:delete", "event:append", "event:prune"};
}

}  // namespace holdfast
