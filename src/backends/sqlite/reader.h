// Read connections: each request is answered from one snapshot, and no writer is ever in the way.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backends/sqlite/change_log.h"
#include "backends/sqlite/databases.h"
#include "backends/sqlite/entries.h"
#include "backends/sqlite/judge.h"
#include "contract/answer.h"
#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::sqlite {

/// One read connection; not thread-safe.
class Reader {
 public:
  Reader(const std::string& path, std::int64_t cache_size_bytes, std::shared_ptr<Clock> clock);

  ReadAnswer read(View database, const ReadRequest& request);
  Changes changes(View database, const ChangesRequest& request);
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit);
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit);
  bool has_dropped() { return databases_.has_dropped(); }
  /// Indices of cursors whose database has another history or a larger seq.
  std::vector<std::size_t> behind(std::span<const Cursor> cursors);
  /// Another number after every commit of another connection.
  std::int64_t data_version();

  Connection& connection() { return connection_; }

 private:
  class Snapshot;
  /// Nothing if the database has to be looked up by its name first.
  std::optional<ReadAnswer> read_one(View database, const ReadRequest& request);
  Page scan(std::int64_t database, const Scan& scan, UnixMs time_ms, AnswerBudget& budget);

  Connection connection_;
  Databases databases_{connection_};
  Entries entries_{connection_};
  ChangeLog log_{connection_};
  Judge judge_{entries_, log_};
  /// A head and one entry in one statement, which is a snapshot by itself.
  Statement read_one_{
      connection_,
      "SELECT d.history, d.seq, d.time, d.floor, d.fence, e.version, e.expires, e.body, e.value "
      "FROM db d LEFT JOIN entry e ON e.db = d.id AND e.key = ?3 WHERE d.id = ?1 AND d.name = ?2",
      "reading from"};
  Statement begin_{connection_, "BEGIN", "reading from"};
  Statement end_{connection_, "COMMIT", "reading from"};
  Statement data_version_{connection_, "PRAGMA data_version", "watching"};
};

/// Hands out readers, opening new ones up to a limit. Thread-safe.
class Readers {
 public:
  Readers(std::string path, std::int64_t cache_size_bytes, std::size_t limit, std::shared_ptr<Clock> clock)
      : path_(std::move(path)),
        cache_size_bytes_(cache_size_bytes),
        limit_(limit),
        clock_(std::move(clock)) {}

  /// Calls `use(Reader&)` with a reader that nobody else has; throws timeout if there is none before the
  /// deadline.
  template <class Use>
  auto with(Deadline deadline, Use&& use) {
    deadline = effective_deadline(*clock_, deadline);
    Lease lease(*this, deadline);
    try {
      lease.reader->connection().set_deadline(deadline);
      return use(*lease.reader);
    } catch (const SqliteError& error) {
      if (error.breaks_connection()) lease.reader.reset();
      throw;
    }
  }

 private:
  struct Lease {
    Lease(Readers& owner, Deadline deadline) : readers(owner), reader(owner.take(deadline)) {}
    ~Lease() { readers.put_back(std::move(reader)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Readers& readers;
    std::unique_ptr<Reader> reader;
  };
  std::unique_ptr<Reader> take(Deadline deadline);
  void put_back(std::unique_ptr<Reader> reader);

  const std::string path_;
  const std::int64_t cache_size_bytes_;
  const std::size_t limit_;
  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Reader>> idle_;
  std::size_t out_ = 0;
};

}  // namespace holdfast::sqlite
