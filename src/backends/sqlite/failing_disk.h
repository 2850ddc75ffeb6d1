// For tests: makes writes and syncs of SQLite fail. It stands between SQLite and the operating system as
// SQLite's default "VFS" while it exists; connections opened meanwhile must be closed before it goes.
#pragma once

#include <cstdint>
#include <memory>

namespace holdfast::sqlite {

class FailingDisk {
 public:
  FailingDisk();
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  /// Lets `calls` writes, syncs and truncations pass and the `count` after them fail with an SQLite result.
  void fail_after(std::int64_t calls, std::int64_t count, int result);
  /// Whether any call has failed since.
  bool has_failed() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::sqlite
