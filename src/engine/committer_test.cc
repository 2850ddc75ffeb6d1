#include "engine/committer.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/scripted_backend.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

Batch put(View key, View value = "v") { return {{}, {Write::put(key, value)}}; }
Batch put_if_absent(View key) { return {{Check::absent(key)}, {Write::put(key, "v")}}; }

/// What a call came to: its outcome or its error.
struct Answer {
  std::optional<Outcome> outcome;
  std::optional<Error> error;
};

/// Holds one commit call back from within its step.
class HeldCall {
 public:
  void hold() {
    entered_.set_value();
    leave_.get_future().wait();
  }
  void wait_until_held() { entered_.get_future().wait(); }
  void release() { leave_.set_value(); }

 private:
  std::promise<void> entered_;
  std::promise<void> leave_;
};

class CommitterTest : public testing::Test, public ScriptedWorld {
 protected:
  /// A caller with a thread of its own.
  std::future<Answer> commit(Batch batch, milliseconds timeout = milliseconds(10'000), View name = "db") {
    return std::async(std::launch::async,
                      [this, batch = std::move(batch), deadline = in(timeout), name = Bytes(name)] {
                        Answer answer;
                        try {
                          answer.outcome = handle(name).commit(batch, deadline);
                        } catch (const Error& error) {
                          answer.error = error;
                        }
                        return answer;
                      });
  }
  /// Makes the history of a database known, so that commits need no read.
  void know(View name = "db") { handle(name).put("known", ""); }
  void advance_until_ready(std::future<Answer>& answer) {
    while (answer.wait_for(milliseconds(1)) != std::future_status::ready) clock->advance(milliseconds(1));
  }
  /// A first call that is held back, so that the next callers have to wait for the next call.
  std::future<Answer> occupy(milliseconds timeout = milliseconds(10'000), View name = "db") {
    const std::size_t before = backend->calls().size();
    backend->hold();
    auto answer = commit(put("occupied"), timeout, name);
    backend->wait_for_calls(before + 1);
    return answer;
  }
};

TEST_F(CommitterTest, AFirstCommitReadsFirst) {
  commit(put("k")).get();
  EXPECT_EQ(backend->reads(), 1u);
  ASSERT_EQ(backend->calls().size(), 1u);
  EXPECT_EQ(backend->calls()[0][0].history, 0u);
}

TEST_F(CommitterTest, LaterCommitsSendTheHistory) {
  handle().put("a", "");
  handle().put("b", "");
  EXPECT_EQ(backend->reads(), 1u);
  EXPECT_EQ(backend->calls()[1][0].history, handle().position().history);
}

TEST_F(CommitterTest, GroupsOfASessionAreNumberedWithoutGaps) {
  for (int i = 0; i < 3; ++i) handle().put("k", std::to_string(i));
  const auto calls = backend->calls();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(calls[i][0].number, i + 1);
    EXPECT_EQ(calls[i][0].session, calls[0][0].session);
  }
}

TEST_F(CommitterTest, CallersThatWaitForACallShareTheNext) {
  know();
  auto first = occupy();
  std::vector<std::future<Answer>> others;
  for (int i = 0; i < 20; ++i) others.push_back(commit(put("k" + std::to_string(i))));
  wait_for_queued(20);
  backend->release();
  EXPECT_EQ(first.get().outcome.value().seq, 2u);
  for (auto& other : others) EXPECT_TRUE(other.get().outcome.value().committed());
  ASSERT_EQ(backend->calls().size(), 3u);
  EXPECT_EQ(backend->calls()[2][0].batches, 20u);
}

TEST_F(CommitterTest, OneCallOfALaneIsInFlightAtATime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      for (int n = 0; n < 200; ++n) handle("db" + std::to_string(i % 3)).put("k", std::to_string(n));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(backend->most_at_once(), 1u);
}

TEST_F(CommitterTest, LanesRunInParallel) {
  know("lane-a");
  know("lane-b");
  auto held = occupy(milliseconds(10'000), "lane-a");
  auto other = commit(put("k"), milliseconds(10'000), "lane-b");
  backend->wait_for_calls(4);
  EXPECT_EQ(backend->most_at_once(), 2u);
  backend->release();
  EXPECT_TRUE(held.get().outcome.value().committed());
  EXPECT_TRUE(other.get().outcome.value().committed());
}

TEST_F(CommitterTest, OneCallCarriesGroupsOfManyDatabases) {
  for (int i = 0; i < 5; ++i) know("db" + std::to_string(i));
  auto first = occupy(milliseconds(10'000), "db0");
  std::vector<std::future<Answer>> others;
  for (int i = 0; i < 5; ++i)
    others.push_back(commit(put("k"), milliseconds(10'000), "db" + std::to_string(i)));
  wait_for_queued(5, "db0");
  backend->release();
  for (auto& other : others) EXPECT_TRUE(other.get().outcome.value().committed());
  EXPECT_EQ(backend->calls().back().size(), 5u);
}

TEST_F(CommitterTest, BatchesThatInterfereGoToLaterGroups) {
  know();
  auto first = occupy();
  auto winner = commit(put_if_absent("k"));
  wait_for_queued(1);
  auto loser = commit(put_if_absent("k"));
  wait_for_queued(2);
  auto bystander = commit(put("j"));
  wait_for_queued(3);
  backend->release();
  EXPECT_TRUE(winner.get().outcome.value().committed());
  EXPECT_EQ(loser.get().outcome.value().failed_check, 0u);
  EXPECT_TRUE(bystander.get().outcome.value().committed());
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_EQ(calls[2][0].batches, 2u);
  EXPECT_EQ(calls[3][0].batches, 1u);
}

TEST_F(CommitterTest, AGroupHoldsAtMostEightMebibytes) {
  know();
  auto first = occupy();
  const Bytes value(1'000'000, 'x');
  std::vector<std::future<Answer>> others;
  for (int i = 0; i < 12; ++i) others.push_back(commit(put("k" + std::to_string(i), value)));
  wait_for_queued(12);
  backend->release();
  for (auto& other : others) EXPECT_TRUE(other.get().outcome.value().committed());
  EXPECT_EQ(backend->calls()[2][0].batches, 8u);
  EXPECT_EQ(backend->calls()[3][0].batches, 4u);
}

TEST_F(CommitterTest, ADatabaseWithALongQueueDoesNotKeepAnotherWaiting) {
  know("busy");
  know("quiet");
  auto first = occupy(milliseconds(10'000), "busy");
  const Bytes value(1'000'000, 'x');
  std::vector<std::future<Answer>> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(commit(put("k" + std::to_string(i), value), milliseconds(10'000), "busy"));
  }
  wait_for_queued(20, "busy");
  auto quiet = commit(put("k"), milliseconds(10'000), "quiet");
  wait_for_queued(21, "busy");
  backend->release();
  EXPECT_TRUE(quiet.get().outcome.value().committed());
  for (auto& other : others) other.get();
  const auto calls = backend->calls();
  ASSERT_EQ(calls[3].size(), 2u) << "the next call carries both databases";
  EXPECT_EQ(calls[3][1].database, "quiet");
}

// ---- Deadlines

TEST_F(CommitterTest, ACallerWhoseBatchWasNotSentGetsTimeoutWithNothingApplied) {
  know();
  auto first = occupy();
  auto late = commit(put("late"), milliseconds(50));
  wait_for_queued(1);
  clock->advance(milliseconds(51));
  const Answer answer = late.get();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error.value().code(), Code::timeout);
  EXPECT_EQ(answer.error.value().retry(), Retry::backoff);
  backend->release();
  first.get();
  EXPECT_FALSE(handle().get("late"));
  EXPECT_EQ(backend->calls().size(), 2u);
}

TEST_F(CommitterTest, AFollowerOfASlowCallLeavesAtItsDeadline) {
  know();
  auto first = occupy();
  // The next call, with both batches, is held back by its step.
  HeldCall call;
  backend->script([&](ScriptedBackend& scripted, std::span<Group> groups) {
    call.hold();
    scripted.inner().commit(groups);
  });
  auto leader = commit(put("a"), milliseconds(60'000));
  wait_for_queued(1);
  auto follower = commit(put("b"), milliseconds(50));
  wait_for_queued(2);
  backend->release();
  first.get();
  call.wait_until_held();
  clock->advance(milliseconds(51));
  const Answer answer = follower.get();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error.value().code(), Code::timeout);
  EXPECT_EQ(answer.error.value().retry(), Retry::unknown_outcome);
  call.release();
  EXPECT_TRUE(leader.get().outcome.value().committed());
  EXPECT_TRUE(handle().get("b")) << "it was sent, and may be applied";
}

TEST_F(CommitterTest, AnotherCallerGoesOnWhenTheLeadersDeadlineHasPassed) {
  know();
  auto first = occupy();
  HeldCall call;
  backend->script([&](ScriptedBackend& scripted, std::span<Group> groups) {
    call.hold();
    lose_answer(scripted, groups);
  });
  auto leader = commit(put("a"), milliseconds(50));
  wait_for_queued(1);
  auto follower = commit(put("b"), milliseconds(60'000));
  wait_for_queued(2);
  backend->release();
  first.get();
  call.wait_until_held();
  clock->advance(milliseconds(51));
  call.release();
  EXPECT_EQ(leader.get().error.value().retry(), Retry::unknown_outcome);
  EXPECT_TRUE(follower.get().outcome.value().committed());
  const auto calls = backend->calls();
  EXPECT_TRUE(calls.back()[0].retry);
  EXPECT_EQ(calls.back()[0].batches, 2u);
}

TEST_F(CommitterTest, ABatchIsSentAgainWhenOnlyTheLeadersDeadlineHasPassed) {
  know();
  auto first = occupy();
  backend->script([&](ScriptedBackend&, std::span<Group> groups) {
    clock->advance(milliseconds(51));
    groups[0].error = Error(Code::timeout, "not sent in time");
  });
  auto leader = commit(put("a"), milliseconds(50));
  wait_for_queued(1);
  auto follower = commit(put("b"), milliseconds(60'000));
  wait_for_queued(2);
  backend->release();
  first.get();
  const Answer answer = leader.get();
  EXPECT_EQ(answer.error.value().code(), Code::timeout);
  EXPECT_EQ(answer.error.value().retry(), Retry::backoff);
  EXPECT_TRUE(follower.get().outcome.value().committed());
  EXPECT_EQ(backend->calls().back()[0].batches, 1u);
}

// ---- Unknown outcomes

TEST_F(CommitterTest, ALostAnswerIsAskedForAgainWithTheSameNumberAndContent) {
  know();
  backend->script(lose_answer);
  const Answer answer = commit(put_if_absent("k")).get();
  ASSERT_TRUE(answer.outcome);
  EXPECT_EQ(answer.outcome.value().seq, 2u) << "applied once, by the first copy";
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_FALSE(calls[1][0].retry);
  EXPECT_TRUE(calls[2][0].retry);
  EXPECT_EQ(calls[1][0].number, calls[2][0].number);
  EXPECT_EQ(calls[1][0].session, calls[2][0].session);
  EXPECT_EQ(calls[1][0].content_hash, calls[2][0].content_hash);
}

TEST_F(CommitterTest, ARetriedGroupIsNotMergedWithBatchesThatCameLater) {
  know();
  auto first = occupy();
  backend->script(
      [&](ScriptedBackend& scripted, std::span<Group> groups) { lose_request(scripted, groups); });
  auto lost = commit(put("a"));
  wait_for_queued(1);
  backend->release();
  first.get();
  lost.get();
  auto later = commit(put("b"));
  later.get();
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 5u);
  EXPECT_EQ(calls[3][0].batches, 1u);
  EXPECT_EQ(calls[3][0].number, calls[2][0].number);
}

TEST_F(CommitterTest, WhileOneDatabaseIsUnresolvedOthersOfTheLaneCommit) {
  know("a");
  know("b");
  for (int i = 0; i < 2; ++i) backend->script(lose_request);
  auto stuck = commit(put("k"), milliseconds(10'000), "a");
  backend->wait_for_calls(4);
  // The third attempt waits for the clock; meanwhile:
  EXPECT_TRUE(commit(put("k"), milliseconds(10'000), "b").get().outcome.value().committed());
  advance_until_ready(stuck);
  EXPECT_TRUE(stuck.get().outcome.value().committed());
}

TEST_F(CommitterTest, RetriesBackOffMoreAndMore) {
  know();
  std::vector<Deadline> sent_at;
  for (int i = 0; i < 4; ++i) {
    backend->script([&](ScriptedBackend& scripted, std::span<Group> groups) {
      sent_at.push_back(clock->steady_now());
      lose_request(scripted, groups);
    });
  }
  auto stuck = commit(put("k"));
  advance_until_ready(stuck);
  EXPECT_TRUE(stuck.get().outcome.value().committed());
  ASSERT_EQ(sent_at.size(), 4u);
  EXPECT_GE(sent_at[2] - sent_at[1], milliseconds(2));
  EXPECT_GE(sent_at[3] - sent_at[2], milliseconds(4));
}

TEST_F(CommitterTest, WhenAllCallersHaveLeftTheSessionIsAbandoned) {
  know();
  std::promise<void> lost;
  backend->script(lose_request);
  backend->script([&](ScriptedBackend& scripted, std::span<Group> groups) {
    lose_request(scripted, groups);
    lost.set_value();
  });
  auto stuck = commit(put("k"), milliseconds(50));
  lost.get_future().wait();
  clock->advance(milliseconds(50));
  advance_until_ready(stuck);
  const Answer answer = stuck.get();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error.value().retry(), Retry::unknown_outcome);
  handle().put("next", "");
  const auto calls = backend->calls();
  EXPECT_NE(calls.back()[0].session, calls[1][0].session);
  EXPECT_EQ(calls.back()[0].number, 1u);
}

TEST_F(CommitterTest, ARetryThatIsRefusedForNowIsTriedAgain) {
  know();
  backend->script(lose_answer);
  backend->script(fail_with(Error(Code::unavailable, "cannot connect")));
  auto answer = commit(put_if_absent("k"));
  advance_until_ready(answer);
  EXPECT_TRUE(answer.get().outcome.value().committed());
}

TEST_F(CommitterTest, AnErrorThatIsFinalForARetryIsAnUnknownOutcome) {
  know();
  backend->script(lose_answer);
  backend->script(fail_with(Error(Code::permission_denied, "revoked")));
  const Answer answer = commit(put("k")).get();
  EXPECT_EQ(answer.error.value().code(), Code::permission_denied);
  EXPECT_EQ(answer.error.value().retry(), Retry::unknown_outcome);
}

TEST_F(CommitterTest, AnErrorOfAFirstSendIsReportedAsItIs) {
  know();
  backend->script(fail_with(Error(Code::unavailable, "frozen")));
  const Answer answer = commit(put("k")).get();
  EXPECT_EQ(answer.error.value().code(), Code::unavailable);
  EXPECT_EQ(answer.error.value().retry(), Retry::backoff);
  EXPECT_EQ(backend->calls().size(), 2u);
}

TEST_F(CommitterTest, AnErrorOfOneGroupLeavesItsNeighbourAlone) {
  know("a");
  know("b");
  auto first = occupy(milliseconds(10'000), "a");
  backend->script([](ScriptedBackend& scripted, std::span<Group> groups) {
    scripted.inner().commit(groups.subspan(1));
    groups[0].error = Error(Code::unavailable, "full");
  });
  auto failed = commit(put("k"), milliseconds(10'000), "a");
  wait_for_queued(1, "a");
  auto fine = commit(put("k"), milliseconds(10'000), "b");
  wait_for_queued(2, "a");
  backend->release();
  EXPECT_EQ(failed.get().error.value().code(), Code::unavailable);
  EXPECT_TRUE(fine.get().outcome.value().committed());
}

TEST_F(CommitterTest, ABackendThatThrowsLeavesAnUnknownOutcome) {
  know();
  backend->script([](ScriptedBackend&, std::span<Group>) { throw std::runtime_error("broken"); });
  auto answer = commit(put("k"));
  EXPECT_TRUE(answer.get().outcome.value().committed()) << "resolved by the retry";
}

// ---- Sessions

TEST_F(CommitterTest, AfterASessionConflictOfAFirstSendANewSessionSendsAgain) {
  know();
  backend->script(fail_with(Error(Code::session_conflict, "shared")));
  EXPECT_TRUE(commit(put("k")).get().outcome.value().committed());
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_NE(calls[1][0].session, calls[2][0].session);
  EXPECT_EQ(calls[2][0].number, 1u);
  EXPECT_FALSE(calls[2][0].retry);
}

TEST_F(CommitterTest, ASessionConflictOfARetryIsAnUnknownOutcome) {
  know();
  backend->script(lose_request);
  backend->script(fail_with(Error(Code::session_conflict, "shared")));
  const Answer answer = commit(put("k")).get();
  EXPECT_EQ(answer.error.value().retry(), Retry::unknown_outcome);
}

TEST_F(CommitterTest, ASessionUnusedForADayIsAbandoned) {
  know();
  clock->advance(std::chrono::hours(23));
  handle().put("a", "");
  clock->advance(std::chrono::hours(24));
  handle().put("b", "");
  const auto calls = backend->calls();
  EXPECT_EQ(calls[0][0].session, calls[1][0].session);
  EXPECT_NE(calls[1][0].session, calls[2][0].session);
}

// ---- Histories

TEST_F(CommitterTest, ABlindCommitGoesOnInANewHistory) {
  know();
  const Position before = handle().position();
  ASSERT_TRUE(backend->inner().drop("db", before.history, {}));
  EXPECT_TRUE(commit(put("k")).get().outcome.value().committed());
  EXPECT_NE(handle().position().history, before.history);
}

TEST_F(CommitterTest, APutIfAbsentGoesOnInANewHistory) {
  know();
  ASSERT_TRUE(backend->inner().drop("db", handle().position().history, {}));
  EXPECT_TRUE(commit(put_if_absent("k")).get().outcome.value().committed());
}

TEST_F(CommitterTest, ACommitThatChecksAVersionFailsWhenTheHistoryHasChanged) {
  know();
  ASSERT_TRUE(backend->inner().drop("db", handle().position().history, {}));
  const Answer answer = commit({{Check::has_version("known", 1)}, {Write::put("known", "2")}}).get();
  EXPECT_EQ(answer.error.value().code(), Code::history_changed);
  EXPECT_EQ(answer.error.value().retry(), Retry::now);
}

// ---- Closing

TEST_F(CommitterTest, CloseWaitsForTheCallInFlightAndRefusesWhatWasNotSent) {
  know();
  auto in_flight = occupy();
  auto waiting = commit(put("k"));
  wait_for_queued(1);
  std::thread closer([this] { engine->close(); });
  const Answer refused = waiting.get();
  EXPECT_EQ(refused.error.value().code(), Code::closed);
  EXPECT_EQ(refused.error.value().retry(), Retry::never);
  backend->release();
  EXPECT_TRUE(in_flight.get().outcome.value().committed());
  closer.join();
}

TEST_F(CommitterTest, CloseTellsCallersOfAnUnresolvedGroupThatTheOutcomeIsUnknown) {
  know();
  for (int i = 0; i < 2; ++i) backend->script(lose_request);
  auto stuck = commit(put("k"));
  backend->wait_for_calls(3);
  engine->close();
  const Answer answer = stuck.get();
  EXPECT_EQ(answer.error.value().retry(), Retry::unknown_outcome);
}

}  // namespace
}  // namespace holdfast
