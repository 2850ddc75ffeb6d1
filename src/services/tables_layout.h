// The keys of the tables service; tables.cc has the table of them.
#pragma once

#include "holdfast/types.h"

namespace holdfast::tables {

/// Longer keys of users are cut: a key of this length or less never looks like a cut one.
inline constexpr std::size_t kKeySegmentBytes = 1'024;

/// A user's key as the last segment of a key: as given, or its beginning, '~' and a hash.
Bytes key_segment(View key);

class Layout {
 public:
  explicit Layout(View prefix);

  Bytes tables() const { return prefix_ + "table/"; }
  Bytes table(View name) const { return tables() + Bytes(name); }
  /// What the keys of all rows of a table begin with.
  Bytes rows(View table) const;
  Bytes marks(View table) const;
  Bytes dictionaries() const { return prefix_ + "dictionary/"; }
  Bytes dictionary(View name) const { return dictionaries() + Bytes(name); }
  Bytes definition(View id) const { return prefix_ + "definition/" + Bytes(id); }

 private:
  Bytes prefix_;
};

}  // namespace holdfast::tables
