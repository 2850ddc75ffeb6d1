// holdfast bench URL and holdfast conformance URL: how fast a store is, and whether it keeps its promises.

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/interrupt.h"
#include "contract/hex.h"
#include "holdfast/conformance.h"
#include "holdfast/open.h"
#include "migrate/text.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

constexpr std::uint64_t kKeys = 10'000;
constexpr std::size_t kBatchWrites = 100;
constexpr std::size_t kScanEntries = 100;
/// Of each thread; a longer run keeps the latest.
constexpr std::size_t kLatencies = 1'000'000;

/// A database of its own, dropped at the end, however that comes.
class Scratch {
 public:
  explicit Scratch(Context& context)
      : store_(context.store()),
        name_("bench-" + hex16(context.environment().random->next())),
        database_(store_.database(name_)) {}
  ~Scratch() {
    try {
      store_.drop(name_);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the database \"%s\" could not be dropped: %s\n", name_.c_str(), error.what());
    }
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Database& database() { return database_; }

 private:
  Store& store_;
  const Bytes name_;
  Database database_;
};

struct Measured {
  std::uint64_t operations = 0;
  double seconds = 0;
  double p50_us = 0;
  double p99_us = 0;
};

class Bench {
 public:
  Bench(Context& context, const Arguments& arguments, Database& database)
      : context_(context),
        clock_(*context.environment().clock),
        database_(database),
        threads_(arguments.number("--threads")),
        duration_(std::chrono::milliseconds(*arguments.optional_duration_ms("--time"))),
        value_(arguments.number("--value-bytes"), 'v') {
    if (threads_ < 1 || threads_ > 256) throw UsageError("--threads must be 1 to 256");
    if (value_.size() > limits::kBatchBytes / kBatchWrites / 2)
      throw UsageError("--value-bytes must be at most 40000");
  }

  void prepare() {
    for (std::uint64_t i = 0; i < kKeys;) {
      context_.check_interrupt();
      Batch batch;
      for (; batch.writes.size() < kBatchWrites && i < kKeys; ++i)
        batch.writes.push_back(Write::put(key(i), value_));
      database_.commit(std::move(batch));
    }
  }

  void put(std::uint64_t number) { database_.put(key(number % kKeys), value_); }
  void get(std::uint64_t number) { database_.get(key(number % kKeys)); }
  void scan(std::uint64_t number) { database_.scan({key(number % kKeys), ""}, {.limit = kScanEntries}); }
  void batch(std::uint64_t number) {
    Batch batch;
    for (std::uint64_t i = 0; i < kBatchWrites; ++i) {
      batch.writes.push_back(Write::put(key((number + i) % kKeys), value_));
    }
    database_.commit(std::move(batch));
  }

  Measured measure(void (Bench::*operation)(std::uint64_t)) {
    std::vector<std::vector<std::uint32_t>> latencies(threads_);
    std::vector<std::uint64_t> counts(threads_);
    std::atomic<bool> failed{false};
    std::exception_ptr failure;
    std::mutex mutex;
    const Deadline begin = clock_.steady_now();
    const Deadline end = begin + duration_;
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < threads_; ++t) {
      threads.emplace_back([&, t] {
        try {
          run(operation, t, end, failed, latencies[t], counts[t]);
        } catch (...) {
          failed = true;
          const std::scoped_lock lock(mutex);
          failure = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
    context_.check_interrupt("the scratch database is gone");
    const double seconds = std::chrono::duration<double>(clock_.steady_now() - begin).count();
    return summed(latencies, counts, seconds);
  }

 private:
  /// Spread over all keys by a multiplicative hash; the same in every run.
  static Bytes key(std::uint64_t number) { return "key/" + hex16(number * 0x9E3779B97F4A7C15u); }

  void run(void (Bench::*operation)(std::uint64_t), std::uint64_t thread, Deadline end,
           std::atomic<bool>& failed, std::vector<std::uint32_t>& latencies, std::uint64_t& count) {
    std::uint64_t number = thread * 7'919;
    for (Deadline now = clock_.steady_now(); now < end && !failed && !interrupted();) {
      (this->*operation)(number++);
      const Deadline after = clock_.steady_now();
      const auto took_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(after - now).count();
      const auto latency = static_cast<std::uint32_t>(std::min<std::int64_t>(took_ns, UINT32_MAX));
      if (latencies.size() < kLatencies) {
        latencies.push_back(latency);
      } else {
        latencies[count % kLatencies] = latency;
      }
      ++count;
      now = after;
    }
  }

  static Measured summed(const std::vector<std::vector<std::uint32_t>>& latencies,
                         const std::vector<std::uint64_t>& counts, double seconds) {
    std::vector<std::uint32_t> all;
    for (const auto& each : latencies) all.insert(all.end(), each.begin(), each.end());
    std::ranges::sort(all);
    Measured measured;
    measured.seconds = seconds;
    for (const std::uint64_t count : counts) measured.operations += count;
    if (all.empty()) return measured;
    measured.p50_us = all[all.size() / 2] / 1'000.0;
    measured.p99_us = all[std::min(all.size() - 1, all.size() * 99 / 100)] / 1'000.0;
    return measured;
  }

  Context& context_;
  Clock& clock_;
  Database& database_;
  const std::uint64_t threads_;
  const std::chrono::milliseconds duration_;
  const Bytes value_;
};

const char* durability_text(Durability durability) {
  switch (durability) {
    case Durability::process:
      return "process";
    case Durability::disk:
      return "disk";
    case Durability::replicas:
      return "replicas";
  }
  return "";
}

int bench(Context& given, const Arguments& arguments) {
  Globals globals = given.globals();
  if (const auto url = arguments.optional_text("URL")) globals.store_url = url_of(*url);
  Context context(globals);
  Scratch scratch(context);
  Bench bench(context, arguments, scratch.database());
  bench.prepare();
  const std::string threads = std::to_string(arguments.number("--threads"));
  context.out().say("durable on: " + std::string(durability_text(context.store().traits().durability)) +
                    "; threads: " + threads + "; value bytes: " + arguments.text("--value-bytes"));
  context.out().table({"operation", "operations_per_second", "p50_us", "p99_us", "operations", "seconds"});
  struct Phase {
    const char* name;
    void (Bench::*operation)(std::uint64_t);
  };
  for (const Phase& phase : {Phase{"get", &Bench::get}, Phase{"put", &Bench::put},
                             Phase{"scan 100", &Bench::scan}, Phase{"batch 100", &Bench::batch}}) {
    const Measured measured = bench.measure(phase.operation);
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(measured.operations) / measured.seconds);
    context.out().row({Cell::text(phase.name), Cell::number(rate), Cell::real(measured.p50_us, 1),
                       Cell::real(measured.p99_us, 1), Cell::number(measured.operations),
                       Cell::real(measured.seconds, 2)});
  }
  context.out().finish();
  return kExitSuccess;
}

/// An empty folder for each new store, removed at the end.
class Folder {
 public:
  explicit Folder(std::uint64_t number)
      : path_(std::filesystem::temp_directory_path() / ("holdfast-conformance-" + hex16(number))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  const std::filesystem::path path_;
};

std::string replaced(std::string url, const std::string& folder) {
  for (std::size_t at; (at = url.find("{}")) != std::string::npos;) url.replace(at, 2, folder);
  return url;
}

/// Whether a store that is closed and opened again holds what it held.
bool keeps_data(const conformance::OpenStore& open, const Environment& environment) {
  const Bytes name = "conformance/kept";
  StoreOptions options;
  options.environment = environment;
  options.sweeper = false;
  Store::open(open(environment), options)->database(name).put("key", "value");
  const auto store = Store::open(open(environment), options);
  const bool is_kept = store->database(name).get("key").has_value();
  store->drop(name);
  return is_kept;
}

int run_conformance(Context& context, const Arguments& arguments) {
  const std::string url = url_of(arguments.text("URL"));
  const Environment environment = context.environment();
  conformance::Target target;
  target.name = "store";
  target.new_store = [&]() -> conformance::OpenStore {
    const auto folder = std::make_shared<Folder>(environment.random->next());
    const std::string own_url = replaced(url, folder->path());
    return [folder, own_url](const Environment& given) { return open_backend(own_url, given); };
  };
  {
    const conformance::OpenStore open = target.new_store();
    const std::unique_ptr<Backend> backend = open(environment);
    const Deadline deadline = environment.clock->steady_now() + std::chrono::seconds(30);
    if (!backend->databases("", "", 1, deadline).empty()) {
      throw Error(Code::already_exists,
                  "the store is not empty; the suite writes to it, so give it a new one");
    }
    target.shared = backend->traits().shared_by_processes;
    target.cheap_commits = backend->traits().durability == Durability::process;
  }
  target.keeps_data = keeps_data(target.new_store(), environment);

  const std::string filter = arguments.optional_text("--filter").value_or("");
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  ProgressBar bar(stderr, context.shows_progress());
  const std::uint64_t total = conformance::cases_for(target, filter).size();
  if (total == 0) throw UsageError("no case has such a name");
  const auto show = [&](const conformance::Result& result) {
    context.check_interrupt();
    ++(result.passed() ? passed : failed);
    Output& out = context.out();
    if (out.options().json) {
      out.object({{"case", Cell::text(result.name)},
                  {"passed", Cell::boolean(result.passed())},
                  {"took_ms", Cell::number(std::int64_t{result.took.count()})},
                  {"reason", Cell::text(result.reason)}});
      out.flush();
    } else if (!result.passed()) {
      bar.clear();
      out.say(out.red("failed ") + result.name + ": " + result.reason);
    }
    bar.show("", passed + failed, total, context.elapsed_ms(), "cases");
  };
  conformance::run(target, filter, show);
  bar.clear();
  context.out().object({{"passed", Cell::number(passed)}, {"failed", Cell::number(failed)}});
  return failed == 0 ? kExitSuccess : kExitNo;
}

}  // namespace

std::vector<Command> bench_commands() {
  return {
      {.path = "bench",
       .summary = "measure a store: operations per second and latencies",
       .details =
           "Works in a scratch database, which is dropped at the end, with 10000 keys. Each call is one "
           "operation of the engine: get, put, a scan of 100 entries, a batch of 100 puts.",
       .arguments = {{.name = "URL", .help = "the store; without it, --store or HOLDFAST_STORE"},
                     {"--time", "how long each operation is measured", Kind::duration, "TIME", "2s"},
                     {"--threads", "how many call at once", Kind::number, "COUNT", "1"},
                     {"--value-bytes", "the size of a value", Kind::number, "BYTES", "100"}},
       .examples = {{"bench sqlite:data/store.db", "one thread"},
                    {"bench 'file:///data/store' --threads 16 --time 5s", "many threads share their syncs"}},
       .run = bench},
      {.path = "conformance",
       .summary = "prove that a store keeps the storage contract, sentence by sentence",
       .details = "The suite writes to the store, which must be empty, and leaves its databases there. {} in "
                  "the URL stands for a folder "
                  "that is made "
                  "for the suite and removed afterwards. Exits with 1 if a case failed.",
       .arguments = {{.name = "URL", .help = "the store; {} for a folder of its own", .required = true},
                     {"--filter", "only cases whose name contains this", Kind::text, "TEXT"}},
       .examples = {{"conformance 'sqlite://{}/store.db'", "a few minutes"},
                    {"conformance memory: --filter s4_", "the cases of section 4"}},
       .run = run_conformance},
  };
}

}  // namespace holdfast::cli
