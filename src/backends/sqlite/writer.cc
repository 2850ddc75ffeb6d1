#include "backends/sqlite/writer.h"

#include <algorithm>
#include <utility>

#include "backends/sqlite/schema.h"
#include "contract/assert.h"

namespace holdfast::sqlite {
namespace {

Error too_late(const std::string& path, const char* who) {
  return {Code::unavailable,
          "writing to \"" + path + "\": " + who +
              " did not finish writing before the deadline; nothing was written, try again"};
}

}  // namespace

Writer::Open::Open(const Writer& writer)
    : connection(writer.path_, OpenMode::write, writer.environment_.clock),
      groups(connection, writer.environment_.random),
      on_commit(writer.on_commit_) {
  connection.set_deadline(writer.deadline_);
  configure(connection, writer.cache_size_bytes_);
  sqlite3_wal_hook(connection.handle(), &Writer::on_wal, this);
}

Writer::Writer(std::string path, std::int64_t cache_size_bytes, const Environment& environment,
               std::function<void(std::int64_t)> on_commit)
    : path_(std::move(path)),
      cache_size_bytes_(cache_size_bytes),
      environment_(environment),
      on_commit_(std::move(on_commit)),
      file_lock_(path_ + "-writer", environment.clock) {}

int Writer::on_wal(void* self, sqlite3* /*connection*/, const char* /*database*/, int frames) {
  static_cast<Open*>(self)->on_commit(frames);
  return SQLITE_OK;
}

Writer::Turn Writer::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = next_ticket_++;
  line_.push_back(ticket);
  while (line_.front() != ticket) {
    if (environment_.clock->steady_now() >= deadline) {
      line_.erase(std::find(line_.begin(), line_.end(), ticket));
      throw too_late(path_, "another thread of this process");
    }
    environment_.clock->wait_until(changed_, lock, deadline);
  }
  lock.unlock();
  deadline_ = deadline;
  Turn turn(*this);
  if (!file_lock_.acquire(deadline)) throw too_late(path_, "another process");
  if (open_) open_->connection.set_deadline(deadline);
  return turn;
}

Writer::Turn::~Turn() {
  if (writer_ != nullptr) writer_->leave();
}

void Writer::leave() {
  file_lock_.release();
  const std::lock_guard lock(mutex_);
  line_.pop_front();
  changed_.notify_all();
}

Writer::Open& Writer::open() {
  if (!open_) open_ = std::make_unique<Open>(*this);
  return *open_;
}

GroupCommit& Writer::Turn::groups() { return writer_->open().groups; }
Connection& Writer::Turn::connection() { return writer_->open().connection; }
void Writer::Turn::transact(const std::function<bool()>& body) { writer_->transact(body); }

void Writer::transact(const std::function<bool()>& body) {
  Open& opened = open();
  bool committing = false;
  try {
    opened.begin.bind().run();
    if (body()) {
      committing = true;
      opened.commit.bind().run();
    } else {
      opened.connection.rollback();
    }
  } catch (const SqliteError& error) {
    opened.connection.rollback();
    // What a failed sync left behind is unknown to this connection: a new one reads the log again.
    if (committing || error.breaks_connection()) open_.reset();
    if (committing) throw CommitFailed(error);
    throw;
  } catch (...) {
    opened.connection.rollback();
    throw;
  }
  HOLDFAST_ASSERT(!opened.connection.in_transaction());
}

}  // namespace holdfast::sqlite
