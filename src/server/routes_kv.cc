// The service kv: small values under a key, with expiry, conditions and counters.
#include "holdfast/kv.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

std::string text_of(const KvEntry& entry) {
  Json json = Json::object();
  set_bytes(json, "key", entry.key);
  json["version"] = entry.version;
  if (entry.expires_at_ms) json["expires_at_ms"] = *entry.expires_at_ms;
  return with_payload(json, entry.value);
}

std::optional<std::chrono::milliseconds> ttl_of(std::optional<std::int64_t> ttl_ms) {
  return ttl_ms ? std::optional(std::chrono::milliseconds(*ttl_ms)) : std::nullopt;
}

Response get_kv(Call& call) {
  const auto entry = Kv(call.database()).get(call.path("key"));
  if (!entry) throw Error(Code::not_found, "there is no such key");
  Response response;
  response.headers.emplace_back("ETag", etag_of(entry->version));
  if (entry->expires_at_ms) {
    response.headers.emplace_back("Holdfast-Expires-At-Ms", std::to_string(*entry->expires_at_ms));
  }
  set_payload_body(response, entry->value);
  return response;
}

Response set_kv(Call& call) {
  KvSetOptions options;
  options.ttl = ttl_of(call.signed_number("ttl_ms"));
  options.only_if_absent = is_if_none_match(call);
  options.only_if_version = if_match_of(call);
  if (!Kv(call.database()).set(call.path("key"), payload_of_body(call), options)) precondition_failed();
  return json_response({{"set", true}});
}

Response erase_kv(Call& call) {
  return json_response({{"erased", Kv(call.database()).erase(call.path("key"))}});
}

Response change_kv(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"increment", "ttl_ms"});
  if (fields.has("increment") == fields.has("ttl_ms")) {
    refuse_request("the body has either \"increment\", or \"ttl_ms\", which may be null for no expiry");
  }
  Kv kv(call.database());
  if (fields.has("increment")) {
    return json_response({{"value", kv.increment(call.path("key"), fields.signed_number("increment"))}});
  }
  const bool is_never = fields.at("ttl_ms").is_null();
  const auto ttl = is_never ? std::nullopt : ttl_of(fields.signed_number("ttl_ms"));
  if (!kv.expire(call.path("key"), ttl)) throw Error(Code::not_found, "there is no such key");
  return json_response({{"set", true}});
}

Response list_kv(Call& call) {
  const Listing<KvEntry> listing = Kv(call.database()).list(list_options_of(call));
  std::vector<std::string> items;
  for (const KvEntry& entry : listing.items) items.push_back(text_of(entry));
  return listing_response(items, listing.cursor);
}

Response get_many_kv(Call& call) {
  const std::vector<Bytes> keys = keys_of_body(call);
  std::vector<std::string> items;
  for (const auto& entry : Kv(call.database()).get_page(keys))
    items.push_back(entry ? text_of(*entry) : "null");
  return page_response(items, keys.size());
}

Response set_many_kv(Call& call) {
  Kv(call.database()).set_many(keyed_payloads_of_body(call, "entries", limits::kReadGets));
  return json_response({{"set", true}});
}

Json item_schema() {
  auto members = keyed_payload_members();
  members.emplace_back("version", integer_schema(1));
  members.emplace_back("expires_at_ms", integer_schema(INT64_MIN));
  return object_schema(members, {"version"});
}

}  // namespace

void add_kv_routes(std::vector<Route>& routes) {
  const char* one = "/v1/databases/{db}/kv/{key+}";
  const char* all = "/v1/databases/{db}/kv";
  const Json set_schema = object_schema({{"set", boolean_schema()}}, {"set"});

  Route get =
      make_route("kv", "GET", one, "get_kv", "A value; its version is the ETag.", Scope::read, get_kv);
  describe_payload_answer(get);
  routes.push_back(get);

  Route set = make_route("kv", "PUT", one, "set_kv",
                         "Sets a value: a document if its type is application/json, else bytes.",
                         Scope::write, set_kv);
  describe_payload_body(set);
  set.parameters = {{"ttl_ms", integer_schema(1), "In how many milliseconds it expires."},
                    if_match_parameter(),
                    if_none_match_parameter()};
  set.answers = {{200, "It is set.", "application/json", set_schema}};
  routes.push_back(set);

  Route erase = make_route("kv", "DELETE", one, "erase_kv", "Erases a key.", Scope::write, erase_kv);
  erase.answers = {{200, "Whether there was one.", "application/json",
                    object_schema({{"erased", boolean_schema()}}, {"erased"})}};
  routes.push_back(erase);

  Route change = make_route("kv", "POST", one, "change_kv",
                            "Adds to a whole number, or sets when a key expires.", Scope::write, change_kv);
  change.body_limit_bytes = 4'096;
  change.body = Body{"application/json",
                     object_schema({{"increment", integer_schema(INT64_MIN)},
                                    {"ttl_ms", {{"type", Json::array({"integer", "null"})}}}},
                                   {}),
                     "One of the two; null: never."};
  change.answers = {{200, "The sum, or that it is set.", "application/json",
                     object_schema({{"value", integer_schema(INT64_MIN)}, {"set", boolean_schema()}}, {})}};
  routes.push_back(change);

  Route list = make_route("kv", "GET", all, "list_kv", "Live entries by key.", Scope::read, list_kv);
  list.parameters = list_parameters();
  list.answers = {{200, "A page.", "application/json", listing_schema(item_schema())}};
  routes.push_back(list);

  Route set_many =
      make_route("kv", "POST", all, "set_many_kv", "Sets up to 1,000 values in one commit, without expiry.",
                 Scope::write, set_many_kv);
  describe_keyed_payloads_body(set_many, "entries");
  set_many.answers = {{200, "They are set.", "application/json", set_schema}};
  routes.push_back(set_many);

  Route get_many = make_route("kv", "POST", "/v1/databases/{db}/kv-get", "get_many_kv",
                              "Values by their keys.", Scope::read, get_many_kv);
  describe_page(get_many, item_schema());
  routes.push_back(get_many);
}

}  // namespace holdfast::server
