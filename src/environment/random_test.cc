#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "environment/xoshiro.h"
#include "holdfast/environment.h"

namespace holdfast {
namespace {

TEST(Xoshiro256, GivesTheNumbersOfItsReferenceImplementation) {
  Xoshiro256 generator(Xoshiro256::State{1, 2, 3, 4});
  EXPECT_EQ(generator(), 11520u);
  EXPECT_EQ(generator(), 0u);
  EXPECT_EQ(generator(), 1509978240u);
  EXPECT_EQ(generator(), 1215971899390074240u);
}

TEST(SeededRandom, SameSeedGivesTheSameSequence) {
  const auto one = seeded_random(7);
  const auto two = seeded_random(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one->next(), two->next());
}

TEST(SeededRandom, OtherSeedGivesAnotherSequence) {
  EXPECT_NE(seeded_random(7)->next(), seeded_random(8)->next());
}

TEST(SeededRandom, ThreadsDrawDifferentNumbers) {
  const auto random = seeded_random(1);
  std::vector<std::vector<std::uint64_t>> drawn(4);
  std::vector<std::thread> threads;
  for (auto& mine : drawn) {
    threads.emplace_back([&random, &mine] {
      for (int i = 0; i < 1000; ++i) mine.push_back(random->next());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4000u);
}

TEST(SystemRandom, DrawsDifferentNumbers) {
  const auto random = system_random();
  std::set<std::uint64_t> all;
  for (int i = 0; i < 1000; ++i) all.insert(random->next());
  EXPECT_EQ(all.size(), 1000u);
}

TEST(Environment, CompletedFillsInOnlyWhatIsEmpty) {
  Environment environment;
  environment.clock = std::make_shared<ManualClock>(5);
  const Environment whole = environment.completed();
  EXPECT_EQ(whole.clock, environment.clock);
  EXPECT_NE(whole.random, nullptr);
  EXPECT_NE(whole.files, nullptr);
  EXPECT_EQ(environment.files, nullptr);
}

}  // namespace
}  // namespace holdfast
