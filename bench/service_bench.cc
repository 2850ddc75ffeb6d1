// What services cost: writes through them against puts of the same size through the engine alone.
#include <memory>
#include <string>

#include "harness.h"
#include "holdfast/records.h"
#include "holdfast/store.h"
#include "holdfast/tables.h"

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kRecords = 100'000;
/// PikoDB 1.0.1 writes 5.9 records a second into a table of 100,000; we want to be 10,000 times as fast.
constexpr double kMostUsPerWrite = 1e6 / (5.9 * 10'000);

/// 100 bytes of JSON.
const Payload& document() {
  static const Payload made = Payload::parse("{\"text\":\"" + std::string(89, 'x') + "\"}");
  return made;
}

/// One store with the same keys, as records and as entries.
struct Sides {
  explicit Sides(const std::string& url) : store(Store::open(url)) {}

  std::shared_ptr<Store> store;
  Database plain = store->database("plain");
  Records records{store->database("records")};
  Tables tables{store->database("tables")};
  Dice dice{1};
};

std::string url_of(const BenchFolder& folder, const std::string& scheme) {
  return scheme == "sqlite" ? "sqlite://" + folder.path() + "/store.db"
                            : "file://" + folder.path() + "/store?durable=false";
}

Case records_case(const std::string& name, const std::string& scheme) {
  const auto folder = std::make_shared<BenchFolder>("records");
  const auto sides = std::make_shared<Sides>(url_of(*folder, scheme));
  const auto run = [folder, sides](const std::function<void(const std::string& key)>& put) {
    return [folder, sides, put](std::chrono::milliseconds duration) {
      return measure(1, duration, 1, [&](std::size_t) { put(key_of(sides->dice.below(kRecords))); });
    };
  };
  Contender ours{"records.put",
                 run([sides = sides.get()](const std::string& key) { sides->records.put(key, document()); })};
  Contender plain{"put of the engine", run([sides = sides.get()](const std::string& key) {
                    sides->plain.put(key, document().text());
                  })};
  return {name, std::move(ours), {{std::move(plain), 0.5, std::nullopt}}};
}

double us_per_write(Sides& sides) {
  const Sample sample = measure(1, std::chrono::seconds(1), 1, [&](std::size_t) {
    sides.tables.write("bench", key_of(sides.dice.below(kRecords)), document());
  });
  return 1e6 / sample.per_second();
}

/// A table of 100,000 records, made when it is first wanted.
class Table {
 public:
  Sides& sides() {
    if (!folder_) fill();
    return *sides_;
  }

 private:
  void fill() {
    folder_ = std::make_unique<BenchFolder>("tables");
    sides_ = std::make_unique<Sides>(url_of(*folder_, "file"));
    for (std::uint64_t at = 0; at < kRecords;) {
      sides_->store->database("tables").transact([&](Transaction& transaction) {
        for (std::uint64_t end = at + 100; at < end; ++at) {
          sides_->tables.write(transaction, "bench", key_of(at), document());
        }
      });
    }
  }

  std::unique_ptr<BenchFolder> folder_;
  std::unique_ptr<Sides> sides_;
};

}  // namespace

void add_service_cases(Suite& suite) {
  for (const std::string scheme : {"file", "sqlite"}) {
    const std::string name = "services: records.put on " + scheme + ":, 1 thread";
    suite.cases.push_back({name, [=] { return records_case(name, scheme); }});
  }
  const auto table = std::make_shared<Table>();
  suite.quantities.push_back({"services: tables.write, 100k records, not durable", "us",
                              [=] { return us_per_write(table->sides()); }, kMostUsPerWrite, std::nullopt});
}

}  // namespace holdfast::bench
