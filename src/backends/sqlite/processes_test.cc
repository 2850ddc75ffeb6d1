// What several processes do to one file. The children are forked before this process has opened anything:
// neither connections nor threads survive a fork.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "backends/sqlite/schema.h"
#include "backends/sqlite/test_store.h"
#include "environment/queued_file_lock.h"

namespace holdfast::sqlite {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

/// Children that begin their work together and send a result each back.
class Children {
 public:
  Children() {
    if (pipe(gate_.data()) != 0 || pipe(results_.data()) != 0 || pipe(ready_.data()) != 0)
      ADD_FAILURE() << "no pipe";
  }
  ~Children() {
    for (const int end : {gate_[0], gate_[1], results_[0], results_[1], ready_[0], ready_[1]}) close(end);
  }
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  struct Result {
    std::int64_t number = 0;  ///< negative: the child failed
    std::int64_t longest_ms = 0;
    std::int64_t widest_gap = 0;
  };

  /// The child calls `prepare` at once, and what that returns when all may begin.
  void start_prepared(const std::function<std::function<Result()>()>& prepare) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child != 0) {
      children_.push_back(child);
      return;
    }
    close(gate_[1]);
    Result result{-1, 0, 0};
    std::function<Result()> work = [] { return Result{-1, 0, 0}; };
    try {
      work = prepare();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    char byte = 0;
    [[maybe_unused]] const ssize_t told = write(ready_[1], &byte, 1);
    [[maybe_unused]] const ssize_t released = read(gate_[0], &byte, 1);
    try {
      result = work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    const ssize_t written = write(results_[1], &result, sizeof result);
    _exit(written == sizeof result ? 0 : 1);
  }

  void start(const std::function<Result()>& work) {
    start_prepared([&] { return work; });
  }

  /// Lets them begin when all are prepared; the results in the order in which they end.
  std::vector<Result> run() {
    char byte = 0;
    for (std::size_t i = 0; i < children_.size(); ++i) [[maybe_unused]]
      const ssize_t got = read(ready_[0], &byte, 1);
    close(std::exchange(gate_[1], -1));
    std::vector<Result> results(children_.size());
    for (Result& result : results) {
      if (read(results_[0], &result, sizeof result) != sizeof result) result.number = -1;
    }
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
    return results;
  }

 private:
  std::array<int, 2> gate_{-1, -1};
  std::array<int, 2> results_{-1, -1};
  std::array<int, 2> ready_{-1, -1};
  std::vector<pid_t> children_;
};

class Processes : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_.file();
};

std::int64_t to_ms(Deadline::duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

TEST_F(Processes, MayCreateOneFileAtTheSameTime) {
  constexpr std::size_t kProcesses = 8;
  Children children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children.start([this, i] {
      const auto store = open_store(path_);
      Client client(*store, "db" + std::to_string(i), i + 1);
      return Children::Result{client.put("key", "v").error ? -1 : 1, 0, 0};
    });
  }
  for (const Children::Result& result : children.run()) EXPECT_EQ(result.number, 1);
  EXPECT_EQ(open_store(path_)->databases("", "", 100, {}).size(), kProcesses);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(Processes, ThatOpenAFileOfAnEarlierLayoutAtTheSameTimeMigrateItOnce) {
  constexpr std::size_t kProcesses = 8;
  std::vector<const char*> layouts(library_migrations().begin(), library_migrations().end());
  // The second step takes a while, so that the others come in its middle.
  layouts.push_back(
      "CREATE TABLE taken(step INTEGER); "
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
      "INSERT INTO taken SELECT 2 FROM n WHERE i = 200000");
  layouts.push_back("INSERT INTO taken VALUES(3)");
  open_store(path_);
  Children children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children.start([&] {
      prepare_file(path_, layouts, Environment{}.completed(), 1 << 20);
      Connection connection(path_, OpenMode::look, system_clock());
      const std::string taken = connection.text("SELECT group_concat(step) FROM taken", "testing");
      return Children::Result{taken == "2,3" ? 1 : -1, 0, 0};
    });
  }
  for (const Children::Result& result : children.run()) EXPECT_EQ(result.number, 1);
}

/// How long all write: HOLDFAST_FAIRNESS_SECONDS, for measurements.
std::chrono::seconds writing_time() {
  const char* seconds = std::getenv("HOLDFAST_FAIRNESS_SECONDS");
  return std::chrono::seconds(seconds == nullptr ? 3 : std::strtol(seconds, nullptr, 10));
}

/// Commits until the time is over: how often, the longest wait for one, and how many commits of others passed
/// between two at most.
Children::Result write_without_end(Client& client, const std::string& key) {
  const auto clock = system_clock();
  const Deadline end = clock->steady_now() + writing_time();
  Children::Result result;
  Seq last = 0;
  for (Deadline before = clock->steady_now(); before < end;) {
    const Group group = client.put(key, "v");
    if (group.error) return {-1, 0, 0};
    const Deadline now = clock->steady_now();
    const auto gap = static_cast<std::int64_t>(group.at.seq - last);
    if (last != 0) result.widest_gap = std::max(result.widest_gap, gap);
    result.longest_ms = std::max(result.longest_ms, to_ms(now - before));
    ++result.number;
    last = group.at.seq;
    before = now;
  }
  return result;
}

TEST_F(Processes, GetFairTurnsAtAFileThatAllOfThemWriteWithoutEnd) {
  constexpr std::size_t kProcesses = 16;
  Children children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children.start_prepared([this, i]() -> std::function<Children::Result()> {
      const std::shared_ptr<Backend> store = open_store(path_);
      const auto client = std::make_shared<Client>(*store, "shared", i + 1);
      const std::string key = "key" + std::to_string(i);
      if (client->put(key, "v").error) return [] { return Children::Result{-1, 0, 0}; };
      return [store, client, key] { return write_without_end(*client, key); };
    });
  }
  std::int64_t all = 0;
  std::int64_t least = INT64_MAX;
  Children::Result most;
  for (const Children::Result& result : children.run()) {
    ASSERT_GT(result.number, 0);
    all += result.number;
    least = std::min(least, result.number);
    most.number = std::max(most.number, result.number);
    most.longest_ms = std::max(most.longest_ms, result.longest_ms);
    most.widest_gap = std::max(most.widest_gap, result.widest_gap);
  }
  std::printf(
      "%zu processes, %lld commits in %lld s: %lld to %lld of each, longest wait %lld ms, in which %lld "
      "others passed at most\n",
      kProcesses, static_cast<long long>(all), static_cast<long long>(writing_time().count()),
      static_cast<long long>(least), static_cast<long long>(most.number),
      static_cast<long long>(most.longest_ms), static_cast<long long>(most.widest_gap));
  RecordProperty("longest_wait_ms", std::to_string(most.longest_ms));
  // In commits, not in milliseconds: a slow disk changes that little. Who has no processor for a moment does
  // not ask for turns, and thousands of commits may pass a process meanwhile.
  EXPECT_GE(least * 4, all / static_cast<std::int64_t>(kProcesses));
  EXPECT_LE(most.widest_gap, static_cast<std::int64_t>(kProcesses) * 8 + all / 4);
  const auto store = open_store(path_);
  EXPECT_EQ(Client(*store, "shared").position().seq, static_cast<Seq>(all) + kProcesses);
  EXPECT_TRUE(check_store(path_).ok());
}

TEST_F(Processes, DoNotKeepTheTurnWhenTheyEndWithoutGivingItBack) {
  Children children;
  children.start([this] {
    auto lock = std::make_unique<QueuedFileLock>(path_ + "-writer", system_clock());
    const bool acquired = lock->acquire(Deadline::max());
    [[maybe_unused]] const QueuedFileLock* left_behind = lock.release();
    return Children::Result{acquired ? 1 : -1, 0, 0};
  });
  EXPECT_EQ(children.run().at(0).number, 1);
  const auto store = open_store(path_);
  EXPECT_FALSE(Client(*store, "db").put("key", "v").error);
}

TEST_F(Processes, AreToldWhatToDoAboutAFolderThatTheyCannotWrite) {
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(chmod(folder_.path().c_str(), 0555), 0);
  Children children;
  children.start([this] {
    // The administrator may write everywhere.
    if (geteuid() == 0 && setuid(kNobody) != 0) return Children::Result{-1, 0, 0};
    try {
      open_store(path_);
    } catch (const Error& error) {
      const std::string message = error.what();
      const bool advises =
          message.find("write") != std::string::npos && message.find(path_) != std::string::npos;
      return Children::Result{error.code() == Code::permission_denied && advises ? 1 : 2, 0, 0};
    }
    return Children::Result{3, 0, 0};
  });
  EXPECT_EQ(children.run().at(0).number, 1);
  chmod(folder_.path().c_str(), 0755);
}

TEST_F(Processes, SeeEachOthersCommitsWhileTheyWait) {
  Children children;
  for (int i = 0; i < 2; ++i) {
    children.start([this, i] {
      const auto clock = system_clock();
      const auto store = open_store(path_);
      // Ping-pong: each puts its number after it has seen that of the other.
      Client client(*store, "db", static_cast<std::uint64_t>(i) + 1);
      for (int round = 0; round < 50; ++round) {
        for (Position at; client.position().seq != static_cast<Seq>(2 * round + i);) {
          at = client.position();
          const Cursor cursor{"db", at};
          if (at.seq < static_cast<Seq>(2 * round + i)) store->wait({&cursor, 1}, clock->steady_now() + 10s);
        }
        if (client.put("ball", std::to_string(round)).error) return Children::Result{-1, 0, 0};
      }
      return Children::Result{1, 0, 0};
    });
  }
  for (const Children::Result& result : children.run()) EXPECT_EQ(result.number, 1);
}

}  // namespace
}  // namespace holdfast::sqlite
