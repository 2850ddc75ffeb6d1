// Copies between all pairs of the backends that keep data: what one of them holds arrives whole in any other.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <ostream>
#include <random>
#include <utility>

#include "contract/forwarding.h"
#include "holdfast/blobs.h"
#include "holdfast/migrate.h"
#include "holdfast/store.h"
#include "support/targets.h"

namespace holdfast::migrate {
namespace {

using testing_support::Target;
using testing_support::TemporaryFolder;

struct Pair {
  Target source, target;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.source.name << " -> " << pair.target.name; }

std::vector<Pair> all_pairs() {
  const std::vector<std::string> kept = {"sqlite", "file", "postgres", "redis", "redis_cluster"};
  std::vector<Target> targets;
  for (const Target& target : testing_support::targets()) {
    if (std::find(kept.begin(), kept.end(), target.test_name()) != kept.end()) targets.push_back(target);
  }
  std::vector<Pair> pairs;
  for (const Target& source : targets) {
    for (const Target& target : targets) {
      if (source.name != target.name) pairs.push_back({source, target});
    }
  }
  return pairs;
}

struct PairedStore {
  PairedStore(const Target& target, const Environment& environment)
      : backend(target.open(folder.path(), environment)) {
    StoreOptions options;
    options.environment = environment;
    options.sweeper = false;
    store = Store::open(std::make_unique<ForwardingBackend>(backend), options);
  }

  TemporaryFolder folder;
  std::shared_ptr<Backend> backend;
  std::shared_ptr<Store> store;
};

std::vector<Entry> all_entries(const Database& database) {
  std::vector<Entry> entries;
  for (Range range = Range::all();;) {
    Page page = database.scan(range, {.limit = 250});
    std::move(page.entries.begin(), page.entries.end(), std::back_inserter(entries));
    if (!page.more) return entries;
    range.begin = entries.back().key + '\0';
  }
}

Bytes bytes_of(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class MigratePairs : public testing::TestWithParam<Pair> {
 protected:
  /// Keys and values of any bytes; puts over puts, and erases.
  void fill_entries() {
    std::mt19937_64 random(17);
    Database database = source_.store->database("agents");
    for (int i = 0; i < 6; ++i) {
      Batch batch;
      for (int k = 0; k < 100; ++k) {
        batch.writes.push_back(Write::put("a" + bytes_of(random, 1), bytes_of(random, 30)));
        batch.writes.push_back(
            Write::put("key/" + std::to_string(random() % 400), bytes_of(random, random() % 50)));
      }
      database.commit(std::move(batch));
      database.erase("key/" + std::to_string(i));
    }
    database.put("large", bytes_of(random, 1'000'000));
  }

  void fill_blobs() {
    std::mt19937_64 random(18);
    Blobs blobs(source_.store->database("files"));
    blobs.put("empty", "");
    blobs.put("small", "text", {.content_type = "text/plain"});
    blobs.put("large", bytes_of(random, 2'500'000));
  }

  void fill_expiring() {
    Database database = source_.store->database("leases/42 \xC3\xA4");
    const UnixMs now_ms = clock_->now_ms();
    Batch batch;
    for (int i = 0; i < 150; ++i) {
      batch.writes.push_back(
          Write::put("lease/" + std::to_string(i), std::to_string(i), now_ms + i * 1'000 + 1));
    }
    batch.writes.push_back(Write::put("lasting", "1"));
    database.commit(std::move(batch));
    // A third has expired and is not swept.
    clock_->advance(std::chrono::seconds(50));
  }

  void expect_equal(std::uint64_t leases) {
    const std::vector<Bytes> names = source_.store->databases();
    EXPECT_EQ(names.size(), 3u);
    EXPECT_EQ(target_.store->databases(), names);
    for (const Bytes& name : names) {
      const Database one = source_.store->database(name);
      const Database other = target_.store->database(name);
      EXPECT_EQ(one.digest(), other.digest()) << name;
      EXPECT_EQ(all_entries(one), all_entries(other)) << name;
    }
    EXPECT_EQ(target_.store->database("leases/42 \xC3\xA4").digest().entries, leases + 1);
    for (const char* key : {"empty", "small", "large"}) {
      const auto info = Blobs(source_.store->database("files")).stat(key);
      ASSERT_TRUE(info) << key;
      EXPECT_EQ(Blobs(target_.store->database("files")).verify(key), info) << key;
    }
  }

  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  const Environment environment_ = [this] {
    Environment environment;
    environment.clock = clock_;
    return environment;
  }();
  PairedStore source_{GetParam().source, environment_};
  PairedStore target_{GetParam().target, environment_};
};

TEST_P(MigratePairs, CopiesEveryDatabaseWithItsBlobsAndExpiries) {
  fill_entries();
  fill_blobs();
  fill_expiring();
  Options options;
  options.environment = environment_;
  for (const Bytes& name : source_.store->databases()) {
    const Summary summary = copy(source_.backend, name, target_.backend, {}, options);
    EXPECT_EQ(summary.digest, source_.store->database(name).digest()) << name;
    EXPECT_EQ(target_.store->database(name).position().seq, summary.at.seq) << name;
  }
  expect_equal(100);
  clock_->advance(std::chrono::seconds(50));
  expect_equal(50);
}

INSTANTIATE_TEST_SUITE_P(Stores, MigratePairs, testing::ValuesIn(all_pairs()), [](const auto& one) {
  return one.param.source.test_name() + "_to_" + one.param.target.test_name();
});
// HOLDFAST_TARGETS may have left no pair.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MigratePairs);

}  // namespace
}  // namespace holdfast::migrate
