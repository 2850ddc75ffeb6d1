// The one table of routes: what a request can ask for, who may, and who answers. Matching, authorisation, the
// check of query parameters and /openapi.json are all made from it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/environment.h"
#include "holdfast/layers.h"
#include "holdfast/store.h"
#include "server/http/http_server.h"
#include "server/http/message.h"
#include "server/index_builds.h"
#include "server/json.h"
#include "server/long_polls.h"
#include "server/queue_handles.h"
#include "server/tokens.h"

namespace holdfast::server {

class Call;
class RequestMetrics;
class StoreSizes;

enum class Scope : std::uint8_t {
  open,   ///< anybody
  token,  ///< any token
  read,   ///< a token that may read {db}
  write,  ///< a token that may write {db}
};

/// A query parameter, or a header field that means something to the route.
struct Parameter {
  std::string name;
  Json schema;
  std::string description;
  bool is_header = false;
};

struct Body {
  std::string content_type;
  Json schema;
  std::string description;
};

struct Answer {
  int status = 200;
  std::string description;
  std::string content_type;  ///< empty: no body; "a, b": one of these
  Json schema = {};
};

struct Route {
  std::string method;  ///< GET answers HEAD too
  /// Segments are literal, {name} for one segment, or {name+} for the rest of the path, slashes included.
  std::string pattern;
  std::string name;  ///< the OpenAPI operationId
  std::string tag;
  std::string summary;
  std::vector<Parameter> parameters;
  std::optional<Body> body;
  std::vector<Answer> answers;
  Scope scope = Scope::open;
  Plan::Mode mode = Plan::Mode::blocking;
  std::size_t body_limit_bytes = 0;
  bool is_event_stream = false;
  std::function<Response(Call&)> handler;
};

/// Requests that wait at the same time; more are answered without waiting.
inline constexpr std::size_t kLongPolls = 1'000;

/// What handlers work with. Outlives the router.
struct ServerState {
  std::shared_ptr<Store> store;
  std::string store_name;  ///< for people: the URL without options or credentials
  Environment environment;
  /// Whether a request needs one; fixed from the beginning, so that no file that went empty opens the door.
  bool has_tokens = false;
  std::atomic<std::shared_ptr<const Tokens>> tokens;
  std::shared_ptr<Metrics> metrics;
  std::atomic<const HttpCounters*> http = nullptr;
  const RequestMetrics* requests = nullptr;
  const StoreSizes* sizes = nullptr;  ///< null: they are not counted
  std::atomic<bool> is_draining{false};
  IndexBuilds index_builds;
  QueueHandles queues;
  LongPolls long_polls{kLongPolls};
};

/// A request that matched a route and is allowed: what the handler sees of it.
class Call {
 public:
  ServerState& state;
  const Route& route;
  const Request* request = nullptr;
  std::shared_ptr<const Token> token;  ///< null where the server has no tokens, or the caller gave none
  std::vector<std::pair<std::string, Bytes>> path_values;
  std::vector<std::pair<std::string, Bytes>> query_values;

  Call(ServerState& server_state, const Route& matched) : state(server_state), route(matched) {}

  const Bytes& path(View name) const;
  /// Nothing if it was not given. Only names that the route declares.
  std::optional<View> query(View name) const;
  bool flag(View name) const;
  std::uint64_t number(View name, std::uint64_t otherwise, std::uint64_t minimum,
                       std::uint64_t maximum) const;
  std::optional<std::int64_t> signed_number(View name) const;
  View header(View name) const { return request->headers->find(name); }
  /// The body as JSON; 415 if it says that it is something else.
  Json json_body() const;
  Database database() const { return state.store->database(path("db")); }
  /// Whether the caller may read (or write) the database.
  bool may(Scope scope, View database) const;
};

}  // namespace holdfast::server
