// The checker itself: it accepts what can have happened and finds what cannot.
#include "histories/history.h"

#include <gtest/gtest.h>

#include <sstream>

namespace holdfast::histories {
namespace {

using Kind = Operation::Kind;

Operation put(Seq seq, std::int64_t from_ns, std::int64_t to_ns, const Bytes& key, const Bytes& value) {
  Operation operation;
  operation.kind = Kind::commit;
  operation.seq = seq;
  operation.started_ns = from_ns;
  operation.ended_ns = to_ns;
  operation.batch.writes.push_back(Write::put(key, value));
  return operation;
}

Operation saw(Seq at, std::int64_t from_ns, std::int64_t to_ns, const SeenKey& key) {
  Operation operation;
  operation.at = at;
  operation.started_ns = from_ns;
  operation.ended_ns = to_ns;
  operation.keys.push_back(key);
  return operation;
}

History two_puts() {
  History history;
  history.operations = {put(1, 10, 20, "k", "one"), put(2, 30, 40, "k", "two")};
  return history;
}

TEST(Anomalies, NoneInAHistoryThatCanHaveHappened) {
  History history = two_puts();
  history.operations.push_back(saw(1, 12, 35, {"k", 1, "one"}));
  history.operations.push_back(saw(2, 50, 60, {"k", 2, "two"}));
  EXPECT_TRUE(anomalies(history).empty());
}

TEST(Anomalies, ASeqThatNobodyHasIsALostCommit) {
  History history = two_puts();
  history.operations[1].seq = 3;
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AStaleRead) {
  History history = two_puts();
  history.operations.push_back(saw(1, 50, 60, {"k", 1, "one"}));
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AReadOfTheFuture) {
  History history = two_puts();
  history.operations.push_back(saw(2, 21, 25, {"k", 2, "two"}));
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AReadWhoseStateIsTorn) {
  History history = two_puts();
  history.operations.push_back(saw(2, 50, 60, {"k", 1, "one"}));
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AReadWithoutPositionThatFitsNoState) {
  History history = two_puts();
  history.operations.push_back(saw(0, 50, 60, {"k", 1, "one"}));
  history.operations.back().at.reset();
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, CommitsNumberedAgainstRealTime) {
  History history = two_puts();
  std::swap(history.operations[0].seq, history.operations[1].seq);
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, ACommitAppliedAgainstItsCheck) {
  History history = two_puts();
  history.operations[1].batch.checks.push_back(Check::absent("k"));
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, ATransactionWhoseReadsWereNotTrueWhenItCommitted) {
  History history = two_puts();
  history.operations[1].keys.push_back({"k", 0, {}});
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AConflictThatNoStateExplains) {
  History history = two_puts();
  Operation refused = put(0, 50, 60, "k", "three");
  refused.kind = Kind::conflict;
  refused.batch.checks.push_back(Check::has_version("k", 2));
  history.operations.push_back(refused);
  EXPECT_FALSE(anomalies(history).empty());
  history.operations.back().batch.checks[0].version = 1;
  EXPECT_TRUE(anomalies(history).empty());
}

TEST(Anomalies, APhantomInARange) {
  History history = two_puts();
  Operation scan = saw(2, 50, 60, {"k", 2, "two"});
  scan.ranges.push_back({Range::all(), {}});
  history.operations.push_back(scan);
  EXPECT_FALSE(anomalies(history).empty());
}

TEST(Anomalies, AChangeThatAWatchWasNotTold) {
  History history = two_puts();
  history.watches.push_back({Range::all(), 0, {{{"k"}, false, 1}}});
  EXPECT_FALSE(anomalies(history).empty());
  history.watches[0].told.push_back({{"k"}, false, 2});
  EXPECT_TRUE(anomalies(history).empty());
  history.watches[0].told[1].keys.clear();
  EXPECT_FALSE(anomalies(history).empty());
  history.watches[0].told.pop_back();
  history.watches[0].until = 1;
  EXPECT_TRUE(anomalies(history).empty()) << "it was not left running for longer";
}

TEST(History, SurvivesTheWayThroughAFile) {
  History history = two_puts();
  history.operations[1].ranges.push_back({{"a", "b"}, {{"a", 1, "x"}}});
  history.operations[1].batch.checks.push_back(Check::has_version("k", 1));
  history.watches.push_back({Range::all(), 0, {{{"k"}, true, 2}}});
  std::stringstream stream;
  history.write(stream);
  const History again = History::read(stream);
  ASSERT_EQ(again.operations.size(), 2u);
  EXPECT_EQ(again.operations[1].batch, history.operations[1].batch);
  EXPECT_EQ(again.operations[1].ranges[0].keys[0].value, "x");
  EXPECT_EQ(again.watches[0].told[0].through, 2u);
}

}  // namespace
}  // namespace holdfast::histories
