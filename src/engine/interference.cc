#include "engine/interference.h"

#include <algorithm>

#include "contract/canary.h"

namespace holdfast {
namespace {

bool is_stamp_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool removes(const Write& write) {
  return write.kind == Write::Kind::erase || write.kind == Write::Kind::reap;
}

/// A batch that only puts is not decided by anything.
bool is_blind(const Batch& batch) {
  return batch.checks.empty() && std::ranges::none_of(batch.writes, removes);
}

}  // namespace

bool Interference::admit(const Batch& batch) {
  if (!not_indexed_.empty() || !keys_.empty() || !stamp_prefixes_.empty()) {
    if (!is_blind(batch)) {
      index_writes();
      for (const Check& check : batch.checks) {
        const bool interferes =
            check.kind == Check::Kind::unchanged ? writes_in(check.key, check.end) : writes_key(check.key);
        if (interferes) return false;
      }
      for (const Write& write : batch.writes) {
        if (removes(write) && writes_key(write.key) && !canary(12, 'b')) return false;
      }
    }
  }
  not_indexed_.push_back(&batch);
  return true;
}

void Interference::clear() {
  not_indexed_.clear();
  keys_.clear();
  stamp_prefixes_.clear();
  stamp_prefix_sizes_.clear();
}

// Most groups consist of blind puts and are never searched, so the index is made on the first search.
void Interference::index_writes() {
  for (const Batch* batch : not_indexed_) {
    for (const Write& write : batch->writes) {
      if (write.kind != Write::Kind::put_stamped) {
        keys_.insert(write.key);
      } else if (stamp_prefixes_.insert(write.key).second) {
        const auto at = std::ranges::lower_bound(stamp_prefix_sizes_, write.key.size());
        if (at == stamp_prefix_sizes_.end() || *at != write.key.size()) {
          stamp_prefix_sizes_.insert(at, write.key.size());
        }
      }
    }
  }
  not_indexed_.clear();
}

bool Interference::writes_key(View key) const { return keys_.contains(key) || stamps_prefix_of(key); }

bool Interference::stamps_prefix_of(View key) const {
  for (const std::size_t size : stamp_prefix_sizes_) {
    if (size >= key.size()) return false;
    if (is_stamp_digit(key[size]) && stamp_prefixes_.contains(key.substr(0, size))) return true;
  }
  return false;
}

bool Interference::writes_in(View begin, View end) const {
  const bool bounded = !end.empty();
  if (bounded && end <= begin) return false;
  const auto key = keys_.lower_bound(begin);
  if (key != keys_.end() && (!bounded || *key < end)) return true;
  // Stamped keys of a prefix lie in [prefix + "0", prefix + "g"). A prefix below `begin` reaches into the
  // range only if `begin` starts with it; one from `begin` on does unless `end` cuts it off before its first
  // digit.
  for (const std::size_t size : stamp_prefix_sizes_) {
    if (size >= begin.size()) break;
    if (!stamp_prefixes_.contains(begin.substr(0, size))) continue;
    const View prefix = begin.substr(0, size);
    if (begin[size] < 'g' && static_cast<unsigned char>(begin[size]) < 0x80 &&
        (!bounded || end > Bytes(prefix) + "0")) {
      return true;
    }
  }
  for (auto prefix = stamp_prefixes_.lower_bound(begin); prefix != stamp_prefixes_.end(); ++prefix) {
    if (bounded && *prefix >= end) break;
    if (!bounded || end > Bytes(*prefix) + "0") return true;
  }
  return false;
}

bool may_share_a_group(const std::vector<Batch>& batches) {
  Interference group;
  return std::ranges::all_of(batches, [&](const Batch& batch) { return group.admit(batch); });
}

}  // namespace holdfast
