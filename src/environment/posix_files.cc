#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "contract/assert.h"
#include "environment/network_file_system.h"
#include "environment/posix_error.h"
#include "holdfast/file_system.h"

namespace holdfast {
namespace {

constexpr std::size_t kDirectAlignment = 4096;
constexpr std::size_t kZeroChunkBytes = 1u << 20;
constexpr mode_t kFileMode = 0644;
constexpr mode_t kFolderMode = 0755;

/// Repeats a call that a signal has interrupted.
template <class Call>
auto retry(Call&& call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

int open_number(const std::string& path, int flags) {
  return retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kFileMode); });
}

Descriptor open_descriptor(const std::string& path, int flags, const char* operation) {
  Descriptor descriptor(open_number(path, flags));
  if (!descriptor.is_open()) throw posix_error(errno, operation, path);
  return descriptor;
}

void pwrite_all(int descriptor, std::uint64_t offset, View data, std::size_t alignment,
                const std::string& path) {
  while (!data.empty()) {
    const ssize_t written =
        retry([&] { return pwrite(descriptor, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (written < 0) throw posix_error(errno, "write", path);
    // What direct I/O wrote of a block in part is written again, since the rest must start aligned.
    std::size_t advanced = static_cast<std::size_t>(written);
    if (advanced < data.size()) advanced -= advanced % alignment;
    if (advanced == 0) throw posix_error(ENOSPC, "write", path);
    offset += advanced;
    data.remove_prefix(advanced);
  }
}

class PosixFile final : public File {
 public:
  /// `direct` is open with O_DIRECT or is not open; then `buffered` takes every write.
  PosixFile(std::string path, Descriptor buffered, Descriptor direct)
      : path_(std::move(path)), buffered_(std::move(buffered)), direct_(std::move(direct)) {}

  std::size_t read(std::uint64_t offset, char* data, std::size_t size) const override {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = retry([&] {
        return pread(buffered_.get(), data + done, size - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) throw posix_error(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  void write(std::uint64_t offset, View data) override {
    const std::size_t align = alignment();
    HOLDFAST_ASSERT(offset % align == 0 && data.size() % align == 0);
    HOLDFAST_ASSERT(reinterpret_cast<std::uintptr_t>(data.data()) % align == 0);
    pwrite_all(direct_.is_open() ? direct_.get() : buffered_.get(), offset, data, align, path_);
  }

  void sync() override {
    if (retry([&] { return fdatasync(buffered_.get()); }) != 0) throw posix_error(errno, "sync", path_);
  }

  std::uint64_t size_bytes() const override {
    struct stat status{};
    if (fstat(buffered_.get(), &status) != 0) throw posix_error(errno, "look at", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

  void truncate(std::uint64_t size_bytes) override {
    if (retry([&] { return ftruncate(buffered_.get(), static_cast<off_t>(size_bytes)); }) != 0) {
      throw posix_error(errno, "truncate", path_);
    }
  }

  void extend(std::uint64_t size_bytes) override {
    const std::uint64_t old_size_bytes = this->size_bytes();
    if (size_bytes <= old_size_bytes) return;
    try {
      // Space that is only reserved would be converted from "unwritten" by every later write, at the price of
      // a journal commit each; so zeros are really written. Reserving first keeps the file in one piece.
      const int reserved = retry([&] {
        return fallocate(buffered_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(old_size_bytes),
                         static_cast<off_t>(size_bytes - old_size_bytes));
      });
      if (reserved != 0 && errno != EOPNOTSUPP && errno != ENOSYS) throw posix_error(errno, "extend", path_);
      const std::string zeros(
          static_cast<std::size_t>(std::min<std::uint64_t>(kZeroChunkBytes, size_bytes - old_size_bytes)),
          '\0');
      for (std::uint64_t offset = old_size_bytes; offset < size_bytes;) {
        const auto chunk =
            static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), size_bytes - offset));
        pwrite_all(buffered_.get(), offset, View(zeros).substr(0, chunk), 1, path_);
        offset += chunk;
      }
    } catch (const Error&) {
      // A disk that is full must get back what was taken of it, reserved space beyond the end included.
      retry([&] { return ftruncate(buffered_.get(), static_cast<off_t>(old_size_bytes)); });
      throw;
    }
  }

  std::size_t alignment() const override { return direct_.is_open() ? kDirectAlignment : 1; }

 private:
  std::string path_;
  Descriptor buffered_;
  Descriptor direct_;
};

/// A descriptor with O_DIRECT and O_DSYNC, or a closed one where the file system does not take part.
Descriptor open_direct(const std::string& path) {
  Descriptor direct(open_number(path, O_RDWR | O_DIRECT | O_DSYNC));
  if (!direct.is_open()) {
    if (errno == EINVAL || errno == EOPNOTSUPP) return {};
    throw posix_error(errno, "open", path);
  }
  // Some file systems take the flag and refuse the reads and writes, or want larger blocks.
  void* memory = nullptr;
  if (posix_memalign(&memory, kDirectAlignment, kDirectAlignment) != 0) {
    throw posix_error(ENOMEM, "open", path);
  }
  const std::unique_ptr<void, decltype(&std::free)> block(memory, &std::free);
  const ssize_t got = retry([&] { return pread(direct.get(), block.get(), kDirectAlignment, 0); });
  if (got < 0 && errno == EINVAL) return {};
  if (got < 0) throw posix_error(errno, "read", path);
  return direct;
}

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

std::string whole_text(int descriptor) {
  std::string text(64, '\0');
  const ssize_t got = retry([&] { return pread(descriptor, text.data(), text.size(), 0); });
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_not_of('/') == std::string::npos
                                ? std::string::npos
                                : path.rfind('/', path.find_last_not_of('/'));
  if (slash == std::string::npos) return path.starts_with('/') ? "/" : ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_folder(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

class PosixFiles final : public FileSystem {
 public:
  std::unique_ptr<File> open(const std::string& path, FileMode mode) override {
    switch (mode) {
      case FileMode::read:
        return buffered(path, O_RDONLY, "open");
      case FileMode::write:
        return buffered(path, O_RDWR, "open");
      case FileMode::create:
        return buffered(path, O_RDWR | O_CREAT | O_EXCL, "create");
      case FileMode::durable:
        break;
    }
    Descriptor direct = open_direct(path);
    // Reads go through the page cache in either case: they need no alignment, and what is read is kept.
    Descriptor cached = open_descriptor(path, direct.is_open() ? O_RDWR : O_RDWR | O_DSYNC, "open");
    // Read-ahead would bring in blocks that the next direct write only has to throw out again.
    if (direct.is_open()) posix_fadvise(cached.get(), 0, 0, POSIX_FADV_RANDOM);
    return std::make_unique<PosixFile>(path, std::move(cached), std::move(direct));
  }

  bool exists(const std::string& path) override {
    struct stat status{};
    if (stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    throw posix_error(errno, "look at", path);
  }

  std::vector<std::string> list(const std::string& folder) override { return list(folder, false); }
  std::vector<std::string> list_folders(const std::string& folder) override { return list(folder, true); }

  static std::vector<std::string> list(const std::string& folder, bool folders) {
    const std::unique_ptr<DIR, int (*)(DIR*)> handle(opendir(folder.c_str()), &closedir);
    if (!handle) throw posix_error(errno, "list", folder);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(handle.get());
      if (entry == nullptr) break;
      std::string name = static_cast<const char*>(entry->d_name);
      if (name == "." || name == "..") continue;
      const bool folder_inside =
          entry->d_type == DT_DIR || (entry->d_type == DT_UNKNOWN && is_folder(folder + "/" + name));
      if (folder_inside == folders) names.push_back(std::move(name));
    }
    if (errno != 0) throw posix_error(errno, "list", folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  void create_folder(const std::string& folder) override {
    if (is_folder(folder)) return;
    const std::string parent = parent_of(folder);
    if (parent != folder) create_folder(parent);
    if (mkdir(folder.c_str(), kFolderMode) != 0 && !(errno == EEXIST && is_folder(folder))) {
      throw posix_error(errno, "create the folder", folder);
    }
    sync_folder(parent);
  }

  void remove(const std::string& path) override {
    if (unlink(path.c_str()) != 0) throw posix_error(errno, "remove", path);
  }

  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) throw posix_error(errno, "rename", from);
  }

  void sync_folder(const std::string& folder) override {
    const Descriptor descriptor = open_descriptor(folder, O_RDONLY | O_DIRECTORY, "sync the folder");
    if (retry([&] { return fsync(descriptor.get()); }) != 0) {
      // File systems without folder syncs answer EINVAL; there is nothing more to be had from them.
      if (errno != EINVAL) throw posix_error(errno, "sync the folder", folder);
    }
  }

  std::unique_ptr<FileLock> lock(const std::string& path) override {
    Descriptor descriptor = open_descriptor(path, O_RDWR | O_CREAT, "lock");
    // Open-file-description locks belong to this descriptor: a second one of the same process is refused like
    // any other, and closing some other descriptor of the file does not release them.
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (retry([&] { return fcntl(descriptor.get(), F_OFD_SETLK, &whole); }) != 0) {
      if (errno != EAGAIN && errno != EACCES) throw posix_error(errno, "lock", path);
      throw held_error(path, whole_text(descriptor.get()));
    }
    const std::string text = std::to_string(getpid()) + "\n";
    if (retry([&] { return ftruncate(descriptor.get(), 0); }) != 0) throw posix_error(errno, "lock", path);
    pwrite_all(descriptor.get(), 0, text, 1, path);
    return std::make_unique<PosixLock>(std::move(descriptor));
  }

  bool is_network(const std::string& path) override {
    std::string existing = path;
    while (!exists(existing) && existing != "/" && existing != ".") existing = parent_of(existing);
    return lies_on_network_file_system(existing);
  }

  std::string boot_id() override {
    const char* const path = "/proc/sys/kernel/random/boot_id";
    const Descriptor descriptor = open_descriptor(path, O_RDONLY, "read");
    const std::string id = whole_text(descriptor.get());
    if (id.empty()) throw posix_error(EIO, "read", path);
    return id;
  }

 private:
  static std::unique_ptr<File> buffered(const std::string& path, int flags, const char* operation) {
    return std::make_unique<PosixFile>(path, open_descriptor(path, flags, operation), Descriptor());
  }

  static Error held_error(const std::string& path, const std::string& process_id) {
    int number = 0;
    const auto [end, failure] =
        std::from_chars(process_id.data(), process_id.data() + process_id.size(), number);
    const bool known = failure == std::errc() && end == process_id.data() + process_id.size() && number > 0;
    const std::string holder = !known               ? "another process"
                               : number == getpid() ? "this process already (" + process_id + ")"
                                                    : "process " + process_id;
    return {Code::unavailable, "\"" + path + "\" is locked by " + holder +
                                   "; close the store there first, one process at a time may have it open"};
  }
};

}  // namespace

std::shared_ptr<FileSystem> system_files() { return std::make_shared<PosixFiles>(); }

}  // namespace holdfast
