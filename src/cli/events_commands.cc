// holdfast events ...: event streams.

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "holdfast/events.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the streams lie", Kind::text, "PREFIX", "events"};
const Argument kStream{.name = "STREAM", .help = "the stream's name", .required = true};
const Argument kConsumer{.name = "CONSUMER", .help = "the consumer's name", .required = true};

Events events_of(Context& context, const Arguments& arguments) {
  return Events(context.database(), arguments.text("--prefix"));
}

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back(kPrefix);
  return arguments;
}

std::vector<Cell> cells_of(const Event& event) {
  return {Cell::text(event.id), Cell::time(event.time_ms), payload_cell(event.payload)};
}

int append(Context& context, const Arguments& arguments) {
  const Payload payload = payload_of(arguments);
  const EventId id = events_of(context, arguments).append(arguments.text("STREAM"), payload);
  context.out().object({{"id", Cell::text(id)}});
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Events events = events_of(context, arguments);
  const std::uint64_t limit = arguments.number("--limit");
  EventListOptions options;
  options.after = arguments.optional_text("--after").value_or("");
  options.before = arguments.optional_text("--before").value_or("");
  options.reverse = arguments.flag("--reverse");
  context.out().table({"id", "time_ms", "payload"});
  std::uint64_t shown = 0;
  do {
    context.check_interrupt();
    options.limit =
        limit == 0 ? limits::kListItems : std::min<std::uint64_t>(limits::kListItems, limit - shown);
    const Listing<Event> page = events.list(arguments.text("STREAM"), options);
    for (const Event& event : page.items) context.out().row(cells_of(event));
    shown += page.items.size();
    options.cursor = page.cursor;
  } while (!options.cursor.empty() && (limit == 0 || shown < limit));
  return kExitSuccess;
}

int follow(Context& context, const Arguments& arguments) {
  const Events events = events_of(context, arguments);
  const std::uint64_t count = arguments.number("--count");
  const Bytes& stream = arguments.text("STREAM");
  EventId after = arguments.optional_text("--after").value_or("");
  if (!arguments.given("--after") && !arguments.flag("--all")) after = events.last_id(stream).value_or("");
  context.out().table({"id", "time_ms", "payload"});
  EventSubscription subscription = events.subscribe(stream, after);
  for (std::uint64_t shown = 0; count == 0 || shown < count;) {
    context.check_interrupt("followed to the end");
    const auto soon = context.environment().clock->steady_now() + std::chrono::milliseconds(200);
    const std::optional<Event> event = subscription.next(soon);
    if (!event) continue;
    context.out().row(cells_of(*event));
    context.out().finish();
    ++shown;
  }
  return kExitSuccess;
}

int streams(Context& context, const Arguments& arguments) {
  const Events events = events_of(context, arguments);
  context.out().table({"stream", "appended_at_ms"});
  show_list<EventStream>(
      context, arguments, [&](const ListOptions& options) { return events.streams(options); },
      [&](const EventStream& stream) {
        context.out().row({Cell::bytes(stream.name), Cell::time(stream.appended_at_ms)});
      });
  return kExitSuccess;
}

int consumers(Context& context, const Arguments& arguments) {
  const Events events = events_of(context, arguments);
  const Bytes& stream = arguments.text("STREAM");
  context.out().table({"consumer", "offset", "holds", "lag"});
  show_list<EventConsumer>(
      context, arguments, [&](const ListOptions& options) { return events.consumers(stream, options); },
      [&](const EventConsumer& consumer) {
        context.out().row({Cell::bytes(consumer.name), Cell::text(consumer.offset),
                           Cell::boolean(consumer.holds), Cell::number(events.lag(stream, consumer.name))});
      });
  return kExitSuccess;
}

int read(Context& context, const Arguments& arguments) {
  Events events = events_of(context, arguments);
  const Bytes& stream = arguments.text("STREAM");
  const Bytes& consumer = arguments.text("CONSUMER");
  const std::vector<Event> found = events.read(stream, consumer, arguments.number("--limit"));
  context.out().table({"id", "time_ms", "payload"});
  for (const Event& event : found) context.out().row(cells_of(event));
  // Only what was printed counts as read.
  context.out().finish();
  if (arguments.flag("--commit") && !found.empty()) events.commit(stream, consumer, found.back().id);
  return kExitSuccess;
}

int commit(Context& context, const Arguments& arguments) {
  const bool is_there = events_of(context, arguments)
                            .commit(arguments.text("STREAM"), arguments.text("CONSUMER"),
                                    arguments.text("ID"), arguments.flag("--backwards"));
  if (!is_there) {
    throw Error(Code::conflict, "the consumer has read further already; --backwards moves it back");
  }
  return kExitSuccess;
}

int prune(Context& context, const Arguments& arguments) {
  EventRetention retention;
  if (const auto age_ms = arguments.optional_duration_ms("--max-age")) {
    retention.max_age = std::chrono::milliseconds(*age_ms);
  }
  if (arguments.given("--max-count")) retention.max_count = arguments.number("--max-count");
  Events events = events_of(context, arguments);
  context.end_at_once_when_interrupted(kGoesOn);
  const bool has_limits = retention.max_age || retention.max_count;
  const std::uint64_t removed =
      has_limits ? events.prune(arguments.text("STREAM"), retention) : events.prune(arguments.text("STREAM"));
  context.out().object({{"removed", Cell::number(removed)}});
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  context.confirm("This removes all events of the stream and its consumers.", arguments.flag("--yes"));
  context.end_at_once_when_interrupted(kGoesOn);
  if (!events_of(context, arguments).erase(arguments.text("STREAM"))) {
    throw Error(Code::not_found, "there is no such stream");
  }
  return kExitSuccess;
}

std::vector<Argument> append_arguments() {
  std::vector<Argument> arguments = {kStream};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  return with_prefix(std::move(arguments));
}

std::vector<Argument> consumers_arguments() {
  std::vector<Argument> arguments = {kStream};
  for (Argument& argument : list_arguments("names")) arguments.push_back(std::move(argument));
  return with_prefix(std::move(arguments));
}

}  // namespace

std::vector<Command> events_commands() {
  const Argument after{"--after", "only events behind this one", Kind::text, "ID"};
  return {
      {.path = "events append",
       .summary = "append an event to a stream and print its id",
       .arguments = append_arguments(),
       .examples = {{"events append orders '{\"item\":7}'", "one event"}},
       .run = append},
      {.path = "events list",
       .summary = "the events of a stream, by id",
       .arguments = with_prefix({kStream,
                                 after,
                                 {"--before", "only events in front of this one", Kind::text, "ID"},
                                 {"--limit", "at most so many; 0: all", Kind::number, "COUNT", "100"},
                                 {"--reverse", "the newest first", Kind::flag}}),
       .examples = {{"events list orders --reverse --limit 10", "the newest ten"}},
       .run = list},
      {.path = "events follow",
       .summary = "events as they come, until Ctrl-C",
       .details =
           "Begins with what comes from now on, behind --after, or with --all at the beginning. No event is "
           "left out and none comes twice.",
       .arguments = with_prefix({kStream,
                                 after,
                                 {"--all", "begin with the oldest event", Kind::flag},
                                 {"--count", "end after so many; 0: never", Kind::number, "COUNT", "0"}}),
       .examples = {{"events follow orders --json", "one JSON object per line"}},
       .run = follow},
      {.path = "events streams",
       .summary = "the streams there are",
       .arguments = with_prefix(list_arguments("names")),
       .examples = {{"events streams", "all of them"}},
       .run = streams},
      {.path = "events consumers",
       .summary = "who reads a stream, and how far",
       .arguments = consumers_arguments(),
       .examples = {{"events consumers orders", "offsets and lags"}},
       .run = consumers},
      {.path = "events read",
       .summary = "what a consumer has not read yet",
       .details =
           "The consumer stays where it is, unless --commit is given: then it moves behind what was printed.",
       .arguments = with_prefix({kStream,
                                 kConsumer,
                                 {"--limit", "at most so many, up to 1000", Kind::number, "COUNT", "100"},
                                 {"--commit", "move the consumer behind them", Kind::flag}}),
       .examples = {{"events read orders billing --commit", "the next hundred"}},
       .run = read},
      {.path = "events commit",
       .summary = "move a consumer behind an event",
       .arguments =
           with_prefix({kStream,
                        kConsumer,
                        {.name = "ID", .help = "of the last event that was dealt with", .required = true},
                        {"--backwards", "also to an earlier event", Kind::flag}}),
       .examples = {{"events commit orders billing 00000000000000a1-0000",
                     "everything up to this one is done"}},
       .run = commit},
      {.path = "events prune",
       .summary = "remove the oldest events, but none that a consumer holds",
       .details = "Without limits it goes by the stream's own retention.",
       .arguments = with_prefix({kStream,
                                 {"--max-age", "keep what is younger: 10s, 5m, 2h, 3d", Kind::duration},
                                 {"--max-count", "keep so many", Kind::number, "COUNT"}}),
       .examples = {{"events prune orders --max-age 30d", "a month stays"}},
       .run = prune},
      {.path = "events delete",
       .summary = "remove a stream with its consumers",
       .arguments = with_prefix({kStream, {"--yes", "do not ask", Kind::flag}}),
       .examples = {{"events delete orders --yes", "without a question"}},
       .run = erase},
  };
}

}  // namespace holdfast::cli
