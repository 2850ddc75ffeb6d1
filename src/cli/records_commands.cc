// holdfast records ...: versioned documents.
#include <algorithm>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "holdfast/records.h"
#include "services/record_bounds.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the records lie", Kind::text, "PREFIX", "records"};
const Argument kKey{.name = "KEY", .help = "1 to 1024 bytes", .required = true};
const Argument kIndex{.name = "INDEX", .help = "the index's name", .required = true};
const Argument kIfVersion{"--if-version", "only if the record has this version", Kind::number, "VERSION"};

Records records_of(Context& context, const Arguments& arguments) {
  return Records(context.database(), arguments.text("--prefix"));
}

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back(kPrefix);
  return arguments;
}

std::optional<std::uint64_t> version_of(const Arguments& arguments) {
  if (!arguments.given("--if-version")) return std::nullopt;
  return arguments.number("--if-version");
}

std::vector<std::string> names() { return {"key", "version", "created_at_ms", "updated_at_ms", "value"}; }

std::vector<Cell> cells_of(const Record& record) {
  return {Cell::bytes(record.key), Cell::number(record.version), Cell::time(record.created_at_ms),
          Cell::time(record.updated_at_ms), payload_cell(record.value)};
}

[[noreturn]] void no_such_record() { throw Error(Code::not_found, "there is no record under this key"); }

int get(Context& context, const Arguments& arguments) {
  const std::optional<Record> record = records_of(context, arguments).get(arguments.text("KEY"));
  if (!record) no_such_record();
  show_one(context, names(), cells_of(*record), record->value);
  return kExitSuccess;
}

int put(Context& context, const Arguments& arguments) {
  RecordPutOptions options;
  options.only_if_absent = arguments.flag("--if-absent");
  options.only_if_version = version_of(arguments);
  const Payload payload = payload_of(arguments);
  const auto version = records_of(context, arguments).put(arguments.text("KEY"), payload, options);
  if (!version) {
    throw Error(Code::conflict,
                "the record is not what --if-absent or --if-version demands; nothing was changed");
  }
  context.out().object({{"version", Cell::number(*version)}});
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  Records records = records_of(context, arguments);
  const Bytes& key = arguments.text("KEY");
  if (!records.erase(key, {.only_if_version = version_of(arguments)})) {
    if (!arguments.given("--if-version") || !records.get(key)) no_such_record();
    throw Error(Code::conflict, "the record has another version; nothing was changed");
  }
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Records records = records_of(context, arguments);
  context.out().table(names());
  show_list<Record>(
      context, arguments,
      [&](const ListOptions& options) {
        RecordListOptions wanted;
        wanted.prefix = options.prefix;
        wanted.cursor = options.cursor;
        wanted.limit = options.limit;
        wanted.reverse = options.reverse;
        return records.list(wanted);
      },
      [&](const Record& record) { context.out().row(cells_of(record)); });
  return kExitSuccess;
}

int add_index(Context& context, const Arguments& arguments) {
  Records records = records_of(context, arguments);
  const Bytes& name = arguments.text("INDEX");
  records.index(name, arguments.text("PATH"), {.unique = arguments.flag("--unique")});
  // The records that are there are added by this process, so it stays until they are.
  for (;;) {
    context.check_interrupt("the index is not complete; the same command goes on with it");
    try {
      records.wait_for_index(name, context.environment().clock->steady_now() + std::chrono::seconds(1));
      return kExitSuccess;
    } catch (const Error& error) {
      if (error.code() != Code::timeout && error.code() != Code::conflict) throw;
    }
  }
}

int drop_index(Context& context, const Arguments& arguments) {
  context.end_at_once_when_interrupted(kGoesOn);
  if (!records_of(context, arguments).drop_index(arguments.text("INDEX"))) {
    throw Error(Code::not_found, "there is no such index");
  }
  return kExitSuccess;
}

int list_indexes(Context& context, const Arguments& arguments) {
  context.out().table({"index", "path", "unique", "state"});
  for (const RecordIndex& index : records_of(context, arguments).indexes()) {
    context.out().row({Cell::bytes(index.name), Cell::bytes(index.path), Cell::boolean(index.unique),
                       Cell::text(std::string(name(index.state)))});
  }
  return kExitSuccess;
}

/// An indexed value on the command line: JSON, or what is no JSON as a string.
std::optional<Payload> value_of(const Arguments& arguments, const std::string& name) {
  const std::optional<std::string> text = arguments.optional_text(name);
  if (!text) return std::nullopt;
  try {
    return Payload::parse(*text);
  } catch (const Error&) {
    return Payload(*text);
  }
}

/// "--at-least"
std::string option_of(const RecordBound& bound) {
  std::string option = std::string("--") + bound.name;
  std::ranges::replace(option, '_', '-');
  return option;
}

int find(Context& context, const Arguments& arguments) {
  const Records records = records_of(context, arguments);
  const std::uint64_t limit = arguments.number("--limit");
  RecordQuery query;
  for (const RecordBound& bound : kRecordBounds) query.*bound.value = value_of(arguments, option_of(bound));
  query.starts_with = arguments.optional_text("--starts-with");
  query.reverse = arguments.flag("--reverse");
  context.out().table(names());
  std::uint64_t shown = 0;
  do {
    context.check_interrupt();
    query.limit =
        limit == 0 ? limits::kListItems : std::min<std::uint64_t>(limits::kListItems, limit - shown);
    const Listing<Record> page = records.find(arguments.text("INDEX"), query);
    for (const Record& record : page.items) context.out().row(cells_of(record));
    shown += page.items.size();
    query.cursor = page.cursor;
  } while (!query.cursor.empty() && (limit == 0 || shown < limit));
  return kExitSuccess;
}

std::vector<Argument> put_arguments() {
  std::vector<Argument> arguments = {kKey};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--if-absent", "only if there is no record", Kind::flag});
  arguments.push_back(kIfVersion);
  return with_prefix(std::move(arguments));
}

std::vector<Argument> find_arguments() {
  std::vector<Argument> arguments = {kIndex};
  for (const RecordBound& bound : kRecordBounds) {
    arguments.push_back({option_of(bound), std::string("records ") + bound.meaning, Kind::text, "VALUE"});
  }
  arguments.push_back({"--starts-with", "records with a string that begins so", Kind::text, "TEXT"});
  arguments.push_back({"--limit", "at most so many; 0: all", Kind::number, "COUNT", "100"});
  arguments.push_back({"--reverse", "from the largest value to the smallest", Kind::flag});
  return with_prefix(std::move(arguments));
}

}  // namespace

std::vector<Command> records_commands() {
  return {
      {.path = "records get",
       .summary = "the value of a record; with --json its versions and times too",
       .arguments = with_prefix({kKey}),
       .examples = {{"records get ada", "the document"}},
       .run = get},
      {.path = "records put",
       .summary = "put a record and print its version",
       .arguments = put_arguments(),
       .examples = {{"records put ada '{\"age\":36}'", "a document"},
                    {"records put ada --file ada.json --if-version 3", "unless somebody else was faster"}},
       .run = put},
      {.path = "records delete",
       .summary = "remove a record",
       .arguments = with_prefix({kKey, kIfVersion}),
       .examples = {{"records delete ada", "whatever version it has"}},
       .run = erase},
      {.path = "records list",
       .summary = "records in the order of their keys",
       .arguments = with_prefix(list_arguments("keys")),
       .examples = {{"records list a --limit 0 --json", "all whose keys start with a"}},
       .run = list},
      {.path = "records find",
       .summary = "records by their value in an index",
       .details =
           "Values are JSON; what is no JSON is taken as a string. All conditions hold; without one all "
           "records of the index are listed, in the order of their values.",
       .arguments = find_arguments(),
       .examples = {{"records find by_email --equals ada@example.com", "one value"},
                    {"records find by_age --at-least 18 --below 65 --json", "a range"}},
       .run = find},
      {.path = "records index",
       .summary = "declare an index and wait until it is complete",
       .details = "The index is over what is at a JSON pointer in the documents. From now on every change of "
                  "a record "
                  "changes it in the same commit.",
       .arguments =
           with_prefix({kIndex,
                        {.name = "PATH", .help = "such as /email or /address/city", .required = true},
                        {"--unique", "no two records have the same value", Kind::flag}}),
       .examples = {{"records index by_email /email --unique", "emails are found fast, and are unique"}},
       .run = add_index},
      {.path = "records indexes",
       .summary = "the indexes there are",
       .arguments = with_prefix({}),
       .examples = {{"records indexes", "names, paths, states"}},
       .run = list_indexes},
      {.path = "records unindex",
       .summary = "remove an index; the records stay",
       .arguments = with_prefix({kIndex}),
       .examples = {{"records unindex by_email", "frees its space"}},
       .run = drop_index},
  };
}

}  // namespace holdfast::cli
