#include <algorithm>
#include <utility>

#include "holdfast/error.h"
#include "holdfast/records.h"
#include "services/index_value.h"
#include "services/lister.h"
#include "services/record_index.h"

namespace holdfast {
namespace {

constexpr std::size_t kChunkRecords = 128;

Bytes value_of(const Payload& payload) {
  const std::optional<Bytes> value = payload.is_json() ? index_value(payload.text()) : std::nullopt;
  if (value) return *value;
  throw Error(Code::invalid_argument,
              "an index is asked for strings, numbers below 10^30000, booleans and null only");
}

IndexRange from(const Payload& payload, bool after) { return {{value_of(payload), after}, {"7"}}; }
IndexRange until(const Payload& payload, bool after) { return {{}, {value_of(payload), after}}; }

IndexRange range_of(const RecordQuery& query) {
  IndexRange range;
  if (query.equals) range = range.within(IndexRange::equal_to(value_of(*query.equals)));
  if (query.at_least) range = range.within(from(*query.at_least, false));
  if (query.above) range = range.within(from(*query.above, true));
  if (query.at_most) range = range.within(until(*query.at_most, true));
  if (query.below) range = range.within(until(*query.below, false));
  const std::optional<Payload>& lower = query.at_least ? query.at_least : query.above;
  const std::optional<Payload>& upper = query.at_most ? query.at_most : query.below;
  if (lower.has_value() != upper.has_value()) {
    range = range.within(IndexRange::of_type(value_of(lower ? *lower : *upper)));
  }
  if (query.starts_with) {
    const Bytes begin = index_value_of_prefix(*query.starts_with);
    range = range.within({{begin}, {Range::prefix(begin).end}});
  }
  return range;
}

/// Reads chunks with `read(suffixes, limit)` until the page is full.
template <class Read>
Listing<Record> page_of(const RecordQuery& query, Range suffixes, const Read& read) {
  validate_list_limit(query.limit);
  const auto go_on_behind = [&](const Bytes& last) {
    if (query.reverse) {
      suffixes.end = std::min(suffixes.end, last);
    } else {
      suffixes.begin = std::max(suffixes.begin, last + '\0');
    }
  };
  if (!query.cursor.empty()) go_on_behind(from_cursor(query.cursor));
  Listing<Record> listing;
  std::size_t bytes = 0;
  for (;;) {
    // One more than wanted tells whether there is more.
    RecordIndexes::Chunk chunk =
        read(suffixes, std::min(kChunkRecords, query.limit - listing.items.size() + 1));
    for (std::size_t i = 0; i < chunk.found.size(); ++i) {
      auto& [suffix, record] = chunk.found[i];
      if (query.filter && !query.filter(record)) continue;
      bytes += record.key.size() + record.value.size_bytes();
      listing.items.push_back(std::move(record));
      if (listing.items.size() < query.limit && bytes < limits::kAnswerBytes) continue;
      if (i + 1 < chunk.found.size() || chunk.more) listing.cursor = to_cursor(suffix);
      return listing;
    }
    if (!chunk.more || chunk.last.empty()) return listing;
    go_on_behind(chunk.last);
  }
}

}  // namespace

Listing<Record> Records::find(View index, const RecordQuery& query) const {
  const IndexRange range = range_of(query);
  return page_of(query, range.suffixes(), [&](const Range& suffixes, std::size_t limit) {
    Database database = database_;
    return database.transact([&](Transaction& transaction) {
      return indexes_->read(transaction, index, range, suffixes, limit, query.reverse);
    });
  });
}

Listing<Record> Records::find(Transaction& transaction, View index, const RecordQuery& query) const {
  const IndexRange range = range_of(query);
  return page_of(query, range.suffixes(), [&](const Range& suffixes, std::size_t limit) {
    return indexes_->read(transaction, index, range, suffixes, limit, query.reverse);
  });
}

}  // namespace holdfast
