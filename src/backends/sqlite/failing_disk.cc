#include "backends/sqlite/failing_disk.h"

#include <sqlite3.h>

#include <atomic>
#include <new>

#include "contract/assert.h"

namespace holdfast::sqlite {

struct FailingDisk::State {
  sqlite3_vfs vfs{};
  sqlite3_vfs* system = nullptr;
  std::atomic<std::int64_t> left{INT64_MAX};
  std::atomic<std::int64_t> failures{0};
  std::atomic<int> result{SQLITE_OK};
  std::atomic<bool> failed{false};

  int next() {
    if (--left >= 0) return SQLITE_OK;
    if (--failures < 0) return SQLITE_OK;
    failed = true;
    return result;
  }
};

namespace {

/// The system's file follows in the same allocation, which SQLite makes by szOsFile.
struct Shim {
  sqlite3_file base;
  FailingDisk::State* state;
  sqlite3_file* system() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

Shim& shim(sqlite3_file* file) { return *reinterpret_cast<Shim*>(file); }
sqlite3_file* system_of(sqlite3_file* file) { return shim(file).system(); }
const sqlite3_io_methods& methods_of(sqlite3_file* file) { return *system_of(file)->pMethods; }
FailingDisk::State& state_of(sqlite3_vfs* vfs) { return *static_cast<FailingDisk::State*>(vfs->pAppData); }

const sqlite3_io_methods kMethods = {
    3,
    [](sqlite3_file* f) { return methods_of(f).xClose(system_of(f)); },
    [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
      return methods_of(f).xRead(system_of(f), to, size, at);
    },
    [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
      const int result = shim(f).state->next();
      return result != SQLITE_OK ? result : methods_of(f).xWrite(system_of(f), from, size, at);
    },
    [](sqlite3_file* f, sqlite3_int64 size) {
      const int result = shim(f).state->next();
      return result != SQLITE_OK ? result : methods_of(f).xTruncate(system_of(f), size);
    },
    [](sqlite3_file* f, int flags) {
      const int result = shim(f).state->next();
      return result != SQLITE_OK ? result : methods_of(f).xSync(system_of(f), flags);
    },
    [](sqlite3_file* f, sqlite3_int64* size) { return methods_of(f).xFileSize(system_of(f), size); },
    [](sqlite3_file* f, int level) { return methods_of(f).xLock(system_of(f), level); },
    [](sqlite3_file* f, int level) { return methods_of(f).xUnlock(system_of(f), level); },
    [](sqlite3_file* f, int* locked) { return methods_of(f).xCheckReservedLock(system_of(f), locked); },
    [](sqlite3_file* f, int operation, void* argument) {
      return methods_of(f).xFileControl(system_of(f), operation, argument);
    },
    [](sqlite3_file* f) { return methods_of(f).xSectorSize(system_of(f)); },
    [](sqlite3_file* f) { return methods_of(f).xDeviceCharacteristics(system_of(f)); },
    [](sqlite3_file* f, int page, int size, int extend, void volatile** memory) {
      return methods_of(f).xShmMap(system_of(f), page, size, extend, memory);
    },
    [](sqlite3_file* f, int offset, int count, int flags) {
      return methods_of(f).xShmLock(system_of(f), offset, count, flags);
    },
    [](sqlite3_file* f) { methods_of(f).xShmBarrier(system_of(f)); },
    [](sqlite3_file* f, int remove) { return methods_of(f).xShmUnmap(system_of(f), remove); },
    [](sqlite3_file* /*f*/, sqlite3_int64 /*at*/, int /*size*/, void** memory) {
      *memory = nullptr;
      return SQLITE_OK;
    },
    [](sqlite3_file* /*f*/, sqlite3_int64 /*at*/, void* /*memory*/) { return SQLITE_OK; },
};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  FailingDisk::State& state = state_of(vfs);
  Shim& opened = *new (file) Shim{{nullptr}, &state};
  const int result = state.system->xOpen(state.system, name, opened.system(), flags, out_flags);
  // SQLite closes a file that has methods, also when opening it failed.
  if (opened.system()->pMethods != nullptr) opened.base.pMethods = &kMethods;
  return result;
}

}  // namespace

FailingDisk::FailingDisk() : state_(std::make_unique<State>()) {
  state_->system = sqlite3_vfs_find(nullptr);
  state_->vfs = *state_->system;
  state_->vfs.zName = "holdfast-failing-disk";
  state_->vfs.pNext = nullptr;
  state_->vfs.pAppData = state_.get();
  state_->vfs.szOsFile = static_cast<int>(sizeof(Shim)) + state_->system->szOsFile;
  state_->vfs.xOpen = open_file;
  // The others ask for the system's own data.
  state_->vfs.xDelete = [](sqlite3_vfs* vfs, const char* name, int sync) {
    return state_of(vfs).system->xDelete(state_of(vfs).system, name, sync);
  };
  state_->vfs.xAccess = [](sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    return state_of(vfs).system->xAccess(state_of(vfs).system, name, flags, result);
  };
  state_->vfs.xFullPathname = [](sqlite3_vfs* vfs, const char* name, int size, char* out) {
    return state_of(vfs).system->xFullPathname(state_of(vfs).system, name, size, out);
  };
  const int result = sqlite3_vfs_register(&state_->vfs, 1);
  HOLDFAST_ASSERT(result == SQLITE_OK);
}

FailingDisk::~FailingDisk() {
  sqlite3_vfs_unregister(&state_->vfs);
  sqlite3_vfs_register(state_->system, 1);
}

void FailingDisk::fail_after(std::int64_t calls, std::int64_t count, int result) {
  state_->failed = false;
  state_->result = result;
  state_->failures = count;
  state_->left = calls;
}

bool FailingDisk::has_failed() const { return state_->failed; }

}  // namespace holdfast::sqlite
