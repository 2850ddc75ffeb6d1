// The service tables: documents by table and key, with versions, expiry and dictionaries.
#include <memory>

#include "holdfast/limits.h"
#include "holdfast/records.h"
#include "holdfast/tables.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

std::string text_of(const TableRecord& record) {
  Json json = {{"version", record.version}, {"written_at_ms", record.written_at_ms}};
  if (record.expires_at_ms) json["expires_at_ms"] = *record.expires_at_ms;
  if (!record.dictionary.empty()) json["dictionary"] = record.dictionary;
  set_bytes(json, "key", record.key);
  return with_payload(json, record.value);
}

Response names_of(const Listing<Bytes>& listing) {
  std::vector<std::string> items;
  for (const Bytes& name : listing.items) items.push_back(Json({{"name", name}}).dump());
  return listing_response(items, listing.cursor);
}

Response list_tables(Call& call) {
  return names_of(Tables(call.database()).list_tables(list_options_of(call)));
}

Response stat_table(Call& call) {
  return json_response({{"records", Tables(call.database()).table_size(call.path("table"))}});
}

Response create_table(Call& call) {
  return when_transacted(
      call, [tables = Tables(call.database()), &table = call.path("table")](Transaction& transaction) {
        const bool is_created = tables.create_table(transaction, table);
        return [is_created] { return json_response({{"created", is_created}}); };
      });
}

Response erase_table(Call& call) {
  return json_response({{"erased", Tables(call.database()).erase_table(call.path("table"))}});
}

Response clean_up_table(Call& call) {
  return json_response({{"removed", Tables(call.database()).cleanup_expired(call.path("table"))}});
}

Response clean_up_tables(Call& call) {
  return json_response({{"removed", Tables(call.database()).cleanup_all_expired()}});
}

Response list_records(Call& call) {
  const auto listing = Tables(call.database()).list(call.path("table"), list_options_of(call));
  std::vector<std::string> items;
  for (const TableRecord& record : listing.items) items.push_back(text_of(record));
  return listing_response(items, listing.cursor);
}

Response get_record(Call& call) {
  const auto record = Tables(call.database()).get(call.path("table"), call.path("key"));
  if (!record) throw Error(Code::not_found, "there is no such record");
  Response response;
  response.headers = {{"ETag", etag_of(record->version)},
                      {"Holdfast-Written-At-Ms", std::to_string(record->written_at_ms)}};
  if (record->expires_at_ms) {
    response.headers.emplace_back("Holdfast-Expires-At-Ms", std::to_string(*record->expires_at_ms));
  }
  set_payload_body(response, record->value);
  return response;
}

/// One after the other, in one snapshot.
Response get_many_records(Call& call) {
  const std::vector<Bytes> keys = keys_of_body(call);
  const Tables tables(call.database());
  const Bytes& table = call.path("table");
  std::vector<std::string> items;
  tables.database().transact(
      [&](Transaction& transaction) {
        items.clear();
        std::size_t size_bytes = 0;
        for (auto key = keys.begin(); key != keys.end() && size_bytes < limits::kAnswerBytes; ++key) {
          const auto record = tables.get(transaction, table, *key);
          items.push_back(record ? text_of(*record) : "null");
          size_bytes += items.back().size();
        }
      },
      call.request->deadline);
  return page_response(items, keys.size());
}

Response write_many_records(Call& call) {
  using Pairs = std::vector<std::pair<Bytes, Payload>>;
  const auto pairs =
      std::make_shared<const Pairs>(keyed_payloads_of_body(call, "records", limits::kManyRecords));
  return when_transacted(
      call, [tables = Tables(call.database()), &table = call.path("table"), pairs](Transaction& transaction) {
        std::vector<std::uint64_t> versions;
        for (const auto& [key, value] : *pairs)
          versions.push_back(tables.write(transaction, table, key, value));
        return [versions = std::move(versions)] { return json_response({{"versions", versions}}); };
      });
}

Response write_record(Call& call) {
  TableWriteOptions options;
  options.expires_at_ms = call.signed_number("expires_at_ms");
  options.dictionary = Bytes(call.query("dictionary").value_or(""));
  const auto match = if_match_of(call);
  const bool only_if_absent = is_if_none_match(call);
  if (match && only_if_absent) refuse_request("If-Match and If-None-Match contradict each other");
  const auto expected = only_if_absent ? std::optional<std::uint64_t>(0) : match;
  const auto value = std::make_shared<const Payload>(payload_of_body(call));
  return when_transacted(call, [tables = Tables(call.database()), &table = call.path("table"),
                                &key = call.path("key"), expected, value, options](Transaction& transaction) {
    const std::optional<std::uint64_t> version =
        expected ? tables.write_if(transaction, table, key, *expected, *value, options)
                 : tables.write(transaction, table, key, *value, options);
    return [version] {
      if (!version) precondition_failed();
      Response response = json_response({{"version", *version}});
      response.headers.emplace_back("ETag", etag_of(*version));
      return response;
    };
  });
}

Response erase_record(Call& call) {
  return when_transacted(
      call, [tables = Tables(call.database()), &table = call.path("table"), &key = call.path("key"),
             match = if_match_of(call)](Transaction& transaction) {
        const bool is_erased =
            match ? tables.erase_if(transaction, table, key, *match) : tables.erase(transaction, table, key);
        return [is_erased, is_conditional = match.has_value()] {
          if (!is_erased && is_conditional) precondition_failed();
          return json_response({{"erased", is_erased}});
        };
      });
}

Response list_dictionaries(Call& call) {
  return names_of(Tables(call.database()).list_dictionaries(list_options_of(call)));
}

Response get_dictionary(Call& call) {
  const auto dictionary = Tables(call.database()).get_dictionary(call.path("name"));
  if (!dictionary) throw Error(Code::not_found, "there is no such dictionary");
  return json_response({{"deflate", dictionary->deflate.value_or(std::map<Bytes, Bytes>{})}});
}

std::map<Bytes, Bytes> names_in(const Json& object) {
  std::map<Bytes, Bytes> names;
  if (!object.is_object()) refuse_request("\"deflate\" is an object of names");
  for (const auto& [from, to] : object.items()) {
    if (!to.is_string()) refuse_request("a short name is a string");
    names.emplace(from, to.get<std::string>());
  }
  return names;
}

Response set_dictionary(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"deflate"});
  const TableDictionary dictionary{.deflate = names_in(fields.at("deflate"))};
  return when_transacted(call, [tables = Tables(call.database()), &name = call.path("name"),
                                dictionary](Transaction& transaction) {
    tables.add_dictionary(transaction, name, dictionary);
    return [] { return json_response({{"set", true}}); };
  });
}

Response remove_dictionary(Call& call) {
  return when_transacted(
      call, [tables = Tables(call.database()), &name = call.path("name")](Transaction& transaction) {
        const bool is_erased = tables.remove_dictionary(transaction, name);
        return [is_erased] { return json_response({{"erased", is_erased}}); };
      });
}

Answer truth(const char* name, const char* description) {
  return {200, description, "application/json", object_schema({{name, boolean_schema()}}, {name})};
}

void add_dictionary_routes(std::vector<Route>& routes) {
  const char* one = "/v1/databases/{db}/dictionaries/{name}";
  const Json dictionary = object_schema(
      {{"deflate", {{"type", "object"}, {"description", "From long names to short ones, one to one"}}}},
      {"deflate"});

  Route list = make_route("tables", "GET", "/v1/databases/{db}/dictionaries", "list_dictionaries",
                          "Dictionaries by name.", Scope::read, list_dictionaries);
  list.parameters = list_parameters();
  list.answers = {{200, "A page.", "application/json",
                   listing_schema(object_schema({{"name", text_schema()}}, {"name"}))}};
  routes.push_back(list);

  Route get =
      make_route("tables", "GET", one, "get_dictionary", "A dictionary.", Scope::read, get_dictionary);
  get.answers = {{200, "The dictionary.", "application/json", dictionary}};
  routes.push_back(get);

  Route set = make_route("tables", "PUT", one, "set_dictionary", "Makes a dictionary known.", Scope::write,
                         set_dictionary);
  set.body_limit_bytes = kJsonBodyBytes;
  set.body = Body{"application/json", dictionary, "The names."};
  set.answers = {truth("set", "It is known.")};
  routes.push_back(set);

  Route remove = make_route("tables", "DELETE", one, "remove_dictionary",
                            "Forgets a dictionary for later writes.", Scope::write, remove_dictionary);
  remove.answers = {truth("erased", "Whether it was known.")};
  routes.push_back(remove);
}

}  // namespace

void add_table_routes(std::vector<Route>& routes) {
  const char* table = "/v1/databases/{db}/tables/{table}";
  const char* record = "/v1/databases/{db}/tables/{table}/records/{key+}";

  Route tables = make_route("tables", "GET", "/v1/databases/{db}/tables", "list_tables", "Tables by name.",
                            Scope::read, list_tables);
  tables.parameters = list_parameters();
  tables.answers = {{200, "A page.", "application/json",
                     listing_schema(object_schema({{"name", text_schema()}}, {"name"}))}};
  routes.push_back(tables);

  Route stat = make_route("tables", "GET", table, "stat_table",
                          "How many records a table has, by a scan of its keys.", Scope::read, stat_table);
  stat.answers = {{200, "0 if there is no such table.", "application/json",
                   object_schema({{"records", integer_schema()}}, {"records"})}};
  routes.push_back(stat);

  Route create =
      make_route("tables", "PUT", table, "create_table", "Makes an empty table.", Scope::write, create_table);
  create.answers = {truth("created", "False if there is one.")};
  routes.push_back(create);

  Route erase_all =
      make_route("tables", "DELETE", table, "erase_table", "Erases a table.", Scope::write, erase_table);
  erase_all.answers = {truth("erased", "It is gone.")};
  routes.push_back(erase_all);

  const Answer removed = {200, "How many expired records there were.", "application/json",
                          object_schema({{"removed", integer_schema()}}, {"removed"})};
  Route clean = make_route("tables", "POST", "/v1/databases/{db}/tables/{table}/cleanup", "clean_up_table",
                           "Frees what expired records and an erased table of this name occupy.",
                           Scope::write, clean_up_table);
  clean.answers = {removed};
  routes.push_back(clean);

  Route clean_all = make_route("tables", "POST", "/v1/databases/{db}/tables-cleanup", "clean_up_tables",
                               "The same of all tables.", Scope::write, clean_up_tables);
  clean_all.answers = {removed};
  routes.push_back(clean_all);

  Route list = make_route("tables", "GET", "/v1/databases/{db}/tables/{table}/records", "list_table_records",
                          "Records by key.", Scope::read, list_records);
  list.parameters = list_parameters();
  auto item = bytes_members("key", "The key");
  for (auto& member : payload_members()) item.push_back(std::move(member));
  const Json written = object_schema(item, {});
  item.emplace_back("version", integer_schema(1));
  item.emplace_back("written_at_ms", integer_schema(INT64_MIN));
  item.emplace_back("expires_at_ms", integer_schema(INT64_MIN));
  item.emplace_back("dictionary", text_schema());
  list.answers = {{200, "A page.", "application/json",
                   listing_schema(object_schema(item, {"version", "written_at_ms"}))}};
  routes.push_back(list);

  Route get_many =
      make_route("tables", "POST", "/v1/databases/{db}/tables/{table}/get", "get_many_table_records",
                 "Records by their keys.", Scope::read, get_many_records);
  describe_page(get_many, object_schema(item, {"version", "written_at_ms"}));
  routes.push_back(get_many);

  Route write_many =
      make_route("tables", "POST", "/v1/databases/{db}/tables/{table}/records", "write_many_table_records",
                 "Writes up to 500 records in one commit, without expiry or dictionary.", Scope::write,
                 write_many_records);
  write_many.body_limit_bytes = kJsonBodyBytes;
  write_many.body = Body{"application/json", object_schema({{"records", array_schema(written)}}, {"records"}),
                         "Keys and documents, up to 8 MiB."};
  write_many.answers = {{200, "Their new versions.", "application/json",
                         object_schema({{"versions", array_schema(integer_schema(1))}}, {"versions"})}};
  routes.push_back(write_many);

  Route get = make_route("tables", "GET", record, "get_table_record",
                         "A record's value; its version is the ETag.", Scope::read, get_record);
  get.answers = {{200, "The document.", "application/json"}};
  routes.push_back(get);

  Route write = make_route("tables", "PUT", record, "write_table_record", "Writes a record.", Scope::write,
                           write_record);
  write.body_limit_bytes = kPayloadBodyBytes;
  write.body = Body{"*/*", {}, "The document, up to 64 MiB."};
  write.parameters = {{"expires_at_ms", integer_schema(), "The last millisecond at which it is there."},
                      {"dictionary", text_schema(), "The name of a dictionary to write it with."},
                      if_match_parameter(),
                      if_none_match_parameter()};
  write.answers = {{200, "Its new version.", "application/json",
                    object_schema({{"version", integer_schema(1)}}, {"version"})}};
  routes.push_back(write);

  Route erase = make_route("tables", "DELETE", record, "erase_table_record", "Erases a record.", Scope::write,
                           erase_record);
  erase.parameters = {if_match_parameter()};
  erase.answers = {truth("erased", "Whether there was one.")};
  routes.push_back(erase);

  add_dictionary_routes(routes);
}

}  // namespace holdfast::server
