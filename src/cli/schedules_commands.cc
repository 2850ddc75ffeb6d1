// holdfast schedules ...: jobs that are sent again and again.

#include <nlohmann/json.hpp>

#include "cli/command_tree.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "cli/queue_arguments.h"
#include "holdfast/schedules.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;
using std::chrono::milliseconds;

const Argument kSchedule{.name = "SCHEDULE", .help = "the schedule's name", .required = true};

std::vector<Argument> with_prefixes(std::vector<Argument> arguments) {
  arguments.push_back(
      {"--prefix", "where in the database the schedules lie", Kind::text, "PREFIX", "schedule"});
  arguments.push_back(
      {"--queue-prefix", "where in the database the queues lie", Kind::text, "PREFIX", "queue"});
  return arguments;
}

Schedules schedules_of(Context& context, const Arguments& arguments) {
  return Schedules(context.database(),
                   {.prefix = arguments.text("--prefix"), .queue_prefix = arguments.text("--queue-prefix")});
}

[[noreturn]] void no_such_schedule() { throw Error(Code::not_found, "there is no such schedule"); }

const char* name_of(MissedRuns missed) {
  return missed == MissedRuns::skip ? "skip" : missed == MissedRuns::once ? "once" : "all";
}

NamedCells cells_of_schedule(const ScheduleState& schedule, bool all) {
  const bool has_cron = !schedule.every;
  NamedCells row = {
      {"schedule", Cell::bytes(schedule.name)},
      {"queue", Cell::bytes(schedule.queue)},
      {"cron", has_cron ? Cell::text(schedule.cron) : Cell::none()},
      {"time_zone", has_cron ? Cell::text(schedule.time_zone) : Cell::none()},
      {"every_ms", has_cron ? Cell::none() : Cell::number(std::int64_t{schedule.every->count()})},
      {"is_paused", Cell::boolean(schedule.is_paused)},
      {"next_at_ms", Cell::time(schedule.next_at_ms)},
      {"last_at_ms", Cell::time(schedule.last_at_ms)}};
  if (!all) return row;
  const SendOptions& options = schedule.options;
  const auto duration = [](const std::optional<milliseconds>& value) {
    return value ? Cell::number(std::int64_t{value->count()}) : Cell::none();
  };
  row.emplace_back("anchor_ms", has_cron ? Cell::none() : Cell::time(schedule.anchor_ms));
  row.emplace_back("missed", Cell::text(name_of(schedule.missed)));
  row.emplace_back("grace_ms", duration(schedule.grace));
  row.emplace_back("kind", text_or_none(options.kind));
  row.emplace_back("priority", Cell::number(std::int64_t{options.priority}));
  row.emplace_back("ordering_key", text_or_none(options.ordering_key));
  row.emplace_back("unique_key", text_or_none(options.unique_key));
  row.emplace_back("unique_for_ms", duration(options.unique_for));
  row.emplace_back("unique_after_completion_ms", duration(options.unique_after_completion));
  row.emplace_back("unique_after_death_ms", duration(options.unique_after_death));
  row.emplace_back("tenant", text_or_none(options.tenant));
  row.emplace_back("body", payload_cell(schedule.body));
  return row;
}

/// --cron, --time-zone, --every and --anchor.
std::vector<Argument> tick_arguments() {
  return {{"--cron", "minute, hour, day of the month, month, weekday; or @daily and the like", Kind::text,
           "EXPRESSION"},
          {"--time-zone", "what the expression is meant in", Kind::text, "ZONE", "UTC"},
          {"--every", "or an interval, 1 s to ten years", Kind::duration},
          {"--anchor", "an instant that the intervals are counted from [1970]", Kind::instant}};
}

Schedule ticks_of(const Arguments& arguments) {
  Schedule schedule;
  schedule.cron = arguments.optional_text("--cron").value_or("");
  schedule.time_zone = arguments.text("--time-zone");
  schedule.every = milliseconds_of(arguments, "--every");
  schedule.anchor_ms = arguments.optional_instant_ms("--anchor").value_or(0);
  if (arguments.given("--cron") == schedule.every.has_value()) throw UsageError("give --cron or --every");
  return schedule;
}

int put(Context& context, const Arguments& arguments) {
  Schedule schedule = ticks_of(arguments);
  schedule.name = arguments.text("SCHEDULE");
  schedule.queue = arguments.text("QUEUE");
  schedule.body = optional_payload_of(arguments).value_or(Payload());
  schedule.options = send_options_of(arguments);
  const std::string& missed = arguments.text("--missed");
  schedule.missed = missed == "skip"  ? MissedRuns::skip
                    : missed == "all" ? MissedRuns::all
                                      : MissedRuns::once;
  schedule.grace = milliseconds_or_zero(arguments, "--grace").value_or(schedule.grace);
  Schedules schedules = schedules_of(context, arguments);
  schedules.set(schedule);
  const std::optional<ScheduleState> state = schedules.get(schedule.name);
  context.out().object({{"next_at_ms", state ? Cell::time(state->next_at_ms) : Cell::none()}});
  return kExitSuccess;
}

int get(Context& context, const Arguments& arguments) {
  const std::optional<ScheduleState> found = schedules_of(context, arguments).get(arguments.text("SCHEDULE"));
  if (!found) no_such_schedule();
  context.out().object(cells_of_schedule(*found, true));
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Schedules schedules = schedules_of(context, arguments);
  const bool all = context.out().options().json;
  context.out().table(names_of(cells_of_schedule({}, all)));
  show_list<ScheduleState>(
      context, arguments, [&](const ListOptions& options) { return schedules.list(options); },
      [&](const ScheduleState& schedule) { context.out().row(cells_of(cells_of_schedule(schedule, all))); });
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  if (!schedules_of(context, arguments).erase(arguments.text("SCHEDULE"))) no_such_schedule();
  return kExitSuccess;
}

int pause(Context& context, const Arguments& arguments) {
  if (!schedules_of(context, arguments).pause(arguments.text("SCHEDULE"))) no_such_schedule();
  return kExitSuccess;
}

int resume(Context& context, const Arguments& arguments) {
  if (!schedules_of(context, arguments).resume(arguments.text("SCHEDULE"))) no_such_schedule();
  return kExitSuccess;
}

int run(Context& context, const Arguments& arguments) {
  Schedules schedules = schedules_of(context, arguments);
  ScheduleRun all;
  for (;;) {
    context.check_interrupt(kGoesOn);
    const ScheduleRun step = schedules.run_due();
    all = {.sent = all.sent + step.sent, .next_due_ms = step.next_due_ms};
    if (step.sent == 0) break;
  }
  context.out().object(
      {{"sent", Cell::number(std::uint64_t{all.sent})}, {"next_due_ms", Cell::time(all.next_due_ms)}});
  return kExitSuccess;
}

int ticks(Context& context, const Arguments& arguments) {
  Schedule schedule;
  if (arguments.given("SCHEDULE")) {
    if (arguments.given("--cron") || arguments.given("--every")) {
      throw UsageError("give a SCHEDULE, or --cron or --every, not both");
    }
    const std::optional<ScheduleState> found =
        schedules_of(context, arguments).get(arguments.text("SCHEDULE"));
    if (!found) no_such_schedule();
    schedule = *found;
  } else {
    schedule = ticks_of(arguments);
    schedule.name = "preview";
  }
  const UnixMs after_ms =
      arguments.optional_instant_ms("--after").value_or(context.environment().clock->now_ms());
  const std::uint64_t count = arguments.number("--count");
  if (count > 1'000) throw UsageError("--count is at most 1000");
  context.out().table({"at_ms"});
  for (const UnixMs tick : Schedules::ticks(schedule, after_ms, count)) {
    context.out().row({Cell::time(tick)});
  }
  return kExitSuccess;
}

std::vector<Argument> put_arguments() {
  std::vector<Argument> arguments = {kSchedule, queue_argument()};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  for (Argument& argument : tick_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--missed",
                       "what becomes of ticks at which nobody has run the schedule: none of "
                       "them runs, the last one, or all",
                       Kind::choice,
                       "",
                       "once",
                       {"skip", "once", "all"}});
  arguments.push_back(
      {"--grace", "for --missed skip: how late a tick may run, or 0 [1m]", Kind::text, "TIME"});
  for (Argument& argument : send_arguments()) arguments.push_back(std::move(argument));
  return with_prefixes(std::move(arguments));
}

std::vector<Argument> preview_arguments() {
  std::vector<Argument> arguments = {{.name = "SCHEDULE", .help = "the schedule's name"}};
  for (Argument& argument : tick_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--count", "how many, up to 1000", Kind::number, "COUNT", "10"});
  arguments.push_back({"--after", "those behind an instant [now]", Kind::instant});
  return with_prefixes(std::move(arguments));
}

}  // namespace

std::vector<Command> schedules_commands() {
  return {
      {.path = "schedules put",
       .summary = "make a schedule, or replace the one of the name; prints its next tick",
       .details =
           "Each tick is one job with VALUE as its body, however many programs run the schedules, or call "
           "`schedules run`.",
       .arguments = put_arguments(),
       .examples = {{"schedules put report mail '{\"kind\":\"weekly\"}' --cron '30 9 * * MON' --time-zone "
                     "Europe/Berlin",
                     "Mondays at half past nine"},
                    {"schedules put check probes --every 5m", "an interval, with null as the body"}},
       .run = put},
      {.path = "schedules get",
       .summary = "all that is known about a schedule",
       .arguments = with_prefixes({kSchedule}),
       .examples = {{"schedules get report", "with its next tick"}},
       .run = get},
      {.path = "schedules list",
       .summary = "the schedules there are, by name",
       .arguments = with_prefixes(list_arguments("names")),
       .examples = {{"schedules list", "all of them"}},
       .run = list},
      {.path = "schedules delete",
       .summary = "remove a schedule; jobs that were sent stay",
       .arguments = with_prefixes({kSchedule}),
       .examples = {{"schedules delete report", "no more ticks"}},
       .run = erase},
      {.path = "schedules pause",
       .summary = "a schedule has no ticks until it is resumed",
       .arguments = with_prefixes({kSchedule}),
       .examples = {{"schedules pause report", "until `schedules resume`"}},
       .run = pause},
      {.path = "schedules resume",
       .summary = "a schedule has ticks again; those between are not made up for",
       .arguments = with_prefixes({kSchedule}),
       .examples = {{"schedules resume report", "after a pause"}},
       .run = resume},
      {.path = "schedules ticks",
       .summary = "the next ticks of a schedule, or of an expression that is none yet",
       .arguments = preview_arguments(),
       .examples = {{"schedules ticks report --count 3", "of a schedule"},
                    {"schedules ticks --cron '0 9 L * *' --time-zone America/New_York", "of an expression"}},
       .run = ticks},
      {.path = "schedules run",
       .summary = "send the jobs of all ticks that are due, once",
       .arguments = with_prefixes({}),
       .examples = {{"schedules run", "where no program runs the schedules"}},
       .run = run},
  };
}

}  // namespace holdfast::cli
