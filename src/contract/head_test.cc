#include "contract/head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/support/code_of.h"

namespace holdfast {
namespace {

using testing_support::code_of;
using State = Fence::State;

constexpr std::uint64_t kToken = 99;

Head head_at(std::uint64_t history, Seq seq, UnixMs time_ms = 1000, Fence fence = {}) {
  Head head;
  head.history = history;
  head.seq = seq;
  head.time_ms = time_ms;
  head.fence = std::move(fence);
  return head;
}

Fence fence_of(State state, std::uint64_t token = kToken) {
  Fence fence;
  fence.state = state;
  fence.token = token;
  if (state == State::moved) fence.place = "elsewhere";
  return fence;
}

ReadRequest read_of(std::uint64_t history, std::uint64_t token = 0, UnixMs now_ms = 1000) {
  ReadRequest request;
  request.history = history;
  request.token = token;
  request.now_ms = now_ms;
  return request;
}

Group group_of(std::uint64_t history, std::uint64_t token = 0, UnixMs now_ms = 1000) {
  Group group;
  group.database = "db";
  group.history = history;
  group.number = 1;
  group.token = token;
  group.now_ms = now_ms;
  group.batches = {{{}, {Write::put("k", "v")}}};
  return group;
}

ChangesRequest changes_of(Position since, std::uint64_t token = 0) {
  ChangesRequest request;
  request.since = since;
  request.token = token;
  return request;
}

// ---- time and life

TEST(Liveness, EndsExactlyAtTheMillisecondOfExpiry) {
  EXPECT_TRUE(is_live(std::nullopt, INT64_MAX));
  EXPECT_TRUE(is_live(1000, 999));
  EXPECT_FALSE(is_live(1000, 1000));
  EXPECT_FALSE(is_live(1000, 1001));
}

TEST(EffectiveTime, IsTheLaterOfNowAndTheHeadsTime) {
  EXPECT_EQ(effective_time("db", 2000, 1000, 60'000), 2000);
  EXPECT_EQ(effective_time("db", 1000, 2000, 60'000), 2000);
}

TEST(EffectiveTime, RefusesAClockThatIsFurtherBehindThanTheLimit) {
  EXPECT_EQ(effective_time("db", 1000, 61'000, 60'000), 61'000);
  EXPECT_EQ(code_of([] { effective_time("db", 1000, 61'001, 60'000); }), Code::clock_skew);
}

TEST(EffectiveTime, IsNotLimitedByALimitOfZero) {
  EXPECT_EQ(effective_time("db", 0, 1'000'000, 0), 1'000'000);
}

// ---- reads, changes, commits and the fence

TEST(ReadAdmission, TakesAnyHistoryForZeroAndOtherwiseOnlyTheHeads) {
  EXPECT_EQ(admit_read("db", head_at(7, 3), read_of(0)), 1000);
  EXPECT_EQ(admit_read("db", head_at(7, 3), read_of(7)), 1000);
  EXPECT_EQ(code_of([] { admit_read("db", head_at(7, 3), read_of(8)); }), Code::history_changed);
  EXPECT_EQ(code_of([] { admit_read("db", Head{}, read_of(8)); }), Code::history_changed);
}

TEST(ReadAdmission, FollowsTheFence) {
  EXPECT_NO_THROW(admit_read("db", head_at(7, 3, 1000, fence_of(State::frozen)), read_of(7)));
  EXPECT_EQ(code_of([] { admit_read("db", head_at(7, 3, 1000, fence_of(State::moved)), read_of(7)); }),
            Code::moved);
  EXPECT_EQ(code_of([] { admit_read("db", head_at(0, 0, 0, fence_of(State::importing)), read_of(0)); }),
            Code::unavailable);
}

TEST(ReadAdmission, LetsTheTokenThroughEveryFence) {
  for (const State state : {State::frozen, State::moved, State::importing}) {
    EXPECT_NO_THROW(admit_read("db", head_at(0, 0, 1000, fence_of(state)), read_of(0, kToken)));
  }
}

TEST(ReadAdmission, JudgesTheFenceBeforeTheHistory) {
  EXPECT_EQ(code_of([] { admit_read("db", head_at(7, 3, 1000, fence_of(State::moved)), read_of(8)); }),
            Code::moved);
}

TEST(ChangesAdmission, TakesPositionsBetweenFloorAndHeadOfTheSameHistory) {
  Head head = head_at(7, 10);
  head.floor = 4;
  EXPECT_NO_THROW(admit_changes("db", head, changes_of({7, 4})));
  EXPECT_NO_THROW(admit_changes("db", head, changes_of({7, 10})));
  EXPECT_EQ(code_of([&] { admit_changes("db", head, changes_of({7, 3})); }), Code::compacted);
  EXPECT_EQ(code_of([&] { admit_changes("db", head, changes_of({7, 11})); }), Code::history_changed);
  EXPECT_EQ(code_of([&] { admit_changes("db", head, changes_of({8, 5})); }), Code::history_changed);
}

TEST(ChangesAdmission, OfADatabaseWithoutAHeadStartsAtNothing) {
  EXPECT_NO_THROW(admit_changes("db", Head{}, changes_of({0, 0})));
  EXPECT_EQ(code_of([] { admit_changes("db", Head{}, changes_of({7, 0})); }), Code::history_changed);
}

TEST(ChangesAdmission, FollowsTheFence) {
  EXPECT_NO_THROW(admit_changes("db", head_at(7, 3, 1000, fence_of(State::frozen)), changes_of({7, 3})));
  EXPECT_EQ(
      code_of([] { admit_changes("db", head_at(7, 3, 1000, fence_of(State::moved)), changes_of({8, 3})); }),
      Code::moved);
  EXPECT_NO_THROW(
      admit_changes("db", head_at(7, 3, 1000, fence_of(State::moved)), changes_of({7, 3}, kToken)));
}

TEST(CommitAdmission, TakesOnlyTheHeadsHistory) {
  EXPECT_EQ(admit_commit(head_at(7, 3), group_of(7, 0, 1500)), 1500);
  EXPECT_EQ(code_of([] { admit_commit(head_at(7, 3), group_of(8)); }), Code::history_changed);
  EXPECT_EQ(code_of([] { admit_commit(Head{}, group_of(8)); }), Code::history_changed);
  EXPECT_NO_THROW(admit_commit(Head{}, group_of(0)));
}

TEST(CommitAdmission, FollowsTheFence) {
  EXPECT_EQ(code_of([] { admit_commit(head_at(7, 3, 1000, fence_of(State::frozen)), group_of(7)); }),
            Code::unavailable);
  EXPECT_EQ(code_of([] { admit_commit(head_at(7, 3, 1000, fence_of(State::moved)), group_of(7)); }),
            Code::moved);
  EXPECT_NO_THROW(admit_commit(head_at(7, 3, 1000, fence_of(State::frozen)), group_of(7, kToken)));
}

TEST(CommitAdmission, JudgesTheHistoryBeforeTheFence) {
  EXPECT_EQ(code_of([] { admit_commit(head_at(7, 3, 1000, fence_of(State::moved)), group_of(8)); }),
            Code::history_changed);
}

TEST(CommitAdmission, OfAnImportTakesVersionedPutsAndErasesWithoutChecks) {
  const Head head = head_at(0, 0, 0, fence_of(State::importing));
  Group group = group_of(0, kToken);
  EXPECT_EQ(code_of([&] { admit_commit(head, group); }), Code::invalid_argument);
  group.batches[0].writes[0].version = 5;
  EXPECT_NO_THROW(admit_commit(head, group));
  group.batches[0].writes.push_back(Write::erase("other"));
  EXPECT_NO_THROW(admit_commit(head, group));
  group.batches[0].checks.push_back(Check::absent("k"));
  EXPECT_EQ(code_of([&] { admit_commit(head, group); }), Code::invalid_argument);
  group.batches[0] = {{}, {Write::reap("k")}};
  EXPECT_EQ(code_of([&] { admit_commit(head, group); }), Code::invalid_argument);
  group.token = kToken + 1;
  EXPECT_EQ(code_of([&] { admit_commit(head, group); }), Code::unavailable);
}

TEST(CommitAdmission, RefusesALateGroupOfAnImportOnceTheDatabaseIsOpen) {
  Group group = group_of(0);
  group.batches[0].writes[0].version = 5;
  EXPECT_EQ(code_of([&] { admit_commit(head_at(7, 60), group); }), Code::invalid_argument);
}

// ---- sessions

TEST(Session, IsFreshAtFirstAndForEveryHigherNumber) {
  Group group = group_of(7);
  EXPECT_EQ(judge_session(nullptr, group), SessionVerdict::fresh);
  const SessionRecord last{3, 11, {}, {}, 0};
  group.number = 4;
  EXPECT_EQ(judge_session(&last, group), SessionVerdict::fresh);
}

TEST(Session, AnswersTheSameNumberAndContentFromTheRecord) {
  const SessionRecord last{3, 11, {}, {}, 0};
  Group group = group_of(7);
  group.number = 3;
  group.content_hash = 11;
  EXPECT_EQ(judge_session(&last, group), SessionVerdict::recorded);
}

TEST(Session, RefusesLowerNumbersAndOtherContentForEver) {
  const SessionRecord last{3, 11, {}, {}, 0};
  Group group = group_of(7);
  group.number = 3;
  group.content_hash = 12;
  EXPECT_EQ(code_of([&] { judge_session(&last, group); }), Code::session_conflict);
  group.number = 2;
  group.content_hash = 11;
  EXPECT_EQ(code_of([&] { judge_session(&last, group); }), Code::session_conflict);
}

TEST(Session, MustBeRecordedForWhatAppliesAndForEveryRetry) {
  Group group = group_of(7);
  EXPECT_FALSE(must_record(group, 0));
  EXPECT_TRUE(must_record(group, 1));
  group.retry = true;
  EXPECT_TRUE(must_record(group, 0));
}

TEST(Session, IsKeptForSevenDaysAndNeverEvictedWithinTheHour) {
  constexpr std::int64_t kHourMs = 3'600'000;
  const SessionRecord record{1, 1, {}, {}, 1000};
  EXPECT_FALSE(session_may_expire(record, 1000 + 7 * 24 * kHourMs));
  EXPECT_TRUE(session_may_expire(record, 1001 + 7 * 24 * kHourMs));
  EXPECT_FALSE(session_is_evictable(record, 1000 + kHourMs));
  EXPECT_TRUE(session_is_evictable(record, 1001 + kHourMs));
}

// ---- fence transitions

/// Whether a database whose fence is in `from` (nothing: it has no head) may go to `to`.
bool may_go(std::optional<State> from, State to) {
  Head head;
  if (from) {
    head = *from == State::importing ? head_at(0, 0, 0, fence_of(State::importing))
                                     : head_at(7, 3, 1000, *from == State::open ? Fence{} : fence_of(*from));
  }
  Fence next = to == State::open ? Fence{} : fence_of(to);
  if (from == State::importing && to == State::open) next.at = {8, 20};
  if (from == to) next.token = kToken + 1;
  return apply_fence(head, head.fence, next).has_value();
}

TEST(FenceTransitions, AreThoseOfTheContractAndNoOther) {
  using From = std::optional<State>;
  const std::vector<From> sources = {std::nullopt, State::open, State::frozen, State::moved,
                                     State::importing};
  const std::vector<std::pair<From, State>> allowed = {{std::nullopt, State::importing},
                                                       {State::open, State::frozen},
                                                       {State::frozen, State::moved},
                                                       {State::frozen, State::open},
                                                       {State::importing, State::open}};
  for (const From& from : sources) {
    for (const State to : {State::open, State::frozen, State::moved, State::importing}) {
      const bool expected = std::find(allowed.begin(), allowed.end(), std::pair{from, to}) != allowed.end();
      EXPECT_EQ(may_go(from, to), expected)
          << (from ? static_cast<int>(*from) : -1) << " to " << static_cast<int>(to);
    }
  }
}

TEST(FenceTransitions, NeedTheExpectedFenceInEveryField) {
  const Head head = head_at(7, 3, 1000, fence_of(State::frozen));
  Fence other_token = head.fence;
  other_token.token = kToken + 1;
  Fence other_place = head.fence;
  other_place.place = "x";
  for (const Fence& expected : {Fence{}, other_token, other_place, fence_of(State::moved)}) {
    EXPECT_FALSE(apply_fence(head, expected, Fence{}));
  }
}

TEST(FenceTransitions, NeedATokenToCloseADatabase) {
  EXPECT_FALSE(apply_fence(head_at(7, 3), Fence{}, fence_of(State::frozen, 0)));
  EXPECT_FALSE(apply_fence(Head{}, Fence{}, fence_of(State::importing, 0)));
  EXPECT_FALSE(apply_fence(head_at(7, 3, 1000, fence_of(State::frozen)), fence_of(State::frozen),
                           fence_of(State::moved, 0)));
}

TEST(FenceTransitions, ToTheSameFenceAnswerYesAndChangeNothing) {
  const Head head = head_at(7, 3, 1000, fence_of(State::moved));
  const std::optional<Head> after = apply_fence(head, head.fence, head.fence);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->position(), head.position());
  EXPECT_EQ(after->fence, head.fence);
}

TEST(FenceTransitions, KeepThePositionWhenADatabaseIsFrozenOrMoved) {
  const std::optional<Head> frozen = apply_fence(head_at(7, 3), Fence{}, fence_of(State::frozen));
  ASSERT_TRUE(frozen);
  EXPECT_EQ(frozen->position(), (Position{7, 3}));
  const std::optional<Head> moved = apply_fence(*frozen, frozen->fence, fence_of(State::moved));
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->position(), (Position{7, 3}));
  EXPECT_EQ(moved->fence.place, "elsewhere");
}

TEST(FenceTransitions, OpenAnImportedDatabaseAtThePositionAndTimeOfItsSource) {
  const Head importing = head_at(0, 0, 0, fence_of(State::importing));
  Fence next;
  next.at = {8, 20};
  next.time_ms = 5000;
  const std::optional<Head> opened = apply_fence(importing, importing.fence, next);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->position(), (Position{8, 20}));
  EXPECT_EQ(opened->time_ms, 5000);
  EXPECT_EQ(opened->floor, 20u);
  EXPECT_EQ(opened->fence, Fence{});
}

TEST(FenceTransitions, DoNotOpenAnImportWithoutAHistory) {
  const Head importing = head_at(0, 0, 0, fence_of(State::importing));
  EXPECT_FALSE(apply_fence(importing, importing.fence, Fence{}));
}

TEST(FenceTransitions, GiveADatabaseThatIsImportingAHead) {
  EXPECT_FALSE(Head{}.exists());
  const std::optional<Head> importing = apply_fence(Head{}, Fence{}, fence_of(State::importing));
  ASSERT_TRUE(importing);
  EXPECT_TRUE(importing->exists());
  EXPECT_EQ(importing->history, 0u);
}

// ---- compaction

TEST(Compaction, RaisesTheFloorUpToTheHeadAndNeverLowersIt) {
  Head head = head_at(7, 10);
  head.floor = 4;
  EXPECT_EQ(raised_floor(head, 3), 4u);
  EXPECT_EQ(raised_floor(head, 6), 6u);
  EXPECT_EQ(raised_floor(head, 11), 10u);
}

}  // namespace
}  // namespace holdfast
