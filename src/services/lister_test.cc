#include "services/lister.h"

#include <gtest/gtest.h>

#include "holdfast/layers.h"
#include "holdfast/open.h"

namespace holdfast {
namespace {

TEST(Lister, passes_over_many_entries_in_few_reads) {
  const Environment environment = Environment{}.completed();
  const auto metrics = std::make_shared<Metrics>();
  StoreOptions options;
  options.sweeper = false;
  const auto store =
      Store::open(metered(open_backend("memory:", environment), environment, metrics), options);
  Database database = store->database("app");
  for (int tens = 0; tens < 20; ++tens) {
    Batch batch;
    for (int i = 0; i < 500; ++i) {
      batch.writes.push_back(Write::put("list/" + std::to_string(100'000 + 500 * tens + i), "entry"));
    }
    database.commit(std::move(batch));
  }
  for (const bool reverse : {false, true}) {
    const std::uint64_t reads_before = metrics->calls().at("read").calls;
    const Bytes wanted = reverse ? "100000" : "109999";
    std::size_t seen = 0;
    const Bytes cursor =
        list_entries(database, "list/", {.limit = 1, .reverse = reverse}, [&](View key, Entry&) {
          ++seen;
          return key == wanted ? key.size() : 0;
        });
    EXPECT_EQ(cursor, "");
    EXPECT_EQ(seen, 10'000u);
    EXPECT_LE(metrics->calls().at("read").calls - reads_before, 30u);
  }
}

}  // namespace
}  // namespace holdfast
