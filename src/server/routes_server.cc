// The server itself: is it well, what does it count, and a page for people.
#include "contract/percent.h"
#include "server/openapi.h"
#include "server/request_metrics.h"
#include "server/routes.h"
#include "server/store_sizes.h"

namespace holdfast::server {
namespace {

constexpr std::size_t kPageDatabases = 100;
constexpr std::size_t kPageEntries = 10'000;

std::string escaped(View text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

Response html(std::string body) {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Cache-Control", "no-store"}};
  response.body = std::move(body);
  return response;
}

std::string count_of(const Database& database) {
  const Page page = database.scan(Range::all(), {.limit = kPageEntries, .keys_only = true});
  return std::to_string(page.entries.size()) + (page.more ? "+" : "");
}

std::string database_rows(const Call& call) {
  std::string rows;
  std::size_t shown = 0;
  Bytes after;
  while (shown < kPageDatabases) {
    const auto names = call.state.store->databases({}, after, kPageDatabases);
    if (names.empty()) break;
    after = names.back();
    for (const Bytes& name : names) {
      if (!call.may(Scope::read, name) || shown == kPageDatabases) continue;
      const Database database = call.state.store->database(name);
      const std::string link = "/v1/databases/" + percent_encoded(name);
      rows += "<tr><td><a href=\"" + escaped(link) + "\">" + escaped(name) + "</a></td><td>" +
              count_of(database) + "</td><td>" + std::to_string(database.position().seq) +
              "</td><td><a href=\"" + escaped(link) + "/entries?limit=100\">entries</a></td></tr>\n";
      ++shown;
    }
  }
  if (shown == 0) return "<tr><td colspan=\"4\">none yet</td></tr>\n";
  return rows;
}

const char* text_of(Durability durability) {
  switch (durability) {
    case Durability::process:
      return "not durable";
    case Durability::disk:
      return "durable on this machine";
    case Durability::replicas:
      return "durable on several machines";
  }
  return "";
}

Response home(Call& call) {
  const bool may_look = !call.state.has_tokens || call.token != nullptr;
  const Traits& traits = call.state.store->traits();
  std::string page =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Holdfast</title>\n"
      "<style>body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
      "table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1.5em .2em 0;"
      "border-bottom:1px solid #ccc}code{background:#eee;padding:.1em .3em}</style></head><body>\n"
      "<h1>Holdfast</h1>\n";
  if (may_look) {
    page += "<p>Store <code>" + escaped(call.state.store_name) + "</code>, " + text_of(traits.durability) +
            (traits.shared_by_processes ? ", shared by processes" : "") + ".</p>\n<h2>Databases</h2>\n" +
            "<table><tr><th>name</th><th>entries</th><th>commits</th><th></th></tr>\n" + database_rows(call) +
            "</table>\n";
  } else {
    page += "<p>This server wants a token: <code>Authorization: Bearer TOKEN</code>.</p>\n";
  }
  page +=
      "<h2>API</h2>\n<ul><li><a href=\"/openapi.json\">/openapi.json</a>: every route, for people and "
      "tools</li>\n"
      "<li><a href=\"/v1/databases\">/v1/databases</a></li>\n<li><a href=\"/metrics\">/metrics</a>, <a "
      "href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a></li></ul>\n</body></html>\n";
  return html(std::move(page));
}

Response healthy(Call&) { return json_response({{"status", "ok"}}); }

Response ready(Call& call) {
  if (call.state.is_draining) throw Error(Code::unavailable, "the server is stopping");
  static_cast<void>(call.state.store->databases({}, {}, 1));
  return json_response({{"status", "ready"}});
}

std::string gauge(const char* name, const char* help, std::uint64_t value) {
  return std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " gauge\n" + name + " " +
         std::to_string(value) + "\n";
}

/// Counted up to 10,000: a scrape must not become a scan.
std::uint64_t database_count(const Store& store) {
  std::uint64_t count = 0;
  Bytes after;
  while (count < 10'000) {
    const auto names = store.databases({}, after, 1'000);
    count += names.size();
    if (names.size() < 1'000) break;
    after = names.back();
  }
  return count;
}

Response metrics(Call& call) {
  const HttpCounters& http = *call.state.http.load();
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      call.state.requests->prometheus() +
      gauge("holdfast_http_connections", "Connections that are open.", http.connections_open.load()) +
      gauge("holdfast_http_streams", "Event streams that are open.", http.streams_open.load()) +
      gauge("holdfast_http_waiting", "Requests that wait for jobs.", call.state.long_polls.running()) +
      gauge("holdfast_http_buffered_bytes", "Bytes of large request and response bodies in memory.",
            http.buffered_bytes.load()) +
      gauge("holdfast_http_connections_refused", "Connections refused because there were too many.",
            http.connections_refused.load()) +
      gauge("holdfast_databases", "Databases in the store, counted up to 10,000.",
            database_count(*call.state.store)) +
      call.state.metrics->prometheus();
  if (call.state.sizes != nullptr) {
    response.body +=
        call.state.sizes->prometheus([&](View database) { return call.may(Scope::read, database); });
  }
  return response;
}

Route route(const char* pattern, const char* name, const char* summary, Answer answer, Scope scope,
            Plan::Mode mode, std::function<Response(Call&)> handler) {
  Route route = make_route("server", "GET", pattern, name, summary, scope, std::move(handler));
  route.answers = {std::move(answer)};
  route.mode = mode;
  return route;
}

}  // namespace

void add_server_routes(std::vector<Route>& routes) {
  const Json status = object_schema({{"status", text_schema()}}, {"status"});
  routes.push_back(route("/", "get_home", "A page for people: the store and its databases.",
                         {200, "The page.", "text/html"}, Scope::open, Plan::Mode::blocking, home));
  routes.push_back(route("/healthz", "get_health", "Whether the process answers.",
                         {200, "It does.", "application/json", status}, Scope::open, Plan::Mode::quick,
                         healthy));
  routes.push_back(route(
      "/readyz", "get_readiness", "Whether the store answers and the server is not stopping; 503 if not.",
      {200, "Both.", "application/json", status}, Scope::open, Plan::Mode::blocking, ready));
  routes.push_back(route("/metrics", "get_metrics", "Counters and sizes for Prometheus.",
                         {200, "Text exposition, version 0.0.4.", "text/plain"}, Scope::token,
                         Plan::Mode::blocking, metrics));
}

}  // namespace holdfast::server
