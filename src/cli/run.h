// The program: from the words of a command line to an exit code.
#pragma once

#include <string>
#include <vector>

namespace holdfast::cli {

/// `words` without the program's name. Never throws.
int run(const std::vector<std::string>& words);

}  // namespace holdfast::cli
