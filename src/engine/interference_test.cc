#include "engine/interference.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "contract/answer.h"
#include "contract/head.h"
#include "tests/support/settings.h"

namespace holdfast {
namespace {

Batch puts(View key) { return {{}, {Write::put(key, "x")}}; }
Batch erases(View key) { return {{}, {Write::erase(key)}}; }
Batch reaps(View key) { return {{}, {Write::reap(key)}}; }
Batch stamps(View prefix) { return {{}, {Write::put_stamped(prefix, "/s", "x")}}; }
Batch checks(Check check) { return {{std::move(check)}, {Write::put("unrelated", "x")}}; }
Batch checks_range(View begin, View end) {
  return checks(Check::unchanged({Bytes(begin), Bytes(end)}, 1, 1));
}

bool may_follow(const Batch& second, const Batch& first) { return may_share_a_group({first, second}); }

TEST(Interference, BlindPutsOfOneKeyShareAGroup) { EXPECT_TRUE(may_follow(puts("k"), puts("k"))); }

TEST(Interference, AVersionCheckDoesNotFollowAWriteOfItsKey) {
  EXPECT_FALSE(may_follow(checks(Check::has_version("k", 1)), puts("k")));
  EXPECT_FALSE(may_follow(checks(Check::has_version("k", 1)), erases("k")));
  EXPECT_TRUE(may_follow(checks(Check::has_version("k", 1)), puts("j")));
}

TEST(Interference, AnAbsentCheckDoesNotFollowAWriteOfItsKey) {
  EXPECT_FALSE(may_follow(checks(Check::absent("k")), puts("k")));
  EXPECT_FALSE(may_follow(checks(Check::absent("k")), reaps("k")));
}

TEST(Interference, AWriteMayFollowACheckOfItsKey) {
  EXPECT_TRUE(may_follow(puts("k"), checks(Check::absent("k"))));
  EXPECT_TRUE(may_follow(erases("k"), checks_range("", "")));
}

TEST(Interference, AnEraseDoesNotFollowAWriteOfItsKey) {
  EXPECT_FALSE(may_follow(erases("k"), puts("k")));
  EXPECT_FALSE(may_follow(reaps("k"), puts("k")));
  EXPECT_FALSE(may_follow(erases("k"), erases("k")));
  EXPECT_TRUE(may_follow(puts("k"), erases("k")));
}

TEST(Interference, ARangeCheckDoesNotFollowAWriteIntoItsRange) {
  EXPECT_FALSE(may_follow(checks_range("b", "d"), puts("b")));
  EXPECT_FALSE(may_follow(checks_range("b", "d"), puts("c")));
  EXPECT_FALSE(may_follow(checks_range("b", ""), puts("zzz")));
  EXPECT_TRUE(may_follow(checks_range("b", "d"), puts("a")));
  EXPECT_TRUE(may_follow(checks_range("b", "d"), puts("d")));
  EXPECT_TRUE(may_follow(checks_range("d", "b"), puts("c")));
}

TEST(Interference, AStampedPutCountsAsEveryKeyOfItsPrefixAndADigit) {
  EXPECT_FALSE(may_follow(checks(Check::absent("e/0000000000000001/s")), stamps("e/")));
  EXPECT_FALSE(may_follow(erases("e/f"), stamps("e/")));
  EXPECT_TRUE(may_follow(checks(Check::absent("e/")), stamps("e/")));
  EXPECT_TRUE(may_follow(checks(Check::absent("e/x")), stamps("e/")));
  EXPECT_TRUE(may_follow(stamps("e/"), stamps("e/")));
}

TEST(Interference, ARangeCheckDoesNotFollowAStampedPutIntoItsRange) {
  EXPECT_FALSE(may_follow(checks_range("e/", "e0"), stamps("e/")));
  EXPECT_FALSE(may_follow(checks_range("e/5", "e/6"), stamps("e/")));
  EXPECT_FALSE(may_follow(checks_range("", ""), stamps("")));
  EXPECT_FALSE(may_follow(checks_range("a", "e/1"), stamps("e/")));
  EXPECT_TRUE(may_follow(checks_range("a", "e/0"), stamps("e/")));
  EXPECT_TRUE(may_follow(checks_range("e/g", "z"), stamps("e/")));
  EXPECT_TRUE(may_follow(checks_range("f", "z"), stamps("e/")));
}

TEST(Interference, ABatchThatWasHeldBackLeavesNoTrace) {
  Interference group;
  const Batch first = puts("a");
  const Batch held{{Check::absent("a")}, {Write::put("b", "x")}};
  const Batch third = checks(Check::absent("b"));
  EXPECT_TRUE(group.admit(first));
  EXPECT_FALSE(group.admit(held));
  EXPECT_TRUE(group.admit(third));
}

// ---- The rule against the definition: judging on the state before the group = applying one after another.

struct State {
  std::map<Bytes, Entry> entries;
  std::vector<std::pair<Seq, Bytes>> log;
  Seq seq = 0;
  bool operator==(const State&) const = default;
};

constexpr UnixMs kTime = 1000;

bool holds(const State& state, const Check& check) {
  if (check.kind == Check::Kind::unchanged) {
    const Range range{check.key, check.end};
    for (const auto& [seq, key] : state.log) {
      if (seq > check.version && range.contains(key)) return false;
    }
    for (const auto& [key, entry] : state.entries) {
      if (range.contains(key) && entry.expires_at_ms && check.read_time_ms < *entry.expires_at_ms &&
          *entry.expires_at_ms <= kTime) {
        return false;
      }
    }
    return true;
  }
  const auto found = state.entries.find(check.key);
  const bool is_there = found != state.entries.end() && is_live(found->second.expires_at_ms, kTime);
  if (check.kind == Check::Kind::absent) return !is_there;
  return is_there && found->second.version == check.version;
}

/// What `judged` says decides; what is written goes to `state`.
void apply(State& state, const State& judged, const Batch& batch) {
  for (const Check& check : batch.checks) {
    if (!holds(judged, check)) return;
  }
  ++state.seq;
  for (const Write& write : batch.writes) {
    const Bytes key = written_key(write, state.seq);
    if (write.kind == Write::Kind::put || write.kind == Write::Kind::put_stamped) {
      state.entries[key] = {key, write.value, state.seq, write.expires_at_ms};
    } else {
      const auto found = judged.entries.find(key);
      if (found == judged.entries.end()) continue;
      if (write.kind == Write::Kind::reap && is_live(found->second.expires_at_ms, kTime)) continue;
      state.entries.erase(key);
    }
    state.log.emplace_back(state.seq, key);
  }
}

State one_after_another(State state, const std::vector<Batch>& batches) {
  for (const Batch& batch : batches) {
    const State before = state;
    apply(state, before, batch);
  }
  return state;
}

State at_once(const State& before, const std::vector<Batch>& batches) {
  State state = before;
  for (const Batch& batch : batches) apply(state, before, batch);
  return state;
}

class RandomGroups {
 public:
  explicit RandomGroups(std::uint64_t seed) : random_(seeded_random(seed)) {}

  std::size_t below(std::size_t bound) { return random_->next() % bound; }
  Bytes key() {
    static const std::vector<Bytes> kKeys = {"a", "b", "b0000000000000001/s", "b/", "b5", "c", "cg"};
    return kKeys[below(kKeys.size())];
  }
  std::optional<UnixMs> expiry() {
    static const std::vector<std::optional<UnixMs>> kExpiries = {std::nullopt, 900, 1000, 1100};
    return kExpiries[below(kExpiries.size())];
  }
  Batch batch(Seq head) {
    Batch batch;
    for (std::size_t i = below(3); i > 0; --i) {
      switch (below(3)) {
        case 0:
          batch.checks.push_back(Check::absent(key()));
          break;
        case 1:
          batch.checks.push_back(Check::has_version(key(), below(head + 2)));
          break;
        default:
          batch.checks.push_back(
              Check::unchanged({key(), below(4) == 0 ? "" : key()}, below(head + 1), 850 + 100 * below(3)));
      }
    }
    std::set<Bytes> written;
    for (std::size_t i = 1 + below(2); i > 0; --i) {
      const Bytes to = key();
      if (!written.insert(to).second) continue;
      switch (below(4)) {
        case 0:
          batch.writes.push_back(Write::erase(to));
          break;
        case 1:
          batch.writes.push_back(Write::reap(to));
          break;
        case 2:
          batch.writes.push_back(Write::put_stamped(to.substr(0, 1), "/s", "v", expiry()));
          break;
        default:
          batch.writes.push_back(Write::put(to, "v", expiry()));
      }
    }
    return batch;
  }
  std::vector<Batch> batches(Seq head, std::size_t most) {
    std::vector<Batch> batches;
    for (std::size_t i = 1 + below(most); i > 0; --i) batches.push_back(batch(head));
    return batches;
  }

 private:
  std::shared_ptr<Random> random_;
};

TEST(Interference, JudgingAGroupAtOnceEqualsApplyingItsBatchesOneAfterAnother) {
  const std::uint64_t seed = testing_support::seed_of_this_run();
  SCOPED_TRACE("HOLDFAST_SEED=" + std::to_string(seed));
  RandomGroups random(seed);
  int admitted = 0;
  int rightly_held_back = 0;
  for (int round = 0; round < 30'000; ++round) {
    const State before = one_after_another({}, random.batches(0, 5));
    const std::vector<Batch> batches = random.batches(before.seq, 4);
    const State expected = one_after_another(before, batches);
    const bool equal = at_once(before, batches) == expected;
    if (may_share_a_group(batches)) {
      ++admitted;
      ASSERT_TRUE(equal) << "round " << round;
    } else if (!equal) {
      ++rightly_held_back;
    }
  }
  // The rule neither refuses everything nor is it superfluous.
  EXPECT_GT(admitted, 5'000);
  EXPECT_GT(rightly_held_back, 500);
}

}  // namespace
}  // namespace holdfast
