#include "histories/workload.h"

#include <atomic>
#include <exception>
#include <thread>

#include "holdfast/environment.h"

namespace holdfast::histories {
namespace {

constexpr std::size_t kKeys = 48;
/// Behind every "key/...".
const Bytes kEndOfKeys = "key0";

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

SeenKey seen(View key, const std::optional<Entry>& entry) {
  return entry ? SeenKey{Bytes(key), entry->version, entry->value} : SeenKey{Bytes(key), 0, {}};
}

/// The answer of a call, however often it cannot be had.
template <class Call>
auto patiently(const Call& call) {
  for (int i = 1;; ++i) {
    try {
      return call();
    } catch (const Error& error) {
      if (error.code() != Code::unavailable || i == 100) throw;
    }
  }
}

class Worker {
 public:
  Worker(Store& store, View database, std::uint64_t seed)
      : database_(store.database(database)), random_(seeded_random(seed)) {}

  void step() {
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return transact();
      case 4:
        return put();
      case 5:
        return put_if_unchanged();
      case 6:
        return append();
      case 7:
        return get();
      case 8:
        return scan();
      default:
        return read_only();
    }
  }

  Seq put_end() {
    Operation operation = begin();
    operation.batch.writes.push_back(Write::put("key/1-end", value()));
    const Outcome outcome = patiently([&] { return database_.commit(operation.batch); });
    end_commit(std::move(operation), outcome);
    return outcome.seq;
  }

  History take() { return std::move(history_); }

 private:
  std::size_t below(std::size_t bound) { return random_->next() % bound; }
  Bytes key() {
    const std::size_t number = below(kKeys);
    return "key/" + std::string(number < 10 ? "0" : "") + std::to_string(number);
  }
  Bytes value() { return std::to_string(random_->next()); }

  Operation begin() const {
    Operation operation;
    operation.started_ns = now_ns();
    return operation;
  }
  void end(Operation operation) {
    operation.ended_ns = now_ns();
    history_.operations.push_back(std::move(operation));
  }

  void end_commit(Operation operation, const Outcome& outcome) {
    operation.kind = outcome.committed() ? Operation::Kind::commit : Operation::Kind::conflict;
    operation.seq = outcome.seq;
    operation.failed_check = outcome.failed_check.value_or(0);
    end(std::move(operation));
  }

  /// The part of the range that a page tells everything about.
  static SeenRange covered(const Range& range, const Page& page, bool reverse) {
    SeenRange out{range, {}};
    for (const Entry& entry : page.entries) out.keys.push_back(seen(entry.key, entry));
    if (!page.more || page.entries.empty()) return out;
    if (reverse) {
      out.range.begin = page.entries.back().key;
    } else {
      out.range.end = page.entries.back().key + '\0';
    }
    return out;
  }

  void transact() {
    Operation operation = begin();
    std::optional<Operation> running;
    const Position committed = database_.transact([&](Transaction& transaction) {
      if (running) end_attempt(std::move(*running));
      running = begin();
      running->kind = Operation::Kind::attempt;
      for (std::size_t i = 1 + below(3); i > 0; --i) {
        const Bytes at = key();
        const std::optional<Entry> entry = transaction.get(at);
        running->keys.push_back(seen(at, entry));
        running->at = transaction.position().seq;
      }
      if (below(4) == 0) {
        const Range range{key(), below(2) == 0 ? kEndOfKeys : key()};
        const ScanOptions options{.limit = 1 + below(6), .reverse = below(2) == 0};
        const Page page = transaction.scan(range, options);
        running->ranges.push_back(covered(range, page, options.reverse));
        running->at = transaction.position().seq;
      }
      // The own writes come after the reads, so that everything seen is the database's state.
      running->batch = {};
      for (std::size_t i = 1 + below(2); i > 0; --i) {
        const Bytes at = key();
        std::erase_if(running->batch.writes, [&](const Write& write) { return write.key == at; });
        if (below(5) == 0) {
          transaction.erase(at);
          running->batch.writes.push_back(Write::erase(at));
        } else {
          const Bytes to = value();
          transaction.put(at, to);
          running->batch.writes.push_back(Write::put(at, to));
        }
      }
      const Bytes mark = value();
      transaction.put_stamped("log/", "-" + mark, mark);
      running->batch.writes.push_back(Write::put_stamped("log/", "-" + mark, mark));
    });
    operation.keys = std::move(running->keys);
    operation.ranges = std::move(running->ranges);
    operation.batch = std::move(running->batch);
    operation.kind = Operation::Kind::commit;
    operation.ended_ns = now_ns();
    operation.seq = committed.seq;
    history_.operations.push_back(std::move(operation));
  }

  void end_attempt(Operation attempt) {
    if (attempt.at) end(std::move(attempt));
  }

  void put() {
    Operation operation = begin();
    for (std::size_t i = 1 + below(3); i > 0; --i) {
      const Bytes at = key();
      std::erase_if(operation.batch.writes, [&](const Write& write) { return write.key == at; });
      operation.batch.writes.push_back(below(4) == 0 ? Write::erase(at) : Write::put(at, value()));
    }
    const Outcome outcome = database_.commit(operation.batch);
    end_commit(std::move(operation), outcome);
  }

  /// Mostly on what is there, sometimes on what was: both conflicts and commits.
  void put_if_unchanged() {
    const Bytes at = key();
    const Bytes other = key();
    const std::optional<Entry> entry = database_.get(at);
    Operation operation = begin();
    operation.batch.checks.push_back(entry ? Check::has_version(at, entry->version) : Check::absent(at));
    if (other != at && below(3) == 0) operation.batch.checks.push_back(Check::absent(other));
    operation.batch.writes.push_back(Write::put(at, value()));
    const Outcome outcome = database_.commit(operation.batch);
    end_commit(std::move(operation), outcome);
  }

  void append() {
    Operation operation = begin();
    operation.batch.writes.push_back(Write::put_stamped("log/", "", value()));
    const Outcome outcome = database_.commit(operation.batch);
    end_commit(std::move(operation), outcome);
  }

  void get() {
    const std::vector<Bytes> keys = {key(), key(), key()};
    Operation operation = begin();
    const std::vector<std::optional<Entry>> entries = database_.get(keys);
    for (std::size_t i = 0; i < keys.size(); ++i) operation.keys.push_back(seen(keys[i], entries[i]));
    end(std::move(operation));
  }

  void scan() {
    // The end of the log is looked at rarely: the checker walks over all that has been appended since.
    const bool of_log = below(3) == 0;
    const Range range = of_log ? Range::prefix("log/") : Range{key(), kEndOfKeys};
    const ScanOptions options{.limit = 1 + below(20), .reverse = below(of_log ? 20 : 2) == 0};
    Operation operation = begin();
    const Page page = database_.scan(range, options);
    operation.at = page.at.seq;
    operation.ranges.push_back(covered(range, page, options.reverse));
    end(std::move(operation));
  }

  void read_only() {
    Operation operation = begin();
    database_.transact([&](Transaction& transaction) {
      operation.keys.clear();
      operation.ranges.clear();
      for (std::size_t i = 0; i < 3; ++i) {
        const Bytes at = key();
        const std::optional<Entry> entry = transaction.get(at);
        operation.keys.push_back(seen(at, entry));
      }
      operation.at = transaction.position().seq;
    });
    end(std::move(operation));
  }

  Database database_;
  std::shared_ptr<Random> random_;
  History history_;
};

/// Watches until it is told that `last` is the last commit.
class Watcher {
 public:
  Watcher(Store& store, View database, const Range& range)
      : database_(store.database(database)), log_{range, 0, {}} {
    const Position since = patiently([this] { return database_.position(); });
    log_.since = since.seq;
    watch_.emplace(database_.watch(range, since));
    thread_ = std::thread([this] { follow(); });
  }

  ~Watcher() { stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  WatchLog finish(Seq last) {
    last_ = last;
    log_.until = last;
    stop();
    return std::move(log_);
  }

 private:
  void stop() {
    watch_->cancel();
    if (thread_.joinable()) thread_.join();
  }

  void follow() {
    while (const auto hint = watch_->next(std::chrono::steady_clock::now() + std::chrono::minutes(5))) {
      log_.told.push_back({hint->keys, hint->everything, hint->through.seq});
      through_ = hint->through;
    }
    // What was still on its way when the watch was cancelled: another one takes over where it ended.
    Position from = through_.history == 0
                        ? Position{patiently([this] { return database_.position(); }).history, log_.since}
                        : through_;
    Watch rest = database_.watch(log_.range, from);
    while (from.seq < last_) {
      const auto hint = rest.next(std::chrono::steady_clock::now() + std::chrono::seconds(30));
      if (!hint) return;  // the checker says what is missing
      log_.told.push_back({hint->keys, hint->everything, hint->through.seq});
      from = hint->through;
    }
  }

  Database database_;
  WatchLog log_;
  std::optional<Watch> watch_;
  std::atomic<Seq> last_{0};
  Position through_;
  std::thread thread_;
};

}  // namespace

History run(Store& store, const Workload& workload) {
  const std::size_t each = workload.operations / workload.threads;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Watcher>> watchers;
  // The first is told of everything, the others of parts.
  for (std::size_t i = 0; i < workload.watches; ++i) {
    watchers.push_back(
        std::make_unique<Watcher>(store, workload.database, i == 0 ? Range::all() : Range::prefix("key/1")));
  }
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workload.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(store, workload.database, workload.seed * 1'000 + i));
    threads.emplace_back([&, worker = workers.back().get()] {
      try {
        for (std::size_t n = 0; n < each; ++n) {
          try {
            worker->step();
          } catch (const Error& error) {
            if (error.code() != Code::unavailable || !workload.may_be_unavailable) throw;
          }
        }
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);

  History history;
  for (const auto& worker : workers) history.append(worker->take());
  if (watchers.empty()) return history;
  // The last commit lies in every watched range, so that every watch has a hint to end on.
  Worker last(store, workload.database, workload.seed);
  const Seq seq = last.put_end();
  history.append(last.take());
  for (const auto& watcher : watchers) history.watches.push_back(watcher->finish(seq));
  return history;
}

}  // namespace holdfast::histories
