#include "environment/queued_file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/error.h"

namespace holdfast {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

class QueuedFileLocks : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-lock-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/lock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Deadline in(std::chrono::milliseconds time) { return clock_->steady_now() + time; }

  std::shared_ptr<Clock> clock_ = system_clock();
  std::string folder_;
  std::string path_;
};

TEST_F(QueuedFileLocks, LetOneInAtATime) {
  constexpr int kThreads = 4;
  constexpr int kTurns = 200;
  std::atomic<int> inside{0};
  std::atomic<int> turns{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      QueuedFileLock lock(path_, clock_);
      for (int turn = 0; turn < kTurns; ++turn) {
        ASSERT_TRUE(lock.acquire(in(60s)));
        EXPECT_EQ(++inside, 1);
        ++turns;
        --inside;
        lock.release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, kThreads * kTurns);
}

/// Somebody else has the lock already.
class HeldQueuedFileLocks : public QueuedFileLocks {
 protected:
  void SetUp() override {
    QueuedFileLocks::SetUp();
    holder_.emplace(path_, clock_);
    ASSERT_TRUE(holder_->acquire(in(1s)));
  }
  void TearDown() override {
    holder_.reset();
    QueuedFileLocks::TearDown();
  }

  /// Whether somebody waits in the kernel, next after the holder.
  bool somebody_is_in_line() {
    const int descriptor = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    struct flock second_byte{};
    second_byte.l_type = F_WRLCK;
    second_byte.l_whence = SEEK_SET;
    second_byte.l_start = 1;
    second_byte.l_len = 1;
    EXPECT_EQ(fcntl(descriptor, F_OFD_GETLK, &second_byte), 0);
    close(descriptor);
    return second_byte.l_type != F_UNLCK;
  }

  std::optional<QueuedFileLock> holder_;
};

TEST_F(HeldQueuedFileLocks, GiveUpAtTheDeadlineAndCanBeAskedAgain) {
  QueuedFileLock lock(path_, clock_);
  EXPECT_FALSE(lock.acquire(in(20ms)));
  EXPECT_FALSE(lock.acquire(in(20ms)));
  holder_->release();
  EXPECT_TRUE(lock.acquire(in(60s)));
  EXPECT_FALSE(holder_->acquire(in(20ms)));
}

TEST_F(HeldQueuedFileLocks, LeaveTheLockFreeForOthersAfterTheyGaveUp) {
  QueuedFileLock lock(path_, clock_);
  EXPECT_FALSE(lock.acquire(in(20ms)));
  holder_->release();
  EXPECT_TRUE(holder_->acquire(in(60s)));
}

TEST_F(HeldQueuedFileLocks, GoToWhoWaitsThoughWhoHadThemForLongWantsThemAgainAtOnce) {
  QueuedFileLock turn_goes_on(path_ + "-end", clock_);
  ASSERT_TRUE(turn_goes_on.acquire(in(60s)));
  std::atomic<bool> acquired{false};
  std::thread waiter([&] {
    QueuedFileLock lock(path_, clock_);
    acquired = lock.acquire(in(60s));
    QueuedFileLock end_of_turn(path_ + "-end", clock_);
    EXPECT_TRUE(end_of_turn.acquire(in(60s)));
  });
  for (const Deadline end = in(60s); !somebody_is_in_line() && clock_->steady_now() < end;) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(somebody_is_in_line());
  for (const Deadline end = in(QueuedFileLock::kSlice); clock_->steady_now() <= end;)
    std::this_thread::yield();
  holder_->release();
  EXPECT_FALSE(holder_->acquire(clock_->steady_now()));
  turn_goes_on.release();
  waiter.join();
  EXPECT_TRUE(acquired);
  EXPECT_TRUE(holder_->acquire(in(60s)));
}

TEST_F(HeldQueuedFileLocks, AreReleasedWhenTheyAreDestroyed) {
  QueuedFileLock lock(path_, clock_);
  holder_.reset();
  EXPECT_TRUE(lock.acquire(in(1s)));
}

TEST_F(HeldQueuedFileLocks, CanBeDestroyedWhileTheySitInTheQueue) {
  {
    QueuedFileLock lock(path_, clock_);
    EXPECT_FALSE(lock.acquire(in(20ms)));
  }
  holder_->release();
  EXPECT_TRUE(holder_->acquire(in(60s)));
}

TEST_F(QueuedFileLocks, NameTheFileThatCannotBeOpened) {
  EXPECT_THROW(QueuedFileLock(folder_ + "/missing/lock", clock_), Error);
}

}  // namespace
}  // namespace holdfast
