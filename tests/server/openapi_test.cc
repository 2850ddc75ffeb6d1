// /openapi.json against the table of routes and against what the routes answer.
#include "server/openapi.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "server/routes.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

using nlohmann::json;

std::string documented_path(std::string pattern) {
  const std::size_t plus = pattern.find("+}");
  return plus == std::string::npos ? pattern : pattern.erase(plus, 1);
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// A path that matches the pattern.
std::string example_path(const std::string& pattern) {
  std::string path;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '{') {
      path += "example";
      i = pattern.find('}', i);
    } else {
      path += pattern[i];
    }
  }
  return path;
}

void collect_refs(const json& node, std::set<std::string>& refs) {
  if (node.is_object() && node.contains("$ref")) refs.insert(node["$ref"]);
  if (node.is_structured()) {
    for (const json& child : node) collect_refs(child, refs);
  }
}

/// What is wrong with `value` by `schema`: as much of JSON Schema as the document uses.
std::string problem_of(const json& value, const json& schema, const json& document,
                       const std::string& where) {
  if (schema.contains("$ref")) {
    const std::string pointer = schema["$ref"].get<std::string>().substr(1);
    return problem_of(value, document.at(json::json_pointer(pointer)), document, where);
  }
  if (schema.contains("oneOf")) {
    for (const json& one : schema["oneOf"]) {
      if (problem_of(value, one, document, where).empty()) return "";
    }
    return where + " is none of oneOf";
  }
  const std::string type = schema.value("type", "");
  const bool fits = type.empty() || (type == "string" && value.is_string()) ||
                    (type == "integer" && value.is_number_integer()) ||
                    (type == "boolean" && value.is_boolean()) || (type == "array" && value.is_array()) ||
                    (type == "object" && value.is_object()) || (type == "null" && value.is_null());
  if (!fits) return where + " is no " + type;
  if (value.is_object() && schema.contains("properties")) {
    for (const auto& [name, member] : value.items()) {
      if (!schema["properties"].contains(name))
        return where + " has \"" + name + "\", which is not described";
      std::string problem = problem_of(member, schema["properties"][name], document, where + "." + name);
      if (!problem.empty()) return problem;
    }
    for (const json& name : schema.value("required", json::array())) {
      if (!value.contains(name)) return where + " has no \"" + name.get<std::string>() + "\"";
    }
  }
  if (value.is_array() && schema.contains("items")) {
    for (const json& item : value) {
      std::string problem = problem_of(item, schema["items"], document, where + "[]");
      if (!problem.empty()) return problem;
    }
  }
  return "";
}

class OpenApi : public testing::Test {
 protected:
  /// Sends the request and holds the answer against the document.
  HttpAnswer check(const server::Route& route, const std::string& target, const std::string& body,
                   const HeaderList& headers = {}) {
    HttpConnection connection(server_.port());
    connection.send(request_text(route.method, target, body, headers));
    HttpAnswer answer;
    if (route.is_event_stream) {
      answer.status = std::stoi(connection.receive_until("\r\n\r\n").substr(9, 3));
      return answer;
    }
    answer = connection.receive();
    const json& operation = document_["paths"][documented_path(route.pattern)][lower(route.method)];
    const std::string status = std::to_string(answer.status);
    const json& responses = operation["responses"];
    EXPECT_TRUE(responses.contains(status) || answer.status >= 400) << route.name << " answers " << status;
    const json& response = responses.contains(status) ? responses[status] : responses["default"];
    if (!response.contains("content")) {
      EXPECT_EQ(answer.body, "") << route.name;
      return answer;
    }
    const std::string type =
        answer.headers.count("content-type") != 0 ? answer.headers.at("content-type") : "";
    const std::string media_type = type.substr(0, type.find(';'));
    EXPECT_TRUE(response["content"].contains(media_type) || response["content"].contains("*/*"))
        << route.name << " answers " << media_type;
    if (media_type == "application/json" && response["content"].contains(media_type)) {
      EXPECT_EQ(problem_of(answer.json(), response["content"][media_type].value("schema", json::object()),
                           document_, route.name),
                "");
    }
    return answer;
  }

  TestServer server_;
  const std::vector<server::Route> routes_ = server::all_routes();
  const json document_ = server_.get("/openapi.json").json();
};

TEST_F(OpenApi, HasEveryRouteAndNothingElse) {
  EXPECT_EQ(document_["openapi"], "3.1.0");
  std::set<std::string> documented;
  for (const auto& [path, operations] : document_["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) documented.insert(method + " " + path);
  }
  std::set<std::string> known;
  std::set<std::string> names;
  for (const server::Route& route : routes_) {
    known.insert(lower(route.method) + " " + documented_path(route.pattern));
    EXPECT_TRUE(names.insert(route.name).second) << route.name << " is there twice";
  }
  EXPECT_EQ(documented, known);
  EXPECT_GE(known.size(), 18u);
}

TEST_F(OpenApi, DescribesEveryRouteCompletely) {
  for (const server::Route& route : routes_) {
    const json& operation = document_["paths"][documented_path(route.pattern)][lower(route.method)];
    EXPECT_FALSE(operation["summary"].get<std::string>().empty()) << route.name;
    EXPECT_EQ(operation["operationId"], route.name);
    EXPECT_GE(operation["responses"].size(), 2u) << route.name;
    EXPECT_EQ(operation["security"].empty(), route.scope == server::Scope::open) << route.name;
    EXPECT_EQ(operation.contains("requestBody"),
              route.body_limit_bytes > 0 || route.mode == server::Plan::Mode::upload)
        << route.name;
    std::set<std::string> path_parameters;
    for (const json& parameter : operation.value("parameters", json::array())) {
      EXPECT_FALSE(parameter["description"].get<std::string>().empty()) << route.name;
      EXPECT_TRUE(parameter.contains("schema")) << route.name;
      if (parameter["in"] == "path") path_parameters.insert("{" + parameter["name"].get<std::string>() + "}");
    }
    std::set<std::string> in_path;
    const std::string path = documented_path(route.pattern);
    for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{', at + 1)) {
      in_path.insert(path.substr(at, path.find('}', at) - at + 1));
    }
    EXPECT_EQ(path_parameters, in_path) << route.name;
    EXPECT_EQ(route.pattern.find("{db}") != std::string::npos,
              route.scope == server::Scope::read || route.scope == server::Scope::write)
        << route.name << ": who names a database needs a scope for it";
  }
}

TEST_F(OpenApi, HasNoReferenceThatLeadsNowhere) {
  std::set<std::string> refs;
  collect_refs(document_, refs);
  EXPECT_FALSE(refs.empty());
  for (const std::string& ref : refs) {
    EXPECT_TRUE(document_.contains(json::json_pointer(ref.substr(1)))) << ref;
  }
}

TEST_F(OpenApi, TellsWhatEveryRouteAnswersToAPlainRequest) {
  server_.store().database("example").put("example", "value");
  for (const server::Route& route : routes_) {
    if (route.method == "DELETE") continue;
    const HttpAnswer answer = check(route, example_path(route.pattern), route.body ? "{}" : "");
    EXPECT_LT(answer.status, 500) << route.name;
  }
  for (const server::Route& route : routes_) {
    if (route.method == "DELETE") check(route, example_path(route.pattern), "");
  }
}

/// A right request of each route, in an order in which each finds what it asks for. EVENT stands for the id
/// of the event that append_event made, JOBn and TOKENn for the lease of a job that receive_jobs took. Event
/// streams answer without end: their own tests read them.
struct RightRequest {
  std::string route;
  std::string target;
  std::string body = {};
};

std::vector<RightRequest> right_requests() {
  const std::string db = "/v1/databases/db";
  const std::string stream = db + "/events/visits";
  const std::string consumer = stream + "/consumers/mailer";
  const std::string table = db + "/tables/users";
  const std::string queue = db + "/queues/mail";
  return {
      {"get_home", "/"},
      {"get_health", "/healthz"},
      {"get_readiness", "/readyz"},
      {"get_metrics", "/metrics"},
      {"get_openapi", "/openapi.json"},
      {"put_entry", db + "/entries/a", "value"},
      {"get_entry", db + "/entries/a"},
      {"scan_entries", db + "/entries?prefix=a&limit=1&reverse=true"},
      {"get_entries", db + "/get", R"({"keys": ["a", "none"]})"},
      {"commit_batch", db + "/commit",
       R"({"checks": [{"type": "absent", "key": "b"}], "writes": [{"type": "put", "key": "b", "value": "1"}]})"},
      {"watch_entries", db + "/watch"},
      {"list_databases", "/v1/databases?prefix=d"},
      {"stat_database", db},
      {"digest_database", db + "/digest"},
      {"list_changes", db + "/changes"},
      {"delete_entry", db + "/entries/a"},
      {"set_kv", db + "/kv/n?ttl_ms=3600000", "1"},
      {"change_kv", db + "/kv/n", R"({"increment": 2})"},
      {"get_kv", db + "/kv/n"},
      {"set_many_kv", db + "/kv", R"({"entries": [{"key": "m", "value": [1, {"x": null}]}]})"},
      {"get_many_kv", db + "/kv-get", R"({"keys": ["n", "none"]})"},
      {"list_kv", db + "/kv?prefix=m"},
      {"erase_kv", db + "/kv/n"},
      {"put_record", db + "/records/ada", R"({"age": 36})"},
      {"get_record", db + "/records/ada"},
      {"put_records", db + "/records", R"({"records": [{"key": "ben", "value": {"age": 7}}]})"},
      {"get_many_records", db + "/records-get", R"({"keys": ["ada", "none"]})"},
      {"list_records", db + "/records?path=%2Fage&equals=36"},
      {"declare_record_index", db + "/record-indexes/by_age", R"({"path": "/age"})"},
      {"list_record_indexes", db + "/record-indexes"},
      {"get_record_index", db + "/record-indexes/by_age"},
      {"find_records", db + "/record-indexes/by_age/records?at_least=18&limit=50"},
      {"drop_record_index", db + "/record-indexes/by_age"},
      {"erase_record", db + "/records/ada"},
      {"append_event", stream, R"({"page": 1})"},
      {"append_events", stream + "/batch", R"({"events": [{"value": 2}, {"bytes_base64": "/w=="}]})"},
      {"list_event_streams", db + "/events"},
      {"list_events", stream + "?limit=2"},
      {"subscribe_events", stream + "/subscribe"},
      {"set_event_consumer", consumer, R"({"offset": "EVENT", "holds": true})"},
      {"get_event_consumer", consumer + "?lag=true"},
      {"list_event_consumers", stream + "/consumers"},
      {"read_events", consumer + "/events"},
      {"set_event_retention", stream + "/retention", R"({"max_count": 1})"},
      {"get_event_retention", stream + "/retention"},
      {"prune_events", stream + "/prune"},
      {"erase_event_consumer", consumer},
      {"erase_event_stream", stream},
      {"put_blob", db + "/blobs/photo", "bytes"},
      {"get_blob", db + "/blobs/photo"},
      {"stat_blob", db + "/blob-info/photo"},
      {"list_blobs", db + "/blobs"},
      {"verify_blob", db + "/blob-verify/photo"},
      {"copy_blob", db + "/blob-copy/photo", R"({"to": "copy"})"},
      {"rename_blob", db + "/blob-rename/copy", R"({"to_base64": "/w=="})"},
      {"erase_blob", db + "/blobs/photo"},
      {"create_table", table},
      {"list_tables", db + "/tables"},
      {"write_table_record", table + "/records/anna", R"({"name": "Anna"})"},
      {"get_table_record", table + "/records/anna"},
      {"write_many_table_records", table + "/records", R"({"records": [{"key": "ben", "value": [3]}]})"},
      {"get_many_table_records", table + "/get", R"({"keys": ["ben", "none"]})"},
      {"list_table_records", table + "/records"},
      {"stat_table", table},
      {"erase_table_record", table + "/records/anna"},
      {"clean_up_table", table + "/cleanup"},
      {"clean_up_tables", db + "/tables-cleanup"},
      {"erase_table", table},
      {"set_dictionary", db + "/dictionaries/short", R"({"deflate": {"name": "n"}})"},
      {"list_dictionaries", db + "/dictionaries"},
      {"get_dictionary", db + "/dictionaries/short"},
      {"remove_dictionary", db + "/dictionaries/short"},
      {"send_job", queue + "/jobs", R"({"value": 1, "kind": "k", "delay_ms": 0})"},
      {"send_jobs", queue + "/jobs/batch",
       R"({"jobs": [{"value": 2, "tenant": "", "parent": 2}, )"
       R"({"bytes_base64": "/w==", "priority": 9, "ordering_key": "a"}, )"
       R"({"value": 3, "child_failure": "run"}]})"},
      {"list_queues", db + "/queues?limit=10"},
      {"list_jobs", queue + "/jobs?state=blocked&limit=2"},
      {"receive_jobs", queue + "/receive", R"({"limit": 5, "lease_ms": 60000, "wait_ms": 1})"},
      {"extend_job", queue + "/extend",
       R"({"id": "JOB0", "token": "TOKEN0", "lease_ms": 60000, "progress": 0.5, "log": ["half"]})"},
      {"get_job", queue + "/jobs/JOB0"},
      {"set_queue_settings", queue + "/settings",
       R"({"keep_completed_ms": 60000, "backoff_jitter": 0.5, "weights": {"a": 2}})"},
      {"get_queue_settings", queue + "/settings"},
      {"complete_job", queue + "/complete", R"({"id": "JOB0", "token": "TOKEN0", "value": {"a": 1}})"},
      {"complete_jobs", queue + "/complete-many", R"({"leases": [{"id": "JOB0", "token": "TOKEN0"}]})"},
      {"release_job", queue + "/release", R"({"id": "JOB1", "token": "TOKEN1", "delay_ms": 5})"},
      {"fail_job", queue + "/fail",
       R"({"id": "JOB2", "token": "TOKEN2", "error": "no", "is_permanent": true})"},
      {"list_dead_jobs", queue + "/dead?reason=permanent"},
      {"stat_queue", queue},
      {"requeue_dead_job", queue + "/dead/JOB2/requeue"},
      {"erase_dead_job", queue + "/dead/JOB2"},
      {"requeue_dead_jobs", queue + "/requeue-dead", R"({"kind": "k"})"},
      {"purge_dead_jobs", queue + "/purge-dead", "{}"},
      {"cancel_job", queue + "/jobs/JOB1"},
      {"pause_queue", queue + "/pause"},
      {"resume_queue", queue + "/resume"},
      {"purge_queue", queue + "/purge"},
      {"set_schedule", db + "/schedules/report",
       R"({"queue": "mail", "value": {"a": 1}, "cron": "30 9 * * MON", "time_zone": "Europe/Berlin", "kind": "k"})"},
      {"get_schedule", db + "/schedules/report"},
      {"list_schedules", db + "/schedules?prefix=r&limit=5"},
      {"list_schedule_ticks", db + "/schedules/report/ticks?count=2&after_ms=0"},
      {"preview_schedule", db + "/schedule-preview", R"({"every_ms": 60000, "count": 3})"},
      {"pause_schedule", db + "/schedules/report/pause"},
      {"resume_schedule", db + "/schedules/report/resume"},
      {"erase_schedule", db + "/schedules/report"},
      {"add_task", db + "/tasks",
       R"({"type": "prove", "value": {"set": 7}, "unique_key": "7", "delay_ms": 5})"},
      {"get_task", db + "/tasks/TASK"},
      {"list_tasks", db + "/tasks?state=waiting&type=prove&limit=5"},
      {"list_task_attempts", db + "/tasks/TASK/history"},
      {"list_task_history", db + "/task-history?limit=5&reverse=true"},
      {"stat_tasks", db + "/task-stats"},
      {"list_task_types", db + "/task-types"},
      {"list_task_sessions", db + "/task-sessions"},
      {"revive_task", db + "/dead-tasks/TASK/revive"},
      {"erase_dead_task", db + "/dead-tasks/TASK"},
      {"cancel_task", db + "/tasks/TASK"},
      {"trim_task_history", db + "/task-history/trim", R"({"max_attempts": 10, "max_age_ms": 60000})"},
      {"follow_lifecycle", db + "/lifecycle?types=record:*"},
      {"drop_database", db},
  };
}

TEST_F(OpenApi, AnswersTheRightRequestOfEveryRouteAsItIsDescribed) {
  std::map<std::string, const server::Route*> left;
  for (const server::Route& route : routes_) left.emplace(route.name, &route);
  std::map<std::string, std::string> known;
  for (RightRequest& request : right_requests()) {
    const auto found = left.extract(request.route);
    ASSERT_FALSE(found.empty()) << request.route << " is no route, or there twice";
    for (const auto& [name, text] : known) {
      for (std::string* part : {&request.target, &request.body}) {
        const std::size_t at = part->find(name);
        if (at != std::string::npos) part->replace(at, name.size(), text);
      }
    }
    const server::Route& route = *found.mapped();
    HeaderList headers;
    if (json::accept(request.body)) headers.emplace_back("Content-Type", "application/json");
    HttpAnswer answer = check(route, request.target, request.body, headers);
    // An index is built after the answer that declares it.
    for (int i = 0; i < 2'000 && route.name == "find_records" && answer.status == 503; ++i) {
      answer = check(route, request.target, request.body, headers);
    }
    EXPECT_EQ(answer.status / 100, 2) << route.name << " answers " << answer.status << " " << answer.body;
    if (route.name == "append_event") known["EVENT"] = answer.json()["id"];
    if (route.name == "add_task") known["TASK"] = answer.json()["id"];
    if (route.name == "extend_job") known["TOKEN0"] = answer.json()["token"];
    if (route.name != "receive_jobs") continue;
    const json jobs = answer.json()["items"];
    ASSERT_EQ(jobs.size(), 3u);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      known["JOB" + std::to_string(i)] = jobs[i]["id"];
      known["TOKEN" + std::to_string(i)] = jobs[i]["token"];
    }
  }
  for (const auto& [name, route] : left) ADD_FAILURE() << name << " has no right request";
}

TEST_F(OpenApi, TellsWhatEveryRouteAnswersToNonsense) {
  for (const server::Route& route : routes_) {
    if (route.is_event_stream) continue;
    const std::string target = example_path(route.pattern);
    EXPECT_EQ(check(route, target + "?no_such_parameter=1", route.body ? "{}" : "").status, 400)
        << route.name;
    if (!route.body || route.body->content_type != "application/json") continue;
    for (const std::string body : {"null", "[]", "7", "\"text\"", "{\"no_such_member\":1}", "{", "\xff"}) {
      EXPECT_EQ(check(route, target, body).status, 400) << route.name << " " << body;
    }
  }
}

TEST_F(OpenApi, DeclaresEveryParameterThatARouteTakes) {
  for (const server::Route& route : routes_) {
    if (route.is_event_stream || route.method == "DELETE") continue;
    for (const server::Parameter& parameter : route.parameters) {
      if (parameter.is_header) continue;
      const std::string target = example_path(route.pattern) + "?" + parameter.name + "=";
      for (const std::string value : {"1", "-1", "x", "%ff", "99999999999999999999", "true", ""}) {
        EXPECT_LT(check(route, target + value, route.body ? "{}" : "").status, 500)
            << route.name << " " << parameter.name << "=" << value;
      }
    }
  }
}

}  // namespace
}  // namespace holdfast::testing_support
