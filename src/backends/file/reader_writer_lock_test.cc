#include "backends/file/reader_writer_lock.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

namespace holdfast::file {
namespace {

TEST(ReaderWriterLock, LetsReadersInTogether) {
  ReaderWriterLock lock;
  std::latch all_inside(3);
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      const std::shared_lock hold(lock);
      all_inside.arrive_and_wait();
    });
  }
  for (std::thread& reader : readers) reader.join();
}

TEST(ReaderWriterLock, TryFailsWhereOthersAreInTheWay) {
  ReaderWriterLock lock;
  const auto in_another_thread = [](auto&& body) { std::thread(body).join(); };
  {
    const std::unique_lock hold(lock);
    in_another_thread([&] {
      EXPECT_FALSE(lock.try_lock());
      EXPECT_FALSE(lock.try_lock_shared());
    });
  }
  {
    const std::shared_lock hold(lock);
    in_another_thread([&] {
      EXPECT_FALSE(lock.try_lock());
      EXPECT_TRUE(lock.try_lock_shared());
      lock.unlock_shared();
    });
  }
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(ReaderWriterLock, ReadersNeverSeeHalfOfAWrite) {
  ReaderWriterLock lock;
  std::array<std::uint64_t, 16> numbers{};  // all equal whenever nobody writes
  std::atomic<bool> torn = false;
  std::atomic<std::uint64_t> reads = 0;
  constexpr int kWrites = 2'000;
  std::atomic<int> writing = 2;

  std::vector<std::thread> threads;
  for (int writer = 0; writer < 2; ++writer) {
    threads.emplace_back([&] {
      for (int write = 0; write < kWrites; ++write) {
        const std::unique_lock hold(lock);
        for (std::uint64_t& number : numbers) ++number;
      }
      writing.fetch_sub(1);
    });
  }
  for (int reader = 0; reader < 4; ++reader) {
    threads.emplace_back([&] {
      do {
        const std::shared_lock hold(lock);
        for (const std::uint64_t number : numbers) {
          if (number != numbers.front()) torn = true;
        }
        reads.fetch_add(1, std::memory_order_relaxed);
      } while (writing.load() != 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(torn);
  EXPECT_GE(reads, 4u);
  EXPECT_EQ(numbers.front(), 2u * kWrites);
}

TEST(ReaderWriterLock, AWriterGetsInWhileReadersNeverLeaveAGap) {
  ReaderWriterLock lock;
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&] {
      while (!stop) {
        const std::shared_lock hold(lock);
        std::this_thread::yield();
      }
    });
  }
  for (int write = 0; write < 100; ++write) const std::unique_lock hold(lock);
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(ReaderWriterLock, AReaderGetsInWhileWritersNeverLeaveAGap) {
  ReaderWriterLock lock;
  std::atomic<bool> stop = false;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&] {
      while (!stop) {
        const std::unique_lock hold(lock);
        std::this_thread::yield();
      }
    });
  }
  for (int read = 0; read < 100; ++read) const std::shared_lock hold(lock);
  stop = true;
  for (std::thread& writer : writers) writer.join();
}

}  // namespace
}  // namespace holdfast::file
