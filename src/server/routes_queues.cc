// Job queues for those who send and those who work: with these a worker in any language needs only HTTP.
#include <algorithm>

#include "server/openapi.h"
#include "server/queue_json.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {

using std::chrono::milliseconds;

Queue queue_of(const Call& call) {
  return call.state.queues.get(call.database(), call.path("queue"), call.state.environment.clock);
}

Route queue_route(const char* method, const std::string& pattern, const char* name, const char* summary,
                  Scope scope, std::function<Response(Call&)> handler) {
  return make_route("queues", method, "/v1/databases/{db}/queues" + pattern, name, summary, scope,
                    std::move(handler));
}

std::optional<milliseconds> milliseconds_of(const Fields& fields, const char* field) {
  // A hundred years is what a service allows at most, and more could overflow.
  constexpr std::int64_t kMost = 100ll * 366 * 24 * 3'600 * 1'000;
  const auto number = fields.optional_signed_number(field);
  if (!number) return std::nullopt;
  if (*number < -kMost || *number > kMost) {
    refuse_request("\"" + std::string(field) + "\" of " + fields.where() + " is no number of milliseconds");
  }
  return milliseconds(*number);
}

Answer one_member_answer(const char* description, const char* member, Json schema) {
  return {200, description, "application/json", object_schema({{member, std::move(schema)}}, {member})};
}

std::vector<std::pair<std::string, Json>> common_job_members() {
  return {{"id", text_schema()},
          {"kind", text_schema()},
          {"priority", integer_schema()},
          {"sent_at_ms", integer_schema(INT64_MIN)},
          {"run_at_ms", integer_schema(INT64_MIN)},
          {"ordering_key", text_schema()},
          {"tenant", text_schema()}};
}

std::string text_or_nothing(const Fields& fields, const char* field) {
  return fields.has(field) ? fields.text(field) : std::string();
}

SendOptions send_options_of(const Fields& fields) {
  SendOptions options;
  options.kind = text_or_nothing(fields, "kind");
  if (fields.has("priority")) {
    options.priority = static_cast<int>(std::min<std::uint64_t>(fields.number("priority"), 1'000));
  }
  options.ordering_key = text_or_nothing(fields, "ordering_key");
  options.unique_key = text_or_nothing(fields, "unique_key");
  options.unique_for = milliseconds_of(fields, "unique_for_ms");
  options.unique_after_completion = milliseconds_of(fields, "unique_after_completion_ms");
  options.unique_after_death = milliseconds_of(fields, "unique_after_death_ms");
  options.tenant = text_or_nothing(fields, "tenant");
  return options;
}

std::vector<std::pair<std::string, Json>> send_option_members() {
  return {{"kind", text_schema()},
          {"priority", integer_schema()},
          {"ordering_key", text_schema()},
          {"unique_key", text_schema()},
          {"unique_for_ms", integer_schema(1)},
          {"unique_after_completion_ms", integer_schema()},
          {"unique_after_death_ms", integer_schema()},
          {"tenant", text_schema()}};
}

namespace {

/// Longer than a proxy on the way is likely to wait.
constexpr std::int64_t kLongestWaitMs = 60'000;

const std::initializer_list<const char*> kJobFields = {"value",
                                                       "bytes_base64",
                                                       "kind",
                                                       "delay_ms",
                                                       "run_at_ms",
                                                       "priority",
                                                       "ordering_key",
                                                       "unique_key",
                                                       "unique_for_ms",
                                                       "unique_after_completion_ms",
                                                       "unique_after_death_ms",
                                                       "tenant",
                                                       "parent",
                                                       "child_failure"};

SendOptions timed_send_options_of(const Fields& fields) {
  SendOptions options = send_options_of(fields);
  options.delay = milliseconds_of(fields, "delay_ms");
  options.run_at_ms = fields.optional_signed_number("run_at_ms");
  return options;
}

ChildFailure child_failure_of(const Fields& fields) {
  if (!fields.has("child_failure")) return ChildFailure::wait;
  const std::string word = fields.text("child_failure");
  for (const ChildFailure failure : {ChildFailure::wait, ChildFailure::run, ChildFailure::die}) {
    if (word == name(failure)) return failure;
  }
  refuse_request("\"child_failure\" is wait, run or die");
}

NewJob new_job_of(const Fields& fields, Payload payload) {
  NewJob job{std::move(payload), timed_send_options_of(fields)};
  if (fields.has("parent")) job.parent = fields.number("parent");
  job.child_failure = child_failure_of(fields);
  return job;
}

Json json_of(const Sent& sent) { return {{"id", sent.id}, {"is_new", sent.is_new}}; }

JobLease lease_of(const Fields& fields) { return {fields.text("id"), fields.text("token")}; }

// ---- Senders

Response send_job(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", kJobFields);
  const NewJob job = new_job_of(fields, payload_of_members(call.request->body, "the body"));
  return json_response(json_of(queue_of(call).send_many(std::span(&job, 1)).front()));
}

Response send_jobs(Call& call) {
  std::vector<NewJob> jobs;
  read_payloads_of_body(
      call, "jobs", limits::kQueueBatch, kJobFields,
      [&](const Fields& fields, Payload payload) { jobs.push_back(new_job_of(fields, std::move(payload))); });
  Json sent = Json::array();
  for (const Sent& each : queue_of(call).send_many(jobs)) sent.push_back(json_of(each));
  return json_response({{"jobs", std::move(sent)}});
}

// ---- Workers

std::string text_of(const Delivery& job) {
  Json json = {{"id", job.id},
               {"token", job.token},
               {"kind", job.kind},
               {"attempt", job.attempt},
               {"lease_ends_at_ms", job.lease_ends_at_ms},
               {"sent_at_ms", job.sent_at_ms},
               {"priority", job.priority}};
  if (job.run_at_ms) json["run_at_ms"] = *job.run_at_ms;
  if (!job.ordering_key.empty()) json["ordering_key"] = job.ordering_key;
  if (!job.tenant.empty()) json["tenant"] = job.tenant;
  if (!job.children.empty()) json["children"] = job.children;
  return with_payload(json, job.body);
}

/// Of jobs that `queue` has leased: those are given back if the client has gone.
Response deliveries(const Queue& queue, std::span<const Delivery> jobs) {
  std::vector<std::string> items;
  for (const Delivery& job : jobs) items.push_back(text_of(job));
  Response response = listing_response(items, {});
  if (jobs.empty()) return response;
  const std::vector<JobLease> leases(jobs.begin(), jobs.end());
  response.if_gone = [own = queue, leases]() mutable {
    for (const JobLease& lease : leases) {
      try {
        own.release(lease);
      } catch (const std::exception&) {
        // It ends by itself.
      }
    }
    return deliveries(own, {});
  };
  return response;
}

/// Waits until there are jobs, at most until `deadline`.
std::vector<Delivery> wait_for_jobs(Queue& queue, std::size_t limit, std::optional<milliseconds> lease,
                                    Deadline deadline, const std::stop_token& stop) {
  while (queue.wait(deadline, stop)) {
    std::vector<Delivery> jobs = queue.receive(limit, lease);
    if (!jobs.empty()) return jobs;
  }
  return {};
}

Response receive(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"limit", "lease_ms", "wait_ms"});
  const std::size_t limit = fields.has("limit") ? fields.number("limit") : 1;
  const std::optional<milliseconds> lease = milliseconds_of(fields, "lease_ms");
  const std::int64_t wait_ms = fields.optional_signed_number("wait_ms").value_or(0);
  if (wait_ms < 0 || wait_ms > kLongestWaitMs) {
    refuse_request("\"wait_ms\" is 0 to " + std::to_string(kLongestWaitMs));
  }
  Queue queue = queue_of(call);
  std::vector<Delivery> jobs = queue.receive(limit, lease);
  if (!jobs.empty() || wait_ms == 0) return deliveries(queue, jobs);

  const Deadline deadline = call.state.environment.clock->steady_now() + milliseconds(wait_ms);
  Response response;
  response.later = [&call, queue, limit, lease, deadline](const Respond& respond) {
    const auto wait = [&call, queue, limit, lease, deadline, respond](const std::stop_token& stop) mutable {
      auto made = std::make_shared<Response>(response_of(call.request->id, [&] {
        return deliveries(queue, wait_for_jobs(queue, limit, lease, deadline, stop));
      }));
      respond([made] { return std::move(*made); });
    };
    // Where too many wait already nobody waits any longer: the client asks again.
    if (!call.state.long_polls.run(wait)) respond([queue] { return deliveries(queue, {}); });
  };
  return response;
}

Response extend(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"id", "token", "lease_ms", "progress", "log"});
  const std::optional<milliseconds> lease = milliseconds_of(fields, "lease_ms");
  JobNotes notes;
  if (fields.has("progress")) {
    if (!fields.at("progress").is_number()) refuse_request("\"progress\" is a number from 0 to 1");
    notes.progress = fields.at("progress").get<double>();
  }
  if (fields.has("log")) {
    for (const Json& line : fields.array("log", limits::kJobLogLines)) {
      if (!line.is_string()) refuse_request("a line of \"log\" is not a string");
      notes.lines.push_back(line.get<std::string>());
    }
  }
  if (!lease && !fields.has("progress") && !fields.has("log")) {
    refuse_request("the body has \"lease_ms\", \"progress\" or \"log\"");
  }
  return json_response({{"token", queue_of(call).note(lease_of(fields), notes, lease).token}});
}

Response complete(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"id", "token", "value", "bytes_base64"});
  std::optional<Payload> result;
  if (fields.has("value") || fields.has("bytes_base64")) {
    result = payload_of_members(call.request->body, "the body");
  }
  queue_of(call).complete(lease_of(fields), result);
  return json_response({{"completed", true}});
}

Response complete_many(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"leases"});
  std::vector<JobLease> leases;
  for (const Json& element : fields.array("leases", limits::kQueueBatch)) {
    leases.push_back(lease_of(Fields(element, "an element of \"leases\"", {"id", "token"})));
  }
  return json_response({{"completed", queue_of(call).complete_many(leases)}});
}

Response fail(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"id", "token", "error", "is_permanent", "retry_in_ms"});
  const FailOptions options{.is_permanent = fields.flag("is_permanent", false),
                            .retry_in = milliseconds_of(fields, "retry_in_ms")};
  const JobState state = queue_of(call).fail(lease_of(fields), text_or_nothing(fields, "error"), options);
  return json_response({{"state", name(state)}});
}

Response release(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"id", "token", "delay_ms"});
  queue_of(call).release(lease_of(fields), milliseconds_of(fields, "delay_ms").value_or(milliseconds(0)));
  return json_response({{"released", true}});
}

// ---- The table

Json job_schema() {
  auto members = payload_members();
  members.emplace_back("delay_ms", integer_schema());
  members.emplace_back("run_at_ms", integer_schema(INT64_MIN));
  for (auto& member : send_option_members()) members.push_back(std::move(member));
  Json parent = integer_schema();
  parent["description"] = "The job that waits for this one: its place in the batch, behind this one's";
  members.emplace_back("parent", std::move(parent));
  members.emplace_back("child_failure",
                       text_schema("Of a job that waits: what becomes of it when one that it waits for is "
                                   "dead; wait, run or die; wait without it"));
  return object_schema(members, {});
}

Json sent_schema() {
  return object_schema({{"id", text_schema("Of the new job, or of the one that has the unique key")},
                        {"is_new", boolean_schema()}},
                       {"id", "is_new"});
}

Json delivery_schema() {
  auto members = common_job_members();
  for (auto& member : payload_members()) members.push_back(std::move(member));
  members.emplace_back("token", text_schema("With the id the right to the job"));
  members.emplace_back("attempt", integer_schema(1));
  members.emplace_back("lease_ends_at_ms", integer_schema(INT64_MIN));
  members.emplace_back("children", array_schema(text_schema("The id of a job that it has waited for")));
  return object_schema(members,
                       {"id", "token", "kind", "attempt", "lease_ends_at_ms", "sent_at_ms", "priority"});
}

/// The body of what is done under a lease: `more` beside its id and token.
void describe_lease_body(Route& route, std::vector<std::pair<std::string, Json>> more,
                         const char* description) {
  more.insert(more.begin(), {{"id", text_schema()}, {"token", text_schema()}});
  route.body_limit_bytes = kJsonBodyBytes;
  route.body = Body{"application/json", object_schema(std::move(more), {"id", "token"}), description};
}

void add_sender_routes(std::vector<Route>& routes) {
  Route one = queue_route("POST", "/{queue}/jobs", "send_job", "Sends a job.", Scope::write, send_job);
  one.body_limit_bytes = kJsonBodyBytes;
  one.body =
      Body{"application/json", job_schema(), "Its body, \"value\" or \"bytes_base64\", and how it is sent."};
  one.answers = {{200, "What it has come to.", "application/json", sent_schema()}};
  routes.push_back(one);

  Route many = queue_route("POST", "/{queue}/jobs/batch", "send_jobs",
                           "Sends up to 250 jobs in one commit, in their order; some may wait for others.",
                           Scope::write, send_jobs);
  many.body_limit_bytes = kJsonBodyBytes;
  many.body =
      Body{"application/json", object_schema({{"jobs", array_schema(job_schema())}}, {"jobs"}),
           "The jobs. One that others name as their parent is delivered when all of those are completed."};
  many.answers = {one_member_answer("What each has come to.", "jobs", array_schema(sent_schema()))};
  routes.push_back(many);
}

void add_worker_routes(std::vector<Route>& routes) {
  Route take =
      queue_route("POST", "/{queue}/receive", "receive_jobs",
                  "Takes jobs under a lease. Waits for the first up to wait_ms if there is none; what a "
                  "client is given that has gone meanwhile comes again when its lease is over.",
                  Scope::write, receive);
  take.body_limit_bytes = 4'096;
  take.body = Body{
      "application/json",
      object_schema(
          {{"limit", integer_schema(1)}, {"lease_ms", integer_schema(1)}, {"wait_ms", integer_schema()}}, {}),
      "Up to limit jobs, 1 to 250, 1 without it; that of the queue without lease_ms; wait_ms up to "
      "60,000."};
  take.answers = {
      {200, "The jobs; none if there were none.", "application/json", listing_schema(delivery_schema())}};
  routes.push_back(take);

  Route longer =
      queue_route("POST", "/{queue}/extend", "extend_job",
                  "Lets a lease end lease_ms later than now, and keeps progress (0 to 1) and lines for "
                  "people with the job. The token is another one then. 409: the lease is lost.",
                  Scope::write, extend);
  describe_lease_body(longer,
                      {{"lease_ms", integer_schema(1)},
                       {"progress", {{"minimum", 0}, {"maximum", 1}}},
                       {"log", array_schema(text_schema())}},
                      "At least one of lease_ms, progress and log.");
  longer.answers = {one_member_answer("The new token.", "token", text_schema())};
  routes.push_back(longer);

  Route done = queue_route("POST", "/{queue}/complete", "complete_job",
                           "The job is done. 409: the lease is lost.", Scope::write, complete);
  describe_lease_body(done, payload_members(),
                      "\"value\" or \"bytes_base64\" is the result, which is kept as long as the job.");
  done.answers = {one_member_answer("It is.", "completed", boolean_schema())};
  routes.push_back(done);

  Route all_done = queue_route("POST", "/{queue}/complete-many", "complete_jobs", "Up to 250 jobs are done.",
                               Scope::write, complete_many);
  all_done.body_limit_bytes = kJsonBodyBytes;
  all_done.body = Body{
      "application/json",
      object_schema({{"leases", array_schema(object_schema({{"id", text_schema()}, {"token", text_schema()}},
                                                           {"id", "token"}))}},
                    {"leases"}),
      "Their leases."};
  all_done.answers = {one_member_answer("For each whether it was done; false where the lease is lost.",
                                        "completed", array_schema(boolean_schema()))};
  routes.push_back(all_done);

  Route failed = queue_route("POST", "/{queue}/fail", "fail_job",
                             "The attempt has failed. 409: the lease is lost.", Scope::write, fail);
  describe_lease_body(
      failed,
      {{"error", text_schema()}, {"is_permanent", boolean_schema()}, {"retry_in_ms", integer_schema()}},
      "What it failed with; is_permanent: to the dead letters at once; retry_in_ms instead of the "
      "queue's back-off.");
  failed.answers = {
      one_member_answer("Where the job is now: ready, delayed or dead.", "state", text_schema())};
  routes.push_back(failed);

  Route back = queue_route("POST", "/{queue}/release", "release_job",
                           "Gives the job back as if it had not been delivered. 409: the lease is lost.",
                           Scope::write, release);
  describe_lease_body(back, {{"delay_ms", integer_schema()}},
                      "Not to be delivered before delay_ms are over.");
  back.answers = {one_member_answer("It is.", "released", boolean_schema())};
  routes.push_back(back);
}

}  // namespace

void add_queue_routes(std::vector<Route>& routes) {
  add_sender_routes(routes);
  add_worker_routes(routes);
}

}  // namespace holdfast::server
