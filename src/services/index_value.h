// How values lie in the keys of an index: in byte order of null < false < true < numbers by value < strings
// by their bytes in UTF-8.
//
//     0                                  null
//     1, 2                               false, true
//     3 <ffff - e> <9 - digits> ~        a number below 0
//     4                                  0
//     5 <e> <digits>                     a number above 0: 0.<digits> times ten to the power of e - 8000; e
//                                        has 4 hexadecimal digits
//     6 <text>                           a string, in which 00 ff stands for the byte 00
//
// In a key a value is followed by 00 '/'. One of more than kIndexedBytes is cut there and followed by 00 '~',
// 32 digits of its XXH3-128 and '/': such ones are in order as far as they were kept.
#pragma once

#include <optional>

#include "holdfast/types.h"

namespace holdfast {

inline constexpr std::size_t kIndexedBytes = 300;

/// The value that a JSON text is; nothing for arrays, objects, and numbers beyond ten to the power of 30,000
/// or its inverse. Numbers are exact, whatever their size: 1.10 and 11e-1 are equal, 2^53 and 2^53 + 1
/// differ.
std::optional<Bytes> index_value(View json);
/// What a string begins with that begins with `text`.
Bytes index_value_of_prefix(View text);

/// How a value lies in a key.
Bytes index_segment(View value);
bool is_cut(View value);
bool is_cut_segment(View segment);
/// Size of the segment that `suffix` of a key begins with. Throws corruption.
std::size_t index_segment_size(View suffix);

/// A place between values: before all that are `value` or above it, or else after `value` itself.
struct IndexBound {
  Bytes value;
  bool after = false;
};

/// What a query asks for: the values between two bounds, and the part of the index where they are.
class IndexRange {
 public:
  /// Every value.
  IndexRange() : IndexRange({}, {"7"}) {}
  IndexRange(const IndexBound& lower, const IndexBound& upper);
  static IndexRange equal_to(View value);
  /// All values of the type that `value` has.
  static IndexRange of_type(View value);

  IndexRange within(const IndexRange& other) const;
  /// Parts of keys behind the index's prefix. Those of cut values may be of values outside.
  const Range& suffixes() const { return suffixes_; }
  bool contains(View value) const { return values_.contains(value); }

 private:
  Range values_;
  Range suffixes_;
};

}  // namespace holdfast
