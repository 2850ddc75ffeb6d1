// The service events: streams that are appended to, listed, followed, and read by named consumers.
#include <algorithm>

#include "holdfast/events.h"
#include "server/cancel_on_close.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

constexpr std::chrono::hours kWait{1};

std::string text_of(const holdfast::Event& event) {
  return with_payload({{"id", event.id}, {"time_ms", event.time_ms}}, event.payload);
}

Response list_of(const Listing<holdfast::Event>& listing) {
  std::vector<std::string> items;
  for (const holdfast::Event& event : listing.items) items.push_back(text_of(event));
  return listing_response(items, listing.cursor);
}

Response list_streams(Call& call) {
  const auto listing = Events(call.database()).streams(list_options_of(call));
  std::vector<std::string> items;
  for (const holdfast::EventStream& stream : listing.items) {
    Json json = {{"appended_at_ms", stream.appended_at_ms}};
    set_bytes(json, "name", stream.name);
    items.push_back(json.dump());
  }
  return listing_response(items, listing.cursor);
}

/// `respond` makes the response of the events' ids.
Response append_all(Call& call, const std::vector<Payload>& payloads,
                    Response (*respond)(const std::vector<EventId>&)) {
  Events events(call.database());
  const Bytes& stream = call.path("stream");
  const bool is_large = std::ranges::any_of(
      payloads, [](const Payload& payload) { return payload.size_bytes() > limits::kInlinePayloadBytes; });
  if (is_large) return respond(events.append_many(stream, payloads));
  return when_committed(call, events.batch_to_append(stream, payloads),
                        [respond, count = payloads.size()](const Outcome& outcome) {
                          return respond(Events::ids_of(outcome.seq, count));
                        });
}

Response append(Call& call) {
  return append_all(call, {payload_of_body(call)},
                    [](const std::vector<EventId>& ids) { return json_response({{"id", ids.front()}}); });
}

Response append_many(Call& call) {
  return append_all(call, payloads_of_body(call, "events", limits::kAppendEvents),
                    [](const std::vector<EventId>& ids) { return json_response({{"ids", ids}}); });
}

Response list_events(Call& call) {
  const Events events(call.database());
  const std::size_t limit = call.number("limit", 100, 1, limits::kListItems);
  const auto since_ms = call.signed_number("since_ms");
  const auto before_ms = call.signed_number("before_ms");
  const Bytes after(call.query("after").value_or(""));
  const Bytes before(call.query("before").value_or(""));
  if (since_ms || before_ms) {
    if (!after.empty() || !before.empty()) {
      refuse_request("events are listed by id (after, before) or by time (since_ms, before_ms), not by both");
    }
    return list_of(events.list_by_time(call.path("stream"), {.since_ms = since_ms,
                                                             .before_ms = before_ms,
                                                             .cursor = cursor_of(call),
                                                             .limit = limit,
                                                             .reverse = call.flag("reverse")}));
  }
  return list_of(events.list(call.path("stream"), {.after = after,
                                                   .before = before,
                                                   .cursor = cursor_of(call),
                                                   .limit = limit,
                                                   .reverse = call.flag("reverse")}));
}

Response erase_stream(Call& call) {
  return json_response({{"erased", Events(call.database()).erase(call.path("stream"))}});
}

Response subscribe(Call& call) {
  const Bytes after(resume_point_of(call, "after").value_or(""));
  const Events events(call.database());
  const Bytes stream = call.path("stream");
  // Judges the name and the id while there is still a status to say it with.
  auto first = std::make_shared<EventSubscription>(events.subscribe(stream, after));
  Response response;
  response.events = [first, clock = call.state.environment.clock](EventSink& sink) {
    send_events(sink, [&] {
      const CancelOnClose cancel(sink, *first);
      while (!sink.is_closed()) {
        const auto event = first->next(clock->steady_now() + kWait);
        if (!event) continue;
        const Json time = {{"time_ms", event->time_ms}};
        sink.send({"event", event->id, with_payload(time, event->payload)});
      }
    });
  };
  return response;
}

Json json_of(const EventConsumer& consumer) {
  Json json = {{"offset", consumer.offset}, {"holds", consumer.holds}};
  set_bytes(json, "name", consumer.name);
  return json;
}

Response list_consumers(Call& call) {
  const auto listing = Events(call.database()).consumers(call.path("stream"), list_options_of(call));
  std::vector<std::string> items;
  for (const EventConsumer& consumer : listing.items) items.push_back(json_of(consumer).dump());
  return listing_response(items, listing.cursor);
}

Response get_consumer(Call& call) {
  const Events events(call.database());
  const auto consumer = events.consumer(call.path("stream"), call.path("consumer"));
  if (!consumer) throw Error(Code::not_found, "there is no such consumer");
  Json json = json_of(*consumer);
  if (call.flag("lag")) json["lag"] = events.lag(call.path("stream"), call.path("consumer"));
  return json_response(json);
}

Response set_consumer(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"offset", "backwards", "holds"});
  if (!fields.has("offset") && !fields.has("holds"))
    refuse_request("the body has \"offset\", \"holds\", or both");
  const auto holds = fields.has("holds") ? std::optional(fields.flag("holds", false)) : std::nullopt;
  const auto offset = fields.has("offset") ? std::optional(fields.text("offset")) : std::nullopt;
  const bool backwards = fields.flag("backwards", false);
  return when_transacted(
      call, [events = Events(call.database()), &stream = call.path("stream"),
             &consumer = call.path("consumer"), holds, offset, backwards](Transaction& transaction) {
        if (holds) events.hold(transaction, stream, consumer, *holds);
        const bool is_set = !offset || events.commit(transaction, stream, consumer, *offset, backwards);
        return [is_set] { return json_response({{"set", is_set}}); };
      });
}

Response erase_consumer(Call& call) {
  return when_transacted(call, [events = Events(call.database()), &stream = call.path("stream"),
                                &consumer = call.path("consumer")](Transaction& transaction) {
    const bool is_erased = events.erase_consumer(transaction, stream, consumer);
    return [is_erased] { return json_response({{"erased", is_erased}}); };
  });
}

Response read_as_consumer(Call& call) {
  const auto events =
      Events(call.database())
          .read(call.path("stream"), call.path("consumer"), call.number("limit", 100, 1, 1'000));
  return list_of({events, {}});
}

Response get_retention(Call& call) {
  const auto retention = Events(call.database()).retention(call.path("stream"));
  Json json = Json::object();
  if (retention && retention->max_age) json["max_age_ms"] = retention->max_age->count();
  if (retention && retention->max_count) json["max_count"] = *retention->max_count;
  return json_response(json);
}

Response set_retention(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"max_age_ms", "max_count"});
  EventRetention retention;
  if (fields.has("max_age_ms"))
    retention.max_age = std::chrono::milliseconds(fields.signed_number("max_age_ms"));
  if (fields.has("max_count")) retention.max_count = fields.number("max_count");
  const bool is_none = !retention.max_age && !retention.max_count;
  const auto kept = is_none ? std::nullopt : std::optional(retention);
  return when_transacted(call, [events = Events(call.database()), &stream = call.path("stream"),
                                kept](Transaction& transaction) {
    events.set_retention(transaction, stream, kept);
    return [] { return json_response({{"set", true}}); };
  });
}

Response prune(Call& call) {
  return json_response({{"pruned", Events(call.database()).prune(call.path("stream"))}});
}

Route route(const char* method, const std::string& pattern, const char* name, const char* summary,
            Scope scope, std::function<Response(Call&)> handler) {
  return make_route("events", method, "/v1/databases/{db}/events" + pattern, name, summary, scope,
                    std::move(handler));
}

Json named(std::vector<std::pair<std::string, Json>> members, std::vector<std::string> required) {
  for (auto& member : bytes_members("name", "The name")) members.push_back(std::move(member));
  return object_schema(std::move(members), std::move(required));
}

Json event_schema() {
  auto members = payload_members();
  members.emplace_back("id", text_schema());
  members.emplace_back("time_ms", integer_schema(INT64_MIN));
  return object_schema(members, {"id", "time_ms"});
}

Json consumer_schema() {
  return named({{"offset", text_schema("The event up to which it has read; empty: none")},
                {"holds", boolean_schema()},
                {"lag", integer_schema()}},
               {"offset", "holds"});
}

void add_stream_routes(std::vector<Route>& routes) {
  const Json erased = object_schema({{"erased", boolean_schema()}}, {"erased"});

  Route streams = route("GET", "", "list_event_streams", "Streams by name.", Scope::read, list_streams);
  streams.parameters = list_parameters();
  streams.answers = {
      {200, "A page.", "application/json",
       listing_schema(named({{"appended_at_ms", integer_schema(INT64_MIN)}}, {"appended_at_ms"}))}};
  routes.push_back(streams);

  Route one = route("POST", "/{stream}", "append_event",
                    "Appends one event: a document if its type is application/json, else bytes.",
                    Scope::write, append);
  one.mode = Plan::Mode::quick;
  one.body_limit_bytes = kPayloadBodyBytes;
  one.body = Body{"*/*", {}, "The payload, of any type, up to 64 MiB."};
  one.answers = {{200, "Its id.", "application/json", object_schema({{"id", text_schema()}}, {"id"})}};
  routes.push_back(one);

  Route many = route("POST", "/{stream}/batch", "append_events",
                     "Appends up to 500 events next to each other in one commit.", Scope::write, append_many);
  many.mode = Plan::Mode::quick;
  many.body_limit_bytes = kJsonBodyBytes;
  many.body =
      Body{"application/json",
           object_schema({{"events", array_schema(object_schema(payload_members(), {}))}}, {"events"}),
           "The payloads."};
  many.answers = {{200, "Their ids.", "application/json",
                   object_schema({{"ids", array_schema(text_schema())}}, {"ids"})}};
  routes.push_back(many);

  Route list = route("GET", "/{stream}", "list_events",
                     "Events by id, or by time if since_ms or before_ms is given.", Scope::read, list_events);
  list.parameters = list_parameters(false);
  list.parameters.push_back({"after", text_schema(), "Only events behind this id."});
  list.parameters.push_back({"before", text_schema(), "Only events in front of this id."});
  list.parameters.push_back({"since_ms", integer_schema(INT64_MIN), "Only events of this time or later."});
  list.parameters.push_back({"before_ms", integer_schema(INT64_MIN), "Only events of earlier times."});
  list.answers = {{200, "A page.", "application/json", listing_schema(event_schema())}};
  routes.push_back(list);

  Route erase =
      route("DELETE", "/{stream}", "erase_event_stream",
            "Removes a stream with its events, consumers and retention.", Scope::write, erase_stream);
  erase.answers = {{200, "Whether there was one.", "application/json", erased}};
  routes.push_back(erase);

  Route follow =
      route("GET", "/{stream}/subscribe", "subscribe_events",
            "The events behind an id, then those that come, as Server-Sent Events or over a WebSocket: in "
            "order, without a gap or a repeat.",
            Scope::read, subscribe);
  describe_event_stream(follow, "after", text_schema(),
                        "The id of the last event that was seen; without it, all of them.",
                        "Events `event` {time_ms, value or bytes_base64}; their id is the event's.");
  routes.push_back(follow);
}

void add_consumer_routes(std::vector<Route>& routes) {
  const Json set_schema = object_schema({{"set", boolean_schema()}}, {"set"});

  Route consumers = route("GET", "/{stream}/consumers", "list_event_consumers", "Consumers by name.",
                          Scope::read, list_consumers);
  consumers.parameters = list_parameters();
  consumers.answers = {{200, "A page.", "application/json", listing_schema(consumer_schema())}};
  routes.push_back(consumers);

  Route get = route("GET", "/{stream}/consumers/{consumer}", "get_event_consumer", "Where a consumer is.",
                    Scope::read, get_consumer);
  get.parameters = {{"lag", boolean_schema(), "Counts the events that it has not read."}};
  get.answers = {{200, "The consumer.", "application/json", consumer_schema()}};
  routes.push_back(get);

  Route set = route("POST", "/{stream}/consumers/{consumer}", "set_event_consumer",
                    "Moves a consumer's offset, and says whether it holds what it has not read; creates it.",
                    Scope::write, set_consumer);
  set.body_limit_bytes = 4'096;
  set.body =
      Body{"application/json",
           object_schema(
               {{"offset", text_schema()}, {"backwards", boolean_schema()}, {"holds", boolean_schema()}}, {}),
           "Without backwards an offset never moves to an earlier event."};
  set.answers = {{200, "Whether the offset is there now.", "application/json", set_schema}};
  routes.push_back(set);

  Route erase = route("DELETE", "/{stream}/consumers/{consumer}", "erase_event_consumer",
                      "Forgets a consumer.", Scope::write, erase_consumer);
  erase.answers = {{200, "Whether there was one.", "application/json",
                    object_schema({{"erased", boolean_schema()}}, {"erased"})}};
  routes.push_back(erase);

  Route read = route("GET", "/{stream}/consumers/{consumer}/events", "read_events",
                     "What a consumer has not read, oldest first, until it moves its offset.", Scope::read,
                     read_as_consumer);
  read.parameters = {{"limit", integer_schema(1), "1 to 1,000, 100 without it."}};
  read.answers = {{200, "The events.", "application/json", listing_schema(event_schema())}};
  routes.push_back(read);
}

void add_retention_routes(std::vector<Route>& routes) {
  const Json retention =
      object_schema({{"max_age_ms", integer_schema()}, {"max_count", integer_schema()}}, {});

  Route get = route("GET", "/{stream}/retention", "get_event_retention",
                    "What is kept of a stream; all for {}.", Scope::read, get_retention);
  get.answers = {{200, "The retention.", "application/json", retention}};
  routes.push_back(get);

  Route set = route("PUT", "/{stream}/retention", "set_event_retention", "Says what is kept of a stream.",
                    Scope::write, set_retention);
  set.body_limit_bytes = 4'096;
  set.body = Body{"application/json", retention, "An event goes when it exceeds either; {}: none goes."};
  set.answers = {
      {200, "It is set.", "application/json", object_schema({{"set", boolean_schema()}}, {"set"})}};
  routes.push_back(set);

  Route prune_route =
      route("POST", "/{stream}/prune", "prune_events",
            "Removes what exceeds the retention, but nothing that a consumer holds.", Scope::write, prune);
  prune_route.answers = {
      {200, "How many.", "application/json", object_schema({{"pruned", integer_schema()}}, {"pruned"})}};
  routes.push_back(prune_route);
}

}  // namespace

void add_event_routes(std::vector<Route>& routes) {
  add_stream_routes(routes);
  add_consumer_routes(routes);
  add_retention_routes(routes);
}

}  // namespace holdfast::server
