// What the tables service keeps in its entries: readable JSON with its members in a fixed order, so that
// reading it back is a comparison.
#pragma once

#include <cstdint>
#include <optional>

#include "holdfast/types.h"
#include "services/payload_codec.h"

namespace holdfast::tables {

/// The place of a record in its table: sorts as the records were inserted. `seq` is that of the state which
/// the inserting transaction saw, plus the table's base; `tie` tells those apart which saw the same one.
struct Place {
  std::int64_t seq = 0;
  std::uint64_t tie = 0;
  auto operator<=>(const Place&) const = default;
};

/// {"v":3,"t":1700000000000,"o":[17,4],"x":1999999999999,"n":"0123456789abcdef","g":2,"k":"...","value":...}
/// From x on, members whose value is the usual one are left out.
struct Row {
  std::uint64_t version = 1;
  UnixMs written_at_ms = 0;
  Place place;
  std::optional<UnixMs> expires_at_ms;
  Bytes dictionary_id;
  std::uint64_t generation = 1;
  Bytes whole_key;  ///< only where the entry's key holds a part of it
  View payload;     ///< the members that PayloadCodec reads; borrowed

  bool is_object() const { return payload.starts_with("\"object\""); }
  StoredPayload stored() const { return PayloadCodec::parse_members(payload); }
  Bytes text_with(const StoredPayload& stored) const;
  /// `text` must outlive the answer. Throws corruption.
  static Row parse(View text);
};

/// {"v":3,"o":[17,4],"x":1999999999999,"g":2}: what is left of a record that has expired.
struct Mark {
  std::uint64_t version = 1;
  Place place;
  UnixMs expires_at_ms = 0;
  std::uint64_t generation = 1;

  Bytes text() const;
  static Mark parse(View text);
};

/// {"generation":2,"history":"0123456789abcdef","base":0,"state":"live"}
struct TableEntry {
  enum class State : std::uint8_t {
    live,    ///< every row is of this generation
    mixed,   ///< there may be rows of earlier ones
    erased,  ///< every row is refuse
  };
  std::uint64_t generation = 1;
  /// The history of which seqs count; in another one (a copy, a restored backup) they began anew.
  std::uint64_t history = 0;
  std::int64_t base = 0;
  State state = State::live;

  Bytes text() const;
  static TableEntry parse(View text);
};

/// {"name":"sensors","deflate":{...}}
struct DefinitionText {
  Bytes name;
  View names;

  Bytes text() const;
  static DefinitionText parse(View text);
};

}  // namespace holdfast::tables
