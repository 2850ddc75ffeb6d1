#include <charconv>
#include <utility>

#include "holdfast/migrate.h"
#include "migrate/dump_lines.h"
#include "migrate/importer.h"

namespace holdfast::migrate {
namespace {

class Loader {
 public:
  Loader(std::shared_ptr<Backend> target, View database, const ReadLine& read_line, const Options& options)
      : target_(std::move(target)), database_(database), read_line_(read_line), options_(options) {}

  Summary run() {
    const DumpHeader header = read_header();
    if (database_.empty()) database_ = header.database;
    total_ = header.entries;
    summary_.database = database_;
    try {
      importer_.emplace(target_, options_.environment, database_, "dump " + header.id);
    } catch (const Error& error) {
      if (error.code() != Code::already_exists) throw;
      return compare_with_what_is_there(error);
    }
    importer_->set_time(header.time_ms);
    if (const std::optional<Bytes> note = importer_->note()) {
      done_lines_ = line_of(*note);
      summary_.was_resumed = true;
    } else {
      importer_->clear(Range::all());
    }
    finish(read_steps());
    return summary_;
  }

 private:
  /// The note of an import is the number of the last line that was applied.
  static std::uint64_t line_of(const Bytes& note) {
    std::uint64_t line = 0;
    std::from_chars(note.data(), note.data() + note.size(), line);
    return line;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(Code::invalid_argument, "line " + std::to_string(number_) + ": " + why);
  }

  std::optional<std::string> next_line() {
    std::optional<std::string> line = read_line_();
    if (line) ++number_;
    return line;
  }

  DumpLine parsed(const std::string& text) const {
    try {
      return parse_dump_line(text);
    } catch (const Error& error) {
      refuse(error.what());
    }
  }

  DumpHeader read_header() {
    const std::optional<std::string> text = next_line();
    if (!text) throw Error(Code::invalid_argument, "the dump is empty");
    DumpLine line = parsed(*text);
    if (!std::holds_alternative<DumpHeader>(line)) refuse("a dump begins with another line");
    return std::get<DumpHeader>(std::move(line));
  }

  DumpEnd read_steps() {
    try {
      while (const std::optional<std::string> text = next_line()) {
        const bool is_done = number_ <= done_lines_;
        if (is_done) {
          if (text->starts_with("{\"key")) ++entries_;
          continue;
        }
        const DumpLine line = parsed(*text);
        if (const auto* end = std::get_if<DumpEnd>(&line)) {
          if (importer_->newest_version() > end->position.seq)
            refuse("there are versions above the last seq");
          flush(number_ - 1);
          return *end;
        }
        apply(line);
        if (importer_->is_full()) flush(number_);
      }
    } catch (const Error& error) {
      // What was read before the bad line is whole.
      if (error.code() == Code::invalid_argument) flush(number_ - 1);
      throw;
    }
    flush(number_);
    throw Error(Code::corruption, "the dump ends after line " + std::to_string(number_) +
                                      " without its last line: it was cut off, or its writer interrupted");
  }

  void apply(const DumpLine& line) {
    if (const auto* entry = std::get_if<Entry>(&line)) {
      importer_->put(*entry);
      ++entries_;
    } else if (const auto* erase = std::get_if<DumpErase>(&line)) {
      importer_->erase(erase->key);
    } else if (const auto* clear = std::get_if<DumpClear>(&line)) {
      importer_->clear(clear->range);
    } else if (std::holds_alternative<DumpHeader>(line)) {
      refuse("a second dump begins here; load one after the other");
    }
  }

  void flush(std::uint64_t line) {
    importer_->set_note(std::to_string(line));
    importer_->flush();
    if (options_.on_progress) options_.on_progress({Progress::Phase::copying, entries_, total_});
  }

  void finish(const DumpEnd& end) {
    if (next_line()) refuse("there is a line behind the end");
    if (options_.on_progress) options_.on_progress({Progress::Phase::comparing, entries_, total_});
    const Digest digest = importer_->digest(end.time_ms);
    if (!(digest == end.digest)) {
      throw Error(
          Code::corruption,
          "what was loaded has another digest than the dump: the dump was changed, or its lines are from "
          "several dumps; drop database \"" +
              database_ + "\" and load a good copy");
    }
    importer_->open(end.position.seq, end.time_ms);
    summary_.at = end.position;
    summary_.digest = end.digest;
  }

  Summary compare_with_what_is_there(const Error& already_exists) {
    std::optional<DumpEnd> end;
    while (const std::optional<std::string> text = next_line()) {
      if (!text->starts_with("{\"end\"")) continue;
      const DumpLine line = parsed(*text);
      if (const auto* found = std::get_if<DumpEnd>(&line)) end = *found;
    }
    const std::optional<Digest> digest = digest_now(target_, options_.environment, database_);
    if (!end || !digest || !(*digest == end->digest)) throw already_exists;
    summary_.was_there = true;
    summary_.at = end->position;
    summary_.digest = end->digest;
    return summary_;
  }

  const std::shared_ptr<Backend> target_;
  Bytes database_;
  const ReadLine& read_line_;
  const Options& options_;
  std::optional<Importer> importer_;
  Summary summary_;
  std::uint64_t number_ = 0;
  std::uint64_t done_lines_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Summary load(std::shared_ptr<Backend> target, View database, const ReadLine& read_line,
             const Options& options) {
  return Loader(std::move(target), database, read_line, options).run();
}

}  // namespace holdfast::migrate
