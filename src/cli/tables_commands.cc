// holdfast tables ...: tables of documents, and the move from PikoDB.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/input.h"
#include "cli/payloads.h"
#include "holdfast/pikodb_import.h"
#include "holdfast/tables.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the tables lie", Kind::text, "PREFIX", "tables"};
const Argument kTable{.name = "TABLE", .help = "the table's name", .required = true};
const Argument kKey{.name = "KEY", .help = "1 to 1024 characters", .required = true};
const Argument kDictionary{.name = "NAME", .help = "1 to 255 characters", .required = true};
const Argument kIfVersion{"--if-version", "only if the record has this version; 0: if there is none",
                          Kind::number, "VERSION"};

Tables tables_of(Context& context, const Arguments& arguments) {
  return Tables(context.database(), arguments.text("--prefix"));
}

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back(kPrefix);
  return arguments;
}

std::vector<std::string> names() {
  return {"key", "version", "written_at_ms", "expires_at_ms", "dictionary", "value"};
}

std::vector<Cell> cells_of(const TableRecord& record) {
  return {Cell::bytes(record.key),          Cell::number(record.version),  Cell::time(record.written_at_ms),
          Cell::time(record.expires_at_ms), Cell::text(record.dictionary), payload_cell(record.value)};
}

[[noreturn]] void no_such_record() { throw Error(Code::not_found, "there is no such record in the table"); }
[[noreturn]] void another_version() {
  throw Error(Code::conflict, "the record has another version; nothing was changed");
}

int get(Context& context, const Arguments& arguments) {
  const Tables tables = tables_of(context, arguments);
  const std::optional<TableRecord> record = tables.get(arguments.text("TABLE"), arguments.text("KEY"));
  if (!record) no_such_record();
  show_one(context, names(), cells_of(*record), record->value);
  return kExitSuccess;
}

int write(Context& context, const Arguments& arguments) {
  TableWriteOptions options;
  options.dictionary = arguments.optional_text("--dictionary").value_or("");
  if (const auto ttl_ms = arguments.optional_duration_ms("--ttl")) {
    options.expires_at_ms = context.environment().clock->now_ms() + *ttl_ms;
  }
  Tables tables = tables_of(context, arguments);
  const Bytes& table = arguments.text("TABLE");
  const Bytes& key = arguments.text("KEY");
  const Payload value = payload_of(arguments);
  const std::optional<std::uint64_t> version =
      arguments.given("--if-version")
          ? tables.write_if(table, key, arguments.number("--if-version"), value, options)
          : tables.write(table, key, value, options);
  if (!version) another_version();
  context.out().object({{"version", Cell::number(*version)}});
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  Tables tables = tables_of(context, arguments);
  const Bytes& table = arguments.text("TABLE");
  const Bytes& key = arguments.text("KEY");
  if (!arguments.given("--if-version")) {
    if (!tables.erase(table, key)) no_such_record();
  } else if (!tables.erase_if(table, key, arguments.number("--if-version"))) {
    another_version();
  }
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Tables tables = tables_of(context, arguments);
  context.out().table(names());
  show_list<TableRecord>(
      context, arguments,
      [&](const ListOptions& options) { return tables.list(arguments.text("TABLE"), options); },
      [&](const TableRecord& record) { context.out().row(cells_of(record)); });
  return kExitSuccess;
}

int names_of_tables(Context& context, const Arguments& arguments) {
  const Tables tables = tables_of(context, arguments);
  context.out().table({"table", "records"});
  show_list<Bytes>(
      context, arguments, [&](const ListOptions& options) { return tables.list_tables(options); },
      [&](const Bytes& table) {
        context.out().row({Cell::bytes(table), Cell::number(std::uint64_t{tables.table_size(table)})});
      });
  return kExitSuccess;
}

int drop(Context& context, const Arguments& arguments) {
  context.confirm("This removes the table and all of its records.", arguments.flag("--yes"));
  context.end_at_once_when_interrupted(kGoesOn);
  tables_of(context, arguments).erase_table(arguments.text("TABLE"));
  return kExitSuccess;
}

int cleanup(Context& context, const Arguments& arguments) {
  Tables tables = tables_of(context, arguments);
  const auto table = arguments.optional_text("TABLE");
  context.end_at_once_when_interrupted(kGoesOn);
  const std::size_t removed = table ? tables.cleanup_expired(*table) : tables.cleanup_all_expired();
  context.out().object({{"removed", Cell::number(std::uint64_t{removed})}});
  return kExitSuccess;
}

[[noreturn]] void no_such_dictionary() { throw Error(Code::not_found, "there is no such dictionary"); }

std::map<Bytes, Bytes> names_in(const std::string& text) {
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
  if (!object.is_object() || !std::all_of(object.begin(), object.end(), is_text)) {
    throw Error(Code::invalid_argument, R"(the names are no JSON object such as {"long":"short"})");
  }
  return object.get<std::map<Bytes, Bytes>>();
}

int add_dictionary(Context& context, const Arguments& arguments) {
  const auto given = arguments.optional_text("NAMES");
  const auto file = arguments.optional_text("--file");
  if (given.has_value() == file.has_value()) {
    throw UsageError("give the names as NAMES, or by --file FILE, where - is the standard input");
  }
  std::map<Bytes, Bytes> names = names_in(file ? read_whole(*file, std::size_t{16} << 20) : *given);
  TableDictionary dictionary;
  (arguments.flag("--inflate") ? dictionary.inflate : dictionary.deflate) = std::move(names);
  tables_of(context, arguments).add_dictionary(arguments.text("NAME"), dictionary);
  return kExitSuccess;
}

int get_dictionary(Context& context, const Arguments& arguments) {
  const std::optional<TableDictionary> found =
      tables_of(context, arguments).get_dictionary(arguments.text("NAME"));
  if (!found) no_such_dictionary();
  const std::string names = nlohmann::json(found->deflate.value()).dump();
  if (!context.out().options().json) {
    context.out().raw(names + "\n");
  } else {
    context.out().object({{"dictionary", Cell::text(arguments.text("NAME"))}, {"names", Cell::json(names)}});
  }
  return kExitSuccess;
}

int list_dictionaries(Context& context, const Arguments& arguments) {
  const Tables tables = tables_of(context, arguments);
  context.out().table({"dictionary"});
  show_list<Bytes>(
      context, arguments, [&](const ListOptions& options) { return tables.list_dictionaries(options); },
      [&](const Bytes& name) { context.out().row({Cell::bytes(name)}); });
  return kExitSuccess;
}

int remove_dictionary(Context& context, const Arguments& arguments) {
  if (!tables_of(context, arguments).remove_dictionary(arguments.text("NAME"))) no_such_dictionary();
  return kExitSuccess;
}

int import(Context& context, const Arguments& arguments) {
  Tables tables = tables_of(context, arguments);
  PikodbImportOptions options;
  if (const auto file = arguments.optional_text("--dictionaries")) {
    options.dictionaries = parse_pikodb_dictionaries(read_whole(*file, std::size_t{16} << 20));
  }
  options.keep_short_names = arguments.flag("--keep-short-names");
  options.files = context.environment().files;
  ProgressBar bar(stderr, context.shows_progress());
  options.progress = [&](const PikodbProgress& progress) {
    context.check_interrupt("the same command goes on with it");
    bar.show(printable(progress.file) + ": ", progress.records_done, progress.records, context.elapsed_ms(),
             "records");
  };
  const PikodbReport report = import_pikodb(tables, arguments.text("FOLDER"), options);
  bar.clear();
  Output& out = context.out();
  out.table({"file", "imported", "kept", "expired", "unreadable", "what"});
  for (const PikodbFileReport& file : report.files) {
    const char* what = file.is_table ? "table" : file.passed_over ? "passed over" : "not read";
    out.row({Cell::text(file.file), Cell::number(std::uint64_t{file.imported}),
             Cell::number(std::uint64_t{file.kept}), Cell::number(std::uint64_t{file.expired}),
             Cell::number(std::uint64_t{file.unreadable}), Cell::text(what)});
  }
  out.finish();
  for (const PikodbFileReport& file : report.files) {
    for (const std::string& problem : file.problems) context.note(printable(file.file) + ": " + problem);
  }
  return report.is_complete() ? kExitSuccess : kExitNo;
}

std::vector<Argument> write_arguments() {
  std::vector<Argument> arguments = {kTable, kKey};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--ttl", "the record is gone after this time: 10s, 5m, 2h, 3d", Kind::duration});
  arguments.push_back({"--dictionary", "a dictionary that is known", Kind::text, "NAME"});
  arguments.push_back(kIfVersion);
  return with_prefix(std::move(arguments));
}

std::vector<Argument> list_table_arguments() {
  std::vector<Argument> arguments = {kTable};
  for (Argument& argument : list_arguments("keys")) arguments.push_back(std::move(argument));
  return with_prefix(std::move(arguments));
}

}  // namespace

std::vector<Command> tables_commands() {
  return {
      {.path = "tables get",
       .summary = "the value of a record; with --json its version and times too",
       .arguments = with_prefix({kTable, kKey}),
       .examples = {{"tables get users anna", "the document"}},
       .run = get},
      {.path = "tables write",
       .summary = "write a record and print its version",
       .arguments = write_arguments(),
       .examples = {{"tables write users anna '{\"age\":41}'", "a document"},
                    {"tables write sessions 4711 open --ttl 1h", "one that goes by itself"}},
       .run = write},
      {.path = "tables delete",
       .summary = "remove a record",
       .arguments = with_prefix({kTable, kKey, kIfVersion}),
       .examples = {{"tables delete users anna", "whatever version it has"}},
       .run = erase},
      {.path = "tables list",
       .summary = "the records of a table in the order of their keys",
       .arguments = list_table_arguments(),
       .examples = {{"tables list users --limit 20", "the first 20"}},
       .run = list},
      {.path = "tables ls",
       .summary = "the tables there are, and how many records they have",
       .arguments = with_prefix(list_arguments("names")),
       .examples = {{"tables ls", "all of them"}},
       .run = names_of_tables},
      {.path = "tables drop",
       .summary = "remove a table and all of its records",
       .arguments = with_prefix({kTable, {"--yes", "do not ask", Kind::flag}}),
       .examples = {{"tables drop users --yes", "without a question"}},
       .run = drop},
      {.path = "tables cleanup",
       .summary = "remove what is left of expired records",
       .arguments = with_prefix({{.name = "TABLE", .help = "without it, all tables"}}),
       .examples = {{"tables cleanup", "of all tables"}},
       .run = cleanup},
      {.path = "tables dictionary add",
       .summary = "make a dictionary known, which `tables write --dictionary` may name",
       .details =
           "NAMES is a JSON object from long to short names: members of documents are stored under the short "
           "ones. One that has the name already is replaced for later writes.",
       .arguments = with_prefix(
           {kDictionary,
            {.name = "NAMES", .help = "a JSON object, {\"long\":\"short\"}"},
            {"--file", "take the names from a file, or with - from the standard input", Kind::file},
            {"--inflate", "the names are from short to long", Kind::flag}}),
       .examples = {{"tables dictionary add person '{\"age\":\"a\"}'", "one short name"}},
       .run = add_dictionary},
      {.path = "tables dictionary get",
       .summary = "the names of a dictionary, from long to short",
       .arguments = with_prefix({kDictionary}),
       .examples = {{"tables dictionary get person", "as a JSON object"}},
       .run = get_dictionary},
      {.path = "tables dictionary list",
       .summary = "the dictionaries that are known",
       .arguments = with_prefix(list_arguments("names")),
       .examples = {{"tables dictionary list", "all of them"}},
       .run = list_dictionaries},
      {.path = "tables dictionary remove",
       .summary = "forget a dictionary; records that were written with it still read as they were",
       .arguments = with_prefix({kDictionary}),
       .examples = {{"tables dictionary remove person", "for later writes"}},
       .run = remove_dictionary},
      {.path = "import pikodb",
       .summary = "take over the folder of a PikoDB 1 database, as tables",
       .details =
           "The folder is only read. Values, versions, times, expiries and dictionaries come along; what "
           "could not be read is said file by file, and makes the exit code 1. Running it again goes on.",
       .arguments = with_prefix(
           {{.name = "FOLDER", .help = "where PikoDB kept its files", .kind = Kind::file, .required = true},
            {"--dictionaries",
             "a JSON file with the `dictionaries` option of the program that wrote the folder", Kind::file},
            {"--keep-short-names",
             "import records of dictionaries that are not given, with their short names", Kind::flag}}),
       .examples = {{"import pikodb /data/pikodb --db app", "all tables"}},
       .run = import},
  };
}

}  // namespace holdfast::cli
