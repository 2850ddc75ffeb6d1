// The rule that lets batches of concurrent callers share a group (§3.3).
#pragma once

#include <vector>

#include "absl/container/btree_set.h"
#include "holdfast/types.h"

namespace holdfast {

/// Collects the batches of one group. Batches that were admitted can be judged all on the state before the
/// group, and that equals applying them one after another. The batches are borrowed and must neither move nor
/// change while they are in here. Cost of a batch: nothing for blind puts; otherwise a logarithmic search per
/// check and per erased key.
class Interference {
 public:
  /// Adds `batch` unless an earlier batch of the group writes something that it checks, erases or reaps.
  bool admit(const Batch& batch);
  void clear();

 private:
  void index_writes();
  bool writes_key(View key) const;
  bool writes_in(View begin, View end) const;
  bool stamps_prefix_of(View key) const;

  std::vector<const Batch*> not_indexed_;
  absl::btree_set<View> keys_;
  absl::btree_set<View> stamp_prefixes_;
  std::vector<std::size_t> stamp_prefix_sizes_;  ///< distinct, ascending
};

/// Whether all of `batches` may form one group, in this order.
bool may_share_a_group(const std::vector<Batch>& batches);

}  // namespace holdfast
