// Help texts, made from the table of commands.
#pragma once

#include <string>

#include "cli/command.h"

namespace holdfast::cli {

/// `holdfast --help`.
std::string general_help(const CommandTree& tree);
/// `holdfast db --help`.
std::string group_help(const CommandTree& tree, const CommandGroup& group);
/// `holdfast db scan --help`.
std::string command_help(const Command& command);
/// "holdfast db scan [options] [PREFIX]".
std::string usage(const Command& command);
/// docs/cli.md: all of them.
std::string manual(const CommandTree& tree);

}  // namespace holdfast::cli
