// The file engine through the public API, against LevelDB and LMDB.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "harness.h"
#include "holdfast/store.h"
#include "peers.h"

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kKeySpace = 1'000'000;

/// Everything that one case compares; both sides hold the same entries.
struct Stores {
  explicit Stores(const std::string& name, const std::string& options = "", bool with_lmdb = false)
      : folder(name),
        store(Store::open("file://" + folder.path() + "/file" + options)),
        database(store->database("bench")),
        leveldb(std::make_unique<LevelDb>(folder.path() + "/leveldb")) {
    if (!with_lmdb) return;
    std::filesystem::create_directories(folder.path() + "/lmdb");
    lmdb = std::make_unique<Lmdb>(folder.path() + "/lmdb");
  }

  void fill(std::uint64_t entries) {
    for (std::uint64_t at = 0; at < entries;) {
      Batch batch;
      Rows rows;
      for (; at < entries && rows.size() < 1'000; ++at) {
        rows.emplace_back(key_of(at), value_of(at));
        batch.writes.push_back(Write::put(rows.back().first, rows.back().second));
      }
      database.commit(std::move(batch));
      leveldb->put(rows, false);
      if (lmdb) lmdb->put(rows);
    }
    leveldb->settle();
  }

  BenchFolder folder;
  std::shared_ptr<Store> store;
  Database database;
  std::unique_ptr<LevelDb> leveldb;
  std::unique_ptr<Lmdb> lmdb;
};

std::vector<Dice> dice(std::size_t threads) {
  std::vector<Dice> out;
  for (std::size_t i = 0; i < threads; ++i) out.emplace_back(i + 1);
  return out;
}

/// Puts of random keys, one a call, or a batch of them a call.
Case puts(const std::string& name, std::size_t threads, std::size_t batch, bool durable, double at_least,
          double aim) {
  auto stores = std::make_shared<Stores>("puts", durable ? "" : "?durable=false");
  const auto ours = [stores, threads, batch](std::chrono::milliseconds duration) {
    auto random = std::make_shared<std::vector<Dice>>(dice(threads));
    return measure(threads, duration, batch, [stores, random, batch](std::size_t thread) {
      Batch writes;
      for (std::size_t i = 0; i < batch; ++i) {
        const std::uint64_t number = (*random)[thread].below(kKeySpace);
        writes.writes.push_back(Write::put(key_of(number), value_of(number)));
      }
      stores->database.commit(std::move(writes));
    });
  };
  const auto theirs = [stores, threads, batch, durable](std::chrono::milliseconds duration) {
    auto random = std::make_shared<std::vector<Dice>>(dice(threads));
    return measure(threads, duration, batch, [stores, random, batch, durable](std::size_t thread) {
      Rows rows;
      for (std::size_t i = 0; i < batch; ++i) {
        const std::uint64_t number = (*random)[thread].below(kKeySpace);
        rows.emplace_back(key_of(number), value_of(number));
      }
      if (batch == 1) {
        stores->leveldb->put(rows[0].first, rows[0].second, durable);
      } else {
        stores->leveldb->put(rows, durable);
      }
    });
  };
  return {name, {"file", ours}, {{{"LevelDB", theirs}, at_least, aim}}};
}

Sample get_ours(const std::shared_ptr<Stores>& stores, std::uint64_t entries, std::size_t threads,
                std::chrono::milliseconds duration) {
  auto random = dice(threads);
  return measure(threads, duration, 1, [&](std::size_t thread) {
    if (!stores->database.get(key_of(random[thread].below(entries)))) std::abort();
  });
}

Sample get_leveldb(const std::shared_ptr<Stores>& stores, std::uint64_t entries, std::size_t threads,
                   std::chrono::milliseconds duration) {
  auto random = dice(threads);
  return measure(threads, duration, 1, [&](std::size_t thread) {
    std::string value;
    if (!stores->leveldb->get(key_of(random[thread].below(entries)), value)) std::abort();
  });
}

Sample get_lmdb(const std::shared_ptr<Stores>& stores, std::uint64_t entries, std::size_t threads,
                std::chrono::milliseconds duration) {
  auto random = dice(threads);
  std::vector<std::unique_ptr<Lmdb::Reader>> readers;
  for (std::size_t i = 0; i < threads; ++i) readers.push_back(std::make_unique<Lmdb::Reader>(*stores->lmdb));
  return measure(threads, duration, 1, [&](std::size_t thread) {
    std::string value;
    if (!readers[thread]->get(key_of(random[thread].below(entries)), value)) std::abort();
  });
}

Case gets(const std::string& name, std::uint64_t entries, std::size_t threads) {
  auto stores = std::make_shared<Stores>("gets", "?durable=false", true);
  stores->fill(entries);
  return {
      name,
      {"file", [=](auto duration) { return get_ours(stores, entries, threads, duration); }},
      {{{"LevelDB", [=](auto duration) { return get_leveldb(stores, entries, threads, duration); }},
        threads == 1 ? 2.0 : 3.0,
        std::nullopt},
       {{"LMDB", [=](auto duration) { return get_lmdb(stores, entries, threads, duration); }}, 0.9, 1.2}}};
}

/// Runs `put` in a thread of its own while `reads` is measured.
Sample beside_writer(const std::function<void(std::uint64_t)>& put, const std::function<Sample()>& reads) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Dice random(77);
    while (!stop.load(std::memory_order_relaxed)) put(random.below(100'000));
  });
  Sample sample = reads();
  stop = true;
  writer.join();
  return sample;
}

Case gets_beside_writer(const std::string& name) {
  constexpr std::uint64_t kEntries = 100'000;
  auto stores = std::make_shared<Stores>("gets-writer", "?durable=false");
  stores->fill(kEntries);
  const auto ours = [=](std::chrono::milliseconds duration) {
    return beside_writer(
        [&](std::uint64_t number) { stores->database.put(key_of(number), value_of(number)); },
        [&] { return get_ours(stores, kEntries, 1, duration); });
  };
  const auto theirs = [=](std::chrono::milliseconds duration) {
    return beside_writer(
        [&](std::uint64_t number) { stores->leveldb->put(key_of(number), value_of(number), false); },
        [&] { return get_leveldb(stores, kEntries, 1, duration); });
  };
  return {name, {"file", ours}, {{{"LevelDB", theirs}, 2.0, 4.0}}};
}

Case scans(const std::string& name) {
  constexpr std::uint64_t kEntries = 100'000;
  auto stores = std::make_shared<Stores>("scans", "?durable=false", true);
  stores->fill(kEntries);
  const auto ours = [=](std::chrono::milliseconds duration) {
    Dice random(5);
    return measure(1, duration, 1'000, [&](std::size_t) {
      const Page page = stores->database.scan({key_of(random.below(kEntries - 1'000)), {}}, {.limit = 1'000});
      if (page.entries.size() != 1'000) std::abort();
    });
  };
  const auto theirs = [=](std::chrono::milliseconds duration) {
    Dice random(5);
    Lmdb::Reader reader(*stores->lmdb);
    return measure(1, duration, 1'000, [&](std::size_t) {
      Rows rows;
      rows.reserve(1'000);
      reader.scan(key_of(random.below(kEntries - 1'000)), 1'000, rows);
      if (rows.size() != 1'000) std::abort();
    });
  };
  return {name, {"file", ours}, {{{"LMDB", theirs}, 0.5, 1.0}}};
}

double seconds_to_open(const std::string& url) {
  const auto from = std::chrono::steady_clock::now();
  const auto store = Store::open(url);
  if (!store->database("bench").get(key_of(0))) std::abort();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

/// A store of a million entries that was closed (so it begins with a checkpoint), and a copy of it made while
/// it was open and had nothing but its log.
struct Million {
  Million() : folder("open") {
    const std::string path = folder.path() + "/store";
    const auto store = Store::open("file://" + path + "?durable=false&checkpoint_size_bytes=68719476736");
    Database database = store->database("bench");
    for (std::uint64_t at = 0; at < kKeySpace;) {
      Batch batch;
      for (std::size_t i = 0; i < 100; ++i, ++at)
        batch.writes.push_back(Write::put(key_of(at), value_of(at)));
      database.commit(std::move(batch));
    }
    std::filesystem::copy(path, folder.path() + "/log-alone", std::filesystem::copy_options::recursive);
    store->close();
  }
  BenchFolder folder;
};

double seconds_to_open_log_alone(const Million& million) {
  // Closing writes a checkpoint, so each measurement needs a copy that has none.
  const std::string copy = million.folder.path() + "/copy";
  std::filesystem::remove_all(copy);
  std::filesystem::copy(million.folder.path() + "/log-alone", copy, std::filesystem::copy_options::recursive);
  return seconds_to_open("file://" + copy + "?durable=false");
}

}  // namespace

void add_file_cases(Suite& suite) {
  const auto add = [&](const std::string& name, auto build) {
    suite.cases.push_back({name, [name, build] { return build(name); }});
  };
  add("file: durable put, 1 thread", [](auto name) { return puts(name, 1, 1, true, 1.3, 1.6); });
  add("file: durable put, 16 threads", [](auto name) { return puts(name, 16, 1, true, 1.6, 2.5); });
  add("file: durable put, 64 threads", [](auto name) { return puts(name, 64, 1, true, 2.2, 3.0); });
  add("file: put without durability, 1 thread", [](auto name) { return puts(name, 1, 1, false, 1.0, 1.5); });
  add("file: batches of 100 without durability",
      [](auto name) { return puts(name, 1, 100, false, 1.2, 1.5); });
  for (const std::uint64_t entries : {100'000, 1'000'000}) {
    for (const std::size_t threads : {1, 2}) {
      add("file: get, " + std::to_string(entries / 1'000) + "k entries, " + std::to_string(threads) +
              (threads == 1 ? " thread" : " threads"),
          [=](auto name) { return gets(name, entries, threads); });
    }
  }
  add("file: get beside one writer", [](auto name) { return gets_beside_writer(name); });
  add("file: scan of 1,000 entries (rows)", [](auto name) { return scans(name); });

  auto million = std::make_shared<std::unique_ptr<Million>>();
  const auto prepared = [million]() -> Million& {
    if (!*million) *million = std::make_unique<Million>();
    return **million;
  };
  suite.quantities.push_back(
      {"file: open 1M entries after a checkpoint", "s",
       [=] { return seconds_to_open("file://" + prepared().folder.path() + "/store?durable=false"); }, 1.0,
       0.4});
  suite.quantities.push_back({"file: open 1M entries from the log alone", "s",
                              [=] { return seconds_to_open_log_alone(prepared()); }, 3.0, 1.5});
}

}  // namespace holdfast::bench
