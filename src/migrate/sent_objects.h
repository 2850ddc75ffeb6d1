// Which objects were sent with their pieces, and which with the entry that describes them. Pieces of an
// object that was released and not swept yet are live entries, while what describes them has expired and no
// scan shows it: without it nobody would ever find them in the target.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "holdfast/types.h"

namespace holdfast::migrate {

class SentObjects {
 public:
  void put(View key);
  void erase(View key);
  void clear(const Range& range);

  /// The keys of the descriptions that are missing. Of some there may be no pieces any more.
  std::vector<Bytes> missing() const;

 private:
  /// The digits of an object's id; 16 bytes, as there may be millions.
  using Id = std::pair<std::uint64_t, std::uint64_t>;
  static std::optional<Id> parse(View key, View prefix);
  static Bytes info_key(const Id& id);

  absl::btree_set<Id> with_pieces_;
  absl::btree_set<Id> described_;
};

}  // namespace holdfast::migrate
