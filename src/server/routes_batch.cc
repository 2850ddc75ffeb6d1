// Many entries in one request: reads of one snapshot, and commits with checks.
#include "holdfast/limits.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

Range range_of(const Fields& fields) {
  const auto prefix = fields.optional_bytes("prefix");
  if (prefix) return Range::prefix(*prefix);
  return {fields.optional_bytes("begin").value_or(""), fields.optional_bytes("end").value_or("")};
}

Check check_of(const Json& json, const std::string& where, const ServerState& state) {
  const Fields fields(json, where, {"type", "version", "since", "read_time_ms"},
                      {"key", "prefix", "begin", "end"});
  const std::string type = fields.text("type");
  if (type == "absent") return Check::absent(fields.bytes("key"));
  if (type == "version") return Check::has_version(fields.bytes("key"), fields.number("version"));
  if (type == "unchanged") {
    const std::int64_t now = state.environment.clock->now_ms();
    return Check::unchanged(range_of(fields), fields.number("since"),
                            fields.optional_signed_number("read_time_ms").value_or(now));
  }
  refuse_request("\"type\" of " + where + " is none of absent, version, unchanged");
}

Write write_of(const Json& json, const std::string& where, const ServerState& state) {
  const Fields fields(json, where, {"type", "expires_at_ms", "ttl_ms"}, {"key", "value", "prefix", "suffix"});
  const std::string type = fields.text("type");
  const auto expiry = expiry_of(state, fields.optional_signed_number("expires_at_ms"),
                                fields.optional_signed_number("ttl_ms"));
  if (type == "put") return Write::put(fields.bytes("key"), fields.bytes("value"), expiry);
  if (type == "put_stamped") {
    return Write::put_stamped(fields.bytes("prefix"), fields.optional_bytes("suffix").value_or(""),
                              fields.bytes("value"), expiry);
  }
  if (type == "erase") return Write::erase(fields.bytes("key"));
  refuse_request("\"type\" of " + where + " is none of put, put_stamped, erase");
}

Response commit(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"checks", "writes"});
  Batch batch;
  if (fields.has("checks")) {
    for (const Json& check : fields.array("checks", limits::kBatchChecks)) {
      batch.checks.push_back(
          check_of(check, "element " + std::to_string(batch.checks.size()) + " of \"checks\"", call.state));
    }
  }
  for (const Json& write : fields.array("writes", limits::kBatchWrites)) {
    batch.writes.push_back(
        write_of(write, "element " + std::to_string(batch.writes.size()) + " of \"writes\"", call.state));
  }
  return when_committed(call, std::move(batch), [](const Outcome& outcome) {
    if (!outcome.committed()) {
      throw HttpError(409, Code::conflict, "a check does not hold; nothing was written",
                      "\"failed_check\":" + std::to_string(*outcome.failed_check));
    }
    return json_response({{"seq", outcome.seq}});
  });
}

Response get_many(Call& call) {
  const Encoding encoding = encoding_of(call);
  const std::vector<Bytes> keys = keys_of_body(call);
  std::vector<std::string> items;
  for (const std::optional<Entry>& entry : call.database().get_page(keys)) {
    items.push_back(entry ? json_of(*entry, encoding, false).dump() : "null");
  }
  return page_response(items, keys.size());
}

std::vector<std::pair<std::string, Json>> members(std::initializer_list<const char*> bytes,
                                                  std::vector<std::pair<std::string, Json>> others) {
  for (const char* name : bytes) {
    for (auto& member : bytes_members(name, name)) others.push_back(std::move(member));
  }
  return others;
}

Json one_of(const char* type, Json schema) {
  schema["properties"]["type"] = {{"const", type}};
  return schema;
}

Json batch_schema() {
  const Json checks = {
      {"oneOf",
       Json::array({one_of("absent", object_schema(members({"key"}, {}), {"type"})),
                    one_of("version", object_schema(members({"key"}, {{"version", integer_schema(1)}}),
                                                    {"type", "version"})),
                    one_of("unchanged", object_schema(members({"prefix", "begin", "end"},
                                                              {{"since", integer_schema()},
                                                               {"read_time_ms", integer_schema(INT64_MIN)}}),
                                                      {"type", "since"}))})}};
  const std::vector<std::pair<std::string, Json>> expiry = {{"expires_at_ms", integer_schema(INT64_MIN)},
                                                            {"ttl_ms", integer_schema(1)}};
  const Json writes = {
      {"oneOf", Json::array({one_of("put", object_schema(members({"key", "value"}, expiry), {"type"})),
                             one_of("put_stamped",
                                    object_schema(members({"prefix", "suffix", "value"}, expiry), {"type"})),
                             one_of("erase", object_schema(members({"key"}, {}), {"type"}))})}};
  return object_schema({{"checks", array_schema(checks)}, {"writes", array_schema(writes)}}, {"writes"});
}

}  // namespace

void add_batch_routes(std::vector<Route>& routes) {
  Route batch = make_route("entries", "POST", "/v1/databases/{db}/commit", "commit_batch",
                           "Writes all or nothing, if all checks hold.", Scope::write, commit);
  batch.mode = Plan::Mode::quick;
  batch.body_limit_bytes = kJsonBodyBytes;
  batch.body =
      Body{"application/json", batch_schema(),
           "Up to 2,000 checks and 2,000 writes of 8 MiB in all. put_stamped stores under prefix + the "
           "commit's seq as 16 hexadecimal digits + suffix."};
  batch.answers = {
      {200, "It is committed.", "application/json", object_schema({{"seq", integer_schema()}}, {"seq"})},
      {409, "A check does not hold: failed_check is its index.", "application/json", ref("Error")}};
  routes.push_back(batch);

  Route many = make_route("entries", "POST", "/v1/databases/{db}/get", "get_entries",
                          "Entries by their keys.", Scope::read, get_many);
  describe_page(many, ref("Entry"));
  many.parameters = {encoding_parameter()};
  routes.push_back(many);
}

}  // namespace holdfast::server
