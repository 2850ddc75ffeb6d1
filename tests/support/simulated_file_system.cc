#include "tests/support/simulated_file_system.h"

#include <algorithm>
#include <utility>

#include "contract/assert.h"
#include "holdfast/error.h"

namespace holdfast {
namespace {

constexpr std::size_t kDirectAlignment = 4096;
constexpr std::size_t kLogLines = 4000;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string range_text(std::uint64_t offset, std::size_t size) {
  return " [" + std::to_string(offset) + ", +" + std::to_string(size) + ")";
}

}  // namespace

class SimulatedFileSystem::OpenFile final : public File {
 public:
  OpenFile(std::shared_ptr<SimulatedFileSystem> system, std::string path, ContentPtr content, FileMode mode)
      : system_(std::move(system)),
        path_(std::move(path)),
        content_(std::move(content)),
        mode_(mode),
        epoch_(system_->epoch_) {}

  std::size_t read(std::uint64_t offset, char* data, std::size_t size) const override {
    const auto guard = system_->begin_call();
    begin("read", range_text(offset, size));
    return content_->current().read(offset, data, size);
  }

  void write(std::uint64_t offset, View data) override {
    const auto guard = system_->begin_call();
    HOLDFAST_ASSERT(offset % alignment() == 0 && data.size() % alignment() == 0);
    HOLDFAST_ASSERT(reinterpret_cast<std::uintptr_t>(data.data()) % alignment() == 0);
    system_->demand_power(epoch_, path_);
    demand_mode("write");
    const bool direct = mode_ == FileMode::durable && system_->options_.direct_io;
    const std::string what = "write " + path_ + range_text(offset, data.size());
    if (system_->count(what) != Verdict::proceed) {
      if (direct) {
        content_->write_durably_in_part(offset, data, system_->random_);
      } else {
        content_->write_in_part(offset, data, system_->random_);
        // The write failed on its way to the disk: the page cache keeps it, and takes it for clean.
        if (mode_ == FileMode::durable && !system_->power_lost_) content_->forget_unsynced();
      }
      system_->fail(what);
    }
    const std::uint64_t end = offset + data.size();
    const std::uint64_t grows = end > size_locked() ? end - size_locked() : 0;
    const bool fits = grows <= system_->room_bytes();
    if (!fits) data = data.substr(0, data.size() - static_cast<std::size_t>(grows - system_->room_bytes()));
    if (mode_ == FileMode::durable) {
      content_->write_durably(offset, data);
    } else {
      content_->write(offset, data);
    }
    if (!fits) throw full();
  }

  void sync() override {
    const auto guard = system_->begin_call();
    system_->demand_power(epoch_, path_);
    const std::string what = "sync " + path_;
    const Verdict verdict = system_->count(what);
    if (verdict == Verdict::fail) content_->forget_unsynced();
    if (verdict != Verdict::proceed) system_->fail(what);
    content_->sync();
  }

  std::uint64_t size_bytes() const override {
    const std::lock_guard guard(system_->mutex_);
    system_->demand_power(epoch_, path_);
    return size_locked();
  }

  void truncate(std::uint64_t size_bytes) override {
    const auto guard = system_->begin_call();
    resize("truncate", size_bytes);
  }

  void extend(std::uint64_t size_bytes) override {
    const auto guard = system_->begin_call();
    resize("extend", std::max(size_bytes, size_locked()));
  }

  std::size_t alignment() const override {
    return mode_ == FileMode::durable && system_->options_.direct_io ? kDirectAlignment : 1;
  }

 private:
  std::uint64_t size_locked() const { return content_->current().size(); }

  void demand_mode(const char* operation) const {
    system_->demand_writable(path_);
    if (mode_ == FileMode::read) {
      throw Error(Code::permission_denied,
                  std::string("cannot ") + operation + " \"" + path_ + "\": it was opened for reading only");
    }
  }

  void begin(const std::string& operation, const std::string& detail) const {
    system_->demand_power(epoch_, path_);
    const std::string what = operation + " " + path_ + detail;
    if (system_->count(what) != Verdict::proceed) system_->fail(what);
  }

  void resize(const char* operation, std::uint64_t size_bytes) {
    system_->demand_power(epoch_, path_);
    demand_mode(operation);
    const std::string what = std::string(operation) + " " + path_ + " to " + std::to_string(size_bytes);
    const std::uint64_t before = size_locked();
    const Verdict verdict = system_->count(what);
    if (verdict != Verdict::proceed) {
      // A truncation happens or not; an extension may stop anywhere.
      if (size_bytes > before) {
        content_->resize(before + system_->random_.below(size_bytes - before + 1));
      } else if (verdict == Verdict::stop && system_->random_.below(2) == 0) {
        content_->resize(size_bytes);
      }
      system_->fail(what);
    }
    if (size_bytes > before && size_bytes - before > system_->room_bytes()) throw full();
    content_->resize(size_bytes);
  }

  Error full() const {
    return {Code::unavailable, "cannot write \"" + path_ + "\": the disk is full; free space on the disk"};
  }

  std::shared_ptr<SimulatedFileSystem> system_;
  std::string path_;
  ContentPtr content_;
  FileMode mode_;
  std::uint64_t epoch_;
};

class SimulatedFileSystem::Lock final : public FileLock {
 public:
  Lock(std::shared_ptr<SimulatedFileSystem> system, std::string path, std::uint64_t identity)
      : system_(std::move(system)), path_(std::move(path)), identity_(identity) {}
  ~Lock() override {
    const std::lock_guard guard(system_->mutex_);
    const auto held = system_->locks_.find(path_);
    if (held != system_->locks_.end() && held->second == identity_) system_->locks_.erase(held);
  }

 private:
  std::shared_ptr<SimulatedFileSystem> system_;
  std::string path_;
  std::uint64_t identity_;
};

std::shared_ptr<SimulatedFileSystem> SimulatedFileSystem::make(const Options& options) {
  return std::shared_ptr<SimulatedFileSystem>(new SimulatedFileSystem(options));
}

SimulatedFileSystem::SimulatedFileSystem(const Options& options)
    : options_(options), random_(options.seed), folders_{"/", "."} {}

std::shared_ptr<SimulatedFileSystem> SimulatedFileSystem::clone(std::uint64_t seed) const {
  const std::lock_guard guard(mutex_);
  const auto copy = make({seed, options_.direct_io});
  std::map<const SimulatedContent*, ContentPtr> copies;
  const auto copied = [&copies](const ContentPtr& content) -> ContentPtr {
    if (!content) return nullptr;
    ContentPtr& mine = copies[content.get()];
    if (!mine) mine = std::make_shared<SimulatedContent>(*content);
    return mine;
  };
  for (const auto& [path, content] : names_) copy->names_[path] = copied(content);
  for (const auto& [path, content] : durable_names_) copy->durable_names_[path] = copied(content);
  for (FolderChange change : folder_changes_) {
    change.content = copied(change.content);
    copy->folder_changes_.push_back(std::move(change));
  }
  copy->folders_ = folders_;
  copy->boot_ = boot_;
  return copy;
}

std::uint64_t SimulatedFileSystem::calls() const {
  const std::lock_guard guard(mutex_);
  return calls_;
}

void SimulatedFileSystem::fail_call(std::uint64_t number, std::uint64_t times) {
  const std::lock_guard guard(mutex_);
  fail_from_ = number;
  fail_until_ = number + times;
}

void SimulatedFileSystem::power_loss_at(std::uint64_t number) {
  const std::lock_guard guard(mutex_);
  power_loss_at_ = number;
}

void SimulatedFileSystem::power_off() {
  const std::lock_guard guard(mutex_);
  power_lost_ = true;
}

bool SimulatedFileSystem::power_is_lost() const {
  const std::lock_guard guard(mutex_);
  return power_lost_;
}

bool SimulatedFileSystem::fault_happened() const {
  const std::lock_guard guard(mutex_);
  return fault_happened_;
}

bool SimulatedFileSystem::disarm() {
  const std::lock_guard guard(mutex_);
  fail_from_ = fail_until_ = power_loss_at_ = 0;
  return fault_happened_;
}

void SimulatedFileSystem::clear_faults() {
  const std::lock_guard guard(mutex_);
  fail_from_ = fail_until_ = power_loss_at_ = 0;
  fault_happened_ = false;
}

void SimulatedFileSystem::set_observer(std::function<void()> observe) {
  std::unique_lock lock(mutex_);
  observed_.wait(lock, [this] { return !observing_; });
  observe_ = std::move(observe);
}

std::unique_lock<std::mutex> SimulatedFileSystem::begin_call() {
  std::unique_lock lock(mutex_);
  const std::uint64_t next = calls_ + 1;
  const bool fails =
      (power_loss_at_ != 0 && next >= power_loss_at_) || (next >= fail_from_ && next < fail_until_);
  if (fails && !power_lost_ && observe_) {
    const std::function<void()> observe = std::exchange(observe_, nullptr);
    observing_ = true;
    lock.unlock();
    observe();
    lock.lock();
    observing_ = false;
    observed_.notify_all();
  }
  return lock;
}

void SimulatedFileSystem::power_cycle() {
  const std::lock_guard guard(mutex_);
  // Journals keep changes of folders in order, over the whole file system or within each folder.
  std::map<std::string, std::vector<const FolderChange*>> by_folder;
  const bool one_journal = random_.below(2) == 0;
  for (const FolderChange& change : folder_changes_) {
    by_folder[one_journal ? "" : folder_of(change.path)].push_back(&change);
  }
  for (const auto& [folder, changes] : by_folder) {
    const std::uint64_t style = random_.below(3);
    const std::size_t kept = style == 0   ? 0
                             : style == 1 ? changes.size()
                                          : static_cast<std::size_t>(random_.below(changes.size() + 1));
    for (std::size_t i = 0; i < kept; ++i) apply(*changes[i], durable_names_);
  }
  folder_changes_.clear();
  names_ = durable_names_;
  std::set<SimulatedContent*> settled;
  for (const auto& [path, content] : names_) {
    if (settled.insert(content.get()).second) content->settle(random_);
  }
  ++boot_;
  new_epoch();
}

void SimulatedFileSystem::process_kill() {
  const std::lock_guard guard(mutex_);
  new_epoch();
}

void SimulatedFileSystem::new_epoch() {
  ++epoch_;
  locks_.clear();
  power_lost_ = false;
  fail_from_ = fail_until_ = power_loss_at_ = 0;
  log_.emplace_back("---- epoch " + std::to_string(epoch_) + ", boot " + std::to_string(boot_));
}

void SimulatedFileSystem::set_capacity_bytes(std::optional<std::uint64_t> bytes) {
  const std::lock_guard guard(mutex_);
  capacity_bytes_ = bytes;
}

std::uint64_t SimulatedFileSystem::used_bytes() const {
  const std::lock_guard guard(mutex_);
  return used_bytes_locked();
}

std::uint64_t SimulatedFileSystem::used_bytes_locked() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, content] : names_) bytes += content->current().size();
  return bytes;
}

std::uint64_t SimulatedFileSystem::room_bytes() const {
  if (!capacity_bytes_) return UINT64_MAX;
  return *capacity_bytes_ - std::min(*capacity_bytes_, used_bytes_locked());
}

void SimulatedFileSystem::set_read_only(bool read_only) {
  const std::lock_guard guard(mutex_);
  read_only_ = read_only;
}

void SimulatedFileSystem::set_network(bool is_network) {
  const std::lock_guard guard(mutex_);
  network_ = is_network;
}

std::vector<std::string> SimulatedFileSystem::paths() const {
  const std::lock_guard guard(mutex_);
  std::vector<std::string> all;
  for (const auto& [path, content] : names_) all.push_back(path);
  return all;
}

std::string SimulatedFileSystem::content(const std::string& path) const {
  const std::lock_guard guard(mutex_);
  return find(path)->current().text();
}

void SimulatedFileSystem::put_file(const std::string& path, View content) {
  const std::lock_guard guard(mutex_);
  for (std::string folder = folder_of(path); folders_.insert(folder).second;) folder = folder_of(folder);
  const auto made = std::make_shared<SimulatedContent>();
  made->corrupt(0, content);
  names_[path] = made;
  durable_names_[path] = made;
}

void SimulatedFileSystem::flip_bit(const std::string& path, std::uint64_t byte_offset, unsigned bit) {
  const std::lock_guard guard(mutex_);
  const ContentPtr& content = find(path);
  char byte = 0;
  HOLDFAST_ASSERT(content->current().read(byte_offset, &byte, 1) == 1);
  byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1u << bit));
  content->corrupt(byte_offset, View(&byte, 1));
}

void SimulatedFileSystem::replace(const std::string& path, std::uint64_t offset, View data) {
  const std::lock_guard guard(mutex_);
  find(path)->corrupt(offset, data);
}

void SimulatedFileSystem::truncate_file(const std::string& path, std::uint64_t size_bytes) {
  const std::lock_guard guard(mutex_);
  find(path)->corrupt_size(size_bytes);
}

std::string SimulatedFileSystem::log() const {
  const std::lock_guard guard(mutex_);
  std::string text;
  for (const std::string& line : log_) text += line + "\n";
  return text;
}

SimulatedFileSystem::Verdict SimulatedFileSystem::count(const std::string& what) {
  ++calls_;
  if (log_.size() >= 2 * kLogLines) log_.erase(log_.begin(), log_.begin() + kLogLines);
  log_.push_back(std::to_string(calls_) + " " + what);
  if (power_loss_at_ != 0 && calls_ >= power_loss_at_) {
    log_.back() += " POWER LOST";
    power_lost_ = fault_happened_ = true;
    return Verdict::stop;
  }
  if (calls_ >= fail_from_ && calls_ < fail_until_) {
    log_.back() += " FAILED";
    fault_happened_ = true;
    return Verdict::fail;
  }
  return Verdict::proceed;
}

void SimulatedFileSystem::fail(const std::string& what) const {
  throw Error(Code::unavailable, "cannot " + what + ": " +
                                     (power_lost_ ? "the power is off" : "the disk failed (simulated)") +
                                     "; open the store again");
}

void SimulatedFileSystem::demand_power(std::uint64_t epoch, const std::string& path) const {
  if (power_lost_ || epoch != epoch_) {
    throw Error(Code::unavailable, "cannot use \"" + path + "\": the process that opened it is dead");
  }
}

void SimulatedFileSystem::demand_writable(const std::string& path) const {
  if (read_only_) {
    throw Error(Code::permission_denied,
                "cannot change \"" + path + "\": the file system is mounted read-only; mount it for writing");
  }
}

const SimulatedFileSystem::ContentPtr& SimulatedFileSystem::find(const std::string& path) const {
  const auto found = names_.find(path);
  if (found == names_.end()) {
    throw Error(Code::not_found, "cannot open \"" + path + "\": no such file; check the path");
  }
  return found->second;
}

void SimulatedFileSystem::demand_folder(const std::string& folder) const {
  if (!folders_.contains(folder)) {
    throw Error(Code::not_found, "there is no folder \"" + folder + "\"; check the path");
  }
}

void SimulatedFileSystem::apply(const FolderChange& change, Names& names) {
  switch (change.kind) {
    case FolderChange::Kind::link:
      names[change.path] = change.content;
      return;
    case FolderChange::Kind::unlink:
      names.erase(change.path);
      return;
    case FolderChange::Kind::rename: {
      const auto from = names.find(change.path);
      if (from == names.end()) return;
      names[change.target] = from->second;
      names.erase(change.path);
      return;
    }
  }
}

void SimulatedFileSystem::change(FolderChange change) {
  apply(change, names_);
  folder_changes_.push_back(std::move(change));
}

std::unique_ptr<File> SimulatedFileSystem::open(const std::string& path, FileMode mode) {
  const auto guard = begin_call();
  demand_power(epoch_, path);
  if (mode == FileMode::create) {
    demand_writable(path);
    demand_folder(folder_of(path));
    if (names_.contains(path)) {
      throw Error(Code::already_exists, "cannot create \"" + path + "\": it exists; choose another path");
    }
    const Verdict verdict = count("create " + path);
    const FolderChange created{FolderChange::Kind::link, path, {}, std::make_shared<SimulatedContent>()};
    if (verdict == Verdict::stop && random_.below(2) == 0) change(created);
    if (verdict != Verdict::proceed) fail("create " + path);
    change(created);
  } else {
    if (mode != FileMode::read) demand_writable(path);
    if (count("open " + path) != Verdict::proceed) fail("open " + path);
  }
  return std::make_unique<OpenFile>(shared_from_this(), path, find(path), mode);
}

bool SimulatedFileSystem::exists(const std::string& path) {
  const std::lock_guard guard(mutex_);
  demand_power(epoch_, path);
  return names_.contains(path) || folders_.contains(path);
}

std::vector<std::string> SimulatedFileSystem::list(const std::string& folder) {
  const auto guard = begin_call();
  demand_power(epoch_, folder);
  demand_folder(folder);
  if (count("list " + folder) != Verdict::proceed) fail("list " + folder);
  std::vector<std::string> found;
  for (const auto& [path, content] : names_) {
    if (folder_of(path) == folder) found.push_back(path.substr(path.rfind('/') + 1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> SimulatedFileSystem::list_folders(const std::string& folder) {
  const auto guard = begin_call();
  demand_power(epoch_, folder);
  demand_folder(folder);
  if (count("list " + folder) != Verdict::proceed) fail("list " + folder);
  std::vector<std::string> found;
  for (const std::string& path : folders_) {
    if (path != folder && folder_of(path) == folder) found.push_back(path.substr(path.rfind('/') + 1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void SimulatedFileSystem::create_folder(const std::string& folder) {
  const auto guard = begin_call();
  demand_power(epoch_, folder);
  if (folders_.contains(folder)) return;
  demand_writable(folder);
  if (count("create folder " + folder) != Verdict::proceed) fail("create folder " + folder);
  for (std::string missing = folder; folders_.insert(missing).second;) missing = folder_of(missing);
}

void SimulatedFileSystem::remove(const std::string& path) {
  const auto guard = begin_call();
  demand_power(epoch_, path);
  demand_writable(path);
  find(path);
  const Verdict verdict = count("remove " + path);
  const FolderChange removed{FolderChange::Kind::unlink, path, {}, nullptr};
  if (verdict == Verdict::stop && random_.below(2) == 0) change(removed);
  if (verdict != Verdict::proceed) fail("remove " + path);
  change(removed);
}

void SimulatedFileSystem::rename(const std::string& from, const std::string& to) {
  const auto guard = begin_call();
  demand_power(epoch_, from);
  demand_writable(from);
  demand_folder(folder_of(to));
  find(from);
  const std::string what = "rename " + from + " to " + to;
  const Verdict verdict = count(what);
  const FolderChange renamed{FolderChange::Kind::rename, from, to, nullptr};
  if (verdict == Verdict::stop && random_.below(2) == 0) change(renamed);
  if (verdict != Verdict::proceed) fail(what);
  change(renamed);
}

void SimulatedFileSystem::sync_folder(const std::string& folder) {
  const auto guard = begin_call();
  demand_power(epoch_, folder);
  demand_folder(folder);
  if (count("sync folder " + folder) != Verdict::proceed) fail("sync folder " + folder);
  std::vector<FolderChange> others;
  for (FolderChange& change : folder_changes_) {
    if (folder_of(change.path) == folder) {
      apply(change, durable_names_);
    } else {
      others.push_back(std::move(change));
    }
  }
  folder_changes_ = std::move(others);
}

std::unique_ptr<FileLock> SimulatedFileSystem::lock(const std::string& path) {
  const auto guard = begin_call();
  demand_power(epoch_, path);
  demand_writable(path);
  demand_folder(folder_of(path));
  if (count("lock " + path) != Verdict::proceed) fail("lock " + path);
  if (locks_.contains(path)) {
    throw Error(Code::unavailable, "\"" + path +
                                       "\" is locked by this process already; close the store there "
                                       "first, one process at a time may have it open");
  }
  if (!names_.contains(path)) {
    change({FolderChange::Kind::link, path, {}, std::make_shared<SimulatedContent>()});
  }
  locks_[path] = next_lock_;
  return std::make_unique<Lock>(shared_from_this(), path, next_lock_++);
}

bool SimulatedFileSystem::is_network(const std::string& /*path*/) {
  const std::lock_guard guard(mutex_);
  return network_;
}

std::string SimulatedFileSystem::boot_id() {
  const std::lock_guard guard(mutex_);
  return "boot-" + std::to_string(boot_);
}

}  // namespace holdfast
