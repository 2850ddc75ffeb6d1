// The dictionaries of the tables service at work: member names of JSON text made short and long again, byte
// for byte what they were.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "holdfast/tables.h"
#include "holdfast/types.h"

namespace holdfast {

/// A dictionary that was found to be sound. Immutable, so threads may share it.
///
/// Only names are touched, never values, numbers, order or repeated members, and a name is compared as it is
/// written. A name that would be mistaken for a short one, or that begins with '~', is stored with a '~'
/// before it: so any object comes back as it was, whatever its members are called.
class NameDictionary {
 public:
  /// Throws invalid_argument for what is no dictionary.
  explicit NameDictionary(const TableDictionary& given);
  /// What text() gave.
  static std::shared_ptr<const NameDictionary> parse(View text);

  /// `json` is minified and sound.
  Bytes deflate(View json) const;
  Bytes inflate(View json) const;

  /// {"long":"short",...} in the order of the long names: equal for equal dictionaries.
  const Bytes& text() const { return text_; }
  /// From long to short.
  const std::map<Bytes, Bytes>& deflate_names() const { return names_; }

 private:
  using Names = std::map<Bytes, Bytes, std::less<>>;

  std::map<Bytes, Bytes> names_;
  Names short_of_;  ///< as they are written between the quotes
  Names long_of_;
  Bytes text_;
};

}  // namespace holdfast
