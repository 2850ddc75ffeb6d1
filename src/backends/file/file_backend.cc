#include "backends/file/file_backend.h"

#include <algorithm>
#include <array>
#include <exception>
#include <mutex>
#include <queue>
#include <shared_mutex>
#include <thread>

#include "backends/file/background.h"
#include "backends/file/lane.h"
#include "backends/file/maintenance.h"
#include "backends/file/store_options.h"
#include "backends/file/superblock.h"
#include "backends/file/waiters.h"
#include "contract/canary.h"

namespace holdfast {
namespace file {
namespace {

class FileBackend final : public FileStore {
 public:
  FileBackend(StoreOptions options, const Environment& environment);
  ~FileBackend() override;

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View database) const override { return lane_of(database); }

  ReadAnswer read(View database, const ReadRequest& request) override;
  void commit(std::span<Group> groups) override;
  Changes changes(View database, const ChangesRequest& request) override;
  void compact(View database, Seq before, Deadline deadline) override;
  bool fence(View database, const Fence& expected, const Fence& next, Deadline deadline) override;
  std::vector<Bytes> databases(View prefix, View after, std::size_t limit, Deadline deadline) override;
  bool drop(View database, std::uint64_t history, Deadline deadline) override;
  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline deadline) override;
  std::vector<std::size_t> wait(std::span<const Cursor> cursors, Deadline deadline) override;
  void wake() override { waiters_.wake(); }
  void checkpoint() override;

 private:
  void open_lanes(const Superblock& superblock, bool lost_buffers);
  void note_segment(std::size_t lane, std::uint64_t number);
  void note_boot_id(const std::string& buffered_boot_id);
  Lane& lane_for(View database) { return *lanes_[lane_of(database)]; }
  std::vector<std::size_t> cursors_behind(std::span<const Cursor> cursors);
  void close();

  const StoreOptions options_;
  const Environment environment_;
  Traits traits_;
  std::unique_ptr<FileLock> lock_;
  std::mutex superblock_mutex_;
  Superblock superblock_;
  Waiters waiters_;
  std::array<std::unique_ptr<Lane>, kLanes> lanes_;
  const Database nothing_{Bytes()};  ///< what a database that was never written looks like
  // Last, so that their threads end before what they work on.
  Background preparer_;
  Background checkpointer_;
};

/// Fetches the files of `pending`; the caller holds the database's lock, so that no checkpoint can have
/// replaced them yet.
void hold_files(FileTable& files, std::vector<PendingValue>& pending) {
  for (PendingValue& value : pending) value.file = files.find(value.reference.file);
}

void read_values(const std::vector<PendingValue>& pending) {
  for (const PendingValue& value : pending) *value.into = read_value(*value.file, value.reference);
}

/// Runs work(lane) for every lane at once; throws what one of them threw.
void for_each_lane(const std::function<void(std::size_t)>& work) {
  std::array<std::exception_ptr, kLanes> failures;
  std::vector<std::thread> threads;
  threads.reserve(kLanes);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    threads.emplace_back([&, lane] {
      try {
        work(lane);
      } catch (...) {
        failures[lane] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

FileBackend::FileBackend(StoreOptions options, const Environment& environment)
    : options_(std::move(options)), environment_(environment), waiters_(environment.clock) {
  traits_.name = "file";
  traits_.durability = options_.durable ? Durability::disk : Durability::process;
  traits_.keeps_acknowledged = options_.durable;
  FileSystem& files = *environment_.files;
  if (files.is_network(options_.folder)) {
    throw Error(Code::capability_missing,
                "\"" + options_.folder +
                    "\" lies on a network file system, whose locks and syncs cannot be " +
                    "trusted; use a local disk");
  }
  files.create_folder(options_.folder);
  lock_ = files.lock(join(options_.folder, kLockName));
  superblock_ = has_superblock(files, options_.folder)
                    ? read_superblock(files, options_.folder)
                    : create_superblock(files, options_.folder, *environment_.random);
  const std::string boot_id = files.boot_id();
  const bool lost_buffers = !superblock_.buffered_boot_id.empty() && superblock_.buffered_boot_id != boot_id;
  open_lanes(Superblock(superblock_), lost_buffers);
  note_boot_id(options_.durable ? std::string() : boot_id);
}

void FileBackend::note_segment(std::size_t lane, std::uint64_t number) {
  const std::lock_guard lock(superblock_mutex_);
  superblock_.newest_segments[lane] = number;
  write_superblock(*environment_.files, options_.folder, superblock_);
}

void FileBackend::note_boot_id(const std::string& buffered_boot_id) {
  const std::lock_guard lock(superblock_mutex_);
  if (superblock_.buffered_boot_id == buffered_boot_id) return;
  superblock_.buffered_boot_id = buffered_boot_id;
  write_superblock(*environment_.files, options_.folder, superblock_);
}

FileBackend::~FileBackend() {
  try {
    close();
  } catch (const Error&) {
    // What could not be tidied up is found by the next recovery.
  }
}

void FileBackend::open_lanes(const Superblock& superblock, bool lost_buffers) {
  LaneRequests requests;
  requests.prepare = [this](std::size_t lane, std::uint64_t size_bytes) {
    preparer_.ask(lane, [this, lane, size_bytes] { lanes_[lane]->prepare(size_bytes); });
  };
  requests.checkpoint = [this](std::size_t lane) {
    checkpointer_.ask(lane, [this, lane] {
      try {
        lanes_[lane]->checkpoint();
      } catch (const Error&) {
        // The log has everything; the lane asks again when it has grown further.
      }
    });
  };
  requests.changed = [this] { waiters_.notify(); };
  for_each_lane([&](std::size_t lane) {
    LaneOptions lane_options;
    lane_options.log = {options_.folder,
                        superblock.store_id,
                        lane,
                        options_.durable,
                        options_.segment_size_bytes,
                        [this, lane](std::uint64_t number) { note_segment(lane, number); }};
    lane_options.newest_segment = superblock.newest_segments[lane];
    lane_options.checkpoint_size_bytes = options_.checkpoint_size_bytes;
    lane_options.strict_deadlines = options_.strict_deadlines;
    lane_options.lost_buffers = lost_buffers;
    lanes_[lane] = std::make_unique<Lane>(lane_options, environment_, requests);
    if (lost_buffers && !canary(18, 'f')) lanes_[lane]->change_histories();
  });
}

void FileBackend::close() {
  preparer_.finish();
  checkpointer_.finish();
  for_each_lane([&](std::size_t lane) { lanes_[lane]->close(); });
  note_boot_id({});
}

void FileBackend::checkpoint() {
  for_each_lane([&](std::size_t lane) { lanes_[lane]->checkpoint(); });
}

ReadAnswer FileBackend::read(View name, const ReadRequest& request) {
  Lane& lane = lane_for(name);
  std::vector<PendingValue> pending;
  const auto look = [&](const Database* found) {
    const Database& database = found != nullptr ? *found : nothing_;
    const std::shared_lock lock(database.lock);
    const UnixMs time_ms = admit_read(name, database.head(), request);
    ReadAnswer answer = database.read(request, time_ms, pending);
    hold_files(lane.files(), pending);
    return answer;
  };
  ReadAnswer answer = request.scans.empty() ? look(lane.contents().pin(name).database)
                                            : look(lane.contents().find(name).get());
  read_values(pending);
  return answer;
}

void FileBackend::commit(std::span<Group> groups) {
  std::array<bool, kLanes> concerned{};
  for (const Group& group : groups) concerned[lane_of(group.database)] = true;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (concerned[lane]) lanes_[lane]->commit(groups);
  }
}

Changes FileBackend::changes(View name, const ChangesRequest& request) {
  Lane& lane = lane_for(name);
  const std::shared_ptr<Database> found = lane.contents().find(name);
  const Database& database = found ? *found : nothing_;
  std::vector<PendingValue> pending;
  std::shared_lock lock(database.lock);
  admit_changes(name, database.head(), request);
  Changes answer = database.changes(request, pending);
  hold_files(lane.files(), pending);
  lock.unlock();
  read_values(pending);
  return answer;
}

void FileBackend::compact(View name, Seq before, Deadline deadline) {
  lane_for(name).compact(name, before, deadline);
}

bool FileBackend::fence(View name, const Fence& expected, const Fence& next, Deadline deadline) {
  return lane_for(name).fence(name, expected, next, deadline);
}

bool FileBackend::drop(View name, std::uint64_t history, Deadline deadline) {
  return lane_for(name).drop(name, history, deadline);
}

std::vector<Bytes> FileBackend::databases(View prefix, View after, std::size_t limit, Deadline /*deadline*/) {
  std::vector<Bytes> names;
  for (const auto& lane : lanes_) {
    std::vector<Bytes> some = lane->contents().names(prefix, after, limit);
    std::move(some.begin(), some.end(), std::back_inserter(names));
  }
  std::sort(names.begin(), names.end());
  if (names.size() > limit) names.resize(limit);
  return names;
}

ExpiredAnswer FileBackend::expired(UnixMs now_ms, std::size_t limit, Deadline /*deadline*/) {
  struct Next {
    UnixMs due_ms;
    std::shared_ptr<Database> database;
    Bytes key;
  };
  const auto later = [](const Next& a, const Next& b) {
    return std::tie(a.due_ms, a.database->name(), a.key) > std::tie(b.due_ms, b.database->name(), b.key);
  };
  std::priority_queue<Next, std::vector<Next>, decltype(later)> queue(later);
  // The first expiry of the database behind the one given.
  const auto enqueue = [&](std::shared_ptr<Database> database, UnixMs due_ms, View key) {
    const std::shared_lock lock(database->lock);
    const std::pair<UnixMs, Bytes>* next = database->expiry_after(due_ms, key);
    if (next != nullptr) queue.push({next->first, std::move(database), next->second});
  };
  ExpiredAnswer answer;
  for (const auto& lane : lanes_) {
    for (std::shared_ptr<Database>& database : lane->contents().due(now_ms, answer.next_due_ms)) {
      enqueue(std::move(database), INT64_MIN, {});
    }
  }
  while (!queue.empty() && queue.top().due_ms <= now_ms && answer.items.size() < limit) {
    Next next = queue.top();
    queue.pop();
    enqueue(next.database, next.due_ms, next.key);
    answer.items.push_back({next.database->name(), std::move(next.key), next.due_ms});
  }
  if (!queue.empty()) {
    answer.next_due_ms = std::min(answer.next_due_ms.value_or(queue.top().due_ms), queue.top().due_ms);
  }
  return answer;
}

std::vector<std::size_t> FileBackend::wait(std::span<const Cursor> cursors, Deadline deadline) {
  return waiters_.wait([&] { return cursors_behind(cursors); }, deadline);
}

std::vector<std::size_t> FileBackend::cursors_behind(std::span<const Cursor> cursors) {
  std::vector<std::size_t> behind;
  for (std::size_t i = 0; i < cursors.size(); ++i) {
    const std::shared_ptr<Database> database =
        lane_for(cursors[i].database).contents().find(cursors[i].database);
    Position head;
    if (database) {
      const std::shared_lock lock(database->lock);
      head = database->head().position();
    }
    if (head.history != cursors[i].at.history || head.seq > cursors[i].at.seq) behind.push_back(i);
  }
  return behind;
}

}  // namespace
}  // namespace file

std::unique_ptr<FileStore> open_file_store(const Url& url, const Options& options,
                                           const Environment& environment) {
  return std::make_unique<file::FileBackend>(file::parse_options(url, options), environment.completed());
}

BackendFactory file_factory() {
  BackendFactory factory;
  factory.scheme = "file";
  factory.options = file::option_specs();
  factory.open = [](const Url& url, const Options& options, const Environment& environment) {
    return std::unique_ptr<Backend>(open_file_store(url, options, environment));
  };
  factory.check = [](const Url& url, const Options& options, const Environment& environment) {
    return file::check_folder(file::parse_options(url, options).folder, environment.completed());
  };
  factory.repair = [](const Url& url, const Options& options, const Environment& environment) {
    return file::repair_folder(file::parse_options(url, options).folder, environment.completed());
  };
  factory.remove = [](const Url& url, const Environment& environment) {
    file::remove_folder(url.path, environment.completed());
  };
  return factory;
}

}  // namespace holdfast
