#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "contract/forwarding.h"
#include "holdfast/layers.h"
#include "holdfast/open.h"
#include "layers/test_client.h"

namespace holdfast {
namespace {

class FaultyLayer : public testing::Test {
 protected:
  /// A faulty layer over the store, which can also be reached without it.
  std::unique_ptr<Backend> layer(Faults faults) {
    return faulty(std::make_unique<ForwardingBackend>(store), faults, environment);
  }

  const std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  const Environment environment = Environment{clock, seeded_random(1), nullptr}.completed();
  const std::shared_ptr<Backend> store = open_backend("memory:", environment);
  TestClient direct{*store, environment, "agents", 77};
};

TEST_F(FaultyLayer, WithoutRatesChangesNothing) {
  const auto backend = layer({});
  TestClient client(*backend, environment, "agents");
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(client.put("k", "v").error);
  EXPECT_EQ(direct.position().seq, 100u);
}

TEST_F(FaultyLayer, FailsCallsBeforeTheyArePassedOn) {
  const auto backend = layer({.error_per_mille = 1000});
  Group group = direct.group({{{}, {Write::put("k", "v")}}});
  group.number = 1;
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::unavailable);
  EXPECT_EQ(group.error->retry(), Retry::backoff);
  EXPECT_TRUE(group.outcomes.empty());
  EXPECT_EQ(direct.position().seq, 0u);
  EXPECT_THROW(backend->read("agents", {}), Error);
  EXPECT_THROW(backend->databases("", "", 1, {}), Error);
  EXPECT_TRUE(backend->wait(std::vector<Cursor>{{"agents", {}}}, direct.soon()).empty());
}

TEST_F(FaultyLayer, NeverTellsARetryThatItWasNotApplied) {
  const auto backend = layer({.error_per_mille = 1000});
  Group group = direct.group({{{}, {Write::put("k", "v")}}});
  group.retry = true;
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
}

TEST_F(FaultyLayer, LosesTheAnswerOfACommitThatWasApplied) {
  const auto backend = layer({.lost_answer_per_mille = 1000});
  Group group = direct.group({{{}, {Write::put("k", "v")}}});
  backend->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->code(), Code::timeout);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
  EXPECT_TRUE(group.outcomes.empty());
  EXPECT_EQ(direct.value("k"), "v");

  // The retry, by a way that loses nothing, is told what became of the first copy.
  const Group answered = retried(*store, group);
  ASSERT_FALSE(answered.error);
  EXPECT_EQ(answered.outcomes.at(0).seq, 1u);
  EXPECT_EQ(direct.position().seq, 1u);
}

/// Keeps what it is given.
class Recorder final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;
  void commit(std::span<Group> groups) override {
    inner().commit(groups);
    seen.insert(seen.end(), groups.begin(), groups.end());
  }
  std::vector<Group> seen;
};

TEST_F(FaultyLayer, PassesAParkedCopyOnLaterAndTheSessionRefusesIt) {
  const auto recorder = std::make_shared<Recorder>(store);
  const auto parking =
      faulty(std::make_unique<ForwardingBackend>(recorder), {.parked_copy_per_mille = 1000}, environment);
  direct.put("k", "before");
  Group group = direct.group({{{}, {Write::put("k", "parked")}}});
  parking->commit({&group, 1});
  ASSERT_TRUE(group.error);
  EXPECT_EQ(group.error->retry(), Retry::unknown_outcome);
  EXPECT_TRUE(recorder->seen.empty());
  EXPECT_EQ(direct.value("k"), "before");

  ASSERT_FALSE(retried(*store, group).error);
  direct.put("k", "after");
  for (int call = 0; call < 9; ++call) parking->commit({});
  ASSERT_EQ(recorder->seen.size(), 1u);
  EXPECT_FALSE(recorder->seen[0].retry);
  EXPECT_EQ(recorder->seen[0].number, group.number);
  ASSERT_TRUE(recorder->seen[0].error);
  EXPECT_EQ(recorder->seen[0].error->code(), Code::session_conflict);
  EXPECT_EQ(direct.value("k"), "after");
}

TEST_F(FaultyLayer, FailsEachGroupOfACallForItself) {
  const auto backend = layer({.seed = 5, .error_per_mille = 300, .lost_answer_per_mille = 300});
  std::vector<Group> groups;
  for (int i = 0; i < 40; ++i) {
    groups.push_back(
        TestClient(*store, environment, "db" + std::to_string(i)).group({{{}, {Write::put("k", "v")}}}));
  }
  backend->commit(groups);
  int refused = 0;
  int unknown = 0;
  int answered = 0;
  for (const Group& group : groups) {
    const bool is_applied = TestClient(*store, environment, group.database).position().seq == 1;
    if (!group.error) {
      ++answered;
      EXPECT_TRUE(is_applied);
      EXPECT_EQ(group.outcomes.size(), 1u);
    } else if (group.error->retry() == Retry::unknown_outcome) {
      ++unknown;
      EXPECT_TRUE(is_applied);
    } else {
      ++refused;
      EXPECT_FALSE(is_applied);
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(unknown, 0);
  EXPECT_GT(answered, 0);
}

TEST_F(FaultyLayer, FollowsFromItsSeedAndTheOrderOfCalls) {
  const auto faults_of = [&](std::uint64_t seed) {
    const auto backend = faulty(
        open_backend("memory:", environment),
        {.seed = seed, .error_per_mille = 200, .lost_answer_per_mille = 200, .parked_copy_per_mille = 200},
        environment);
    TestClient client(*store, environment, "agents", seed);
    std::string text;
    for (int i = 0; i < 200; ++i) {
      Group group = client.group({{{}, {Write::put("k", "v")}}});
      group.history = 0;
      backend->commit({&group, 1});
      text += !group.error ? '.' : group.error->retry() == Retry::backoff ? 'e' : '?';
    }
    return text;
  };
  EXPECT_EQ(faults_of(3), faults_of(3));
  EXPECT_NE(faults_of(3), faults_of(4));
}

TEST_F(FaultyLayer, DelaysByTheInjectedClock) {
  const auto backend = layer({.delay_per_mille = 1000, .max_delay = std::chrono::milliseconds(50)});
  ReadRequest request;
  request.deadline = direct.soon();
  auto answer = std::async(std::launch::async, [&] { return backend->read("agents", request); });
  while (clock->waiting() == 0) std::this_thread::yield();
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  clock->advance(std::chrono::milliseconds(50));
  EXPECT_EQ(answer.get().at, (Position{}));
}

TEST_F(FaultyLayer, NeverDelaysBeyondTheDeadline) {
  const auto backend = layer({.delay_per_mille = 1000, .max_delay = std::chrono::hours(1)});
  ReadRequest request;
  request.deadline = clock->steady_now();
  EXPECT_EQ(backend->read("agents", request).at, (Position{}));
}

TEST_F(FaultyLayer, RefusesRatesThatAreNone) {
  EXPECT_THROW(layer({.error_per_mille = 1001}), Error);
  EXPECT_THROW(layer({.parked_copy_per_mille = -1}), Error);
}

TEST_F(FaultyLayer, ForgetsAParkedFirstCommitWhenTheDatabaseIsDropped) {
  const auto parking = layer({.parked_copy_per_mille = 1000});
  Group group = direct.group({{{}, {Write::put("k", "v")}}});
  ASSERT_EQ(group.history, 0u);
  parking->commit({&group, 1});
  ASSERT_FALSE(retried(*store, group).error);
  ASSERT_TRUE(parking->drop("agents", direct.position().history, direct.soon()));
  for (int call = 0; call < 9; ++call) parking->commit({});
  EXPECT_EQ(direct.position(), (Position{}));
}

}  // namespace
}  // namespace holdfast
