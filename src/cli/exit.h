// How the program ends: exit codes, and the exceptions that are not faults of a store.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "holdfast/error.h"

namespace holdfast::cli {

inline constexpr int kExitSuccess = 0;
/// The command did its work and the answer is no: digests differ, a check found problems, a case failed.
inline constexpr int kExitNo = 1;
/// The command line makes no sense.
inline constexpr int kExitUsage = 2;
inline constexpr int kExitFirstCode = 10;
/// 128 + SIGINT, as shells have it.
inline constexpr int kExitInterrupted = 130;

/// How to go on with what was done in steps.
inline constexpr const char* kGoesOn = "what was done stays; the same command goes on with it";

/// The exit code of each holdfast::Code: kExitFirstCode + its place in the list.
int exit_code(Code code);

/// What to do about an error with this code, in one sentence.
const char* advice(Code code);

/// What the standard error output is told when a command ends by an error: lines for people, with colour on a
/// terminal, or one JSON object.
std::string complaint(bool json, const std::string& code, const std::string& message,
                      const std::string& what_to_do, int exit);

struct ExitCodeRow {
  int exit_code;
  std::string name;
  std::string meaning;
};
/// Every exit code there is, for --help and docs/cli.md.
std::vector<ExitCodeRow> exit_codes();

/// A command line that makes no sense; its message says what would.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Ctrl-C, or whoever read our output went away. `what()` says how to go on.
struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace holdfast::cli
