// All routes of the server. Each add_..._routes() is a file of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/route.h"

namespace holdfast::server {

/// The whole table, /openapi.json included, which describes it.
std::vector<Route> all_routes();

void add_server_routes(std::vector<Route>& routes);
void add_database_routes(std::vector<Route>& routes);
void add_entry_routes(std::vector<Route>& routes);
void add_batch_routes(std::vector<Route>& routes);
void add_watch_routes(std::vector<Route>& routes);
void add_kv_routes(std::vector<Route>& routes);
void add_blob_routes(std::vector<Route>& routes);
void add_event_routes(std::vector<Route>& routes);
void add_record_routes(std::vector<Route>& routes);
void add_index_routes(std::vector<Route>& routes);
void add_lifecycle_routes(std::vector<Route>& routes);
void add_table_routes(std::vector<Route>& routes);

/// What many routes share.
Route make_route(const char* tag, const char* method, std::string pattern, const char* name,
                 const char* summary, Scope scope, std::function<Response(Call&)> handler);
inline constexpr std::size_t kJsonBodyBytes = 16u << 20;
std::vector<Parameter> range_parameters();
/// Of `prefix`, or of `begin` and `end`.
Range range_of(const Call& call);
Encoding encoding_of(const Call& call);
Parameter encoding_parameter();
Json json_of(const Entry& entry, Encoding encoding, bool keys_only);
/// The instant that `expires_at_ms` names or `ttl_ms` leads to.
std::optional<UnixMs> expiry_of(const ServerState& state, std::optional<std::int64_t> expires_at_ms,
                                std::optional<std::int64_t> ttl_ms);
std::string etag_of(Seq version);

}  // namespace holdfast::server
