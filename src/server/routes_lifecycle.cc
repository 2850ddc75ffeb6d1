// What happens to the services of a database, as it happens: Server-Sent Events, or a WebSocket.
#include <condition_variable>
#include <mutex>

#include "holdfast/lifecycle.h"
#include "server/cancel_on_close.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

std::string text_of(const LifecycleEvent& event) {
  Json json = {{"type", event.type}, {"prefix", event.prefix}, {"seq", event.seq}};
  const bool has_stream = event.type.starts_with("event:");
  set_bytes(json, has_stream ? "stream" : "key", has_stream ? event.stream : event.key);
  if (!event.id.empty()) json["id"] = event.id;
  if (event.version != 0) json["version"] = event.version;
  if (event.type == "blob:put") json["size_bytes"] = event.size_bytes;
  if (event.type == "event:prune") json["count"] = event.count;
  return event.payload ? with_payload(json, *event.payload) : json.dump();
}

/// Whether an error means that events were missed, or that none will come.
bool ends_stream(const std::exception& error, bool is_last) {
  const auto* known = dynamic_cast<const Error*>(&error);
  return is_last || known == nullptr || known->code() == Code::history_changed ||
         known->code() == Code::compacted;
}

/// Follows a database from the request on, so that what is wrong with the request can still be said with a
/// status, and passes on what happens as soon as there is somebody to listen.
class LifecycleStream {
 public:
  LifecycleStream(const Database& database, Bytes after, View pattern)
      : lifecycle_(database, options_after(std::move(after))),
        subscription_(lifecycle_.on(pattern, [this](const LifecycleEvent& event) { tell(event); })) {}

  ~LifecycleStream() { end(); }
  LifecycleStream(const LifecycleStream&) = delete;
  LifecycleStream& operator=(const LifecycleStream&) = delete;

  /// Blocks until the client goes; throws what ended the events.
  void send_to(EventSink& sink) {
    sink.send({"begin", lifecycle_.token(), "{}"});
    const CancelOnClose cancel(sink, *this);
    std::unique_lock lock(mutex_);
    sink_ = &sink;
    changed_.notify_all();
    changed_.wait(lock, [this] { return has_ended_; });
    lock.unlock();
    subscription_.remove();
    if (error_) throw Error(*error_);
  }

  void cancel() { end(); }

 private:
  LifecycleOptions options_after(Bytes after) {
    LifecycleOptions options;
    options.after = std::move(after);
    options.on_error = [this](const std::exception& error, bool is_last) {
      if (!ends_stream(error, is_last)) return;
      const auto* known = dynamic_cast<const Error*>(&error);
      const std::scoped_lock lock(mutex_);
      error_ = known != nullptr ? *known : Error(Code::internal, error.what());
      has_ended_ = true;
      changed_.notify_all();
    };
    return options;
  }

  void tell(const LifecycleEvent& event) {
    EventSink* sink = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return sink_ != nullptr || has_ended_; });
      if (has_ended_) return;
      sink = sink_;
    }
    sink->send({"lifecycle", event.token, text_of(event)});
  }

  void end() {
    const std::scoped_lock lock(mutex_);
    has_ended_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  EventSink* sink_ = nullptr;
  bool has_ended_ = false;
  std::optional<Error> error_;
  Lifecycle lifecycle_;
  LifecycleSubscription subscription_;
};

Response follow_lifecycle(Call& call) {
  const auto stream = std::make_shared<LifecycleStream>(
      call.database(), Bytes(resume_point_of(call, "after").value_or("")), call.query("types").value_or("*"));
  Response response;
  response.events = [stream](EventSink& sink) { send_events(sink, [&] { stream->send_to(sink); }); };
  return response;
}

}  // namespace

void add_lifecycle_routes(std::vector<Route>& routes) {
  Route route = make_route(
      "lifecycle", "GET", "/v1/databases/{db}/lifecycle", "follow_lifecycle",
      "What happens to kv, records, blobs and event streams, after it was committed, by whichever process: "
      "as Server-Sent Events, or as WebSocket messages for a request that asks to upgrade. Of several "
      "changes "
      "of one key that follow each other closely only the newest may be told. A client resumes with the id "
      "of "
      "the last event that it saw, without a gap or a repeat, as long as the change log reaches back to it.",
      Scope::read, follow_lifecycle);
  route.parameters = {{"types", text_schema(),
                       "A type (kv:set), all types of a service (kv:*), or * for all, as without it."}};
  describe_event_stream(
      route, "after", text_schema(), "The id of the last event that was seen; without it, from now on.",
      "Events `begin` (its id is where they begin), `lifecycle` {type, prefix, seq, key or "
      "stream, id, version, size_bytes, count, value or bytes_base64}, and at last `error` "
      "{code} if it has to end: history_changed or compacted mean that events were missed.");
  routes.push_back(route);
}

}  // namespace holdfast::server
