#include "engine/range_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "holdfast/environment.h"

namespace holdfast {
namespace {

struct Named {
  Range range;
};

std::set<const Named*> found(const RangeIndex<Named>& index, View key) {
  std::set<const Named*> items;
  index.each_containing(key, [&](Named& item) { items.insert(&item); });
  return items;
}

TEST(RangeIndex, finds_every_range_that_contains_a_key_and_no_other) {
  Named one{Range::prefix("a/")}, two{{"a/b", "a/c"}}, three{Range::all()}, four{Range::prefix("b/")};
  RangeIndex<Named> index;
  for (Named* item : {&one, &two, &three, &four}) index.add(item->range, item);
  EXPECT_EQ(found(index, "a/b1"), (std::set<const Named*>{&one, &two, &three}));
  EXPECT_EQ(found(index, "a/c"), (std::set<const Named*>{&one, &three}));
  EXPECT_EQ(found(index, "z"), (std::set<const Named*>{&three}));
}

TEST(RangeIndex, keeps_equal_ranges_apart) {
  Named one{Range::prefix("a/")}, two{Range::prefix("a/")};
  RangeIndex<Named> index;
  index.add(one.range, &one);
  index.add(two.range, &two);
  index.remove(one.range, &one);
  EXPECT_EQ(found(index, "a/1"), (std::set<const Named*>{&two}));
}

TEST(RangeIndex, agrees_with_a_list_after_any_adds_and_removes) {
  const auto random = seeded_random(20'260'101);
  const auto bound = [&] {
    return Bytes(1 + random->next() % 3, static_cast<char>('a' + random->next() % 6));
  };
  std::vector<std::unique_ptr<Named>> items;
  RangeIndex<Named> index;
  for (int step = 0; step < 2'000; ++step) {
    if (items.empty() || random->next() % 3 != 0) {
      items.push_back(std::make_unique<Named>(Named{{bound(), random->next() % 4 == 0 ? Bytes{} : bound()}}));
      index.add(items.back()->range, items.back().get());
    } else {
      const auto gone = items.begin() + static_cast<std::ptrdiff_t>(random->next() % items.size());
      index.remove((*gone)->range, gone->get());
      items.erase(gone);
    }
    const Bytes key = bound();
    std::set<const Named*> expected;
    for (const auto& item : items) {
      if (item->range.contains(key)) expected.insert(item.get());
    }
    ASSERT_EQ(found(index, key), expected) << "step " << step;
  }
}

}  // namespace
}  // namespace holdfast
