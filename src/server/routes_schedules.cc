// Schedules: jobs that are sent again and again.
#include "holdfast/schedules.h"
#include "server/openapi.h"
#include "server/queue_json.h"
#include "server/routes.h"

namespace holdfast::server {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kTicks = 1'000;

Route route(const char* method, const std::string& pattern, const char* name, const char* summary,
            Scope scope, std::function<Response(Call&)> handler) {
  return make_route("schedules", method, "/v1/databases/{db}" + pattern, name, summary, scope,
                    std::move(handler));
}

const char* name_of(MissedRuns missed) {
  return missed == MissedRuns::skip ? "skip" : missed == MissedRuns::once ? "once" : "all";
}

MissedRuns missed_of(View word) {
  for (const MissedRuns missed : {MissedRuns::skip, MissedRuns::once, MissedRuns::all}) {
    if (word == name_of(missed)) return missed;
  }
  refuse_request("\"missed\" is skip, once or all");
}

std::string text_of(const ScheduleState& schedule) {
  Json json = {{"queue", schedule.queue},
               {"missed", name_of(schedule.missed)},
               {"grace_ms", schedule.grace.count()},
               {"priority", schedule.options.priority},
               {"is_paused", schedule.is_paused}};
  set_bytes(json, "name", schedule.name);
  if (schedule.every) {
    json["every_ms"] = schedule.every->count();
    json["anchor_ms"] = schedule.anchor_ms;
  } else {
    json["cron"] = schedule.cron;
    json["time_zone"] = schedule.time_zone;
  }
  const SendOptions& options = schedule.options;
  const auto set_text = [&](const char* name, const Bytes& text) {
    if (!text.empty()) json[name] = text;
  };
  const auto set_duration = [&](const char* name, const std::optional<milliseconds>& value) {
    if (value) json[name] = value->count();
  };
  set_text("kind", options.kind);
  set_text("ordering_key", options.ordering_key);
  set_text("unique_key", options.unique_key);
  set_duration("unique_for_ms", options.unique_for);
  set_duration("unique_after_completion_ms", options.unique_after_completion);
  set_duration("unique_after_death_ms", options.unique_after_death);
  set_text("tenant", options.tenant);
  if (schedule.next_at_ms) json["next_at_ms"] = *schedule.next_at_ms;
  if (schedule.last_at_ms) json["last_at_ms"] = *schedule.last_at_ms;
  return with_payload(json, schedule.body);
}

/// "cron" and "time_zone", or "every_ms" and "anchor_ms".
void read_ticks(const Fields& fields, Schedule& schedule) {
  schedule.cron = text_or_nothing(fields, "cron");
  if (fields.has("time_zone")) schedule.time_zone = fields.text("time_zone");
  schedule.every = milliseconds_of(fields, "every_ms");
  schedule.anchor_ms = fields.optional_signed_number("anchor_ms").value_or(0);
}

Response set(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body",
                      {"queue", "value", "bytes_base64", "cron", "time_zone", "every_ms", "anchor_ms",
                       "missed", "grace_ms", "kind", "priority", "ordering_key", "unique_key",
                       "unique_for_ms", "unique_after_completion_ms", "unique_after_death_ms", "tenant"});
  Schedule schedule;
  schedule.name = call.path("schedule");
  schedule.queue = fields.text("queue");
  if (fields.has("value") || fields.has("bytes_base64")) {
    schedule.body = payload_of_members(call.request->body, "the body");
  }
  schedule.options = send_options_of(fields);
  read_ticks(fields, schedule);
  if (fields.has("missed")) schedule.missed = missed_of(fields.text("missed"));
  schedule.grace = milliseconds_of(fields, "grace_ms").value_or(schedule.grace);
  Schedules(call.database()).set(schedule);
  return json_response({{"set", true}});
}

ScheduleState schedule_of(const Call& call) {
  std::optional<ScheduleState> found = Schedules(call.database()).get(call.path("schedule"));
  if (!found) throw Error(Code::not_found, "there is no such schedule");
  return std::move(*found);
}

Response get(Call& call) {
  Response response;
  response.content_type = "application/json";
  response.body = text_of(schedule_of(call)) + "\n";
  return response;
}

Response list(Call& call) {
  const Listing<ScheduleState> listing = Schedules(call.database()).list(list_options_of(call, true));
  std::vector<std::string> items;
  for (const ScheduleState& schedule : listing.items) items.push_back(text_of(schedule));
  return listing_response(items, listing.cursor);
}

Response erase(Call& call) {
  return json_response({{"erased", Schedules(call.database()).erase(call.path("schedule"))}});
}

Response pause(Call& call) {
  return json_response({{"paused", Schedules(call.database()).pause(call.path("schedule"))}});
}

Response resume(Call& call) {
  return json_response({{"resumed", Schedules(call.database()).resume(call.path("schedule"))}});
}

Response ticks_of(const Call& call, const Schedule& schedule, std::optional<UnixMs> after_ms,
                  std::size_t count) {
  const UnixMs from_ms = after_ms.value_or(call.state.environment.clock->now_ms());
  return json_response({{"ticks", Schedules::ticks(schedule, from_ms, count)}});
}

Response ticks(Call& call) {
  const std::size_t count = call.number("count", 10, 1, kTicks);
  return ticks_of(call, schedule_of(call), call.signed_number("after_ms"), count);
}

Response preview(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"cron", "time_zone", "every_ms", "anchor_ms", "after_ms", "count"});
  Schedule schedule;
  schedule.name = "preview";
  read_ticks(fields, schedule);
  const std::uint64_t count = fields.has("count") ? fields.number("count") : 10;
  if (count < 1 || count > kTicks) refuse_request("\"count\" is 1 to " + std::to_string(kTicks));
  return ticks_of(call, schedule, fields.optional_signed_number("after_ms"), count);
}

// ---- The table

using Members = std::vector<std::pair<std::string, Json>>;

Members tick_members() {
  return {{"cron", text_schema("Five fields, or six with seconds in front, or @daily and the like")},
          {"time_zone", text_schema("Of the tz database; UTC without it")},
          {"every_ms", integer_schema(1'000)},
          {"anchor_ms", integer_schema()}};
}

/// What a schedule is set with.
Members schedule_members() {
  Members members = tick_members();
  for (auto& member : payload_members()) members.push_back(std::move(member));
  for (auto& member : send_option_members()) members.push_back(std::move(member));
  members.emplace_back("queue", text_schema());
  members.emplace_back("missed", text_schema("skip, once or all: what becomes of ticks that nobody ran"));
  members.emplace_back("grace_ms", integer_schema());
  return members;
}

Json state_schema() {
  Members members = schedule_members();
  for (auto& member : bytes_members("name", "The name")) members.push_back(std::move(member));
  members.emplace_back("is_paused", boolean_schema());
  members.emplace_back("next_at_ms", integer_schema(INT64_MIN));
  members.emplace_back("last_at_ms", integer_schema(INT64_MIN));
  return object_schema(members, {"queue", "missed", "grace_ms", "priority", "is_paused"});
}

Answer ticks_answer() {
  return one_member_answer("The instants; fewer if no more come.", "ticks",
                           array_schema(integer_schema(INT64_MIN)));
}

void add_setting_routes(std::vector<Route>& routes) {
  Route put = route("PUT", "/schedules/{schedule}", "set_schedule",
                    "Makes a schedule or replaces the one of the name.", Scope::write, set);
  put.body_limit_bytes = kJsonBodyBytes;
  put.body = Body{"application/json", object_schema(schedule_members(), {"queue"}),
                  "Each tick sends a job to the queue. Its ticks are those of cron in time_zone, or every_ms "
                  "from anchor_ms on. Without a body the job's is null."};
  put.answers = {one_member_answer("It is.", "set", boolean_schema())};
  routes.push_back(put);

  Route erased = route("DELETE", "/schedules/{schedule}", "erase_schedule",
                       "Removes a schedule. Jobs that were sent stay.", Scope::write, erase);
  erased.answers = {one_member_answer("Whether there was one.", "erased", boolean_schema())};
  routes.push_back(erased);

  Route stop = route("POST", "/schedules/{schedule}/pause", "pause_schedule",
                     "A schedule has no ticks until it is resumed.", Scope::write, pause);
  stop.answers = {one_member_answer("Whether there is one.", "paused", boolean_schema())};
  routes.push_back(stop);

  Route go = route("POST", "/schedules/{schedule}/resume", "resume_schedule",
                   "A schedule has ticks again; those between are not made up for.", Scope::write, resume);
  go.answers = {one_member_answer("Whether there is one.", "resumed", boolean_schema())};
  routes.push_back(go);
}

void add_looking_routes(std::vector<Route>& routes) {
  Route one = route("GET", "/schedules/{schedule}", "get_schedule", "A schedule, with its next tick.",
                    Scope::read, get);
  one.answers = {{200, "The schedule.", "application/json", state_schema()}};
  routes.push_back(one);

  Route all = route("GET", "/schedules", "list_schedules", "Schedules by name.", Scope::read, list);
  all.parameters = list_parameters(true);
  all.answers = {{200, "A page.", "application/json", listing_schema(state_schema())}};
  routes.push_back(all);

  Route next = route("GET", "/schedules/{schedule}/ticks", "list_schedule_ticks", "The next ticks.",
                     Scope::read, ticks);
  next.parameters = {{"count", integer_schema(1), "1 to 1,000, 10 without it."},
                     {"after_ms", integer_schema(INT64_MIN), "Those behind an instant; now without it."}};
  next.answers = {ticks_answer()};
  routes.push_back(next);

  Route would_be = route("POST", "/schedule-preview", "preview_schedule",
                         "The ticks of a schedule that is none yet. Keeps nothing.", Scope::read, preview);
  Members members = tick_members();
  members.emplace_back("after_ms", integer_schema(INT64_MIN));
  members.emplace_back("count", integer_schema(1));
  would_be.body_limit_bytes = kJsonBodyBytes;
  would_be.body = Body{"application/json", object_schema(members, {}),
                       "cron or every_ms; count is 1 to 1,000, 10 without it."};
  would_be.answers = {ticks_answer()};
  routes.push_back(would_be);
}

}  // namespace

void add_schedule_routes(std::vector<Route>& routes) {
  add_setting_routes(routes);
  add_looking_routes(routes);
}

}  // namespace holdfast::server
