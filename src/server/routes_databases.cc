// Databases: list, look at, drop, digest, changes.
#include <array>
#include <cstdio>

#include "server/openapi.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

std::string hexadecimal(std::uint64_t high, std::uint64_t low) {
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(high),
                static_cast<unsigned long long>(low));
  return text.data();
}

Response list_databases(Call& call) {
  const std::size_t limit = call.number("limit", 100, 1, 1'000);
  const Bytes prefix(call.query("prefix").value_or(""));
  Bytes after = from_base64url(call.query("cursor").value_or(""), "the cursor");
  Json items = Json::array();
  bool more = true;
  // A page may hold few names that this token may read; a bounded number of pages is looked at for more.
  for (int page = 0; page < 10 && items.size() < limit && more; ++page) {
    const auto names = call.state.store->databases(prefix, after, 1'000);
    more = names.size() == 1'000;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (items.size() == limit) {
        more = true;
        break;
      }
      after = names[i];
      if (call.may(Scope::read, names[i])) items.push_back({{"name", names[i]}});
    }
  }
  Json json = {{"items", items}};
  if (more) json["cursor"] = base64url(after);
  return json_response(json);
}

Response stat_database(Call& call) {
  const Database database = call.database();
  const Position position = database.position();
  Json json = {{"name", call.path("db")}, {"position", text_of(position)}, {"commits", position.seq}};
  if (call.flag("count")) {
    Range range = Range::all();
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    while (true) {
      const Page page = database.scan(range, {.limit = 10'000});
      entries += page.entries.size();
      for (const Entry& entry : page.entries) bytes += entry.key.size() + entry.value.size();
      if (!page.more) break;
      if (!page.entries.empty()) range.begin = page.entries.back().key + '\0';
      if (call.state.environment.clock->steady_now() > call.request->deadline) {
        throw Error(Code::timeout, "counting took too long; ask without count");
      }
    }
    json["entries"] = entries;
    json["size_bytes"] = bytes;
  }
  return json_response(json);
}

Response drop_database(Call& call) {
  if (!call.state.store->drop(call.path("db"))) throw Error(Code::not_found, "there is no such database");
  return json_response({{"dropped", true}});
}

Response digest_database(Call& call) {
  const Digest digest = call.database().digest(call.request->deadline);
  return json_response({{"digest", hexadecimal(digest.high, digest.low)},
                        {"entries", digest.entries},
                        {"position", text_of(digest.at)}});
}

Response list_changes(Call& call) {
  const Database database = call.database();
  const auto since_text = call.query("since");
  const Position since = since_text ? position_of(*since_text) : Position{database.position().history, 0};
  const bool keys_only = call.flag("keys_only");
  const Encoding encoding = encoding_of(call);
  const Changes changes =
      database.changes(since, range_of(call), call.number("limit", 1'000, 1, 10'000), keys_only);
  Json items = Json::array();
  for (const Change& change : changes.items) {
    Json item = Json::object();
    set_bytes(item, "key", change.key, encoding);
    item["version"] = change.version;
    item["erased"] = change.erased;
    if (change.entry) {
      set_bytes(item, "value", change.entry->value, encoding);
      if (change.entry->expires_at_ms) item["expires_at_ms"] = *change.entry->expires_at_ms;
    }
    items.push_back(std::move(item));
  }
  return json_response({{"items", items},
                        {"through", text_of(changes.through)},
                        {"head", changes.head},
                        {"caught_up", changes.caught_up()}});
}

}  // namespace

void add_database_routes(std::vector<Route>& routes) {
  Route list =
      make_route("databases", "GET", "/v1/databases", "list_databases",
                 "The databases that the caller may read, in byte order.", Scope::token, list_databases);
  list.parameters = {{"prefix", text_schema(), "Only names that begin with it."},
                     {"limit", integer_schema(1), "1 to 1,000, 100 without it."},
                     {"cursor", text_schema(), "Where the last page ended."}};
  list.answers = {{200, "A page; without a cursor it is the last one.", "application/json",
                   object_schema({{"items", array_schema(object_schema({{"name", text_schema()}}, {"name"}))},
                                  {"cursor", text_schema()}},
                                 {"items"})}};
  routes.push_back(list);

  Route stat = make_route("databases", "GET", "/v1/databases/{db}", "stat_database",
                          "Where a database is. One that was never written to has 0 commits.", Scope::read,
                          stat_database);
  stat.parameters = {{"count", boolean_schema(), "Counts entries and bytes too, by a scan of everything."}};
  stat.answers = {{200, "The database.", "application/json",
                   object_schema({{"name", text_schema()},
                                  {"position", ref("Position")},
                                  {"commits", integer_schema()},
                                  {"entries", integer_schema()},
                                  {"size_bytes", integer_schema()}},
                                 {"name", "position", "commits"})}};
  routes.push_back(stat);

  Route drop = make_route("databases", "DELETE", "/v1/databases/{db}", "drop_database",
                          "Removes a database and all that is in it.", Scope::write, drop_database);
  drop.answers = {
      {200, "It is gone.", "application/json", object_schema({{"dropped", boolean_schema()}}, {"dropped"})}};
  routes.push_back(drop);

  Route digest = make_route("databases", "GET", "/v1/databases/{db}/digest", "digest_database",
                            "A sum over all live entries: equal wherever the same data are.", Scope::read,
                            digest_database);
  digest.answers = {{200, "The digest.", "application/json",
                     object_schema({{"digest", text_schema("32 hexadecimal digits")},
                                    {"entries", integer_schema()},
                                    {"position", ref("Position")}},
                                   {"digest", "entries", "position"})}};
  routes.push_back(digest);

  Route changes =
      make_route("databases", "GET", "/v1/databases/{db}/changes", "list_changes",
                 "What changed after a position, oldest first. 409 history_changed or 410 compacted: start "
                 "again from a scan.",
                 Scope::read, list_changes);
  changes.parameters = range_parameters();
  changes.parameters.push_back(
      {"since", ref("Position"), "Where the last page ended; the beginning without it."});
  changes.parameters.push_back({"limit", integer_schema(1), "1 to 10,000, 1,000 without it."});
  changes.parameters.push_back({"keys_only", boolean_schema(), "No values."});
  changes.parameters.push_back(encoding_parameter());
  auto item = bytes_members("key", "The key");
  for (auto& member : bytes_members("value", "What is stored now")) item.push_back(std::move(member));
  item.emplace_back("version", integer_schema(1));
  item.emplace_back("erased", boolean_schema());
  item.emplace_back("expires_at_ms", integer_schema(INT64_MIN));
  changes.answers = {{200, "A page. Give through as the next since.", "application/json",
                      object_schema({{"items", array_schema(object_schema(item, {"version", "erased"}))},
                                     {"through", ref("Position")},
                                     {"head", integer_schema()},
                                     {"caught_up", boolean_schema()}},
                                    {"items", "through", "head", "caught_up"})}};
  routes.push_back(changes);
}

}  // namespace holdfast::server
