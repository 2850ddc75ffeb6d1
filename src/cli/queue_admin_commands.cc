// holdfast queue list, pause, dead ...: job queues, for those who look after them.

#include <charconv>
#include <nlohmann/json.hpp>

#include "cli/command_tree.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "cli/queue_arguments.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;
using std::chrono::milliseconds;

const Argument kId{.name = "ID", .help = "of the job", .required = true};
const Argument kYes{"--yes", "do not ask", Kind::flag};
const Argument kLimit{"--limit", "at most so many; 0: all", Kind::number, "COUNT", "100"};

JobState state_of(const std::string& word) {
  for (const JobState state : {JobState::delayed, JobState::waiting, JobState::blocked, JobState::leased,
                               JobState::completed, JobState::dead}) {
    if (word == name(state)) return state;
  }
  return JobState::ready;
}

/// Rows of one table, whose columns are those of the state.
class JobTable {
 public:
  JobTable(Context& context, JobState state) : out_(context.out()), all_(context.out().options().json) {
    Job any;
    any.state = state;
    out_.table(names_of(job_cells(any, all_)));
  }
  void show(const Job& job) { out_.row(cells_of(job_cells(job, all_))); }

 private:
  Output& out_;
  const bool all_;
};

int queues(Context& context, const Arguments& arguments) {
  const std::uint64_t limit = arguments.number("--limit");
  context.out().table({"queue"});
  show_pages<Bytes>(
      context, limit, {},
      [&](const ListOptions& options) {
        Listing<Bytes> names;
        names.items =
            list_queues(context.database(), options.cursor, options.limit, arguments.text("--prefix"));
        if (names.items.size() == options.limit) names.cursor = names.items.back();
        return names;
      },
      [&](const Bytes& queue) { context.out().row({Cell::bytes(queue)}); });
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Queue queue = queue_of(context, arguments);
  const JobState state = state_of(arguments.text("--state"));
  JobTable table(context, state);
  show_pages<Job>(
      context, arguments.number("--limit"), {.reverse = arguments.flag("--reverse")},
      [&](const ListOptions& options) { return queue.list(state, options); },
      [&](const Job& job) { table.show(job); });
  return kExitSuccess;
}

int peek(Context& context, const Arguments& arguments) {
  const std::vector<Job> jobs = queue_of(context, arguments).peek(arguments.number("--limit"));
  JobTable table(context, JobState::ready);
  for (const Job& job : jobs) table.show(job);
  return kExitSuccess;
}

int get(Context& context, const Arguments& arguments) {
  const std::optional<Job> job = queue_of(context, arguments).get(arguments.text("ID"));
  if (!job) throw Error(Code::not_found, "there is no such job in the queue");
  context.out().object(job_cells(*job, true));
  return kExitSuccess;
}

int cancel(Context& context, const Arguments& arguments) {
  if (!queue_of(context, arguments).cancel(arguments.text("ID"))) {
    throw Error(Code::not_found, "there is no such job in the queue that could be cancelled");
  }
  return kExitSuccess;
}

int stats(Context& context, const Arguments& arguments) {
  const QueueStats stats = queue_of(context, arguments).stats();
  context.out().object({{"ready", Cell::number(stats.ready)},
                        {"delayed", Cell::number(stats.delayed)},
                        {"waiting", Cell::number(stats.waiting)},
                        {"blocked", Cell::number(stats.blocked)},
                        {"leased", Cell::number(stats.leased)},
                        {"completed", Cell::number(stats.completed)},
                        {"dead", Cell::number(stats.dead)},
                        {"is_paused", Cell::boolean(stats.is_paused)},
                        {"first_ready_sent_at_ms", Cell::time(stats.first_ready_sent_at_ms)}});
  return kExitSuccess;
}

int pause(Context& context, const Arguments& arguments) {
  queue_of(context, arguments).pause();
  return kExitSuccess;
}

int resume(Context& context, const Arguments& arguments) {
  queue_of(context, arguments).resume();
  return kExitSuccess;
}

int purge(Context& context, const Arguments& arguments) {
  context.confirm("This removes all jobs of the queue that are ready, delayed, waiting or blocked.",
                  arguments.flag("--yes"));
  context.end_at_once_when_interrupted(kGoesOn);
  const std::uint64_t removed = queue_of(context, arguments).purge();
  context.out().object({{"removed", Cell::number(removed)}});
  return kExitSuccess;
}

// --- Settings ---

int get_settings(Context& context, const Arguments& arguments) {
  const QueueSettings settings = queue_of(context, arguments).settings();
  const auto duration = [](milliseconds value) { return Cell::number(std::int64_t{value.count()}); };
  const auto number = [](std::uint32_t value) { return Cell::number(std::uint64_t{value}); };
  context.out().object(
      {{"lease_ms", duration(settings.lease)},
       {"max_attempts", number(settings.max_attempts)},
       {"backoff_ms", duration(settings.backoff)},
       {"backoff_max_ms", duration(settings.backoff_max)},
       {"backoff_factor", Cell::real(settings.backoff_factor, 3)},
       {"backoff_jitter", Cell::real(settings.backoff_jitter, 3)},
       {"keep_completed_ms", duration(settings.keep_completed)},
       {"max_completed", number(settings.max_completed)},
       {"max_leased", number(settings.max_leased)},
       {"rate", number(settings.rate)},
       {"rate_interval_ms", duration(settings.rate_interval)},
       {"rate_burst", number(settings.rate_burst)},
       {"weights", Cell::json(nlohmann::json(settings.weights)
                                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))}});
  return kExitSuccess;
}

double real_of(const Arguments& arguments, const std::string& name) {
  const std::string& text = arguments.text(name);
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) {
    throw UsageError(name + " must be a number such as 1.5");
  }
  return number;
}

std::pair<Bytes, std::uint32_t> weight_of(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  std::uint32_t weight = 0;
  const char* last = text.data() + text.size();
  if (equals != std::string::npos) {
    const auto [end, problem] = std::from_chars(text.data() + equals + 1, last, weight);
    if (problem == std::errc{} && end == last) return {text.substr(0, equals), weight};
  }
  throw UsageError("--weight must be TENANT=NUMBER");
}

QueueSettings changed(QueueSettings settings, const Arguments& arguments) {
  const auto duration = [&](const char* name, milliseconds& value) {
    value = milliseconds_or_zero(arguments, name).value_or(value);
  };
  const auto number = [&](const char* name, std::uint32_t& value) {
    if (arguments.given(name)) value = small_number_of(arguments, name);
  };
  const auto real = [&](const char* name, double& value) {
    if (arguments.given(name)) value = real_of(arguments, name);
  };
  duration("--lease", settings.lease);
  number("--max-attempts", settings.max_attempts);
  duration("--backoff", settings.backoff);
  duration("--backoff-max", settings.backoff_max);
  real("--backoff-factor", settings.backoff_factor);
  real("--backoff-jitter", settings.backoff_jitter);
  duration("--keep-completed", settings.keep_completed);
  number("--max-completed", settings.max_completed);
  number("--max-leased", settings.max_leased);
  number("--rate", settings.rate);
  duration("--rate-interval", settings.rate_interval);
  number("--rate-burst", settings.rate_burst);
  for (const std::string& text : arguments.list("--weight")) {
    const auto [tenant, weight] = weight_of(text);
    settings.weights[tenant] = weight;
  }
  return settings;
}

int set_settings(Context& context, const Arguments& arguments) {
  const Queue queue = queue_of(context, arguments);
  context.database().transact([&](Transaction& transaction) {
    const QueueSettings before = arguments.flag("--reset") ? QueueSettings() : queue.settings(transaction);
    queue.set_settings(transaction, changed(before, arguments));
  });
  return kExitSuccess;
}

std::vector<Argument> settings_arguments() {
  return with_queue_prefix(
      {queue_argument(),
       {"--lease", "how long a delivery is a worker's own", Kind::duration},
       {"--max-attempts", "deliveries before a job goes to the dead letters", Kind::number, "COUNT"},
       {"--backoff", "the wait after the first failure, or 0", Kind::text, "TIME"},
       {"--backoff-max", "the longest wait after a failure, or 0", Kind::text, "TIME"},
       {"--backoff-factor", "how much longer each wait is than the one before", Kind::text, "NUMBER"},
       {"--backoff-jitter", "the random share of a wait, 0 to 1", Kind::text, "NUMBER"},
       {"--keep-completed", "how long a completed job can be read, or 0", Kind::text, "TIME"},
       {"--max-completed", "how many of those stay at most; 0: any number", Kind::number, "COUNT"},
       {"--max-leased", "jobs that are leased at once; 0: any number", Kind::number, "COUNT"},
       {"--rate", "deliveries in each interval; 0: any number", Kind::number, "COUNT"},
       {"--rate-interval", "the interval of the rate", Kind::duration},
       {"--rate-burst", "deliveries that are made up for at once; 0: those of an interval", Kind::number,
        "COUNT"},
       {.name = "--weight",
        .help = "how many jobs of a tenant have their turn before the next tenant's",
        .placeholder = "TENANT=NUMBER",
        .repeated = true},
       {"--reset", "what is not given is as in a queue that nobody has set", Kind::flag}});
}

// --- Dead letters ---

std::vector<Argument> filter_arguments() {
  return {{"--kind", "only of this kind", Kind::text, "KIND"},
          {"--reason",
           "only with this reason",
           Kind::choice,
           "",
           "",
           {"max_attempts", "permanent", "lease_expired", "body_lost", "child_failed", "unreadable"}},
          {"--since", "only what died then or later", Kind::instant},
          {"--before", "only what died before", Kind::instant}};
}

DeadFilter filter_of(const Arguments& arguments) {
  return {.kind = arguments.optional_text("--kind"),
          .reason = arguments.optional_text("--reason"),
          .since_ms = arguments.optional_instant_ms("--since"),
          .before_ms = arguments.optional_instant_ms("--before")};
}

int list_dead(Context& context, const Arguments& arguments) {
  const Queue queue = queue_of(context, arguments);
  const DeadFilter filter = filter_of(arguments);
  JobTable table(context, JobState::dead);
  show_pages<Job>(
      context, arguments.number("--limit"), {.reverse = arguments.flag("--reverse")},
      [&](const ListOptions& options) { return queue.dead(filter, options); },
      [&](const Job& job) { table.show(job); });
  return kExitSuccess;
}

bool has_filter(const Arguments& arguments) {
  for (const Argument& argument : filter_arguments()) {
    if (arguments.given(argument.name)) return true;
  }
  return false;
}

int requeue(Context& context, const Arguments& arguments) {
  Queue queue = queue_of(context, arguments);
  std::uint64_t requeued = 0;
  if (arguments.given("ID")) {
    if (has_filter(arguments)) throw UsageError("give an ID, or which ones, not both");
    if (!queue.requeue(arguments.text("ID"))) throw Error(Code::not_found, "there is no such dead letter");
    requeued = 1;
  } else {
    context.end_at_once_when_interrupted(kGoesOn);
    requeued = queue.requeue_dead(filter_of(arguments));
  }
  context.out().object({{"requeued", Cell::number(requeued)}});
  return kExitSuccess;
}

int erase_dead(Context& context, const Arguments& arguments) {
  if (!queue_of(context, arguments).erase_dead(arguments.text("ID"))) {
    throw Error(Code::not_found, "there is no such dead letter");
  }
  return kExitSuccess;
}

int purge_dead(Context& context, const Arguments& arguments) {
  context.confirm("This removes dead letters of the queue.", arguments.flag("--yes"));
  context.end_at_once_when_interrupted(kGoesOn);
  const std::uint64_t removed = queue_of(context, arguments).purge_dead(filter_of(arguments));
  context.out().object({{"removed", Cell::number(removed)}});
  return kExitSuccess;
}

std::vector<Argument> dead_arguments(std::vector<Argument> arguments, std::vector<Argument> more = {}) {
  arguments.insert(arguments.begin(), queue_argument());
  for (Argument& argument : filter_arguments()) arguments.push_back(std::move(argument));
  arguments.insert(arguments.end(), more.begin(), more.end());
  return with_queue_prefix(std::move(arguments));
}

std::vector<Command> dead_commands() {
  return {
      {.path = "queue dead list",
       .summary = "the dead letters of a queue, by id",
       .details = "With --json, or one by one with `queue get`, they have the errors of their attempts.",
       .arguments = dead_arguments({}, {kLimit, {"--reverse", "the newest first", Kind::flag}}),
       .examples = {{"queue dead list mail --reason max_attempts", "those that failed each time"}},
       .run = list_dead},
      {.path = "queue dead requeue",
       .summary = "make a dead letter a job again, or all that the options let through",
       .arguments = dead_arguments({{.name = "ID", .help = "of the one; without it, all"}}),
       .examples = {{"queue dead requeue mail 00000000000000a1-0000", "one"},
                    {"queue dead requeue mail --kind welcome", "all of a kind"}},
       .run = requeue},
      {.path = "queue dead delete",
       .summary = "remove a dead letter",
       .arguments = with_queue_prefix({queue_argument(), kId}),
       .examples = {{"queue dead delete mail 00000000000000a1-0000", "one"}},
       .run = erase_dead},
      {.path = "queue dead purge",
       .summary = "remove all dead letters that the options let through",
       .arguments = dead_arguments({}, {kYes}),
       .examples = {{"queue dead purge mail --before 2026-01-01T00:00:00Z --yes", "the old ones"}},
       .run = purge_dead},
  };
}

}  // namespace

std::vector<Command> queue_admin_commands() {
  std::vector<Command> commands = {
      {.path = "queue cancel",
       .summary = "remove a job that is not completed or dead; its worker loses the lease",
       .arguments = with_queue_prefix({queue_argument(), kId}),
       .examples = {{"queue cancel mail 00000000000000a1-0000", "it is not done any more"}},
       .run = cancel},
      {.path = "queue peek",
       .summary = "the jobs that would be delivered next, without taking them",
       .arguments = with_queue_prefix(
           {queue_argument(), {"--limit", "at most so many, up to 1000", Kind::number, "COUNT", "1"}}),
       .examples = {{"queue peek mail", "the next one"}},
       .run = peek},
      {.path = "queue get",
       .summary = "all that is known about a job, wherever it is",
       .arguments = with_queue_prefix({queue_argument(), kId}),
       .examples = {{"queue get mail 00000000000000a1-0000", "its state, errors and log too"}},
       .run = get},
      {.path = "queue list",
       .summary = "the jobs of a state, in the order in which they are delivered, are due or were sent",
       .arguments =
           with_queue_prefix({queue_argument(),
                              {"--state",
                               "which ones",
                               Kind::choice,
                               "",
                               "ready",
                               {"ready", "delayed", "waiting", "blocked", "leased", "completed", "dead"}},
                              kLimit,
                              {"--reverse", "from the last to the first", Kind::flag}}),
       .examples = {{"queue list mail --state leased", "what is being worked on"}},
       .run = list},
      {.path = "queue ls",
       .summary = "the queues that hold anything",
       .arguments = with_queue_prefix({kLimit}),
       .examples = {{"queue ls", "their names"}},
       .run = queues},
      {.path = "queue stats",
       .summary = "how many jobs there are in each state",
       .arguments = with_queue_prefix({queue_argument()}),
       .examples = {{"queue stats mail --json", "one object"}},
       .run = stats},
      {.path = "queue pause",
       .summary = "no job is delivered until the queue is resumed",
       .arguments = with_queue_prefix({queue_argument()}),
       .examples = {{"queue pause mail", "jobs can be sent and completed all the same"}},
       .run = pause},
      {.path = "queue resume",
       .summary = "jobs are delivered again",
       .arguments = with_queue_prefix({queue_argument()}),
       .examples = {{"queue resume mail", "after a pause"}},
       .run = resume},
      {.path = "queue purge",
       .summary = "remove all jobs that are ready, delayed, waiting or blocked",
       .arguments = with_queue_prefix({queue_argument(), kYes}),
       .examples = {{"queue purge mail --yes", "without a question"}},
       .run = purge},
      {.path = "queue settings get",
       .summary = "what all processes go by that work with a queue",
       .arguments = with_queue_prefix({queue_argument()}),
       .examples = {{"queue settings get mail", "all settings"}},
       .run = get_settings},
      {.path = "queue settings set",
       .summary = "change settings of a queue; those that are not given stay",
       .arguments = settings_arguments(),
       .examples = {{"queue settings set mail --max-attempts 10 --keep-completed 1d", "two of them"},
                    {"queue settings set mail --reset", "none are set any more"}},
       .run = set_settings},
  };
  for (Command& command : dead_commands()) commands.push_back(std::move(command));
  return commands;
}

}  // namespace holdfast::cli
