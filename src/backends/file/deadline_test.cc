// What callers are told while the disk hangs, and that the store goes on properly when it no longer does.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "backends/file/store_fixture.h"
#include "tests/support/hanging_file_system.h"

namespace holdfast::file {
namespace {

using std::chrono::seconds;

class FileDeadlines : public StoreFixture {
 protected:
  FileDeadlines() { put_before_disk(disk_); }
  ~FileDeadlines() override {
    disk_->let_go();
    if (other_.joinable()) other_.join();
    close();
  }

  HangingFileSystem& disk() { return *disk_; }
  Deadline in_a_second() { return clock().steady_now() + seconds(1); }

  /// Runs `call` with a deadline of a second while the disk hangs, lets the second pass once it waits, and
  /// returns what it threw.
  std::optional<Error> error_at_deadline(const std::function<void(Deadline)>& call) {
    std::optional<Error> thrown;
    const std::size_t waiting = clock().waiting();
    std::thread caller([&, deadline = in_a_second()] {
      try {
        call(deadline);
      } catch (const Error& error) {
        thrown = error;
      }
    });
    while (clock().waiting() == waiting) std::this_thread::yield();
    if (hangs_by_itself_) disk().wait_until_something_hangs();
    clock().advance(seconds(1));
    caller.join();
    return thrown;
  }
  std::optional<Error> commit_at_deadline(Group& group) {
    return error_at_deadline([&](Deadline deadline) {
      group.deadline = deadline;
      backend().commit({&group, 1});
      if (group.error) throw Error(*group.error);
    });
  }
  /// The disk hangs in the middle of this commit, and goes on after its deadline; then it is sent again.
  void commit_in_a_hanging_disk_and_retry(Group& group) {
    disk().hang();
    const auto error = commit_at_deadline(group);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::timeout);
    EXPECT_EQ(error->retry(), Retry::unknown_outcome);
    let_go();
    group.retry = true;
    group.deadline = {};
    commit(group);
  }
  /// A thread that is in the middle of a commit when this returns; the disk hangs.
  void hang_in_commit(View key) {
    hanging_ = blind_put("agents", key, "v");
    disk().hang();
    other_ = std::thread([this] { backend().commit({&hanging_, 1}); });
    disk().wait_until_something_hangs();
    hangs_by_itself_ = false;
  }
  void let_go() {
    disk().let_go();
    if (other_.joinable()) other_.join();
    hangs_by_itself_ = true;
  }
  const Group& hanging() const { return hanging_; }

 private:
  std::shared_ptr<HangingFileSystem> disk_{
      std::make_shared<HangingFileSystem>(std::shared_ptr<FileSystem>(std::shared_ptr<void>(), &files()))};
  Group hanging_;
  std::thread other_;
  /// Whether the call that is made is what the disk hangs in.
  bool hangs_by_itself_ = true;
};

TEST_F(FileDeadlines, a_fence_call_ends_at_its_deadline_and_may_be_done_later) {
  open();
  put("agents", "a", "1");
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = 7;
  disk().hang();
  const auto error =
      error_at_deadline([&](Deadline deadline) { backend().fence("agents", {}, frozen, deadline); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::timeout);
  EXPECT_EQ(error->retry(), Retry::unknown_outcome);
  let_go();
  EXPECT_TRUE(backend().fence("agents", frozen, frozen, {})) << "it was done when the disk went on";
}

TEST_F(FileDeadlines, a_drop_ends_at_its_deadline_and_may_be_done_later) {
  open();
  put("agents", "a", "1");
  const Position at = head("agents");
  disk().hang();
  const auto error =
      error_at_deadline([&](Deadline deadline) { backend().drop("agents", at.history, deadline); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::timeout);
  EXPECT_EQ(error->retry(), Retry::unknown_outcome);
  EXPECT_EQ(head("agents"), at) << "nobody sees what is not durable";
  let_go();
  EXPECT_FALSE(backend().drop("agents", at.history, {})) << "it was done when the disk went on";
}

TEST_F(FileDeadlines, a_compaction_ends_at_its_deadline_and_may_be_done_later) {
  open();
  put("agents", "a", "1");
  put("agents", "a", "2");
  const std::uint64_t history = head("agents").history;
  disk().hang();
  const auto error = error_at_deadline([&](Deadline deadline) { backend().compact("agents", 1, deadline); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::timeout);
  EXPECT_EQ(error->retry(), Retry::unknown_outcome);
  let_go();
  backend().compact("agents", 1, {});
  ChangesRequest request;
  request.since = {history, 0};
  EXPECT_EQ(code_of([&] { backend().changes("agents", request); }), Code::compacted);
}

TEST_F(FileDeadlines, the_commit_that_needs_a_new_log_file_ends_at_its_deadline) {
  open();
  Group group = blind_put("agents", "a", "1");
  commit_in_a_hanging_disk_and_retry(group);
  if (HasFatalFailure()) return;
  EXPECT_EQ(head("agents").seq, 1u) << "applied once";
}

TEST_F(FileDeadlines, commits_that_come_while_the_disk_hangs_end_at_their_deadline_and_are_never_applied) {
  open();
  put("agents", "a", "1");
  hang_in_commit("b");
  Group group = blind_put("agents", "c", "3");
  const auto error = commit_at_deadline(group);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::timeout);
  EXPECT_EQ(error->retry(), Retry::backoff);
  let_go();
  EXPECT_FALSE(hanging().error);
  EXPECT_EQ(get("agents", "c"), std::nullopt);
  put("agents", "d", "4");
  power_cut();
  open();
  EXPECT_EQ(get("agents", "b"), "v");
  EXPECT_EQ(get("agents", "c"), std::nullopt);
  EXPECT_EQ(get("agents", "d"), "4");
}

TEST_F(FileDeadlines, a_fence_call_that_comes_while_the_disk_hangs_is_never_done) {
  open();
  put("agents", "a", "1");
  hang_in_commit("b");
  Fence frozen;
  frozen.state = Fence::State::frozen;
  const auto error =
      error_at_deadline([&](Deadline deadline) { backend().fence("agents", {}, frozen, deadline); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::timeout);
  EXPECT_EQ(error->retry(), Retry::backoff);
  let_go();
  put("agents", "c", "3");
}

TEST_F(FileDeadlines, a_retry_that_comes_while_the_disk_hangs_stays_of_unknown_outcome) {
  open("?strict_deadlines=true");
  put("agents", "a", "1");
  Group group = blind_put("agents", "b", "2");
  disk().hang();
  const auto error = commit_at_deadline(group);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->retry(), Retry::unknown_outcome);
  group.retry = true;
  const auto again = commit_at_deadline(group);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->retry(), Retry::unknown_outcome);
  let_go();
  group.deadline = {};
  commit(group);
  EXPECT_EQ(head("agents").seq, 2u) << "applied once";
}

TEST_F(FileDeadlines, once_the_disk_has_been_slow_no_commit_outlives_its_deadline) {
  open();
  put("agents", "a", "1");
  hang_in_commit("b");
  clock().advance(seconds(2));
  let_go();
  Group group = blind_put("agents", "c", "3");
  commit_in_a_hanging_disk_and_retry(group);
  if (HasFatalFailure()) return;
  EXPECT_EQ(get("agents", "c"), "3");
  EXPECT_EQ(head("agents").seq, 3u) << "applied once";
}

TEST_F(FileDeadlines, who_waits_learns_of_a_commit_whose_caller_has_gone) {
  open("?strict_deadlines=true");
  put("agents", "a", "1");
  const Cursor cursor{"agents", head("agents")};
  Group group = blind_put("agents", "b", "2");
  disk().hang();
  ASSERT_TRUE(commit_at_deadline(group));
  std::vector<std::size_t> behind;
  std::thread watcher([&] {
    while (behind.empty()) behind = backend().wait({&cursor, 1}, Deadline::max());
  });
  while (clock().waiting() == 0) std::this_thread::yield();
  let_go();
  watcher.join();
  EXPECT_EQ(get("agents", "b"), "2");
}

TEST_F(FileDeadlines, a_store_that_is_closed_while_the_disk_hangs_closes_when_it_goes_on) {
  open("?strict_deadlines=true");
  put("agents", "a", "1");
  Group group = blind_put("agents", "b", "2");
  disk().hang();
  ASSERT_TRUE(commit_at_deadline(group));
  std::thread closer([&] { close(); });
  let_go();
  closer.join();
  open();
  EXPECT_EQ(get("agents", "b"), "2");
}

}  // namespace
}  // namespace holdfast::file
