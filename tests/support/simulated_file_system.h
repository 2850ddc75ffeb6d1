// A disk, a page cache and a power switch in memory, for crash tests. It behaves as POSIX allows, not as the
// usual file system kindly does: what was not synced may be lost in any part and in any order, a new or
// renamed file whose folder was not synced may be gone, and a sync that failed once "succeeds" the next time
// without the data. Everything that chance decides comes from one seed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "environment/xoshiro.h"
#include "holdfast/file_system.h"
#include "tests/support/simulated_content.h"

namespace holdfast {

/// Thread-safe. Files that are open keep the file system alive. Failures are Errors as FileSystem promises.
class SimulatedFileSystem final : public FileSystem,
                                  public std::enable_shared_from_this<SimulatedFileSystem> {
 public:
  struct Options {
    std::uint64_t seed = 1;
    /// Whether FileMode::durable is direct I/O (alignment 4,096). Without it such writes go through the page
    /// cache, and one that fails leaves data there that is seen but never gets to the disk.
    bool direct_io = true;
  };

  static std::shared_ptr<SimulatedFileSystem> make(const Options& options);
  /// The same disk and page cache once more, with another seed for what comes, without locks, faults, limits
  /// and log.
  std::shared_ptr<SimulatedFileSystem> clone(std::uint64_t seed) const;

  // ---- What can go wrong. Calls are numbered from 1 over all files and folders; every FileSystem and File
  // function counts but exists, size_bytes, alignment, is_network and boot_id.

  std::uint64_t calls() const;
  /// Call `number` fails: a write gets through in part, a sync forgets what it should have kept, anything
  /// else does not happen. `times` calls fail from there on.
  void fail_call(std::uint64_t number, std::uint64_t times = 1);
  /// Call `number` happens in part or not at all, and every call from there on fails, until power_cycle() or
  /// process_kill().
  void power_loss_at(std::uint64_t number);
  /// Every call from now on fails, until power_cycle() or process_kill().
  void power_off();
  bool power_is_lost() const;
  /// Whether a call has failed by fail_call() or power_loss_at().
  bool fault_happened() const;
  /// No fault will happen any more; whether one has.
  bool disarm();
  /// The same, and as if none had.
  void clear_faults();
  /// `observe` is called once, without any lock, right before the first call that fails by fail_call() or
  /// power_loss_at(): what it sees of a store at that moment is what the store's users see. Waits for the
  /// observer that it replaces, if that one is being called.
  void set_observer(std::function<void()> observe);

  /// The power goes (if it has not) and comes back: chance settles what was not synced; locks are released,
  /// files that were open are dead, and boot_id() is another one.
  void power_cycle();
  /// kill -9: everything written stays; locks are released, and files that were open are dead.
  void process_kill();

  /// Writes fail once the files are larger than this together.
  void set_capacity_bytes(std::optional<std::uint64_t> bytes);
  std::uint64_t used_bytes() const;
  void set_read_only(bool read_only);
  void set_network(bool is_network);

  // ---- The disk as an attacker, a bad sector or a careless person sees it.

  std::vector<std::string> paths() const;
  std::string content(const std::string& path) const;
  void put_file(const std::string& path, View content);
  void flip_bit(const std::string& path, std::uint64_t byte_offset, unsigned bit);
  void replace(const std::string& path, std::uint64_t offset, View data);
  void truncate_file(const std::string& path, std::uint64_t size_bytes);

  /// The latest calls, one per line, with their numbers.
  std::string log() const;

  std::unique_ptr<File> open(const std::string& path, FileMode mode) override;
  bool exists(const std::string& path) override;
  std::vector<std::string> list(const std::string& folder) override;
  std::vector<std::string> list_folders(const std::string& folder) override;
  void create_folder(const std::string& folder) override;
  void remove(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void sync_folder(const std::string& folder) override;
  std::unique_ptr<FileLock> lock(const std::string& path) override;
  bool is_network(const std::string& path) override;
  std::string boot_id() override;

 private:
  class OpenFile;
  class Lock;
  friend class OpenFile;
  friend class Lock;

  using ContentPtr = std::shared_ptr<SimulatedContent>;
  using Names = std::map<std::string, ContentPtr>;
  /// A change of folder entries that is not yet durable.
  struct FolderChange {
    enum class Kind : std::uint8_t { link, unlink, rename } kind;
    std::string path;
    std::string target;  ///< rename: the new path
    ContentPtr content;  ///< link only
  };
  /// What a call is to do.
  enum class Verdict : std::uint8_t { proceed, fail, stop };

  explicit SimulatedFileSystem(const Options& options);

  /// Takes mutex_ for a call, after the observer has had its turn.
  std::unique_lock<std::mutex> begin_call();

  // All of these need mutex_ held.
  Verdict count(const std::string& what);
  [[noreturn]] void fail(const std::string& what) const;
  void demand_power(std::uint64_t epoch, const std::string& path) const;
  void demand_writable(const std::string& path) const;
  const ContentPtr& find(const std::string& path) const;
  void demand_folder(const std::string& folder) const;
  static void apply(const FolderChange& change, Names& names);
  void change(FolderChange change);
  std::uint64_t used_bytes_locked() const;
  std::uint64_t room_bytes() const;
  void new_epoch();

  mutable std::mutex mutex_;
  const Options options_;
  Xoshiro256 random_;

  Names names_;
  Names durable_names_;
  std::vector<FolderChange> folder_changes_;
  std::set<std::string> folders_;
  std::map<std::string, std::uint64_t> locks_;  ///< path -> identity of the holder

  std::uint64_t epoch_ = 1;  ///< a process that was killed, or lost power, belongs to an earlier one
  std::uint64_t boot_ = 1;
  std::uint64_t next_lock_ = 1;
  bool power_lost_ = false;
  bool read_only_ = false;
  bool network_ = false;
  bool fault_happened_ = false;
  std::optional<std::uint64_t> capacity_bytes_;

  std::uint64_t calls_ = 0;
  std::uint64_t fail_from_ = 0;
  std::uint64_t fail_until_ = 0;
  std::uint64_t power_loss_at_ = 0;
  std::function<void()> observe_;
  bool observing_ = false;
  std::condition_variable observed_;
  std::vector<std::string> log_;
};

}  // namespace holdfast
