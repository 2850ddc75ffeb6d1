// Entries one at a time, as raw bytes with their version as ETag, and pages of them.
#include <charconv>

#include "holdfast/limits.h"
#include "server/openapi.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

[[noreturn]] void precondition_failed() {
  throw HttpError(412, "the entry is not as If-Match or If-None-Match wants it; read it again");
}

/// What If-Match and If-None-Match say: nothing, any version (*), or one version.
struct Condition {
  bool is_given = false;
  bool is_any = false;
  Seq version = 0;
};

Condition condition_of(const Call& call, const char* field) {
  View text = call.header(field);
  Condition condition;
  if (text.empty()) return condition;
  condition.is_given = true;
  if (text == "*") {
    condition.is_any = true;
    return condition;
  }
  if (text.starts_with("W/")) text.remove_prefix(2);
  const bool is_quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
  if (is_quoted) text = text.substr(1, text.size() - 2);
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), condition.version);
  if (!is_quoted || problem != std::errc{} || end != text.data() + text.size()) {
    refuse_request(std::string(field) + " is * or one version in quotes, as ETag has it");
  }
  return condition;
}

Response get_entry(Call& call) {
  const Condition unless = condition_of(call, "If-None-Match");
  const std::optional<Entry> entry = call.database().get(call.path("key"));
  if (!entry) throw Error(Code::not_found, "there is no such entry");
  Response response;
  response.headers.emplace_back("ETag", etag_of(entry->version));
  if (entry->expires_at_ms) {
    response.headers.emplace_back("Holdfast-Expires-At-Ms", std::to_string(*entry->expires_at_ms));
  }
  if (unless.is_given && (unless.is_any || unless.version == entry->version)) {
    response.status = 304;
    return response;
  }
  response.content_type = "application/octet-stream";
  response.body = entry->value;
  return response;
}

constexpr int kAttempts = 10;

/// The batch that says "whatever it is, but there": no check says that, so the version that is there is
/// looked up.
Batch batch_if_there(Call& call, const Write& write) {
  const std::optional<Entry> entry = call.database().get(write.key);
  if (!entry) precondition_failed();
  return {{Check::has_version(write.key, entry->version)}, {write}};
}

Response commit_if_there(Call& call, const Write& write, Response (*respond)(Seq)) {
  return when_committed(call, batch_if_there(call, write), [&call, write, respond](const Outcome& outcome) {
    if (outcome.committed()) return respond(outcome.seq);
    // Reads take their time, and this is a thread that does I/O.
    Response response;
    response.work = [&call, write, respond] {
      return response_of(call.request->id, [&] {
        for (int i = 1; i < kAttempts; ++i) {
          const Outcome again = call.database().commit(batch_if_there(call, write), call.request->deadline);
          if (again.committed()) return respond(again.seq);
        }
        throw Error(Code::conflict, "others change this entry all the time; try again");
      });
    };
    return response;
  });
}

/// Commits one write under the conditions of the request's header.
Response commit_if(Call& call, Write write, Response (*respond)(Seq)) {
  const Condition match = condition_of(call, "If-Match");
  const Condition unless = condition_of(call, "If-None-Match");
  if (unless.is_given && !unless.is_any) {
    refuse_request("If-None-Match of a change is *; a version goes into If-Match");
  }
  if (match.is_given && match.is_any) {
    if (unless.is_given) precondition_failed();
    return commit_if_there(call, write, respond);
  }
  Batch batch;
  if (match.is_given) batch.checks.push_back(Check::has_version(write.key, match.version));
  if (unless.is_given) batch.checks.push_back(Check::absent(write.key));
  batch.writes.push_back(std::move(write));
  return when_committed(call, std::move(batch), [respond](const Outcome& outcome) {
    if (!outcome.committed()) precondition_failed();
    return respond(outcome.seq);
  });
}

Response put_entry(Call& call) {
  const auto expiry =
      expiry_of(call.state, call.signed_number("expires_at_ms"), call.signed_number("ttl_ms"));
  return commit_if(call, Write::put(call.path("key"), call.request->body, expiry), [](Seq seq) {
    Response response;
    response.content_type = "application/json";
    response.body = "{\"version\":" + std::to_string(seq) + "}\n";
    response.headers.emplace_back("ETag", etag_of(seq));
    return response;
  });
}

Response delete_entry(Call& call) {
  return commit_if(call, Write::erase(call.path("key")),
                   [](Seq seq) { return json_response({{"seq", seq}}); });
}

Response scan_entries(Call& call) {
  Range range = range_of(call);
  ScanOptions options;
  options.limit = call.number("limit", 1'000, 1, limits::kScanEntries);
  options.reverse = call.flag("reverse");
  options.keys_only = call.flag("keys_only");
  const Encoding encoding = encoding_of(call);
  if (const auto cursor = call.query("cursor")) {
    const Bytes last = from_base64url(*cursor, "the cursor");
    if (options.reverse) {
      range.end = last;
    } else {
      range.begin = last + '\0';
    }
  }
  // Taken before the scan, so that a check of this range errs on the side of a conflict.
  const UnixMs read_time_ms = call.state.environment.clock->now_ms();
  const Page page = call.database().scan(range, options);
  Json items = Json::array();
  for (const Entry& entry : page.entries) items.push_back(json_of(entry, encoding, options.keys_only));
  Json json = {{"items", std::move(items)}, {"position", text_of(page.at)}, {"read_time_ms", read_time_ms}};
  if (page.more && !page.entries.empty()) json["cursor"] = base64url(page.entries.back().key);
  return json_response(json);
}

}  // namespace

void add_entry_routes(std::vector<Route>& routes) {
  const char* pattern = "/v1/databases/{db}/entries/{key+}";
  const Parameter if_match = {"If-Match", text_schema(),
                              "* or the entry's version in quotes: only if it is that.", true};

  Route get = make_route("entries", "GET", pattern, "get_entry",
                         "The value of an entry; its version is the ETag.", Scope::read, get_entry);
  get.mode = Plan::Mode::quick;
  get.parameters = {
      {"If-None-Match", text_schema(), "A version in quotes: 304 if the entry is still that.", true}};
  get.answers = {{200, "The value. Holdfast-Expires-At-Ms says when it expires.", "application/octet-stream"},
                 {304, "The entry is of that version.", ""}};
  routes.push_back(get);

  Route put =
      make_route("entries", "PUT", pattern, "put_entry", "Stores a value, durably.", Scope::write, put_entry);
  put.mode = Plan::Mode::quick;
  put.body_limit_bytes = limits::kValueBytes;
  put.parameters = {
      {"expires_at_ms", integer_schema(INT64_MIN), "When the entry expires, in Unix milliseconds."},
      {"ttl_ms", integer_schema(1), "In how many milliseconds it expires."},
      if_match,
      {"If-None-Match", text_schema(), "*: only if there is no such entry.", true}};
  put.body = Body{"application/octet-stream", {}, "The value, up to 1 MiB; any content type will do."};
  put.answers = {{200, "It is stored; the ETag is its version.", "application/json",
                  object_schema({{"version", integer_schema(1)}}, {"version"})}};
  routes.push_back(put);

  Route erase = make_route("entries", "DELETE", pattern, "delete_entry",
                           "Removes an entry, whether or not it is there.", Scope::write, delete_entry);
  erase.mode = Plan::Mode::quick;
  erase.parameters = {if_match};
  erase.answers = {
      {200, "It is gone.", "application/json", object_schema({{"seq", integer_schema(1)}}, {"seq"})}};
  routes.push_back(erase);

  Route scan = make_route("entries", "GET", "/v1/databases/{db}/entries", "scan_entries",
                          "Entries in the order of their keys.", Scope::read, scan_entries);
  scan.parameters = range_parameters();
  scan.parameters.push_back({"limit", integer_schema(1), "1 to 10,000, 1,000 without it."});
  scan.parameters.push_back({"reverse", boolean_schema(), "Descending."});
  scan.parameters.push_back({"keys_only", boolean_schema(), "No values."});
  scan.parameters.push_back({"cursor", text_schema(), "Where the last page ended."});
  scan.parameters.push_back(encoding_parameter());
  scan.answers = {{200, "A page of one state of the database; without a cursor it is the last one.",
                   "application/json",
                   object_schema({{"items", array_schema(ref("Entry"))},
                                  {"position", ref("Position")},
                                  {"read_time_ms", integer_schema(INT64_MIN)},
                                  {"cursor", text_schema()}},
                                 {"items", "position", "read_time_ms"})}};
  routes.push_back(scan);
}

}  // namespace holdfast::server
