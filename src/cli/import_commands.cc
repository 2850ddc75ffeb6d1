// holdfast import jsonl|csv: documents from text files into records.

#include <nlohmann/json.hpp>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/line_reader.h"
#include "holdfast/records.h"
#include "migrate/csv.h"
#include "services/json_pointer.h"
#include "services/json_text.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

constexpr std::size_t kBatchBytes = std::size_t{2} << 20;
constexpr std::size_t kBatchRecords = 250;

/// Puts records in commits of some hundred, and says how far it has come if that ends early.
class RecordImport {
 public:
  RecordImport(Context& context, const Arguments& arguments)
      : context_(context),
        records_(context.database(), arguments.text("--prefix")),
        skip_(arguments.number("--skip")),
        bar_(stderr, context.shows_progress()) {}

  /// Whether this row was imported by an earlier run.
  bool is_done() { return ++seen_ <= skip_; }

  void add(Bytes key, Payload value) {
    bytes_ += key.size() + value.size_bytes();
    waiting_.emplace_back(std::move(key), std::move(value));
    if (waiting_.size() >= kBatchRecords || bytes_ >= kBatchBytes) flush();
  }

  /// Puts what waits.
  void store() {
    if (!waiting_.empty()) records_.put_many(waiting_);
    imported_ += waiting_.size();
    waiting_.clear();
    bytes_ = 0;
  }

  void flush() {
    store();
    context_.check_interrupt(how_to_go_on());
    bar_.show("importing: ", imported_, 0, context_.elapsed_ms(), "records");
  }

  std::uint64_t imported() const { return imported_; }
  std::string how_to_go_on() const {
    return std::to_string(imported_) + " records were imported; go on with --skip " +
           std::to_string(std::min(seen_, skip_) + imported_);
  }
  void clear_bar() { bar_.clear(); }

 private:
  Context& context_;
  Records records_;
  const std::uint64_t skip_;
  ProgressBar bar_;
  std::vector<std::pair<Bytes, Payload>> waiting_;
  std::size_t bytes_ = 0;
  std::uint64_t seen_ = 0;
  std::uint64_t imported_ = 0;
};

[[noreturn]] void refuse(std::uint64_t line, const std::string& why) {
  throw Error(Code::invalid_argument, "line " + std::to_string(line) + ": " + why);
}

/// Runs `rows`, which adds them. What was read before Ctrl-C is imported.
void add_rows(RecordImport& import, const std::function<void(RecordImport&)>& rows) {
  try {
    rows(import);
  } catch (const Interrupted&) {
    import.clear_bar();
    import.store();
    throw Interrupted(import.how_to_go_on());
  }
}

/// Adds rows and reports. What was read before a bad line is imported.
int import(Context& context, const Arguments& arguments, const std::function<void(RecordImport&)>& rows) {
  RecordImport import(context, arguments);
  try {
    add_rows(import, rows);
    import.flush();
  } catch (const Error& error) {
    import.clear_bar();
    if (error.code() == Code::invalid_argument) import.flush();
    throw Error(error.code(), error.retry(), std::string(error.what()) + "; " + import.how_to_go_on());
  }
  import.clear_bar();
  context.out().object({{"imported", Cell::number(import.imported())}});
  return kExitSuccess;
}

JsonPointer pointer_of(const std::string& text) {
  try {
    return JsonPointer::parse(text);
  } catch (const Error&) {
    throw UsageError("--key is a JSON pointer such as /id or /user/email");
  }
}

/// 12 digits: keys of numbered rows sort as the rows do.
Bytes numbered_key(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(digits.size() < 12 ? 12 - digits.size() : 0, '0') + digits;
}

bool is_whole_number(View text) {
  text.remove_prefix(text.starts_with('-') ? 1 : 0);
  return !text.empty() && text.find_first_not_of("0123456789") == View::npos;
}

Bytes key_in(View document, const JsonPointer& pointer, std::uint64_t line) {
  const std::optional<View> found = pointer.find(document);
  if (!found) refuse(line, "the document has nothing at --key");
  if (is_whole_number(*found)) return Bytes(*found);
  if (!found->starts_with('"')) {
    refuse(line, "what the document has at --key is neither a string nor a whole number");
  }
  Bytes key = decoded_json_string(*found);
  if (!is_utf8(key)) refuse(line, "what the document has at --key is half of a character");
  return key;
}

int import_jsonl(Context& context, const Arguments& arguments) {
  const auto key = arguments.optional_text("--key");
  const JsonPointer pointer = pointer_of(key.value_or(""));
  LineReader reader(arguments.text("FILE"));
  return import(context, arguments, [&](RecordImport& records) {
    std::uint64_t line = 0;
    while (std::optional<std::string> text = reader.next()) {
      ++line;
      if (text->find_first_not_of(" \t\r") == std::string::npos || records.is_done()) continue;
      std::optional<Payload> value;
      try {
        value = Payload::parse(*text);
      } catch (const Error& error) {
        refuse(line, error.what());
      }
      Bytes record_key = key ? key_in(value->text(), pointer, line) : numbered_key(line);
      records.add(std::move(record_key), *std::move(value));
    }
  });
}

/// A field as JSON: a number or true or false where its text is exactly that, else a string.
void append_field(std::string& text, const std::string& field, bool is_typed, std::uint64_t line) {
  if (!is_utf8(field)) refuse(line, "a field is not UTF-8");
  if (is_typed) {
    const nlohmann::json value = nlohmann::json::parse(field, nullptr, false);
    if (value.is_boolean() || (value.is_number() && !field.starts_with(' ') && !field.ends_with(' '))) {
      text += field;
      return;
    }
    if (field.empty()) {
      text += "null";
      return;
    }
  }
  text += json_string(field);
}

int import_csv(Context& context, const Arguments& arguments) {
  const std::string& separator = arguments.text("--separator");
  if (separator != "tab" && separator.size() != 1) throw UsageError("--separator is one character, or tab");
  const auto key = arguments.optional_text("--key");
  const bool is_typed = arguments.flag("--typed");
  LineReader reader(arguments.text("FILE"));
  migrate::CsvReader csv([&] { return reader.next(); }, separator == "tab" ? '\t' : separator.front());
  return import(context, arguments, [&](RecordImport& records) {
    const std::optional<std::vector<std::string>> names = csv.next();
    if (!names) throw Error(Code::invalid_argument, "line 1: there is no heading");
    const auto key_column =
        static_cast<std::size_t>(std::ranges::find(*names, key.value_or("")) - names->begin());
    if (key && key_column == names->size())
      refuse(1, "the heading has no column of the name that --key gives");
    std::uint64_t row = 0;
    while (const std::optional<std::vector<std::string>> fields = csv.next()) {
      ++row;
      if (fields->size() != names->size()) {
        refuse(csv.line(), "it has " + std::to_string(fields->size()) + " fields, the heading has " +
                               std::to_string(names->size()));
      }
      if (records.is_done()) continue;
      std::string text = "{";
      for (std::size_t i = 0; i < fields->size(); ++i) {
        if (!is_utf8((*names)[i])) refuse(1, "the heading is not UTF-8");
        text += (i == 0 ? "" : ",") + json_string((*names)[i]) + ":";
        append_field(text, (*fields)[i], is_typed, csv.line());
      }
      Bytes record_key = key ? (*fields)[key_column] : numbered_key(row);
      if (record_key.empty()) refuse(csv.line(), "the field that --key names is empty");
      records.add(std::move(record_key), Payload::parse(text + "}"));
    }
  });
}

std::vector<Argument> with_shared(std::vector<Argument> arguments) {
  arguments.push_back(
      {.name = "FILE", .help = "- is the standard input", .kind = Kind::file, .otherwise = "-"});
  arguments.push_back({"--prefix", "where in the database the records lie", Kind::text, "PREFIX", "records"});
  arguments.push_back(
      {"--skip", "leave out so many rows, which an earlier run has imported", Kind::number, "COUNT", "0"});
  return arguments;
}

constexpr const char* kDetails =
    "Rows are imported in commits of some hundred; a row that makes no sense ends the import with its line's "
    "number "
    "and with what to give as --skip to go on, which Ctrl-C says too. A record that is there already is "
    "replaced.";

}  // namespace

std::vector<Command> import_commands() {
  return {
      {.path = "import jsonl",
       .summary = "make a record of each line, which is a JSON document",
       .details = kDetails,
       .arguments = with_shared(
           {{"--key", "where the document has its key, as a JSON pointer; without it the line's number",
             Kind::text, "POINTER"}}),
       .examples = {{"import jsonl users.jsonl --key /email --prefix users", "keys from a member"}},
       .run = import_jsonl},
      {.path = "import csv",
       .summary = "make a record of each row; the first row names the members",
       .details = kDetails,
       .arguments = with_shared(
           {{"--key", "the column with the key; without it the row's number", Kind::text, "COLUMN"},
            {"--typed", "numbers, true, false and empty fields (null) are no strings", Kind::flag},
            {"--separator", "one character, or tab", Kind::text, "CHARACTER", ","}}),
       .examples = {{"import csv users.csv --key email --typed --prefix users", "keys from a column"}},
       .run = import_csv},
  };
}

}  // namespace holdfast::cli
