// holdfast kv ...: key-value pairs.

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/payloads.h"
#include "holdfast/kv.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the entries lie", Kind::text, "PREFIX", "kv"};
const Argument kKey{.name = "KEY", .help = "1 to 1024 bytes", .required = true};

Kv kv_of(Context& context, const Arguments& arguments) {
  return Kv(context.database(), arguments.text("--prefix"));
}

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back(kPrefix);
  return arguments;
}

std::optional<std::chrono::milliseconds> ttl_of(const Arguments& arguments) {
  const auto ttl_ms = arguments.optional_duration_ms("--ttl");
  if (!ttl_ms) return std::nullopt;
  return std::chrono::milliseconds(*ttl_ms);
}

std::vector<Cell> cells_of(const KvEntry& entry) {
  return {Cell::bytes(entry.key), Cell::number(entry.version), Cell::time(entry.expires_at_ms),
          payload_cell(entry.value)};
}

[[noreturn]] void no_such_key() { throw Error(Code::not_found, "there is no entry under this key"); }

int get(Context& context, const Arguments& arguments) {
  const std::vector<std::string>& keys = arguments.list("KEY");
  const auto entries = kv_of(context, arguments).get_many(keys);
  std::size_t missing = 0;
  if (keys.size() == 1 && !context.out().options().json) {
    if (entries.front()) {
      print_payload(context, entries.front()->value);
    } else {
      ++missing;
    }
  } else {
    context.out().table({"key", "version", "expires_at_ms", "value"});
    for (const auto& entry : entries) {
      if (entry) context.out().row(cells_of(*entry));
      missing += entry ? 0 : 1;
    }
  }
  context.out().finish();
  if (missing > 0 && keys.size() == 1) no_such_key();
  if (missing > 0) {
    throw Error(Code::not_found, "there is no entry under " + std::to_string(missing) + " of " +
                                     std::to_string(keys.size()) + " keys");
  }
  return kExitSuccess;
}

int set(Context& context, const Arguments& arguments) {
  KvSetOptions options;
  options.ttl = ttl_of(arguments);
  options.only_if_absent = arguments.flag("--if-absent");
  if (arguments.given("--if-version")) options.only_if_version = arguments.number("--if-version");
  const Payload payload = payload_of(arguments);
  if (!kv_of(context, arguments).set(arguments.text("KEY"), payload, options)) {
    throw Error(Code::conflict,
                "the entry is not what --if-absent or --if-version demands; nothing was changed");
  }
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  Kv kv = kv_of(context, arguments);
  std::uint64_t count = 0;
  for (const std::string& key : arguments.list("KEY")) count += kv.erase(key) ? 1 : 0;
  context.out().object({{"deleted", Cell::number(count)}});
  if (count == 0) no_such_key();
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Kv kv = kv_of(context, arguments);
  context.out().table({"key", "version", "expires_at_ms", "value"});
  show_list<KvEntry>(
      context, arguments, [&](const ListOptions& options) { return kv.list(options); },
      [&](const KvEntry& entry) { context.out().row(cells_of(entry)); });
  return kExitSuccess;
}

int increment(Context& context, const Arguments& arguments) {
  const std::int64_t sum =
      kv_of(context, arguments).increment(arguments.text("KEY"), arguments.integer("--by"));
  context.out().object({{"value", Cell::number(sum)}});
  return kExitSuccess;
}

int expire(Context& context, const Arguments& arguments) {
  if (arguments.given("--ttl") == arguments.flag("--never")) throw UsageError("give --ttl TIME or --never");
  if (!kv_of(context, arguments).expire(arguments.text("KEY"), ttl_of(arguments))) no_such_key();
  return kExitSuccess;
}

std::vector<Argument> set_arguments() {
  std::vector<Argument> arguments = {kKey};
  for (Argument& argument : payload_arguments()) arguments.push_back(std::move(argument));
  arguments.push_back({"--ttl", "the entry is gone after this time: 250ms, 10s, 5m, 2h, 3d", Kind::duration});
  arguments.push_back({"--if-absent", "only if there is no entry", Kind::flag});
  arguments.push_back({"--if-version", "only if the entry has this version", Kind::number, "VERSION"});
  return with_prefix(std::move(arguments));
}

}  // namespace

std::vector<Command> kv_commands() {
  return {
      {.path = "kv get",
       .summary = "the value of one key, or the entries of several",
       .arguments =
           with_prefix({{.name = "KEY", .help = "up to 1000 keys", .required = true, .repeated = true}}),
       .examples = {{"kv get greeting", "the value"}, {"kv get greeting farewell --json", "two entries"}},
       .run = get},
      {.path = "kv set",
       .summary = "set a key",
       .details = "Values are JSON, or with --bytes raw bytes, of up to 64 MiB.",
       .arguments = set_arguments(),
       .examples = {{"kv set greeting hello", "a string"},
                    {"kv set limits '{\"calls\":5}' --ttl 1h", "a document that goes by itself"},
                    {"kv set picture --bytes --file picture.png", "bytes"}},
       .run = set},
      {.path = "kv delete",
       .summary = "remove keys",
       .arguments = with_prefix({{.name = "KEY", .help = "keys", .required = true, .repeated = true}}),
       .examples = {{"kv delete greeting", "one"}},
       .run = erase},
      {.path = "kv list",
       .summary = "entries in the order of their keys",
       .arguments = with_prefix(list_arguments("keys")),
       .examples = {{"kv list session/ --limit 20", "the first 20 of a kind"}},
       .run = list},
      {.path = "kv increment",
       .summary = "add to a number and print the sum",
       .details = "No increment is lost, however many run at once.",
       .arguments =
           with_prefix({kKey, {"--by", "what is added; may be negative", Kind::integer, "NUMBER", "1"}}),
       .examples = {{"kv increment visits", "by one"}, {"kv increment stock --by -3", "down by three"}},
       .run = increment},
      {.path = "kv expire",
       .summary = "let an entry expire later, or never",
       .arguments = with_prefix({kKey,
                                 {"--ttl", "from now on: 250ms, 10s, 5m, 2h, 3d", Kind::duration},
                                 {"--never", "it stays", Kind::flag}}),
       .examples = {{"kv expire greeting --ttl 5m", "five minutes more"}},
       .run = expire},
  };
}

}  // namespace holdfast::cli
