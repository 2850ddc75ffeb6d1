// What commands print. On a terminal rows are an aligned table with a heading, in colour unless NO_COLOR is
// set; into a pipe they are lines of tab-separated fields without a heading; with --json each row is one JSON
// object on a line of its own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast::cli {

/// One field of a row.
class Cell {
 public:
  static Cell text(View text);
  /// Any bytes. In JSON under the field's name if they are UTF-8, else in base64 under the name + "64"; for
  /// people with control bytes and what is no UTF-8 as \xNN.
  static Cell bytes(View bytes);
  static Cell number(std::uint64_t number);
  static Cell number(std::int64_t number);
  static Cell real(double number, int digits);
  static Cell boolean(bool value);
  /// A time: ISO 8601 in UTC for people, Unix ms in JSON.
  static Cell time(std::optional<UnixMs> time_ms);
  static Cell none();
  /// JSON text that is printed as it is.
  static Cell json(std::string text);

  const std::string& shown() const { return shown_; }
  /// "\"name\":value".
  std::string json_member(const std::string& name) const;
  bool is_number() const { return is_number_; }

 private:
  std::string shown_;
  std::string json_;
  bool is_base64_ = false;
  bool is_number_ = false;
};

struct OutputOptions {
  bool json = false;
  bool is_terminal = false;
  bool color = false;
  std::size_t width = 0;  ///< columns of the terminal; 0: unlimited
};

/// Throws Interrupted when nobody reads the output any more.
class Output {
 public:
  Output(std::FILE* file, OutputOptions options) : file_(file), options_(options) {}

  const OutputOptions& options() const { return options_; }

  /// Begins a table. Its rows are held back until finish() or until there are enough to know their widths.
  void table(std::vector<std::string> names);
  void row(std::vector<Cell> cells);
  void finish();

  /// One object of named fields: a JSON line, or lines "name  value".
  void object(const std::vector<std::pair<std::string, Cell>>& fields);
  /// A sentence for people; nothing with --json.
  void say(const std::string& text);
  /// A text that is for people or for another program: as it is, and with --json as the one member of an
  /// object.
  void document(const std::string& name, const std::string& text);
  /// Bytes as they are.
  void raw(View bytes);
  void flush();

  std::string bold(const std::string& text) const;
  std::string red(const std::string& text) const;

 private:
  void print_held();
  void print_row(const std::vector<std::string>& shown, const std::vector<Cell>* cells);
  std::string colored(const char* code, const std::string& text) const;

  std::FILE* file_;
  OutputOptions options_;
  std::vector<std::string> names_;
  std::vector<std::vector<Cell>> held_;
  std::vector<std::size_t> widths_;
  bool widths_known_ = false;
};

/// A line that is drawn over and over on a terminal, and nothing elsewhere.
class ProgressBar {
 public:
  ProgressBar(std::FILE* file, bool is_shown) : file_(file), is_shown_(is_shown) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// `total` 0: not known. `done_before` of what is done was done before the time began. Draws at most ten
  /// times a second.
  void show(const std::string& what, std::uint64_t done, std::uint64_t total, std::int64_t elapsed_ms,
            const std::string& unit = "entries", std::uint64_t done_before = 0);
  void clear();

 private:
  std::FILE* file_;
  const bool is_shown_;
  bool is_drawn_ = false;
  std::int64_t drawn_at_ms_ = -1'000;
};

std::string printable(View bytes);
std::string iso_time(UnixMs time_ms);

}  // namespace holdfast::cli
