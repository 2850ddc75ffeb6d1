// Load for a server that is killed meanwhile, and the proof that nothing was lost or doubled.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/limits.h"
#include "holdfast/store.h"

namespace holdfast::testing_support {

/// Calls until the server answers again.
template <class Call>
auto patiently(Call&& call) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (true) {
    try {
      return call();
    } catch (const Error& error) {
      if (error.code() != Code::unavailable || std::chrono::steady_clock::now() > deadline) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

/// What became of the appends of several threads, each of which has a name of its own.
struct Appended {
  std::vector<std::string> acknowledged, unknown, refused;
};

/// Threads that append to one database until they are told to stop. An append that happened twice is there
/// twice, as its key has the seq in it.
class Appenders {
 public:
  Appenders(Store& store, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this, &store, i] { work(store, i); });
  }
  ~Appenders() { stop(); }
  Appenders(const Appenders&) = delete;
  Appenders& operator=(const Appenders&) = delete;

  /// Waits until so many more have been acknowledged.
  void let_pass(std::size_t count) {
    const std::size_t until = passed_ + count;
    while (passed_ < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Appended stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    return appended_;
  }

 private:
  void work(Store& store, std::size_t thread) {
    Database database = store.database("db");
    for (std::size_t n = 0; !stopping_; ++n) {
      const std::string name = std::to_string(thread) + "." + std::to_string(n);
      std::vector<std::string>* list = &appended_.acknowledged;
      try {
        database.commit({{}, {Write::put_stamped("e/", "/" + name, "x")}},
                        std::chrono::steady_clock::now() + std::chrono::seconds(20));
        ++passed_;
      } catch (const Error& error) {
        list = error.retry() == Retry::unknown_outcome ? &appended_.unknown : &appended_.refused;
      }
      const std::lock_guard lock(mutex_);
      list->push_back(name);
    }
  }

  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> passed_{0};
  std::mutex mutex_;
  Appended appended_;
  std::vector<std::thread> threads_;
};

/// How often each append is in the database.
inline std::map<std::string, std::size_t> stored_appends(Store& store) {
  std::map<std::string, std::size_t> count;
  const Database database = store.database("db");
  Range range = Range::prefix("e/");
  while (true) {
    const Page page = patiently([&] { return database.scan(range, {.limit = 10'000}); });
    for (const Entry& entry : page.entries) ++count[entry.key.substr(2 + limits::kStampDigits + 1)];
    if (!page.more) return count;
    range.begin = page.entries.back().key + '\0';
  }
}

/// Each acknowledged append is there, none is there twice, and none of the refused ones.
inline void expect_exactly_once(Store& store, const Appended& appended) {
  std::map<std::string, std::size_t> count = stored_appends(store);
  std::size_t lost = 0;
  std::size_t doubled = 0;
  for (const std::string& name : appended.acknowledged) lost += count[name] == 0;
  for (const auto& [name, times] : count) doubled += times > 1;
  std::size_t ghosts = 0;
  for (const std::string& name : appended.refused) ghosts += count[name];
  EXPECT_EQ(lost, 0u) << "of " << appended.acknowledged.size() << " acknowledged";
  EXPECT_EQ(doubled, 0u);
  EXPECT_EQ(ghosts, 0u) << "of " << appended.refused.size() << " refused";
}

}  // namespace holdfast::testing_support
