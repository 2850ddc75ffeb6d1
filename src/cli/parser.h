// From words to Arguments: the one place that knows CLI11.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/command.h"

namespace holdfast::cli {

/// Parses the words behind a command's name. Throws UsageError saying what is wrong; a misspelt option's
/// error names the nearest known one. `shared` are options that every command takes.
Arguments parse(const Command& command, std::span<const Argument> shared, std::vector<std::string> words);

}  // namespace holdfast::cli
