#include <utility>

#include "contract/hex.h"
#include "engine/engine.h"
#include "holdfast/migrate.h"
#include "migrate/dump_lines.h"
#include "migrate/exporter.h"
#include "migrate/source.h"
#include "migrate/text.h"

namespace holdfast::migrate {
namespace {

class LineSink final : public StepSink {
 public:
  explicit LineSink(const WriteLine& write_line) : write_line_(write_line) {}
  void put(const Entry& entry) override { write_line_(dump_line(entry)); }
  void erase(View key) override { write_line_(dump_line(DumpErase{Bytes(key)})); }
  void clear(const Range& range) override { write_line_(dump_line(DumpClear{range})); }
  void scanned(std::uint64_t entries) override { write_line_(dump_line(DumpScanned{entries})); }

 private:
  const WriteLine& write_line_;
};

[[noreturn]] void refuse_line(std::uint64_t number, const std::string& why) {
  throw Error(Code::invalid_argument, "line " + std::to_string(number) + " of the earlier dump: " + why);
}

DumpLine earlier_line(const std::string& text, std::uint64_t number) {
  try {
    return parse_dump_line(text);
  } catch (const Error& error) {
    refuse_line(number, error.what());
  }
}

DumpHeader earlier_header(const EarlierDump& earlier) {
  const std::optional<std::string> text = earlier.read_line();
  if (!text) refuse_line(1, "it is missing");
  DumpLine line = earlier_line(*text, 1);
  if (!std::holds_alternative<DumpHeader>(line)) refuse_line(1, "a dump begins with another line");
  return std::get<DumpHeader>(std::move(line));
}

/// What there is of a dump that was interrupted.
struct Found {
  std::uint64_t kept_lines = 1;
  std::optional<DumpEnd> end;
};

/// Tells the exporter what was sent; all lines up to "scanned" stay.
Found remember(const EarlierDump& earlier, Exporter& exporter) {
  std::uint64_t number = 1;
  Found found;
  for (bool is_scanned = false; const std::optional<std::string> text = earlier.read_line();) {
    const DumpLine line = earlier_line(*text, ++number);
    if (found.end) refuse_line(number, "there is a line behind the end");
    if (const auto* end = std::get_if<DumpEnd>(&line)) found.end = *end;
    if (is_scanned) continue;
    found.kept_lines = number;
    if (const auto* entry = std::get_if<Entry>(&line)) {
      exporter.remember(*entry);
    } else if (std::holds_alternative<DumpScanned>(line)) {
      exporter.set_scanned();
      is_scanned = true;
    } else {
      refuse_line(number, "it does not belong here");
    }
  }
  return found;
}

}  // namespace

Summary dump(std::shared_ptr<Backend> source, View database, const WriteLine& write_line,
             const Options& options, const EarlierDump* earlier) {
  const auto engine = source_engine(std::move(source), options.environment);
  DumpHeader header;
  if (earlier != nullptr) {
    header = earlier_header(*earlier);
    if (!database.empty() && database != header.database) {
      refuse_line(1, "it is of database \"" + header.database + "\"");
    }
  } else {
    header.id = hex16(engine->random().next()) + hex16(engine->random().next());
    header.database = Bytes(database);
  }

  Exporter exporter(*engine, header.database, "dump-" + header.id, options);
  Summary summary;
  summary.database = header.database;
  if (earlier != nullptr) {
    summary.was_resumed = true;
    const Found found = remember(*earlier, exporter);
    if (found.end) {
      summary.was_there = true;
      summary.at = found.end->position;
      summary.digest = found.end->digest;
      return summary;
    }
    exporter.resume(header.position);
    earlier->keep(found.kept_lines);
  } else {
    header.store = engine->traits().name;
    header.position = exporter.begin();
    header.time_ms = exporter.begin_time_ms();
    header.entries = options.counts_first ? exporter.count_entries() : 0;
    write_line(dump_line(header));
  }
  LineSink sink(write_line);
  const Exporter::Result result = exporter.run(sink);
  write_line(dump_line(DumpEnd{result.at, result.time_ms, result.digest}));
  exporter.unpin();
  summary.at = result.at;
  summary.digest = result.digest;
  return summary;
}

}  // namespace holdfast::migrate
