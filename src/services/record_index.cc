#include "services/record_index.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "holdfast/error.h"
#include "services/keys.h"

namespace holdfast {
namespace {

using State = DeclaredIndex::State;

std::optional<Bytes> value_of(const DeclaredIndex& index, const std::optional<View>& document) {
  const std::optional<View> text = document ? index.pointer.find(*document) : std::nullopt;
  return text ? index_value(*text) : std::nullopt;
}

/// An entry of an index, to be added or removed.
struct IndexEntry {
  const DeclaredIndex* index;
  Bytes key;
  View record;
};

[[noreturn]] void fail_as_damaged(const DeclaredIndex& index) {
  throw Error(Code::corruption,
              "index \"" + index.name + "\" and its records do not match; drop it and declare it again");
}

}  // namespace

Bytes RecordIndexes::index_prefix(std::uint64_t id) const {
  return prefix_ + "index/" + number_segment(id) + '/';
}

Bytes RecordIndexes::progress_key(std::uint64_t id) const { return prefix_ + "build/" + number_segment(id); }

std::vector<std::optional<Entry>> RecordIndexes::get(Transaction& transaction,
                                                     const std::vector<Bytes>& keys) const {
  std::vector<std::optional<Entry>> entries;
  for (std::size_t at = 0; at < keys.size(); at += limits::kReadGets) {
    const std::size_t count = std::min(limits::kReadGets, keys.size() - at);
    std::ranges::move(transaction.get(std::span(keys).subspan(at, count)), std::back_inserter(entries));
  }
  return entries;
}

// ---- Maintenance

void RecordIndexes::update(Transaction& transaction, const IndexCatalogue& catalogue,
                           std::span<const Change> changes) const {
  std::vector<IndexEntry> removed;
  std::vector<IndexEntry> added;
  std::vector<Bytes> asked;
  for (const DeclaredIndex& index : catalogue.indexes) {
    if (!index.is_maintained()) continue;
    const Bytes prefix = index_prefix(index.id);
    const auto entry_of = [&](View value, View record) {
      Bytes key = prefix + index_segment(value);
      if (!index.is_unique) key += record;
      return IndexEntry{&index, std::move(key), record};
    };
    for (const Change& change : changes) {
      const std::optional<Bytes> before = value_of(index, change.before);
      const std::optional<Bytes> after = value_of(index, change.after);
      if (before == after) continue;
      if (before) removed.push_back(entry_of(*before, change.key));
      if (after) added.push_back(entry_of(*after, change.key));
      if (!index.is_unique) continue;
      // As long as the index is being built the value may be another record's: this one may not be in yet.
      if (before && index.state == State::building) asked.push_back(removed.back().key);
      if (after) asked.push_back(added.back().key);
    }
  }
  std::map<Bytes, Bytes> holders;
  const std::vector<std::optional<Entry>> entries = get(transaction, asked);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (entries[i]) holders.emplace(asked[i], entries[i]->value);
  }
  for (const IndexEntry& entry : removed) {
    if (entry.index->is_unique && entry.index->state == State::building) {
      const auto holder = holders.find(entry.key);
      if (holder == holders.end() || holder->second != entry.record) continue;
    }
    holders.erase(entry.key);
    transaction.erase(entry.key);
  }
  for (IndexEntry& entry : added) {
    if (entry.index->is_unique) {
      const auto [holder, is_free] = holders.emplace(entry.key, entry.record);
      if (holder->second != entry.record) {
        throw Error(Code::already_exists,
                    "index \"" + entry.index->name + "\" is unique, and another record has the same value");
      }
    }
    transaction.put(entry.key, entry.index->is_unique ? entry.record : View());
  }
}

// ---- Reading

std::shared_ptr<const CatalogueCache::Seen> RecordIndexes::seen_in(Transaction& transaction) {
  return cache_.see(transaction.get(catalogue_key()));
}

const DeclaredIndex& RecordIndexes::ready_index(const IndexCatalogue& catalogue, View name) const {
  const DeclaredIndex* index = catalogue.find(name);
  if (index == nullptr) {
    throw Error(Code::not_found, "there is no index \"" + Bytes(name) + "\"; declare it first");
  }
  if (index->state == State::building) {
    throw Error(Code::unavailable, Retry::backoff,
                "index \"" + index->name + "\" is still being built; wait_for_index() waits for it");
  }
  if (index->state == State::failed) {
    throw Error(Code::already_exists, "unique index \"" + index->name +
                                          "\" could not be built, because two records have one value; "
                                          "change one of them and declare the index again");
  }
  return *index;
}

RecordIndexes::Chunk RecordIndexes::read(Transaction& transaction, View name, const IndexRange& range,
                                         const Range& suffixes, std::size_t limit, bool reverse) {
  // The catalogue that was seen last is mostly the present one: that is found out with the records.
  std::shared_ptr<const CatalogueCache::Seen> known = cache_.last();
  const DeclaredIndex* guess = known->catalogue.find(name);
  if (guess == nullptr || guess->state != State::ready) known = seen_in(transaction);
  for (;;) {
    const DeclaredIndex& index = ready_index(known->catalogue, name);
    const Bytes prefix = index_prefix(index.id);
    const Range keys{prefix + suffixes.begin, prefix + suffixes.end};
    const Page page = transaction.scan(keys, {.limit = limit, .reverse = reverse});
    std::vector<Bytes> wanted{catalogue_key()};
    Chunk chunk;
    chunk.more = page.more;
    for (const Entry& entry : page.entries) {
      const View suffix = View(entry.key).substr(prefix.size());
      const View key = index.is_unique ? View(entry.value) : suffix.substr(index_segment_size(suffix));
      wanted.push_back(record_key(key));
    }
    const std::vector<std::optional<Entry>> entries = get(transaction, wanted);
    std::shared_ptr<const CatalogueCache::Seen> present = cache_.see(entries.front());
    if (present->text != known->text) {
      known = std::move(present);
      continue;
    }
    const std::size_t key_begin = record_key("").size();
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < page.entries.size(); ++i) {
      if (bytes >= limits::kAnswerBytes) {
        chunk.more = true;
        break;
      }
      chunk.last = page.entries[i].key.substr(prefix.size());
      const std::optional<Entry>& entry = entries[i + 1];
      if (!entry) fail_as_damaged(index);
      const RecordEnvelope envelope = RecordEnvelope::parse(entry->value);
      Payload payload = PayloadCodec(database_).load_in_transaction(envelope.payload);
      if (is_cut_segment(View(chunk.last).substr(0, index_segment_size(chunk.last)))) {
        const std::optional<Bytes> value = value_of(index, payload.text());
        if (!value) fail_as_damaged(index);
        if (!range.contains(*value)) continue;
      }
      bytes += wanted[i + 1].size() + payload.size_bytes();
      chunk.found.push_back(
          {chunk.last, envelope.record(View(wanted[i + 1]).substr(key_begin), std::move(payload))});
    }
    return chunk;
  }
}

}  // namespace holdfast
