#include "backends/sqlite/maintenance.h"

#include <chrono>
#include <utility>

#include "backends/sqlite/schema.h"

namespace holdfast::sqlite {
namespace {

/// Default page and frame header of SQLite; only thresholds are computed with it.
constexpr std::int64_t kFrameBytes = 4096 + 24;
/// Rows freed in one turn at the file: a turn holds up every other writer.
constexpr std::int64_t kRowsPerTurn = 500;
constexpr std::chrono::milliseconds kTurnPatience{1'000};
/// How long readers of an old snapshot may hold up a truncation, and with it all writers.
constexpr std::chrono::milliseconds kTruncatePatience{50};
constexpr std::chrono::milliseconds kRetryAfter{1'000};

}  // namespace

Maintenance::Maintenance(Writer& writer, std::string path, MaintenanceOptions options,
                         const Environment& environment)
    : writer_(writer), path_(std::move(path)), options_(options), environment_(environment) {}

Maintenance::~Maintenance() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Maintenance::on_commit(std::int64_t frames) {
  const std::lock_guard lock(mutex_);
  // A log that was wholly copied is written from its beginning again.
  if (frames < frames_) copied_frames_ = 0;
  frames_ = frames;
  if (checkpoint_due()) start();
}

void Maintenance::free_dropped() {
  const std::lock_guard lock(mutex_);
  freeing_ = true;
  start();
}

void Maintenance::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

bool Maintenance::checkpoint_due() const {
  return (frames_ - copied_frames_) * kFrameBytes >= options_.checkpoint_size_bytes;
}

void Maintenance::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!has_work()) changed_.wait(lock);
    if (stopping_) return;
    const bool copying = checkpoint_due();
    const bool too_long = frames_ * kFrameBytes >= options_.log_limit_bytes;
    lock.unlock();
    bool failed = false;
    bool freeing = false;
    try {
      if (copying) checkpoint();
      if (too_long) truncate();
      freeing = free_some();
    } catch (const Error&) {
      // Nothing is lost by a step that fails: commits are in the log, and what is dropped stays dropped.
      connection_.reset();
      failed = true;
    }
    lock.lock();
    if (!failed) freeing_ = freeing;
    if (failed && !stopping_) {
      environment_.clock->wait_until(changed_, lock, environment_.clock->steady_now() + kRetryAfter);
    }
  }
}

Connection& Maintenance::connection() {
  if (!connection_) {
    auto opened = std::make_unique<Connection>(path_, OpenMode::write, environment_.clock);
    configure(*opened, options_.cache_size_bytes);
    connection_ = std::move(opened);
  }
  return *connection_;
}

void Maintenance::checkpoint() {
  copy_log();
  {
    const std::lock_guard lock(mutex_);
    if (copied_frames_ == frames_) return;
  }
  // What came meanwhile is copied with writers held up: only a log that was copied whole is written from its
  // beginning again, and a log that grows costs every commit an update of the file's size.
  const Writer::Turn turn = writer_.take(environment_.clock->steady_now() + kTurnPatience);
  copy_log();
}

void Maintenance::copy_log() {
  int frames = 0;
  int copied = 0;
  const int result =
      sqlite3_wal_checkpoint_v2(connection().handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  // Busy: another process is at it.
  if (result != SQLITE_OK && result != SQLITE_BUSY) connection().fail(result, "checkpointing");
  const std::lock_guard lock(mutex_);
  copied_frames_ = result == SQLITE_OK ? copied : frames_;
}

void Maintenance::truncate() {
  Writer::Turn turn = writer_.take(environment_.clock->steady_now() + kTurnPatience);
  connection().set_deadline(environment_.clock->steady_now() + kTruncatePatience);
  const int result =
      sqlite3_wal_checkpoint_v2(connection().handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (result == SQLITE_BUSY) return;
  if (result != SQLITE_OK) connection().fail(result, "checkpointing");
  const std::lock_guard lock(mutex_);
  frames_ = 0;
  copied_frames_ = 0;
}

bool Maintenance::free_some() {
  {
    const std::lock_guard lock(mutex_);
    if (!freeing_) return false;
  }
  Writer::Turn turn = writer_.take(environment_.clock->steady_now() + kTurnPatience);
  bool more = false;
  turn.transact([&] { return more = turn.groups().databases().purge(kRowsPerTurn); });
  return more;
}

}  // namespace holdfast::sqlite
