// Indexes of the service records: declared, listed, dropped, and asked.
#include "holdfast/records.h"
#include "server/index_builds.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/record_json.h"
#include "server/routes.h"
#include "services/record_bounds.h"

namespace holdfast::server {
namespace {

Json json_of(const RecordIndex& index) {
  return {{"name", index.name}, {"path", index.path}, {"unique", index.unique}, {"state", name(index.state)}};
}

Json index_json(const Call& call) {
  for (const RecordIndex& index : Records(call.database()).indexes()) {
    if (index.name == call.path("index")) return json_of(index);
  }
  throw Error(Code::not_found, "there is no such index");
}

Response list_indexes(Call& call) {
  Json items = Json::array();
  for (const RecordIndex& index : Records(call.database()).indexes()) items.push_back(json_of(index));
  return json_response({{"items", std::move(items)}});
}

Response get_index(Call& call) { return json_response(index_json(call)); }

Response declare_index(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"path", "unique"});
  call.state.index_builds.declare(call.database(), call.path("index"), fields.text("path"),
                                  {.unique = fields.flag("unique", false)});
  return json_response(index_json(call));
}

Response drop_index(Call& call) {
  return json_response({{"dropped", Records(call.database()).drop_index(call.path("index"))}});
}

/// A value of an index: JSON.
std::optional<Payload> value_of(const Call& call, const char* name) {
  const auto text = call.query(name);
  if (!text) return std::nullopt;
  try {
    return Payload::parse(*text);
  } catch (const Error&) {
    refuse_request(std::string("the query parameter \"") + name +
                   "\" is JSON: 36, true, null, or text in quotes");
  }
}

Response find_records(Call& call) {
  const ListOptions options = list_options_of(call, false);
  RecordQuery query;
  for (const RecordBound& bound : kRecordBounds) query.*bound.value = value_of(call, bound.name);
  if (const auto beginning = call.query("starts_with")) query.starts_with = Bytes(*beginning);
  query.cursor = options.cursor;
  query.limit = options.limit;
  query.reverse = options.reverse;
  const auto listing = Records(call.database()).find(call.path("index"), query);
  std::vector<std::string> items;
  for (const Record& record : listing.items) items.push_back(record_text(record));
  return listing_response(items, listing.cursor);
}

}  // namespace

void add_index_routes(std::vector<Route>& routes) {
  const std::string all = "/v1/databases/{db}/record-indexes";
  const std::string one = all + "/{index}";
  const Json index =
      object_schema({{"name", text_schema()},
                     {"path", text_schema("A JSON pointer")},
                     {"unique", boolean_schema()},
                     {"state", {{"type", "string"}, {"enum", Json::array({"building", "ready", "failed"})}}}},
                    {"name", "path", "unique", "state"});

  Route list = make_route("records", "GET", all, "list_record_indexes",
                          "The indexes of the records, by name.", Scope::read, list_indexes);
  list.answers = {{200, "All of them.", "application/json", listing_schema(index)}};
  routes.push_back(list);

  Route get =
      make_route("records", "GET", one, "get_record_index",
                 "An index. It can be asked when its state is ready; failed: it was to be unique, and two "
                 "records have one value.",
                 Scope::read, get_index);
  get.answers = {{200, "The index.", "application/json", index}};
  routes.push_back(get);

  Route declare = make_route(
      "records", "PUT", one, "declare_record_index",
      "Declares an index over what is at a JSON pointer in the documents. Records that are there already are "
      "added in the background; if the server stops meanwhile, the next one goes on with that.",
      Scope::write, declare_index);
  declare.body_limit_bytes = 4'096;
  declare.body =
      Body{"application/json",
           object_schema({{"path", text_schema("/address/city, for example")}, {"unique", boolean_schema()}},
                         {"path"}),
           "409 if there is an index of this name that is declared otherwise."};
  declare.answers = {{200, "It is declared.", "application/json", index}};
  routes.push_back(declare);

  Route drop =
      make_route("records", "DELETE", one, "drop_record_index",
                 "Removes an index and frees its space; the records stay.", Scope::write, drop_index);
  drop.answers = {{200, "Whether there was one.", "application/json",
                   object_schema({{"dropped", boolean_schema()}}, {"dropped"})}};
  routes.push_back(drop);

  Route find = make_route("records", "GET", one + "/records", "find_records",
                          "Records by their value in an index, then by key; all that have one if no value is "
                          "given. 503 as long as the index is being built.",
                          Scope::read, find_records);
  find.parameters = list_parameters(false);
  for (const RecordBound& bound : kRecordBounds) {
    const std::string what =
        std::string("Records ") + bound.meaning + ", in JSON: 36, true, null, \"text\" in quotes.";
    find.parameters.push_back({bound.name, text_schema(), what});
  }
  find.parameters.push_back({"starts_with", text_schema(), "Strings that begin so; text without quotes."});
  find.answers = {{200, "A page.", "application/json", listing_schema(record_schema())}};
  routes.push_back(find);
}

}  // namespace holdfast::server
