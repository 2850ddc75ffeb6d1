// Tasks: units of work that engines do; the server itself runs none.
#include "holdfast/tasks.h"
#include "server/openapi.h"
#include "server/queue_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

using std::chrono::milliseconds;

Route route(const char* method, const std::string& pattern, const char* name, const char* summary,
            Scope scope, std::function<Response(Call&)> handler) {
  return make_route("tasks", method, "/v1/databases/{db}" + pattern, name, summary, scope,
                    std::move(handler));
}

Tasks tasks_of(const Call& call) { return Tasks(call.database()); }

TaskState state_of(View word) {
  for (const TaskState state : {TaskState::waiting, TaskState::running, TaskState::dead}) {
    if (word == name(state)) return state;
  }
  refuse_request("a state is waiting, running or dead");
}

std::string text_of(const Task& task) {
  Json json = {{"id", task.id},           {"type", task.type},         {"state", name(task.state)},
               {"retries", task.retries}, {"attempts", task.attempts}, {"added_at_ms", task.added_at_ms}};
  const auto set_text = [&](const char* name, const Bytes& text) {
    if (!text.empty()) json[name] = text;
  };
  set_text("added_by", task.added_by);
  set_text("previous", task.previous);
  set_text("unique_key", task.unique_key);
  set_text("error", task.error);
  if (task.state != TaskState::dead) json["due_at_ms"] = task.due_at_ms;
  if (task.state == TaskState::running) {
    json["session"] = task.session;
    json["started_at_ms"] = task.started_at_ms;
  }
  if (task.state == TaskState::dead) json["died_at_ms"] = task.died_at_ms;
  return with_payload(json, task.body);
}

std::vector<std::string> texts_of(const std::vector<TaskAttempt>& attempts) {
  std::vector<std::string> texts;
  for (const TaskAttempt& attempt : attempts) {
    Json json = {{"task", attempt.task},
                 {"type", attempt.type},
                 {"number", attempt.number},
                 {"result", name(attempt.result)},
                 {"session", attempt.session},
                 {"started_at_ms", attempt.started_at_ms},
                 {"ended_at_ms", attempt.ended_at_ms}};
    if (!attempt.error.empty()) json["error"] = attempt.error;
    texts.push_back(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return texts;
}

// ---- Adding and looking

Response add(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body",
                      {"type", "value", "bytes_base64", "unique_key", "delay_ms", "previous"});
  NewTask task;
  if (fields.has("value") || fields.has("bytes_base64")) {
    task.body = payload_of_members(call.request->body, "the body");
  }
  task.unique_key = text_or_nothing(fields, "unique_key");
  task.delay = milliseconds_of(fields, "delay_ms").value_or(milliseconds(0));
  task.previous = text_or_nothing(fields, "previous");
  const std::optional<TaskId> id = tasks_of(call).add(fields.text("type"), task, {}, call.request->deadline);
  Json json = {{"is_new", id.has_value()}};
  if (id) json["id"] = *id;
  return json_response(json);
}

Response get(Call& call) {
  const std::optional<Task> task = tasks_of(call).get(call.path("id"));
  if (!task) throw Error(Code::not_found, "there is no such task; one that is done is in the history only");
  Response response;
  response.content_type = "application/json";
  response.body = text_of(*task) + "\n";
  return response;
}

Response list(Call& call) {
  const TaskState state = state_of(call.query("state").value_or("waiting"));
  std::optional<Bytes> type;
  if (const auto given = call.query("type")) type = Bytes(*given);
  const Listing<Task> listing = tasks_of(call).list(state, type, list_options_of(call, false));
  std::vector<std::string> items;
  for (const Task& task : listing.items) items.push_back(text_of(task));
  return listing_response(items, listing.cursor);
}

Response history_of_one(Call& call) {
  return listing_response(texts_of(tasks_of(call).history(call.path("id"))), {});
}

Response history(Call& call) {
  const Listing<TaskAttempt> listing = tasks_of(call).history(list_options_of(call, false));
  return listing_response(texts_of(listing.items), listing.cursor);
}

Response types(Call& call) {
  std::vector<std::string> items;
  for (const auto& [type, stats] : tasks_of(call).stats_by_type()) {
    items.push_back(
        Json({{"type", type}, {"waiting", stats.waiting}, {"running", stats.running}, {"dead", stats.dead}})
            .dump());
  }
  return listing_response(items, {});
}

Response stats(Call& call) {
  const TaskStats stats = tasks_of(call).stats();
  return json_response({{"waiting", stats.waiting}, {"running", stats.running}, {"dead", stats.dead}});
}

Response sessions(Call& call) {
  std::vector<std::string> items;
  for (const TaskSession& session : tasks_of(call).sessions()) {
    items.push_back(Json({{"id", session.id},
                          {"started_at_ms", session.started_at_ms},
                          {"lease_ends_at_ms", session.lease_ends_at_ms},
                          {"is_over", session.is_over}})
                        .dump());
  }
  return listing_response(items, {});
}

// ---- Looking after them

Response cancel(Call& call) { return json_response({{"cancelled", tasks_of(call).cancel(call.path("id"))}}); }

Response revive(Call& call) { return json_response({{"revived", tasks_of(call).revive(call.path("id"))}}); }

Response erase_dead(Call& call) {
  return json_response({{"erased", tasks_of(call).erase_dead(call.path("id"))}});
}

Response trim(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"max_attempts", "max_age_ms"});
  const TaskRetention retention{
      .max_attempts = fields.has("max_attempts") ? fields.number("max_attempts") : 0,
      .max_age = milliseconds_of(fields, "max_age_ms").value_or(milliseconds(0))};
  if (retention.max_attempts == 0 && retention.max_age.count() == 0) {
    refuse_request("the body has \"max_attempts\" or \"max_age_ms\", of 1 or more");
  }
  return json_response({{"removed", tasks_of(call).trim(retention)}});
}

// ---- The table

using Members = std::vector<std::pair<std::string, Json>>;

Members with_payload_members(Members members) {
  for (auto& member : payload_members()) members.push_back(std::move(member));
  return members;
}

Json task_schema() {
  return object_schema(with_payload_members({{"id", text_schema()},
                                             {"type", text_schema()},
                                             {"state", text_schema("waiting, running or dead")},
                                             {"retries", integer_schema()},
                                             {"attempts", integer_schema()},
                                             {"added_at_ms", integer_schema(INT64_MIN)},
                                             {"added_by", text_schema("The session whose task has added it")},
                                             {"previous", text_schema()},
                                             {"unique_key", text_schema()},
                                             {"error", text_schema("Of the last attempt that said one")},
                                             {"due_at_ms", integer_schema(INT64_MIN)},
                                             {"session", text_schema()},
                                             {"started_at_ms", integer_schema(INT64_MIN)},
                                             {"died_at_ms", integer_schema(INT64_MIN)}}),
                       {"id", "type", "state", "retries", "attempts", "added_at_ms"});
}

Answer attempts_answer(const char* description) {
  const Json attempt =
      object_schema({{"task", text_schema()},
                     {"type", text_schema()},
                     {"number", integer_schema(1)},
                     {"result", text_schema("done, failed, deferred, released or lost")},
                     {"session", text_schema()},
                     {"started_at_ms", integer_schema(INT64_MIN)},
                     {"ended_at_ms", integer_schema(INT64_MIN)},
                     {"error", text_schema()}},
                    {"task", "type", "number", "result", "session", "started_at_ms", "ended_at_ms"});
  return {200, description, "application/json", listing_schema(attempt)};
}

Members stats_members() {
  return {{"waiting", integer_schema()}, {"running", integer_schema()}, {"dead", integer_schema()}};
}

void add_adding_routes(std::vector<Route>& routes) {
  Route added = route("POST", "/tasks", "add_task", "Adds a task, which an engine with its type does.",
                      Scope::write, add);
  added.body_limit_bytes = kJsonBodyBytes;
  added.body = Body{"application/json",
                    object_schema(with_payload_members({{"type", text_schema()},
                                                        {"unique_key", text_schema()},
                                                        {"delay_ms", integer_schema()},
                                                        {"previous", text_schema("The task it follows")}}),
                                  {"type"}),
                    "Without a value the task's body is null; it has up to 64 KiB."};
  added.answers = {{200, "Its id; none where another task has the unique key and nothing was added.",
                    "application/json",
                    object_schema({{"id", text_schema()}, {"is_new", boolean_schema()}}, {"is_new"})}};
  routes.push_back(added);

  Route cancelled =
      route("DELETE", "/tasks/{id}", "cancel_task",
            "Removes a task that waits or runs. Whoever runs it is asked to stop.", Scope::write, cancel);
  cancelled.answers = {one_member_answer("Whether there was one.", "cancelled", boolean_schema())};
  routes.push_back(cancelled);
}

void add_looking_routes(std::vector<Route>& routes) {
  Route one =
      route("GET", "/tasks/{id}", "get_task", "A task that waits, runs or is dead.", Scope::read, get);
  one.answers = {{200, "The task.", "application/json", task_schema()}};
  routes.push_back(one);

  Route all = route("GET", "/tasks", "list_tasks",
                    "The tasks of a state: waiting ones in the order in which they are due, type by type, "
                    "running ones by type and id, dead ones by id.",
                    Scope::read, list);
  all.parameters = list_parameters(false);
  all.parameters.push_back({"state", text_schema(), "waiting, running or dead; waiting without it."});
  all.parameters.push_back({"type", text_schema(), "Only of this type."});
  all.answers = {{200, "A page.", "application/json", listing_schema(task_schema())}};
  routes.push_back(all);

  Route attempts =
      route("GET", "/tasks/{id}/history", "list_task_attempts",
            "The attempts of a task, first to last, also of one that is done.", Scope::read, history_of_one);
  attempts.answers = {attempts_answer("All that are kept.")};
  routes.push_back(attempts);

  Route ended = route("GET", "/task-history", "list_task_history",
                      "The attempts of all tasks in the order in which they ended.", Scope::read, history);
  ended.parameters = list_parameters(false);
  ended.answers = {attempts_answer("A page.")};
  routes.push_back(ended);

  Route count = route("GET", "/task-stats", "stat_tasks", "How many tasks there are in each state.",
                      Scope::read, stats);
  count.answers = {{200, "The numbers.", "application/json",
                    object_schema(stats_members(), {"waiting", "running", "dead"})}};
  routes.push_back(count);

  Route by_type = route("GET", "/task-types", "list_task_types",
                        "The types that have tasks, and how many in each state.", Scope::read, types);
  Members members = stats_members();
  members.emplace_back("type", text_schema());
  by_type.answers = {{200, "All of them.", "application/json",
                      listing_schema(object_schema(members, {"type", "waiting", "running", "dead"}))}};
  routes.push_back(by_type);

  Route engines = route("GET", "/task-sessions", "list_task_sessions",
                        "The engines that run, or have ended without a word and are not taken over yet.",
                        Scope::read, sessions);
  const Json session = object_schema({{"id", text_schema()},
                                      {"started_at_ms", integer_schema(INT64_MIN)},
                                      {"lease_ends_at_ms", integer_schema(INT64_MIN)},
                                      {"is_over", boolean_schema()}},
                                     {"id", "started_at_ms", "lease_ends_at_ms", "is_over"});
  engines.answers = {{200, "All of them.", "application/json", listing_schema(session)}};
  routes.push_back(engines);
}

void add_keeping_routes(std::vector<Route>& routes) {
  Route again = route("POST", "/dead-tasks/{id}/revive", "revive_task",
                      "Lets a dead task wait again, with no retries counted. 409: another task has its "
                      "unique key.",
                      Scope::write, revive);
  again.answers = {one_member_answer("Whether there was one.", "revived", boolean_schema())};
  routes.push_back(again);

  Route erased = route("DELETE", "/dead-tasks/{id}", "erase_dead_task",
                       "Removes a dead task. Its attempts stay.", Scope::write, erase_dead);
  erased.answers = {one_member_answer("Whether there was one.", "erased", boolean_schema())};
  routes.push_back(erased);

  Route trimmed = route("POST", "/task-history/trim", "trim_task_history",
                        "Removes records of attempts, the oldest first. Engines do so by themselves.",
                        Scope::write, trim);
  trimmed.body_limit_bytes = kJsonBodyBytes;
  trimmed.body = Body{
      "application/json",
      object_schema({{"max_attempts", integer_schema()}, {"max_age_ms", integer_schema()}}, {}),
      "So many stay, and none that ended longer ago; at least one of the two, 0 is as if it was not there."};
  trimmed.answers = {one_member_answer("How many.", "removed", integer_schema())};
  routes.push_back(trimmed);
}

}  // namespace

void add_task_routes(std::vector<Route>& routes) {
  add_adding_routes(routes);
  add_looking_routes(routes);
  add_keeping_routes(routes);
}

}  // namespace holdfast::server
