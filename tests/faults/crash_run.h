// One life of a store on a simulated disk: random operations whose answers are compared with the model, a
// fault somewhere in between, and what must be there afterwards.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "environment/xoshiro.h"
#include "tests/faults/crash_model.h"
#include "tests/faults/crash_target.h"
#include "tests/support/simulated_file_system.h"

namespace holdfast::faults {

enum class Fault : std::uint8_t {
  failure,     ///< one call fails
  power_loss,  ///< the power goes
  kill,        ///< kill -9
};

/// Not thread-safe. Functions throw CrashFailure when an invariant is broken.
class CrashRun {
 public:
  struct Options {
    std::uint64_t seed = 1;
    bool direct_io = true;
    bool durable = true;
    std::size_t databases = 8;
  };

  CrashRun(const CrashTarget& target, const Options& options);
  ~CrashRun();
  CrashRun(const CrashRun&) = delete;
  CrashRun& operator=(const CrashRun&) = delete;

  SimulatedFileSystem& disk() { return *disk_; }
  Xoshiro256& random() { return random_; }
  /// No fence has this token or a later one.
  std::uint64_t next_token() const { return next_token_; }
  Backend& backend() { return *backend_; }
  std::vector<DatabaseModel>& models() { return models_; }
  const Environment& environment() const { return environment_; }
  bool is_open() const { return backend_ != nullptr; }
  /// How many groups were answered with an error.
  std::uint64_t errors() const { return errors_; }

  /// Opens the store; false if that failed by a fault.
  bool open();
  /// A clean end: nothing that there is may be lost afterwards, durable or not.
  void close();
  /// Lets the call-th call from now fail, or the power go there. 0: never.
  void arm(Fault fault, std::uint64_t call);
  /// From now on errors with this code are expected, though no call was made to fail.
  void expect_errors(std::optional<Code> code) { expected_code_ = code; }
  /// The process or the machine dies here and now, wherever it is.
  void crash(Fault fault);

  /// Commits one batch to one database.
  void commit_one();
  /// One commit call per lane with groups of up to `databases` databases; in parallel or one after another.
  void commit_groups(std::size_t databases, bool parallel);
  /// Commits with values of several KiB, `bytes` in all.
  void commit_bulk(std::size_t bytes);
  void compact_one();
  /// Freezes a database and opens it again.
  void fence_one();
  void drop_one();

  /// Retries every group whose outcome is unknown, as an engine does, and opens the store anew when it has
  /// given up on itself.
  void resolve();
  /// After a failed call: every database takes commits, at the latest when the store was opened anew.
  void demand_service();
  /// Reads everything and compares it with the model; also asks for the names, and sends answered groups
  /// again. `is_settled`: the store was opened since anything failed.
  void verify(bool is_settled = true);
  /// verify() after the power went while the store was not durable.
  void verify_prefix();

 private:
  /// Runs an operation that may end in an Error only if a fault has happened; whether it was done.
  bool attempt(const std::function<void()>& operation);
  void judge_error(const Error& error) const;
  void send(std::vector<Group>& groups);
  void take(const Group& group);
  DatabaseModel& pick();
  DatabaseModel& model(View name);
  std::vector<Batch> random_batches(const DatabaseModel& model, std::size_t count);
  Write random_write(const Bytes& prefix, std::size_t key);
  Bytes random_value(std::size_t most_bytes);
  void take_sights();
  void reopen();

  const CrashTarget& target_;
  const Options options_;
  Xoshiro256 random_;
  std::shared_ptr<SimulatedFileSystem> disk_;
  Environment environment_;
  std::unique_ptr<Backend> backend_;
  std::vector<DatabaseModel> models_;
  UnixMs now_ms_ = 1'000'000'000'000;
  std::uint64_t next_token_ = 1;
  std::uint64_t errors_ = 0;  ///< groups that were answered with an error
  std::optional<Code> expected_code_;
  std::future<std::vector<Position>> reader_;
};

}  // namespace holdfast::faults
