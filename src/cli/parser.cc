#include "cli/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "cli/exit.h"
#include "contract/url.h"

namespace holdfast::cli {
namespace {

void add(CLI::App& app, const Argument& argument, std::map<std::string, CLI::Option*>& options,
         std::map<std::string, std::vector<std::string>>& values) {
  if (argument.kind == Argument::Kind::flag) {
    options[argument.name] = app.add_flag(argument.name);
    return;
  }
  CLI::Option* option = app.add_option(argument.name, values[argument.name]);
  option->type_name("");
  if (argument.repeated && !argument.is_option()) {
    option->expected(argument.required ? 1 : 0, 1 << 20);
  } else {
    option->expected(1)->allow_extra_args(false);
    option->multi_option_policy(argument.repeated ? CLI::MultiOptionPolicy::TakeAll
                                                  : CLI::MultiOptionPolicy::Throw);
  }
  if (argument.repeated && argument.is_option()) option->expected(1, 1 << 20)->allow_extra_args(false);
  options[argument.name] = option;
}

void judge(const Argument& argument, const Arguments& arguments) {
  for (const std::string& text : arguments.list(argument.name)) {
    switch (argument.kind) {
      case Argument::Kind::number:
        arguments.number(argument.name);
        break;
      case Argument::Kind::integer:
        arguments.integer(argument.name);
        break;
      case Argument::Kind::duration:
        parse_duration_ms(text, argument.name);
        break;
      case Argument::Kind::instant:
        parse_instant_ms(text, argument.name);
        break;
      case Argument::Kind::choice:
        if (std::ranges::find(argument.choices, text) == argument.choices.end()) {
          throw UsageError(unknown_word("value", text, " of " + argument.name, argument.choices));
        }
        break;
      default:
        break;
    }
  }
}

/// "--yes=false" would otherwise count as a yes.
void refuse_values_of_flags(const std::vector<Argument>& all, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") return;
    const std::string name = word.substr(0, word.find('='));
    const auto found = std::ranges::find(all, name, &Argument::name);
    if (word != name && found != all.end() && found->kind == Argument::Kind::flag) {
      throw UsageError(name + " takes no value");
    }
  }
}

}  // namespace

Arguments parse(const Command& command, std::span<const Argument> shared, std::vector<std::string> words) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::map<std::string, CLI::Option*> options;
  std::map<std::string, std::vector<std::string>> values;
  std::vector<Argument> all = command.arguments;
  all.insert(all.end(), shared.begin(), shared.end());
  std::vector<std::string> known_options;
  for (const Argument& argument : all) {
    add(app, argument, options, values);
    if (argument.is_option()) known_options.push_back(argument.name);
  }

  refuse_values_of_flags(all, words);
  std::ranges::reverse(words);
  try {
    app.parse(words);
  } catch (const CLI::Error& error) {
    throw UsageError(error.what());
  }
  for (const std::string& extra : app.remaining()) {
    if (extra.starts_with('-') && extra.size() > 1) {
      const std::string name = extra.substr(0, extra.find('='));
      throw UsageError(unknown_word("option", name, " of " + command.path, known_options));
    }
    throw UsageError(command.path + " takes no further argument; quote an argument that holds spaces");
  }

  Arguments arguments;
  for (const Argument& argument : all) {
    const bool is_given = options.at(argument.name)->count() > 0;
    std::vector<std::string> texts = std::move(values[argument.name]);
    if (!is_given && !argument.otherwise.empty()) texts = {argument.otherwise};
    if (!is_given && argument.required) throw UsageError(argument.name + " is missing");
    arguments.set(argument.name, std::move(texts), is_given);
    judge(argument, arguments);
  }
  return arguments;
}

}  // namespace holdfast::cli
