// holdfast dump|load|copy: whole databases as text, and from store to store.

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/line_reader.h"
#include "contract/hex.h"
#include "environment/posix_error.h"
#include "holdfast/migrate.h"
#include "holdfast/open.h"
#include "migrate/text.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;
using migrate::Progress;

/// Draws progress, and ends the call after Ctrl-C.
class Watcher {
 public:
  Watcher(Context& context, std::string how_to_go_on)
      : context_(context), how_to_go_on_(std::move(how_to_go_on)), bar_(stderr, context.shows_progress()) {}

  migrate::Options options() {
    migrate::Options options;
    options.environment = context_.environment();
    options.counts_first = context_.shows_progress();
    options.on_progress = [this](const Progress& progress) { show(progress); };
    return options;
  }
  void clear() { bar_.clear(); }
  void begin(std::string what) {
    what_ = std::move(what);
    phase_.reset();
  }

 private:
  void show(const Progress& progress) {
    context_.check_interrupt(how_to_go_on_);
    // Entries of an earlier call, and the time of other phases, say nothing of the time that is left.
    if (phase_ != progress.phase) {
      phase_ = progress.phase;
      began_at_ms_ = context_.elapsed_ms();
      done_before_ = progress.entries;
    }
    const bool is_copying = progress.phase == Progress::Phase::copying;
    static constexpr const char* kPhases[] = {"counting", "copying", "following", "comparing"};
    bar_.show(what_ + kPhases[static_cast<std::size_t>(progress.phase)], progress.entries,
              is_copying ? progress.total : 0, context_.elapsed_ms() - began_at_ms_, "entries", done_before_);
  }

  Context& context_;
  const std::string how_to_go_on_;
  ProgressBar bar_;
  std::string what_;
  std::optional<Progress::Phase> phase_;
  std::int64_t began_at_ms_ = 0;
  std::uint64_t done_before_ = 0;
};

std::string digest_text(const Digest& digest) { return hex16(digest.high) + hex16(digest.low); }

std::vector<std::pair<std::string, Cell>> summary_fields(const migrate::Summary& summary, const char* done) {
  const char* what = summary.was_there     ? "was there already"
                     : summary.was_resumed ? "went on and done"
                                           : done;
  return {{"database", Cell::text(summary.database)},
          {"outcome", Cell::text(what)},
          {"entries", Cell::number(summary.digest.entries)},
          {"seq", Cell::number(summary.at.seq)},
          {"digest", Cell::text(digest_text(summary.digest))}};
}

/// Where a dump is written to.
class DumpFile {
 public:
  DumpFile(const std::string& path, bool may_exist, bool is_appended) {
    if (path == "-") return;
    file_ = std::fopen(path.c_str(), is_appended ? "ab" : may_exist ? "wb" : "wbx");
    if (file_ == nullptr && errno == EEXIST) {
      throw Error(Code::already_exists,
                  "there is a file " + path + " already; --resume goes on with it, --force overwrites it");
    }
    if (file_ == nullptr) throw posix_error(errno, "write", path);
  }
  ~DumpFile() {
    if (file_ != stdout) std::fclose(file_);
  }
  DumpFile(const DumpFile&) = delete;
  DumpFile& operator=(const DumpFile&) = delete;

  void write_line(View line) {
    const bool is_written = std::fwrite(line.data(), 1, line.size(), file_) == line.size();
    if (!is_written || std::fputc('\n', file_) == EOF) fail();
  }
  /// On stable storage, if it is a file.
  void finish() {
    if (std::fflush(file_) != 0) fail();
    if (file_ != stdout && fsync(fileno(file_)) != 0) fail();
  }

 private:
  [[noreturn]] void fail() const {
    if (file_ == stdout && errno == EPIPE) throw Interrupted("nobody reads the dump any more");
    throw Error(Code::unavailable, std::string("the dump cannot be written on: ") + std::strerror(errno));
  }

  std::FILE* file_ = stdout;
};

/// The lines that an interrupted dump has written; the others go.
class EarlierFile {
 public:
  explicit EarlierFile(std::string path) : path_(std::move(path)), reader_(path_) {}

  migrate::EarlierDump earlier() {
    return {[this] { return reader_.next(false); },
            [this](std::uint64_t lines) {
              LineReader again(path_);
              for (std::uint64_t i = 0; i < lines; ++i) again.next(false);
              if (truncate(path_.c_str(), static_cast<off_t>(again.offset())) != 0) {
                throw Error(Code::unavailable, "cannot cut " + path_ + ": " + std::strerror(errno));
              }
            }};
  }

 private:
  const std::string path_;
  LineReader reader_;
};

int dump(Context& context, const Arguments& arguments) {
  const std::string path = arguments.text("--output");
  const bool is_resumed = arguments.flag("--resume");
  if (is_resumed && path == "-") throw UsageError("--resume goes on with a file: name it with --output");
  const std::string database = is_resumed ? "" : context.database_name();
  const std::shared_ptr<Backend> source = open_backend(context.url(), context.environment());
  Watcher watcher(context, path == "-" ? "the dump is not whole"
                                       : "go on with: holdfast dump --output " + path + " --resume");
  std::optional<EarlierFile> earlier_file;
  migrate::EarlierDump earlier;
  if (is_resumed) earlier = earlier_file.emplace(path).earlier();
  DumpFile file(path, is_resumed || arguments.flag("--force"), is_resumed);
  const auto write_line = [&](View line) { file.write_line(line); };
  migrate::Summary summary;
  try {
    summary = migrate::dump(source, database, write_line, watcher.options(), is_resumed ? &earlier : nullptr);
  } catch (const Interrupted&) {
    if (path != "-") file.finish();
    throw;
  }
  file.finish();
  watcher.clear();
  if (path != "-") context.out().object(summary_fields(summary, "dumped"));
  return kExitSuccess;
}

int load(Context& context, const Arguments& arguments) {
  const std::string database = arguments.given("--db") ? context.database_name() : "";
  const std::string how_to_go_on = "nothing of it can be seen yet; the same command goes on with it";
  LineReader reader(arguments.text("FILE"), how_to_go_on);
  const std::shared_ptr<Backend> target = open_backend(context.url(), context.environment());
  Watcher watcher(context, how_to_go_on);
  const migrate::ReadLine read_line = [&] { return reader.next(); };
  const migrate::Summary summary = migrate::load(target, database, read_line, watcher.options());
  watcher.clear();
  context.out().object(summary_fields(summary, "loaded"));
  return kExitSuccess;
}

std::vector<Bytes> databases_of(Backend& backend, Context& context) {
  std::vector<Bytes> names;
  for (Bytes after;;) {
    const Deadline deadline = context.environment().clock->steady_now() + std::chrono::seconds(30);
    const std::vector<Bytes> page = backend.databases("", after, 1'000, deadline);
    for (const Bytes& name : page) {
      if (!name.starts_with('!')) names.push_back(name);
    }
    if (page.size() < 1'000) return names;
    after = page.back();
  }
}

int copy(Context& context, const Arguments& arguments) {
  const bool is_one = arguments.given("--db");
  const std::string target_name = arguments.optional_text("--as").value_or("");
  if (!target_name.empty() && !is_one) throw UsageError("--as goes with --db NAME");
  const std::string source_url = url_of(arguments.text("SOURCE"));
  const std::string target_url = url_of(arguments.text("TARGET"));
  const std::shared_ptr<Backend> source = open_backend(source_url, context.environment());
  const std::shared_ptr<Backend> target =
      source_url == target_url ? source : open_backend(target_url, context.environment());
  if (source == target && target_name.empty())
    throw UsageError("source and target are the same; give --db and --as");
  const std::vector<Bytes> names =
      is_one ? std::vector<Bytes>{context.database_name()} : databases_of(*source, context);

  Watcher watcher(context, "the same command goes on with it");
  context.out().table({"database", "outcome", "entries", "seq", "digest"});
  for (const Bytes& name : names) {
    watcher.begin(names.size() > 1 ? printable(name) + ": " : "");
    const migrate::Summary summary = migrate::copy(source, name, target, target_name, watcher.options());
    watcher.clear();
    std::vector<Cell> cells;
    for (auto& [field, cell] : summary_fields(summary, "copied")) cells.push_back(std::move(cell));
    context.out().row(std::move(cells));
  }
  return kExitSuccess;
}

}  // namespace

std::vector<Command> transfer_commands() {
  return {
      {.path = "dump",
       .summary = "write a database as lines of JSON",
       .details =
           "The dump is one consistent state, taken while others write. It holds keys, values, expiries, "
           "versions and large objects, byte for byte, and ends with the digest of what it holds. While it "
           "runs the change log is kept; so it is for an hour after a dump into a file was interrupted.",
       .arguments = {{"--output", "a new file; - is the standard output", Kind::file, "FILE", "-"},
                     {"--resume", "go on with the file of a dump that was interrupted", Kind::flag},
                     {"--force", "overwrite the file", Kind::flag}},
       .examples = {{"dump --db agents --output agents.jsonl", "into a file"},
                    {"dump --output agents.jsonl --resume", "after an interruption"},
                    {"dump --db agents | zstd > agents.jsonl.zst", "into a pipe"}},
       .run = dump},
      {.path = "load",
       .summary = "read a database from the lines that dump has written",
       .details =
           "The database must not exist. Nobody sees it before it is complete and its digest is the dump's. "
           "A line that makes no sense ends the load with the line's number; the same command goes on after "
           "that, or after an interruption. `db drop` gives an unfinished load up. The database is the one "
           "that the dump names, or --db (HOLDFAST_DB is not looked at).",
       .arguments = {{.name = "FILE",
                      .help = "a dump; - is the standard input",
                      .kind = Kind::file,
                      .otherwise = "-"}},
       .examples = {{"load agents.jsonl --store file:///data/store", "into another store"},
                    {"load agents.jsonl --db agents-yesterday", "under another name"},
                    {"load < agents.jsonl", "from a pipe"}},
       .run = load},
      {.path = "copy",
       .summary = "copy one database, or all, from store to store",
       .details =
           "The source may be written to meanwhile: the copy follows its changes until it has caught up, and "
           "is then compared by its digest. A copy that was interrupted, or killed, goes on when the same "
           "command is given again; databases that are there already with the same data are left alone. "
           "Without --db all databases are copied (HOLDFAST_DB is not looked at).",
       .arguments =
           {{.name = "SOURCE", .help = "a store's URL, or @FILE for a file that holds it", .required = true},
            {.name = "TARGET", .help = "a store's URL, or @FILE for a file that holds it", .required = true},
            {"--as", "the copy's name", Kind::text, "NAME"}},
       .examples = {{"copy sqlite:data/store.db file:///data/store", "all databases"},
                    {"copy sqlite:a.db sqlite:b.db --db agents --as agents-copy", "one, under another name"}},
       .run = copy},
  };
}

}  // namespace holdfast::cli
