#include <errno.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "environment/network_file_system.h"
#include "environment/posix_error.h"
#include "holdfast/environment.h"
#include "holdfast/error.h"
#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using testing_support::code_of;

constexpr std::size_t kBlockBytes = 4096;

std::string message_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string contents(FileSystem& files, const std::string& path) {
  const auto file = files.open(path, FileMode::read);
  std::string data(static_cast<std::size_t>(file->size_bytes()), '\0');
  data.resize(file->read(0, data.data(), data.size()));
  return data;
}

/// Memory that direct I/O accepts.
class Blocks {
 public:
  Blocks(std::size_t count, char fill)
      : size_(count * kBlockBytes), memory_(std::aligned_alloc(kBlockBytes, size_), &std::free) {
    std::fill_n(static_cast<char*>(memory_.get()), size_, fill);
  }
  View view() const { return {static_cast<const char*>(memory_.get()), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<void, decltype(&std::free)> memory_;
};

class PosixFiles : public testing::Test {
 protected:
  PosixFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-files-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~PosixFiles() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, View data) { files_->open(path(name), FileMode::create)->write(0, data); }

  std::string folder_;
  std::shared_ptr<FileSystem> files_ = system_files();
};

TEST_F(PosixFiles, ReadsBackWhatWasWrittenAtAnOffset) {
  const auto file = files_->open(path("a"), FileMode::create);
  file->write(0, "hello world");
  file->write(6, "there");
  file->sync();
  EXPECT_EQ(contents(*files_, path("a")), "hello there");
}

TEST_F(PosixFiles, ReadIsShortOnlyWhereTheFileEnds) {
  put("a", "0123456789");
  const auto file = files_->open(path("a"), FileMode::read);
  std::string data(8, '\0');
  EXPECT_EQ(file->read(0, data.data(), 8), 8u);
  EXPECT_EQ(file->read(5, data.data(), 8), 5u);
  EXPECT_EQ(data.substr(0, 5), "56789");
  EXPECT_EQ(file->read(10, data.data(), 8), 0u);
}

TEST_F(PosixFiles, CreateRefusesAFileThatIsThere) {
  put("a", "x");
  EXPECT_EQ(code_of([&] { files_->open(path("a"), FileMode::create); }), Code::already_exists);
}

TEST_F(PosixFiles, OtherModesNeedTheFile) {
  for (const FileMode mode : {FileMode::read, FileMode::write, FileMode::durable}) {
    EXPECT_EQ(code_of([&] { files_->open(path("none"), mode); }), Code::not_found);
  }
}

TEST_F(PosixFiles, ErrorNamesThePath) {
  EXPECT_NE(message_of([&] { files_->open(path("none"), FileMode::read); }).find(path("none")),
            std::string::npos);
}

TEST_F(PosixFiles, TruncateShortensTheFile) {
  const auto file = files_->open(path("a"), FileMode::create);
  file->write(0, "0123456789");
  file->truncate(4);
  EXPECT_EQ(file->size_bytes(), 4u);
  EXPECT_EQ(contents(*files_, path("a")), "0123");
}

TEST_F(PosixFiles, ExtendWritesZerosAndTakesTheSpace) {
  const auto file = files_->open(path("a"), FileMode::create);
  file->write(0, "abc");
  file->extend((3u << 20) + 17);
  file->sync();
  EXPECT_EQ(file->size_bytes(), (3u << 20) + 17);
  const std::string data = contents(*files_, path("a"));
  EXPECT_EQ(data.substr(0, 3), "abc");
  EXPECT_EQ(data.find_first_not_of('\0', 3), std::string::npos);
  struct stat status{};
  ASSERT_EQ(stat(path("a").c_str(), &status), 0);
  EXPECT_GE(status.st_blocks * 512, 3 << 20);
}

TEST_F(PosixFiles, ExtendNeverShortens) {
  const auto file = files_->open(path("a"), FileMode::create);
  file->write(0, "0123456789");
  file->extend(4);
  EXPECT_EQ(file->size_bytes(), 10u);
}

TEST_F(PosixFiles, DurableWritesAreReadBackByEveryHandle) {
  put("a", std::string(4 * kBlockBytes, 'z'));
  const auto file = files_->open(path("a"), FileMode::durable);
  ASSERT_TRUE(file->alignment() == 1 || file->alignment() == kBlockBytes);
  std::string before(3, '\0');
  file->read(kBlockBytes + 1, before.data(), 3);
  EXPECT_EQ(before, "zzz");
  const Blocks blocks(2, 'q');
  file->write(kBlockBytes, blocks.view());
  std::string after(3, '\0');
  file->read(kBlockBytes + 1, after.data(), 3);
  EXPECT_EQ(after, "qqq");
  EXPECT_EQ(contents(*files_, path("a")), std::string(kBlockBytes, 'z') + std::string(2 * kBlockBytes, 'q') +
                                              std::string(kBlockBytes, 'z'));
}

TEST_F(PosixFiles, DurableWriteMayLengthenTheFile) {
  put("a", "");
  const auto file = files_->open(path("a"), FileMode::durable);
  const Blocks block(1, 'q');
  file->write(0, block.view());
  EXPECT_EQ(file->size_bytes(), kBlockBytes);
}

// tmpfs, usually at /dev/shm, long had no direct I/O; newer kernels accept it there.
TEST_F(PosixFiles, DurableWorksOnFileSystemsInMemory) {
  if (std::filesystem::exists("/dev/shm")) {
    std::string name = "/dev/shm/holdfast-files-XXXXXX";
    std::filesystem::remove_all(folder_);
    folder_ = mkdtemp(name.data());
  }
  put("a", std::string(kBlockBytes, 'z'));
  const auto file = files_->open(path("a"), FileMode::durable);
  const Blocks block(1, 'q');
  file->write(0, block.view());
  EXPECT_EQ(contents(*files_, path("a")), std::string(kBlockBytes, 'q'));
}

TEST_F(PosixFiles, ListGivesFileNamesInByteOrderWithoutFolders) {
  put("b", "");
  put("a", "");
  put("B", "");
  files_->create_folder(path("folder"));
  EXPECT_EQ(files_->list(folder_), (std::vector<std::string>{"B", "a", "b"}));
}

TEST_F(PosixFiles, ListFoldersGivesTheNamesOfFoldersInByteOrder) {
  put("file", "");
  for (const char* name : {"b", "a", "B"}) files_->create_folder(path(name));
  EXPECT_EQ(files_->list_folders(folder_), (std::vector<std::string>{"B", "a", "b"}));
}

TEST_F(PosixFiles, ListOfAMissingFolderIsNotFound) {
  EXPECT_EQ(code_of([&] { files_->list(path("none")); }), Code::not_found);
  EXPECT_EQ(code_of([&] { files_->list_folders(path("none")); }), Code::not_found);
}

TEST_F(PosixFiles, CreateFolderMakesTheFoldersAboveAndAcceptsAnExistingOne) {
  files_->create_folder(path("x/y/z"));
  files_->create_folder(path("x/y/z"));
  EXPECT_TRUE(files_->exists(path("x/y/z")));
  EXPECT_NO_THROW(files_->sync_folder(path("x/y")));
}

TEST_F(PosixFiles, CreateFolderRefusesAFileInTheWay) {
  put("x", "");
  EXPECT_EQ(code_of([&] { files_->create_folder(path("x/y")); }), Code::already_exists);
}

TEST_F(PosixFiles, RenameReplacesTheTarget) {
  put("a", "new");
  put("b", "old");
  files_->rename(path("a"), path("b"));
  EXPECT_FALSE(files_->exists(path("a")));
  EXPECT_EQ(contents(*files_, path("b")), "new");
}

TEST_F(PosixFiles, RemoveOfAMissingFileIsNotFound) {
  put("a", "");
  files_->remove(path("a"));
  EXPECT_FALSE(files_->exists(path("a")));
  EXPECT_EQ(code_of([&] { files_->remove(path("a")); }), Code::not_found);
}

TEST_F(PosixFiles, SecondLockOfTheSameProcessIsRefusedUntilTheFirstIsGone) {
  auto first = files_->lock(path("lock"));
  const std::string message = message_of([&] { files_->lock(path("lock")); });
  EXPECT_NE(message.find("this process already (" + std::to_string(getpid()) + ")"), std::string::npos)
      << message;
  EXPECT_EQ(code_of([&] { files_->lock(path("lock")); }), Code::unavailable);
  first.reset();
  EXPECT_NO_THROW(files_->lock(path("lock")));
}

TEST_F(PosixFiles, ClosingAnotherHandleOfTheLockFileKeepsTheLock) {
  const auto first = files_->lock(path("lock"));
  files_->open(path("lock"), FileMode::write).reset();
  EXPECT_EQ(code_of([&] { files_->lock(path("lock")); }), Code::unavailable);
}

TEST_F(PosixFiles, LockOfAnotherProcessIsRefusedWithItsProcessIdAndEndsWithIt) {
  int to_parent[2];
  int to_child[2];
  ASSERT_EQ(pipe(to_parent), 0);
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = files_->lock(path("lock"));
    char byte = 'x';
    if (write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1) _exit(0);  // no clean-up
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
  const std::string message = message_of([&] { files_->lock(path("lock")); });
  EXPECT_NE(message.find("process " + std::to_string(child)), std::string::npos) << message;
  ASSERT_EQ(write(to_child[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_NO_THROW(files_->lock(path("lock")));
  for (const int number : {to_parent[0], to_parent[1], to_child[0], to_child[1]}) close(number);
}

TEST_F(PosixFiles, LocalPathsAreNotNetworkPathsEvenBeforeTheyExist) {
  EXPECT_FALSE(files_->is_network("/proc"));
  EXPECT_FALSE(files_->is_network("/proc/none/at/all"));
}

TEST(NetworkFileSystem, TypesAreToldApartByName) {
  for (const char* type : {"nfs4", "cifs", "9p", "ceph", "fuse.sshfs"}) EXPECT_TRUE(is_network_type(type));
  for (const char* type : {"ext4", "xfs", "tmpfs", "fuseblk", "fuse.ntfs-3g", ""}) {
    EXPECT_FALSE(is_network_type(type));
  }
}

TEST_F(PosixFiles, BootIdStaysWhileTheSystemRuns) {
  EXPECT_EQ(files_->boot_id().size(), 36u);
  EXPECT_EQ(files_->boot_id(), system_files()->boot_id());
}

TEST(PosixError, CodesTellWhatACallerCanDo) {
  for (const int number : {ENOSPC, EDQUOT, EIO, EMFILE}) {
    EXPECT_EQ(posix_error(number, "write", "/a").code(), Code::unavailable);
    EXPECT_EQ(posix_error(number, "write", "/a").retry(), Retry::backoff);
  }
  for (const int number : {EACCES, EPERM, EROFS}) {
    EXPECT_EQ(posix_error(number, "write", "/a").code(), Code::permission_denied);
  }
  EXPECT_EQ(posix_error(ENOENT, "open", "/a").code(), Code::not_found);
  EXPECT_EQ(posix_error(EEXIST, "open", "/a").code(), Code::already_exists);
  EXPECT_STREQ(posix_error(ENOSPC, "write", "/data/a").what(),
               "cannot write \"/data/a\": No space left on device; free space on the disk");
}

}  // namespace
}  // namespace holdfast
