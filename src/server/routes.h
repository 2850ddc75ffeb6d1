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
void add_queue_routes(std::vector<Route>& routes);
void add_queue_admin_routes(std::vector<Route>& routes);
void add_schedule_routes(std::vector<Route>& routes);
void add_task_routes(std::vector<Route>& routes);

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
/// Where a client of an event stream resumes: what the header field Last-Event-ID says, or the query
/// parameter.
std::optional<View> resume_point_of(const Call& call, const char* parameter);
/// Makes an event stream of a route: after its own parameters come the one to resume by, which `means`
/// describes, and Last-Event-ID. `events` says which there are.
void describe_event_stream(Route& route, const char* parameter, const Json& schema, const char* means,
                           const char* events);
/// The instant that `expires_at_ms` names or `ttl_ms` leads to.
std::optional<UnixMs> expiry_of(const ServerState& state, std::optional<std::int64_t> expires_at_ms,
                                std::optional<std::int64_t> ttl_ms);
std::string etag_of(Seq version);
/// Submits the batch to the database of the path. `make` makes the response of its outcome, which is durable
/// then; what it throws, or the commit, becomes the response of its code.
Response when_committed(Call& call, Batch batch, std::function<Response(const Outcome&)> make);
/// Runs as a transaction and gives what makes the response once that is committed. May run several times;
/// must not change what it has captured.
using TransactionBody = std::function<std::function<Response()>(Transaction&)>;
/// Runs `body` on this thread, a worker's, which its reads block, and submits what it wrote: no thread waits
/// for the commit. If that has lost against others a worker transacts and waits.
Response when_transacted(Call& call, const TransactionBody& body);

}  // namespace holdfast::server
