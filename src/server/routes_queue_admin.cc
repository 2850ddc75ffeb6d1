// Job queues for those who look after them: what is there, settings, dead letters.
#include <algorithm>

#include "server/openapi.h"
#include "server/queue_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

using std::chrono::milliseconds;

JobState state_of(View word) {
  for (const JobState state : {JobState::ready, JobState::delayed, JobState::waiting, JobState::blocked,
                               JobState::leased, JobState::completed, JobState::dead}) {
    if (word == name(state)) return state;
  }
  refuse_request("a state is ready, delayed, waiting, blocked, leased, completed or dead");
}

std::string text_of(const Job& job) {
  Json json = {{"id", job.id},
               {"state", name(job.state)},
               {"kind", job.kind},
               {"priority", job.priority},
               {"attempts", job.attempts},
               {"sent_at_ms", job.sent_at_ms}};
  if (job.run_at_ms) json["run_at_ms"] = *job.run_at_ms;
  if (!job.ordering_key.empty()) json["ordering_key"] = job.ordering_key;
  if (!job.unique_key.empty()) json["unique_key"] = job.unique_key;
  if (!job.tenant.empty()) json["tenant"] = job.tenant;
  if (!job.parent.empty()) json["parent"] = job.parent;
  if (!job.children.empty()) {
    json["children"] = job.children;
    json["child_failure"] = name(job.child_failure);
  }
  if (!job.waits_for.empty()) json["waits_for"] = job.waits_for;
  if (job.progress) json["progress"] = *job.progress;
  for (const JobError& error : job.errors) {
    json["errors"].push_back({{"attempt", error.attempt}, {"at_ms", error.at_ms}, {"text", error.text}});
  }
  for (const JobLogLine& line : job.log) json["log"].push_back({{"at_ms", line.at_ms}, {"text", line.text}});
  if (job.finished_at_ms != 0) json["finished_at_ms"] = job.finished_at_ms;
  if (!job.reason.empty()) json["reason"] = job.reason;
  std::string text = with_payload(json, job.body);
  if (!job.result) return text;
  text.pop_back();
  return text + ",\"result\":" + with_payload(Json::object(), *job.result) + "}";
}

Response list_of(const Listing<Job>& listing) {
  std::vector<std::string> items;
  for (const Job& job : listing.items) items.push_back(text_of(job));
  return listing_response(items, listing.cursor);
}

Response list_all_queues(Call& call) {
  const std::size_t limit = call.number("limit", 100, 1, limits::kListItems);
  std::vector<std::string> items;
  for (const Bytes& queue : list_queues(call.database(), call.query("after").value_or(""), limit)) {
    Json json = Json::object();
    set_bytes(json, "name", queue);
    items.push_back(json.dump());
  }
  return listing_response(items, {});
}

Response stats(Call& call) {
  const QueueStats stats = queue_of(call).stats();
  Json json = {{"ready", stats.ready},     {"delayed", stats.delayed},    {"waiting", stats.waiting},
               {"blocked", stats.blocked}, {"leased", stats.leased},      {"completed", stats.completed},
               {"dead", stats.dead},       {"is_paused", stats.is_paused}};
  if (stats.first_ready_sent_at_ms) json["first_ready_sent_at_ms"] = *stats.first_ready_sent_at_ms;
  return json_response(json);
}

Response list_jobs(Call& call) {
  const JobState state = state_of(call.query("state").value_or("ready"));
  return list_of(queue_of(call).list(state, list_options_of(call, false)));
}

Response get_job(Call& call) {
  const std::optional<Job> job = queue_of(call).get(call.path("id"));
  if (!job) throw Error(Code::not_found, "there is no such job");
  Response response;
  response.content_type = "application/json";
  response.body = text_of(*job) + "\n";
  return response;
}

Response cancel_job(Call& call) {
  return json_response({{"cancelled", queue_of(call).cancel(call.path("id"))}});
}

Response pause(Call& call) {
  queue_of(call).pause();
  return json_response({{"is_paused", true}});
}

Response resume(Call& call) {
  queue_of(call).resume();
  return json_response({{"is_paused", false}});
}

Response purge(Call& call) { return json_response({{"purged", queue_of(call).purge()}}); }

// ---- Settings

Response get_settings(Call& call) {
  const QueueSettings settings = queue_of(call).settings();
  return json_response({{"lease_ms", settings.lease.count()},
                        {"max_attempts", settings.max_attempts},
                        {"backoff_ms", settings.backoff.count()},
                        {"backoff_max_ms", settings.backoff_max.count()},
                        {"backoff_factor", settings.backoff_factor},
                        {"backoff_jitter", settings.backoff_jitter},
                        {"keep_completed_ms", settings.keep_completed.count()},
                        {"max_completed", settings.max_completed},
                        {"max_leased", settings.max_leased},
                        {"rate", settings.rate},
                        {"rate_interval_ms", settings.rate_interval.count()},
                        {"rate_burst", settings.rate_burst},
                        {"weights", settings.weights}});
}

void read_into(const Fields& fields, const char* field, milliseconds& value) {
  value = milliseconds_of(fields, field).value_or(value);
}

void read_into(const Fields& fields, const char* field, std::uint32_t& value) {
  if (!fields.has(field)) return;
  // Beyond what any of them may be.
  value = static_cast<std::uint32_t>(std::min<std::uint64_t>(fields.number(field), UINT32_MAX));
}

void read_into(const Fields& fields, const char* field, double& value) {
  if (!fields.has(field)) return;
  if (!fields.at(field).is_number()) refuse_request("\"" + std::string(field) + "\" is a number");
  value = fields.at(field).get<double>();
}

Response set_settings(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body",
                      {"lease_ms", "max_attempts", "backoff_ms", "backoff_max_ms", "backoff_factor",
                       "backoff_jitter", "keep_completed_ms", "max_completed", "max_leased", "rate",
                       "rate_interval_ms", "rate_burst", "weights"});
  QueueSettings settings;
  read_into(fields, "lease_ms", settings.lease);
  read_into(fields, "max_attempts", settings.max_attempts);
  read_into(fields, "backoff_ms", settings.backoff);
  read_into(fields, "backoff_max_ms", settings.backoff_max);
  read_into(fields, "backoff_factor", settings.backoff_factor);
  read_into(fields, "backoff_jitter", settings.backoff_jitter);
  read_into(fields, "keep_completed_ms", settings.keep_completed);
  read_into(fields, "max_completed", settings.max_completed);
  read_into(fields, "max_leased", settings.max_leased);
  read_into(fields, "rate", settings.rate);
  read_into(fields, "rate_interval_ms", settings.rate_interval);
  read_into(fields, "rate_burst", settings.rate_burst);
  if (fields.has("weights")) {
    const Json& weights = fields.at("weights");
    if (!weights.is_object()) refuse_request("\"weights\" is an object of tenants and their weights");
    for (const auto& [tenant, weight] : weights.items()) {
      if (!weight.is_number_unsigned()) refuse_request("a weight is a number");
      settings.weights[tenant] =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(weight.get<std::uint64_t>(), UINT32_MAX));
    }
  }
  queue_of(call).set_settings(settings);
  return json_response({{"set", true}});
}

// ---- Dead letters

Response list_dead(Call& call) {
  DeadFilter filter;
  if (const auto kind = call.query("kind")) filter.kind = Bytes(*kind);
  if (const auto reason = call.query("reason")) filter.reason = Bytes(*reason);
  filter.since_ms = call.signed_number("since_ms");
  filter.before_ms = call.signed_number("before_ms");
  return list_of(queue_of(call).dead(filter, list_options_of(call, false)));
}

DeadFilter filter_of(const Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"kind", "reason", "since_ms", "before_ms"});
  DeadFilter filter;
  if (fields.has("kind")) filter.kind = fields.text("kind");
  if (fields.has("reason")) filter.reason = fields.text("reason");
  filter.since_ms = fields.optional_signed_number("since_ms");
  filter.before_ms = fields.optional_signed_number("before_ms");
  return filter;
}

Response requeue(Call& call) {
  return json_response({{"requeued", queue_of(call).requeue(call.path("id"))}});
}
Response requeue_dead(Call& call) {
  return json_response({{"requeued", queue_of(call).requeue_dead(filter_of(call))}});
}
Response erase_dead(Call& call) {
  return json_response({{"erased", queue_of(call).erase_dead(call.path("id"))}});
}
Response purge_dead(Call& call) {
  return json_response({{"purged", queue_of(call).purge_dead(filter_of(call))}});
}

// ---- The table

Json job_schema() {
  auto members = common_job_members();
  for (auto& member : payload_members()) members.push_back(std::move(member));
  const Json lines = array_schema(
      object_schema({{"at_ms", integer_schema(INT64_MIN)}, {"text", text_schema()}}, {"at_ms", "text"}));
  const Json errors = array_schema(object_schema(
      {{"attempt", integer_schema()}, {"at_ms", integer_schema(INT64_MIN)}, {"text", text_schema()}},
      {"attempt", "at_ms", "text"}));
  for (auto& member : std::vector<std::pair<std::string, Json>>{
           {"state", text_schema()},
           {"attempts", integer_schema()},
           {"unique_key", text_schema()},
           {"progress", {{"minimum", 0}, {"maximum", 1}}},
           {"errors", errors},
           {"log", lines},
           {"finished_at_ms", integer_schema(INT64_MIN)},
           {"reason",
            text_schema("max_attempts, permanent, lease_expired, body_lost, child_failed or unreadable")},
           {"parent", text_schema("The id of the job that waits for it")},
           {"children", array_schema(text_schema("The id of a job that it waits or has waited for"))},
           {"child_failure", text_schema("wait, run or die")},
           {"waits_for", array_schema(text_schema("The id of a job that it still waits for"))},
           {"result", object_schema(payload_members(), {})}}) {
    members.push_back(std::move(member));
  }
  return object_schema(members, {"id", "state", "kind", "priority", "attempts", "sent_at_ms"});
}

Json settings_schema() {
  const Json number = {{"minimum", 0}};
  return object_schema({{"lease_ms", integer_schema(1)},
                        {"max_attempts", integer_schema(1)},
                        {"backoff_ms", integer_schema()},
                        {"backoff_max_ms", integer_schema()},
                        {"backoff_factor", number},
                        {"backoff_jitter", number},
                        {"keep_completed_ms", integer_schema()},
                        {"max_completed", integer_schema()},
                        {"max_leased", integer_schema()},
                        {"rate", integer_schema()},
                        {"rate_interval_ms", integer_schema(1)},
                        {"rate_burst", integer_schema()},
                        {"weights", {{"type", "object"}, {"additionalProperties", integer_schema(1)}}}},
                       {});
}

void add_looking_routes(std::vector<Route>& routes) {
  Route queues =
      queue_route("GET", "", "list_queues", "The queues that hold anything.", Scope::read, list_all_queues);
  queues.parameters = {{"limit", integer_schema(1), "1 to 1,000, 100 without it."},
                       {"after", text_schema(), "Only queues behind this name."}};
  queues.answers = {{200, "Their names.", "application/json",
                     listing_schema(object_schema(bytes_members("name", "The name"), {}))}};
  routes.push_back(queues);

  Route count = queue_route("GET", "/{queue}", "stat_queue", "How many jobs there are in each state.",
                            Scope::read, stats);
  const Json number = integer_schema();
  count.answers = {{200, "The numbers.", "application/json",
                    object_schema({{"ready", number},
                                   {"delayed", number},
                                   {"waiting", number},
                                   {"blocked", number},
                                   {"leased", number},
                                   {"completed", number},
                                   {"dead", number},
                                   {"is_paused", boolean_schema()},
                                   {"first_ready_sent_at_ms", integer_schema(INT64_MIN)}},
                                  {"ready", "delayed", "waiting", "blocked", "leased", "completed", "dead",
                                   "is_paused"})}};
  routes.push_back(count);

  Route list =
      queue_route("GET", "/{queue}/jobs", "list_jobs",
                  "The jobs of a state, in the order in which they are delivered, are due or were sent. "
                  "Takes none.",
                  Scope::read, list_jobs);
  list.parameters = list_parameters(false);
  list.parameters.push_back(
      {"state", text_schema(),
       "ready, delayed, waiting, blocked, leased, completed or dead; ready without it."});
  list.answers = {{200, "A page.", "application/json", listing_schema(job_schema())}};
  routes.push_back(list);

  Route get =
      queue_route("GET", "/{queue}/jobs/{id}", "get_job", "A job, wherever it is.", Scope::read, get_job);
  get.answers = {{200, "The job.", "application/json", job_schema()}};
  routes.push_back(get);

  Route cancel = queue_route("DELETE", "/{queue}/jobs/{id}", "cancel_job",
                             "Removes a job that is not completed or dead. Its worker loses the lease.",
                             Scope::write, cancel_job);
  cancel.answers = {one_member_answer("Whether there was one.", "cancelled", boolean_schema())};
  routes.push_back(cancel);
}

void add_keeping_routes(std::vector<Route>& routes) {
  const Answer paused = one_member_answer("Whether it is paused now.", "is_paused", boolean_schema());
  Route stop = queue_route("POST", "/{queue}/pause", "pause_queue",
                           "No job is delivered until it is resumed.", Scope::write, pause);
  stop.answers = {paused};
  routes.push_back(stop);
  Route go = queue_route("POST", "/{queue}/resume", "resume_queue", "Jobs are delivered again.", Scope::write,
                         resume);
  go.answers = {paused};
  routes.push_back(go);

  Route clear =
      queue_route("POST", "/{queue}/purge", "purge_queue",
                  "Removes all jobs that are ready, delayed, waiting or blocked.", Scope::write, purge);
  clear.answers = {one_member_answer("How many.", "purged", integer_schema())};
  routes.push_back(clear);

  Route get = queue_route("GET", "/{queue}/settings", "get_queue_settings", "What all processes go by.",
                          Scope::read, get_settings);
  get.answers = {{200, "The settings.", "application/json", settings_schema()}};
  routes.push_back(get);

  Route set = queue_route("PUT", "/{queue}/settings", "set_queue_settings",
                          "Says what all processes go by, from now on.", Scope::write, set_settings);
  set.body_limit_bytes = kJsonBodyBytes;
  set.body =
      Body{"application/json", settings_schema(), "What is not there is as in a queue that nobody has set."};
  set.answers = {one_member_answer("It is.", "set", boolean_schema())};
  routes.push_back(set);
}

void add_dead_letter_routes(std::vector<Route>& routes) {
  Route list =
      queue_route("GET", "/{queue}/dead", "list_dead_jobs", "Dead letters by id.", Scope::read, list_dead);
  list.parameters = list_parameters(false);
  list.parameters.push_back({"kind", text_schema(), "Only of this kind."});
  list.parameters.push_back({"reason", text_schema(), "Only with this reason."});
  list.parameters.push_back({"since_ms", integer_schema(INT64_MIN), "Only what died then or later."});
  list.parameters.push_back({"before_ms", integer_schema(INT64_MIN), "Only what died before."});
  list.answers = {{200, "A page.", "application/json", listing_schema(job_schema())}};
  routes.push_back(list);

  Route one = queue_route(
      "POST", "/{queue}/dead/{id}/requeue", "requeue_dead_job",
      "Makes a dead letter a job again, with all its attempts. 409: another job has its unique key.",
      Scope::write, requeue);
  one.answers = {one_member_answer("Whether there was one.", "requeued", boolean_schema())};
  routes.push_back(one);

  Route erase = queue_route("DELETE", "/{queue}/dead/{id}", "erase_dead_job", "Removes a dead letter.",
                            Scope::write, erase_dead);
  erase.answers = {one_member_answer("Whether there was one.", "erased", boolean_schema())};
  routes.push_back(erase);

  const Body filter{"application/json",
                    object_schema({{"kind", text_schema()},
                                   {"reason", text_schema()},
                                   {"since_ms", integer_schema(INT64_MIN)},
                                   {"before_ms", integer_schema(INT64_MIN)}},
                                  {}),
                    "Which; all that is given must hold, and {} is all of them."};
  Route many =
      queue_route("POST", "/{queue}/requeue-dead", "requeue_dead_jobs",
                  "Makes dead letters jobs again, but those whose unique key another job has, or whose body "
                  "is lost, or that cannot be read.",
                  Scope::write, requeue_dead);
  many.body_limit_bytes = kJsonBodyBytes;
  many.body = filter;
  many.answers = {one_member_answer("How many.", "requeued", integer_schema())};
  routes.push_back(many);

  Route all = queue_route("POST", "/{queue}/purge-dead", "purge_dead_jobs", "Removes dead letters.",
                          Scope::write, purge_dead);
  all.body_limit_bytes = kJsonBodyBytes;
  all.body = filter;
  all.answers = {one_member_answer("How many.", "purged", integer_schema())};
  routes.push_back(all);
}

}  // namespace

void add_queue_admin_routes(std::vector<Route>& routes) {
  add_looking_routes(routes);
  add_keeping_routes(routes);
  add_dead_letter_routes(routes);
}

}  // namespace holdfast::server
