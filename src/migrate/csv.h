// Rows of comma-separated values, as RFC 4180 and spreadsheets write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/migrate.h"

namespace holdfast::migrate {

/// Fields may be quoted; then they may hold separators, line ends and, doubled, quotes. A byte order mark and
/// a carriage return at the end of a line are left out, and so are empty lines.
class CsvReader {
 public:
  CsvReader(ReadLine read_line, char separator) : read_line_(std::move(read_line)), separator_(separator) {}

  /// Nothing at the end. Throws invalid_argument naming the line for a quote that does not belong there, or
  /// does not end within 16 MiB.
  std::optional<std::vector<std::string>> next();
  /// Of the row that was read last: its first line, counted from 1.
  std::uint64_t line() const { return first_line_; }

 private:
  std::optional<std::string> read();

  ReadLine read_line_;
  const char separator_;
  std::uint64_t lines_ = 0;
  std::uint64_t first_line_ = 0;
};

}  // namespace holdfast::migrate
