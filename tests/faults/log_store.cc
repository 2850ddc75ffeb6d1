#include "tests/faults/log_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "backends/memory/memory_database.h"
#include "contract/commit_each.h"
#include "contract/head.h"
#include "contract/validate.h"

namespace holdfast::faults {
namespace {

constexpr char kFolder[] = "/data";
constexpr char kLog[] = "/data/log";
constexpr char kNewLog[] = "/data/log.new";
constexpr std::size_t kFrameBytes = 16;

// --- records

class Encoder {
 public:
  Encoder& number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  Encoder& text(View value) {
    number(value.size());
    bytes_ += value;
    return *this;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

/// Reads zeros and nothing where the bytes have ended.
class Decoder {
 public:
  explicit Decoder(View bytes) : bytes_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8 && i < bytes_.size(); ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(bytes_[i])} << (8 * i);
    }
    bytes_.remove_prefix(std::min<std::size_t>(8, bytes_.size()));
    return value;
  }
  Bytes text() {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(number(), bytes_.size()));
    Bytes value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }

 private:
  View bytes_;
};

enum class Kind : std::uint8_t { commit = 1, compact, fence, drop };

void encode(Encoder& to, const Fence& fence) {
  to.number(static_cast<std::uint64_t>(fence.state)).number(fence.token).text(fence.place);
}

Fence decode_fence(Decoder& from) {
  Fence fence;
  fence.state = static_cast<Fence::State>(from.number());
  fence.token = from.number();
  fence.place = from.text();
  return fence;
}

void encode(Encoder& to, const Group& group) {
  to.text(group.database).number(group.history).number(group.session.first).number(group.session.second);
  to.number(group.number).number(group.retry ? 1 : 0).number(static_cast<std::uint64_t>(group.now_ms));
  to.number(group.token).number(group.batches.size());
  for (const Batch& batch : group.batches) {
    to.number(batch.checks.size());
    for (const Check& check : batch.checks) {
      to.number(static_cast<std::uint64_t>(check.kind)).text(check.key).text(check.end).number(check.version);
      to.number(static_cast<std::uint64_t>(check.read_time_ms));
    }
    to.number(batch.writes.size());
    for (const Write& write : batch.writes) {
      to.number(static_cast<std::uint64_t>(write.kind)).text(write.key).text(write.suffix).text(write.value);
      to.number(write.expires_at_ms ? 1 : 0);
      to.number(static_cast<std::uint64_t>(write.expires_at_ms.value_or(0)));
    }
  }
}

Group decode_group(Decoder& from) {
  Group group;
  group.database = from.text();
  group.history = from.number();
  group.session.first = from.number();
  group.session.second = from.number();
  group.number = from.number();
  group.retry = from.number() != 0;
  group.now_ms = static_cast<UnixMs>(from.number());
  group.token = from.number();
  group.batches.resize(static_cast<std::size_t>(std::min<std::uint64_t>(from.number(), 1024)));
  for (Batch& batch : group.batches) {
    batch.checks.resize(static_cast<std::size_t>(std::min<std::uint64_t>(from.number(), 2000)));
    for (Check& check : batch.checks) {
      check.kind = static_cast<Check::Kind>(from.number());
      check.key = from.text();
      check.end = from.text();
      check.version = from.number();
      check.read_time_ms = static_cast<UnixMs>(from.number());
    }
    batch.writes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(from.number(), 2000)));
    for (Write& write : batch.writes) {
      write.kind = static_cast<Write::Kind>(from.number());
      write.key = from.text();
      write.suffix = from.text();
      write.value = from.text();
      const bool expires = from.number() != 0;
      const auto expires_at_ms = static_cast<UnixMs>(from.number());
      if (expires) write.expires_at_ms = expires_at_ms;
    }
  }
  group.content_hash = content_hash(group.batches);
  return group;
}

std::uint64_t sum_of(View bytes) {
  std::uint64_t sum = 14695981039346656037u;
  for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  return sum;
}

Bytes framed(View payload) {
  return Encoder().number(payload.size()).number(sum_of(payload)).bytes() + Bytes(payload);
}

// --- the store

class LogStore final : public Backend {
 public:
  LogStore(const Environment& environment, LogStoreFault fault)
      : files_(environment.files), random_(environment.random), fault_(fault) {
    traits_.name = "log";
    traits_.durability = Durability::disk;
    traits_.keeps_acknowledged = true;
    files_->create_folder(kFolder);
    lock_ = files_->lock("/data/lock");
    recover();
  }

  const Traits& traits() const override { return traits_; }
  std::size_t lane(View /*database*/) const override { return 0; }

  ReadAnswer read(View name, const ReadRequest& request) override {
    const std::lock_guard lock(mutex_);
    const MemoryDatabase& database = find(name);
    return database.read(request, admit_read(name, database.head(), request));
  }

  void commit(std::span<Group> groups) override {
    const std::lock_guard lock(writer_);
    commit_each(groups, [this](Group& group) { commit_one(group); });
  }

  Changes changes(View name, const ChangesRequest& request) override {
    const std::lock_guard lock(mutex_);
    const MemoryDatabase& database = find(name);
    admit_changes(name, database.head(), request);
    return database.changes(request);
  }

  void compact(View name, Seq before, Deadline /*deadline*/) override {
    const std::lock_guard lock(writer_);
    if (!find(name).head().exists()) return;
    append(Encoder().number(static_cast<std::uint64_t>(Kind::compact)).text(name).number(before).bytes());
  }

  bool fence(View name, const Fence& expected, const Fence& next, Deadline /*deadline*/) override {
    const std::lock_guard lock(writer_);
    if (!apply_fence(find(name).head(), expected, next)) return false;
    if (expected == next) return true;
    Encoder record;
    record.number(static_cast<std::uint64_t>(Kind::fence)).text(name);
    encode(record, expected);
    encode(record, next);
    append(record.bytes());
    return true;
  }

  std::vector<Bytes> databases(View /*prefix*/, View /*after*/, std::size_t /*limit*/,
                               Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    std::vector<Bytes> names;
    for (const auto& [name, database] : databases_) names.push_back(name);
    return names;
  }

  bool drop(View name, std::uint64_t history, Deadline /*deadline*/) override {
    const std::lock_guard lock(writer_);
    if (find(name).head().history != history) return false;
    append(Encoder().number(static_cast<std::uint64_t>(Kind::drop)).text(name).bytes());
    return true;
  }

  ExpiredAnswer expired(UnixMs now_ms, std::size_t limit, Deadline /*deadline*/) override {
    const std::lock_guard lock(mutex_);
    ExpiredAnswer answer;
    for (const auto& [name, database] : databases_) database.list_expired(name, now_ms, limit, answer);
    return answer;
  }

  std::vector<std::size_t> wait(std::span<const Cursor> /*cursors*/, Deadline /*deadline*/) override {
    return {};
  }
  void wake() override {}

 private:
  const MemoryDatabase& find(View name) const {
    static const MemoryDatabase kNone;
    const auto found = databases_.find(name);
    return found == databases_.end() ? kNone : found->second;
  }

  void commit_one(Group& group) {
    const MemoryDatabase before = find(group.database);
    const SessionRecord* last = before.session(group.session);
    if (fault_ == LogStoreFault::forgets_sessions && group.retry) last = nullptr;
    if (judge_session(last, group) == SessionVerdict::recorded) {
      group.outcomes = last->outcomes;
      group.at = last->at;
      return;
    }
    group.outcomes = before.judge(group, admit_commit(before.head(), group));
    group.at = before.head().position();
    const auto applied = std::count_if(group.outcomes.begin(), group.outcomes.end(),
                                       [](const Outcome& outcome) { return outcome.committed(); });
    if (!must_record(group, static_cast<std::size_t>(applied))) return;
    std::uint64_t history = before.head().history;
    while (history == 0) history = random_->next();
    Encoder record;
    record.number(static_cast<std::uint64_t>(Kind::commit)).number(history);
    encode(record, group);
    append(record.bytes());
    group.at = find(group.database).head().position();
  }

  /// Writes, syncs and only then shows the record. After a failure nothing is known of the log's end.
  void append(const Bytes& record) {
    if (broken_) {
      throw Error(Code::unavailable, "the log is broken; open the store again").with_unknown_outcome();
    }
    try {
      if (fault_ == LogStoreFault::shows_before_sync) replay(record);
      const Bytes frame = framed(record);
      log_->write(end_, frame);
      end_ += frame.size();
      if (fault_ != LogStoreFault::answers_before_sync) sync();
      if (fault_ != LogStoreFault::shows_before_sync) replay(record);
    } catch (const Error& error) {
      broken_ = true;
      throw error.with_unknown_outcome();
    }
  }

  void sync() {
    try {
      log_->sync();
    } catch (const Error&) {
      if (fault_ != LogStoreFault::believes_second_sync) throw;
      log_->sync();
    }
  }

  void replay(View record) {
    const std::lock_guard lock(mutex_);
    Decoder from(record);
    switch (static_cast<Kind>(from.number())) {
      case Kind::commit: {
        const std::uint64_t history = from.number();
        const Group group = decode_group(from);
        MemoryDatabase& database = databases_[group.database];
        const UnixMs time_ms = std::max(group.now_ms, database.head().time_ms);
        database.apply(group, database.judge(group, time_ms), time_ms, history);
        return;
      }
      case Kind::compact: {
        const Bytes name = from.text();
        databases_[name].compact(from.number());
        return;
      }
      case Kind::fence: {
        const Bytes name = from.text();
        const Fence expected = decode_fence(from);
        databases_[name].fence(expected, decode_fence(from));
        return;
      }
      case Kind::drop:
        databases_.erase(from.text());
        return;
    }
  }

  void recover() {
    Bytes kept;
    if (files_->exists(kLog)) {
      const auto old = files_->open(kLog, FileMode::read);
      Bytes all(static_cast<std::size_t>(old->size_bytes()), '\0');
      all.resize(old->read(0, all.data(), all.size()));
      View rest = all;
      while (rest.size() >= kFrameBytes) {
        Decoder frame(rest);
        const std::uint64_t size = frame.number();
        const std::uint64_t sum = frame.number();
        if (size == 0 || size > rest.size() - kFrameBytes) break;
        const View record = rest.substr(kFrameBytes, static_cast<std::size_t>(size));
        if (fault_ != LogStoreFault::checks_no_sums && sum_of(record) != sum) break;
        replay(record);
        kept += framed(record);
        rest.remove_prefix(kFrameBytes + static_cast<std::size_t>(size));
      }
    }
    end_ = kept.size();
    if (fault_ == LogStoreFault::trusts_page_cache && files_->exists(kLog)) {
      log_ = files_->open(kLog, FileMode::write);
      log_->truncate(end_);
      return;
    }
    // A log whose last sync failed may be seen and not be stored, so it is written once more.
    if (files_->exists(kNewLog)) files_->remove(kNewLog);
    log_ = files_->open(kNewLog, FileMode::create);
    log_->write(0, kept);
    log_->sync();
    files_->rename(kNewLog, kLog);
    if (fault_ != LogStoreFault::forgets_folder_sync) files_->sync_folder(kFolder);
  }

  const std::shared_ptr<FileSystem> files_;
  const std::shared_ptr<Random> random_;
  const LogStoreFault fault_;
  Traits traits_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<File> log_;
  std::uint64_t end_ = 0;
  bool broken_ = false;
  std::mutex writer_;
  mutable std::mutex mutex_;
  std::map<Bytes, MemoryDatabase, std::less<>> databases_;
};

}  // namespace

CrashTarget log_store_target(LogStoreFault fault) {
  CrashTarget target;
  target.folder = kFolder;
  target.open = [fault](const Environment& environment, bool /*durable*/) {
    return std::make_unique<LogStore>(environment, fault);
  };
  return target;
}

}  // namespace holdfast::faults
