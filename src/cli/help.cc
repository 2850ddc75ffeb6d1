#include "cli/help.h"

#include <algorithm>
#include <vector>

#include "cli/command_tree.h"
#include "cli/exit.h"
#include "holdfast/open.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kWidth = 100;

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

/// `text` in lines of at most kWidth columns, each but the first indented.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    at = end + 1;
  }
  return out;
}

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string listed(const Rows& rows) {
  std::size_t width = 0;
  for (const auto& [left, right] : rows) width = std::max(width, left.size());
  width = std::min<std::size_t>(width, 34);
  std::string text;
  for (const auto& [left, right] : rows) {
    const std::string gap = left.size() > width ? "\n" + std::string(width + 4, ' ') : "";
    text += "  " + padded(left, width) + (gap.empty() ? "  " : gap) + wrapped(right, width + 4) + "\n";
  }
  return text;
}

std::string placeholder(const Argument& argument) {
  if (!argument.placeholder.empty()) return argument.placeholder;
  switch (argument.kind) {
    case Argument::Kind::file:
      return "FILE";
    case Argument::Kind::number:
    case Argument::Kind::integer:
      return "NUMBER";
    case Argument::Kind::duration:
      return "TIME";
    case Argument::Kind::instant:
      return "INSTANT";
    case Argument::Kind::choice: {
      std::string all;
      for (const std::string& choice : argument.choices) all += (all.empty() ? "" : "|") + choice;
      return all;
    }
    default:
      return "TEXT";
  }
}

Rows rows_of(const std::vector<Argument>& arguments, bool options) {
  Rows rows;
  for (const Argument& argument : arguments) {
    if (argument.is_option() != options) continue;
    std::string left = argument.name;
    if (options && argument.kind != Argument::Kind::flag) left += " " + placeholder(argument);
    if (argument.repeated) left += "...";
    std::string right = argument.help;
    if (!argument.otherwise.empty()) right += " [" + argument.otherwise + "]";
    rows.emplace_back(left, right);
  }
  return rows;
}

std::string exit_code_list() {
  Rows rows;
  for (const ExitCodeRow& row : exit_codes()) {
    rows.emplace_back(padded(std::to_string(row.exit_code), 4) + row.name, row.meaning);
  }
  return listed(rows);
}

}  // namespace

std::string usage(const Command& command) {
  std::string text = "holdfast " + command.path;
  const bool has_options = std::ranges::any_of(command.arguments, &Argument::is_option);
  if (has_options) text += " [options]";
  for (const Argument& argument : command.arguments) {
    if (argument.is_option()) continue;
    const std::string name = argument.name + (argument.repeated ? "..." : "");
    text += argument.required ? " " + name : " [" + name + "]";
  }
  return text;
}

std::string command_help(const Command& command) {
  std::string text = usage(command) + "\n\n" + wrapped(command.summary + ".", 0) + "\n";
  if (!command.details.empty()) text += "\n" + wrapped(command.details, 0) + "\n";
  if (const Rows rows = rows_of(command.arguments, false); !rows.empty())
    text += "\narguments:\n" + listed(rows);
  if (const Rows rows = rows_of(command.arguments, true); !rows.empty())
    text += "\noptions:\n" + listed(rows);
  if (!command.examples.empty()) {
    text += "\nexamples:\n";
    for (const Example& example : command.examples) {
      text += "  # " + example.what + "\n  holdfast " + example.command + "\n";
    }
  }
  return text;
}

std::string group_help(const CommandTree& tree, const CommandGroup& group) {
  Rows rows;
  for (const std::string& word : tree.words_after(group.name)) {
    rows.emplace_back(word, tree.summary_of(group.name + " " + word));
  }
  return "holdfast " + group.name + " COMMAND: " + group.summary + "\n\ncommands:\n" + listed(rows) +
         "\n`holdfast " + group.name + " COMMAND --help` says more of each, with examples.\n";
}

std::string general_help(const CommandTree& tree) {
  Rows commands;
  for (const CommandGroup& group : tree.groups) commands.emplace_back(group.name + " ...", group.summary);
  for (const std::string& word : tree.words_after("")) {
    if (const Command* command = tree.find(word)) commands.emplace_back(word, command->summary);
  }
  return "holdfast [options] COMMAND: look into, change, copy and serve Holdfast stores\n\ncommands:\n" +
         listed(commands) + "\noptions of every command:\n" + listed(rows_of(shared_options(), true)) +
         "\nexamples:\n"
         "  export HOLDFAST_STORE=sqlite:data/store.db HOLDFAST_DB=agents\n"
         "  holdfast db put greeting hello\n"
         "  holdfast db get greeting\n"
         "  holdfast db scan --json | head\n"
         "\n" +
         wrapped(
             "On a terminal rows are aligned tables, in colour unless NO_COLOR is set; into a pipe they are "
             "tab-separated lines without a heading. Errors go to the standard error output with their code "
             "and what to do. A URL with a password is better kept in HOLDFAST_STORE or a file than on the "
             "command line, where other users can see it.",
             0) +
         "\n\nexit codes:\n" + exit_code_list() +
         "\n`holdfast COMMAND --help` says more of each command; `holdfast urls` lists all store URLs.\n";
}

std::string manual(const CommandTree& tree) {
  std::string text =
      "# The command line\n\n<!-- Made by scripts/cli-manual from the program's own help; do not edit. "
      "-->\n\n```text\n" +
      general_help(tree) + "```\n";
  const auto section = [&](const Command& command, const std::string& level) {
    text += "\n" + level + " holdfast " + command.path + "\n\n```text\n" + command_help(command) + "```\n";
  };
  for (const std::string& word : tree.words_after("")) {
    if (const Command* command = tree.find(word)) section(*command, "##");
  }
  for (const CommandGroup& group : tree.groups) {
    text += "\n## holdfast " + group.name + "\n\n" + group.summary + "\n";
    for (const std::string& word : tree.words_after(group.name)) {
      if (const Command* command = tree.find(group.name + " " + word)) section(*command, "###");
    }
  }
  return text;
}

}  // namespace holdfast::cli
