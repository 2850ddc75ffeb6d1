// holdfast tasks ...: units of work that task engines do, for those who add them and look after them.

#include <nlohmann/json.hpp>

#include "cli/command_tree.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "cli/queue_arguments.h"
#include "holdfast/tasks.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;
using std::chrono::milliseconds;

const Argument kId{.name = "ID", .help = "of the task", .required = true};
const Argument kLimit{"--limit", "at most so many; 0: all", Kind::number, "COUNT", "100"};
const Argument kType{"--type", "only of this type", Kind::text, "TYPE"};

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back({"--prefix", "where in the database the tasks lie", Kind::text, "PREFIX", "task"});
  return arguments;
}

Tasks tasks_of(Context& context, const Arguments& arguments) {
  return Tasks(context.database(), {.prefix = arguments.text("--prefix")});
}

NamedCells cells_of_attempt(const TaskAttempt& attempt) {
  return {{"task", Cell::text(attempt.task)},
          {"type", Cell::text(attempt.type)},
          {"number", Cell::number(std::uint64_t{attempt.number})},
          {"result", Cell::text(name(attempt.result))},
          {"started_at_ms", Cell::time(attempt.started_at_ms)},
          {"ended_at_ms", Cell::time(attempt.ended_at_ms)},
          {"session", Cell::text(attempt.session)},
          {"error", text_or_none(attempt.error)}};
}

/// What fits a line, or all of it.
NamedCells cells_of_task(const Task& task, bool all) {
  const bool is_running = task.state == TaskState::running;
  const bool is_dead = task.state == TaskState::dead;
  NamedCells row = {{"id", Cell::text(task.id)},
                    {"type", Cell::text(task.type)},
                    {"state", Cell::text(name(task.state))},
                    {"attempts", Cell::number(std::uint64_t{task.attempts})},
                    {"retries", Cell::number(std::uint64_t{task.retries})},
                    {"due_at_ms", is_dead ? Cell::none() : Cell::time(task.due_at_ms)}};
  if (all || is_running) {
    row.emplace_back("started_at_ms", is_running ? Cell::time(task.started_at_ms) : Cell::none());
  }
  if (all || is_dead) row.emplace_back("died_at_ms", is_dead ? Cell::time(task.died_at_ms) : Cell::none());
  row.emplace_back("error", text_or_none(task.error));
  if (all) {
    row.emplace_back("added_at_ms", Cell::time(task.added_at_ms));
    row.emplace_back("added_by", text_or_none(task.added_by));
    row.emplace_back("previous", text_or_none(task.previous));
    row.emplace_back("session", text_or_none(task.session));
    row.emplace_back("unique_key", text_or_none(task.unique_key));
  }
  row.emplace_back("body", payload_cell(task.body));
  return row;
}

[[noreturn]] void no_such_task(const std::string& which) {
  throw Error(Code::not_found, "there is no such task" + which);
}

// --- Adding and looking ---

int add(Context& context, const Arguments& arguments) {
  NewTask task;
  task.body = optional_payload_of(arguments).value_or(Payload());
  task.unique_key = arguments.optional_text("--unique-key").value_or("");
  task.delay = milliseconds_of(arguments, "--delay").value_or(milliseconds(0));
  task.previous = arguments.optional_text("--previous").value_or("");
  const std::optional<TaskId> id = tasks_of(context, arguments).add(arguments.text("TYPE"), task);
  context.out().object({{"id", id ? Cell::text(*id) : Cell::none()}, {"is_new", Cell::boolean(!!id)}});
  return kExitSuccess;
}

int get(Context& context, const Arguments& arguments) {
  const Tasks tasks = tasks_of(context, arguments);
  const std::optional<Task> task = tasks.get(arguments.text("ID"));
  if (!task)
    no_such_task(" that waits, runs or is dead; `tasks history` has the attempts of one that is done");
  NamedCells row = cells_of_task(*task, true);
  nlohmann::json history = nlohmann::json::array();
  for (const TaskAttempt& attempt : tasks.history(task->id)) {
    history.push_back({{"number", attempt.number},
                       {"result", name(attempt.result)},
                       {"started_at_ms", attempt.started_at_ms},
                       {"ended_at_ms", attempt.ended_at_ms},
                       {"session", attempt.session}});
    if (!attempt.error.empty()) history.back()["error"] = attempt.error;
  }
  row.emplace_back("history", Cell::json(history.dump()));
  context.out().object(row);
  return kExitSuccess;
}

TaskState state_of(const std::string& word) {
  for (const TaskState state : {TaskState::running, TaskState::dead}) {
    if (word == name(state)) return state;
  }
  return TaskState::waiting;
}

int list(Context& context, const Arguments& arguments) {
  const Tasks tasks = tasks_of(context, arguments);
  const TaskState state = state_of(arguments.text("--state"));
  const bool all = context.out().options().json;
  Task any;
  any.state = state;
  context.out().table(names_of(cells_of_task(any, all)));
  show_pages<Task>(
      context, arguments.number("--limit"), {.reverse = arguments.flag("--reverse")},
      [&](const ListOptions& options) {
        return tasks.list(state, arguments.optional_text("--type"), options);
      },
      [&](const Task& task) { context.out().row(cells_of(cells_of_task(task, all))); });
  return kExitSuccess;
}

int history(Context& context, const Arguments& arguments) {
  const Tasks tasks = tasks_of(context, arguments);
  const auto show = [&](const TaskAttempt& attempt) {
    context.out().row(cells_of(cells_of_attempt(attempt)));
  };
  context.out().table(names_of(cells_of_attempt({})));
  if (!arguments.given("ID")) {
    show_pages<TaskAttempt>(
        context, arguments.number("--limit"), {.reverse = arguments.flag("--reverse")},
        [&](const ListOptions& options) { return tasks.history(options); }, show);
    return kExitSuccess;
  }
  if (arguments.flag("--reverse") || arguments.given("--limit")) {
    throw UsageError("--limit and --reverse are for the attempts of all tasks, without an ID");
  }
  for (const TaskAttempt& attempt : tasks.history(arguments.text("ID"))) show(attempt);
  return kExitSuccess;
}

int types(Context& context, const Arguments& arguments) {
  context.out().table({"type", "waiting", "running", "dead"});
  for (const auto& [type, stats] : tasks_of(context, arguments).stats_by_type()) {
    context.out().row({Cell::text(type), Cell::number(stats.waiting), Cell::number(stats.running),
                       Cell::number(stats.dead)});
  }
  return kExitSuccess;
}

int stats(Context& context, const Arguments& arguments) {
  const TaskStats stats = tasks_of(context, arguments).stats();
  context.out().object({{"waiting", Cell::number(stats.waiting)},
                        {"running", Cell::number(stats.running)},
                        {"dead", Cell::number(stats.dead)}});
  return kExitSuccess;
}

int sessions(Context& context, const Arguments& arguments) {
  context.out().table({"id", "started_at_ms", "lease_ends_at_ms", "is_over"});
  for (const TaskSession& session : tasks_of(context, arguments).sessions()) {
    context.out().row({Cell::text(session.id), Cell::time(session.started_at_ms),
                       Cell::time(session.lease_ends_at_ms), Cell::boolean(session.is_over)});
  }
  return kExitSuccess;
}

// --- Looking after them ---

int cancel(Context& context, const Arguments& arguments) {
  if (!tasks_of(context, arguments).cancel(arguments.text("ID"))) no_such_task(" that waits or runs");
  return kExitSuccess;
}

int revive(Context& context, const Arguments& arguments) {
  Tasks tasks = tasks_of(context, arguments);
  std::uint64_t revived = 0;
  std::uint64_t left = 0;
  if (arguments.given("ID")) {
    if (arguments.given("--type")) throw UsageError("give an ID, or which type, not both");
    if (!tasks.revive(arguments.text("ID"))) no_such_task(" that is dead");
    revived = 1;
  } else {
    // One after the other: each is a commit of its own.
    const auto one = [&](const Task& task) {
      context.check_interrupt(kGoesOn);
      try {
        revived += tasks.revive(task.id) ? 1 : 0;
      } catch (const Error& error) {
        if (error.code() != Code::already_exists) throw;
        ++left;
      }
    };
    show_pages<Task>(
        context, 0, {},
        [&](const ListOptions& options) {
          return tasks.list(TaskState::dead, arguments.optional_text("--type"), options);
        },
        one);
  }
  context.out().object({{"revived", Cell::number(revived)}, {"left", Cell::number(left)}});
  return kExitSuccess;
}

int erase_dead(Context& context, const Arguments& arguments) {
  if (!tasks_of(context, arguments).erase_dead(arguments.text("ID"))) no_such_task(" that is dead");
  return kExitSuccess;
}

int trim(Context& context, const Arguments& arguments) {
  TaskRetention retention{.max_attempts = 0, .max_age = milliseconds(0)};
  if (arguments.given("--max-attempts")) retention.max_attempts = arguments.number("--max-attempts");
  if (retention.max_attempts == 0 && arguments.given("--max-attempts")) {
    throw UsageError("--max-attempts is at least 1");
  }
  retention.max_age = milliseconds_of(arguments, "--max-age").value_or(milliseconds(0));
  if (retention.max_attempts == 0 && retention.max_age.count() == 0) {
    throw UsageError("give --max-attempts or --max-age");
  }
  context.end_at_once_when_interrupted(kGoesOn);
  const std::uint64_t removed = tasks_of(context, arguments).trim(retention);
  context.out().object({{"removed", Cell::number(removed)}});
  return kExitSuccess;
}

const std::string kExampleId = "019a8b2c3d4e0123456789abcdef0123";

std::vector<Argument> add_arguments() {
  std::vector<Argument> arguments = {
      {.name = "TYPE", .help = "one that an engine does, or will do", .required = true}};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--unique-key", "no task is added while another one of the type and this key lives",
                       Kind::text, "KEY"});
  arguments.push_back({"--delay", "not before so much time has passed", Kind::duration});
  arguments.push_back({"--previous", "the task that it follows, for those who look at it", Kind::text, "ID"});
  return with_prefix(std::move(arguments));
}

std::vector<Command> looking_commands() {
  return {
      {.path = "tasks get",
       .summary = "all that is known about a task, with the history of its attempts",
       .arguments = with_prefix({kId}),
       .examples = {{"tasks get " + kExampleId, "its state, error and attempts"}},
       .run = get},
      {.path = "tasks list",
       .summary = "the tasks of a state; waiting ones type by type in the order in which they are due",
       .arguments = with_prefix(
           {{"--state", "which ones", Kind::choice, "", "waiting", {"waiting", "running", "dead"}},
            kType,
            kLimit,
            {"--reverse", "from the last to the first", Kind::flag}}),
       .examples = {{"tasks list --state running", "what is being done"},
                    {"tasks list --state dead --type prove", "what has failed too often"}},
       .run = list},
      {.path = "tasks types",
       .summary = "the types that have tasks, and how many in each state",
       .arguments = with_prefix({}),
       .examples = {{"tasks types", "one line for each"}},
       .run = types},
      {.path = "tasks stats",
       .summary = "how many tasks there are in each state",
       .arguments = with_prefix({}),
       .examples = {{"tasks stats --json", "one object"}},
       .run = stats},
      {.path = "tasks history",
       .summary = "the attempts of a task, first to last, or of all tasks in the order in which they ended",
       .details = "A task that is done is gone, but its attempts are there as long as they are kept.",
       .arguments = with_prefix({{.name = "ID", .help = "of the one; without it, all"},
                                 kLimit,
                                 {"--reverse", "those that ended last first", Kind::flag}}),
       .examples = {{"tasks history " + kExampleId, "of one"},
                    {"tasks history --reverse --limit 20", "the last ones of all"}},
       .run = history},
      {.path = "tasks sessions",
       .summary = "the engines that run, or have ended without a word and are not taken over yet",
       .arguments = with_prefix({}),
       .examples = {{"tasks sessions", "with the ends of their leases"}},
       .run = sessions},
  };
}

}  // namespace

std::vector<Command> tasks_commands() {
  std::vector<Command> commands = {
      {.path = "tasks add",
       .summary = "add a task and print its id",
       .details = "It is done by a program that has a task engine with the type. Where a task has the unique "
                  "key already nothing is added, and is_new is no.",
       .arguments = add_arguments(),
       .examples = {{"tasks add prove '{\"set\":7}' --unique-key set-7", "a task"},
                    {"tasks add prove --delay 5m", "later, with null as the body"}},
       .run = add},
      {.path = "tasks cancel",
       .summary = "remove a task that waits or runs; whoever runs it is asked to stop",
       .arguments = with_prefix({kId}),
       .examples = {{"tasks cancel " + kExampleId, "it is not done any more"}},
       .run = cancel},
      {.path = "tasks revive",
       .summary = "let a dead task wait again, with no retries counted, or all dead ones",
       .details = "Without an ID those are left dead whose unique key another task has.",
       .arguments = with_prefix({{.name = "ID", .help = "of the one; without it, all"}, kType}),
       .examples = {{"tasks revive " + kExampleId, "one"}, {"tasks revive --type prove", "all of a type"}},
       .run = revive},
      {.path = "tasks delete",
       .summary = "remove a dead task; its attempts stay",
       .arguments = with_prefix({kId}),
       .examples = {{"tasks delete " + kExampleId, "one"}},
       .run = erase_dead},
      {.path = "tasks trim",
       .summary = "remove records of attempts, the oldest first",
       .details = "Engines do so by themselves.",
       .arguments = with_prefix({{"--max-attempts", "so many stay", Kind::number, "COUNT"},
                                 {"--max-age", "those stay that ended no longer ago", Kind::duration}}),
       .examples = {{"tasks trim --max-age 7d", "what is a week old"}},
       .run = trim},
  };
  for (Command& command : looking_commands()) commands.push_back(std::move(command));
  return commands;
}

}  // namespace holdfast::cli
