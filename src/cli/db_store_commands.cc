// holdfast db ls|stat|digest|compact|check|repair|drop|views and holdfast urls: databases and stores as a
// whole.

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/views.h"
#include "contract/hex.h"
#include "holdfast/maintenance.h"
#include "holdfast/open.h"
#include "migrate/text.h"
#include "services/database_sizes.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kYes{"--yes", "do not ask", Kind::flag};

std::vector<Cell> database_cells(Store& store, const Bytes& name) {
  try {
    const Position at = store.database(name).position();
    return {Cell::text(name), Cell::number(at.seq), Cell::text(hex16(at.history)), Cell::text("open")};
  } catch (const Error& error) {
    if (error.code() != Code::unavailable && error.code() != Code::moved) throw;
    const char* state = error.code() == Code::moved ? "moved" : "being loaded";
    return {Cell::text(name), Cell::none(), Cell::none(), Cell::text(state)};
  }
}

int list(Context& context, const Arguments& arguments) {
  Store& store = context.store();
  const Bytes prefix = arguments.optional_text("PREFIX").value_or("");
  context.out().table({"database", "seq", "history", "state"});
  Bytes after;
  for (bool more = true; more;) {
    context.check_interrupt();
    const std::vector<Bytes> names = store.databases(prefix, after, 1'000);
    for (const Bytes& name : names) context.out().row(database_cells(store, name));
    more = names.size() == 1'000;
    if (more) after = names.back();
  }
  return kExitSuccess;
}

[[noreturn]] void no_such_database(const Bytes& name) {
  throw Error(Code::not_found, "there is no database \"" + printable(name) + "\" in this store");
}

/// A misspelt name would otherwise look like a database that is empty.
Database known_database(Context& context) {
  Database database = context.database();
  if (database.position().history == 0) no_such_database(database.name());
  return database;
}

int stat(Context& context, const Arguments&) {
  const Database database = known_database(context);
  const DatabaseSizes sizes = sizes_of(database, [&] { context.check_interrupt(); });
  const Position at = database.position();
  context.out().object({{"database", Cell::text(database.name())},
                        {"history", Cell::text(hex16(at.history))},
                        {"seq", Cell::number(at.seq)},
                        {"entries", Cell::number(sizes.entries)},
                        {"expiring", Cell::number(sizes.expiring)},
                        {"key_bytes", Cell::number(sizes.key_bytes)},
                        {"value_bytes", Cell::number(sizes.value_bytes)},
                        {"largest_value_bytes", Cell::number(sizes.largest_value_bytes)},
                        {"objects", Cell::number(sizes.objects)},
                        {"object_bytes", Cell::number(sizes.object_bytes)},
                        {"unfinished_uploads", Cell::number(sizes.unfinished_uploads)}});
  return kExitSuccess;
}

int digest(Context& context, const Arguments&) {
  const Database database = known_database(context);
  const Deadline deadline = context.environment().clock->steady_now() + std::chrono::hours(24);
  context.end_at_once_when_interrupted("nothing was changed");
  const Digest digest = database.digest(deadline);
  context.out().object({{"database", Cell::text(database.name())},
                        {"digest", Cell::text(hex16(digest.high) + hex16(digest.low))},
                        {"entries", Cell::number(digest.entries)},
                        {"history", Cell::text(hex16(digest.at.history))},
                        {"seq", Cell::number(digest.at.seq)}});
  return kExitSuccess;
}

int compact(Context& context, const Arguments& arguments) {
  Database database = known_database(context);
  const Seq before = arguments.given("--before") ? arguments.number("--before") : database.position().seq;
  const Seq floor = database.compact(before);
  context.out().object(
      {{"database", Cell::text(database.name())}, {"log_begins_after", Cell::number(floor)}});
  return kExitSuccess;
}

int show(Context& context, const CheckReport& report) {
  Output& out = context.out();
  if (out.options().json) {
    for (const std::string& problem : report.problems) out.object({{"problem", Cell::text(problem)}});
    for (const std::string& lost : report.lost) out.object({{"lost", Cell::text(lost)}});
  } else {
    for (const std::string& problem : report.problems) out.say(out.red("problem: ") + problem);
    for (const std::string& lost : report.lost) out.say(out.red("lost: ") + lost);
  }
  out.object({{"databases", Cell::number(report.databases)},
              {"entries", Cell::number(report.entries)},
              {"commits", Cell::number(report.commits)},
              {"problems", Cell::number(std::uint64_t{report.problems.size()})}});
  return report.ok() ? kExitSuccess : kExitNo;
}

int check(Context& context, const Arguments&) {
  context.end_at_once_when_interrupted("nothing was changed");
  return show(context, check_store(context.url(), context.environment()));
}

int repair(Context& context, const Arguments& arguments) {
  context.url();
  context.confirm(
      "This writes to the damaged store, which must not be open anywhere; make a copy of its files first.",
      arguments.flag("--yes"));
  context.end_at_once_when_interrupted("what was damaged is kept; the same command goes on with it");
  const CheckReport report = repair_store(context.url(), context.environment());
  show(context, report);
  return report.lost.empty() ? kExitSuccess : kExitNo;
}

bool dropped(Context& context, const Bytes& name) {
  try {
    return context.store().drop(name);
  } catch (const Error& error) {
    // A database that is being loaded lets nobody read it, and is dropped by its history, which is 0.
    if (error.code() != Code::unavailable) throw;
    context.close_store();
    const std::unique_ptr<Backend> backend = open_backend(context.url(), context.environment());
    return backend->drop(name, 0, context.environment().clock->steady_now() + std::chrono::seconds(30));
  }
}

int drop(Context& context, const Arguments& arguments) {
  const Bytes name = context.database_name();
  context.store().database(name);
  context.confirm("This removes the database \"" + printable(name) + "\" and everything in it.",
                  arguments.flag("--yes"));
  if (!dropped(context, name)) no_such_database(name);
  context.out().object({{"dropped", Cell::text(name)}});
  return kExitSuccess;
}

int views(Context& context, const Arguments& arguments) {
  const Database database = known_database(context);
  const SqlDialect dialect =
      arguments.text("--dialect") == "sqlite" ? SqlDialect::sqlite : SqlDialect::postgresql;
  for (const SqlView& view : sql_views_of(database, dialect, [&] { context.check_interrupt(); })) {
    if (context.out().options().json) {
      context.out().object({{"view", Cell::text(view.name)}, {"sql", Cell::text(view.sql)}});
    } else {
      context.out().raw(view.sql + "\n");
    }
  }
  return kExitSuccess;
}

int urls(Context& context, const Arguments&) {
  context.out().document("urls", describe_urls());
  return kExitSuccess;
}

}  // namespace

std::vector<Command> db_store_commands() {
  return {
      {.path = "db ls",
       .summary = "the databases of the store",
       .arguments = {{.name = "PREFIX", .help = "only names that start with this"}},
       .examples = {{"db ls --store sqlite:data/store.db", "all of them"}},
       .run = list},
      {.path = "db stat",
       .summary = "how much a database holds",
       .details = "Reads all of it. The counts are of pages read one after another: exact if nobody writes.",
       .examples = {{"db stat --db agents", "entries, bytes, objects, position"}},
       .run = stat},
      {.path = "db digest",
       .summary = "a checksum over all live entries, equal wherever the same data lie",
       .details =
           "Reads all of the database. Two databases with equal digests hold the same keys, values and "
           "expiries, whatever stores they lie in.",
       .examples = {{"db digest --db agents", "to compare with a copy"}},
       .run = digest},
      {.path = "db compact",
       .summary = "trim the change log",
       .details = "Whoever follows the log from before that has to start again. Pinned parts of it stay.",
       .arguments = {{"--before", "keep the log above this commit; without it, the newest", Kind::number,
                      "SEQ"}},
       .examples = {{"db compact --db agents", "free the space of the whole log"}},
       .run = compact},
      {.path = "db check",
       .summary = "read every byte of the store and say what is wrong with it",
       .details = "Changes nothing. Exits with 1 if there are problems.",
       .examples = {{"db check --store file:///data/store", "one line for each problem, then counts"}},
       .run = check},
      {.path = "db repair",
       .summary = "save what can be saved of a damaged store",
       .details =
           "Exits with 1 if something was lost; it is said what. May be interrupted at any time: damaged "
           "files "
           "are copied into a folder beside the others before they are replaced, and a second run goes on.",
       .arguments = {kYes},
       .examples = {{"db repair --store file:///data/store", "after a copy of the files was made"}},
       .run = repair},
      {.path = "db drop",
       .summary = "remove a database and everything in it",
       .details = "Also ends an unfinished load or copy into it.",
       .arguments = {kYes},
       .examples = {{"db drop --db scratch --yes", "without a question"}},
       .run = drop},
      {.path = "db views",
       .summary = "CREATE VIEW statements that show the entries as typed columns, for SQL stores",
       .details =
           "Entries whose keys begin with the same two segments become one view. Its columns are the members "
           "that the JSON values of a sample have. The views stand on the store's view `readable`. They are "
           "temporary, since nobody but Holdfast may write the store's tables: make them in each session. In "
           "PostgreSQL with the store's schema in the search_path.",
       .arguments = {{.name = "--dialect",
                      .help = "whose SQL",
                      .kind = Kind::choice,
                      .otherwise = "sqlite",
                      .choices = {"sqlite", "postgresql"}}},
       .examples = {{"db views --db agents > views.sql", "then: sqlite3 -readonly store.db -init views.sql"},
                    {"db views --db agents --dialect postgresql > views.sql",
                     "then: PGOPTIONS='-c search_path=holdfast' psql production, and \\i views.sql"}},
       .run = views},
      {.path = "urls",
       .summary = "all store URLs: schemes, layers and options",
       .examples = {{"urls", "what can stand behind --store"}},
       .run = urls},
  };
}

}  // namespace holdfast::cli
