// A file system whose disk can be made to hang: writes and syncs then do not return until it is let go.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/file_system.h"

namespace holdfast {

/// Thread-safe.
class HangingFileSystem final : public FileSystem {
 public:
  explicit HangingFileSystem(std::shared_ptr<FileSystem> inner)
      : inner_(std::move(inner)), gate_(std::make_shared<Gate>()) {}

  void hang() {
    const std::lock_guard lock(gate_->mutex);
    gate_->is_closed = true;
  }
  void let_go() {
    const std::lock_guard lock(gate_->mutex);
    gate_->is_closed = false;
    gate_->changed.notify_all();
  }
  /// Waits until a call hangs.
  void wait_until_something_hangs() {
    std::unique_lock lock(gate_->mutex);
    gate_->changed.wait(lock, [&] { return gate_->hanging > 0; });
  }

  std::unique_ptr<File> open(const std::string& path, FileMode mode) override {
    return std::make_unique<HangingFile>(inner_->open(path, mode), gate_);
  }
  bool exists(const std::string& path) override { return inner_->exists(path); }
  std::vector<std::string> list(const std::string& folder) override { return inner_->list(folder); }
  std::vector<std::string> list_folders(const std::string& folder) override {
    return inner_->list_folders(folder);
  }
  void create_folder(const std::string& folder) override { inner_->create_folder(folder); }
  void remove(const std::string& path) override { inner_->remove(path); }
  void rename(const std::string& from, const std::string& to) override { inner_->rename(from, to); }
  void sync_folder(const std::string& folder) override {
    gate_->pass();
    inner_->sync_folder(folder);
  }
  std::unique_ptr<FileLock> lock(const std::string& path) override { return inner_->lock(path); }
  bool is_network(const std::string& path) override { return inner_->is_network(path); }
  std::string boot_id() override { return inner_->boot_id(); }

 private:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_closed = false;
    std::size_t hanging = 0;

    void pass() {
      std::unique_lock lock(mutex);
      if (!is_closed) return;
      ++hanging;
      changed.notify_all();
      changed.wait(lock, [&] { return !is_closed; });
      --hanging;
    }
  };

  class HangingFile final : public File {
   public:
    HangingFile(std::unique_ptr<File> inner, std::shared_ptr<Gate> gate)
        : inner_(std::move(inner)), gate_(std::move(gate)) {}
    std::size_t read(std::uint64_t offset, char* data, std::size_t size) const override {
      return inner_->read(offset, data, size);
    }
    void write(std::uint64_t offset, View data) override {
      gate_->pass();
      inner_->write(offset, data);
    }
    void sync() override {
      gate_->pass();
      inner_->sync();
    }
    std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
    void truncate(std::uint64_t size_bytes) override { inner_->truncate(size_bytes); }
    void extend(std::uint64_t size_bytes) override {
      gate_->pass();
      inner_->extend(size_bytes);
    }
    std::size_t alignment() const override { return inner_->alignment(); }

   private:
    const std::unique_ptr<File> inner_;
    const std::shared_ptr<Gate> gate_;
  };

  const std::shared_ptr<FileSystem> inner_;
  const std::shared_ptr<Gate> gate_;
};

}  // namespace holdfast
