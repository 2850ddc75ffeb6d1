// What a command is, as data: its words, its arguments, its help and what it runs. Parsing, help, shell
// completion and docs/cli.md are all made from these, so that they cannot say different things.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast::cli {

class Context;

/// One option ("--limit") or positional argument ("KEY").
struct Argument {
  enum class Kind : std::uint8_t {
    flag,
    text,
    file,      ///< text that names a file; completed as one
    number,    ///< 0 and above
    integer,   ///< of either sign
    duration,  ///< "250ms", "10s", "5m", "2h", "3d"
    instant,   ///< "2026-01-31T09:30:00Z", or Unix milliseconds
    choice,
  };
  std::string name;
  std::string help;
  Kind kind = Kind::text;
  std::string placeholder = {};  ///< of an option's value: "SEQ"; by default what the kind is called
  std::string otherwise = {};    ///< the value if it is not given; empty for none
  std::vector<std::string> choices = {};
  bool required = false;
  bool repeated = false;

  bool is_option() const { return name.starts_with("--"); }
};

/// What the arguments of a call were. Asking for a name that the command does not declare is a mistake of the
/// program and throws std::out_of_range.
class Arguments {
 public:
  bool flag(const std::string& name) const;
  /// Given on the command line, rather than by default.
  bool given(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  std::optional<std::string> optional_text(const std::string& name) const;
  std::uint64_t number(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  std::optional<std::int64_t> optional_duration_ms(const std::string& name) const;
  std::optional<UnixMs> optional_instant_ms(const std::string& name) const;
  const std::vector<std::string>& list(const std::string& name) const;

  void set(const std::string& name, std::vector<std::string> values, bool is_given);

 private:
  struct Value {
    std::vector<std::string> texts;
    bool is_given = false;
  };
  std::map<std::string, Value> values_;
};

struct Example {
  std::string command;  ///< without "holdfast" in front
  std::string what;
};

struct Command {
  std::string path;     ///< "db scan"
  std::string summary;  ///< one line
  std::string details = {};
  std::vector<Argument> arguments = {};
  std::vector<Example> examples = {};
  /// Returns the exit code; throws Error, UsageError or Interrupted.
  std::function<int(Context&, const Arguments&)> run;
};

struct CommandGroup {
  std::string name;  ///< "tables", or "tables dictionary" for a group in it
  std::string summary;
};

struct CommandTree {
  std::vector<CommandGroup> groups;
  std::vector<Command> commands;

  const Command* find(const std::string& path) const;
  const CommandGroup* find_group(const std::string& name) const;
  /// Of a command or group.
  const std::string& summary_of(const std::string& path) const;
  /// The words that may follow a group's name, or stand first for "": of its groups and commands.
  std::vector<std::string> words_after(const std::string& group) const;
};

/// "250ms", "10s", "5m", "2h", "3d" in milliseconds; throws UsageError naming `what`.
std::int64_t parse_duration_ms(const std::string& text, const std::string& what);
/// "2026-01-31T09:30:00Z", with or without a fraction of the second, or a number of Unix milliseconds; throws
/// UsageError naming `what`.
UnixMs parse_instant_ms(const std::string& text, const std::string& what);

}  // namespace holdfast::cli
