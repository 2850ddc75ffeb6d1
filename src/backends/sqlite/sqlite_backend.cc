#include "backends/sqlite/sqlite_backend.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "backends/sqlite/check.h"
#include "backends/sqlite/maintenance.h"
#include "backends/sqlite/reader.h"
#include "backends/sqlite/schema.h"
#include "backends/sqlite/waiting.h"
#include "backends/sqlite/writer.h"

namespace holdfast {
namespace sqlite {
namespace {

/// Change log rows freed in one turn at the file.
constexpr std::int64_t kTrimRows = 200;
constexpr std::int64_t kWaitingCacheBytes = 256ll * 1024;
constexpr std::size_t kMostWaiting = 1'000;
constexpr std::chrono::milliseconds kWakeBound{50};
constexpr const char* kSideFiles[] = {"-wal", "-shm", "-writer"};

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void demand_usable_path(const std::string& path, FileSystem& files) {
  if (path.empty() || path == ":memory:") {
    throw Error(
        Code::invalid_argument,
        "sqlite: needs the path of a file, as in sqlite:///data/app.db; for a store that is not kept use "
        "memory:");
  }
  const std::string folder = folder_of(path);
  if (!files.exists(folder)) {
    throw Error(Code::not_found, "the folder \"" + folder + "\" of \"" + path +
                                     "\" does not exist; create it, or correct the path");
  }
  if (files.is_network(path)) {
    throw Error(
        Code::capability_missing,
        "\"" + path +
            "\" lies on a network file system, where SQLite's shared memory and locks do not work; put "
            "it on a local disk");
  }
}

class SqliteBackend final : public Backend {
 public:
  SqliteBackend(const std::string& path, const Options& options, const Environment& environment)
      : environment_(environment),
        readers_(path, options.integer("cache_size_bytes"),
                 static_cast<std::size_t>(options.integer("readers")), environment.clock),
        waiting_readers_(path, kWaitingCacheBytes, kMostWaiting, environment.clock),
        waiting_(waiting_readers_, environment.clock),
        writer_(path, options.integer("cache_size_bytes"), environment,
                [this](std::int64_t frames) { maintenance_.on_commit(frames); }),
        maintenance_(writer_, path,
                     {options.integer("checkpoint_size_bytes"), options.integer("log_limit_bytes"),
                      options.integer("cache_size_bytes")},
                     environment) {
    traits_.name = "sqlite";
    traits_.durability = Durability::disk;
    traits_.shared_by_processes = true;
    traits_.keeps_acknowledged = true;
    traits_.wake_bound = kWakeBound;
    const bool has_dropped = readers_.with({}, [](Reader& reader) { return reader.has_dropped(); });
    if (has_dropped) maintenance_.free_dropped();
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View /*database*/) const override { return 0; }

  ReadAnswer read(View database, const ReadRequest& request) override {
    return readers_.with(request.deadline, [&](Reader& reader) { return reader.read(database, request); });
  }

  Changes changes(View database, const ChangesRequest& request) override {
    return readers_.with(request.deadline, [&](Reader& reader) { return reader.changes(database, request); });
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override {
    return readers_.with(deadline, [&](Reader& reader) { return reader.expired(now_ms, limit); });
  }

  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override {
    return readers_.with(deadline, [&](Reader& reader) { return reader.databases(prefix, after, limit); });
  }

  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override {
    return waiting_.wait(cursors, deadline);
  }
  void wake() override { waiting_.wake(); }

  void commit(std::span<Group> groups) override {
    Deadline deadline = Deadline::max();
    for (Group& group : groups) {
      group.outcomes.clear();
      group.error.reset();
      deadline = std::min(deadline, effective_deadline(*environment_.clock, group.deadline));
    }
    try {
      Writer::Turn turn = writer_.take(deadline);
      // A group that breaks the transaction takes the others with it: they get one each then.
      if (commit_together(turn, groups)) return waiting_.notify();
      for (std::size_t i = 0; i < groups.size(); ++i) commit_together(turn, groups.subspan(i, 1));
      waiting_.notify();
    } catch (const Error& error) {
      for (Group& group : groups) {
        if (!group.error && group.outcomes.empty()) group.error = error;
      }
    }
  }

  void compact(View database, Seq before, Deadline deadline) override {
    deadline = effective_deadline(*environment_.clock, deadline);
    bool more = true;
    while (more) {
      write(deadline, [&](GroupCommit& tables) {
        more = false;
        std::optional<DatabaseRow> row = tables.databases().find(database);
        if (!row) return false;
        // Raised in the same transaction that begins to free rows: nobody sees one without the other.
        row->head.floor = raised_floor(row->head, before);
        tables.databases().update(*row);
        more = tables.log().trim(row->id, row->head.floor, kTrimRows);
        return true;
      });
      // The rest is below the floor, and the next call frees it.
      if (environment_.clock->steady_now() >= deadline) return;
    }
  }

  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override {
    bool done = false;
    write(deadline, [&](GroupCommit& tables) {
      const std::optional<DatabaseRow> found = tables.databases().find(database);
      DatabaseRow row = found.value_or(DatabaseRow{});
      const std::optional<Head> after = apply_fence(row.head, expected, next);
      done = after.has_value();
      if (!done) return false;
      row.head = *after;
      found ? tables.databases().update(row) : tables.databases().insert(database, row);
      return true;
    });
    if (done) waiting_.notify();
    return done;
  }

  bool drop(View database, std::uint64_t history, Deadline deadline) override {
    bool dropped = false;
    write(deadline, [&](GroupCommit& tables) {
      const std::optional<DatabaseRow> row = tables.databases().find(database);
      dropped = row && row->head.history == history;
      if (dropped) tables.databases().drop(row->id);
      return dropped;
    });
    if (!dropped) return false;
    waiting_.notify();
    maintenance_.free_dropped();
    return true;
  }

 private:
  /// One transaction; `body` gets the tables and returns whether there is anything to commit.
  template <class Body>
  void write(Deadline deadline, Body&& body) {
    Writer::Turn turn = writer_.take(effective_deadline(*environment_.clock, deadline));
    try {
      turn.transact([&] { return body(turn.groups()); });
    } catch (const CommitFailed& error) {
      throw error.with_unknown_outcome();
    }
  }

  /// False: the transaction was undone because of one of several groups.
  bool commit_together(Writer::Turn& turn, std::span<Group> groups) {
    std::vector<bool> written(groups.size());
    try {
      turn.transact([&] {
        bool any = false;
        for (std::size_t i = 0; i < groups.size(); ++i) any |= written[i] = apply(turn, groups[i]);
        return any;
      });
    } catch (const CommitFailed& error) {
      for (std::size_t i = 0; i < groups.size(); ++i) {
        if (written[i] && !recall(turn, groups[i])) set_error(groups[i], error.with_unknown_outcome());
      }
    } catch (const Error& error) {
      if (groups.size() > 1) {
        for (Group& group : groups) {
          group.outcomes.clear();
          group.error.reset();
        }
        return false;
      }
      set_error(groups.front(), error);
    }
    return true;
  }

  static bool apply(Writer::Turn& turn, Group& group) {
    try {
      return turn.groups().apply(group);
    } catch (const SqliteError&) {
      throw;
    } catch (const Error& error) {
      // Judged before anything was written: the others go on.
      if (error.code() == Code::corruption) throw;
      set_error(group, error);
      return false;
    }
  }

  /// After a failed COMMIT. What the file has may be in memory only, if it was the sync that failed: it is
  /// an answer once it has been copied and synced.
  static bool recall(Writer::Turn& turn, Group& group) {
    try {
      const int result = sqlite3_wal_checkpoint_v2(turn.connection().handle(), nullptr,
                                                   SQLITE_CHECKPOINT_FULL, nullptr, nullptr);
      return result == SQLITE_OK && turn.groups().recall(group);
    } catch (const Error&) {
      return false;
    }
  }

  static void set_error(Group& group, const Error& error) {
    group.outcomes.clear();
    group.error = error;
  }

  const Environment environment_;
  Traits traits_;
  Readers readers_;
  Readers waiting_readers_;
  Waiting waiting_;
  Writer writer_;
  Maintenance maintenance_;
};

std::unique_ptr<Backend> open(const Url& url, const Options& options, const Environment& environment) {
  const Environment whole = environment.completed();
  demand_usable_path(url.path, *whole.files);
  prepare_file(url.path, library_migrations(), whole, options.integer("cache_size_bytes"));
  return std::make_unique<SqliteBackend>(url.path, options, whole);
}

CheckReport check(const Url& url, const Options& /*options*/, const Environment& environment) {
  const Environment whole = environment.completed();
  demand_usable_path(url.path, *whole.files);
  Connection connection(url.path, OpenMode::look, whole.clock);
  return check_file(connection);
}

void remove(const Url& url, const Environment& environment) {
  const Environment whole = environment.completed();
  FileSystem& files = *whole.files;
  // The file first: what is left without it means nothing.
  if (files.exists(url.path)) files.remove(url.path);
  for (const char* suffix : kSideFiles) {
    if (files.exists(url.path + suffix)) files.remove(url.path + suffix);
  }
}

}  // namespace
}  // namespace sqlite

BackendFactory sqlite_factory() {
  using Kind = OptionSpec::Kind;
  BackendFactory factory;
  factory.scheme = "sqlite";
  factory.place_suffix = ".db";
  factory.options = {
      {"cache_size_bytes", Kind::integer, "8388608", "page cache of each connection", 65'536, 1ll << 40},
      {"checkpoint_size_bytes", Kind::integer, "41943040",
       "the write-ahead log is copied into the file when it has grown by this", 65'536, 1ll << 40},
      {"log_limit_bytes", Kind::integer, "134217728",
       "the write-ahead log is cut off when it is larger than this, with writers held up", 65'536, 1ll << 40},
      {"readers", Kind::integer, "16", "read connections at most", 1, 1'000},
  };
  factory.open = sqlite::open;
  factory.check = sqlite::check;
  factory.remove = sqlite::remove;
  return factory;
}

}  // namespace holdfast
