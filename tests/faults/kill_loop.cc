// kill -9 on a real process, again and again. A worker commits to a real store with several threads and
// writes each acknowledgement to a pipe; this program kills it at a random moment, opens the store and checks
// that everything acknowledged is there, nothing in part and nothing twice; then it starts the next worker on
// it.
//
//     kill_loop --backend file|sqlite [--cycles 200] [--seed 1] [--threads 4]
//     kill_loop --url file:///some/folder/store?option=value ...
//
// HOLDFAST_CYCLES and HOLDFAST_SEED stand for what the command does not say.
//
// Every operation of a thread is one transaction whose whole content follows from its number, so that the
// number in the thread's counter says everything that must be stored.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "environment/xoshiro.h"
#include "holdfast/store.h"
#include "tests/support/settings.h"

extern char** environ;

namespace holdfast::faults {
namespace {

constexpr std::size_t kDatabases = 3;
constexpr std::uint64_t kSlots = 16;
constexpr std::uint64_t kEraseEvery = 5;
constexpr int kPipe = 3;
constexpr std::uint64_t kLongestLifeUs = 80'000;

struct Settings {
  std::string url;
  std::string backend;
  std::uint64_t cycles = 200;
  std::uint64_t seed = 1;
  std::size_t threads = 4;
  bool worker = false;
};

/// What a worker tells of a commit that was acknowledged.
struct Acknowledgement {
  std::uint64_t thread;
  std::uint64_t operation;
};

Bytes database_of(std::size_t thread) { return "kill/" + std::to_string(thread % kDatabases); }
Bytes counter_key(std::size_t thread) { return "thread" + std::to_string(thread) + "/counter"; }
Bytes slot_key(std::size_t thread, std::uint64_t slot, char half) {
  return "thread" + std::to_string(thread) + "/slot" + std::to_string(slot) + "/" + half;
}

Bytes content(const Settings& settings, std::size_t thread, std::uint64_t operation) {
  Xoshiro256 random(settings.seed * 1'000'003 + thread * 101 + operation * 7'919);
  Bytes bytes(random.below(random.below(4) == 0 ? 4000 : 100), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Each operation replaces both halves of one slot, and now and then erases half of another.
struct Operation {
  std::uint64_t put_slot;
  std::optional<std::uint64_t> erased_slot;
};
Operation operation_of(std::uint64_t number) {
  Operation operation{number % kSlots, {}};
  if (number % kEraseEvery == 0) operation.erased_slot = (number + 3) % kSlots;
  return operation;
}

std::shared_ptr<Store> open_store(const Settings& settings) {
  StoreOptions options;
  options.sweeper = false;
  return Store::open(settings.url, options);
}

std::uint64_t counter_in(const std::optional<Entry>& entry) { return entry ? std::stoull(entry->value) : 0; }

// --- the worker

void work(const Settings& settings, Store& store, std::size_t thread) {
  Database database = store.database(database_of(thread));
  std::uint64_t number = counter_in(database.get(counter_key(thread)));
  for (;;) {
    ++number;
    const Bytes value = content(settings, thread, number);
    const Operation operation = operation_of(number);
    database.transact([&](Transaction& transaction) {
      if (counter_in(transaction.get(counter_key(thread))) != number - 1) {
        throw std::logic_error("somebody else has counted");
      }
      transaction.put(counter_key(thread), std::to_string(number));
      transaction.put(slot_key(thread, operation.put_slot, 'a'), value);
      transaction.put(slot_key(thread, operation.put_slot, 'b'), value);
      if (operation.erased_slot) transaction.erase(slot_key(thread, *operation.erased_slot, 'b'));
    });
    const Acknowledgement acknowledgement{thread, number};
    if (write(kPipe, &acknowledgement, sizeof acknowledgement) != sizeof acknowledgement) return;
  }
}

int run_worker(const Settings& settings) {
  const std::shared_ptr<Store> store = open_store(settings);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < settings.threads; ++i) {
    threads.emplace_back([&, i] {
      try {
        work(settings, *store, i);
      } catch (const std::exception& error) {
        std::cerr << "worker: " << error.what() << std::endl;
        _exit(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

// --- the parent

class Worker {
 public:
  explicit Worker(const Settings& settings) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read_end_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], kPipe);
    std::vector<std::string> words = {"kill_loop", "--worker",
                                      "--url",     settings.url,
                                      "--seed",    std::to_string(settings.seed),
                                      "--threads", std::to_string(settings.threads)};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int failed = posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed != 0) throw std::runtime_error("no worker can be started");
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (process_ > 0) end();
    close(read_end_);
  }

  /// Blocks; nothing if the worker has ended.
  std::optional<Acknowledgement> next() {
    Acknowledgement acknowledgement{};
    const ssize_t got = read(read_end_, &acknowledgement, sizeof acknowledgement);
    if (got != sizeof acknowledgement) return std::nullopt;
    return acknowledgement;
  }

  /// kill -9. Throws if the worker had ended by itself, which it never does unless something is wrong.
  void kill_it() {
    const int status = end();
    if (!WIFSIGNALED(status)) throw std::runtime_error("the worker has failed, see above");
  }

 private:
  int end() {
    int status = 0;
    kill(process_, SIGKILL);
    waitpid(process_, &status, 0);
    process_ = 0;
    return status;
  }

  pid_t process_ = 0;
  int read_end_ = -1;
};

class KillLoop {
 public:
  explicit KillLoop(const Settings& settings)
      : settings_(settings), random_(settings.seed), acknowledged_(settings.threads) {}

  void run() {
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t cycle = 1; cycle <= settings_.cycles; ++cycle) {
      live_and_die();
      // Now and then a store is recovered by a worker that dies in its turn.
      if (random_.below(5) != 0 || cycle == settings_.cycles) {
        check(cycle);
      } else {
        ++unchecked_;
      }
    }
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    std::uint64_t commits = 0;
    for (const std::uint64_t count : acknowledged_) commits += count;
    std::cout << "kill_loop: " << settings_.cycles << " workers killed, " << commits
              << " commits, all there; " << took.count() << " ms, seed " << settings_.seed << std::endl;
  }

 private:
  void live_and_die() {
    Worker worker(settings_);
    const std::chrono::microseconds life(1 + random_.below(kLongestLifeUs));
    // Half of the workers are killed wherever they are, perhaps while they open the store, the others at
    // work.
    if (random_.below(2) == 0) take(worker.next());
    std::this_thread::sleep_for(life);
    worker.kill_it();
    while (take(worker.next())) {
    }
  }

  bool take(const std::optional<Acknowledgement>& acknowledgement) {
    if (!acknowledgement) return false;
    acknowledged_.at(acknowledgement->thread) = acknowledgement->operation;
    return true;
  }

  [[noreturn]] static void fail(std::uint64_t cycle, const std::string& what) {
    throw std::runtime_error("after kill " + std::to_string(cycle) + ": " + what);
  }

  void check(std::uint64_t cycle) {
    const std::shared_ptr<Store> store = open_store(settings_);
    std::map<Bytes, std::uint64_t> commits;
    for (std::size_t thread = 0; thread < settings_.threads; ++thread) {
      Database database = store->database(database_of(thread));
      const std::uint64_t count = counter_in(database.get(counter_key(thread)));
      const std::uint64_t acknowledged = acknowledged_[thread];
      const std::string who = "thread " + std::to_string(thread);
      // A worker may have died between a commit and telling of it, and so may those before it that nobody
      // has checked.
      if (count < acknowledged) {
        fail(cycle, who + " was told that commit " + std::to_string(acknowledged) + " is kept, and " +
                        std::to_string(count) + " is there");
      }
      if (count > acknowledged + 1 + unchecked_) {
        fail(cycle, who + " has " + std::to_string(count) + " commits where " + std::to_string(acknowledged) +
                        " were acknowledged");
      }
      acknowledged_[thread] = count;
      commits[database_of(thread)] += count;
      check_slots(cycle, database, thread, count);
    }
    for (const auto& [name, count] : commits) check_history(cycle, *store, name, count);
    unchecked_ = 0;
  }

  void check_slots(std::uint64_t cycle, const Database& database, std::size_t thread, std::uint64_t count) {
    std::map<Bytes, Bytes> expected;
    for (std::uint64_t number = count > 4 * kSlots ? count - 4 * kSlots : 1; number <= count; ++number) {
      const Operation operation = operation_of(number);
      const Bytes value = content(settings_, thread, number);
      expected[slot_key(thread, operation.put_slot, 'a')] = value;
      expected[slot_key(thread, operation.put_slot, 'b')] = value;
      if (operation.erased_slot) expected.erase(slot_key(thread, *operation.erased_slot, 'b'));
    }
    std::map<Bytes, Bytes> actual;
    const Range range = Range::prefix("thread" + std::to_string(thread) + "/slot");
    for (const Entry& entry : database.scan(range).entries) actual[entry.key] = entry.value;
    if (actual != expected) {
      fail(cycle, "thread " + std::to_string(thread) + " has other entries than after its commit " +
                      std::to_string(count));
    }
  }

  // Every operation is one commit: a commit that was applied twice, or in part, shows in the number.
  void check_history(std::uint64_t cycle, Store& store, const Bytes& name, std::uint64_t count) {
    const Position at = store.database(name).position();
    if (at.seq != count) {
      fail(cycle,
           name + " is at seq " + std::to_string(at.seq) + " after " + std::to_string(count) + " operations");
    }
    if (count == 0) return;
    const auto [known, is_new] = histories_.try_emplace(name, at.history);
    if (known->second != at.history) fail(cycle, name + " has another history, though nothing may be lost");
  }

  const Settings settings_;
  Xoshiro256 random_;
  std::vector<std::uint64_t> acknowledged_;
  std::map<Bytes, std::uint64_t> histories_;
  std::uint64_t unchecked_ = 0;  ///< workers killed since the latest check
};

int usage() {
  std::cerr << "usage: kill_loop (--backend file|sqlite | --url URL) [--cycles N] [--seed N] [--threads N]\n";
  return 2;
}

int run_loop(Settings settings) {
  std::string folder;
  if (settings.url.empty()) {
    folder = (std::filesystem::temp_directory_path() / "holdfast-kill-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    // Small files, so that workers also die while they begin logs and write checkpoints.
    settings.url = settings.backend == "sqlite"
                       ? "sqlite://" + folder + "/store.db"
                       : "file://" + folder + "/store?segment_size_bytes=65536&checkpoint_size_bytes=131072";
  }
  std::cout << "kill_loop: " << settings.url << ", seed " << settings.seed << std::endl;
  try {
    KillLoop(settings).run();
  } catch (const std::exception& error) {
    std::cerr << "kill_loop FAILED: " << error.what() << "\n  seed " << settings.seed
              << "; the store is kept at " << settings.url << std::endl;
    return 1;
  }
  if (!folder.empty()) std::filesystem::remove_all(folder);
  return 0;
}

std::optional<Settings> parse(int count, char** words) {
  Settings settings;
  settings.seed = testing_support::setting("HOLDFAST_SEED", system_random()->next());
  settings.cycles = testing_support::setting("HOLDFAST_CYCLES", settings.cycles);
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--worker") {
      settings.worker = true;
      continue;
    }
    if (++i == count) return std::nullopt;
    const std::string value = words[i];
    if (word == "--url") {
      settings.url = value;
    } else if (word == "--backend") {
      settings.backend = value;
    } else if (word == "--cycles") {
      settings.cycles = std::stoull(value);
    } else if (word == "--seed") {
      settings.seed = std::stoull(value);
    } else if (word == "--threads") {
      settings.threads = std::stoull(value);
    } else {
      return std::nullopt;
    }
  }
  const bool known = settings.backend == "file" || settings.backend == "sqlite";
  if (settings.url.empty() ? !known : !settings.backend.empty()) return std::nullopt;
  if (settings.threads == 0) return std::nullopt;
  return settings;
}

}  // namespace
}  // namespace holdfast::faults

int main(int count, char** words) {
  using namespace holdfast::faults;
  try {
    const std::optional<Settings> settings = parse(count, words);
    if (!settings) return usage();
    return settings->worker ? run_worker(*settings) : run_loop(*settings);
  } catch (const std::exception& error) {
    std::cerr << "kill_loop: " << error.what() << std::endl;
    return 1;
  }
}
