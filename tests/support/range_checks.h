// What checking a range may cost on stores that walk their change log for it. The contract permits a bound
// and does not demand one, so conformance does not look at it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "layers/test_client.h"

namespace holdfast::testing_support {

/// Of an empty database: a range is checked against 10,000 newer rows of the log, and taken for changed
/// beyond.
inline void expect_range_checks_walk_a_bounded_log(Backend& backend, TestClient& client) {
  client.put("c", "1");
  const Seq since = client.position().seq;
  const Check unchanged = Check::unchanged({"a", "d"}, since, client.read().time_ms);
  const auto holds = [&] {
    return client.commit({{unchanged}, {Write::put("z", "v")}}).outcomes.at(0).committed();
  };
  for (int i = 0; i < 10; ++i) {
    std::vector<Batch> batches;
    for (int n = 0; n < 1'000; ++n) {
      const Bytes key = "z" + std::to_string(n);
      batches.push_back({{}, {Write::put(key, "v")}});
      // Of every second group one batch is not so simple.
      if (i % 2 == 1 && n == 0) batches.back().writes = {Write::erase("none"), Write::put(key, "v")};
    }
    Group group = client.group(std::move(batches));
    backend.commit({&group, 1});
    ASSERT_FALSE(group.error) << group.error->what();
  }
  EXPECT_TRUE(holds()) << "with 10,000 newer rows";
  EXPECT_FALSE(holds()) << "with the row of that commit, too";
}

}  // namespace holdfast::testing_support
