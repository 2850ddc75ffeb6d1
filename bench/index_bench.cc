// The file engine's index against other ordered maps, all in this process and in memory:
//
//   index_bench [entries=100000] [rounds=5] [milliseconds=300] [folder=/dev/shm]
//
// Every measurement visits all subjects in turn, round after round, and prints the median of the rounds and,
// where there is more than one subject, the median of the ratios to the index within a round. All subjects
// answer a get with a copy of the value and a scan with a vector of copied entries. The maps share the
// index's lock; LMDB renews its read transaction per get, as it must to see the newest commit.
#include <absl/container/btree_map.h>
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/write_batch.h>
#include <lmdb.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "backends/file/index.h"
#include "backends/file/reader_writer_lock.h"

namespace holdfast {
namespace {

using file::Index;
using file::ReaderWriterLock;
using file::Stored;

/// 0, 1, ... for the threads that measure at the same time.
std::size_t& thread_number() {
  thread_local std::size_t number = 0;
  return number;
}

/// One way to keep entries. get() and scan() from several threads; put() from one beside them.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual const char* name() const = 0;
  virtual void put(View key, View value) = 0;
  /// Keys in order, into an empty subject.
  virtual void load(const std::vector<Bytes>& sorted, View value) = 0;
  /// Random order, each on its own, into an empty subject; by default put() of each.
  virtual void fill(const std::vector<Bytes>& keys, View value) {
    for (const Bytes& key : keys) put(key, value);
  }
  virtual std::optional<Bytes> get(View key) = 0;
  virtual std::vector<Entry> scan(View begin, std::size_t limit) = 0;
  virtual std::size_t memory_bytes() const { return 0; }
};

class IndexSubject final : public Subject {
 public:
  const char* name() const override { return "index"; }
  void put(View key, View value) override {
    const std::unique_lock hold(lock_);
    index_.put(key, {.version = ++version_, .value = value});
  }
  void load(const std::vector<Bytes>& sorted, View value) override {
    const std::unique_lock hold(lock_);
    for (const Bytes& key : sorted) index_.append(key, {.version = ++version_, .value = value});
  }
  std::optional<Bytes> get(View key) override {
    const std::shared_lock hold(lock_);
    const std::optional<Stored> found = index_.find(key);
    if (!found) return std::nullopt;
    return Bytes(found->value);
  }
  std::vector<Entry> scan(View begin, std::size_t limit) override {
    std::vector<Entry> entries;
    entries.reserve(limit);
    const std::shared_lock hold(lock_);
    Index::Cursor cursor(index_);
    for (cursor.seek(begin); cursor.valid() && entries.size() < limit; cursor.next()) {
      const Stored stored = cursor.stored();
      entries.push_back({Bytes(cursor.key()), Bytes(stored.value), stored.version, std::nullopt});
    }
    return entries;
  }
  std::size_t memory_bytes() const override { return index_.memory_bytes(); }

 private:
  ReaderWriterLock lock_;
  Index index_;
  Seq version_ = 0;
};

struct Held {
  Seq version;
  Bytes value;
};

template <class Map>
class MapSubject final : public Subject {
 public:
  explicit MapSubject(const char* name) : name_(name) {}
  const char* name() const override { return name_; }
  void put(View key, View value) override {
    const std::unique_lock hold(lock_);
    map_.insert_or_assign(Bytes(key), Held{++version_, Bytes(value)});
  }
  void load(const std::vector<Bytes>& sorted, View value) override {
    const std::unique_lock hold(lock_);
    for (const Bytes& key : sorted) map_.emplace_hint(map_.end(), key, Held{++version_, Bytes(value)});
  }
  std::optional<Bytes> get(View key) override {
    const std::shared_lock hold(lock_);
    const auto found = map_.find(key);
    if (found == map_.end()) return std::nullopt;
    return found->second.value;
  }
  std::vector<Entry> scan(View begin, std::size_t limit) override {
    std::vector<Entry> entries;
    entries.reserve(limit);
    const std::shared_lock hold(lock_);
    for (auto at = map_.lower_bound(begin); at != map_.end() && entries.size() < limit; ++at) {
      entries.push_back({at->first, at->second.value, at->second.version, std::nullopt});
    }
    return entries;
  }

 private:
  const char* name_;
  ReaderWriterLock lock_;
  Map map_;
  Seq version_ = 0;
};

void require(int code) {
  if (code != MDB_SUCCESS) throw std::runtime_error(mdb_strerror(code));
}

MDB_val slice(View view) { return {view.size(), const_cast<char*>(view.data())}; }
View view_of(const MDB_val& slice) { return {static_cast<const char*>(slice.mv_data), slice.mv_size}; }

class LmdbSubject final : public Subject {
 public:
  explicit LmdbSubject(const std::string& folder) {
    MDB_env* environment = nullptr;
    require(mdb_env_create(&environment));
    environment_.reset(environment);
    require(mdb_env_set_mapsize(environment, std::size_t{4} << 30));
    std::filesystem::create_directories(folder);
    require(mdb_env_open(environment, folder.c_str(), MDB_NOSYNC | MDB_NOTLS | MDB_WRITEMAP, 0644));
    MDB_txn* transaction = nullptr;
    require(mdb_txn_begin(environment, nullptr, 0, &transaction));
    require(mdb_dbi_open(transaction, nullptr, 0, &table_));
    require(mdb_txn_commit(transaction));
  }
  const char* name() const override { return "lmdb"; }
  void put(View key, View value) override { write({&key, 1}, value, 0); }
  void load(const std::vector<Bytes>& sorted, View value) override {
    write(std::vector<View>(sorted.begin(), sorted.end()), value, MDB_APPEND);
  }
  void fill(const std::vector<Bytes>& keys, View value) override {
    write(std::vector<View>(keys.begin(), keys.end()), value, 0);
  }
  std::optional<Bytes> get(View key) override {
    MDB_txn* const reader = renewed();
    MDB_val wanted = slice(key);
    MDB_val found;
    const int code = mdb_get(reader, table_, &wanted, &found);
    std::optional<Bytes> value;
    if (code == MDB_SUCCESS) value.emplace(view_of(found));
    mdb_txn_reset(reader);
    return value;
  }
  std::vector<Entry> scan(View begin, std::size_t limit) override {
    std::vector<Entry> entries;
    entries.reserve(limit);
    MDB_txn* const reader = renewed();
    MDB_cursor* cursor = nullptr;
    require(mdb_cursor_open(reader, table_, &cursor));
    MDB_val key = slice(begin);
    MDB_val value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS && entries.size() < limit) {
      entries.push_back({Bytes(view_of(key)), Bytes(view_of(value)), 1, std::nullopt});
      code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    mdb_txn_reset(reader);
    return entries;
  }

 private:
  struct Closer {
    void operator()(MDB_env* environment) const { mdb_env_close(environment); }
    void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
  };
  void write(std::span<const View> keys, View value, unsigned flags) {
    MDB_txn* transaction = nullptr;
    require(mdb_txn_begin(environment_.get(), nullptr, 0, &transaction));
    for (const View key : keys) {
      MDB_val wanted = slice(key);
      MDB_val data = slice(value);
      require(mdb_put(transaction, table_, &wanted, &data, flags));
    }
    require(mdb_txn_commit(transaction));
  }

  MDB_txn* renewed() {
    auto& reader = readers_[thread_number()];
    if (reader) {
      require(mdb_txn_renew(reader.get()));
    } else {
      MDB_txn* transaction = nullptr;
      require(mdb_txn_begin(environment_.get(), nullptr, MDB_RDONLY, &transaction));
      reader.reset(transaction);
    }
    return reader.get();
  }

  std::unique_ptr<MDB_env, Closer> environment_;
  MDB_dbi table_ = 0;
  std::array<std::unique_ptr<MDB_txn, Closer>, 8> readers_;
};

class LevelDbSubject final : public Subject {
 public:
  explicit LevelDbSubject(const std::string& folder) : cache_(leveldb::NewLRUCache(std::size_t{1} << 30)) {
    leveldb::Options options;
    options.create_if_missing = true;
    options.block_cache = cache_.get();
    options.compression = leveldb::kNoCompression;
    options.write_buffer_size = std::size_t{64} << 20;
    leveldb::DB* database = nullptr;
    std::filesystem::create_directories(folder);
    if (!leveldb::DB::Open(options, folder, &database).ok()) throw std::runtime_error("cannot open leveldb");
    database_.reset(database);
  }
  const char* name() const override { return "leveldb"; }
  void put(View key, View value) override {
    database_->Put({}, leveldb::Slice(key.data(), key.size()), leveldb::Slice(value.data(), value.size()));
  }
  void load(const std::vector<Bytes>& sorted, View value) override { fill(sorted, value); }
  std::optional<Bytes> get(View key) override {
    Bytes value;
    if (!database_->Get({}, leveldb::Slice(key.data(), key.size()), &value).ok()) return std::nullopt;
    return value;
  }
  std::vector<Entry> scan(View begin, std::size_t limit) override {
    std::vector<Entry> entries;
    entries.reserve(limit);
    const std::unique_ptr<leveldb::Iterator> at(database_->NewIterator({}));
    for (at->Seek(leveldb::Slice(begin.data(), begin.size())); at->Valid() && entries.size() < limit;
         at->Next()) {
      entries.push_back({at->key().ToString(), at->value().ToString(), 1, std::nullopt});
    }
    return entries;
  }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<leveldb::DB> database_;
};

using Subjects = std::vector<std::unique_ptr<Subject>>;
using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

/// rates[subject][round]; subject 0 is the index.
void print(const char* what, const Subjects& subjects, const std::vector<std::vector<double>>& rates) {
  std::printf("%-26s", what);
  for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < rates[0].size(); ++round) {
      ratios.push_back(rates[0][round] / rates[subject][round]);
    }
    std::printf("  %s %8.0f k/s", subjects[subject]->name(), median(rates[subject]) / 1'000);
    if (subject != 0) std::printf(" (index %.2fx)", median(ratios));
  }
  std::printf("\n");
  std::fflush(stdout);
}

class Bench {
 public:
  Bench(std::size_t entries, int rounds, std::chrono::milliseconds time, std::string folder)
      : entries_(entries), rounds_(rounds), time_(time), folder_(std::move(folder)), value_(100, 'v') {
    char key[17];
    for (std::size_t number = 0; number < entries; ++number) {
      std::snprintf(key, sizeof key, "entry/%010zu", number * 7);
      sorted_.emplace_back(key);
    }
    shuffled_ = sorted_;
    std::shuffle(shuffled_.begin(), shuffled_.end(), std::mt19937_64(1));
  }

  void run() {
    std::printf("%zu entries, keys of 16 bytes, values of 100, %d rounds of %lld ms\n", entries_, rounds_,
                static_cast<long long>(time_.count()));
    filling("append in order, 1 thread", [&](Subject& subject) { subject.load(sorted_, value_); });
    filling("insert at random", [&](Subject& subject) { subject.fill(shuffled_, value_); });
    Subjects subjects = make();
    for (const auto& subject : subjects) subject->fill(shuffled_, value_);
    std::printf("index: %.1f bytes of memory per entry after random insertion\n",
                static_cast<double>(subjects[0]->memory_bytes()) / static_cast<double>(entries_));
    for (const std::size_t threads : {1u, 2u}) {
      reading(("get, " + std::to_string(threads) + " threads").c_str(), subjects, threads,
              [&](Subject& subject, std::mt19937_64& random) -> std::size_t {
                return subject.get(shuffled_[random() % entries_])->size() / 100;
              });
    }
    reading("scan of 1,000", subjects, 1, [&](Subject& subject, std::mt19937_64& random) -> std::size_t {
      return subject.scan(sorted_[random() % entries_], 1'000).size();
    });
    while_writing(subjects);
  }

 private:
  Subjects make() {
    Subjects subjects;
    const std::string folder = folder_ + "/" + std::to_string(folders_++);
    subjects.push_back(std::make_unique<IndexSubject>());
    subjects.push_back(std::make_unique<MapSubject<std::map<Bytes, Held, std::less<>>>>("std::map"));
    subjects.push_back(
        std::make_unique<MapSubject<absl::btree_map<Bytes, Held, std::less<>>>>("absl::btree_map"));
    subjects.push_back(std::make_unique<LmdbSubject>(folder + "/lmdb"));
    subjects.push_back(std::make_unique<LevelDbSubject>(folder + "/leveldb"));
    return subjects;
  }

  void filling(const char* what, const std::function<void(Subject&)>& fill) {
    std::vector<std::vector<double>> rates(make().size());
    for (int round = 0; round < rounds_; ++round) {
      Subjects subjects = make();
      for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
        const auto start = SteadyClock::now();
        fill(*subjects[subject]);
        rates[subject].push_back(static_cast<double>(entries_) / seconds_since(start));
      }
      if (round + 1 == rounds_) print(what, subjects, rates);
    }
  }

  using Step = std::function<std::size_t(Subject&, std::mt19937_64&)>;

  /// Things done per second by `threads` threads that repeat a step.
  double rate(Subject& subject, std::size_t threads, const Step& step) {
    std::atomic<std::size_t> done = 0;
    const auto start = SteadyClock::now();
    std::vector<std::thread> workers;
    const auto work = [&](std::size_t number) {
      thread_number() = number;
      std::mt19937_64 random(number + 1);
      std::size_t mine = 0;
      while (SteadyClock::now() - start < time_) {
        for (int repeat = 0; repeat < 16; ++repeat) mine += step(subject, random);
      }
      done += mine;
    };
    for (std::size_t number = 1; number < threads; ++number) workers.emplace_back(work, number);
    work(0);
    for (std::thread& worker : workers) worker.join();
    return static_cast<double>(done) / seconds_since(start);
  }

  void reading(const char* what, const Subjects& subjects, std::size_t threads, const Step& step) {
    std::vector<std::vector<double>> rates(subjects.size());
    for (int round = 0; round < rounds_; ++round) {
      for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
        rates[subject].push_back(rate(*subjects[subject], threads, step));
      }
    }
    print(what, subjects, rates);
  }

  void while_writing(const Subjects& subjects) {
    std::vector<std::vector<double>> reads(subjects.size());
    std::vector<std::vector<double>> writes(subjects.size());
    for (int round = 0; round < rounds_; ++round) {
      for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
        std::atomic<bool> stop = false;
        std::size_t written = 0;
        std::thread writer([&] {
          std::mt19937_64 random(99);
          for (; !stop; ++written) subjects[subject]->put(shuffled_[random() % entries_], value_);
        });
        const auto start = SteadyClock::now();
        reads[subject].push_back(rate(*subjects[subject], 1, [&](Subject& one, std::mt19937_64& random) {
          return one.get(shuffled_[random() % entries_])->size() / 100;
        }));
        stop = true;
        writer.join();
        writes[subject].push_back(static_cast<double>(written) / seconds_since(start));
      }
    }
    print("get beside a writer", subjects, reads);
    print("  that writer's puts", subjects, writes);
  }

  std::size_t entries_;
  int rounds_;
  std::chrono::milliseconds time_;
  std::string folder_;
  int folders_ = 0;
  Bytes value_;
  std::vector<Bytes> sorted_;
  std::vector<Bytes> shuffled_;
};

}  // namespace
}  // namespace holdfast

int main(int count, char** arguments) {
  const auto number = [&](int at, std::size_t otherwise) {
    return at < count ? std::strtoull(arguments[at], nullptr, 10) : otherwise;
  };
  const std::string folder = std::string(count > 4 ? arguments[4] : "/dev/shm") + "/holdfast-index-bench-" +
                             std::to_string(std::random_device()());
  holdfast::Bench(number(1, 100'000), static_cast<int>(number(2, 5)),
                  std::chrono::milliseconds(number(3, 300)), folder)
      .run();
  std::filesystem::remove_all(folder);
}
