#include "cli/run.h"

#include <cstdlib>
#include <iostream>
#include <optional>
#include <span>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/parser.h"
#include "cli/version.h"
#include "contract/url.h"

namespace holdfast::cli {
namespace {

/// What a command line asks for.
struct Call {
  const Command* command = nullptr;     ///< to run
  const CommandGroup* group = nullptr;  ///< named without a command
  std::vector<std::string> words;       ///< all but the command's name
  bool wants_help = false;
  bool wants_version = false;
};

const Argument* shared_option(const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  for (const Argument& option : shared_options()) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

[[noreturn]] void unknown_command(const CommandTree& tree, const std::string& word,
                                  const std::string& group) {
  const std::vector<std::string> known = tree.words_after(group);
  const std::string what = nearest(word, known).empty() ? "command \"" + word + "\"" : "command";
  throw UsageError(unknown_word(what, word, group.empty() ? "" : " of " + group, known));
}

/// Finds the command's name; options that every command takes may stand in front of it.
Call find_call(const CommandTree& tree, const std::vector<std::string>& words) {
  Call call;
  std::string path;
  std::size_t i = 0;
  for (; i < words.size() && call.command == nullptr; ++i) {
    const std::string& word = words[i];
    const bool is_first = path.empty() && call.group == nullptr;
    if (word == "--help" || word == "-h" || (word == "help" && is_first)) {
      call.wants_help = true;
    } else if (word == "--version") {
      call.wants_version = true;
    } else if (const Argument* option = shared_option(word)) {
      call.words.push_back(word);
      const bool takes_next = option->kind != Argument::Kind::flag && word.find('=') == std::string::npos;
      if (!takes_next) continue;
      if (i + 1 == words.size()) throw UsageError(option->name + " needs a value: " + option->help);
      call.words.push_back(words[++i]);
    } else if (word.starts_with('-')) {
      std::vector<std::string> names{"--version"};
      for (const Argument& each : shared_options()) names.push_back(each.name);
      throw UsageError(
          unknown_word("option", word.substr(0, word.find('=')), " in front of a command", names));
    } else {
      path += path.empty() ? word : " " + word;
      call.command = tree.find(path);
      if (call.command != nullptr) continue;
      const CommandGroup* next = tree.find_group(path);
      if (next == nullptr) {
        unknown_command(tree, word, call.group == nullptr ? "" : call.group->name);
      }
      call.group = next;
    }
  }
  for (; i < words.size(); ++i) {
    if (words[i] == "--") {
      call.words.insert(call.words.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    if (words[i] == "--help" || words[i] == "-h") call.wants_help = true;
    call.words.push_back(words[i]);
  }
  return call;
}

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Globals globals_of(const Arguments& arguments) {
  Globals globals;
  globals.json = arguments.flag("--json");
  globals.database = arguments.optional_text("--db").value_or(setting("HOLDFAST_DB"));
  globals.store_url = url_of(arguments.optional_text("--store").value_or(setting("HOLDFAST_STORE")));
  return globals;
}

int complain(bool json, const std::string& code, const std::string& message, const std::string& what_to_do,
             int exit) {
  std::cerr << complaint(json, code, message, what_to_do, exit);
  return exit;
}

int run_call(const CommandTree& tree, const std::vector<std::string>& words, bool& json) {
  const Call call = find_call(tree, words);
  if (call.wants_version) {
    std::cout << "holdfast " << kVersion << "\n";
    return kExitSuccess;
  }
  if (call.command == nullptr) {
    std::ostream& out = call.wants_help ? std::cout : std::cerr;
    out << (call.group != nullptr ? group_help(tree, *call.group) : general_help(tree));
    return call.wants_help ? kExitSuccess : kExitUsage;
  }
  if (call.wants_help) {
    std::cout << command_help(*call.command);
    return kExitSuccess;
  }
  try {
    const Arguments arguments = parse(*call.command, shared_options(), call.words);
    json = arguments.flag("--json");
    Context context(globals_of(arguments));
    const int exit = call.command->run(context, arguments);
    context.out().finish();
    return exit;
  } catch (const UsageError& error) {
    throw UsageError(std::string(error.what()) + "\n  usage: " + usage(*call.command) + "\n  `holdfast " +
                     call.command->path + " --help` says more");
  }
}

}  // namespace

int run(const std::vector<std::string>& words) {
  listen_for_interrupts();
  bool json = false;
  try {
    return run_call(command_tree(), words, json);
  } catch (const UsageError& error) {
    return complain(json, "usage", error.what(), "", kExitUsage);
  } catch (const Interrupted& error) {
    const std::string how = error.what();
    return complain(json, "interrupted", how.empty() ? "ended as you asked" : how, "", kExitInterrupted);
  } catch (const Error& error) {
    if (interrupted()) return complain(json, "interrupted", error.what(), "", kExitInterrupted);
    const bool is_unknown = error.retry() == Retry::unknown_outcome;
    return complain(
        json, name(error.code()), error.what(),
        is_unknown ? "it may have been done all the same: look before you repeat it" : advice(error.code()),
        exit_code(error.code()));
  } catch (const std::exception& error) {
    return complain(json, name(Code::internal), error.what(), advice(Code::internal),
                    exit_code(Code::internal));
  }
}

}  // namespace holdfast::cli
