// Takes over the data of a PikoDB 1 folder (one JSON file per table): values, versions, timestamps, expiries,
// dictionaries and the order of insertion. The folder is only read.
//
//     const holdfast::PikodbReport report = holdfast::import_pikodb(tables, "/data/pikodb");
//     for (const auto& file : report.files) for (const auto& problem : file.problems)
//     std::puts(problem.c_str());
//
// What cannot be read is reported, file by file, and everything else is imported, also from behind a damaged
// place. Running it again is harmless and goes on where an earlier run ended: a record that the table already
// has, written at the same time or later, is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/file_system.h"
#include "holdfast/tables.h"

namespace holdfast {

/// A dictionary as PikoDB was configured with it, pairs in the order given there. It may be one that
/// TableDictionary refuses: its records are then stored without a dictionary.
struct PikodbDictionary {
  bool is_inflate = false;                     ///< `names` are from short to long
  std::vector<std::pair<Bytes, Bytes>> names;  ///< from long to short, unless is_inflate
};
using PikodbDictionaries = std::map<Bytes, PikodbDictionary>;

/// {"name":{"deflate":{"long":"short",...}},"other":{"inflate":{"short":"long"}}}: the `dictionaries` option
/// of the program that wrote the folder, as JSON. PikoDB does not store them. Throws invalid_argument.
PikodbDictionaries parse_pikodb_dictionaries(View json);

struct PikodbProgress {
  Bytes file;
  std::size_t files_done = 0;  ///< this one not counted
  std::size_t files = 0;
  std::size_t records_done = 0;  ///< of this file
  std::size_t records = 0;
};

struct PikodbImportOptions {
  PikodbDictionaries dictionaries = {};
  /// Import records of dictionaries that are not given, with their members named as they are in the file.
  /// Otherwise these records are left out, so that a later run with the dictionary can import them.
  bool keep_short_names = false;
  /// Called after each commit and at the end of each file. An exception ends the import and leaves what was
  /// imported.
  std::function<void(const PikodbProgress&)> progress = {};
  /// The machine's own if empty.
  std::shared_ptr<FileSystem> files = {};
};

struct PikodbFileReport {
  Bytes file;
  bool is_table = false;     ///< was imported as the table of that name, whole or in part
  bool passed_over = false;  ///< PikoDB would not have read it, or it is what an interrupted write left
  std::size_t records = 0;   ///< found, each key once
  std::size_t imported = 0;
  std::size_t kept = 0;        ///< the table had them already, as new or newer
  std::size_t expired = 0;     ///< left out, since they have expired
  std::size_t unreadable = 0;  ///< left out: see `problems`
  /// Sentences with positions, without keys or values; also of what is merely odd. At most 20; the last one
  /// then says how many more there are.
  std::vector<std::string> problems = {};
};

struct PikodbReport {
  std::vector<PikodbFileReport> files;  ///< in byte order of their names
  std::size_t imported = 0;
  std::size_t kept = 0;
  std::size_t expired = 0;
  std::size_t unreadable = 0;
  /// Nothing was left out but what has expired and files that were passed over.
  bool is_complete() const;
};

/// Imports every file of `folder` that is a table; folders inside it are none of PikoDB's. Throws not_found
/// if there is no such folder, and what the store throws; files that cannot be opened are reported. Memory:
/// about twice the largest file.
///
/// Values come as PikoDB would show them, and are stored under the dictionary of the same name again where
/// Tables takes it. A record whose expiry has passed is left out. Do not run it while PikoDB writes to the
/// folder.
PikodbReport import_pikodb(Tables& tables, const std::string& folder,
                           const PikodbImportOptions& options = {});

}  // namespace holdfast
