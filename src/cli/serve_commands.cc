// holdfast serve and holdfast token: the HTTP server.

#include <cstdlib>
#include <iostream>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "environment/read_file.h"
#include "server/serve.h"
#include "server/tokens.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

constexpr const char* kDefaultFile = "holdfast.toml";

/// The settings but those that every command takes.
std::vector<Argument> setting_arguments() {
  std::vector<Argument> arguments = {
      {"--config", "the settings' file [holdfast.toml, if there is one]", Kind::file, "FILE"}};
  const server::ServerConfig defaults;
  for (const server::Setting& setting : server::settings()) {
    if (setting.name == "store") continue;
    const std::string value = setting.get(defaults);
    const std::string table = setting.table.empty() ? "" : setting.table + ".";
    arguments.push_back({setting.flag(),
                         setting.help + " (" + setting.variable() + ", " + table + setting.name + ")" +
                             (value.empty() ? "" : " [" + value + "]"),
                         setting.is_number ? Kind::number : Kind::text});
  }
  return arguments;
}

int serve(Context& context, const Arguments& arguments) {
  server::ConfigSources sources;
  for (const server::Setting& setting : server::settings()) {
    if (arguments.given(setting.flag())) sources.flags[setting.name] = arguments.text(setting.flag());
  }
  // What --store gives may be a file with the URL.
  if (arguments.given("--store")) sources.flags["store"] = context.url();
  FileSystem& files = *context.environment().files;
  std::string path = arguments.optional_text("--config").value_or("");
  if (path.empty() && files.exists(kDefaultFile)) path = kDefaultFile;
  if (!path.empty()) {
    sources.file_path = path;
    sources.file_text = read_file(files, path);
  }
  sources.environment = [](const std::string& variable) -> std::optional<std::string> {
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) return std::nullopt;
    return variable == "HOLDFAST_STORE" ? url_of(value) : std::string(value);
  };
  return server::serve(server::load_config(sources), std::cout, context.environment());
}

int token(Context& context, const Arguments& arguments) {
  const server::NewToken token =
      server::make_token(arguments.text("NAME"), arguments.text("SCOPES"), *context.environment().random);
  if (context.globals().json) {
    context.out().object({{"line", Cell::text(token.line)}, {"token", Cell::text(token.secret)}});
    return kExitSuccess;
  }
  context.out().raw(token.line + "\n");
  context.note("The line above goes into the token file. The token itself, which is shown only now:\n" +
               token.secret);
  return kExitSuccess;
}

}  // namespace

std::vector<Command> serve_commands() {
  return {
      {.path = "serve",
       .summary = "serve a store over HTTP until Ctrl-C",
       .details = "Each setting may be given as an option, or as a variable, or in the settings' file, in "
                  "this order "
                  "of precedence. Without a token file the server listens on this machine alone.",
       .arguments = setting_arguments(),
       .examples = {{"serve --store sqlite:data/store.db", "the rest as it is"},
                    {"serve --config /etc/holdfast.toml", "settings from a file"}},
       .run = serve},
      {.path = "token",
       .summary = "make a token for the server's token file",
       .details = "Prints the line for the file, and on the standard error output the token itself, which is "
                  "not kept "
                  "anywhere.",
       .arguments = {{.name = "NAME", .help = "whose token it is", .required = true},
                     {.name = "SCOPES", .help = "such as read:*,write:jobs/", .required = true}},
       .examples = {{"token ci read:* >> tokens", "one that may read everything"}},
       .run = token},
  };
}

}  // namespace holdfast::cli
