#include "engine/digest.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "engine/engine_keys.h"
#include "engine/engine_test_support.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

using std::chrono::seconds;

class Digests : public testing::Test {
 protected:
  TestWorld world;
  std::shared_ptr<Store> store = world.open();
  Database db = store->database("db");
};

TEST(EntryHashing, is_the_documented_encoding) {
  // XXH3-128 of "\3\0\0\0\0\0\0\0key\5\0\0\0\0\0\0\0value\0" and eight bytes of expiry, by the reference
  // tool.
  const EntryHash lasting = hash_of("key", "value", std::nullopt);
  EXPECT_EQ(lasting.high, 0x019a8936dbeb5657u);
  EXPECT_EQ(lasting.low, 0x5a8900124dcdd260u);
  const EntryHash expiring = hash_of("key", "value", 1'700'000'000'000);
  EXPECT_EQ(expiring.high, 0x72a5e90a53eacf5cu);
  EXPECT_EQ(expiring.low, 0xa0d523c0a5fb5ad2u);
}

TEST(EntryHashing, sums_carry_into_the_high_half) {
  Digest digest;
  add(digest, {1, ~std::uint64_t{0}});
  add(digest, {2, 2});
  EXPECT_EQ(digest.high, 4u);
  EXPECT_EQ(digest.low, 1u);
  EXPECT_EQ(digest.entries, 2u);
}

TEST_F(Digests, a_database_without_entries_has_the_sum_zero) {
  const Digest digest = db.digest();
  EXPECT_EQ(digest, Digest{});
  EXPECT_EQ(digest.at, Position{});
}

TEST_F(Digests, equal_data_have_equal_digests_whatever_their_past) {
  db.put("a", "1");
  db.put("b", "2");
  Database other = store->database("other");
  other.put("c", "gone");
  other.put("b", "old");
  other.put("b", "2");
  other.erase("c");
  other.put("a", "1");
  EXPECT_EQ(db.digest(), other.digest());
  EXPECT_EQ(db.digest().entries, 2u);
  EXPECT_EQ(db.digest().at, db.position());
}

TEST_F(Digests, another_value_key_or_expiry_gives_another_digest) {
  db.put("a", "1", world.clock->now_ms() + 10);
  const Digest first = db.digest();
  db.put("a", "2", world.clock->now_ms() + 10);
  const Digest value = db.digest();
  db.put("a", "1", world.clock->now_ms() + 11);
  const Digest expiry = db.digest();
  db.erase("a");
  db.put("b", "1", world.clock->now_ms() + 10);
  const Digest key = db.digest();
  EXPECT_FALSE(first == value);
  EXPECT_FALSE(first == expiry);
  EXPECT_FALSE(first == key);
}

TEST_F(Digests, an_expired_entry_counts_no_more_whether_it_was_reaped_or_not) {
  db.put("a", "1");
  const Digest before = db.digest();
  db.put("b", "2", world.clock->now_ms() + 10);
  EXPECT_EQ(db.digest().entries, 2u);
  world.clock->advance(std::chrono::milliseconds(10));
  EXPECT_EQ(db.digest(), before);
}

TEST_F(Digests, pins_do_not_count) {
  db.put("a", "1");
  const Digest before = db.digest();
  world.engine()->commit(*world.engine()->database("db"),
                         {{}, {Write::put(Bytes(kPinPrefix) + "backup", "1")}});
  EXPECT_EQ(db.digest(), before);
}

TEST_F(Digests, the_deadline_ends_it_with_timeout) {
  db.put("a", "1");
  try {
    db.digest(world.now());
    FAIL() << "no timeout";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::timeout);
  }
}

/// The digest of the state after each commit, by adding up what the commits put and erased.
class Replay {
 public:
  void put(Seq seq, const Bytes& key, const Bytes& value, std::optional<UnixMs> expires_at_ms) {
    states_[key][seq] = Entry{key, value, seq, expires_at_ms};
  }
  void erase(Seq seq, const Bytes& key) { states_[key][seq] = std::nullopt; }
  Digest digest(Seq seq, UnixMs now_ms) const {
    Digest sum;
    for (const auto& [key, versions] : states_) {
      auto at = versions.upper_bound(seq);
      if (at == versions.begin()) continue;
      const std::optional<Entry>& entry = std::prev(at)->second;
      if (!entry || (entry->expires_at_ms && *entry->expires_at_ms <= now_ms)) continue;
      add(sum, hash_of(key, entry->value, entry->expires_at_ms));
    }
    return sum;
  }

 private:
  std::map<Bytes, std::map<Seq, std::optional<Entry>>> states_;
};

TEST(DigestUnderWriters, ends_and_is_exact_at_its_position_though_every_call_meets_a_new_commit) {
  const auto random = seeded_random(testing_support::seed_of_this_run());
  for (int round = 0; round < 50; ++round) {
    TestWorld world;
    Replay replay;
    const auto writing = world.open();
    Database writer = writing->database("db");
    const auto write = [&] {
      const Bytes key = "k" + std::to_string(random->next() % 200);
      const Bytes value = std::to_string(random->next() % 3);
      std::optional<UnixMs> expires_at_ms;
      if (random->next() % 3 == 0) {
        expires_at_ms = world.clock->now_ms() + static_cast<UnixMs>(random->next() % 20);
      }
      if (random->next() % 4 == 0) {
        replay.erase(writer.erase(key), key);
      } else {
        replay.put(writer.put(key, value, expires_at_ms), key, value, expires_at_ms);
      }
    };
    for (int i = 0; i < 300; ++i) write();
    const auto engine = world.engine([&](SharedBackend& backend) {
      backend.before_call = [&](View call, View) {
        if (call != "read" && call != "changes") return;
        for (std::uint64_t writes = random->next() % 4; writes > 0; --writes) write();
        // Not before a read, whose time is fixed by now.
        if (call == "changes") world.clock->advance(std::chrono::milliseconds(random->next() % 5));
      };
    });
    const Digest digest =
        digest_of(*engine, *engine->database("db"), {.page_entries = 1 + random->next() % 9});
    EXPECT_EQ(digest, replay.digest(digest.at.seq, world.clock->now_ms())) << "round " << round;
  }
}

TEST_F(Digests, a_compaction_in_its_middle_makes_it_start_again) {
  for (int i = 0; i < 20; ++i) db.put("k" + std::to_string(i), "v");
  int calls = 0;
  const auto engine = world.engine([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call != "read" || ++calls != 2) return;
      db.put("later", "v");
      world.backend->compact("db", db.position().seq, world.in(seconds(1)));
    };
  });
  const Digest digest = digest_of(*engine, *engine->database("db"), {.page_entries = 5});
  EXPECT_EQ(digest, db.digest());
  EXPECT_EQ(digest.entries, 21u);
}

TEST_F(Digests, a_re_created_database_makes_it_start_again) {
  for (int i = 0; i < 20; ++i) db.put("k" + std::to_string(i), "v");
  int calls = 0;
  const auto engine = world.engine([&](SharedBackend& backend) {
    backend.before_call = [&](View call, View) {
      if (call != "read" || ++calls != 2) return;
      store->drop("db");
      db.put("new", "v");
    };
  });
  const Digest digest = digest_of(*engine, *engine->database("db"), {.page_entries = 5});
  EXPECT_EQ(digest.entries, 1u);
  EXPECT_EQ(digest.at, db.position());
}

}  // namespace
}  // namespace holdfast
