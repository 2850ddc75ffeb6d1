// holdfast completion bash|zsh, holdfast manual: what is generated from the table of commands.

#include <map>
#include <set>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/help.h"

namespace holdfast::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// "--from --to" and the words that its positional arguments may be.
std::string words_of(const Command& command) {
  std::vector<std::string> words;
  for (const Argument& argument : command.arguments) {
    if (argument.is_option()) {
      words.push_back(argument.name);
    } else {
      words.insert(words.end(), argument.choices.begin(), argument.choices.end());
    }
  }
  for (const Argument& option : shared_options()) words.push_back(option.name);
  return joined(words);
}

/// A case of the shell for each option whose value is one of a few words or a file.
std::string value_cases(const CommandTree& tree) {
  std::map<std::string, std::string> choices;
  std::set<std::string> files;
  const auto add = [&](const Argument& argument) {
    if (argument.kind == Argument::Kind::choice && argument.is_option())
      choices[argument.name] = joined(argument.choices);
    if (argument.kind == Argument::Kind::file && argument.is_option()) files.insert(argument.name);
  };
  for (const Command& command : tree.commands) {
    for (const Argument& argument : command.arguments) add(argument);
  }
  for (const Argument& option : shared_options()) add(option);
  std::string text;
  for (const auto& [name, words] : choices)
    text += "    " + name + ") COMPREPLY=($(compgen -W \"" + words + "\" -- \"$word\")); return ;;\n";
  std::string names;
  for (const std::string& name : files) names += (names.empty() ? "" : "|") + name;
  return text + "    " + names + ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
}

std::string bash_completion(const CommandTree& tree) {
  std::string cases;
  cases += "    \"\") words=\"" + joined(tree.words_after("")) + " --version";
  for (const Argument& option : shared_options()) cases += " " + option.name;
  cases += "\" ;;\n";
  for (const CommandGroup& group : tree.groups) {
    cases += "    \"" + group.name + "\") words=\"" + joined(tree.words_after(group.name)) + "\" ;;\n";
  }
  for (const Command& command : tree.commands) {
    cases += "    \"" + command.path + "\"*) words=\"" + words_of(command) + "\" ;;\n";
  }
  std::string with_values;
  for (const Argument& option : shared_options()) {
    if (option.kind != Argument::Kind::flag) with_values += (with_values.empty() ? "" : "|") + option.name;
  }
  return "# Completion of holdfast; in ~/.bashrc: source <(holdfast completion bash)\n"
         "_holdfast() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path=\"\" words=\"\" "
         "i\n"
         "  case $previous in\n" +
         value_cases(tree) +
         "  esac\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "    " +
         with_values +
         ") ((i++)) ;;\n"
         "    -*) ;;\n"
         "    *) path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case $path in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "}\n"
         "complete -F _holdfast holdfast\n";
}

int completion(Context& context, const Arguments& arguments) {
  const std::string bash = bash_completion(command_tree());
  if (arguments.text("SHELL") == "bash") {
    context.out().document("script", bash);
  } else {
    context.out().document(
        "script",
        "# Completion of holdfast; in ~/.zshrc: source <(holdfast completion zsh)\n"
        "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" +
            bash);
  }
  return kExitSuccess;
}

int print_manual(Context& context, const Arguments&) {
  context.out().document("manual", manual(command_tree()));
  return kExitSuccess;
}

}  // namespace

std::vector<Command> completion_commands() {
  return {
      {.path = "completion",
       .summary = "a script that completes commands and options in a shell",
       .arguments = {{.name = "SHELL",
                      .help = "bash or zsh",
                      .kind = Argument::Kind::choice,
                      .choices = {"bash", "zsh"},
                      .required = true}},
       .examples = {{"completion bash > /etc/bash_completion.d/holdfast", "for all users"}},
       .run = completion},
      {.path = "manual",
       .summary = "the help of all commands as one Markdown document",
       .examples = {{"manual > docs/cli.md", "the manual of this version"}},
       .run = print_manual},
  };
}

}  // namespace holdfast::cli
