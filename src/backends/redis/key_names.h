// Which keys of the server belong to a store, and to a database of it (docs/backends/redis.md shows them).
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "holdfast/types.h"

namespace holdfast::redis {

/// Databases are spread over this many hash tags: what must change with a database, its names in the
/// registries too, is in one slot of a cluster.
inline constexpr std::size_t kTags = 64;

/// So many keys of a database are its own; the registries' follow.
inline constexpr std::size_t kOwnKeys = 6;

/// The order that the functions expect.
struct DatabaseKeys {
  std::size_t tag = 0;
  std::string base;          ///< also the channel of its notifications
  std::string encoded_name;  ///< "agents%3A42", as in the keys
  std::array<std::string, 8> keys;
};

/// Letters, digits and "-._~/" stay; other bytes are %XX, so that a name has no ':' and no brace.
std::string encode_name(View name);
Bytes decode_name(View encoded);

class KeyNames {
 public:
  explicit KeyNames(std::string prefix) : prefix_(std::move(prefix)) {}

  DatabaseKeys of(View database) const;
  /// DatabaseKeys::base alone.
  std::string base_of(View database) const { return tagged(tag_of(database)) + encode_name(database); }
  /// The databases of a tag, by name; and with the earliest expiry that each may have.
  std::string names(std::size_t tag) const { return tagged(tag) + ":names"; }
  std::string due(std::size_t tag) const { return tagged(tag) + ":due"; }
  /// What the keys of the databases of a tag begin with.
  std::string tagged(std::size_t tag) const;
  /// Keys and channel that no database has.
  std::string probe(std::size_t tag, View what) const { return tagged(tag) + ":probe:" + std::string(what); }

  static std::size_t tag_of(View database);
  /// What stands between the braces.
  static std::string tag_text(std::size_t tag);

 private:
  std::string prefix_;
};

}  // namespace holdfast::redis
