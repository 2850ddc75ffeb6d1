// What a command works with: the store that was named, where output goes, and whether Ctrl-C was pressed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/output.h"
#include "holdfast/environment.h"
#include "holdfast/store.h"

namespace holdfast::cli {

struct Globals {
  std::string store_url;  ///< empty: not given
  std::string database;   ///< empty: not given
  bool json = false;
};

class Context {
 public:
  explicit Context(Globals globals);

  Output& out() { return out_; }
  const Environment& environment() const { return environment_; }
  const Globals& globals() const { return globals_; }

  /// The URL of --store or HOLDFAST_STORE; throws UsageError if there is none.
  const std::string& url() const;
  /// The name of --db or HOLDFAST_DB; throws UsageError if there is none.
  const std::string& database_name() const;

  /// Opened on first use, and closed when the command ends. Takes no part in sweeping: a command lives for
  /// moments.
  Store& store();
  void close_store() { store_.reset(); }
  Database database();

  /// A progress bar on the standard error output, if that is a terminal.
  bool shows_progress() const;
  std::int64_t elapsed_ms() const;

  /// Asks on the terminal for a yes. Without a terminal throws UsageError: --yes says it without being asked.
  void confirm(const std::string& question, bool is_yes_given);

  /// A notice for people, on the standard error output.
  void note(const std::string& text);
  /// Throws Interrupted if Ctrl-C was pressed. `how_to_go_on` says what a second run does.
  void check_interrupt(const std::string& how_to_go_on = "") const;
  /// From here on Ctrl-C ends the program at once, for a long call that looks at nothing meanwhile: one that
  /// only reads, or whose every step is a commit of its own.
  void end_at_once_when_interrupted(const std::string& how_to_go_on) const;

 private:
  const Globals globals_;
  const Environment environment_;
  const Deadline started_at_;
  Output out_;
  std::shared_ptr<Store> store_;
};

/// A URL as it was given, or what the file holds that "@FILE" names.
std::string url_of(const std::string& given);

}  // namespace holdfast::cli
