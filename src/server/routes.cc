#include "server/routes.h"

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "server/openapi.h"
#include "server/status.h"

namespace holdfast::server {

std::vector<Route> all_routes() {
  std::vector<Route> routes;
  add_server_routes(routes);
  add_database_routes(routes);
  add_entry_routes(routes);
  add_batch_routes(routes);
  add_watch_routes(routes);
  add_kv_routes(routes);
  add_blob_routes(routes);
  add_event_routes(routes);
  add_record_routes(routes);
  add_index_routes(routes);
  add_table_routes(routes);
  add_queue_routes(routes);
  add_queue_admin_routes(routes);
  add_schedule_routes(routes);
  add_task_routes(routes);
  add_lifecycle_routes(routes);

  Route document =
      make_route("server", "GET", "/openapi.json", "get_openapi", "This document.", Scope::open, {});
  document.answers = {
      {200, "The OpenAPI 3.1 document of this server.", "application/json", {{"type", "object"}}}};
  document.mode = Plan::Mode::quick;
  routes.push_back(document);
  const auto text = std::make_shared<const std::string>(openapi_document(routes).dump(2) + "\n");
  routes.back().handler = [text](Call&) {
    Response response;
    response.content_type = "application/json";
    response.body = *text;
    return response;
  };
  return routes;
}

Route make_route(const char* tag, const char* method, std::string pattern, const char* name,
                 const char* summary, Scope scope, std::function<Response(Call&)> handler) {
  Route route;
  route.method = method;
  route.pattern = std::move(pattern);
  route.name = name;
  route.tag = tag;
  route.summary = summary;
  route.scope = scope;
  route.handler = std::move(handler);
  return route;
}

std::vector<Parameter> range_parameters() {
  return {{"prefix", text_schema(), "Only keys that begin with it."},
          {"begin", text_schema(), "Only keys from this one on; not with prefix."},
          {"end", text_schema(), "Only keys before this one; not with prefix."}};
}

Range range_of(const Call& call) {
  const auto prefix = call.query("prefix");
  const auto begin = call.query("begin");
  const auto end = call.query("end");
  if (prefix && (begin || end))
    refuse_request("a range is given by prefix, or by begin and end, not by both");
  if (prefix) return Range::prefix(*prefix);
  return {Bytes(begin.value_or("")), Bytes(end.value_or(""))};
}

Parameter encoding_parameter() {
  return {"encoding",
          {{"type", "string"}, {"enum", Json::array({"auto", "base64"})}},
          "base64: all keys and values in base64, also those that are UTF-8."};
}

Encoding encoding_of(const Call& call) {
  const View word = call.query("encoding").value_or("auto");
  if (word == "base64") return Encoding::base64;
  if (word != "auto") refuse_request("the query parameter \"encoding\" is auto or base64");
  return Encoding::automatic;
}

Json json_of(const Entry& entry, Encoding encoding, bool keys_only) {
  Json json = Json::object();
  set_bytes(json, "key", entry.key, encoding);
  if (!keys_only) set_bytes(json, "value", entry.value, encoding);
  json["version"] = entry.version;
  if (entry.expires_at_ms) json["expires_at_ms"] = *entry.expires_at_ms;
  return json;
}

std::optional<View> resume_point_of(const Call& call, const char* parameter) {
  const View last = call.header("Last-Event-ID");
  return last.empty() ? call.query(parameter) : std::optional(last);
}

void describe_event_stream(Route& route, const char* parameter, const Json& schema, const char* means,
                           const char* events) {
  route.is_event_stream = true;
  route.parameters.push_back({parameter, schema, means});
  route.parameters.push_back(
      {"Last-Event-ID", schema,
       "The same as " + std::string(parameter) + ", which it goes before; what browsers send.", true});
  route.answers = {{200, events, "text/event-stream"},
                   {101, "The same as text messages {event, id, data}.", ""}};
}

std::optional<UnixMs> expiry_of(const ServerState& state, std::optional<std::int64_t> expires_at_ms,
                                std::optional<std::int64_t> ttl_ms) {
  if (!ttl_ms) return expires_at_ms;
  if (expires_at_ms) refuse_request("an expiry is given by expires_at_ms or by ttl_ms, not by both");
  // A thousand years; more would overflow sooner or later.
  constexpr std::int64_t kLongest = 1'000ll * 366 * 24 * 3'600 * 1'000;
  if (*ttl_ms < 1 || *ttl_ms > kLongest) {
    refuse_request("ttl_ms is a number of milliseconds between 1 and " + std::to_string(kLongest));
  }
  return state.environment.clock->now_ms() + *ttl_ms;
}

Response when_committed(Call& call, Batch batch, std::function<Response(const Outcome&)> make) {
  Response response;
  response.later = [&call, batch = std::move(batch), make = std::move(make)](const Respond& respond) mutable {
    auto done = [&call, respond, make = std::move(make)](CommitResult result) {
      respond([&call, make, result = std::move(result)] {
        return response_of(call.request->id, [&] { return make(result.get()); });
      });
    };
    try {
      call.database().submit(std::move(batch), std::move(done), call.request->deadline);
    } catch (...) {
      respond([&call, error = std::current_exception()] {
        return response_of(call.request->id, [&]() -> Response { std::rethrow_exception(error); });
      });
    }
  };
  return response;
}

namespace {

/// Brings together the outcome of a commit and whoever is to be told it, whichever comes first. Thread-safe.
class LateOutcome {
 public:
  void tell(CommitResult result) {
    std::function<void(CommitResult)> hear;
    {
      const std::scoped_lock lock(mutex_);
      if (!hear_) {
        result_ = std::move(result);
        return;
      }
      hear = std::move(hear_);
    }
    hear(std::move(result));
  }
  void ask(std::function<void(CommitResult)> hear) {
    {
      const std::scoped_lock lock(mutex_);
      if (!result_) {
        hear_ = std::move(hear);
        return;
      }
    }
    hear(std::move(*result_));
  }

 private:
  std::mutex mutex_;
  std::optional<CommitResult> result_;
  std::function<void(CommitResult)> hear_;
};

}  // namespace

Response when_transacted(Call& call, const TransactionBody& body) {
  std::function<Response()> make;
  const auto outcome = std::make_shared<LateOutcome>();
  call.database().submit_transaction([&](Transaction& transaction) { make = body(transaction); },
                                     [outcome](CommitResult result) { outcome->tell(std::move(result)); },
                                     call.request->deadline);
  const auto respond_to = [&call, make = std::move(make), body](const CommitResult& result) {
    if (result.get().committed()) return make();
    // Reads take their time, and this is a thread that does I/O.
    Response response;
    response.work = [&call, body] {
      return response_of(call.request->id,
                         [&] { return call.database().transact(body, call.request->deadline)(); });
    };
    return response;
  };
  Response response;
  response.later = [&call, outcome, respond_to](const Respond& respond) {
    outcome->ask([&call, respond, respond_to](CommitResult result) {
      respond([&call, respond_to, result = std::move(result)] {
        return response_of(call.request->id, [&] { return respond_to(result); });
      });
    });
  };
  return response;
}

std::string etag_of(Seq version) { return "\"" + std::to_string(version) + "\""; }

}  // namespace holdfast::server
