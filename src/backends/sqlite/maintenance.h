// The thread that keeps the file tidy beside the writers: it copies the write-ahead log into the file, and
// frees what dropped databases have left. Started when there is first something to do. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "backends/sqlite/writer.h"

namespace holdfast::sqlite {

struct MaintenanceOptions {
  std::int64_t checkpoint_size_bytes = 0;  ///< copy when the log has grown by this
  std::int64_t log_limit_bytes = 0;        ///< cut the log off, with writers held up, when it is larger
  std::int64_t cache_size_bytes = 0;
};

class Maintenance {
 public:
  Maintenance(Writer& writer, std::string path, MaintenanceOptions options, const Environment& environment);
  /// Ends the thread after its present step.
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  /// The log has this many frames. Cheap.
  void on_commit(std::int64_t frames);
  /// There are dropped databases.
  void free_dropped();

 private:
  void start();
  void run();
  bool has_work() const { return stopping_ || freeing_ || checkpoint_due(); }
  bool checkpoint_due() const;
  void checkpoint();
  void copy_log();
  void truncate();
  bool free_some();
  Connection& connection();

  Writer& writer_;
  const std::string path_;
  const MaintenanceOptions options_;
  const Environment environment_;
  std::unique_ptr<Connection> connection_;  ///< the thread's own

  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t frames_ = 0;
  std::int64_t copied_frames_ = 0;
  bool freeing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::sqlite
