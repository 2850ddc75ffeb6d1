// The service kv: small values under a key, with expiry, conditions and counters.
#include <algorithm>
#include <memory>

#include "holdfast/kv.h"
#include "holdfast/limits.h"
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

Response set_response(bool is_set) {
  if (!is_set) precondition_failed();
  return json_response({{"set", true}});
}

/// Such a payload is uploaded before its commit, once for all attempts of a call that waits.
bool is_large(const Payload& payload) { return payload.size_bytes() > limits::kInlinePayloadBytes; }

Response set_kv(Call& call) {
  KvSetOptions options;
  options.ttl = ttl_of(call.signed_number("ttl_ms"));
  options.only_if_absent = is_if_none_match(call);
  options.only_if_version = if_match_of(call);
  Kv kv(call.database());
  const auto value = std::make_shared<const Payload>(payload_of_body(call));
  if (is_large(*value)) return set_response(kv.set(call.path("key"), *value, options));
  return when_transacted(call, [kv, &key = call.path("key"), value, options](Transaction& transaction) {
    const bool is_set = kv.set(transaction, key, *value, options);
    return [is_set] { return set_response(is_set); };
  });
}

Response erase_kv(Call& call) {
  return when_transacted(call, [kv = Kv(call.database()), &key = call.path("key")](Transaction& transaction) {
    const bool is_erased = kv.erase(transaction, key);
    return [is_erased] { return json_response({{"erased", is_erased}}); };
  });
}

Response change_kv(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"increment", "ttl_ms"});
  if (fields.has("increment") == fields.has("ttl_ms")) {
    refuse_request("the body has either \"increment\", or \"ttl_ms\", which may be null for no expiry");
  }
  const Kv kv(call.database());
  const Bytes& key = call.path("key");
  if (fields.has("increment")) {
    return when_transacted(call,
                           [kv, &key, by = fields.signed_number("increment")](Transaction& transaction) {
                             const std::int64_t value = kv.increment(transaction, key, by);
                             return [value] { return json_response({{"value", value}}); };
                           });
  }
  const bool is_never = fields.at("ttl_ms").is_null();
  const auto ttl = is_never ? std::nullopt : ttl_of(fields.signed_number("ttl_ms"));
  return when_transacted(call, [kv, &key, ttl](Transaction& transaction) {
    if (!kv.expire(transaction, key, ttl)) throw Error(Code::not_found, "there is no such key");
    return [] { return set_response(true); };
  });
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
  using Entries = std::vector<std::pair<Bytes, Payload>>;
  Kv kv(call.database());
  const auto entries =
      std::make_shared<const Entries>(keyed_payloads_of_body(call, "entries", limits::kReadGets));
  if (std::ranges::any_of(*entries, [](const auto& entry) { return is_large(entry.second); })) {
    kv.set_many(*entries);
    return set_response(true);
  }
  return when_transacted(call, [kv, entries](Transaction& transaction) {
    kv.set_many(transaction, *entries);
    return [] { return set_response(true); };
  });
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
