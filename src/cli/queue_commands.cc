// holdfast queue send, receive ...: job queues, for those who send and those who work.

#include <algorithm>

#include "cli/command_tree.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "cli/queue_arguments.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;
using std::chrono::milliseconds;

const Argument kId{.name = "ID", .help = "of the job", .required = true};
const Argument kToken{.name = "TOKEN", .help = "of its delivery", .required = true};

JobLease lease_of(const Arguments& arguments) { return {arguments.text("ID"), arguments.text("TOKEN")}; }

ChildFailure child_failure_of(const std::string& word) {
  for (const ChildFailure failure : {ChildFailure::run, ChildFailure::die}) {
    if (word == name(failure)) return failure;
  }
  return ChildFailure::wait;
}

int send(Context& context, const Arguments& arguments) {
  const std::vector<std::string> children = arguments.list("--child");
  std::vector<NewJob> jobs;
  for (const std::string& child : children) {
    jobs.push_back({payload_of_text(child), {}, children.size()});
    jobs.back().options.kind = arguments.optional_text("--child-kind").value_or("");
  }
  jobs.push_back({payload_of(arguments), send_options_of(arguments)});
  NewJob& job = jobs.back();
  job.options.delay = milliseconds_of(arguments, "--delay");
  job.options.run_at_ms = arguments.optional_instant_ms("--run-at");
  job.child_failure = child_failure_of(arguments.text("--child-failure"));
  const Sent sent = queue_of(context, arguments).send_many(jobs).back();
  context.out().object({{"id", Cell::text(sent.id)}, {"is_new", Cell::boolean(sent.is_new)}});
  return kExitSuccess;
}

std::vector<Delivery> take(Context& context, const Arguments& arguments) {
  Queue queue = queue_of(context, arguments);
  const std::uint64_t limit = arguments.number("--limit");
  const std::optional<milliseconds> lease = milliseconds_of(arguments, "--lease");
  const std::optional<milliseconds> patience = milliseconds_of(arguments, "--wait");
  std::vector<Delivery> jobs = queue.receive(limit, lease);
  Clock& clock = *context.environment().clock;
  const auto ends_at = clock.steady_now() + patience.value_or(milliseconds(0));
  while (jobs.empty() && clock.steady_now() < ends_at) {
    context.check_interrupt();
    const auto soon = std::min(ends_at, clock.steady_now() + milliseconds(200));
    if (queue.wait(soon)) jobs = queue.receive(limit, lease);
  }
  return jobs;
}

NamedCells cells_of_delivery(const Delivery& job, bool all) {
  NamedCells row = {{"id", Cell::text(job.id)},
                    {"token", Cell::text(job.token)},
                    {"kind", text_or_none(job.kind)},
                    {"attempt", Cell::number(std::uint64_t{job.attempt})},
                    {"lease_ends_at_ms", Cell::time(job.lease_ends_at_ms)}};
  if (all) {
    row.emplace_back("sent_at_ms", Cell::time(job.sent_at_ms));
    row.emplace_back("run_at_ms", Cell::time(job.run_at_ms));
    row.emplace_back("priority", Cell::number(std::int64_t{job.priority}));
    row.emplace_back("ordering_key", text_or_none(job.ordering_key));
    row.emplace_back("tenant", text_or_none(job.tenant));
    row.emplace_back("children", ids_cell(job.children));
  }
  row.emplace_back("body", payload_cell(job.body));
  return row;
}

int receive(Context& context, const Arguments& arguments) {
  const bool all = context.out().options().json;
  context.out().table(names_of(cells_of_delivery({}, all)));
  for (const Delivery& job : take(context, arguments)) {
    context.out().row(cells_of(cells_of_delivery(job, all)));
  }
  return kExitSuccess;
}

int complete(Context& context, const Arguments& arguments) {
  const std::optional<Payload> result = optional_payload_of(arguments);
  queue_of(context, arguments).complete(lease_of(arguments), result);
  return kExitSuccess;
}

int fail(Context& context, const Arguments& arguments) {
  const FailOptions options{.is_permanent = arguments.flag("--permanent"),
                            .retry_in = milliseconds_or_zero(arguments, "--retry-in")};
  const JobState state =
      queue_of(context, arguments)
          .fail(lease_of(arguments), arguments.optional_text("ERROR").value_or(""), options);
  context.out().object({{"state", Cell::text(name(state))}});
  return kExitSuccess;
}

int extend(Context& context, const Arguments& arguments) {
  JobNotes notes;
  if (arguments.given("--percent")) {
    const std::uint64_t percent = arguments.number("--percent");
    if (percent > 100) throw UsageError("--percent must be 0 to 100");
    notes.progress = static_cast<double>(percent) / 100;
  }
  for (const std::string& line : arguments.list("--log")) notes.lines.push_back(line);
  const std::optional<milliseconds> lease = milliseconds_of(arguments, "--lease");
  if (!lease && !notes.progress && notes.lines.empty()) throw UsageError("give --lease, --percent or --log");
  const JobLease extended = queue_of(context, arguments).note(lease_of(arguments), notes, lease);
  context.out().object({{"token", Cell::text(extended.token)}});
  return kExitSuccess;
}

int release(Context& context, const Arguments& arguments) {
  queue_of(context, arguments)
      .release(lease_of(arguments), milliseconds_of(arguments, "--delay").value_or(milliseconds(0)));
  return kExitSuccess;
}

std::vector<Argument> send_command_arguments() {
  std::vector<Argument> arguments = {queue_argument()};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--delay", "not before so much time has passed", Kind::duration});
  arguments.push_back({"--run-at", "not before an instant, 2026-01-31T09:30:00Z", Kind::instant});
  for (Argument& argument : send_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({.name = "--child",
                       .help = "send a job of this body too, which the one of VALUE waits for",
                       .placeholder = "VALUE",
                       .repeated = true});
  arguments.push_back({"--child-kind", "what sort of work those are", Kind::text, "KIND"});
  arguments.push_back({"--child-failure",
                       "what becomes of the job of VALUE when one of those is dead",
                       Kind::choice,
                       "",
                       "wait",
                       {"wait", "run", "die"}});
  return with_queue_prefix(std::move(arguments));
}

std::vector<Argument> complete_arguments() {
  std::vector<Argument> arguments = {queue_argument(), kId, kToken};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  return with_queue_prefix(std::move(arguments));
}

}  // namespace

std::vector<Command> queue_commands() {
  const std::string lease = "It takes the id and the token that `queue receive` has printed.";
  return {
      {.path = "queue send",
       .summary = "send a job and print its id",
       .details =
           "Where a job has the unique key already, its id is printed and is_new is no. With --child the "
           "job waits until all those others are completed, which are sent by the same commit.",
       .arguments = send_command_arguments(),
       .examples = {{"queue send mail '{\"to\":\"ann@example.org\"}' --kind welcome", "a job"},
                    {"queue send mail --file - --delay 5m", "its body from the standard input"},
                    {"queue send pages join --child 1 --child 2 --child-kind page",
                     "a job behind two others"}},
       .run = send},
      {.path = "queue receive",
       .summary = "take jobs, with the tokens that it takes to complete them",
       .details = "Nobody else gets them until the lease ends; if they are not completed by then, they are "
                  "delivered again. Prints nothing where there are none.",
       .arguments = with_queue_prefix({queue_argument(),
                                       {"--limit", "at most so many, up to 250", Kind::number, "COUNT", "1"},
                                       {"--lease", "how long they are yours [the queue's]", Kind::duration},
                                       {"--wait", "wait for the first so long", Kind::duration}}),
       .examples = {{"queue receive mail --wait 1m --json", "the next one"}},
       .run = receive},
      {.path = "queue complete",
       .summary = "a job is done",
       .details = lease + " VALUE is the result, which is kept as long as the queue keeps completed jobs.",
       .arguments = complete_arguments(),
       .examples = {{"queue complete mail 00000000000000a1-0000 TOKEN", "without a result"}},
       .run = complete},
      {.path = "queue fail",
       .summary = "an attempt has failed; prints where the job is now",
       .details = lease,
       .arguments = with_queue_prefix(
           {queue_argument(),
            kId,
            kToken,
            {.name = "ERROR", .help = "what went wrong"},
            {"--permanent", "to the dead letters at once", Kind::flag},
            {"--retry-in", "the wait before the next attempt, or 0 [the queue's]", Kind::text, "TIME"}}),
       .examples = {{"queue fail mail 00000000000000a1-0000 TOKEN 'no route to host'", "it is tried again"}},
       .run = fail},
      {.path = "queue extend",
       .summary = "let a lease end later, or note how far the work is; prints the new token",
       .details = lease,
       .arguments = with_queue_prefix(
           {queue_argument(),
            kId,
            kToken,
            {"--lease", "it ends so much later than now", Kind::duration},
            {"--percent", "how much is done, 0 to 100", Kind::number, "NUMBER"},
            {.name = "--log", .help = "a line for people", .placeholder = "TEXT", .repeated = true}}),
       .examples = {{"queue extend mail 00000000000000a1-0000 TOKEN --lease 1m --percent 40", "both"}},
       .run = extend},
      {.path = "queue release",
       .summary = "give a job back as if it had not been delivered",
       .details = lease,
       .arguments = with_queue_prefix({queue_argument(),
                                       kId,
                                       kToken,
                                       {"--delay", "not before so much time has passed", Kind::duration}}),
       .examples = {{"queue release mail 00000000000000a1-0000 TOKEN", "for another worker"}},
       .run = release},
  };
}

}  // namespace holdfast::cli
