// What a write to a large table costs. PikoDB, whose service this is, rewrites the whole table: 5.9 writes a
// second at 100,000 records, which is 169,000 us each.
#include <chrono>

#include "harness.h"
#include "holdfast/tables.h"

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kRecords = 100'000;
constexpr std::uint64_t kRecordsAtOnce = 500;
constexpr std::uint64_t kWrites = 50'000;
/// 10,000 times as fast as PikoDB.
constexpr double kAtMostUs = 16.9;

double us_per_write() {
  const BenchFolder folder("tables");
  const std::shared_ptr<Store> store = Store::open("file://" + folder.path() + "/file?durable=false");
  Tables tables(store->database("bench"));
  const auto value = [](std::uint64_t number) { return Payload::parse(value_of(number)); };
  for (std::uint64_t at = 0; at < kRecords;) {
    tables.database().transact([&](Transaction& transaction) {
      for (const std::uint64_t end = at + kRecordsAtOnce; at < end; ++at) {
        tables.write(transaction, "table", key_of(at), value(at));
      }
    });
  }
  Dice dice(1);
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < kWrites; ++i) {
    const std::uint64_t number = dice.below(kRecords);
    tables.write("table", key_of(number), value(number + 1));
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  return took.count() / kWrites;
}

}  // namespace

void add_tables_cases(Suite& suite) {
  suite.quantities.push_back(
      {"tables: a write at 100,000 records, not durable", "us", us_per_write, kAtMostUs, kAtMostUs / 2});
}

}  // namespace holdfast::bench
