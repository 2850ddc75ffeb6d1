// The service records: versioned documents under a key.
#include <memory>

#include "holdfast/records.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/record_json.h"
#include "server/routes.h"
#include "services/json_pointer.h"

namespace holdfast::server {
namespace {

Response get_record(Call& call) {
  const auto record = Records(call.database()).get(call.path("key"));
  if (!record) throw Error(Code::not_found, "there is no such record");
  Response response;
  response.headers = {{"ETag", etag_of(record->version)},
                      {"Holdfast-Created-At-Ms", std::to_string(record->created_at_ms)},
                      {"Holdfast-Updated-At-Ms", std::to_string(record->updated_at_ms)}};
  set_payload_body(response, record->value);
  return response;
}

Response put_record(Call& call) {
  RecordPutOptions options;
  options.only_if_absent = is_if_none_match(call);
  options.only_if_version = if_match_of(call);
  const auto value = std::make_shared<const Payload>(payload_of_body(call));
  return when_transacted(call, [records = Records(call.database()), &key = call.path("key"), value,
                                options](Transaction& transaction) {
    const auto version = records.put(transaction, key, *value, options);
    return [version] {
      if (!version) precondition_failed();
      Response response = json_response({{"version", *version}});
      response.headers.emplace_back("ETag", etag_of(*version));
      return response;
    };
  });
}

Response erase_record(Call& call) {
  const auto version = if_match_of(call);
  return when_transacted(
      call, [records = Records(call.database()), &key = call.path("key"), version](Transaction& transaction) {
        const bool is_erased = records.erase(transaction, key, {.only_if_version = version});
        return [is_erased, is_conditional = version.has_value()] {
          if (!is_erased && is_conditional) precondition_failed();
          return json_response({{"erased", is_erased}});
        };
      });
}

JsonPointer pointer_of(View path) {
  try {
    return JsonPointer::parse(path);
  } catch (const Error&) {
    refuse_request("the path of a filter is a JSON pointer such as /address/city");
  }
}

Json wanted_of(View equals) {
  try {
    return parse_json(equals);
  } catch (const Error&) {
    refuse_request("the query parameter \"equals\" is JSON: 36, true, null, or text in quotes");
  }
}

/// Documents whose member at `path` equals `equals`.
std::function<bool(const Record&)> filter_of(const Call& call) {
  const auto path = call.query("path");
  const auto equals = call.query("equals");
  if (path.has_value() != equals.has_value()) refuse_request("a filter has both path and equals");
  if (!path) return {};
  const JsonPointer pointer = pointer_of(*path);
  return [pointer, wanted = wanted_of(*equals)](const Record& record) {
    if (!record.value.is_json()) return false;
    const std::optional<View> found = pointer.find(record.value.text());
    try {
      return found && Json::parse(*found) == wanted;
    } catch (const Json::exception&) {
      // No value stands for it: 1e999, half of a surrogate pair.
      return false;
    }
  };
}

Response list_records(Call& call) {
  const ListOptions options = list_options_of(call);
  const auto listing = Records(call.database())
                           .list({.prefix = options.prefix,
                                  .filter = filter_of(call),
                                  .cursor = options.cursor,
                                  .limit = options.limit,
                                  .reverse = options.reverse});
  std::vector<std::string> items;
  for (const Record& record : listing.items) items.push_back(record_text(record));
  return listing_response(items, listing.cursor);
}

Response put_many_records(Call& call) {
  using Pairs = std::vector<std::pair<Bytes, Payload>>;
  const auto pairs =
      std::make_shared<const Pairs>(keyed_payloads_of_body(call, "records", limits::kManyRecords));
  return when_transacted(call, [records = Records(call.database()), pairs](Transaction& transaction) {
    records.put_many(transaction, *pairs);
    return [size = pairs->size()] { return json_response({{"put", size}}); };
  });
}

Response get_many_records(Call& call) {
  const std::vector<Bytes> keys = keys_of_body(call);
  std::vector<std::string> items;
  for (const auto& record : Records(call.database()).get_page(keys)) {
    items.push_back(record ? record_text(*record) : "null");
  }
  return page_response(items, keys.size());
}

}  // namespace

std::string record_text(const Record& record) {
  Json json = {{"version", record.version},
               {"created_at_ms", record.created_at_ms},
               {"updated_at_ms", record.updated_at_ms}};
  set_bytes(json, "key", record.key);
  return with_payload(json, record.value);
}

Json record_schema() {
  auto item = keyed_payload_members();
  item.emplace_back("version", integer_schema(1));
  item.emplace_back("created_at_ms", integer_schema(INT64_MIN));
  item.emplace_back("updated_at_ms", integer_schema(INT64_MIN));
  return object_schema(item, {"version", "created_at_ms", "updated_at_ms"});
}

void add_record_routes(std::vector<Route>& routes) {
  const char* one = "/v1/databases/{db}/records/{key+}";
  const char* all = "/v1/databases/{db}/records";

  Route get = make_route("records", "GET", one, "get_record", "A record's value; its version is the ETag.",
                         Scope::read, get_record);
  describe_payload_answer(get);
  routes.push_back(get);

  Route put = make_route("records", "PUT", one, "put_record",
                         "Puts a record: a document if its type is application/json, else bytes.",
                         Scope::write, put_record);
  describe_payload_body(put);
  put.parameters = {if_match_parameter(), if_none_match_parameter()};
  put.answers = {{200, "Its new version.", "application/json",
                  object_schema({{"version", integer_schema(1)}}, {"version"})}};
  routes.push_back(put);

  Route erase =
      make_route("records", "DELETE", one, "erase_record", "Erases a record.", Scope::write, erase_record);
  erase.parameters = {if_match_parameter()};
  erase.answers = {{200, "Whether there was one.", "application/json",
                    object_schema({{"erased", boolean_schema()}}, {"erased"})}};
  routes.push_back(erase);

  Route list =
      make_route("records", "GET", all, "list_records", "Records by key.", Scope::read, list_records);
  list.parameters = list_parameters();
  list.parameters.push_back(
      {"path", text_schema(), "Only documents that have, at this JSON pointer, what equals says."});
  list.parameters.push_back({"equals", text_schema(), "JSON: 36, true, \"text\" in quotes."});
  list.answers = {{200, "A page.", "application/json", listing_schema(record_schema())}};
  routes.push_back(list);

  Route many = make_route("records", "POST", all, "put_records", "Puts up to 500 records in one commit.",
                          Scope::write, put_many_records);
  describe_keyed_payloads_body(many, "records");
  many.answers = {
      {200, "How many.", "application/json", object_schema({{"put", integer_schema()}}, {"put"})}};
  routes.push_back(many);

  Route get_many = make_route("records", "POST", "/v1/databases/{db}/records-get", "get_many_records",
                              "Records by their keys.", Scope::read, get_many_records);
  describe_page(get_many, record_schema());
  routes.push_back(get_many);
}

}  // namespace holdfast::server
