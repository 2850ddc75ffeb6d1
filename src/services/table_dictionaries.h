// The dictionaries that a database knows: names that may be given to other definitions, and definitions that
// never change.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"
#include "services/name_dictionary.h"
#include "services/tables_layout.h"

namespace holdfast::tables {

struct Definition {
  Bytes id;
  Bytes name;
  std::shared_ptr<const NameDictionary> names;

  Payload deflated(const Payload& value) const { return Payload::parse(names->deflate(value.text())); }
  Payload inflated(const Payload& value) const { return Payload::parse(names->inflate(value.text())); }
};

/// Thread-safe. Definitions are kept once read: their id is a hash of them, so they are true for ever.
class Dictionaries {
 public:
  Dictionaries(Database database, const Layout& layout) : database_(std::move(database)), layout_(layout) {}

  void add(Transaction& transaction, View name, const TableDictionary& dictionary) const;
  bool remove(Transaction& transaction, View name) const;
  Listing<Bytes> list(const ListOptions& options) const;
  std::optional<TableDictionary> get(View name);

  /// What the entry of a dictionary's name says; throws invalid_argument if there is no entry.
  Definition named(Transaction& transaction, View name, const std::optional<Entry>& entry);
  Definition by_id(Transaction* transaction, View id);

 private:
  Database database_;
  const Layout& layout_;
  std::mutex mutex_;
  std::map<Bytes, Definition, std::less<>> known_;
};

}  // namespace holdfast::tables
