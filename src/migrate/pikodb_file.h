// The bytes of one PikoDB table file taken apart.
//
// A sound file is UTF-8 JSON without white space:
// [["key",{"d":value,"v":version,"t":written,"x":expiry}],...] with "n":"dictionary" at the end of a record
// that has one. There is no checksum, so only what breaks the syntax or the shape of a record is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/pikodb_import.h"
#include "holdfast/types.h"

namespace holdfast {

struct PikodbRecord {
  Bytes key;
  View value;  ///< as it is in the file; borrowed from its text
  std::uint64_t version = 1;
  std::optional<UnixMs> written_at_ms;  ///< not in the file if empty
  std::optional<UnixMs> expires_at_ms;
  Bytes dictionary;
  std::size_t offset = 0;
};

/// The first few sentences, and how many there were.
class PikodbProblems {
 public:
  void add(std::string problem);
  /// At most 20; the last one says how many more there are.
  std::vector<std::string> listed() const;

 private:
  std::vector<std::string> first_;
  std::size_t count_ = 0;
};

struct PikodbFile {
  /// Whether the text is that of a table, damaged or not.
  bool is_table = false;
  std::vector<PikodbRecord> records;  ///< in the order of insertion, each key once
  std::size_t unreadable = 0;         ///< places where a record was lost
  PikodbProblems problems;
};

/// `text` must outlive the answer.
PikodbFile parse_pikodb_file(View text);

/// What PikoDB makes of a stored value under a dictionary: members with the names that it knows are renamed;
/// where two members get one name, the later value takes the place of the first. Own names only: a member
/// called "constructor" is just that. Throws JsonFault for what is nested too deeply.
Bytes inflate_pikodb_value(View json, const PikodbDictionary& dictionary);

}  // namespace holdfast
