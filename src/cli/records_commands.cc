// holdfast records ...: versioned documents.

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "holdfast/records.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the records lie", Kind::text, "PREFIX", "records"};
const Argument kKey{.name = "KEY", .help = "1 to 1024 bytes", .required = true};
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
  if (context.out().options().json) {
    context.out().table(names());
    context.out().row(cells_of(*record));
  } else {
    print_payload(context, record->value);
  }
  return kExitSuccess;
}

int put(Context& context, const Arguments& arguments) {
  RecordPutOptions options;
  options.only_if_absent = arguments.flag("--if-absent");
  options.only_if_version = version_of(arguments);
  const auto version =
      records_of(context, arguments).put(arguments.text("KEY"), payload_of(arguments), options);
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

std::vector<Argument> put_arguments() {
  std::vector<Argument> arguments = {kKey};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--if-absent", "only if there is no record", Kind::flag});
  arguments.push_back(kIfVersion);
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
  };
}

}  // namespace holdfast::cli
