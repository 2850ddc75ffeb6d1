#include "engine/batch_rules.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

namespace holdfast {

void keep_last_writes(Batch& batch) {
  if (batch.writes.size() < 2) return;
  // A stamped key is not known yet; equal prefix and suffix give equal keys.
  absl::flat_hash_set<std::pair<View, View>> plain;
  absl::flat_hash_set<std::pair<View, View>> stamped;
  std::vector<bool> is_last(batch.writes.size());
  std::size_t kept = 0;
  for (std::size_t i = batch.writes.size(); i-- > 0;) {
    const Write& write = batch.writes[i];
    auto& keys = write.kind == Write::Kind::put_stamped ? stamped : plain;
    is_last[i] = keys.emplace(write.key, write.suffix).second;
    kept += is_last[i] ? 1 : 0;
  }
  if (kept == batch.writes.size()) return;
  std::vector<Write> writes;
  writes.reserve(kept);
  for (std::size_t i = 0; i < is_last.size(); ++i) {
    if (is_last[i]) writes.push_back(std::move(batch.writes[i]));
  }
  batch.writes = std::move(writes);
}

std::optional<std::size_t> contradicted_check(const Batch& batch) {
  if (batch.checks.size() < 2) return std::nullopt;
  absl::flat_hash_map<View, const Check*> first;
  for (std::size_t i = 0; i < batch.checks.size(); ++i) {
    const Check& check = batch.checks[i];
    if (check.kind == Check::Kind::unchanged) continue;
    const auto [known, is_new] = first.emplace(check.key, &check);
    if (!is_new && *known->second != check) return i;
  }
  return std::nullopt;
}

}  // namespace holdfast
