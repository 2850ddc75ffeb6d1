#include "services/table_dictionaries.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>

#include "holdfast/error.h"
#include "services/keys.h"
#include "services/lister.h"
#include "services/payload_codec.h"
#include "services/tables_codec.h"
#include "services/tables_rules.h"

namespace holdfast::tables {
namespace {

/// More than any program has; a handle that meets them begins anew.
constexpr std::size_t kKnownMax = 1'000;

Bytes name_text(View id) { return "{\"id\":\"" + Bytes(id) + "\"}"; }

Bytes id_in(View text) {
  EnvelopeReader reader(text);
  return Bytes(reader.literal("{\"id\":\"").word());
}

Bytes id_of(View definition) { return number_segment(XXH3_64bits(definition.data(), definition.size())); }

}  // namespace

void Dictionaries::add(Transaction& transaction, View name, const TableDictionary& dictionary) const {
  validate_dictionary_name(name);
  const NameDictionary names(dictionary);
  const Bytes text = DefinitionText{Bytes(name), names.text()}.text();
  const Bytes id = id_of(text);
  const std::array<Bytes, 2> keys{layout_.dictionary(name), layout_.definition(id)};
  const std::vector<std::optional<Entry>> entries = transaction.get(keys);
  if (entries[1] && entries[1]->value != text) {
    throw Error(Code::already_exists,
                "another dictionary has the same hash; add a name that is not used to this one");
  }
  if (!entries[1]) transaction.put(keys[1], text);
  if (!entries[0] || id_in(entries[0]->value) != id) transaction.put(keys[0], name_text(id));
}

bool Dictionaries::remove(Transaction& transaction, View name) const {
  validate_dictionary_name(name);
  const Bytes key = layout_.dictionary(name);
  if (!transaction.get(key)) return false;
  transaction.erase(key);
  return true;
}

Listing<Bytes> Dictionaries::list(const ListOptions& options) const {
  Listing<Bytes> listing;
  listing.cursor = list_entries(database_, layout_.dictionaries(), options, [&](View name, Entry&) {
    listing.items.emplace_back(name);
    return name.size();
  });
  return listing;
}

std::optional<TableDictionary> Dictionaries::get(View name) {
  validate_dictionary_name(name);
  const std::optional<Entry> entry = database_.get(layout_.dictionary(name));
  if (!entry) return std::nullopt;
  return TableDictionary{by_id(nullptr, id_in(entry->value)).names->deflate_names(), std::nullopt};
}

Definition Dictionaries::named(Transaction& transaction, View name, const std::optional<Entry>& entry) {
  if (entry) return by_id(&transaction, id_in(entry->value));
  Bytes names;
  const Page page = transaction.scan(Range::prefix(layout_.dictionaries()), {.keys_only = true});
  for (const Entry& known : page.entries) {
    names += (names.empty() ? "" : ", ") + known.key.substr(layout_.dictionaries().size());
  }
  throw Error(Code::invalid_argument,
              "Dictionary \"" + Bytes(name) +
                  "\" not found. Available dictionaries: " + (names.empty() ? "none" : names));
}

Definition Dictionaries::by_id(Transaction* transaction, View id) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(id); known != known_.end()) return known->second;
  }
  const Bytes key = layout_.definition(id);
  const std::optional<Entry> entry = transaction != nullptr ? transaction->get(key) : database_.get(key);
  if (!entry) {
    throw Error(Code::corruption,
                "the dictionary of a record cannot be found; restore the database from a backup");
  }
  const DefinitionText text = DefinitionText::parse(entry->value);
  Definition definition{Bytes(id), text.name, NameDictionary::parse(text.names)};
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kKnownMax) known_.clear();
  return known_.emplace(id, std::move(definition)).first->second;
}

}  // namespace holdfast::tables
