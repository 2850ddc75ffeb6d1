#include "cli/payloads.h"

#include "cli/exit.h"
#include "cli/input.h"

namespace holdfast::cli {

using Kind = Argument::Kind;

std::vector<Argument> payload_arguments() {
  return {{.name = "VALUE", .help = "JSON; what is no JSON is taken as a string"},
          {"--file", "take the value from a file, or with - from the standard input", Kind::file},
          {"--string", "the value is a string, even if it looks like JSON", Kind::flag},
          {"--bytes", "the value is raw bytes", Kind::flag}};
}

Payload payload_of(const Arguments& arguments) {
  const auto value = arguments.optional_text("VALUE");
  const auto file = arguments.optional_text("--file");
  if (value.has_value() == file.has_value()) {
    throw UsageError("give the value as VALUE, or by --file FILE, where - is the standard input");
  }
  if (arguments.flag("--string") && arguments.flag("--bytes"))
    throw UsageError("--string or --bytes, not both");
  Bytes text = file ? read_whole(*file, limits::kPayloadBytes) : *value;
  if (arguments.flag("--bytes")) return Payload::bytes(std::move(text));
  if (arguments.flag("--string")) return Payload(text);
  // A file is written by a program, which means what it writes.
  return file ? Payload::parse(text) : payload_of_text(text);
}

Payload payload_of_text(const std::string& value) {
  try {
    return Payload::parse(value);
  } catch (const Error&) {
    return Payload(value);
  }
}

std::optional<Payload> optional_payload_of(const Arguments& arguments) {
  if (arguments.given("VALUE") || arguments.given("--file")) return payload_of(arguments);
  if (arguments.flag("--bytes") || arguments.flag("--string")) {
    throw UsageError("--string and --bytes say what VALUE or --file FILE is, which is missing");
  }
  return std::nullopt;
}

Cell payload_cell(const Payload& payload) {
  return payload.is_json() ? Cell::json(payload.text()) : Cell::bytes(payload.text());
}

void print_payload(Context& context, const Payload& payload) {
  context.out().raw(payload.text());
  if (context.out().options().is_terminal && !payload.text().ends_with('\n')) context.out().raw("\n");
}

void show_one(Context& context, std::vector<std::string> columns, std::vector<Cell> cells,
              const Payload& payload) {
  if (!context.out().options().json) return print_payload(context, payload);
  context.out().table(std::move(columns));
  context.out().row(std::move(cells));
}

std::vector<Argument> list_arguments(const std::string& what) {
  return {{.name = "PREFIX", .help = "only " + what + " that start with this"},
          {"--limit", "at most so many; 0: all", Kind::number, "COUNT", "100"},
          {"--reverse", "from the last to the first", Kind::flag}};
}

}  // namespace holdfast::cli
