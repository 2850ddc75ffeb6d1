// Database::submit: batches that nobody waits for.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/scripted_backend.h"
#include "holdfast/limits.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

Batch put_batch(View key, View value = "v") { return {{}, {Write::put(key, value)}}; }
Batch put_if_absent_batch(View key) { return {{Check::absent(key)}, {Write::put(key, "v")}}; }

/// What a submitted batch is told, however often.
class Reply {
 public:
  CommitDone done() const {
    return [state = state_](CommitResult result) {
      // With the lock held: whoever waits may go at once.
      const std::scoped_lock lock(state->mutex);
      ++state->times;
      state->result = std::move(result);
      state->came.notify_all();
    };
  }
  CommitResult get() const {
    std::unique_lock lock(state_->mutex);
    state_->came.wait(lock, [this] { return state_->times > 0; });
    return *state_->result;
  }
  int times() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->times;
  }
  bool is_unanswered() const { return times() == 0; }
  /// Whether the answer comes without anybody moving the clock.
  bool comes_soon() const {
    std::unique_lock lock(state_->mutex);
    return state_->came.wait_for(lock, std::chrono::seconds(20), [this] { return state_->times > 0; });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable came;
    std::optional<CommitResult> result;
    int times = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Holds the first read back.
class HeldRead {
 public:
  explicit HeldRead(ScriptedBackend& backend) {
    backend.before_read = [this](const ReadRequest&) {
      if (is_first_.exchange(false)) {
        entered_.set_value();
        leave_.get_future().wait();
      }
    };
  }
  void wait_until_held() { entered_.get_future().wait(); }
  void release() { leave_.set_value(); }

 private:
  std::atomic<bool> is_first_ = true;
  std::promise<void> entered_;
  std::promise<void> leave_;
};

class SubmitTest : public testing::Test, public ScriptedWorld {
 protected:
  Reply submit(Batch batch, milliseconds timeout = milliseconds(10'000), View name = "db") {
    Reply answer;
    handle(name).submit(std::move(batch), answer.done(), in(timeout));
    return answer;
  }
  /// Makes the history of a database known.
  void know(View name = "db") { handle(name).put("known", ""); }
  /// A first call that is held back, so that what comes next waits for the next call.
  Reply occupy(milliseconds timeout = milliseconds(10'000), View name = "db") {
    const std::size_t before = backend->calls().size();
    backend->hold();
    Reply answer = submit(put_batch("occupied"), timeout, name);
    backend->wait_for_calls(before + 1);
    return answer;
  }
  void advance_until_answered(const Reply& answer) {
    while (answer.is_unanswered()) {
      clock->advance(milliseconds(1));
      std::this_thread::yield();
    }
  }
};

TEST_F(SubmitTest, ABatchIsCommittedAndItsOutcomeTold) {
  know();
  const Reply answer = submit(put_batch("k", "value"));
  EXPECT_EQ(answer.get().get().seq, 2u);
  EXPECT_EQ(handle().get("k").value().value, "value");
  EXPECT_EQ(answer.times(), 1);
}

TEST_F(SubmitTest, AFailedCheckIsAnOutcome) {
  know();
  EXPECT_EQ(submit({{Check::absent("known")}, {Write::put("known", "2")}}).get().get().failed_check, 0u);
}

TEST_F(SubmitTest, ChecksThatContradictEachOtherAreAnsweredWithoutACall) {
  know();
  const Reply answer = submit({{Check::absent("k"), Check::has_version("k", 7)}, {Write::put("k", "")}});
  EXPECT_EQ(answer.times(), 1);
  EXPECT_EQ(answer.get().get().failed_check, 1u);
  EXPECT_EQ(backend->calls().size(), 1u);
}

TEST_F(SubmitTest, ABatchThatIsNoneIsRefusedAtOnceAndNeverAnswered) {
  const Reply answer;
  EXPECT_THROW(handle().submit(put_batch("!engine"), answer.done()), Error);
  EXPECT_THROW(handle().submit(put_batch(""), answer.done()), Error);
  EXPECT_THROW(handle().submit(put_batch("k", Bytes(limits::kValueBytes + 1, 'x')), answer.done()), Error);
  engine->close();
  EXPECT_EQ(answer.times(), 0);
}

TEST_F(SubmitTest, TheFirstBatchesOfADatabaseAreReadForOnceAndNotByTheirCaller) {
  HeldRead read(*backend);
  const Reply first = submit(put_batch("a"));
  const Reply second = submit(put_batch("b"));
  read.wait_until_held();
  const Reply third = submit(put_batch("c"));
  EXPECT_TRUE(backend->calls().empty());
  read.release();
  for (const Reply& answer : {first, second, third}) EXPECT_TRUE(answer.get().get().committed());
  EXPECT_EQ(backend->reads(), 1u);
}

TEST_F(SubmitTest, AFirstBatchWhoseReadHangsIsToldTimeoutAtItsDeadline) {
  HeldRead read(*backend);
  const Reply late = submit(put_batch("a"), milliseconds(50));
  const Reply patient = submit(put_batch("b"), milliseconds(60'000));
  read.wait_until_held();
  clock->advance(milliseconds(51));
  EXPECT_EQ(late.get().error.value().code(), Code::timeout);
  EXPECT_EQ(late.get().error.value().retry(), Retry::backoff);
  read.release();
  EXPECT_TRUE(patient.get().get().committed());
  EXPECT_FALSE(handle().get("a"));
}

TEST_F(SubmitTest, AFirstReadThatHangsHoldsUpNoOtherDatabaseOfItsLane) {
  know();
  HeldRead read(*backend);
  const Reply held = submit(put_batch("a"), milliseconds(10'000), "held");
  read.wait_until_held();
  EXPECT_TRUE(submit(put_batch("b")).comes_soon());
  EXPECT_TRUE(submit(put_batch("c"), milliseconds(10'000), "fresh").comes_soon());
  EXPECT_TRUE(held.is_unanswered());
  read.release();
  EXPECT_TRUE(held.get().get().committed());
}

TEST_F(SubmitTest, KnownDatabasesGoOnHoweverManyFirstReadsHang) {
  know();
  std::promise<void> leave;
  backend->before_read = [left = leave.get_future().share()](const ReadRequest&) { left.wait(); };
  std::vector<Reply> held;
  for (int i = 0; i < 100; ++i) {
    held.push_back(submit(put_batch("a"), milliseconds(10'000), "held" + std::to_string(i)));
  }
  EXPECT_TRUE(submit(put_batch("b")).comes_soon());
  leave.set_value();
  for (const Reply& reply : held) EXPECT_TRUE(reply.get().get().committed());
}

TEST_F(SubmitTest, BlockedCallersCommitWhileAnotherDatabaseIsReadFor) {
  know();
  backend->hold();
  std::thread leader([&] { handle().put("led", ""); });
  backend->wait_for_calls(2);
  const Reply submitted = submit(put_batch("a"));
  // Long enough for the lane's thread to become the one that leads next.
  std::this_thread::sleep_for(milliseconds(20));
  HeldRead read(*backend);
  const Reply first = submit(put_batch("b"), milliseconds(10'000), "fresh");
  backend->release();
  leader.join();
  read.wait_until_held();
  auto caller = std::async(std::launch::async, [&] { return handle().put("c", ""); });
  EXPECT_EQ(caller.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  read.release();
  EXPECT_TRUE(submitted.get().get().committed());
  EXPECT_TRUE(first.get().get().committed());
}

TEST_F(SubmitTest, KnownDatabasesGoOnHoweverManyNewOnesAreReadFor) {
  know();
  // Each read makes the next one needed, until the known database has been committed to.
  constexpr int kNew = 20'000;
  std::vector<Reply> fresh(kNew);
  std::atomic<int> made = 0;
  std::atomic<bool> has_gone_on = false;
  const auto submit_to_new = [&] {
    const int number = made++;
    handle("new" + std::to_string(number))
        .submit(put_batch("a"), fresh[static_cast<std::size_t>(number)].done(), in(milliseconds(10'000)));
  };
  Reply known;
  int made_before_known = kNew;
  backend->before_read = [&](const ReadRequest&) {
    if (made == 1) {
      handle().submit(
          put_batch("b"),
          [&, done = known.done()](CommitResult result) {
            made_before_known = made;
            has_gone_on = true;
            done(std::move(result));
          },
          in(milliseconds(10'000)));
    }
    if (made < kNew && !has_gone_on) submit_to_new();
  };
  submit_to_new();
  EXPECT_TRUE(known.get().get().committed());
  EXPECT_LT(made_before_known, kNew);
  for (int i = 0; i < made; ++i) {
    EXPECT_TRUE(fresh[static_cast<std::size_t>(i)].get().get().committed());
  }
  backend->before_read = nullptr;
}

TEST_F(SubmitTest, FirstBatchesAreToldWhyTheirReadFailed) {
  std::atomic<int> failures = 0;
  backend->before_read = [&](const ReadRequest&) {
    if (failures++ == 0) throw Error(Code::unavailable, "cannot connect");
  };
  EXPECT_EQ(submit(put_batch("a")).get().error.value().code(), Code::unavailable);
  EXPECT_TRUE(submit(put_batch("a")).get().get().committed());
}

TEST_F(SubmitTest, CloseTellsFirstBatchesThatTheStoreIsClosed) {
  HeldRead read(*backend);
  const Reply answer = submit(put_batch("a"));
  read.wait_until_held();
  std::thread closer([this] { engine->close(); });
  EXPECT_EQ(answer.get().error.value().code(), Code::closed);
  read.release();
  closer.join();
}

TEST_F(SubmitTest, AFirstBatchMayCheckAVersionOfAHistoryThatIsThere) {
  Group group;
  group.database = "db";
  group.session = {1, 2};
  group.number = 1;
  group.batches = {put_batch("k")};
  backend->inner().commit({&group, 1});
  ASSERT_FALSE(group.error);
  const Reply with_version = submit({{Check::has_version("k", 1)}, {Write::put("k", "2")}});
  EXPECT_EQ(with_version.get().get().seq, 2u);
  EXPECT_EQ(handle().get("k").value().value, "2");
}

TEST_F(SubmitTest, WhatIsSubmittedDuringACallSharesTheNext) {
  know();
  const Reply first = occupy();
  std::vector<Reply> others;
  for (int i = 0; i < 20; ++i) others.push_back(submit(put_batch("k" + std::to_string(i))));
  backend->release();
  for (const Reply& other : others) EXPECT_TRUE(other.get().get().committed());
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_EQ(calls[2][0].batches, 20u);
}

TEST_F(SubmitTest, SharesCallsWithBlockedCallers) {
  know();
  const Reply first = occupy();
  const Reply submitted = submit(put_batch("a"));
  Seq seq = 0;
  std::thread caller([&] { seq = handle().put("b", ""); });
  wait_for_queued(2);
  backend->release();
  caller.join();
  EXPECT_NE(seq, 0u);
  EXPECT_TRUE(submitted.get().get().committed());
  EXPECT_EQ(backend->calls().back()[0].batches, 2u);
}

TEST_F(SubmitTest, ABlockedCallerInACallIsJoinedByWhatIsSubmittedMeanwhile) {
  know();
  backend->hold();
  std::thread caller([&] { handle().put("a", ""); });
  backend->wait_for_calls(2);
  const Reply submitted = submit(put_batch("b"));
  EXPECT_TRUE(submitted.is_unanswered());
  backend->release();
  caller.join();
  EXPECT_TRUE(submitted.get().get().committed());
}

TEST_F(SubmitTest, TheLaneGoesOnWhenWhoeverWasToLeadNextHasLeft) {
  know();
  backend->hold();
  std::thread leader([&] { handle().put("led", ""); });
  backend->wait_for_calls(2);
  std::thread next([&] { EXPECT_THROW(handle().commit(put_batch("next"), in(milliseconds(50))), Error); });
  wait_for_queued(1);
  const Reply late = submit(put_batch("late"), milliseconds(50));
  // Long enough for the lane's thread to find that it is not needed.
  std::this_thread::sleep_for(milliseconds(20));
  clock->advance(milliseconds(51));
  next.join();
  EXPECT_EQ(late.get().error.value().code(), Code::timeout);
  backend->release();
  leader.join();
  EXPECT_TRUE(submit(put_batch("after")).comes_soon());
}

TEST_F(SubmitTest, ManyThreadsOfBothKindsLoseNothing) {
  constexpr int kRounds = 30;
  constexpr int kThreads = 8;
  constexpr int kEach = 30;
  std::atomic<int> told = 0;
  // In rounds: what is lost shows where nobody comes after it.
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Reply> last(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Database db = handle("db" + std::to_string(t % 3));
        const Bytes prefix = std::to_string(round) + "/" + std::to_string(t) + "/";
        for (int i = 0; i < kEach; ++i) {
          const Bytes key = prefix + std::to_string(i);
          if (t % 2 == 0) {
            db.put(key, "");
            ++told;
          } else {
            db.submit(put_batch(key),
                      [&](const CommitResult& result) { told += result.get().committed() ? 1 : 0; });
          }
        }
        db.submit(put_batch(prefix + "last"), last[static_cast<std::size_t>(t)].done());
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Reply& answer : last) ASSERT_TRUE(answer.comes_soon()) << "in round " << round;
    for (const Reply& answer : last) EXPECT_TRUE(answer.get().get().committed());
    // A commit that was submitted before the last one may still be told after it.
    while (told.load() != (round + 1) * kThreads * kEach) std::this_thread::yield();
  }
  std::size_t entries = 0;
  for (int i = 0; i < 3; ++i) {
    entries += handle("db" + std::to_string(i)).scan(Range::all(), {.limit = 10'000}).entries.size();
  }
  EXPECT_EQ(entries, static_cast<std::size_t>(kRounds * kThreads * (kEach + 1)));
  EXPECT_EQ(backend->most_at_once(), 1u);
}

TEST_F(SubmitTest, ManyMayBeSubmittedFromWithinAnAnswer) {
  know();
  constexpr int kCount = 200;
  Reply last;
  std::function<void(int)> next = [&](int number) {
    handle().submit(put_batch("k" + std::to_string(number)), [&, number](CommitResult result) {
      if (number < kCount) return next(number + 1);
      last.done()(std::move(result));
    });
  };
  next(1);
  EXPECT_TRUE(last.get().get().committed());
  EXPECT_EQ(handle().scan(Range::prefix("k"), {}).entries.size(), kCount + 1u);
}

TEST_F(SubmitTest, TooMuchAtOnceIsRefused) {
  know();
  const Reply first = occupy();
  const Bytes value(limits::kValueBytes, 'x');
  std::vector<Reply> others;
  for (std::size_t i = 0; i < limits::kSubmittedBytes / limits::kValueBytes - 1; ++i) {
    others.push_back(submit(put_batch("k", value)));
  }
  const Reply refused;
  try {
    handle().submit(put_batch("k", value), refused.done());
    FAIL() << "256 MiB are under way";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_EQ(error.retry(), Retry::backoff);
  }
  backend->release();
  for (const Reply& other : others) EXPECT_TRUE(other.get().get().committed());
  EXPECT_EQ(refused.times(), 0);
  EXPECT_TRUE(submit(put_batch("k", value)).get().get().committed()) << "there is room again";
}

// ---- Deadlines

TEST_F(SubmitTest, ABatchThatWasNotSentIsToldTimeoutAtItsDeadlineWhileACallHangs) {
  know();
  const Reply first = occupy(milliseconds(60'000));
  const Reply late = submit(put_batch("late"), milliseconds(50));
  clock->advance(milliseconds(51));
  const CommitResult result = late.get();
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->code(), Code::timeout);
  EXPECT_EQ(result.error->retry(), Retry::backoff);
  EXPECT_TRUE(first.is_unanswered());
  backend->release();
  EXPECT_TRUE(first.get().get().committed());
  EXPECT_FALSE(handle().get("late"));
}

TEST_F(SubmitTest, ABatchThatWasSentIsToldAnUnknownOutcomeAtItsDeadlineWhileItsCallHangs) {
  know();
  const Reply late = occupy(milliseconds(50));
  clock->advance(milliseconds(51));
  const CommitResult result = late.get();
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->code(), Code::timeout);
  EXPECT_EQ(result.error->retry(), Retry::unknown_outcome);
  backend->release();
  EXPECT_TRUE(submit(put_batch("next")).get().get().committed());
  EXPECT_EQ(late.times(), 1);
}

TEST_F(SubmitTest, ADeadlineBeforeThatOfEarlierBatchesIsKeptToo) {
  know();
  const Reply first = occupy(milliseconds(60'000));
  const Reply second = submit(put_batch("a"), milliseconds(30'000));
  const Reply third = submit(put_batch("b"), milliseconds(10));
  clock->advance(milliseconds(11));
  EXPECT_EQ(third.get().error.value().code(), Code::timeout);
  EXPECT_TRUE(second.is_unanswered());
  clock->advance(milliseconds(30'000));
  EXPECT_EQ(second.get().error.value().code(), Code::timeout);
  backend->release();
  EXPECT_TRUE(first.get().get().committed());
}

// ---- Unknown outcomes

TEST_F(SubmitTest, ALostAnswerIsAskedForAgainUnderTheSameNumber) {
  know();
  backend->script(lose_answer);
  const Reply answer = submit(put_if_absent_batch("k"));
  EXPECT_EQ(answer.get().get().seq, 2u) << "applied once, by the first copy";
  const auto calls = backend->calls();
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_TRUE(calls[2][0].retry);
  EXPECT_EQ(calls[1][0].number, calls[2][0].number);
}

TEST_F(SubmitTest, WhileOneDatabaseIsUnresolvedOthersOfTheLaneCommit) {
  know("a");
  know("b");
  for (int i = 0; i < 2; ++i) backend->script(lose_request);
  const Reply stuck = submit(put_batch("k"), milliseconds(10'000), "a");
  backend->wait_for_calls(4);
  // The third attempt waits for the clock; meanwhile:
  EXPECT_TRUE(submit(put_batch("k"), milliseconds(10'000), "b").get().get().committed());
  EXPECT_TRUE(stuck.is_unanswered());
  advance_until_answered(stuck);
  EXPECT_TRUE(stuck.get().get().committed());
}

TEST_F(SubmitTest, AnErrorOfTheBackendIsTold) {
  know();
  backend->script(fail_with(Error(Code::unavailable, "frozen")));
  EXPECT_EQ(submit(put_batch("k")).get().error.value().code(), Code::unavailable);
}

// ---- Closing

TEST_F(SubmitTest, CloseTellsWhatWasNotSentThatTheStoreIsClosedAndWaitsForTheCallInFlight) {
  know();
  const Reply in_flight = occupy();
  const Reply waiting = submit(put_batch("k"));
  std::thread closer([this] { engine->close(); });
  const CommitResult refused = waiting.get();
  EXPECT_EQ(refused.error.value().code(), Code::closed);
  EXPECT_EQ(refused.error.value().retry(), Retry::never);
  backend->release();
  closer.join();
  EXPECT_EQ(in_flight.times(), 1);
  EXPECT_TRUE(in_flight.get().get().committed());
}

TEST_F(SubmitTest, CloseTellsABatchOfAnUnresolvedGroupThatItsOutcomeIsUnknown) {
  know();
  for (int i = 0; i < 2; ++i) backend->script(lose_request);
  const Reply stuck = submit(put_batch("k"));
  backend->wait_for_calls(3);
  engine->close();
  EXPECT_EQ(stuck.times(), 1);
  EXPECT_EQ(stuck.get().error.value().retry(), Retry::unknown_outcome);
}

TEST_F(SubmitTest, AfterCloseItIsRefused) {
  Database db = handle();
  engine->close();
  const Reply answer;
  EXPECT_THROW(db.submit(put_batch("k"), answer.done()), Error);
  EXPECT_EQ(answer.times(), 0);
}

TEST_F(SubmitTest, ALaneThatHadNothingToDoForLongTakesUpItsWorkAgain) {
  know();
  EXPECT_TRUE(submit(put_batch("a")).get().get().committed());
  for (int i = 0; i < 50; ++i) {
    clock->advance(milliseconds(1'000));
    std::this_thread::yield();
  }
  EXPECT_TRUE(submit(put_batch("b")).get().get().committed());
}

TEST_F(SubmitTest, ADatabaseNeedsNoHandleWhileItsBatchIsUnderWay) {
  know("gone");
  const Reply first = occupy(milliseconds(10'000), "gone");
  const Reply answer = submit(put_batch("k"), milliseconds(10'000), "gone");
  for (int i = 0; i < 1'100; ++i) handle("other" + std::to_string(i));
  backend->release();
  EXPECT_TRUE(answer.get().get().committed());
  EXPECT_TRUE(handle("gone").get("k"));
}

// ---- Transactions

class SubmitTransactionTest : public SubmitTest {
 protected:
  Reply submit_transaction(const std::function<void(Transaction&)>& body) {
    Reply answer;
    handle().submit_transaction(body, answer.done(), in(milliseconds(10'000)));
    return answer;
  }
  static void add_one(Transaction& transaction) {
    const auto entry = transaction.get("n");
    transaction.put("n", entry ? entry->value + "1" : "1");
  }
};

TEST_F(SubmitTransactionTest, CommitsWhatItsBodyWroteWithoutWaiting) {
  know();
  const Reply other = occupy();
  const Reply answer = submit_transaction(add_one);
  EXPECT_TRUE(answer.is_unanswered());
  backend->release();
  const Outcome outcome = answer.get().get();
  EXPECT_TRUE(outcome.committed());
  EXPECT_EQ(handle().get("n")->value, "1");
  EXPECT_EQ(handle().get("n")->version, outcome.seq);
  EXPECT_TRUE(other.get().get().committed());
}

TEST_F(SubmitTransactionTest, LosesIfWhatItReadIsNotTrueAnyMore) {
  know();
  const Reply other = occupy();
  const Reply first = submit_transaction(add_one);
  const Reply second = submit_transaction(add_one);
  backend->release();
  EXPECT_NE(first.get().get().committed(), second.get().get().committed());
  EXPECT_EQ(handle().get("n")->value, "1");
  EXPECT_TRUE(other.get().get().committed());
}

TEST_F(SubmitTransactionTest, LosesIfTheDatabaseWasDroppedMeanwhile) {
  know();
  backend->script([this](ScriptedBackend& scripted, std::span<Group> groups) {
    scripted.inner().drop("db", groups[0].history, in(milliseconds(10'000)));
    scripted.inner().commit(groups);
  });
  const Reply answer = submit_transaction(add_one);
  EXPECT_FALSE(answer.get().get().committed());
  EXPECT_FALSE(handle().get("n"));
  handle().transact(add_one);
  EXPECT_EQ(handle().get("n")->value, "1");
}

TEST_F(SubmitTransactionTest, OfABodyThatWritesNothingIsAnsweredWithoutACall) {
  handle().put("k", "v");
  const std::size_t calls = backend->calls().size();
  const Reply answer = submit_transaction([](Transaction& transaction) { transaction.get("k"); });
  EXPECT_EQ(answer.get().get().seq, 1u);
  EXPECT_EQ(backend->calls().size(), calls);
}

TEST_F(SubmitTransactionTest, ThrowsWhatItsBodyThrowsAndIsNeverAnsweredThen) {
  know();
  Reply answer;
  const auto body = [](Transaction& transaction) {
    transaction.put("k", "v");
    throw std::runtime_error("the body's");
  };
  EXPECT_THROW(handle().submit_transaction(body, answer.done()), std::runtime_error);
  engine->close();
  EXPECT_EQ(answer.times(), 0);
}

TEST_F(SubmitTransactionTest, LosesAgainstWhoeverHasTheTurn) {
  know();
  const auto name = database();
  ASSERT_TRUE(name->turn().take(*clock, in(milliseconds(1'000))));
  EXPECT_FALSE(submit_transaction(add_one).get().get().committed());
  name->turn().give_back();
  EXPECT_TRUE(submit_transaction(add_one).get().get().committed());
}

}  // namespace
}  // namespace holdfast
