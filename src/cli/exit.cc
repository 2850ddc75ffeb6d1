#include "cli/exit.h"

#include <unistd.h>

#include <cstdlib>

#include "migrate/text.h"

namespace holdfast::cli {

int exit_code(Code code) { return kExitFirstCode + static_cast<int>(code); }

const char* advice(Code code) {
  switch (code) {
    case Code::invalid_argument:
      return "a value is not allowed; the message says what is";
    case Code::not_found:
      return "check its name or path; `holdfast db ls` and `holdfast db scan` show what a store holds";
    case Code::already_exists:
      return "choose another name or port, or remove what is there first";
    case Code::conflict:
      return "somebody else changed it meanwhile; read it again and retry";
    case Code::capability_missing:
      return "this kind of store cannot do that; use another one";
    case Code::unavailable:
      return "try again in a moment; if it stays so, see whether the store's server runs and its URL is "
             "right";
    case Code::timeout:
      return "the outcome may be unknown; look before you repeat, or allow more time with ?timeout_ms= in "
             "the URL";
    case Code::corruption:
      return "the data are damaged; run `holdfast db check`, then restore a copy or `holdfast db repair`";
    case Code::permission_denied:
      return "give this user the right to do so";
    case Code::compacted:
      return "the change log no longer reaches back that far; start again from a scan";
    case Code::history_changed:
      return "the database was replaced meanwhile; start again";
    case Code::session_conflict:
      return "run the command again";
    case Code::clock_skew:
      return "set this machine's clock, or the store option clock_skew_limit_ms";
    case Code::moved:
      return "open the database at its new place";
    case Code::closed:
      return "the store was closed; run the command again";
    case Code::internal:
      return "this is a bug in Holdfast; please report it with the message";
  }
  return "";
}

std::vector<ExitCodeRow> exit_codes() {
  std::vector<ExitCodeRow> rows = {
      {kExitSuccess, "success", "done"},
      {kExitNo, "no", "done, and the answer is no: digests differ, a check found problems, a case failed"},
      {kExitUsage, "usage", "the command line makes no sense; nothing was done"}};
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    const Code code = static_cast<Code>(i);
    rows.push_back({exit_code(code), name(code), advice(code)});
  }
  rows.push_back({kExitInterrupted, "interrupted", "ended by Ctrl-C; nothing is left half done"});
  return rows;
}

std::string complaint(bool json, const std::string& code, const std::string& message,
                      const std::string& what_to_do, int exit) {
  if (json) {
    return "{\"error\":" + migrate::json_string(code) + ",\"message\":" + migrate::json_string(message) +
           ",\"advice\":" + migrate::json_string(what_to_do) + ",\"exit_code\":" + std::to_string(exit) +
           "}\n";
  }
  const char* no_color = std::getenv("NO_COLOR");
  const bool color = isatty(STDERR_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
  std::string text =
      (color ? "\x1b[31mholdfast: " + code + "\x1b[0m" : "holdfast: " + code) + ": " + message + "\n";
  if (!what_to_do.empty()) text += "  " + what_to_do + "\n";
  return text;
}

}  // namespace holdfast::cli
