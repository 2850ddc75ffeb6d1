// Random programs give equal answers on every backend and on a model that shares no code with them.
// HOLDFAST_SEED=n replays one program; HOLDFAST_PROGRAMS=n runs that many.
#include <gtest/gtest.h>

#include <algorithm>

#include "differential/model_backend.h"
#include "differential/program.h"
#include "holdfast/config.h"
#include "support/settings.h"
#include "support/targets.h"

namespace holdfast::differential {
namespace {

constexpr std::size_t kSteps = 300;

using testing_support::Target;

/// A kind of store, opened in an empty folder.
struct Opened {
  std::string name;
  std::function<std::unique_ptr<Backend>(const std::string& folder)> open;
};

std::vector<std::string> transcript(const std::vector<Step>& program, const Opened& store) {
  const testing_support::TemporaryFolder folder;
  const std::unique_ptr<Backend> backend = store.open(folder.path());
  return run(program, *backend);
}

std::vector<std::string> model_transcript(const std::vector<Step>& program) {
  return run(program, *model_backend(Environment{}));
}

std::string difference(const std::vector<Step>& program, const Opened& store) {
  const std::vector<std::string> expected = model_transcript(program);
  const std::vector<std::string> actual = transcript(program, store);
  std::string out;
  for (std::size_t i = 0; i < program.size(); ++i) {
    out += "  " + describe(program[i]) + "\n";
    if (expected[i] != actual[i]) {
      return out + "    model: " + expected[i] + "\n    " + store.name + ": " + actual[i] + "\n";
    }
  }
  return {};
}

void expect_the_answers_of_the_model(const Opened& store, std::uint64_t programs) {
  const std::uint64_t first = testing_support::setting("HOLDFAST_SEED", 1);
  const std::uint64_t count =
      testing_support::setting("HOLDFAST_SEED") ? 1 : testing_support::setting("HOLDFAST_PROGRAMS", programs);
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const std::vector<Step> program = random_program(seed, kSteps);
    if (difference(program, store).empty()) continue;
    const auto differs = [&](const std::vector<Step>& shorter) {
      return !difference(shorter, store).empty();
    };
    FAIL() << "seed " << seed << " (replay with HOLDFAST_SEED=" << seed << "), shrunk to:\n"
           << difference(shrink(program, differs), store);
  }
}

class Differential : public testing::TestWithParam<Target> {};

TEST_P(Differential, random_programs_give_the_answers_of_the_model) {
  const Target& target = GetParam();
  const auto open = [&](const std::string& folder) { return target.open(folder, Environment{}.completed()); };
  expect_the_answers_of_the_model({target.name, open}, target.cheap ? 300 : 30);
}

TEST(DifferentialBindings, databases_in_stores_of_three_kinds_give_the_answers_of_the_model) {
  const auto open = [](const std::string& folder) {
    Config config;
    config.store = "memory:";
    config.databases = {{kDatabases[1], "sqlite:" + folder + "/one.db"},
                        {kDatabases[2], "file:" + folder + "/two"}};
    return open_backend(config, Environment{}.completed());
  };
  expect_the_answers_of_the_model({"bound", open}, 30);
}

TEST(Shrinking, leaves_the_steps_without_which_a_program_does_not_fail) {
  const auto drops = [](const std::vector<Step>& steps) {
    return std::ranges::count(steps, Step::Kind::drop, &Step::kind);
  };
  // Which steps a seed stands for depends on the compiler.
  std::vector<Step> program;
  for (std::uint64_t seed = 1; drops(program) <= 2; ++seed) program = random_program(seed, kSteps);
  const std::vector<Step> shrunk =
      shrink(program, [&](const std::vector<Step>& shorter) { return drops(shorter) >= 2; });
  EXPECT_EQ(shrunk.size(), 2u);
  EXPECT_EQ(drops(shrunk), 2);
}

INSTANTIATE_TEST_SUITE_P(Backends, Differential, testing::ValuesIn(testing_support::targets()),
                         [](const auto& test) { return test.param.test_name(); });

}  // namespace
}  // namespace holdfast::differential
