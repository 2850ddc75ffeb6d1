// The one write connection of a store, and the turns that its threads and all other processes take at it.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "backends/sqlite/group_commit.h"
#include "environment/queued_file_lock.h"

namespace holdfast::sqlite {

/// The COMMIT of a transaction failed: it may be in the file or may not.
class CommitFailed : public SqliteError {
 public:
  explicit CommitFailed(const SqliteError& error) : SqliteError(error) {}
};

class Writer {
 public:
  /// `on_commit` gets the size of the write-ahead log in frames; it is called by whoever has the turn.
  Writer(std::string path, std::int64_t cache_size_bytes, const Environment& environment,
         std::function<void(std::int64_t wal_frames)> on_commit);

  /// The right to write, until destroyed. For one thread.
  class Turn {
   public:
    ~Turn();
    Turn(Turn&& other) noexcept : writer_(std::exchange(other.writer_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;

    /// Opens the connection if the last transaction left none.
    GroupCommit& groups();
    Connection& connection();
    /// Runs `body` in a transaction; `body` returns whether there is anything to commit. Throws CommitFailed,
    /// after which the connection is a new one; after any other exception nothing has happened.
    void transact(const std::function<bool()>& body);

   private:
    friend class Writer;
    explicit Turn(Writer& writer) : writer_(&writer) {}
    Writer* writer_;
  };

  /// Waits in line, first in this process and then among processes. Throws unavailable at the deadline.
  Turn take(Deadline deadline);

 private:
  struct Open {
    explicit Open(const Writer& writer);
    Connection connection;
    GroupCommit groups;
    Statement begin{connection, "BEGIN IMMEDIATE", "beginning to write to"};
    Statement commit{connection, "COMMIT", "committing to"};
    std::function<void(std::int64_t)> on_commit;
  };

  Open& open();
  void leave();
  void transact(const std::function<bool()>& body);
  static int on_wal(void* self, sqlite3* connection, const char* database, int frames);

  const std::string path_;
  const std::int64_t cache_size_bytes_;
  const Environment environment_;
  const std::function<void(std::int64_t)> on_commit_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::uint64_t> line_;  ///< tickets; the first has the turn
  std::uint64_t next_ticket_ = 0;

  // Used only by who has the turn.
  Deadline deadline_ = Deadline::max();
  QueuedFileLock file_lock_;
  std::unique_ptr<Open> open_;
};

}  // namespace holdfast::sqlite
