// A notebook in one Holdfast database: numbered notes, found by their words, kept for ever or for a while.
#pragma once

#include <holdfast/store.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace notes {

struct Note {
  std::uint64_t id = 0;
  holdfast::UnixMs created_at_ms = 0;
  std::optional<holdfast::UnixMs> expires_at_ms;
  std::string text;
};

/// What happened to the notebook, by the number of the commit that did it.
struct LogLine {
  holdfast::Seq seq = 0;
  std::string text;
};

/// Any number of processes and threads may use one notebook at once: every change of a note, of its words and
/// of the log is one transaction. Throws holdfast::Error.
class Notebook {
 public:
  explicit Notebook(holdfast::Database database) : database_(std::move(database)) {}

  /// All of them are added by one commit, or none. They expire together with their words.
  std::vector<Note> add(const std::vector<std::string>& texts, std::optional<std::int64_t> lifetime_ms = {});
  /// False if there is no such note.
  bool edit(std::uint64_t id, const std::string& text);
  bool remove(std::uint64_t id);

  std::optional<Note> show(std::uint64_t id) const;
  /// In the order in which they were added, those after `after`.
  std::vector<Note> list(std::uint64_t after, std::size_t limit) const;
  /// The notes that have every one of the words.
  std::vector<Note> search(const std::vector<std::string>& words);
  /// The newest first.
  std::vector<LogLine> log(std::size_t limit) const;

  /// The log lines that were written after `since`, which moves on behind them; the oldest first. Waits until
  /// there are some, or until the deadline.
  std::vector<LogLine> next_log_lines(holdfast::Watch& watch, holdfast::Position& since,
                                      holdfast::Deadline deadline) const;
  holdfast::Watch watch_log(holdfast::Position since) { return database_.watch(log_range(), since); }

 private:
  static holdfast::Range log_range();

  holdfast::Database database_;
};

/// The words of a text as they are searched for: lower case, each once, at most 1,000.
std::vector<std::string> words_of(const std::string& text);

}  // namespace notes
