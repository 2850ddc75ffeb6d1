// Files as the storage engines use them: positioned reads and writes, explicit syncs of data and of folders,
// locks. Everything that the file engine does to a disk goes through here, so that tests can fail, tear,
// reorder or lose any of it. Paths are UTF-8 with '/' separators. Failures throw Error: permission_denied,
// not_found, already_exists, unavailable (disk full, I/O error, out of descriptors); the message names the
// path and what to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

/// One open file. Calls on disjoint ranges may run in parallel.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `size` bytes at `offset`; fewer only where the file ends. Needs no alignment.
  virtual std::size_t read(std::uint64_t offset, char* data, std::size_t size) const = 0;
  /// Writes all of `data` at `offset` or throws, and then any part of the range may hold anything. With
  /// FileMode::durable the data (and the file's size) are on stable storage on return; otherwise after
  /// sync(). `offset`, the size and the address must be multiples of alignment().
  virtual void write(std::uint64_t offset, View data) = 0;
  /// Makes everything written before durable (fdatasync). After it has thrown, what was written since the
  /// last success may be lost even if a later sync() succeeds: close the file and read it again.
  virtual void sync() = 0;
  virtual std::uint64_t size_bytes() const = 0;
  virtual void truncate(std::uint64_t size_bytes) = 0;
  /// Extends the file with zeros up to `size_bytes`, with its space really taken, so that later writes below
  /// it change neither size nor allocation. Durable after sync().
  virtual void extend(std::uint64_t size_bytes) = 0;
  /// 1, or the block size that direct I/O demands (4,096).
  virtual std::size_t alignment() const = 0;
};

enum class FileMode : std::uint8_t {
  read,     ///< existing file, no writes
  write,    ///< existing file, buffered reads and writes
  create,   ///< new file (already_exists if there is one), buffered reads and writes
  durable,  ///< existing file; every write is durable on return, by direct I/O where the file system has it
};

/// Held until destroyed or until the process ends, however it ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual std::unique_ptr<File> open(const std::string& path, FileMode mode) = 0;
  virtual bool exists(const std::string& path) = 0;
  /// Names (not paths) of the files in `folder`, in byte order.
  virtual std::vector<std::string> list(const std::string& folder) = 0;
  /// Names of the folders in `folder`, in byte order.
  virtual std::vector<std::string> list_folders(const std::string& folder) = 0;
  /// Creates `folder` and the folders above it that are missing, durably; nothing happens if it exists.
  virtual void create_folder(const std::string& folder) = 0;
  /// Removes a file; not_found if there is none.
  virtual void remove(const std::string& path) = 0;
  /// Replaces `to` atomically. Durable after sync_folder() of the folder that holds both.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  /// Makes creations, removals and renames in `folder` durable.
  virtual void sync_folder(const std::string& folder) = 0;
  /// Takes the exclusive lock on the file `path`, created if missing (an open-file-description lock: released
  /// by the kernel when the process dies). Does not wait: if another holder has it, throws unavailable with
  /// the holder's process id where the system knows it. A second lock from the same process is refused too.
  virtual std::unique_ptr<FileLock> lock(const std::string& path) = 0;
  /// Whether `path` lies on a network file system, where locks and shared memory cannot be trusted.
  virtual bool is_network(const std::string& path) = 0;
  /// Identifies the present run of the operating system: after a power cut or reboot it is another one.
  virtual std::string boot_id() = 0;
};

/// The machine's files.
std::shared_ptr<FileSystem> system_files();

}  // namespace holdfast
