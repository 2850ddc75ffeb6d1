#include "tests/conformance/interference_check.h"

#include <map>
#include <set>
#include <vector>

#include "contract/answer.h"
#include "engine/interference.h"
#include "tests/conformance/harness.h"

namespace holdfast::conformance {
namespace {

/// Keys with the seq that put them, and the change log: all that a check can see.
struct State {
  std::map<Bytes, Seq> versions;
  std::set<std::pair<Seq, Bytes>> log;
  Seq seq = 10;
  bool operator==(const State&) const = default;
};

State start() {
  State state;
  for (const Bytes key : {"a", "c", "e0"}) state.versions[key] = state.seq;
  return state;
}

bool holds(const State& state, const Check& check) {
  const auto found = state.versions.find(check.key);
  if (check.kind == Check::Kind::absent) return found == state.versions.end();
  if (check.kind == Check::Kind::version)
    return found != state.versions.end() && found->second == check.version;
  const Range range{check.key, check.end};
  for (const auto& [seq, key] : state.log) {
    if (seq > check.version && range.contains(key)) return false;
  }
  return true;
}

bool holds(const State& state, const Batch& batch) {
  for (const Check& check : batch.checks) {
    if (!holds(state, check)) return false;
  }
  return true;
}

/// One batch after another, each on the state that the one before it left.
State one_after_another(State state, const std::vector<Batch>& batches) {
  for (const Batch& batch : batches) {
    if (!holds(state, batch)) continue;
    ++state.seq;
    for (const Write& write : batch.writes) {
      const Bytes key = written_key(write, state.seq);
      const bool puts = write.kind == Write::Kind::put || write.kind == Write::Kind::put_stamped;
      if (puts) state.versions[key] = state.seq;
      if (puts || state.versions.erase(key) != 0) state.log.insert({state.seq, key});
    }
  }
  return state;
}

/// As a set-based backend does it: judged on the state before the group, erased what was there before the
/// group, and of several puts of a key the last.
State all_at_once(const State& before, const std::vector<Batch>& batches) {
  State state = before;
  std::vector<std::pair<Seq, const Batch*>> applied;
  for (const Batch& batch : batches) {
    if (holds(before, batch)) applied.emplace_back(++state.seq, &batch);
  }
  std::map<Bytes, Seq> puts;
  for (const auto& [seq, batch] : applied) {
    for (const Write& write : batch->writes) {
      const Bytes key = written_key(write, seq);
      const bool erases = write.kind == Write::Kind::erase;
      if (!erases) puts[key] = seq;
      if (!erases || before.versions.contains(key)) state.log.insert({seq, key});
      if (erases) state.versions.erase(key);
    }
  }
  for (const auto& [key, seq] : puts) state.versions[key] = seq;
  return state;
}

Batch random_batch(Random& random) {
  static const std::vector<Bytes> kKeys = {"a", "b", "c", "d", "e", "e0", "e000000000000000b", "f"};
  const auto key = [&] { return kKeys[random.next() % kKeys.size()]; };
  Batch batch;
  for (std::uint64_t count = random.next() % 3; count > 0; --count) {
    const std::uint64_t kind = random.next() % 3;
    const Bytes one = key();
    const Bytes other = key();
    if (kind == 0) batch.checks.push_back(Check::absent(one));
    if (kind == 1) batch.checks.push_back(Check::has_version(one, 10));
    if (kind == 2)
      batch.checks.push_back(Check::unchanged({std::min(one, other), std::max(one, other)}, 10, 0));
  }
  std::set<Bytes> written;
  for (std::uint64_t count = 1 + random.next() % 3; count > 0; --count) {
    const Bytes one = key();
    // No two writes of one key, also when one of them is stamped.
    if (!written.insert(one.substr(0, 1)).second) continue;
    const std::uint64_t kind = random.next() % 4;
    if (kind == 0) batch.writes.push_back(Write::erase(one));
    if (kind == 1) batch.writes.push_back(Write::put_stamped(one.substr(0, 1), "", "v"));
    if (kind >= 2) batch.writes.push_back(Write::put(one, "v"));
  }
  return batch;
}

}  // namespace

Result check_interference(std::uint64_t seed, int groups) {
  Result result{"engine_groups_judged_at_once_equal_batches_one_after_another", {}};
  const auto random = seeded_random(seed);
  int shared = 0;
  for (int group = 0; group < groups; ++group) {
    std::vector<Batch> batches(2 + random->next() % 3);
    for (Batch& batch : batches) batch = random_batch(*random);
    if (!may_share_a_group(batches)) continue;
    ++shared;
    if (one_after_another(start(), batches) == all_at_once(start(), batches)) continue;
    result.reason = "group " + std::to_string(group) + " of seed " + std::to_string(seed) +
                    " may not be one, and the engine makes it one";
    return result;
  }
  if (shared < groups / 100) result.reason = "hardly any group was let through: the check proves nothing";
  return result;
}

}  // namespace holdfast::conformance
