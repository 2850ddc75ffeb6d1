// The server by itself: holdfast_serve [--config FILE] [--NAME VALUE]... | token NAME SCOPES | --help
#include <cstdlib>
#include <exception>
#include <iostream>

#include "contract/url.h"
#include "environment/read_file.h"
#include "server/serve.h"
#include "server/tokens.h"

namespace holdfast::server {
namespace {

constexpr const char* kDefaultFile = "holdfast.toml";

void print_help() {
  std::cout << "holdfast_serve [--config FILE] [--NAME VALUE]...   serves a store over HTTP\n"
               "holdfast_serve token NAME SCOPES                   makes a token: read:*,write:jobs/\n\n"
               "Each setting is a flag, or a variable, or a key in holdfast.toml, in this order:\n\n";
  const ServerConfig defaults;
  for (const Setting& setting : settings()) {
    const std::string value = setting.get(defaults);
    std::cout << "  " << setting.flag() << ", " << setting.variable() << ", "
              << (setting.table.empty() ? "" : setting.table + ".") << setting.name << "\n      "
              << setting.help << (value.empty() ? "" : " [" + value + "]") << "\n";
  }
}

ServerConfig config_of(int argc, char** argv, FileSystem& files) {
  ConfigSources sources;
  std::string path;
  std::vector<std::string> known = {"--config"};
  for (const Setting& setting : settings()) known.push_back(setting.flag());
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    std::string value;
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.resize(equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      throw Error(Code::invalid_argument, "the flag " + word + " wants a value");
    }
    if (word == "--config") {
      path = value;
      continue;
    }
    bool found = false;
    for (const Setting& setting : settings()) {
      if (setting.flag() != word) continue;
      sources.flags[setting.name] = value;
      found = true;
    }
    if (!found) throw Error(Code::invalid_argument, unknown_word("flag", word, "", known));
  }
  if (path.empty() && files.exists(kDefaultFile)) path = kDefaultFile;
  if (!path.empty()) {
    sources.file_path = path;
    sources.file_text = read_file(files, path);
  }
  sources.environment = [](const std::string& variable) -> std::optional<std::string> {
    const char* value = std::getenv(variable.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  return load_config(sources);
}

int run(int argc, char** argv) {
  const Environment environment = Environment{}.completed();
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-h") {
    print_help();
    return 0;
  }
  if (first == "token") {
    if (argc != 4)
      throw Error(Code::invalid_argument, "token wants a name and scopes, as in: token ci read:*");
    const NewToken token = make_token(argv[2], argv[3], *environment.random);
    std::cout << token.line << "\n";
    std::cerr << "The line above goes into the token file. The token itself, which is shown only now:\n"
              << token.secret << "\n";
    return 0;
  }
  return serve(config_of(argc, argv, *environment.files), std::cout, environment);
}

}  // namespace
}  // namespace holdfast::server

int main(int argc, char** argv) {
  try {
    return holdfast::server::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "holdfast_serve: " << error.what() << "\n";
    return 2;
  }
}
