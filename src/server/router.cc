#include "server/router.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "contract/assert.h"
#include "contract/percent.h"
#include "contract/url.h"
#include "server/http/head.h"
#include "server/status.h"

namespace holdfast::server {

/// A node of the tree of path segments.
struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> parameter;
  std::string parameter_name;
  /// {name+}: routes that take the rest of the path.
  std::string rest_name;
  std::map<std::string, std::size_t, std::less<>> rest_methods;
  std::map<std::string, std::size_t, std::less<>> methods;
};

struct Router::Match {
  const std::map<std::string, std::size_t, std::less<>>* methods = nullptr;
  std::vector<std::pair<std::string, Bytes>> values;
};

namespace {

std::vector<View> segments_of(View path) {
  std::vector<View> segments;
  path.remove_prefix(1);
  while (true) {
    const std::size_t size = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, size));
    if (size == path.size()) return segments;
    path.remove_prefix(size + 1);
  }
}

Bytes decoded_or_refuse(View text, bool is_query) {
  auto bytes = percent_decoded(text, is_query);
  if (!bytes) refuse_request("the URL has a '%' without two hexadecimal digits; write %25 for the character");
  return std::move(*bytes);
}

/// The host of a Host or Origin field, without scheme and port.
View host_of(View authority) {
  const std::size_t scheme = authority.find("://");
  if (scheme != View::npos) authority.remove_prefix(scheme + 3);
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_loopback(View host) {
  return equals_ignoring_case(host, "localhost") || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == View::npos);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

Router::Router(ServerState& state, std::vector<Route> routes, RequestLog* log)
    : state_(state),
      routes_(std::move(routes)),
      log_(log),
      metrics_(routes_),
      root_(std::make_unique<Node>()) {
  for (std::size_t i = 0; i < routes_.size(); ++i) add(i);
}

Router::~Router() = default;

void Router::add(std::size_t route) {
  const Route& added = routes_[route];
  Node* node = root_.get();
  bool takes_rest = false;
  for (const View segment : segments_of(added.pattern)) {
    HOLDFAST_ASSERT(!takes_rest);
    if (segment.ends_with("+}")) {
      node->rest_name = std::string(segment.substr(1, segment.size() - 3));
      takes_rest = true;
    } else if (segment.starts_with('{')) {
      if (!node->parameter) node->parameter = std::make_unique<Node>();
      node->parameter_name = std::string(segment.substr(1, segment.size() - 2));
      node = node->parameter.get();
    } else {
      std::unique_ptr<Node>& next = node->literals[std::string(segment)];
      if (!next) next = std::make_unique<Node>();
      node = next.get();
    }
  }
  const bool is_new = (takes_rest ? node->rest_methods : node->methods).emplace(added.method, route).second;
  HOLDFAST_ASSERT(is_new);
}

Router::Match Router::match(View path) const {
  Match match;
  const Node* node = root_.get();
  const char* end = path.data() + path.size();
  for (const View segment : segments_of(path)) {
    if (const auto literal = node->literals.find(segment); literal != node->literals.end()) {
      node = literal->second.get();
    } else if (node->parameter) {
      match.values.emplace_back(node->parameter_name, decoded_or_refuse(segment, false));
      node = node->parameter.get();
    } else if (!node->rest_methods.empty()) {
      const View rest(segment.data(), static_cast<std::size_t>(end - segment.data()));
      match.values.emplace_back(node->rest_name, decoded_or_refuse(rest, false));
      match.methods = &node->rest_methods;
      return match;
    } else {
      return match;
    }
  }
  if (!node->methods.empty()) match.methods = &node->methods;
  return match;
}

Plan Router::plan(const Request& request) noexcept {
  Plan plan;
  Response refused = response_of(request.id, [&] {
    plan = plan_or_throw(request);
    return Response{};
  });
  return plan.run ? std::move(plan) : refusal_plan(std::move(refused));
}

Plan Router::refusal_plan(Response response) const {
  Plan plan;
  plan.is_refusal = true;
  plan.route = routes_.size();
  plan.label = "none";
  plan.run = [response = std::move(response)](Request&) { return response; };
  return plan;
}

Plan Router::plan_or_throw(const Request& request) {
  View target = request.target;
  if (!target.starts_with('/')) {
    throw HttpError(request.method == "CONNECT" ? 405 : 400, "the target of a request begins with '/'");
  }
  target = target.substr(0, target.find('#'));
  const View path = target.substr(0, target.find('?'));
  const View query = path.size() < target.size() ? target.substr(path.size() + 1) : View();
  if (!state_.has_tokens) require_local_caller(request);

  Match found = match(path);
  if (found.methods == nullptr)
    throw HttpError(404, "there is nothing at this path; /openapi.json lists what there is");
  const View method = request.method == "HEAD" ? View("GET") : View(request.method);
  const auto entry = found.methods->find(method);
  if (entry == found.methods->end()) {
    std::vector<std::string> allowed;
    for (const auto& [known, ignored] : *found.methods) {
      allowed.push_back(known);
      if (known == "GET") allowed.emplace_back("HEAD");
    }
    throw HttpError(405, "the methods at this path are " + joined(allowed), {{"Allow", joined(allowed)}});
  }
  const Route& route = routes_[entry->second];
  const auto call = std::make_shared<Call>(state_, route);
  call->path_values = std::move(found.values);
  if (route.scope != Scope::open || !request.headers->find("Authorization").empty()) {
    call->token = authenticate(request);
  }
  authorise(*call);
  parse_query(*call, query);

  Plan plan;
  plan.mode = route.mode;
  plan.body_limit_bytes = route.body_limit_bytes;
  plan.label = route.pattern.c_str();
  plan.route = entry->second;
  if (call->token != nullptr) plan.principal = call->token->name;
  plan.is_event_stream = route.is_event_stream;
  plan.run = [call](Request& complete) { return answer(*call, complete); };
  return plan;
}

// Without tokens whoever reaches the server may do everything, so nobody must reach it through a browser that
// runs somebody else's page.
void Router::require_local_caller(const Request& request) const {
  const View host = request.headers->find("Host");
  if (!host.empty() && !is_loopback(host_of(host))) {
    throw HttpError(403,
                    "a server without tokens answers to localhost alone, and the Host field names another");
  }
  const View origin = request.headers->find("Origin");
  if (!origin.empty() && !is_loopback(host_of(origin))) {
    throw HttpError(403, "a server without tokens answers no page of another origin");
  }
}

std::shared_ptr<const Token> Router::authenticate(const Request& request) const {
  if (!state_.has_tokens) return nullptr;
  constexpr View kScheme = "Bearer ";
  View secret = request.headers->find("Authorization");
  if (secret.size() < kScheme.size() || !equals_ignoring_case(secret.substr(0, kScheme.size()), kScheme)) {
    throw HttpError(401, "this needs an Authorization field: Bearer TOKEN",
                    {{"WWW-Authenticate", "Bearer realm=\"holdfast\""}});
  }
  secret.remove_prefix(std::min(secret.find_first_not_of(' ', kScheme.size()), secret.size()));
  const std::shared_ptr<const Tokens> tokens = state_.tokens.load();
  const Token* token = tokens->find(secret);
  if (token == nullptr) {
    throw HttpError(401, "this token is not known here",
                    {{"WWW-Authenticate", "Bearer realm=\"holdfast\", error=\"invalid_token\""}});
  }
  return {tokens, token};
}

void Router::authorise(const Call& call) const {
  if (call.route.scope != Scope::read && call.route.scope != Scope::write) return;
  if (!call.may(call.route.scope, call.path("db"))) {
    throw HttpError(403, call.route.scope == Scope::write ? "this token may not write this database"
                                                          : "this token may not read this database");
  }
}

void Router::parse_query(Call& call, View query) const {
  if (query.empty()) return;
  std::vector<std::string> known;
  for (const Parameter& parameter : call.route.parameters) {
    if (!parameter.is_header) known.push_back(parameter.name);
  }
  while (true) {
    const View part = query.substr(0, query.find('&'));
    if (!part.empty()) {
      const std::size_t equals = std::min(part.find('='), part.size());
      const Bytes name = decoded_or_refuse(part.substr(0, equals), true);
      const View value = equals < part.size() ? part.substr(equals + 1) : View();
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        refuse_request(unknown_word("query parameter", name, " of this route", known));
      }
      for (const auto& [earlier, ignored] : call.query_values) {
        if (earlier == name) refuse_request("the query parameter \"" + name + "\" was given twice");
      }
      call.query_values.emplace_back(name, decoded_or_refuse(value, true));
    }
    if (part.size() == query.size()) return;
    query.remove_prefix(part.size() + 1);
  }
}

Response Router::refusal(int status, View message, View request_id) noexcept {
  Response response = error_response(HttpError(status, std::string(message)), request_id);
  response.close = true;
  return response;
}

void Router::finished(const Exchange& exchange) noexcept {
  metrics_.count(exchange);
  if (log_ != nullptr) log_->write(exchange);
}

Response answer(Call& call, Request& request) noexcept {
  call.request = &request;
  return response_of(request.id, [&] { return call.route.handler(call); });
}

const Bytes& Call::path(View name) const {
  for (const auto& [known, value] : path_values) {
    if (known == name) return value;
  }
  HOLDFAST_ASSERT(false);
  return path_values.front().second;
}

std::optional<View> Call::query(View name) const {
  HOLDFAST_ASSERT(std::any_of(
      route.parameters.begin(), route.parameters.end(),
      [&](const Parameter& parameter) { return parameter.name == name && !parameter.is_header; }));
  for (const auto& [known, value] : query_values) {
    if (known == name) return View(value);
  }
  return std::nullopt;
}

bool Call::flag(View name) const {
  const auto value = query(name);
  if (!value || *value == "false" || *value == "0") return false;
  if (*value == "true" || *value == "1" || value->empty()) return true;
  refuse_request("the query parameter \"" + std::string(name) + "\" is true or false");
}

std::uint64_t Call::number(View name, std::uint64_t otherwise, std::uint64_t minimum,
                           std::uint64_t maximum) const {
  const auto value = query(name);
  if (!value) return otherwise;
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (problem != std::errc{} || end != value->data() + value->size() || number < minimum ||
      number > maximum) {
    refuse_request("the query parameter \"" + std::string(name) + "\" is a whole number between " +
                   std::to_string(minimum) + " and " + std::to_string(maximum));
  }
  return number;
}

std::optional<std::int64_t> Call::signed_number(View name) const {
  const auto value = query(name);
  if (!value) return std::nullopt;
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (problem != std::errc{} || end != value->data() + value->size()) {
    refuse_request("the query parameter \"" + std::string(name) + "\" is a whole number");
  }
  return number;
}

Json Call::json_body() const {
  const View type = header("Content-Type");
  const View media_type = type.substr(0, type.find_first_of("; "));
  if (!type.empty() && !equals_ignoring_case(media_type, "application/json")) {
    throw HttpError(415, "the body of this request is JSON; its Content-Type is application/json");
  }
  return parse_json(request->body);
}

bool Call::may(Scope scope, View database) const {
  if (!state.has_tokens) return true;
  if (token == nullptr) return false;
  return scope == Scope::write ? token->may_write(database) : token->may_read(database);
}

}  // namespace holdfast::server
