// Watching a range of keys: Server-Sent Events, or a WebSocket if the request asks for one.
#include "server/cancel_on_close.h"
#include "server/openapi.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

constexpr std::chrono::hours kWait{1};

Json json_of(const Hint& hint, Encoding encoding) {
  Json json = {{"everything", hint.everything}, {"position", text_of(hint.through)}};
  Json keys = Json::array();
  for (const Bytes& key : hint.keys) {
    Json item = Json::object();
    set_bytes(item, "key", key, encoding);
    keys.push_back(std::move(item));
  }
  json["keys"] = std::move(keys);
  return json;
}

void send_hints(Database& database, const Range& range, Position since, Encoding encoding, Clock& clock,
                EventSink& sink) {
  Watch watch = database.watch(range, since);
  const CancelOnClose cancel(sink, watch);
  sink.send({"position", text_of(since), Json({{"position", text_of(since)}}).dump()});
  while (!sink.is_closed()) {
    const std::optional<Hint> hint = watch.next(clock.steady_now() + kWait);
    if (hint) sink.send({"change", text_of(hint->through), json_of(*hint, encoding).dump()});
  }
}

Response watch(Call& call) {
  const Range range = range_of(call);
  const Encoding encoding = encoding_of(call);
  Database database = call.database();
  const auto since_text = resume_point_of(call, "since");
  const Position since = since_text ? position_of(*since_text) : database.position();
  Response response;
  response.events = [database, range, since, encoding,
                     clock = call.state.environment.clock](EventSink& sink) mutable {
    send_events(sink, [&] { send_hints(database, range, since, encoding, *clock, sink); });
  };
  return response;
}

}  // namespace

void add_watch_routes(std::vector<Route>& routes) {
  Route route = make_route(
      "entries", "GET", "/v1/databases/{db}/watch", "watch_entries",
      "Hints of changes in a range, as Server-Sent Events, or as WebSocket messages for "
      "a request that asks to upgrade. None is lost: a client resumes with the id of the last event it saw.",
      Scope::read, watch);
  route.parameters = range_parameters();
  route.parameters.push_back(encoding_parameter());
  describe_event_stream(
      route, "since", ref("Position"), "Where to resume; without it, from now on.",
      "Events `position` (where the watch begins), `change` {keys, everything, position}, of "
      "which everything says that anything in the range may have changed, and `error` {code} "
      "at the end of a watch that failed.");
  routes.push_back(route);
}

}  // namespace holdfast::server
