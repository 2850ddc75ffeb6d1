// Many threads, and several processes where the backend is shared by them, on one database; then the whole
// history is checked. HOLDFAST_SEED=n sets the seed, HOLDFAST_OPERATIONS=n how many operations each run has.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "histories/history.h"
#include "histories/workload.h"
#include "support/settings.h"
#include "support/targets.h"

namespace holdfast::histories {
namespace {

using testing_support::Target;

std::uint64_t seed() {
  static const std::uint64_t kSeed =
      testing_support::setting("HOLDFAST_SEED", system_random()->next() % 1'000'000);
  return kSeed;
}

/// A layer adds little that can go wrong between threads; its backend has been through all of it. To a server
/// every operation is a round trip.
std::uint64_t operations(const Target& target) {
  const bool has_layer = target.name.find('+') != std::string::npos;
  const bool is_server = target.name.find("{HOLDFAST_TEST_") != std::string::npos;
  return testing_support::setting("HOLDFAST_OPERATIONS", 100'000) / (has_layer || is_server ? 10 : 1);
}

std::string joined(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) out += "  " + sentence + "\n";
  return out;
}

void expect_possible(const History& history) {
  const std::vector<std::string> found = anomalies(history);
  EXPECT_TRUE(found.empty()) << "seed " << seed() << " (HOLDFAST_SEED), " << history.operations.size()
                             << " operations:\n"
                             << joined(found);
}

class Histories : public testing::TestWithParam<Target> {};
class SharedHistories : public testing::TestWithParam<Target> {};

TEST_P(Histories, many_threads_see_one_serial_history) {
  const testing_support::TemporaryFolder folder;
  const auto store = Store::open(GetParam().url(folder.path()));
  expect_possible(
      run(*store, {.seed = seed(), .threads = 32, .operations = operations(GetParam()), .watches = 3}));
}

/// In a child process: no test framework, no exit handlers.
[[noreturn]] void run_child(const Target& target, const std::string& folder, std::size_t number,
                            std::size_t count) {
  try {
    const auto store = Store::open(target.url(folder));
    const History history =
        run(*store, {.seed = seed() * 100 + number, .threads = 4, .operations = count, .watches = 1});
    std::ofstream out(folder + "/history-" + std::to_string(number), std::ios::binary);
    history.write(out);
    store->close();
    out.close();
    _exit(out ? 0 : 2);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child %zu: %s\n", number, error.what());
    _exit(1);
  }
}

TEST_P(SharedHistories, several_processes_see_one_serial_history) {
  constexpr std::size_t kProcesses = 4;
  const testing_support::TemporaryFolder folder;
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) run_child(GetParam(), folder.path(), i, operations(GetParam()) / kProcesses);
    children.push_back(child);
  }
  History history;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    int status = 0;
    ASSERT_EQ(waitpid(children[i], &status, 0), children[i]);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "process " << i << " ended with " << status;
    std::ifstream in(folder.path() + "/history-" + std::to_string(i), std::ios::binary);
    history.append(History::read(in));
  }
  expect_possible(history);
}

std::vector<Target> shared_targets() {
  std::vector<Target> shared;
  for (const Target& target : testing_support::targets()) {
    if (target.shared) shared.push_back(target);
  }
  return shared;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedHistories);
INSTANTIATE_TEST_SUITE_P(Backends, Histories, testing::ValuesIn(testing_support::targets()),
                         [](const auto& test) { return test.param.test_name(); });
INSTANTIATE_TEST_SUITE_P(Backends, SharedHistories, testing::ValuesIn(shared_targets()),
                         [](const auto& test) { return test.param.test_name(); });

}  // namespace
}  // namespace holdfast::histories
