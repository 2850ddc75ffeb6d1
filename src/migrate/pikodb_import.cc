#include "holdfast/pikodb_import.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>

#include "holdfast/error.h"
#include "migrate/json_scan.h"
#include "migrate/pikodb_file.h"
#include "services/json_text.h"
#include "services/tables_rules.h"

namespace holdfast {
namespace {

/// Records of one commit, and the size of their values from which on it is closed.
constexpr std::size_t kRecordsAtOnce = 250;
constexpr std::size_t kBytesAtOnce = std::size_t{2} << 20;

/// "<table>.tmp.<milliseconds>.<letters and digits>": what PikoDB was writing when it was killed. Empty for
/// other names.
View table_of_remains(View name) {
  constexpr View kMark = ".tmp.";
  const std::size_t mark = name.rfind(kMark);
  if (mark == View::npos || mark == 0) return {};
  const View rest = name.substr(mark + kMark.size());
  const std::size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits == View::npos || rest[digits] != '.') return {};
  const View letters = rest.substr(digits + 1);
  if (letters.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz") != View::npos) return {};
  return name.substr(0, mark);
}

Bytes content_of(FileSystem& files, const std::string& path) {
  const std::unique_ptr<File> file = files.open(path, FileMode::read);
  Bytes content(file->size_bytes(), '\0');
  std::size_t done = 0;
  while (done < content.size()) {
    const std::size_t part = file->read(done, content.data() + done, content.size() - done);
    if (part == 0) break;
    done += part;
  }
  content.resize(done);
  return content;
}

/// Why `text` breaks a rule; empty if it does not.
std::string objection(void (*rule)(View), View text) {
  try {
    rule(text);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

/// A record that is ready to be restored.
struct Prepared {
  TableRecord record;
  bool has_time = true;
};

struct Counts {
  std::size_t imported = 0;
  std::size_t kept = 0;
  std::size_t expired = 0;
};

class Importer {
 public:
  Importer(Tables& tables, const PikodbImportOptions& options) : tables_(tables), options_(options) {}

  /// Records of dictionaries that Tables takes are stored with them again, others in full.
  void add_dictionaries() {
    for (const auto& [name, given] : options_.dictionaries) {
      std::map<Bytes, Bytes> names(given.names.begin(), given.names.end());
      if (names.size() != given.names.size()) continue;
      TableDictionary dictionary;
      (given.is_inflate ? dictionary.inflate : dictionary.deflate) = std::move(names);
      try {
        tables_.add_dictionary(name, dictionary);
        stored_.insert(name);
      } catch (const Error& error) {
        if (error.code() != Code::invalid_argument) throw;
      }
    }
  }

  void import_file(FileSystem& files, const std::string& path, PikodbFileReport& report,
                   const PikodbProgress& progress) {
    if (std::string reason = objection(validate_table_name, report.file); !reason.empty()) {
      report.problems.push_back("it is no PikoDB table: " + reason);
      return;
    }
    Bytes text;
    try {
      text = content_of(files, path);
    } catch (const Error& error) {
      report.problems.emplace_back(error.what());
      return;
    }
    import_text(text, report, progress);
    if (report.file.ends_with(".tmp")) {
      report.problems.emplace_back("PikoDB itself does not read files whose names end in .tmp");
      report.passed_over = !report.is_table;
    }
  }

 private:
  void import_text(View text, PikodbFileReport& report, PikodbProgress progress) {
    PikodbFile file = parse_pikodb_file(text);
    report.is_table = file.is_table;
    report.records = file.records.size();
    report.unreadable = file.unreadable;
    if (file.is_table) {
      progress.records = file.records.size();
      tables_.create_table(report.file);
      import_records(file, report, progress);
    }
    report.problems = file.problems.listed();
  }

  void import_records(PikodbFile& file, PikodbFileReport& report, PikodbProgress progress) {
    std::map<Bytes, std::size_t> lacking;  // records by the dictionary that was not given
    std::vector<Prepared> batch;
    std::size_t batch_bytes = 0;
    for (const PikodbRecord& record : file.records) {
      if (lacks_dictionary(record)) {
        ++lacking[record.dictionary];
        ++report.unreadable;
      } else if (std::optional<Prepared> prepared = prepare(record, report, file.problems)) {
        batch_bytes += prepared->record.value.size_bytes();
        batch.push_back(*std::move(prepared));
      }
      ++progress.records_done;
      if (batch.size() < kRecordsAtOnce && batch_bytes < kBytesAtOnce) continue;
      restore(batch, report);
      batch.clear();
      batch_bytes = 0;
      if (options_.progress && progress.records_done < progress.records) options_.progress(progress);
    }
    restore(batch, report);
    for (const auto& [name, count] : lacking) {
      file.problems.add(std::to_string(count) + " records are left out, since the dictionary \"" + name +
                        "\" was not given");
    }
  }

  bool lacks_dictionary(const PikodbRecord& record) const {
    return !record.dictionary.empty() && !options_.keep_short_names &&
           !options_.dictionaries.contains(record.dictionary);
  }

  std::optional<Prepared> prepare(const PikodbRecord& record, PikodbFileReport& report,
                                  PikodbProblems& problems) const {
    std::string reason = objection(validate_table_key, record.key);
    Prepared prepared;
    if (reason.empty()) {
      try {
        const auto dictionary = options_.dictionaries.find(record.dictionary);
        const bool is_short = dictionary != options_.dictionaries.end();
        const Payload value = Payload::parse(is_short ? inflate_pikodb_value(record.value, dictionary->second)
                                                      : Bytes(record.value));
        if (value.size_bytes() <= limits::kPayloadBytes) {
          prepared.record = {
              record.key,           value,
              record.version,       record.written_at_ms.value_or(0),
              record.expires_at_ms, stored_.contains(record.dictionary) ? record.dictionary : ""};
          prepared.has_time = record.written_at_ms.has_value();
          return prepared;
        }
        reason = "its value has more than " + std::to_string(limits::kPayloadBytes) + " bytes";
      } catch (const JsonFault& fault) {
        reason = fault.reason;
      } catch (const Error& error) {
        reason = error.what();
      }
    }
    ++report.unreadable;
    problems.add("the record at byte " + std::to_string(record.offset) + " is left out: " + reason);
    return std::nullopt;
  }

  void restore(const std::vector<Prepared>& batch, PikodbFileReport& report) {
    if (batch.empty()) return;
    const Counts counts = tables_.database().transact([&](Transaction& transaction) {
      Counts done;
      for (const Prepared& each : batch) {
        TableRecord record = each.record;
        if (!each.has_time) record.written_at_ms = transaction.now();
        if (record.expires_at_ms && *record.expires_at_ms < transaction.now()) {
          ++done.expired;
        } else {
          ++(tables_.restore_if_newer(transaction, report.file, record) ? done.imported : done.kept);
        }
      }
      return done;
    });
    report.imported += counts.imported;
    report.kept += counts.kept;
    report.expired += counts.expired;
  }

  Tables& tables_;
  const PikodbImportOptions& options_;
  std::set<Bytes> stored_;
};

/// Fills in a report of a file that is not to be read; false if it is.
bool is_passed_over(PikodbFileReport& report, const std::vector<std::string>& names) {
  if (report.file.starts_with('.')) {
    report.problems.emplace_back("its name begins with '.': PikoDB does not read such files");
  } else if (const View table = table_of_remains(report.file); !table.empty()) {
    const bool has_table = std::ranges::find(names, table) != names.end();
    report.problems.emplace_back(
        has_table
            ? "it is what an interrupted write left behind; the table is in the file without the suffix"
            : "it is what an interrupted write left behind, and there is no file of the table: rename it to "
              "the name before \".tmp.\" to import it");
  } else {
    return false;
  }
  report.passed_over = true;
  return true;
}

}  // namespace

PikodbDictionaries parse_pikodb_dictionaries(View json) {
  const auto refuse = [](const std::string& why) {
    throw Error(Code::invalid_argument, "the dictionaries cannot be read: " + why +
                                            "; give {\"name\":{\"deflate\":{\"long\":\"short\"}}}");
  };
  const auto content = [&](View quoted) {
    std::optional<Bytes> text = json_string_content(quoted);
    if (!text) refuse("a name is no Unicode text");
    return *std::move(text);
  };
  PikodbDictionaries dictionaries;
  // In the order of the text, which a JSON library would not keep.
  const auto members = [&](JsonScanner& scanner, const auto& take) {
    scanner.expect('{');
    while (scanner.peek() == '"') {
      const Bytes name = content(scanner.string());
      scanner.expect(':');
      take(name);
      if (!scanner.take(',')) break;
    }
    scanner.expect('}');
  };
  try {
    if (!is_utf8(json)) refuse("the text is not UTF-8");
    JsonScanner scanner(json);
    members(scanner, [&](const Bytes& name) {
      PikodbDictionary dictionary;
      std::size_t directions = 0;
      members(scanner, [&](const Bytes& direction) {
        if (direction != "deflate" && direction != "inflate")
          refuse("a member is neither deflate nor inflate");
        ++directions;
        dictionary.is_inflate = direction == "inflate";
        members(scanner, [&](const Bytes& from) {
          Bytes to = content(scanner.string());
          const auto known = std::ranges::find(dictionary.names, from, &std::pair<Bytes, Bytes>::first);
          if (known != dictionary.names.end()) {
            known->second = std::move(to);
          } else {
            dictionary.names.emplace_back(from, std::move(to));
          }
        });
      });
      if (directions != 1) refuse("each has either deflate or inflate");
      dictionaries.insert_or_assign(name, std::move(dictionary));
    });
    if (!scanner.is_at_end()) refuse("it goes on behind its end");
  } catch (const JsonFault& fault) {
    refuse(fault.reason + " at offset " + std::to_string(fault.offset));
  }
  return dictionaries;
}

bool PikodbReport::is_complete() const {
  return unreadable == 0 && std::ranges::all_of(files, [](const PikodbFileReport& file) {
           return file.is_table || file.passed_over;
         });
}

PikodbReport import_pikodb(Tables& tables, const std::string& folder, const PikodbImportOptions& options) {
  const std::shared_ptr<FileSystem> files = options.files ? options.files : system_files();
  const std::vector<std::string> names = files->list(folder);
  Importer importer(tables, options);
  importer.add_dictionaries();
  PikodbReport report;
  for (const std::string& name : names) {
    PikodbFileReport one{.file = name};
    const PikodbProgress before{name, report.files.size(), names.size(), 0, 0};
    if (!is_passed_over(one, names)) {
      std::string path = folder;
      (path += '/') += name;
      importer.import_file(*files, path, one, before);
    }
    report.imported += one.imported;
    report.kept += one.kept;
    report.expired += one.expired;
    report.unreadable += one.unreadable;
    if (options.progress) {
      options.progress({name, before.files_done, names.size(), one.records, one.records});
    }
    report.files.push_back(std::move(one));
  }
  return report;
}

}  // namespace holdfast
