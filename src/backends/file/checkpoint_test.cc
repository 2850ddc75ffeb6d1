#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "backends/file/format.h"
#include "backends/file/store_fixture.h"

namespace holdfast::file {
namespace {

class Checkpoint : public StoreFixture {
 protected:
  std::vector<std::string> checkpoints_of(View database) { return files_of(database, "checkpoint"); }
};

TEST_F(Checkpoint, is_all_that_a_clean_close_leaves_behind) {
  open();
  put("agents", "a", "1");
  close();
  EXPECT_EQ(checkpoints_of("agents").size(), 1u);
  EXPECT_TRUE(logs_of("agents").empty());
  open();
  EXPECT_EQ(get("agents", "a"), "1");
}

TEST_F(Checkpoint, is_not_written_again_when_nothing_has_changed) {
  open();
  put("agents", "a", "1");
  close();
  const std::vector<std::string> before = checkpoints_of("agents");
  open();
  close();
  EXPECT_EQ(checkpoints_of("agents"), before);
}

TEST_F(Checkpoint, keeps_entries_expiries_sessions_heads_and_change_log) {
  open();
  const UnixMs now_ms = clock().now_ms();
  put("agents", "a", "1", now_ms + 5'000);
  put("agents", "b", Bytes(50'000, 'b'));
  put("agents", "c", "3");
  erase("agents", "c");
  put("agents", "d", "", now_ms - 5);
  backend().compact("agents", 1, {});
  Group last = blind_put("agents", "e", "5");
  commit(last);
  Fence frozen;
  frozen.state = Fence::State::frozen;
  frozen.token = 7;
  ASSERT_TRUE(backend().fence("agents", {}, frozen, {}));
  const std::string before = state_of("agents");
  const ExpiredAnswer expired = backend().expired(now_ms + 60'000, 10, {});
  checkpoint();
  EXPECT_EQ(state_of("agents"), before);
  power_cut();
  open();
  EXPECT_EQ(state_of("agents"), before);
  EXPECT_EQ(get("agents", "b"), Bytes(50'000, 'b'));
  EXPECT_EQ(backend().expired(now_ms + 60'000, 10, {}).items, expired.items);
  last.retry = true;
  backend().commit({&last, 1});
  EXPECT_FALSE(last.error);
  Group other = blind_put("agents", "f", "6");
  backend().commit({&other, 1});
  ASSERT_TRUE(other.error) << "it is frozen";
  EXPECT_TRUE(backend().fence("agents", frozen, {}, {}));
}

TEST_F(Checkpoint, is_asked_for_by_the_size_of_the_log) {
  open("?checkpoint_size_bytes=65536&segment_size_bytes=65536");
  for (int i = 0; i < 200; ++i) put("agents", "key", Bytes(100, 'v'));
  // Without checkpoints there would be ever more segments. How soon the background thread comes to them is
  // its own affair.
  while (checkpoints_of("agents").empty() || logs_of("agents").size() >= 12) {
    put("agents", "key", Bytes(100, 'v'));
  }
  const std::string before = state_of("agents");
  power_cut();
  open();
  EXPECT_EQ(state_of("agents"), before);
}

TEST_F(Checkpoint, does_not_disturb_a_read_that_still_needs_the_old_files) {
  open();
  for (int i = 0; i < 20; ++i)
    put("blobs", "key" + std::to_string(i), Bytes(200'000, static_cast<char>('a' + i)));
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(get("blobs", "key" + std::to_string(i)), Bytes(200'000, static_cast<char>('a' + i)));
      }
    }
  });
  for (int i = 0; i < 20; ++i) {
    put("blobs", "other", std::to_string(i));
    checkpoint();
  }
  done = true;
  reader.join();
  EXPECT_EQ(checkpoints_of("blobs").size(), 1u);
}

TEST_F(Checkpoint, written_beside_commits_loses_none_of_them) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    new_disk(seed);
    open("?segment_size_bytes=65536");
    constexpr int kWriters = 3;
    std::atomic<bool> done = false;
    std::atomic<int> finished = 0;
    std::vector<std::map<Bytes, Bytes>> expected(kWriters);
    std::vector<std::thread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        std::mt19937_64 random(seed * 100 + static_cast<std::uint64_t>(w));
        const Bytes name = "database" + std::to_string(w);
        for (std::uint64_t number = 1; number <= 400; ++number) {
          Group group;
          group.database = name;
          group.session = {7, 7};
          group.number = number;
          group.history = number == 1 ? 0 : head(name).history;
          group.now_ms = clock().now_ms();
          const Bytes key = "key" + std::to_string(random() % 200);
          const Bytes value(random() % 8 == 0 ? 3'000 : 20, static_cast<char>('a' + random() % 26));
          const bool erase = random() % 3 == 0;
          group.batches.push_back({{}, {erase ? Write::erase(key) : Write::put(key, value)}});
          backend().commit({&group, 1});
          ASSERT_FALSE(group.error) << group.error->what();
          if (erase) {
            expected[w].erase(key);
          } else {
            expected[w][key] = value;
          }
        }
        if (++finished == kWriters) done = true;
      });
    }
    while (!done) checkpoint();
    for (std::thread& writer : writers) writer.join();
    std::vector<std::string> before;
    for (int w = 0; w < kWriters; ++w) before.push_back(state_of("database" + std::to_string(w)));
    power_cut();
    open();
    for (int w = 0; w < kWriters; ++w) {
      EXPECT_EQ(state_of("database" + std::to_string(w)), before[w]) << "seed " << seed;
      for (int k = 0; k < 200; ++k) {
        const Bytes key = "key" + std::to_string(k);
        const auto at = expected[w].find(key);
        const std::optional<Bytes> wanted =
            at == expected[w].end() ? std::nullopt : std::optional(at->second);
        EXPECT_EQ(get("database" + std::to_string(w), key), wanted) << "seed " << seed;
      }
    }
  }
}

TEST_F(Checkpoint, copes_with_databases_that_come_and_go_meanwhile) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    new_disk(seed);
    open("?segment_size_bytes=65536");
    for (int i = 0; i < 50; ++i) put("database" + std::to_string(i), "key", "value");
    std::atomic<bool> done = false;
    std::thread writer([&] {
      for (int i = 0; i < 300; ++i) {
        const Bytes name = "database" + std::to_string(i * 7 % 50);
        if (i % 3 == 0) {
          backend().drop(name, head(name).history, {});
        } else {
          put(name, "key" + std::to_string(i), std::to_string(i));
        }
      }
      done = true;
    });
    while (!done) checkpoint();
    writer.join();
    std::vector<std::string> before;
    for (int i = 0; i < 50; ++i) before.push_back(state_of("database" + std::to_string(i)));
    const std::vector<Bytes> names = backend().databases({}, {}, 100, {});
    power_cut();
    open();
    EXPECT_EQ(backend().databases({}, {}, 100, {}), names);
    for (int i = 0; i < 50; ++i)
      EXPECT_EQ(state_of("database" + std::to_string(i)), before[i]) << "seed " << seed;
  }
}

TEST_F(Checkpoint, that_fails_leaves_everything_as_it_was) {
  open();
  put("agents", "a", "1");
  const std::uint64_t first = files().calls() + 1;
  checkpoint();
  const std::uint64_t calls = files().calls() - first + 1;
  for (std::uint64_t call = 0; call < calls; ++call) {
    new_disk(call);
    open();
    put("agents", "a", "1");
    put("agents", "b", Bytes(3'000, 'b'));
    files().fail_call(files().calls() + 1 + call);
    try {
      checkpoint();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::unavailable);
    }
    EXPECT_EQ(get("agents", "b"), Bytes(3'000, 'b'));
    put("agents", "c", "3");
    checkpoint();
    EXPECT_EQ(get("agents", "b"), Bytes(3'000, 'b'));
    power_cut();
    open();
    EXPECT_EQ(get("agents", "a"), "1") << "call " << call;
    EXPECT_EQ(get("agents", "b"), Bytes(3'000, 'b'));
    EXPECT_EQ(get("agents", "c"), "3");
  }
}

TEST_F(Checkpoint, survives_a_power_cut_in_any_of_its_calls) {
  const auto run = [&](int& acknowledged) {
    open("?segment_size_bytes=65536");
    for (int i = 0; i < 6; ++i) {
      if (i == 4) checkpoint();
      Group group = blind_put("agents", "a" + std::to_string(i), Bytes(2'000, 'v'));
      backend().commit({&group, 1});
      if (group.error) return;
      ++acknowledged;
    }
    close();
    open("?segment_size_bytes=65536");
  };
  cut_power_at_every_call(run, [&](int acknowledged) {
    for (int i = 0; i < acknowledged; ++i) {
      EXPECT_EQ(get("agents", "a" + std::to_string(i)), Bytes(2'000, 'v'));
    }
  });
}

TEST_F(Checkpoint, is_refused_when_a_block_is_damaged) {
  open();
  for (int i = 0; i < 100; ++i) put("agents", "key" + std::to_string(i), Bytes(900, 'v'));
  close();
  const std::string path = checkpoints_of("agents").at(0);
  files().flip_bit(path, kHeaderBytes + 50, 2);
  const std::string message = message_of([&] { open(); });
  EXPECT_NE(message.find(path), std::string::npos) << message;
  EXPECT_NE(message.find("offset 4096"), std::string::npos) << message;
}

TEST_F(Checkpoint, is_refused_when_its_end_is_missing) {
  open();
  for (int i = 0; i < 100; ++i) put("agents", "key" + std::to_string(i), Bytes(900, 'v'));
  close();
  const std::string path = checkpoints_of("agents").at(0);
  files().truncate_file(path, files().content(path).size() / 2);
  EXPECT_EQ(code_of([&] { open(); }), Code::corruption);
}

}  // namespace
}  // namespace holdfast::file
