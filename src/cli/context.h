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

 private:
  const Globals globals_;
  const Environment environment_;
  const Deadline started_at_;
  Output out_;
  std::shared_ptr<Store> store_;
};

/// From here on Ctrl-C and a request to terminate are noticed by interrupted(); a second Ctrl-C ends at once.
/// Also makes a closed pipe an error of writing rather than a death.
void listen_for_interrupts();
bool interrupted();

/// A URL as it was given, or what the file holds that "@FILE" names.
std::string url_of(const std::string& given);

/// Reads all of the standard input or of a file; at most `limit_bytes`, else UsageError. "-": standard input.
Bytes read_whole(const std::string& path, std::size_t limit_bytes);

}  // namespace holdfast::cli
